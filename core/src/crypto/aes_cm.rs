//! AES in counter mode (RFC 3711 4.1.1, RFC 6188 2).
//!
//! The portable form: the `aes` and `ctr` crates, which use the machine's AES instructions where there are any.

use super::Frame;
use super::kdf::{Labels, Prf};
use crate::error::{Error, Result};
use crate::kernels::{scrub_after_derivation, scrubbed};
use aes::{Aes128Enc, Aes192Enc, Aes256Enc};
use cipher::array::{Array, sizes::U16};
use cipher::inout::InOutBuf;
use cipher::{BlockCipherEncrypt, BlockSizeUser, InnerIvInit, KeyInit, StreamCipherCore};
use ctr::flavors::{Ctr32BE, Ctr128BE};
use ctr::{CtrCore, CtrFlavor};
use zeroize::{Zeroize, Zeroizing};

/// Octets of an AES block.
pub(crate) const BLOCK: usize = 16;
/// Octets of a session salt of AES-CM.
pub(crate) const CM_SALT_LEN: usize = 14;
/// Octets of the longest key.
pub(crate) const MAX_KEY_LEN: usize = 32;

/// An AES key schedule for encryption, all that counter modes need. It wipes itself.
pub(crate) enum Aes {
    Aes128(Aes128Enc),
    Aes192(Aes192Enc),
    Aes256(Aes256Enc),
}

impl Aes {
    /// # Errors
    ///
    /// [`Error::WrongKeyLength`] unless `key` has 16, 24 or 32 octets.
    pub(crate) fn new(key: &[u8]) -> Result<Self> {
        Ok(match key.len() {
            16 => Self::Aes128(Aes128Enc::new_from_slice(key).map_err(|_| Error::WrongKeyLength)?),
            24 => Self::Aes192(Aes192Enc::new_from_slice(key).map_err(|_| Error::WrongKeyLength)?),
            _ => Self::Aes256(Aes256Enc::new_from_slice(key).map_err(|_| Error::WrongKeyLength)?),
        })
    }

    /// Expands `key` in its place. A constructor returns by value, by way of the stack: what it leaves there must not be carried on, as the unused
    /// part of a smaller value, by the next move into a place that lives longer.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub(crate) fn expand_in(place: &mut Option<Self>, key: &[u8]) -> Result<()> {
        scrubbed(scrub_after_derivation, || Self::new(key).map(|aes| *place = Some(aes)))
    }

    /// XORs `data` with the keystream that starts at `block`, counting in all 128 bits.
    ///
    /// AES-CM counts in 16 bits. A packet is no longer than their segment, so no count carries past them.
    pub(crate) fn counter_mode_128(&self, block: &[u8; BLOCK], data: InOutBuf<'_, '_, u8>) {
        self.counter_mode::<Ctr128BE>(block, data);
    }

    /// XORs `data` with the keystream that starts at `block`, counting in the last 32 bits (GCM).
    pub(crate) fn counter_mode_32(&self, block: &[u8; BLOCK], data: InOutBuf<'_, '_, u8>) {
        self.counter_mode::<Ctr32BE>(block, data);
    }

    /// Encrypts one block in its place.
    pub(crate) fn encrypt_block(&self, block: &mut [u8; BLOCK]) {
        let block = <&mut Array<u8, U16>>::from(block);
        match self {
            Self::Aes128(aes) => aes.encrypt_block(block),
            Self::Aes192(aes) => aes.encrypt_block(block),
            Self::Aes256(aes) => aes.encrypt_block(block),
        }
    }

    fn counter_mode<F: CtrFlavor<U16>>(&self, block: &[u8; BLOCK], data: InOutBuf<'_, '_, u8>) {
        fn run<C, F>(aes: &C, block: &[u8; BLOCK], data: InOutBuf<'_, '_, u8>)
        where
            C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>,
            F: CtrFlavor<U16>,
        {
            CtrCore::<&C, F>::inner_iv_init(aes, block.into()).apply_keystream_partial(data);
        }
        match self {
            Self::Aes128(aes) => run::<_, F>(aes, block, data),
            Self::Aes192(aes) => run::<_, F>(aes, block, data),
            Self::Aes256(aes) => run::<_, F>(aes, block, data),
        }
    }
}

/// AES-CM under one session key and salt.
pub(crate) struct AesCm {
    aes: Option<Aes>,
    salt: [u8; CM_SALT_LEN],
}

impl AesCm {
    pub(crate) const fn vacant() -> Self {
        Self { aes: None, salt: [0; CM_SALT_LEN] }
    }

    pub(crate) fn derive(&mut self, prf: &Prf, labels: Labels, key_len: usize) -> Result<()> {
        derive_aes(&mut self.aes, prf, labels, key_len)?;
        prf.derive(labels.salting, &mut self.salt);
        Ok(())
    }

    pub(crate) fn crypt(&self, frame: &Frame, body: InOutBuf<'_, '_, u8>) {
        let iv = Zeroizing::new(self.iv(frame));
        if let Some(aes) = &self.aes {
            aes.counter_mode_128(&iv, body);
        }
    }

    /// `IV = (salt * 2^16) XOR (SSRC * 2^64) XOR (index * 2^16)`, as one 128-bit number.
    fn iv(&self, frame: &Frame) -> [u8; BLOCK] {
        let mut padded = Zeroizing::new([0u8; BLOCK]);
        for (to, from) in padded.iter_mut().zip(&self.salt) {
            *to = *from;
        }
        let per_packet = u128::from(frame.ssrc.0) << 64 | u128::from(frame.iv_index()) << 16;
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
