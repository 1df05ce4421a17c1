//! Scrubbing: what a call left on the stack below its caller, and in registers, is overwritten.
//!
//! 1. Ciphers and hashes copy keys to the stack and into vector registers, and leave them there. A thread that sleeps afterwards keeps its stack as it
//!    is, for as long as it sleeps. So whatever touches a key is called through [`scrubbed`].
//! 2. The work runs in a call that is never inlined, so all it leaves behind is below the stack pointer of its caller, from where the scrub begins.
//! 3. A scrub is as deep as its work reaches, by measurement: kernels reach less deep than the portable crates, whose depth is scrubbed as soon as there
//!    may be a key of theirs. A test fails when that is no longer so, and the search of a process's memory
//!    (`tests/memory_scan.rs`) when something is left.
//! 4. Registers hold copies too, which may be stored at any time: by a signal's frame, or by the dynamic linker, which saves them on the stack. On
//!    x86-64 they are cleared as well; elsewhere only the stack is.

#[cfg(all(target_arch = "x86_64", not(miri)))]
pub(super) mod x86_64;

use super::choice::portable_is_known;

/// How deep, in octets, the calls that protect or unprotect a packet reach at most, with kernels, where all is as it is as a rule: 1.1 KiB. The build
/// without optimisation keeps every temporary.
pub(super) const PACKET_DEPTH: usize = if cfg!(debug_assertions) { 48 * 1024 } else { 1280 };

/// The same where not: a packet that is refused, a key that is not the current one, a header that is encrypted.
pub(super) const AT_LENGTH_DEPTH: usize = if cfg!(debug_assertions) { 48 * 1024 } else { 4096 };

/// The same with the portable crates: 9 KiB on x86-64, where `aes` encrypts 64 blocks at once. Elsewhere it takes a few, and what it needs was not measured.
const PORTABLE_PACKET_DEPTH: usize = match (cfg!(debug_assertions), cfg!(target_arch = "x86_64")) {
    (true, _) => 48 * 1024,
    (false, true) => 12 * 1024,
    (false, false) => 4 * 1024,
};

/// The same of the call that computes the tags of a group of packets, which keeps what it knows of each on the stack.
pub(super) const LANES_DEPTH: usize = if cfg!(debug_assertions) { 96 * 1024 } else { 12 * 1024 };

/// The same of the calls that derive keys. Control operations are rare enough for a margin, and a derivation is
/// scrubbed once, when it is done.
pub(super) const DERIVATION_DEPTH: usize = if cfg!(debug_assertions) { 48 * 1024 } else { 8 * 1024 };

/// How deep the constructors reach whose values are moved to a key's place.
pub(super) const CONSTRUCTION_DEPTH: usize = if cfg!(debug_assertions) { 24 * 1024 } else { 5 * 1024 };

/// Does `work`, and then `scrub` of what it left.
#[inline(always)]
pub(crate) fn scrubbed<R>(scrub: impl FnOnce(), work: impl FnOnce() -> R) -> R {
    let result = apart(work);
    scrub();
    result
}

/// Does `work`, a part of a derivation, where earlier parts have left nothing.
///
/// For constructors that return by value, by way of the stack: a move carries along what was there before where an enum's larger variant would be, or
/// padding, and the place it goes to lives longer.
#[inline(always)]
pub(crate) fn on_scrubbed_stack<R>(work: impl FnOnce() -> R) -> R {
    scrub::<CONSTRUCTION_DEPTH>();
    apart(work)
}

#[inline(never)]
fn apart<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// For [`scrubbed`]: as deep as a packet's work reaches.
///
/// # Performance
///
/// One store for each 64 octets where there is AVX-512, two with AVX; see `docs/decisions/012-scrubbing-the-data-path.md`.
#[inline(always)]
pub(crate) fn scrub_after_packet() {
    if portable_is_known() {
        scrub::<PORTABLE_PACKET_DEPTH>();
    } else {
        scrub::<PACKET_DEPTH>();
    }
}

/// For [`scrubbed`]: as deep as key derivation reaches.
#[inline(always)]
pub(crate) fn scrub_after_derivation() {
    scrub::<DERIVATION_DEPTH>();
}

/// For [`scrubbed`]: as deep as a packet's work reaches that is not like that of most.
#[inline(always)]
pub(crate) fn scrub_at_length() {
    if portable_is_known() {
        scrub::<PORTABLE_PACKET_DEPTH>();
    } else {
        scrub::<AT_LENGTH_DEPTH>();
    }
}

/// For [`scrubbed`]: as deep as the tags of a group of packets reach.
#[inline(always)]
pub(crate) fn scrub_after_lanes() {
    scrub::<LANES_DEPTH>();
}

/// Overwrites `DEPTH` octets below the stack pointer, and the registers that a call need not preserve.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
fn scrub<const DEPTH: usize>() {
    x86_64::scrub::<DEPTH>();
}

/// Overwrites about `DEPTH` octets of stack: those that a local array of that size comes to lie on. Registers are left as they are.
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
#[inline(always)]
fn scrub<const DEPTH: usize>() {
    use zeroize::Zeroize;
    #[inline(never)]
    fn cover<const DEPTH: usize>() {
        let mut region = [0u8; DEPTH];
        region.zeroize();
        core::hint::black_box(&mut region);
    }
    cover::<DEPTH>();
}
