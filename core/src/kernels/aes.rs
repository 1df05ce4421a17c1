//! AES by machine instructions: round keys, and counter mode over them.
//!
//! 1. Round keys are made in the place that keeps them, and wiped there. An [`Engine`] is chosen with them, and works on them from then on.
//! 2. Counters count in the last 32 bits of a block, and carry no further. That is GCM's way. It is AES-CM's too: its first block ends in 16 bits of
//!    zero, and a packet has no more than 2^16 blocks.
//! 3. Input and output are the same octets or have none in common. Every octet is read before it, or one at a higher address, is written; none is
//!    touched outside of what was given.
//! 4. What secrets pass through are registers, and the stack where those do not suffice: both are scrubbed by whoever calls (see `scrub`).

pub(super) mod ni;
pub(super) mod part;
mod vaes256;
pub(super) mod vaes512;

use super::choice::Kernels;
use super::cpu::{AesNi, Vaes256, Vaes512};
use cipher::inout::InOutBuf;
use zeroize::Zeroize;

/// Octets of an AES block.
pub(crate) const BLOCK: usize = 16;

/// Which instructions do the work, vouched for by their witness.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Engine {
    /// One block at once.
    Ni(AesNi),
    /// Two blocks at once.
    Vaes256(Vaes256),
    /// Four blocks at once.
    Vaes512(Vaes512),
}

impl Engine {
    /// That of a set; `None` for the portable one.
    pub(crate) fn of(set: Kernels) -> Option<Self> {
        match set {
            Kernels::Portable => None,
            Kernels::Avx2 | Kernels::ShaNi => Self::of_two_blocks().or_else(Self::of_one_block),
            Kernels::Avx512Vl => Self::of_two_blocks(),
            Kernels::Avx512 => Vaes512::detect().map(Self::Vaes512),
        }
    }

    fn of_one_block() -> Option<Self> {
        AesNi::detect().map(Self::Ni)
    }

    fn of_two_blocks() -> Option<Self> {
        Vaes256::detect().map(Self::Vaes256)
    }

    #[cfg(feature = "internals")]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ni(_) => "aes-ni",
            Self::Vaes256(_) => "vaes-256",
            Self::Vaes512(_) => "vaes-512",
        }
    }

    /// All that this processor has.
    #[cfg(any(test, feature = "internals"))]
    pub(crate) fn available() -> impl Iterator<Item = Self> {
        let all = [Self::of_one_block(), Self::of_two_blocks(), Self::of(Kernels::Avx512)];
        all.into_iter().flatten()
    }
}

/// Length of a key, as it decides on the number of rounds (FIPS 197 5).
#[derive(Clone, Copy, Debug)]
pub(super) enum KeySize {
    Aes128,
    Aes192,
    Aes256,
}

/// Does `$call` with `$middle` as the number of rounds between the first and the last.
macro_rules! by_key_size {
    ($size:expr, $middle:ident => $call:expr) => {
        match $size {
            $crate::kernels::aes::KeySize::Aes128 => {
                const $middle: usize = 9;
                $call
            }
            $crate::kernels::aes::KeySize::Aes192 => {
                const $middle: usize = 11;
                $call
            }
            $crate::kernels::aes::KeySize::Aes256 => {
                const $middle: usize = 13;
                $call
            }
        }
    };
}

pub(super) use by_key_size;

/// The round keys one after the other, as the instructions take them; unused to the end where there are fewer than 15.
#[repr(align(16))]
pub(super) struct Schedule([u32; Self::WORDS]);

impl Schedule {
    const WORDS: usize = 60;

    /// Where round key `number` lies.
    #[inline(always)]
    pub(super) fn key(&self, number: usize) -> *const u8 {
        self.0.as_ptr().wrapping_add(4 * number).cast()
    }

    /// The same schedule, which the compiler takes for another. It would carry round keys in registers from one group of blocks to the next; where there
    /// are but sixteen of those, that leaves too few for the blocks, and puts keys on the stack.
    #[inline(always)]
    fn afresh(&self) -> &Self {
        let mut schedule: *const Self = self;
        // SAFETY: no instruction at all.
        unsafe { core::arch::asm!("/* {0} */", inout(reg) schedule, options(nostack, preserves_flags)) };
        // SAFETY: it is still the same.
        unsafe { &*schedule }
    }
}

/// An AES key, expanded for encryption. It wipes itself.
pub(crate) struct RoundKeys {
    pub(super) schedule: Schedule,
    pub(super) size: KeySize,
    pub(super) engine: Engine,
}

impl RoundKeys {
    /// Room for a key. What it encrypts before [`Self::expand`] is worth nothing.
    pub(crate) const fn vacant(engine: Engine) -> Self {
        Self { schedule: Schedule([0; Schedule::WORDS]), size: KeySize::Aes256, engine }
    }

    /// Expands a key of 16, 24 or 32 octets, in place; `None` if it has another length.
    pub(crate) fn expand(&mut self, key: &[u8]) -> Option<()> {
        self.size = match key.len() {
            16 => KeySize::Aes128,
            24 => KeySize::Aes192,
            32 => KeySize::Aes256,
            _ => return None,
        };
        // SAFETY: every engine's witness says that the processor has AES-NI.
        unsafe { ni::expand(&mut self.schedule, key) };
        Some(())
    }

    /// XORs `data` with the keystream that starts at `block`, counting in the last 32 bits. A block is a number as the RFCs write it: its first octet is the
    /// highest.
    #[inline]
    pub(crate) fn counter_mode(&self, block: u128, data: InOutBuf<'_, '_, u8>) {
        let run = Run::new(data);
        by_key_size!(self.size, MIDDLE => match self.engine {
            // SAFETY: the engine's witness says that the processor has the instructions.
            Engine::Ni(_) => unsafe { ni::counter_mode::<MIDDLE>(&self.schedule, block, run) },
            // SAFETY: as above.
            Engine::Vaes256(_) => unsafe { vaes256::counter_mode::<MIDDLE>(&self.schedule, block, run) },
            // SAFETY: as above.
            Engine::Vaes512(_) => unsafe { vaes512::counter_mode::<MIDDLE>(&self.schedule, block, run) },
        });
    }
}

impl Drop for RoundKeys {
    fn drop(&mut self) {
        self.schedule.0.zeroize();
    }
}

/// What is left to be read and written: `len` octets from `from`, and as many at `to`, the same or others.
///
/// Invariant: they may be, by whoever has the run.
pub(super) struct Run {
    pub(super) from: *const u8,
    pub(super) to: *mut u8,
    pub(super) len: usize,
}

impl Run {
    #[inline(always)]
    pub(super) fn new(data: InOutBuf<'_, '_, u8>) -> Self {
        let len = data.len();
        let (from, to) = data.into_raw();
        Self { from, to, len }
    }

    /// Leaves the first `octets` behind, all if there are fewer.
    #[inline(always)]
    fn advance(&mut self, octets: usize) {
        let octets = octets.min(self.len);
        self.from = self.from.wrapping_add(octets);
        self.to = self.to.wrapping_add(octets);
        self.len -= octets;
    }
}

#[cfg(all(test, unix, not(miri)))]
mod tests;
