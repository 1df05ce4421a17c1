//! A part of a block, read and written without touching what lies beside it, and without a buffer that would keep it.

use super::BLOCK;
use core::arch::x86_64::{__m128i, _mm_cvtsi128_si64, _mm_set_epi64x, _mm_unpackhi_epi64};
use core::ptr;

/// Reads `len` octets, fewer than a block, with zeros after them.
///
/// # Safety
///
/// They can be read.
#[inline(always)]
pub(in crate::kernels) unsafe fn load_part(from: *const u8, len: usize) -> __m128i {
    // SAFETY: as the caller says.
    of_number(unsafe { read_part(from, len) })
}

/// [`load_part`], as a number whose lowest octet is the first.
///
/// # Safety
///
/// As of [`load_part`].
#[inline(always)]
pub(in crate::kernels) unsafe fn read_part(from: *const u8, len: usize) -> u128 {
    // Overlapping reads, each shifted to where it belongs: octets that two of them read fall on themselves.
    let (low, high) = if len >= 8 {
        // SAFETY: 8 octets, the first ones.
        let low = unsafe { ptr::read_unaligned(from.cast::<u64>()) };
        // SAFETY: 8 octets, the last ones.
        let last = unsafe { ptr::read_unaligned(from.wrapping_add(len - 8).cast::<u64>()) };
        (low, last.checked_shr(shift(BLOCK - len)).unwrap_or(0))
    } else if len >= 4 {
        // SAFETY: 4 octets, the first ones.
        let first = unsafe { ptr::read_unaligned(from.cast::<u32>()) };
        // SAFETY: 4 octets, the last ones.
        let last = unsafe { ptr::read_unaligned(from.wrapping_add(len - 4).cast::<u32>()) };
        (u64::from(first) | u64::from(last) << shift(len - 4), 0)
    } else if len > 0 {
        let octet = |at: usize| {
            // SAFETY: `at` is less than `len`.
            u64::from(unsafe { from.wrapping_add(at).read() }) << shift(at)
        };
        (octet(0) | octet(len / 2) | octet(len - 1), 0)
    } else {
        (0, 0)
    };
    u128::from(low) | u128::from(high) << 64
}

/// Writes the first `len` octets of a block, fewer than it has.
///
/// # Safety
///
/// They can be written.
#[inline(always)]
pub(in crate::kernels) unsafe fn store_part(to: *mut u8, len: usize, block: __m128i) {
    let [low, high] = halves(number(block));
    if len >= 8 {
        let last = low.checked_shr(shift(len - 8)).unwrap_or(0) | high.checked_shl(shift(BLOCK - len)).unwrap_or(0);
        // SAFETY: 8 octets, the first ones.
        unsafe { ptr::write_unaligned(to.cast::<u64>(), low) };
        // SAFETY: 8 octets, the last ones.
        unsafe { ptr::write_unaligned(to.wrapping_add(len - 8).cast::<u64>(), last) };
    } else if len >= 4 {
        // SAFETY: 4 octets, the first ones.
        unsafe { ptr::write_unaligned(to.cast(), first(low)) };
        // SAFETY: 4 octets, the last ones.
        unsafe { ptr::write_unaligned(to.wrapping_add(len - 4).cast(), first(low >> shift(len - 4))) };
    } else {
        for at in 0..len {
            let [octet, ..] = (low >> shift(at)).to_le_bytes();
            // SAFETY: `at` is less than `len`.
            unsafe { to.wrapping_add(at).write(octet) };
        }
    }
}

/// Octets of a block, as bits to shift by.
#[inline(always)]
#[expect(clippy::cast_possible_truncation)] // There are 16 of them.
const fn shift(octets: usize) -> u32 {
    8 * octets as u32
}

/// The first four octets.
#[inline(always)]
const fn first(half: u64) -> u32 {
    let [a, b, c, d, ..] = half.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

const fn halves(number: u128) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = number.to_le_bytes();
    [u64::from_le_bytes([a, b, c, d, e, f, g, h]), u64::from_le_bytes(rest)]
}

/// A register of the number whose lowest octet is the first.
#[inline(always)]
pub(in crate::kernels) fn of_number(number: u128) -> __m128i {
    let [low, high] = halves(number);
    // SAFETY: every x86-64 has SSE2.
    unsafe { _mm_set_epi64x(high.cast_signed(), low.cast_signed()) }
}

/// The number whose lowest octet is a register's first.
#[inline(always)]
pub(in crate::kernels) fn number(block: __m128i) -> u128 {
    // SAFETY: every x86-64 has SSE2.
    let low = unsafe { _mm_cvtsi128_si64(block) };
    // SAFETY: as above.
    let upper = unsafe { _mm_unpackhi_epi64(block, block) };
    // SAFETY: as above.
    let high = unsafe { _mm_cvtsi128_si64(upper) };
    u128::from(low.cast_unsigned()) | u128::from(high.cast_unsigned()) << 64
}
