//! What Rust has no words for: machine instructions, and memory below the stack pointer. Beside `epoch`, the only place with `unsafe`.

#[cfg(target_arch = "x86_64")]
mod aes;
mod choice;
#[cfg(target_arch = "x86_64")]
pub(crate) mod cpu;
#[cfg(target_arch = "x86_64")]
mod gcm;
#[cfg(all(test, target_arch = "x86_64", unix, not(miri)))]
pub(crate) mod guarded;
#[cfg(not(target_arch = "x86_64"))]
mod nowhere;
mod scrub;
mod wiped;

#[cfg(target_arch = "x86_64")]
pub(crate) use aes::{BLOCK, Engine, RoundKeys};
pub use choice::{Kernels, KernelsUnavailable, UnknownKernels};
#[cfg(target_arch = "x86_64")]
pub(crate) use gcm::GcmKey;
#[cfg(not(target_arch = "x86_64"))]
pub(crate) use nowhere::{BLOCK, Engine, GcmKey, RoundKeys};
pub(crate) use scrub::{scrub_after_derivation, scrub_after_packet, scrubbed};
pub(crate) use wiped::Wiped;

#[cfg(all(test, target_arch = "x86_64", not(miri)))]
mod tests;
