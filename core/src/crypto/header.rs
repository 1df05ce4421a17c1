//! Encryption of header extension elements (RFC 6904 3): each by a keystream of its own key and salt, which is AES-CM's whatever encrypts the payload.

use super::Frame;
use super::aes_cm::AesCm;
use super::kdf::{HEADER_KEY, HEADER_SALT, Prf};
use super::profile::Spec;
use crate::error::Result;
use crate::kernels::{Engine, Kernels, Vaulted, scrub_after_derivation, scrubbed};
use crate::wire::extension::{Selected, Walk, body_of};
use zeroize::Zeroizing;

/// Octets of keystream for one element: a block that it begins in, and 255 octets.
const KEYSTREAM_LEN: usize = BLOCK + 256;
const BLOCK: usize = super::aes::BLOCK;

/// The session key and salt that encrypt header extension elements, in a slot of the vault.
pub(crate) struct HeaderCipher {
    keys: Vaulted<AesCm>,
    selected: Selected,
}

impl HeaderCipher {
    /// # Errors
    ///
    /// [`Error::WrongKeyLength`](crate::error::Error::WrongKeyLength) if no AES has keys of `spec.key_len` octets.
    pub(crate) fn derive(master_key: &[u8], master_salt: &[u8], spec: Spec, selected: Selected) -> Result<Self> {
        let mut keys = Vaulted::new(AesCm::vacant(Engine::of(Kernels::active())));
        scrubbed(scrub_after_derivation, || {
            let mut prf = Prf::vacant();
            prf.set_key(master_key, master_salt)?;
            // The salt of an AEAD profile is shorter than AES-CM's, and zeros follow it: what libsrtp does where no RFC says.
            keys.derive_as(&prf, (HEADER_KEY, spec.key_len), (HEADER_SALT, spec.salt_len))
        })?;
        Ok(Self { keys, selected })
    }

    /// Encrypts or decrypts the selected elements of an RTP header whose extension was checked.
    pub(crate) fn crypt(&self, frame: &Frame, header: &mut [u8]) {
        let Some((form, body)) = body_of(header) else { return };
        let Some(mut walk) = Walk::new(form, self.selected.keystream) else { return };
        let body = header.get_mut(body).unwrap_or_default();
        let mut keystream = Zeroizing::new([0; KEYSTREAM_LEN]);
        while let Ok(Some(element)) = walk.next(body) {
            if !self.selected.contains(element.id) {
                continue;
            }
            let (block, within) = (element.keystream / BLOCK, element.keystream % BLOCK);
            let data = body.get_mut(element.data).unwrap_or_default();
            let needed = keystream.get_mut(..within + data.len()).unwrap_or_default();
            needed.fill(0);
            // An extension has no more than 2^14 blocks.
            self.keys.crypt(frame, u16::try_from(block).unwrap_or(u16::MAX), needed.into());
            for (octet, key) in data.iter_mut().zip(keystream.iter().skip(within)) {
                *octet ^= *key;
            }
        }
    }
}
