//! AES key schedules, and counter mode over them: by the machine's instructions where there are kernels, else by the `aes` and `ctr` crates.

use crate::error::{Error, Result};
use crate::kernels::{Engine, RoundKeys, on_scrubbed_stack};
use ::aes::{Aes128Enc, Aes192Enc, Aes256Enc};
use cipher::array::sizes::U16;
use cipher::inout::InOutBuf;
use cipher::{BlockCipherEncrypt, BlockSizeUser, InnerIvInit, KeyInit, StreamCipherCore};
use ctr::CtrCore;
use ctr::flavors::Ctr32BE;

pub(crate) use crate::kernels::BLOCK;

/// An AES key schedule for encryption, all that counter mode needs. It wipes itself.
pub(crate) enum Aes {
    Kernel(RoundKeys),
    Portable128(Aes128Enc),
    Portable192(Aes192Enc),
    Portable256(Aes256Enc),
}

impl Aes {
    /// Room for a key that the engine works on; nothing yet if there is none.
    pub(crate) fn vacant(engine: Option<Engine>) -> Option<Self> {
        engine.map(|engine| Self::Kernel(RoundKeys::vacant(engine)))
    }

    /// Expands `key` in its place: in the room that [`Self::vacant`] has made, or as the portable form.
    ///
    /// # Errors
    ///
    /// [`Error::WrongKeyLength`] unless `key` has 16, 24 or 32 octets.
    pub(crate) fn expand_in(place: &mut Option<Self>, key: &[u8]) -> Result<()> {
        match place {
            Some(Self::Kernel(keys)) => keys.expand(key).ok_or(Error::WrongKeyLength),
            _ => on_scrubbed_stack(|| Self::portable(key).map(|aes| *place = Some(aes))),
        }
    }

    /// The schedule of the portable form.
    pub(super) fn portable(key: &[u8]) -> Result<Self> {
        Ok(match key.len() {
            16 => Self::Portable128(Aes128Enc::new_from_slice(key).map_err(|_| Error::WrongKeyLength)?),
            24 => Self::Portable192(Aes192Enc::new_from_slice(key).map_err(|_| Error::WrongKeyLength)?),
            _ => Self::Portable256(Aes256Enc::new_from_slice(key).map_err(|_| Error::WrongKeyLength)?),
        })
    }

    /// XORs `data` with the keystream that starts at `block`, counting in the last 32 bits.
    ///
    /// GCM counts so. AES-CM's blocks end in 16 bits of zero, and a packet has no more than 2^16 blocks, so its count never carries further.
    pub(crate) fn counter_mode(&self, block: u128, data: InOutBuf<'_, '_, u8>) {
        fn run<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>>(
            aes: &C,
            block: u128,
            data: InOutBuf<'_, '_, u8>,
        ) {
            CtrCore::<&C, Ctr32BE>::inner_iv_init(aes, &block.to_be_bytes().into()).apply_keystream_partial(data);
        }
        match self {
            Self::Kernel(keys) => keys.counter_mode(block, data),
            Self::Portable128(aes) => run(aes, block, data),
            Self::Portable192(aes) => run(aes, block, data),
            Self::Portable256(aes) => run(aes, block, data),
        }
    }

    /// Encrypts one block.
    pub(crate) fn encrypt_block(&self, block: u128) -> u128 {
        let mut encrypted = [0; BLOCK];
        self.counter_mode(block, (&mut encrypted[..]).into());
        u128::from_be_bytes(encrypted)
    }
}
