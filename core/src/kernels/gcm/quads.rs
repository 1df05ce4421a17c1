//! GHASH by quads of blocks, in registers that hold one.
//!
//! 1. What is hashed is laid out from the end: the last block of the last quad is that of the lengths, and the last of the additional data comes right
//!    before the ciphertext. Masks leave out the places before the first block, and the end of a last block that is a part.
//! 2. Each of the four places of a quad is summed up by itself: a step multiplies by the fourth power. So no step waits for the sum of the four, which
//!    only the end takes, after it has multiplied each place by the power it still lacks.
//! 3. Up to four quads are a group, reduced once: steps of 4, 8, 12 and 16 powers. The first group is the one that may have fewer quads.

use super::product::Product4;
use super::{BLOCK, Powers};
use crate::kernels::aes::vaes512::{WIDE, first_octets};
use core::arch::x86_64::{
    __m128i, __m512i, _mm_loadu_si128, _mm_xor_si128, _mm256_castsi256_si128, _mm256_extracti128_si256,
    _mm256_xor_si256, _mm512_broadcast_i32x4, _mm512_castsi512_si256, _mm512_extracti64x4_epi64, _mm512_loadu_si512,
    _mm512_maskz_broadcast_i32x4, _mm512_set_epi32, _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_xor_si512,
};

/// Blocks of a quad.
const QUAD: usize = 4;
/// Quads of a group.
pub(super) const GROUP: usize = 4;

/// Does `$call` with `$number` as the number of a group's quads.
macro_rules! by_group {
    ($group:expr, $number:ident => $call:expr) => {
        match $group {
            1 => {
                const $number: usize = 1;
                $call
            }
            2 => {
                const $number: usize = 2;
                $call
            }
            3 => {
                const $number: usize = 3;
                $call
            }
            _ => {
                const $number: usize = 4;
                $call
            }
        }
    };
}
pub(super) use by_group;

/// What sums are multiplied by.
pub(super) struct Steps {
    /// By the powers 4, 8, 12 and 16.
    steps: [__m512i; GROUP],
    /// By the powers 4, 3, 2 and 1, each in its place.
    end: __m512i,
}

impl Steps {
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn load(powers: &Powers) -> Self {
        let mut steps = [_mm512_setzero_si512(); GROUP];
        for (number, step) in (1..).zip(&mut steps) {
            // SAFETY: one of the powers.
            *step = _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(powers.step(number).cast()) });
        }
        // SAFETY: the last four powers.
        let end = unsafe { _mm512_loadu_si512(powers.from(QUAD).cast()) };
        Self { steps, end }
    }

    /// The sums of the first group.
    #[inline]
    #[target_feature(enable = "avx512f,vpclmulqdq")]
    pub(super) fn first<const N: usize>(&self, quads: [__m512i; N]) -> __m512i {
        let (mut sum, mut last) = (Product4::zero(), _mm512_setzero_si512());
        for (number, quad) in quads.into_iter().enumerate() {
            match (N - 1).checked_sub(number + 1).and_then(|step| self.steps.get(step)) {
                Some(step) => sum.add(quad, *step),
                None => last = quad,
            }
        }
        _mm512_xor_si512(sum.reduce(), last)
    }

    /// The sums after one more group.
    #[inline]
    #[target_feature(enable = "avx512f,vpclmulqdq")]
    pub(super) fn next(&self, sums: __m512i, [a, b, c, d]: [__m512i; GROUP]) -> __m512i {
        let [fourth, eighth, twelfth, sixteenth] = self.steps;
        let mut sum = Product4::zero();
        sum.add(a, twelfth);
        sum.add(b, eighth);
        sum.add(c, fourth);
        sum.add(sums, sixteenth);
        _mm512_xor_si512(sum.reduce(), d)
    }

    /// The hash.
    #[inline]
    #[target_feature(enable = "avx512f,vpclmulqdq")]
    pub(super) fn end(&self, sums: __m512i) -> __m128i {
        let mut sum = Product4::zero();
        sum.add(sums, self.end);
        let four = sum.reduce();
        let two = _mm256_xor_si256(_mm512_castsi512_si256(four), _mm512_extracti64x4_epi64::<1>(four));
        _mm_xor_si128(_mm256_castsi256_si128(two), _mm256_extracti128_si256::<1>(two))
    }
}

