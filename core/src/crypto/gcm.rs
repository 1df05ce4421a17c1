//! AES-GCM (RFC 7714), taken apart: the keystream, and the tag over ciphertext.
//!
//! GHASH reads ciphertext, so a receiver can verify a packet before it changes one octet of it. That is why this is composed of `aes` and
//! `ghash` and not taken as one call.

use super::aes::{Aes, BLOCK};
use super::aes_cm::derive_aes;
use super::kdf::{Labels, Prf};
use super::{Frame, MAX_TAG_LEN};
use crate::error::Result;
use crate::kernels::{scrub_after_derivation, scrubbed};
use cipher::inout::InOutBuf;
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use zeroize::{Zeroize, Zeroizing};

/// Octets of a session salt of AES-GCM (RFC 7714 12).
const SALT_LEN: usize = 12;

/// AES-GCM under one session key and salt.
pub(crate) struct AesGcm {
    aes: Option<Aes>,
    /// GHASH under `E(K, 0)`.
    ghash: Option<GHash>,
    salt: [u8; SALT_LEN],
}

impl AesGcm {
    pub(crate) const fn vacant() -> Self {
        Self { aes: None, ghash: None, salt: [0; SALT_LEN] }
    }

    pub(crate) fn derive(&mut self, prf: &Prf, labels: Labels, key_len: usize) -> Result<()> {
        derive_aes(&mut self.aes, prf, labels, key_len)?;
        self.key_ghash();
        prf.derive(labels.salting, &mut self.salt);
        Ok(())
    }

    /// Keys GHASH by the cipher, in its place (see [`Aes::expand_in`]).
    fn key_ghash(&mut self) {
        let (Some(aes), place) = (&self.aes, &mut self.ghash) else { return };
        scrubbed(scrub_after_derivation, || {
            let mut h = Zeroizing::new([0; BLOCK]);
            aes.encrypt_block(&mut h);
            *place = Some(GHash::new((&*h).into()));
        });
    }

    #[cfg(test)]
    pub(crate) fn from_session_keys(key: &[u8], salt: [u8; SALT_LEN]) -> Self {
        let mut gcm = Self { aes: Some(Aes::new(key).unwrap()), ghash: None, salt };
        gcm.key_ghash();
        gcm
    }

    /// XORs `body` with the keystream, from its block `first` on.
    pub(crate) fn crypt(&self, frame: &Frame, first: u16, body: InOutBuf<'_, '_, u8>) {
        let block = self.counter_block(frame, 2 + u32::from(first));
        if let Some(aes) = &self.aes {
            aes.counter_mode_32(&block, body);
        }
    }

    /// The tag of `protected`: head and body in the clear or encrypted, as the frame says.
    ///
    /// Additional data is the head, with SRTCP's word after it; all of a packet that is not encrypted (RFC 7714 8.2, 9.2, 9.3).
    pub(crate) fn tag(&self, frame: &Frame, protected: &[u8], tag: &mut [u8; MAX_TAG_LEN]) {
        let (Some(aes), Some(ghash)) = (&self.aes, &self.ghash) else { return };
        let head = if frame.encrypted { frame.head } else { protected.len() };
        let (additional, ciphertext) = protected.split_at_checked(head).unwrap_or((protected, &[]));
        let word = frame.word();
        let mut hash = ghash.clone();
        update_two(&mut hash, additional, word);
        hash.update_padded(ciphertext);
        let bits = |octets: usize| u128::from(octets as u64 * 8);
        let lengths = bits(additional.len() + word.len()) << 64 | bits(ciphertext.len());
        hash.update(&[lengths.to_be_bytes().into()]);
        let hash = Zeroizing::new(<[u8; BLOCK]>::from(hash.finalize()));
        let mut mask = self.counter_block(frame, 1);
        aes.encrypt_block(&mut mask);
        for (to, (hash, mask)) in tag.iter_mut().zip(hash.iter().zip(mask.iter())) {
            *to = hash ^ mask;
        }
    }

    /// `IV || counter`, with `IV = (0 || SSRC || index) XOR salt`: 16, 32 and 48 bits (RFC 7714 8.1, 9.1).
    fn counter_block(&self, frame: &Frame, counter: u32) -> Zeroizing<[u8; BLOCK]> {
        let mut padded = Zeroizing::new([0u8; BLOCK]);
        for (to, from) in padded.iter_mut().zip(&self.salt) {
            *to = *from;
        }
        let per_packet = u128::from(frame.ssrc.0) << 80 | u128::from(frame.iv_index()) << 32 | u128::from(counter);
        Zeroizing::new((u128::from_be_bytes(*padded) ^ per_packet).to_be_bytes())
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
