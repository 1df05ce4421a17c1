//! Eight lanes, on 256-bit registers without AVX-512.

use crate::kernels::cpu::Avx2;
use std::arch::x86_64::*;

pub(super) const LANES: usize = 8;
pub(super) type V = __m256i;
/// All ones, or none, in each lane.
type M = __m256i;

super::lanes::hmac_in_lanes!("avx2", Avx2);

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn zero() -> V {
    _mm256_setzero_si256()
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn splat(word: u32) -> V {
    _mm256_set1_epi32(word.cast_signed())
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn words(words: &[u32; LANES]) -> V {
    // SAFETY: the array is as large as the vector.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn add(a: V, b: V) -> V {
    _mm256_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn sub(a: V, b: V) -> V {
    _mm256_sub_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn and(a: V, b: V) -> V {
    _mm256_and_si256(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn or(a: V, b: V) -> V {
    _mm256_or_si256(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn xor(a: V, b: V) -> V {
    _mm256_xor_si256(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor3(a: V, b: V, c: V) -> V {
    xor(xor(a, b), c)
}

/// `b` where `a` has ones, `c` elsewhere.
#[inline]
#[target_feature(enable = "avx2")]
fn choose(a: V, b: V, c: V) -> V {
    xor(and(a, xor(b, c)), c)
}

#[inline]
#[target_feature(enable = "avx2")]
fn majority(a: V, b: V, c: V) -> V {
    or(and(a, b), and(or(a, b), c))
}

/// Rotates left; `RIGHT` is the rest of 32.
#[inline]
#[target_feature(enable = "avx2")]
fn rotate<const LEFT: i32, const RIGHT: i32>(a: V) -> V {
    or(_mm256_slli_epi32::<LEFT>(a), _mm256_srli_epi32::<RIGHT>(a))
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn shift_left<const BITS: i32>(a: V) -> V {
    _mm256_slli_epi32::<BITS>(a)
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn shift_right<const BITS: i32>(a: V) -> V {
    _mm256_srli_epi32::<BITS>(a)
}

/// Shifts each lane by its own number of bits; zero from 32 on.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn shift_left_by(a: V, bits: V) -> V {
    _mm256_sllv_epi32(a, bits)
}

/// Shifts each lane by its own number of bits; zero from 32 on.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn shift_right_by(a: V, bits: V) -> V {
    _mm256_srlv_epi32(a, bits)
}

/// `a`, or `a | c` in those lanes where `x` is `y`.
#[inline]
#[target_feature(enable = "avx2")]
fn or_where_equal(a: V, x: V, y: V, c: V) -> V {
    or(a, and(_mm256_cmpeq_epi32(x, y), c))
}

#[inline]
#[target_feature(enable = "avx2")]
fn everyone() -> M {
    splat(u32::MAX)
}

/// The lanes where `a >= b`.
#[inline]
#[target_feature(enable = "avx2")]
fn not_less(a: V, b: V) -> M {
    _mm256_cmpeq_epi32(_mm256_max_epu32(a, b), a)
}

/// `a`, or `a + b` in the lanes of the mask.
#[inline]
#[target_feature(enable = "avx2")]
fn add_where(mask: M, a: V, b: V) -> V {
    add(a, and(mask, b))
}

/// Octets of each word reversed.
#[inline]
#[target_feature(enable = "avx2")]
fn swap_octets(a: V) -> V {
    let order = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    _mm256_shuffle_epi8(a, _mm256_broadcastsi128_si256(order))
}

/// The whole block at octet `at` of each message, by words.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load_block(messages: &[&[u8]; LANES], at: usize, ring: &mut [V; 16]) {
    // A block of every message: so says `run`, which calls it for those that each message has whole.
    // SAFETY: within the message.
    let rows = messages.map(|message| unsafe { message.as_ptr().add(at) });
    // SAFETY: as above.
    unsafe { load_rows(&rows, ring) };
}

/// What each message has of the block at octet `at`, by words; zeros after its end.
#[inline]
#[target_feature(enable = "avx2")]
fn load_rest(messages: &[&[u8]; LANES], at: usize, ring: &mut [V; 16]) {
    let mut blocks = [[0u8; 64]; LANES];
    for (block, message) in blocks.iter_mut().zip(messages) {
        let (_, rest) = message.split_at(at.min(message.len()));
        for (to, from) in block.iter_mut().zip(rest) {
            *to = *from;
        }
    }
    let rows = blocks.each_ref().map(|block| block.as_ptr());
    // SAFETY: each row is a block.
    unsafe { load_rows(&rows, ring) };
}

/// Sixteen words of each row, big-endian.
///
/// # Safety
///
/// 64 octets can be read from each row.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) unsafe fn load_rows(rows: &[*const u8; LANES], ring: &mut [V; 16]) {
    for (words, at) in ring.as_chunks_mut::<4>().0.iter_mut().zip([0, 16, 32, 48]) {
        // SAFETY: the caller vouches for the rows.
        *words = unsafe { load_quarters(rows, at) }.map(|word| swap_octets(word));
    }
}

/// Four words of each row, from octet `at` on.
///
/// # Safety
///
/// 16 octets can be read from there.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load_quarters(rows: &[*const u8; LANES], at: usize) -> [V; 4] {
    let [a, b, c, d, e, f, g, h] = rows.map(|row| {
        // SAFETY: the caller vouches for the rows.
        let octets = unsafe { row.add(at) };
        // SAFETY: as above.
        unsafe { _mm_loadu_si128(octets.cast()) }
    });
    transpose_halves([_mm256_set_m128i(e, a), _mm256_set_m128i(f, b), _mm256_set_m128i(g, c), _mm256_set_m128i(h, d)])
}

/// Within each half: word `i` of vector `j` becomes word `j` of vector `i`.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose_halves([a, b, c, d]: [V; 4]) -> [V; 4] {
    let (ab, ab_high) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    let (cd, cd_high) = (_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
    [
        _mm256_unpacklo_epi64(ab, cd),
        _mm256_unpackhi_epi64(ab, cd),
        _mm256_unpacklo_epi64(ab_high, cd_high),
        _mm256_unpackhi_epi64(ab_high, cd_high),
    ]
}

/// The inner and the outer midstates of the lanes' keys.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn midstates(keys: &[&Midstates; LANES]) -> ([V; 5], [V; 5]) {
    let rows = keys.map(|key| core::ptr::from_ref(key).cast::<u8>());
    // SAFETY: a key is of ten words.
    let [a, b, c, d] = unsafe { load_quarters(&rows, 0) };
    // SAFETY: as above.
    let [e, f, g, h] = unsafe { load_quarters(&rows, 16) };
    // SAFETY: as above: the last four of the ten.
    let [_, _, i, j] = unsafe { load_quarters(&rows, 24) };
    ([a, b, c, d, e], [f, g, h, i, j])
}

/// Writes the lanes' digests to their jobs.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn put_tags(state: &[V; 5], jobs: &mut [HmacJob<'_>]) {
    let [a, b, c, d, e] = state.map(|word| swap_octets(word));
    let mut starts = [[[0u8; 16]; 2]; 4];
    for (two, halves) in starts.iter_mut().zip(transpose_halves([a, b, c, d])) {
        // SAFETY: the array is as large as the vector.
        unsafe { _mm256_storeu_si256(two.as_mut_ptr().cast(), halves) };
    }
    let mut ends = [[0u8; 4]; LANES];
    // SAFETY: the array is as large as the vector.
    unsafe { _mm256_storeu_si256(ends.as_mut_ptr().cast(), e) };
    for ((half, jobs), ends) in jobs.chunks_mut(4).enumerate().zip(ends.as_chunks::<4>().0) {
        for ((job, starts), end) in jobs.iter_mut().zip(&starts).zip(ends) {
            let (to_start, to_end) = job.tag.split_at_mut(16);
            to_start.copy_from_slice(starts.get(half).unwrap_or(&[0; 16]));
            to_end.copy_from_slice(end);
        }
    }
}