/// How a packet is laid out, and how far one is with it.
pub(super) struct Layout {
    /// Quads that are left.
    pub(super) quads: usize,
    /// Octets before the ciphertext in the first quad.
    pub(super) lead: usize,
    ciphertext: usize,
}

impl Layout {
    /// Of so many octets of ciphertext, and a block before and behind it.
    #[inline(always)]
    pub(super) const fn of(ciphertext: usize) -> Self {
        let blocks = 1 + ciphertext.div_ceil(BLOCK) + 1;
        let quads = blocks.div_ceil(QUAD);
        Self { quads, lead: BLOCK * (QUAD * quads - blocks + 1), ciphertext }
    }

    /// Takes the quads of the first group; those that are left fill whole groups.
    #[inline(always)]
    pub(super) const fn take_first(&mut self) -> usize {
        let first = self.quads.wrapping_sub(1) % GROUP + 1;
        self.quads = self.quads.saturating_sub(first);
        first
    }

    /// Takes the quads of a whole group.
    #[inline(always)]
    pub(super) const fn take_whole(&mut self) {
        self.quads = self.quads.saturating_sub(GROUP);
    }

    /// The ends of the first group, after that was taken. `before` is the block before the ciphertext, `lengths` the last one.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn first_ends(&self, before: __m128i, lengths: __m128i) -> Ends {
        let place = (self.lead / BLOCK).wrapping_sub(1);
        let mut ends = self.ends(lengths);
        ends.first = !first_octets(self.lead);
        ends.before = _mm512_maskz_broadcast_i32x4(0xf << (4 * (place % QUAD)), before);
        ends
    }

    /// The ends of a group after the first, after that was taken.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn ends(&self, lengths: __m128i) -> Ends {
        let mut ends = Ends {
            first: u64::MAX,
            last: u64::MAX,
            before: _mm512_setzero_si512(),
            lengths: _mm512_setzero_si512(),
            is_last: false,
        };
        if self.quads == 0 {
            let missing = self.ciphertext.next_multiple_of(BLOCK) - self.ciphertext;
            ends.last = first_octets(WIDE - BLOCK - missing);
            ends.lengths = _mm512_maskz_broadcast_i32x4(0xf000, lengths);
            ends.is_last = true;
        }
        ends
    }
}

/// What of a group's first and last quad is ciphertext, and what else is hashed with them.
pub(super) struct Ends {
    first: u64,
    last: u64,
    before: __m512i,
    lengths: __m512i,
    /// The group is the last.
    pub(super) is_last: bool,
}

impl Ends {
    /// The mask of the ciphertext in a quad of a group of `N`.
    #[inline(always)]
    pub(super) const fn mask<const N: usize>(&self, number: usize) -> u64 {
        let first = if number == 0 { self.first } else { u64::MAX };
        if number + 1 == N { first & self.last } else { first }
    }

    /// A quad of a group of `N` as it is hashed, from its ciphertext.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn hashed<const N: usize>(&self, number: usize, ciphertext: __m512i) -> __m512i {
        let mut quad = turned(ciphertext);
        if number == 0 {
            quad = _mm512_xor_si512(quad, self.before);
        }
        if number + 1 == N {
            quad = _mm512_xor_si512(quad, self.lengths);
        }
        quad
    }
}

/// Four blocks from memory, turned.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn turned(blocks: __m512i) -> __m512i {
    let (a, b, c, d) = (0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203);
    _mm512_shuffle_epi8(blocks, _mm512_set_epi32(d, c, b, a, d, c, b, a, d, c, b, a, d, c, b, a))
}
