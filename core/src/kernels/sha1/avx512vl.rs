//! Eight lanes, on 256-bit registers with what AVX-512 has for them: rotations, three-operand logic, masks.

use super::avx2::{
    add, and, load_block, load_rows, midstates, or, put_tags, shift_left, shift_left_by, shift_right, shift_right_by,
    splat, sub, words, xor, zero,
};
use crate::kernels::cpu::Avx512Vl;
use std::arch::x86_64::*;

pub(super) use super::avx2::{LANES, V};
/// One bit a lane.
type M = __mmask8;

super::lanes::hmac_in_lanes!("avx512f,avx512vl,avx512bw,avx2", Avx512Vl);

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn xor3(a: V, b: V, c: V) -> V {
    _mm256_ternarylogic_epi32::<0x96>(a, b, c)
}

/// `b` where `a` has ones, `c` elsewhere.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn choose(a: V, b: V, c: V) -> V {
    _mm256_ternarylogic_epi32::<0xca>(a, b, c)
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn majority(a: V, b: V, c: V) -> V {
    _mm256_ternarylogic_epi32::<0xe8>(a, b, c)
}

/// Rotates left; `RIGHT` is the rest of 32.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn rotate<const LEFT: i32, const RIGHT: i32>(a: V) -> V {
    _mm256_rol_epi32::<LEFT>(a)
}

/// `a`, or `a | c` in those lanes where `x` is `y`.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn or_where_equal(a: V, x: V, y: V, c: V) -> V {
    _mm256_mask_or_epi32(a, _mm256_cmpeq_epi32_mask(x, y), a, c)
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn everyone() -> M {
    M::MAX
}

/// The lanes where `a >= b`.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn not_less(a: V, b: V) -> M {
    _mm256_cmpge_epu32_mask(a, b)
}

/// `a`, or `a + b` in the lanes of the mask.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn add_where(mask: M, a: V, b: V) -> V {
    _mm256_mask_add_epi32(a, mask, a, b)
}

/// What each message has of the block at octet `at`, by words; zeros after its end.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx2")]
fn load_rest(messages: &[&[u8]; LANES], at: usize, ring: &mut [V; 16]) {
    let mut blocks = [[zero(); 2]; LANES];
    for (halves, message) in blocks.iter_mut().zip(messages) {
        // Not a dangling slice when the message is over: even a load without lanes is slow from a page that is not there.
        let (_, rest) = message.split_at(at.min(message.len()));
        for (half, at) in halves.iter_mut().zip([0, 32]) {
            let (_, rest) = rest.split_at(rest.len().min(at));
            // SAFETY: only octets within `rest` are loaded.
            *half = unsafe { _mm256_maskz_loadu_epi8(super::lanes::first_32(rest.len()), rest.as_ptr().cast()) };
        }
    }
    let rows = blocks.each_ref().map(|halves| halves.as_ptr().cast());
    // SAFETY: each row is a block.
    unsafe { load_rows(&rows, ring) };
}
