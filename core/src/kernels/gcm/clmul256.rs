//! VPCLMULQDQ on 256-bit registers: two blocks an instruction.

use super::clmul128::{Hash, lengths, masked};
use super::product::{Product, Product2};
use super::{Additional, BLOCK, GcmKey};
use core::arch::x86_64::{
    __m256i, _mm_setzero_si128, _mm256_loadu_si256, _mm256_set_epi8, _mm256_shuffle_epi8, _mm256_xor_si256,
    _mm256_zextsi128_si256,
};
use core::mem::replace;

#[target_feature(enable = "vpclmulqdq,avx2,aes,pclmulqdq")]
pub(super) fn tag<const MIDDLE: usize>(
    key: &GcmKey,
    block: u128,
    additional: Additional<'_>,
    ciphertext: &[u8],
) -> [u8; BLOCK] {
    let mut hash = Hash::new(&key.powers, additional.blocks() + ciphertext.len().div_ceil(BLOCK) + 1);
    hash.absorb_additional(additional);
    let (mut blocks, part) = ciphertext.as_chunks();
    // Pairs that end with an even number of blocks to come: no group ends within one.
    if hash.left % 2 == 1
        && let Some((first, others)) = blocks.split_first()
    {
        hash.absorb_whole(core::slice::from_ref(first));
        blocks = others;
    }
    let (pairs, last) = blocks.as_chunks();
    absorb_pairs(&mut hash, pairs);
    hash.absorb_whole(last);
    hash.absorb_part(part);
    hash.absorb(lengths([additional.len(), ciphertext.len()]));
    masked::<MIDDLE>(&key.keys.schedule, block, hash.carry)
}

/// Takes pairs of blocks, with an even number of blocks to come. At least one block has to come after them.
#[inline]
#[target_feature(enable = "vpclmulqdq,avx2,pclmulqdq")]
fn absorb_pairs(hash: &mut Hash<'_>, pairs: &[[[u8; BLOCK]; 2]]) {
    let mut sum = Product2::zero();
    for pair in pairs {
        let exponent = hash.exponent();
        // SAFETY: two blocks' octets.
        let octets = unsafe { _mm256_loadu_si256(pair.as_ptr().cast()) };
        // SAFETY: there are so many powers, and one more after this one, since the exponent is even.
        let powers = unsafe { _mm256_loadu_si256(hash.powers.from(exponent).cast()) };
        sum.add(_mm256_xor_si256(turned(octets), _mm256_zextsi128_si256(hash.carry)), powers);
        hash.carry = _mm_setzero_si128();
        hash.left = hash.left.wrapping_sub(2);
        if exponent == 2 {
            hash.sum.add_both(replace(&mut sum, Product2::zero()));
            hash.carry = replace(&mut hash.sum, Product::zero()).reduce();
        }
    }
    hash.sum.add_both(sum);
}

/// Two blocks from memory.
#[inline]
#[target_feature(enable = "avx2")]
fn turned(blocks: __m256i) -> __m256i {
    let order = _mm256_set_epi8(
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, //
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
    );
    _mm256_shuffle_epi8(blocks, order)
}
