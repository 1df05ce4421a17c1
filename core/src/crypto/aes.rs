//! AES key schedules, and the counter modes over them.
//!
//! The portable form: the `aes` and `ctr` crates, which use the machine's AES instructions where there are any.

use crate::error::{Error, Result};
use crate::kernels::on_scrubbed_stack;
use ::aes::{Aes128Enc, Aes192Enc, Aes256Enc};
use cipher::array::{Array, sizes::U16};
use cipher::inout::InOutBuf;
use cipher::{BlockCipherEncrypt, BlockSizeUser, InnerIvInit, KeyInit, StreamCipherCore};
use ctr::flavors::{Ctr32BE, Ctr128BE};
use ctr::{CtrCore, CtrFlavor};

/// Octets of an AES block.
pub(crate) const BLOCK: usize = 16;

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
        on_scrubbed_stack(|| Self::new(key).map(|aes| *place = Some(aes)))
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
