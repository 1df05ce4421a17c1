//! AES-NI: one block an instruction, eight in flight. The key's expansion, too, which all engines share.

use super::part::{load_part, of_number, store_part};
use super::{BLOCK, Run, Schedule};
use core::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_aesenc_si128, _mm_aesenclast_si128, _mm_aeskeygenassist_si128, _mm_cvtsi128_si32,
    _mm_load_si128, _mm_loadu_si128, _mm_set_epi8, _mm_set_epi32, _mm_set1_epi32, _mm_shuffle_epi8, _mm_storeu_si128,
    _mm_xor_si128,
};

/// Expands a key of 16, 24 or 32 octets (FIPS 197 5.2).
#[target_feature(enable = "aes")]
pub(super) fn expand(schedule: &mut Schedule, key: &[u8]) {
    let words = &mut schedule.0;
    let (given, _) = key.as_chunks();
    for (to, from) in words.iter_mut().zip(given) {
        *to = u32::from_le_bytes(*from);
    }
    let count = given.len();
    let mut constant = 1;
    for at in count..4 * (count + 7) {
        let (before, after) = words.split_at_mut_checked(at).unwrap_or_default();
        let back = |by: usize| before.get(at - by).copied().unwrap_or_default();
        let mut word = back(1);
        if at.is_multiple_of(count) {
            word = substitute(word).rotate_right(8) ^ constant;
            constant = (constant << 1) ^ ((constant >> 7) * 0x11b);
        } else if count > 6 && at % count == 4 {
            word = substitute(word);
        }
        if let Some(to) = after.first_mut() {
            *to = word ^ back(count);
        }
    }
}

/// Applies the S-box to each octet.
#[inline]
#[target_feature(enable = "aes")]
fn substitute(word: u32) -> u32 {
    _mm_cvtsi128_si32(_mm_aeskeygenassist_si128::<0>(_mm_set1_epi32(word.cast_signed()))).cast_unsigned()
}

/// Counter mode.
#[target_feature(enable = "aes,sse4.1,ssse3")]
pub(super) fn counter_mode<const MIDDLE: usize>(schedule: &Schedule, block: u128, mut run: Run) {
    let block = of_number(block.swap_bytes());
    let mut counter = _mm_shuffle_epi8(block, turn());
    while run.len >= 8 * BLOCK {
        xor_blocks::<MIDDLE, 8>(schedule, &mut counter, &mut run);
    }
    if run.len >= 4 * BLOCK {
        xor_blocks::<MIDDLE, 4>(schedule, &mut counter, &mut run);
    }
    if run.len >= 2 * BLOCK {
        xor_blocks::<MIDDLE, 2>(schedule, &mut counter, &mut run);
    }
    if run.len >= BLOCK {
        xor_blocks::<MIDDLE, 1>(schedule, &mut counter, &mut run);
    }
    if run.len > 0 {
        let [stream] = blocks::<MIDDLE, 1>(schedule, &mut counter);
        xor_part(stream, &mut run);
    }
}

/// The octets of the last word the other way round.
#[inline]
#[target_feature(enable = "sse2")]
fn turn() -> __m128i {
    _mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
}

/// The next `N` blocks of keystream.
#[inline]
#[target_feature(enable = "aes,sse4.1,ssse3")]
fn blocks<const MIDDLE: usize, const N: usize>(schedule: &Schedule, counter: &mut __m128i) -> [__m128i; N] {
    let mut states = [*counter; N];
    for state in &mut states {
        *state = _mm_shuffle_epi8(*counter, turn());
        *counter = _mm_add_epi32(*counter, _mm_set_epi32(1, 0, 0, 0));
    }
    encrypt::<MIDDLE, N>(schedule, &mut states);
    states
}

/// XORs the next `N` blocks of the run.
#[inline]
#[target_feature(enable = "aes,sse4.1,ssse3")]
fn xor_blocks<const MIDDLE: usize, const N: usize>(schedule: &Schedule, counter: &mut __m128i, run: &mut Run) {
    for stream in blocks::<MIDDLE, N>(schedule, counter) {
        xor_block(stream, run);
    }
}

/// XORs the next block of the run; nothing if there is none.
#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn xor_block(stream: __m128i, run: &mut Run) {
    if run.len >= BLOCK {
        // SAFETY: a block is left.
        let input = unsafe { _mm_loadu_si128(run.from.cast()) };
        let output = _mm_xor_si128(input, stream);
        // SAFETY: as above.
        unsafe { _mm_storeu_si128(run.to.cast(), output) };
        run.advance(BLOCK);
    }
}

/// XORs the end of the run, less than a block; nothing if it is more.
#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn xor_part(stream: __m128i, run: &mut Run) {
    if run.len < BLOCK {
        // SAFETY: so much is left.
        let input = unsafe { load_part(run.from, run.len) };
        let output = _mm_xor_si128(input, stream);
        // SAFETY: as above.
        unsafe { store_part(run.to, run.len, output) };
        run.advance(run.len);
    }
}

/// Encrypts blocks side by side.
#[inline]
#[target_feature(enable = "aes")]
pub(in crate::kernels) fn encrypt<const MIDDLE: usize, const N: usize>(schedule: &Schedule, states: &mut [__m128i; N]) {
    let schedule = schedule.afresh();
    let key = |number: usize| {
        // SAFETY: a schedule has 15 keys, each aligned.
        unsafe { _mm_load_si128(schedule.key(number).cast()) }
    };
    let first = key(0);
    for state in states.iter_mut() {
        *state = _mm_xor_si128(*state, first);
    }
    for number in 1..MIDDLE + 1 {
        let key = key(number);
        for state in states.iter_mut() {
            *state = _mm_aesenc_si128(*state, key);
        }
    }
    let last = key(MIDDLE + 1);
    for state in states.iter_mut() {
        *state = _mm_aesenclast_si128(*state, last);
    }
}
