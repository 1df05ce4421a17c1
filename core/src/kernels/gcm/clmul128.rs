//! PCLMULQDQ: one block an instruction. The key's powers, too, which all engines share.

use super::product::Product;
use super::{Additional, BLOCK, GcmKey, POWERS, Powers};
use crate::kernels::aes::Schedule;
use crate::kernels::aes::ni::encrypt;
use crate::kernels::aes::part::{load_part, number, of_number};
use core::arch::x86_64::{
    __m128i, _mm_loadu_si128, _mm_set_epi8, _mm_setzero_si128, _mm_shuffle_epi8, _mm_storeu_si128, _mm_xor_si128,
};

/// Fills in the powers of the hash key `E(K, 0)`.
#[target_feature(enable = "aes,pclmulqdq,sse4.1,ssse3")]
pub(super) fn fill<const MIDDLE: usize>(schedule: &Schedule, powers: &mut Powers) {
    let mut zero = [_mm_setzero_si128()];
    encrypt::<MIDDLE, 1>(schedule, &mut zero);
    let [key] = zero.map(|block| number(turned(block)));
    // Times x, and x^128 is x^127 + x^126 + x^121 + 1.
    let carry = (key >> 127).wrapping_neg() & ((0xc2 << 120) | 1);
    let key = of_number((key << 1) ^ carry);
    let mut power = key;
    for place in powers.0.iter_mut().rev() {
        // SAFETY: a block's room.
        unsafe { _mm_storeu_si128(place.as_mut_ptr().cast(), power) };
        let mut product = Product::zero();
        product.add(power, key);
        power = product.reduce();
    }
}

/// A block from or for memory.
#[inline]
#[target_feature(enable = "ssse3")]
pub(super) fn turned(block: __m128i) -> __m128i {
    _mm_shuffle_epi8(block, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
}

#[inline]
#[target_feature(enable = "ssse3")]
pub(super) fn load(block: &[u8; BLOCK]) -> __m128i {
    // SAFETY: a block's octets.
    unsafe { _mm_loadu_si128(block.as_ptr().cast()) }
}

/// The block that ends what is hashed: both lengths in bits.
#[inline]
#[target_feature(enable = "ssse3")]
pub(super) fn lengths([additional, ciphertext]: [usize; 2]) -> __m128i {
    let bits = |octets: usize| u128::from(8 * octets as u64);
    of_number((bits(additional) << 64) | bits(ciphertext))
}

/// GHASH, block by block.
pub(super) struct Hash<'k> {
    pub(super) powers: &'k Powers,
    /// Blocks to come.
    pub(super) left: usize,
    /// Of the group that is under way.
    pub(super) sum: Product,
    /// The hash up to the group before, until the first block of this one takes it.
    pub(super) carry: __m128i,
}

impl<'k> Hash<'k> {
    /// For so many blocks.
    #[inline]
    #[target_feature(enable = "pclmulqdq")]
    pub(super) fn new(powers: &'k Powers, blocks: usize) -> Self {
        Self { powers, left: blocks, sum: Product::zero(), carry: _mm_setzero_si128() }
    }

    /// The power that the next block is multiplied by.
    #[inline(always)]
    pub(super) const fn exponent(&self) -> usize {
        self.left.wrapping_sub(1) % POWERS + 1
    }

    /// Takes the next block, turned.
    #[inline]
    #[target_feature(enable = "pclmulqdq")]
    pub(super) fn absorb(&mut self, block: __m128i) {
        let exponent = self.exponent();
        // SAFETY: there are so many powers.
        let power = unsafe { _mm_loadu_si128(self.powers.from(exponent).cast()) };
        self.sum.add(_mm_xor_si128(block, self.carry), power);
        self.carry = _mm_setzero_si128();
        self.left = self.left.wrapping_sub(1);
        if exponent == 1 {
            self.carry = core::mem::replace(&mut self.sum, Product::zero()).reduce();
        }
    }

    #[inline]
    #[target_feature(enable = "pclmulqdq,ssse3")]
    pub(super) fn absorb_whole(&mut self, blocks: &[[u8; BLOCK]]) {
        for block in blocks {
            self.absorb(turned(load(block)));
        }
    }

    #[inline]
    #[target_feature(enable = "pclmulqdq,ssse3")]
    pub(super) fn absorb_additional(&mut self, additional: Additional<'_>) {
        self.absorb_whole(additional.whole());
        for block in additional.rest().into_iter().flatten() {
            self.absorb(turned(of_number(block)));
        }
    }

    /// Takes the last octets, fewer than a block; nothing if there are none.
    #[inline]
    #[target_feature(enable = "pclmulqdq,ssse3")]
    pub(super) fn absorb_part(&mut self, part: &[u8]) {
        if (1..BLOCK).contains(&part.len()) {
            // SAFETY: they are the slice's.
            self.absorb(turned(unsafe { load_part(part.as_ptr(), part.len()) }));
        }
    }
}

/// The last block of additional data, added to the hash of those before it.
#[inline]
#[target_feature(enable = "pclmulqdq,ssse3,sse4.1")]
pub(super) fn last_of(powers: &Powers, additional: Additional<'_>) -> __m128i {
    match (additional.whole(), additional.rest()) {
        ([], [Some(only), None]) => turned(of_number(only)),
        _ => last_of_many(powers, additional),
    }
}

/// As [`last_of`], of more than one block, or none.
#[inline(never)]
#[target_feature(enable = "pclmulqdq,ssse3,sse4.1")]
fn last_of_many(powers: &Powers, additional: Additional<'_>) -> __m128i {
    // SAFETY: the first power.
    let key = unsafe { _mm_loadu_si128(powers.from(1).cast()) };
    let rest = additional.rest().into_iter().flatten().map(of_number);
    let mut sum = _mm_setzero_si128();
    for block in additional.whole().iter().map(|block| load(block)).chain(rest) {
        let mut product = Product::zero();
        product.add(sum, key);
        sum = _mm_xor_si128(product.reduce(), turned(block));
    }
    sum
}

#[target_feature(enable = "aes,pclmulqdq,sse4.1,ssse3")]
pub(super) fn tag<const MIDDLE: usize>(
    key: &GcmKey,
    block: u128,
    additional: Additional<'_>,
    ciphertext: &[u8],
) -> [u8; BLOCK] {
    let mut hash = Hash::new(&key.powers, additional.blocks() + ciphertext.len().div_ceil(BLOCK) + 1);
    hash.absorb_additional(additional);
    let (blocks, part) = ciphertext.as_chunks();
    hash.absorb_whole(blocks);
    hash.absorb_part(part);
    hash.absorb(lengths([additional.len(), ciphertext.len()]));
    masked::<MIDDLE>(&key.keys.schedule, block, hash.carry)
}

/// The tag of a hash: XORed with what its block is encrypted to.
#[inline]
#[target_feature(enable = "aes,sse4.1,ssse3")]
pub(super) fn masked<const MIDDLE: usize>(schedule: &Schedule, block: u128, hash: __m128i) -> [u8; BLOCK] {
    let mut mask = [of_number(block.swap_bytes())];
    encrypt::<MIDDLE, 1>(schedule, &mut mask);
    let [mask] = mask;
    number(_mm_xor_si128(turned(hash), mask)).to_le_bytes()
}
