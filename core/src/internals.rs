//! A door to the kernels, for benches and fuzzing: behind the feature `internals`, and no part of the interface.

mod hmac_sha1;

pub use hmac_sha1::{HmacJobs, HmacKernel, HmacKey};

use crate::crypto::aes::Aes;
use crate::error::{Error, Result};
use crate::kernels::Engine;
use cipher::inout::InOutBuf;
use core::fmt;

/// What does the work of AES: the portable crates, or one of the engines.
#[derive(Clone, Copy, Debug)]
pub struct AesEngine(Option<Engine>);

impl AesEngine {
    /// All that this processor has, the portable one first.
    pub fn available() -> impl Iterator<Item = Self> {
        core::iter::once(Self(None)).chain(Engine::available().map(|engine| Self(Some(engine))))
    }
}

impl fmt::Display for AesEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.map_or("portable", Engine::name))
    }
}

/// AES in counter mode, counting in the last 32 bits.
pub struct CounterMode(Option<Aes>);

impl CounterMode {
    /// # Errors
    ///
    /// [`Error::WrongKeyLength`] unless `key` has 16, 24 or 32 octets.
    pub fn new(engine: AesEngine, key: &[u8]) -> Result<Self> {
        let mut counter_mode = Self(None);
        Aes::expand_in(&mut counter_mode.0, key, engine.0)?;
        Ok(counter_mode)
    }

    /// XORs `data` with the keystream that starts at `block`.
    pub fn apply(&self, block: &[u8; 16], data: &mut [u8]) {
        if let Some(aes) = &self.0 {
            aes.counter_mode(block, data.into());
        }
    }

    /// [`Self::apply`] from one buffer to another.
    ///
    /// # Errors
    ///
    /// [`Error::OutputTooSmall`] unless both are of one length.
    pub fn apply_to(&self, block: &[u8; 16], from: &[u8], to: &mut [u8]) -> Result<()> {
        let data = InOutBuf::new(from, to).map_err(|_| Error::OutputTooSmall)?;
        if let Some(aes) = &self.0 {
            aes.counter_mode(block, data);
        }
        Ok(())
    }
}
