//! AES-GCM (RFC 7714), taken apart: the keystream, and the tag over ciphertext.
//!
//! GHASH reads ciphertext, so a receiver can verify a packet before it changes one octet of it. A sender does both at once. That is why this is
//! composed, of kernels or of the crates `aes` and `ghash`, and not taken as one call.

mod apart;

use super::Frame;
use super::aes::{Aes, BLOCK};
use super::aes_cm::with_session_key;
use super::kdf::{Labels, Prf};
use crate::error::{Error, Result};
use crate::kernels::{Engine, GcmKey, on_scrubbed_stack, scrub_at_length, scrubbed};
use crate::wire::HeaderForm;
use cipher::inout::InOutBuf;
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use zeroize::{Zeroize, Zeroizing};

/// Octets of a session salt of AES-GCM (RFC 7714 12).
const SALT_LEN: usize = 12;
/// Octets of a tag.
pub(crate) const TAG_LEN: usize = BLOCK;

/// AES-GCM under one session key and salt.
pub(crate) struct AesGcm {
    keys: Option<Keys>,
    /// The session salt, with zeros after it.
    salt: [u8; BLOCK],
}

#[expect(clippy::large_enum_variant, reason = "secrets lie in one slot, and not on the heap behind a pointer")]
enum Keys {
    Kernel(GcmKey),
    /// The crates, GHASH under `E(K, 0)`.
    Portable {
        aes: Aes,
        ghash: GHash,
    },
}

impl Keys {
    /// As [`Aes::expand_in`].
    fn expand_in(place: &mut Option<Self>, key: &[u8]) -> Result<()> {
        match place {
            Some(Self::Kernel(keys)) => keys.expand(key).ok_or(Error::WrongKeyLength),
            _ => on_scrubbed_stack(|| {
                let aes = Aes::portable(key)?;
                let h = Zeroizing::new(aes.encrypt_block(0).to_be_bytes());
                *place = Some(Self::Portable { aes, ghash: GHash::new((&*h).into()) });
                Ok(())
            }),
        }
    }
}

impl AesGcm {
    pub(crate) fn vacant(engine: Option<Engine>) -> Self {
        Self { keys: engine.map(|engine| Keys::Kernel(GcmKey::vacant(engine))), salt: [0; BLOCK] }
    }

    pub(crate) fn derive(&mut self, prf: &Prf, labels: Labels, key_len: usize) -> Result<()> {
        let place = &mut self.keys;
        with_session_key(prf, labels.encryption, key_len, |key| Keys::expand_in(place, key))?;
        let (salt, _) = self.salt.split_at_mut(SALT_LEN);
        prf.derive(labels.salting, salt);
        Ok(())
    }

    /// A key that was not derived.
    #[cfg(any(test, feature = "internals"))]
    pub(crate) fn of_session_keys(key: &[u8], salt: [u8; SALT_LEN], engine: Option<Engine>) -> Result<Self> {
        let mut gcm = Self::vacant(engine);
        Keys::expand_in(&mut gcm.keys, key)?;
        for (to, from) in gcm.salt.iter_mut().zip(salt) {
            *to = from;
        }
        Ok(gcm)
    }

    /// XORs `body` with the keystream, from its block `first` on.
    #[inline(always)]
    pub(crate) fn crypt(&self, frame: &Frame, first: u16, body: InOutBuf<'_, '_, u8>) {
        let first = u32::from(first);
        match &self.keys {
            Some(Keys::Kernel(key)) => key.crypt(self.block(frame, 1 + first), body),
            Some(Keys::Portable { aes, .. }) => aes.counter_mode(self.block(frame, 2 + first), body),
            None => {}
        }
    }

    /// Encrypts the body behind `head`, and gives the tag.
    #[inline(always)]
    pub(crate) fn seal(&self, frame: &Frame, head: &[u8], mut body: InOutBuf<'_, '_, u8>) -> [u8; TAG_LEN] {
        match &self.keys {
            Some(Keys::Kernel(key)) => key.seal(self.block(frame, 1), head, frame.word(), body),
            Some(Keys::Portable { aes, ghash }) => {
                aes.counter_mode(self.block(frame, 2), body.reborrow());
                self.portable_tag(aes, ghash, *frame, head, body.get_out())
            }
            None => [0; TAG_LEN],
        }
    }

    /// The tag of `protected`: head and body in the clear or encrypted, as the frame says.
    ///
    /// Additional data is the head, with SRTCP's word after it; all of a packet that is not encrypted (RFC 7714 8.2, 9.2, 9.3).
    #[inline(always)]
    pub(crate) fn tag(&self, frame: &Frame, protected: &[u8]) -> [u8; TAG_LEN] {
        if let HeaderForm::Cryptex { csrcs: csrcs @ 1.. } = frame.form {
            return scrubbed(scrub_at_length, || self.tag_apart(*frame, csrcs, protected));
        }
        let head = if frame.encrypted { frame.head } else { protected.len() };
        let (head, ciphertext) = protected.split_at_checked(head).unwrap_or((protected, &[]));
        match &self.keys {
            Some(Keys::Kernel(key)) => key.tag(self.block(frame, 1), head, frame.word(), ciphertext),
            Some(Keys::Portable { aes, ghash }) => self.portable_tag(aes, ghash, *frame, head, ciphertext),
            None => [0; TAG_LEN],
        }
    }

    #[inline(never)]
    fn portable_tag(&self, aes: &Aes, ghash: &GHash, frame: Frame, head: &[u8], ciphertext: &[u8]) -> [u8; TAG_LEN] {
        let word = frame.word();
        let word = word.as_ref().map_or(&[][..], |word| word);
        let mut hash = ghash.clone();
        update_two(&mut hash, head, word);
        hash.update_padded(ciphertext);
        let bits = |octets: usize| u128::from(octets as u64 * 8);
        let lengths = bits(head.len() + word.len()) << 64 | bits(ciphertext.len());
        hash.update(&[lengths.to_be_bytes().into()]);
        let hash = u128::from_be_bytes(hash.finalize().into());
        (hash ^ aes.encrypt_block(self.block(&frame, 1))).to_be_bytes()
    }

    /// `IV || count`, with `IV = (0 || SSRC || index) XOR salt`: 16, 32 and 48 bits (RFC 7714 8.1, 9.1). The count of 1 is that of the tag.
    #[inline(always)]
    fn block(&self, frame: &Frame, count: u32) -> u128 {
        let per_packet = u128::from(frame.ssrc.0) << 80 | u128::from(frame.iv_index()) << 32 | u128::from(count);
        u128::from_be_bytes(self.salt) ^ per_packet
    }
}

impl Drop for AesGcm {
    fn drop(&mut self) {
        self.salt.zeroize();
    }
}

/// Hashes `first || second`, zero-padded to whole blocks. `second` is shorter than a block.
fn update_two(hash: &mut GHash, first: &[u8], second: &[u8]) {
    let (blocks, rest) = first.as_chunks::<BLOCK>();
    hash.update_padded(blocks.as_flattened());
    let mut last = [0u8; 2 * BLOCK];
    let len = rest.len() + second.len();
    for (to, from) in last.iter_mut().zip(rest.iter().chain(second)) {
        *to = *from;
    }
    hash.update_padded(last.get(..len).unwrap_or_default());
}
