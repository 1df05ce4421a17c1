//! AES in counter mode (RFC 3711 4.1.1, RFC 6188 2).

use super::Frame;
use super::aes::{Aes, BLOCK};
use super::kdf::{Labels, Prf};
use crate::error::{Error, Result};
use crate::kernels::Engine;
use cipher::inout::InOutBuf;
use zeroize::{Zeroize, Zeroizing};

/// Octets of a session salt.
const SALT_LEN: usize = 14;
/// Octets of the longest key.
const MAX_KEY_LEN: usize = 32;

/// AES-CM under one session key and salt.
pub(crate) struct AesCm {
    aes: Option<Aes>,
    /// The session salt, with zeros after it.
    salt: [u8; BLOCK],
}

impl AesCm {
    pub(crate) fn vacant(engine: Option<Engine>) -> Self {
        Self { aes: Aes::vacant(engine), salt: [0; BLOCK] }
    }

    pub(crate) fn derive(&mut self, prf: &Prf, labels: Labels, key_len: usize) -> Result<()> {
        self.derive_as(prf, (labels.encryption, key_len), (labels.salting, SALT_LEN))
    }

    /// Derives a key and a salt, each by its label and of its length.
    pub(crate) fn derive_as(
        &mut self,
        prf: &Prf,
        (key_label, key_len): (u8, usize),
        (salt_label, salt_len): (u8, usize),
    ) -> Result<()> {
        let place = &mut self.aes;
        with_session_key(prf, key_label, key_len, |key| Aes::expand_in(place, key))?;
        prf.derive(salt_label, self.salt.get_mut(..salt_len).unwrap_or_default());
        Ok(())
    }

    /// XORs `body` with the keystream, from its block `first` on.
    #[inline(always)]
    pub(crate) fn crypt(&self, frame: &Frame, first: u16, body: InOutBuf<'_, '_, u8>) {
        if let Some(aes) = &self.aes {
            aes.counter_mode(self.iv(frame, first), body);
        }
    }

    /// `IV = (salt * 2^16) XOR (SSRC * 2^64) XOR (index * 2^16)`, as one 128-bit number, of which the last 16 bits number the blocks.
    fn iv(&self, frame: &Frame, first: u16) -> u128 {
        let per_packet = u128::from(frame.ssrc.0) << 64 | u128::from(frame.iv_index()) << 16 | u128::from(first);
        u128::from_be_bytes(self.salt) ^ per_packet
    }
}

impl Drop for AesCm {
    fn drop(&mut self) {
        self.salt.zeroize();
    }
}

/// Derives a session encryption key for `work`, and wipes it.
///
/// # Errors
///
/// [`Error::WrongKeyLength`] if no AES has keys of `key_len` octets; those of `work`.
pub(crate) fn with_session_key(
    prf: &Prf,
    label: u8,
    key_len: usize,
    work: impl FnOnce(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut key = Zeroizing::new([0; MAX_KEY_LEN]);
    let key = key.get_mut(..key_len).ok_or(Error::WrongKeyLength)?;
    prf.derive(label, key);
    work(key)
}
