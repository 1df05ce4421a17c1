//! What Rust has no words for: machine instructions, memory below the stack pointer, pages of one's own. Beside `epoch`, the only place with `unsafe`.

mod choice;
#[cfg(target_arch = "x86_64")]
pub(crate) mod cpu;
mod scrub;
mod vault;

pub use choice::{Kernels, KernelsUnavailable, UnknownKernels};
pub(crate) use scrub::{on_scrubbed_stack, scrub_after_batch, scrub_after_derivation, scrub_after_packet, scrubbed};
pub use vault::KeyMemory;
pub(crate) use vault::Vaulted;

#[cfg(all(test, target_arch = "x86_64", not(miri)))]
mod tests;
