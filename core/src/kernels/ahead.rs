//! Fetching ahead: a cache line is asked for long before it is read.

/// Octets of a cache line.
const LINE: usize = 64;

/// Has the processor fetch the first `lines` cache lines of `value`, if it has a mind to. Nothing is read.
#[inline(always)]
pub(crate) fn fetch<T: ?Sized>(value: &T, lines: usize) {
    let first: *const u8 = core::ptr::from_ref(value).cast();
    for line in 0..lines {
        fetch_line(first.wrapping_add(line * LINE));
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
fn fetch_line(at: *const u8) {
    use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch reads nothing and faults nowhere, whatever the address; every x86-64 has it.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
#[inline(always)]
fn fetch_line(_at: *const u8) {}
