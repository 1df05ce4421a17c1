//! Sixteen lanes, on 512-bit registers.

use crate::kernels::cpu::Avx512;
use std::arch::x86_64::*;

pub(super) const LANES: usize = 16;
type V = __m512i;
/// One bit a lane.
type M = __mmask16;

super::lanes::hmac_in_lanes!("avx512f,avx512bw,avx512vl,avx512dq,avx2", Avx512);

#[inline]
#[target_feature(enable = "avx512f")]
fn zero() -> V {
    _mm512_setzero_si512()
}

#[inline]
#[target_feature(enable = "avx512f")]
fn splat(word: u32) -> V {
    _mm512_set1_epi32(word.cast_signed())
}

#[inline]
#[target_feature(enable = "avx512f")]
fn words(words: &[u32; LANES]) -> V {
    // SAFETY: the array is as large as the vector.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn add(a: V, b: V) -> V {
    _mm512_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn sub(a: V, b: V) -> V {
    _mm512_sub_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn and(a: V, b: V) -> V {
    _mm512_and_si512(a, b)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn or(a: V, b: V) -> V {
    _mm512_or_si512(a, b)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn xor(a: V, b: V) -> V {
    _mm512_xor_si512(a, b)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn xor3(a: V, b: V, c: V) -> V {
    _mm512_ternarylogic_epi32::<0x96>(a, b, c)
}

/// `b` where `a` has ones, `c` elsewhere.
#[inline]
#[target_feature(enable = "avx512f")]
fn choose(a: V, b: V, c: V) -> V {
    _mm512_ternarylogic_epi32::<0xca>(a, b, c)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn majority(a: V, b: V, c: V) -> V {
    _mm512_ternarylogic_epi32::<0xe8>(a, b, c)
}

/// Rotates left; `RIGHT` is the rest of 32.
#[inline]
#[target_feature(enable = "avx512f")]
fn rotate<const LEFT: i32, const RIGHT: i32>(a: V) -> V {
    _mm512_rol_epi32::<LEFT>(a)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn shift_left<const BITS: u32>(a: V) -> V {
    _mm512_slli_epi32::<BITS>(a)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn shift_right<const BITS: u32>(a: V) -> V {
    _mm512_srli_epi32::<BITS>(a)
}

/// Shifts each lane by its own number of bits; zero from 32 on.
#[inline]
#[target_feature(enable = "avx512f")]
fn shift_left_by(a: V, bits: V) -> V {
    _mm512_sllv_epi32(a, bits)
}

/// Shifts each lane by its own number of bits; zero from 32 on.
#[inline]
#[target_feature(enable = "avx512f")]
fn shift_right_by(a: V, bits: V) -> V {
    _mm512_srlv_epi32(a, bits)
}

/// `a`, or `a | c` in those lanes where `x` is `y`.
#[inline]
#[target_feature(enable = "avx512f")]
fn or_where_equal(a: V, x: V, y: V, c: V) -> V {
    _mm512_mask_or_epi32(a, _mm512_cmpeq_epi32_mask(x, y), a, c)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn everyone() -> M {
    M::MAX
}

/// The lanes where `a >= b`.
#[inline]
#[target_feature(enable = "avx512f")]
fn not_less(a: V, b: V) -> M {
    _mm512_cmpge_epu32_mask(a, b)
}

/// `a`, or `a + b` in the lanes of the mask.
#[inline]
#[target_feature(enable = "avx512f")]
fn add_where(mask: M, a: V, b: V) -> V {
    _mm512_mask_add_epi32(a, mask, a, b)
}

/// Octets of each word reversed.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn swap_octets(a: V) -> V {
    let order = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    _mm512_shuffle_epi8(a, _mm512_broadcast_i32x4(order))
}

/// The whole block at octet `at` of each message, by words.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load_block(messages: &[&[u8]; LANES], at: usize, ring: &mut [V; 16]) {
    for (row, message) in ring.iter_mut().zip(messages) {
        // SAFETY: `run` calls it for blocks that every message has whole; a lane without message makes that none.
        let octets = unsafe { message.as_ptr().add(at) };
        // SAFETY: as above.
        *row = unsafe { _mm512_loadu_si512(octets.cast()) };
    }
    transpose(ring);
    for word in ring {
        *word = swap_octets(*word);
    }
}

/// What each message has of the block at octet `at`, by words; zeros after its end.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load_rest(messages: &[&[u8]; LANES], at: usize, ring: &mut [V; 16]) {
    for (row, message) in ring.iter_mut().zip(messages) {
        // Not a dangling slice when the message is over: even a load without lanes is slow from a page that is not there.
        let (_, rest) = message.split_at(at.min(message.len()));
        // SAFETY: only octets within `rest` are loaded.
        *row = unsafe { _mm512_maskz_loadu_epi8(lanes::first_64(rest.len()), rest.as_ptr().cast()) };
    }
    transpose(ring);
    for word in ring {
        *word = swap_octets(*word);
    }
}

/// Word `i` of vector `j` becomes word `j` of vector `i`.
#[inline]
#[target_feature(enable = "avx512f")]
#[expect(clippy::indexing_slicing, reason = "each index is one of four, and the fours before it")]
fn transpose(rows: &mut [V; 16]) {
    // Vector `4 * group + word` has, in quarter `q`, word `4 * q + word` of the group's rows.
    for group in rows.as_chunks_mut::<4>().0 {
        *group = transpose_quarters(*group);
    }
    // Then by quarters.
    for word in 0..4 {
        let [a, b, c, d] = [rows[word], rows[4 + word], rows[8 + word], rows[12 + word]];
        let (ab, ab_odd) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xdd>(a, b));
        let (cd, cd_odd) = (_mm512_shuffle_i32x4::<0x88>(c, d), _mm512_shuffle_i32x4::<0xdd>(c, d));
        rows[word] = _mm512_shuffle_i32x4::<0x88>(ab, cd);
        rows[4 + word] = _mm512_shuffle_i32x4::<0x88>(ab_odd, cd_odd);
        rows[8 + word] = _mm512_shuffle_i32x4::<0xdd>(ab, cd);
        rows[12 + word] = _mm512_shuffle_i32x4::<0xdd>(ab_odd, cd_odd);
    }
}

/// The same within each quarter: word `i` of vector `j` becomes word `j` of vector `i`.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose_quarters([a, b, c, d]: [V; 4]) -> [V; 4] {
    let (ab, ab_high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let (cd, cd_high) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    [
        _mm512_unpacklo_epi64(ab, cd),
        _mm512_unpackhi_epi64(ab, cd),
        _mm512_unpacklo_epi64(ab_high, cd_high),
        _mm512_unpackhi_epi64(ab_high, cd_high),
    ]
}

/// The inner and the outer midstates of the lanes' keys.
#[inline]
#[target_feature(enable = "avx512f")]
fn midstates(keys: &[&Midstates; LANES]) -> ([V; 5], [V; 5]) {
    let mut rows = [zero(); 16];
    for (row, key) in rows.iter_mut().zip(keys) {
        // SAFETY: of the sixteen words the mask leaves the ten of the key.
        *row = unsafe { _mm512_maskz_loadu_epi32(0x3ff, core::ptr::from_ref(*key).cast()) };
    }
    transpose(&mut rows);
    let [a, b, c, d, e, f, g, h, i, j, ..] = rows;
    ([a, b, c, d, e], [f, g, h, i, j])
}

/// Writes the lanes' digests to their jobs.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn put_tags(state: &[V; 5], jobs: &mut [HmacJob<'_>]) {
    let [a, b, c, d, e] = state.map(|word| swap_octets(word));
    let mut starts = [[[0u8; 16]; 4]; 4];
    for (four, quarters) in starts.iter_mut().zip(transpose_quarters([a, b, c, d])) {
        // SAFETY: the array is as large as the vector.
        unsafe { _mm512_storeu_si512(four.as_mut_ptr().cast(), quarters) };
    }
    let mut ends = [[0u8; 4]; LANES];
    // SAFETY: the array is as large as the vector.
    unsafe { _mm512_storeu_si512(ends.as_mut_ptr().cast(), e) };
    for ((quarter, jobs), ends) in jobs.chunks_mut(4).enumerate().zip(ends.as_chunks::<4>().0) {
        for ((job, starts), end) in jobs.iter_mut().zip(&starts).zip(ends) {
            let (to_start, to_end) = job.tag.split_at_mut(16);
            to_start.copy_from_slice(starts.get(quarter).unwrap_or(&[0; 16]));
            to_end.copy_from_slice(end);
        }
    }
}
