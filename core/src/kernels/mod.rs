//! What Rust has no words for: machine instructions, and memory below the stack pointer, and pages of one's own. Beside `epoch`, the only place with `unsafe`.

mod scrub;
mod vault;

pub(crate) use scrub::{on_scrubbed_stack, scrub_after_derivation, scrub_after_packet, scrubbed};
#[cfg(crossbeam_loom)]
pub(crate) use vault::FreeSlots;
pub use vault::KeyMemory;
pub(crate) use vault::Vaulted;

#[cfg(all(test, target_arch = "x86_64", not(miri)))]
mod tests;
