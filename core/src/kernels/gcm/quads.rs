//! GHASH by quads of blocks, in registers that hold one.
//!
//! 1. What is hashed is laid out from the end: the last block of the last quad is that of the lengths, and the last of the additional data comes right
//!    before the ciphertext. Masks leave out the places before the first block, and the end of a last block that is a part.
//! 2. Up to four quads are a group, reduced once. The first group is the one that may have fewer.
//! 3. A packet of one group is hashed by [`Alone`]: each block is multiplied by its power of up to 16, and the four places of the sum are added up. That
//!    takes the least time for one packet.
//! 4. In a longer one each of the four places is summed up by itself: a quad is a step of four powers, a group four of them. So no group waits for the
//!    sum of the four places, which only the end takes, after it has multiplied each by the power it still lacks.

use super::product::Product4;
use super::{BLOCK, Powers};
use crate::kernels::aes::vaes512::{WIDE, first_octets};
use core::arch::x86_64::{
    __m128i, __m512i, _mm_loadu_si128, _mm_xor_si128, _mm256_castsi256_si128, _mm256_extracti128_si256,
    _mm256_xor_si256, _mm512_broadcast_i32x4, _mm512_castsi512_si256, _mm512_extracti64x4_epi64, _mm512_loadu_si512,
    _mm512_mask_blend_epi64, _mm512_maskz_broadcast_i32x4, _mm512_set_epi32, _mm512_setzero_si512, _mm512_shuffle_epi8,
    _mm512_shuffle_i64x2, _mm512_xor_si512,
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

/// The powers for the quads of an only group, those of the last quad first.
pub(super) struct Alone<const N: usize>([__m512i; N]);

impl<const N: usize> Alone<N> {
    #[inline]
    #[target_feature(enable = "avx512f,vpclmulqdq")]
    pub(super) fn load(powers: &Powers) -> Self {
        let (last, before, eighth) = (four(powers, 4), four(powers, 8), one(powers, 8));
        let mut all = [last; N];
        for (number, power) in all.iter_mut().enumerate() {
            *power = match number {
                0 => last,
                1 => before,
                2 => product(last, eighth),
                _ => product(before, eighth),
            };
        }
        Self(all)
    }

    /// The hash.
    #[inline]
    #[target_feature(enable = "avx512f,vpclmulqdq")]
    pub(super) fn hash(&self, quads: [__m512i; N]) -> __m128i {
        let mut sum = Product4::zero();
        for (quad, powers) in quads.into_iter().zip(self.0.iter().rev()) {
            sum.add(quad, *powers);
        }
        added_up(sum.reduce())
    }
}

/// The powers 4, 8, 12 and 16, four times each: by those a sum steps on.
pub(super) struct Steps([__m512i; GROUP]);

impl Steps {
    #[inline]
    #[target_feature(enable = "avx512f,vpclmulqdq")]
    pub(super) fn load(powers: &Powers) -> Self {
        let (fourth, eighth) = (one(powers, 4), one(powers, 8));
        let both = product(_mm512_mask_blend_epi64(0xf0, fourth, eighth), eighth);
        let (twelfth, sixteenth) = (_mm512_shuffle_i64x2::<0>(both, both), _mm512_shuffle_i64x2::<0xff>(both, both));
        Self([fourth, eighth, twelfth, sixteenth])
    }

    /// The sums after one more group.
    #[inline]
    #[target_feature(enable = "avx512f,vpclmulqdq")]
    pub(super) fn next(&self, sums: __m512i, [a, b, c, d]: [__m512i; GROUP]) -> __m512i {
        let [fourth, eighth, twelfth, sixteenth] = self.0;
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
    pub(super) fn end(powers: &Powers, sums: __m512i) -> __m128i {
        added_up(product(sums, four(powers, 4)))
    }
}

/// The power `exponent` and the three below it.
#[inline]
#[target_feature(enable = "avx512f")]
fn four(powers: &Powers, exponent: usize) -> __m512i {
    // SAFETY: four of the powers: the exponent is 4 or 8.
    unsafe { _mm512_loadu_si512(powers.from(exponent).cast()) }
}

/// The power `exponent`, four times.
#[inline]
#[target_feature(enable = "avx512f")]
fn one(powers: &Powers, exponent: usize) -> __m512i {
    // SAFETY: one of the powers: the exponent is 4 or 8.
    _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(powers.from(exponent).cast()) })
}

#[inline]
#[target_feature(enable = "avx512f,vpclmulqdq")]
fn product(a: __m512i, b: __m512i) -> __m512i {
    let mut product = Product4::zero();
    product.add(a, b);
    product.reduce()
}

/// The sum of a quad's places.
#[inline]
#[target_feature(enable = "avx512f")]
fn added_up(quad: __m512i) -> __m128i {
    let two = _mm256_xor_si256(_mm512_castsi512_si256(quad), _mm512_extracti64x4_epi64::<1>(quad));
    _mm_xor_si128(_mm256_castsi256_si128(two), _mm256_extracti128_si256::<1>(two))
}

/// A whole group that ends with these quads. Quads of nothing before them change no hash.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn whole<const N: usize>(quads: [__m512i; N]) -> [__m512i; GROUP] {
    let mut group = [_mm512_setzero_si512(); GROUP];
    for (to, from) in group.iter_mut().rev().zip(quads.into_iter().rev()) {
        *to = from;
    }
    group
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

    /// The ends of the first group. `before` is the block before the ciphertext.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn first_ends(&self, before: __m128i) -> Ends {
        let place = (self.lead / BLOCK).wrapping_sub(1);
        let before = _mm512_maskz_broadcast_i32x4(0xf << (4 * (place % QUAD)), before);
        Ends { first: !first_octets(self.lead), before, ..Ends::none() }
    }
}

/// What of a group's first and last quad is ciphertext, and what else is hashed with them.
pub(super) struct Ends {
    first: u64,
    last: u64,
    before: __m512i,
    lengths: __m512i,
}

impl Ends {
    /// Those of a group that is ciphertext and nothing else.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn none() -> Self {
        let nothing = _mm512_setzero_si512();
        Self { first: u64::MAX, last: u64::MAX, before: nothing, lengths: nothing }
    }

    /// The same of the last group. `lengths` is the block behind the ciphertext.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn and_last(mut self, layout: &Layout, lengths: __m128i) -> Self {
        let missing = layout.ciphertext.next_multiple_of(BLOCK) - layout.ciphertext;
        self.last = first_octets(WIDE - BLOCK - missing);
        self.lengths = _mm512_maskz_broadcast_i32x4(0xf000, lengths);
        self
    }

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
pub(super) fn turned(blocks: __m512i) -> __m512i {
    let (a, b, c, d) = (0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203);
    _mm512_shuffle_epi8(blocks, _mm512_set_epi32(d, c, b, a, d, c, b, a, d, c, b, a, d, c, b, a))
}
