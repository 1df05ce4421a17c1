//! Products in GHASH's field, not reduced until they are added up: one, two or four side by side.
//!
//! Three multiplications instead of four (Karatsuba): multiplying is slow, even where AES is fast, and what else it takes goes on beside it.

use core::arch::x86_64::{
    __m128i, __m256i, __m512i, _mm_clmulepi64_si128, _mm_set1_epi64x, _mm_setzero_si128, _mm_shuffle_epi32,
    _mm_xor_si128, _mm256_castsi256_si128, _mm256_clmulepi64_epi128, _mm256_extracti128_si256, _mm256_setzero_si256,
    _mm256_shuffle_epi32, _mm256_xor_si256, _mm512_clmulepi64_epi128, _mm512_set1_epi64, _mm512_setzero_si512,
    _mm512_shuffle_epi32, _mm512_xor_si512,
};

/// What folds 64 bits into those above them: x^63 + x^62 + x^57, of the field's polynomial.
const FOLD: i64 = 0xc2 << 56;
/// Exchanges the halves of a block.
const SWAP: i32 = 0b01_00_11_10;

/// A sum of products.
macro_rules! product {
    ($name:ident, $vector:ty, $features:literal, $multiply:ident, $xor:ident, $zero:ident, $shuffle:ident) => {
        pub(super) struct $name {
            /// Of the lower halves.
            low: $vector,
            /// Of the sums of both halves.
            middle: $vector,
            /// Of the upper halves.
            high: $vector,
        }

        impl $name {
            #[inline]
            #[target_feature(enable = $features)]
            pub(super) fn zero() -> Self {
                Self { low: $zero(), middle: $zero(), high: $zero() }
            }

            /// Adds `a * b`.
            #[inline]
            #[target_feature(enable = $features)]
            pub(super) fn add(&mut self, a: $vector, b: $vector) {
                let (of_a, of_b) = ($xor(a, $shuffle::<SWAP>(a)), $xor(b, $shuffle::<SWAP>(b)));
                self.low = $xor(self.low, $multiply::<0x00>(a, b));
                self.middle = $xor(self.middle, $multiply::<0x00>(of_a, of_b));
                self.high = $xor(self.high, $multiply::<0x11>(a, b));
            }
        }
    };
}

/// The way from a sum of products to the element it stands for.
macro_rules! reduction {
    ($name:ident, $vector:ty, $features:literal, $multiply:ident, $xor:ident, $set:ident, $shuffle:ident) => {
        impl $name {
            /// The element it stands for, divided by x^128.
            #[inline]
            #[target_feature(enable = $features)]
            pub(super) fn reduce(self) -> $vector {
                // The lowest 64 bits are folded into those above them, and so once more.
                let fold = |low, above| $xor($xor(above, $shuffle::<SWAP>(low)), $multiply::<0x00>(low, $set(FOLD)));
                let middle = $xor($xor(self.middle, self.low), self.high);
                fold(fold(self.low, middle), self.high)
            }
        }
    };
}

product!(
    Product,
    __m128i,
    "pclmulqdq", //
    _mm_clmulepi64_si128,
    _mm_xor_si128,
    _mm_setzero_si128,
    _mm_shuffle_epi32
);
product!(
    Product2,
    __m256i,
    "vpclmulqdq,avx2", //
    _mm256_clmulepi64_epi128,
    _mm256_xor_si256,
    _mm256_setzero_si256,
    _mm256_shuffle_epi32
);
product!(
    Product4,
    __m512i,
    "vpclmulqdq,avx512f", //
    _mm512_clmulepi64_epi128,
    _mm512_xor_si512,
    _mm512_setzero_si512,
    _mm512_shuffle_epi32
);

reduction!(
    Product,
    __m128i,
    "pclmulqdq", //
    _mm_clmulepi64_si128,
    _mm_xor_si128,
    _mm_set1_epi64x,
    _mm_shuffle_epi32
);
reduction!(
    Product4,
    __m512i,
    "vpclmulqdq,avx512f", //
    _mm512_clmulepi64_epi128,
    _mm512_xor_si512,
    _mm512_set1_epi64,
    _mm512_shuffle_epi32
);

impl Product {
    /// Adds both of a pair of sums.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn add_both(&mut self, sums: Product2) {
        let both = |sums| _mm_xor_si128(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
        self.low = _mm_xor_si128(self.low, both(sums.low));
        self.middle = _mm_xor_si128(self.middle, both(sums.middle));
        self.high = _mm_xor_si128(self.high, both(sums.high));
    }
}
