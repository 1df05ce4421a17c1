//! What stands for the kernels' types where there are no kernels: nothing can be made of it.

use super::choice::Kernels;
use cipher::inout::InOutBuf;

/// Octets of an AES block.
pub(crate) const BLOCK: usize = 16;

/// No engine.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Engine {}

impl Engine {
    pub(crate) const fn of(_: Kernels) -> Option<Self> {
        None
    }

    #[cfg(feature = "internals")]
    pub(crate) const fn name(self) -> &'static str {
        match self {}
    }

    #[cfg(feature = "internals")]
    pub(crate) fn available() -> impl Iterator<Item = Self> {
        core::iter::empty()
    }
}

/// No round keys.
pub(crate) enum RoundKeys {}

impl RoundKeys {
    pub(crate) const fn vacant(engine: Engine) -> Self {
        match engine {}
    }

    pub(crate) const fn expand(&mut self, _: &[u8]) -> Option<()> {
        match *self {}
    }

    pub(crate) fn counter_mode(&self, _: u128, _: InOutBuf<'_, '_, u8>) {
        match *self {}
    }
}

/// No key.
pub(crate) enum GcmKey {}

impl GcmKey {
    pub(crate) const fn vacant(engine: Engine) -> Self {
        match engine {}
    }

    pub(crate) const fn expand(&mut self, _: &[u8]) -> Option<()> {
        match *self {}
    }

    pub(crate) fn crypt(&self, _: u128, _: InOutBuf<'_, '_, u8>) {
        match *self {}
    }

    pub(crate) fn seal(&self, _: u128, _: &[u8], _: Option<[u8; 4]>, _: InOutBuf<'_, '_, u8>) -> [u8; BLOCK] {
        match *self {}
    }

    pub(crate) fn tag(&self, _: u128, _: &[u8], _: Option<[u8; 4]>, _: &[u8]) -> [u8; BLOCK] {
        match *self {}
    }
}
