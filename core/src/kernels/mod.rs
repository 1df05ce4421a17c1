//! What Rust has no words for: machine instructions, and memory below the stack pointer. Beside `epoch`, the only place with `unsafe`.

mod choice;
#[cfg(target_arch = "x86_64")]
pub(crate) mod cpu;
mod scrub;
mod wiped;

pub use choice::{Kernels, KernelsUnavailable, UnknownKernels};
pub(crate) use scrub::{scrub_after_batch, scrub_after_derivation, scrub_after_packet, scrubbed};
pub(crate) use wiped::Wiped;

#[cfg(all(test, target_arch = "x86_64", not(miri)))]
mod tests;
