//! AES in counter mode (RFC 3711 4.1.1, RFC 6188 2).

use super::Frame;
use super::aes::{Aes, BLOCK};
use super::kdf::{Labels, Prf};
use crate::error::{Error, Result};
use cipher::inout::InOutBuf;
use zeroize::{Zeroize, Zeroizing};

/// Octets of a session salt.
const SALT_LEN: usize = 14;
/// Octets of the longest key.
const MAX_KEY_LEN: usize = 32;

/// AES-CM under one session key and salt.
pub(crate) struct AesCm {
    aes: Option<Aes>,
    salt: [u8; SALT_LEN],
}

impl AesCm {
    pub(crate) const fn vacant() -> Self {
        Self { aes: None, salt: [0; SALT_LEN] }
    }

    pub(crate) fn derive(&mut self, prf: &Prf, labels: Labels, key_len: usize) -> Result<()> {
        derive_aes(&mut self.aes, prf, labels, key_len)?;
        prf.derive(labels.salting, &mut self.salt);
        Ok(())
    }

    /// XORs `body` with the keystream, from its block `first` on.
    pub(crate) fn crypt(&self, frame: &Frame, first: u16, body: InOutBuf<'_, '_, u8>) {
        let iv = Zeroizing::new(self.iv(frame, first));
        if let Some(aes) = &self.aes {
            aes.counter_mode_128(&iv, body);
        }
    }

    /// `IV = (salt * 2^16) XOR (SSRC * 2^64) XOR (index * 2^16)`, as one 128-bit number, of which the last 16 bits number the blocks.
    fn iv(&self, frame: &Frame, first: u16) -> [u8; BLOCK] {
        let mut padded = Zeroizing::new([0u8; BLOCK]);
        for (to, from) in padded.iter_mut().zip(&self.salt) {
            *to = *from;
        }
        let per_packet = u128::from(frame.ssrc.0) << 64 | u128::from(frame.iv_index()) << 16 | u128::from(first);
        (u128::from_be_bytes(*padded) ^ per_packet).to_be_bytes()
    }
}

impl Drop for AesCm {
    fn drop(&mut self) {
        self.salt.zeroize();
    }
}

/// Derives a session encryption key and expands it in its place.
///
/// # Errors
///
/// [`Error::WrongKeyLength`] if no AES has keys of `key_len` octets.
pub(crate) fn derive_aes(place: &mut Option<Aes>, prf: &Prf, labels: Labels, key_len: usize) -> Result<()> {
    let mut key = Zeroizing::new([0; MAX_KEY_LEN]);
    let key = key.get_mut(..key_len).ok_or(Error::WrongKeyLength)?;
    prf.derive(labels.encryption, key);
    Aes::expand_in(place, key)
}
