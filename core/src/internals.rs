//! A door to the kernels, for benches and fuzzing: behind the feature `internals`, and no part of the interface.

mod hmac_sha1;

pub use hmac_sha1::{HmacJobs, HmacKernel, HmacKey};

use crate::crypto::Frame;
use crate::crypto::aes::Aes;
use crate::crypto::gcm::AesGcm;
use crate::error::{Error, Result};
use crate::index::{PacketIndex, Ssrc};
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
        let mut counter_mode = Self(Aes::vacant(engine.0));
        Aes::expand_in(&mut counter_mode.0, key)?;
        Ok(counter_mode)
    }

    /// XORs `data` with the keystream that starts at `block`.
    pub fn apply(&self, block: u128, data: &mut [u8]) {
        if let Some(aes) = &self.0 {
            aes.counter_mode(block, data.into());
        }
    }

    /// [`Self::apply`] from one buffer to another.
    ///
    /// # Errors
    ///
    /// [`Error::OutputTooSmall`] unless both are of one length.
    pub fn apply_to(&self, block: u128, from: &[u8], to: &mut [u8]) -> Result<()> {
        let data = InOutBuf::new(from, to).map_err(|_| Error::OutputTooSmall)?;
        if let Some(aes) = &self.0 {
            aes.counter_mode(block, data);
        }
        Ok(())
    }
}

/// AES-GCM with initialization vectors of 12 octets.
pub struct Gcm(AesGcm);

impl Gcm {
    /// # Errors
    ///
    /// [`Error::WrongKeyLength`] unless `key` has 16, 24 or 32 octets.
    pub fn new(engine: AesEngine, key: &[u8]) -> Result<Self> {
        AesGcm::of_session_keys(key, [0; 12], engine.0).map(Self)
    }

    /// Encrypts all behind the first `head` octets, which are additional data, and gives the tag. As an SRTP packet's, the initialization vector is made
    /// of `ssrc` and `index`.
    pub fn seal(&self, ssrc: u32, index: u64, head: &[u8], body: &mut [u8]) -> [u8; 16] {
        self.0.seal(&Self::frame(ssrc, index, head.len()), head, body.into())
    }

    /// The tag of a sealed packet.
    #[must_use]
    pub fn tag(&self, ssrc: u32, index: u64, head: usize, packet: &[u8]) -> [u8; 16] {
        self.0.tag(&Self::frame(ssrc, index, head), packet)
    }

    /// Encrypts or decrypts a body.
    pub fn crypt(&self, ssrc: u32, index: u64, body: &mut [u8]) {
        self.0.crypt(&Self::frame(ssrc, index, 0), 0, body.into());
    }

    fn frame(ssrc: u32, index: u64, head: usize) -> Frame {
        Frame::srtp(Ssrc(ssrc), PacketIndex::from_estimate(index), head, true)
    }
}
