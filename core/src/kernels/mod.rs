//! What Rust has no words for: machine instructions, and memory below the stack pointer. Beside `epoch`, the only place with `unsafe`.

#[cfg(target_arch = "x86_64")]
mod aes;
#[cfg(not(target_arch = "x86_64"))]
#[path = "nowhere.rs"]
mod aes;
mod choice;
#[cfg(target_arch = "x86_64")]
pub(crate) mod cpu;
#[cfg(all(test, unix, not(miri)))]
pub(crate) mod guarded;
mod scrub;
mod sha1;
mod wiped;

pub(crate) use aes::{BLOCK, Engine, RoundKeys};
pub use choice::{Kernels, KernelsUnavailable, UnknownKernels};
pub(crate) use scrub::{scrub_after_derivation, scrub_after_packet, scrubbed};
pub(crate) use sha1::{HmacJob, HmacKernels, Midstates};
#[cfg(feature = "internals")]
pub(crate) use sha1::{Kernel, TAG_LEN};
pub(crate) use wiped::Wiped;

#[cfg(all(test, target_arch = "x86_64", not(miri)))]
mod tests;
