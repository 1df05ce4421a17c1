//! VAES on 256-bit registers: two blocks an instruction, sixteen in flight.

use super::ni::{xor_block, xor_part};
use super::part::of_number;
use super::{BLOCK, Run, Schedule};
use core::arch::x86_64::{
    __m256i, _mm_load_si128, _mm256_add_epi32, _mm256_aesenc_epi128, _mm256_aesenclast_epi128,
    _mm256_broadcastsi128_si256, _mm256_castsi256_si128, _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_set_epi8,
    _mm256_set_epi32, _mm256_shuffle_epi8, _mm256_storeu_si256, _mm256_xor_si256,
};

/// Octets of a register.
const WIDE: usize = 2 * BLOCK;

/// Counter mode.
#[target_feature(enable = "vaes,avx2,aes")]
pub(super) fn counter_mode<const MIDDLE: usize>(schedule: &Schedule, block: u128, mut run: Run) {
    let block = of_number(block.swap_bytes());
    let counter = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(block), turn());
    let mut counter = _mm256_add_epi32(counter, _mm256_set_epi32(1, 0, 0, 0, 0, 0, 0, 0));
    while run.len >= 8 * WIDE {
        xor_pairs::<MIDDLE, 8>(schedule, &mut counter, &mut run);
    }
    if run.len >= 4 * WIDE {
        xor_pairs::<MIDDLE, 4>(schedule, &mut counter, &mut run);
    }
    if run.len >= 2 * WIDE {
        xor_pairs::<MIDDLE, 2>(schedule, &mut counter, &mut run);
    }
    if run.len >= WIDE {
        xor_pairs::<MIDDLE, 1>(schedule, &mut counter, &mut run);
    }
    if run.len > 0 {
        let [stream] = pairs::<MIDDLE, 1>(schedule, &mut counter);
        let mut part = _mm256_castsi256_si128(stream);
        if run.len >= BLOCK {
            xor_block(part, &mut run);
            part = _mm256_extracti128_si256::<1>(stream);
        }
        xor_part(part, &mut run);
    }
}

/// The octets of the last word of each block the other way round.
#[inline]
#[target_feature(enable = "avx2")]
fn turn() -> __m256i {
    _mm256_set_epi8(
        12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, //
        12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0,
    )
}

/// The next `N` pairs of blocks of keystream.
#[inline]
#[target_feature(enable = "vaes,avx2,aes")]
fn pairs<const MIDDLE: usize, const N: usize>(schedule: &Schedule, counter: &mut __m256i) -> [__m256i; N] {
    let mut states = [*counter; N];
    for state in &mut states {
        *state = _mm256_shuffle_epi8(*counter, turn());
        *counter = _mm256_add_epi32(*counter, _mm256_set_epi32(2, 0, 0, 0, 2, 0, 0, 0));
    }
    encrypt::<MIDDLE, N>(schedule, &mut states);
    states
}

/// XORs the next `N` pairs of blocks of the run; fewer if there are fewer.
#[inline]
#[target_feature(enable = "vaes,avx2,aes")]
fn xor_pairs<const MIDDLE: usize, const N: usize>(schedule: &Schedule, counter: &mut __m256i, run: &mut Run) {
    for stream in pairs::<MIDDLE, N>(schedule, counter) {
        if run.len >= WIDE {
            // SAFETY: a pair is left.
            let input = unsafe { _mm256_loadu_si256(run.from.cast()) };
            let output = _mm256_xor_si256(input, stream);
            // SAFETY: as above.
            unsafe { _mm256_storeu_si256(run.to.cast(), output) };
            run.advance(WIDE);
        }
    }
}

#[inline]
#[target_feature(enable = "vaes,avx2,aes")]
fn encrypt<const MIDDLE: usize, const N: usize>(schedule: &Schedule, states: &mut [__m256i; N]) {
    let schedule = schedule.afresh();
    let key = |number: usize| {
        // SAFETY: a schedule has 15 keys, each aligned.
        _mm256_broadcastsi128_si256(unsafe { _mm_load_si128(schedule.key(number).cast()) })
    };
    let first = key(0);
    for state in states.iter_mut() {
        *state = _mm256_xor_si256(*state, first);
    }
    for number in 1..MIDDLE + 1 {
        let key = key(number);
        for state in states.iter_mut() {
            *state = _mm256_aesenc_epi128(*state, key);
        }
    }
    let last = key(MIDDLE + 1);
    for state in states.iter_mut() {
        *state = _mm256_aesenclast_epi128(*state, last);
    }
}
