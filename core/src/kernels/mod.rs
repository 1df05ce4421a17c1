//! What Rust has no words for: machine instructions, memory below the stack pointer, pages of one's own. Beside `epoch`, the only place with `unsafe`.

#[cfg(target_arch = "x86_64")]
mod aes;
mod ahead;
mod choice;
#[cfg(target_arch = "x86_64")]
pub(crate) mod cpu;
pub(crate) mod fork;
#[cfg(target_arch = "x86_64")]
mod gcm;
#[cfg(all(test, target_arch = "x86_64", unix, not(miri)))]
pub(crate) mod guarded;
#[cfg(not(target_arch = "x86_64"))]
mod nowhere;
mod scrub;
mod sha1;
mod vault;

#[cfg(target_arch = "x86_64")]
pub(crate) use aes::{BLOCK, Engine, RoundKeys};
pub(crate) use ahead::fetch;
pub use choice::{Kernels, KernelsUnavailable, UnknownKernels};
#[cfg(target_arch = "x86_64")]
pub(crate) use gcm::GcmKey;
#[cfg(not(target_arch = "x86_64"))]
pub(crate) use nowhere::{BLOCK, Engine, GcmKey, RoundKeys};
pub(crate) use scrub::{
    on_scrubbed_stack, scrub_after_derivation, scrub_after_lanes, scrub_after_packet, scrub_at_length, scrubbed,
};
pub(crate) use sha1::{HmacJob, HmacKernels, Midstates};
#[cfg(feature = "internals")]
pub(crate) use sha1::{Kernel, TAG_LEN};
#[cfg(crossbeam_loom)]
pub(crate) use vault::FreeSlots;
pub use vault::KeyMemory;
pub(crate) use vault::{Vaulted, leaving_slabs, unmap_what_was_left};

#[cfg(all(test, target_arch = "x86_64", not(miri)))]
mod tests;
