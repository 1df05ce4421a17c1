//! VAES on 512-bit registers: four blocks an instruction, sixteen in flight.

use super::part::of_number;
use super::{BLOCK, Run, Schedule};
use core::arch::x86_64::{
    __m512i, _mm_load_si128, _mm512_add_epi32, _mm512_aesenc_epi128, _mm512_aesenclast_epi128, _mm512_broadcast_i32x4,
    _mm512_loadu_si512, _mm512_mask_storeu_epi8, _mm512_maskz_loadu_epi8, _mm512_set_epi32, _mm512_setzero_si512,
    _mm512_shuffle_epi8, _mm512_storeu_si512, _mm512_xor_si512,
};

/// Octets of a register.
pub(in crate::kernels) const WIDE: usize = 4 * BLOCK;

/// A key's schedule in registers, each round key four times.
pub(in crate::kernels) struct Keys<const MIDDLE: usize> {
    first: __m512i,
    middle: [__m512i; MIDDLE],
    last: __m512i,
}

impl<const MIDDLE: usize> Keys<MIDDLE> {
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(in crate::kernels) fn load(schedule: &Schedule) -> Self {
        let key = |number: usize| {
            // SAFETY: a schedule has 15 keys, each aligned.
            _mm512_broadcast_i32x4(unsafe { _mm_load_si128(schedule.key(number).cast()) })
        };
        let mut middle = [_mm512_setzero_si512(); MIDDLE];
        for (number, place) in (1..).zip(&mut middle) {
            *place = key(number);
        }
        Self { first: key(0), middle, last: key(MIDDLE + 1) }
    }

    /// Encrypts blocks side by side.
    #[inline]
    #[target_feature(enable = "avx512f,vaes")]
    pub(in crate::kernels) fn encrypt<const N: usize>(&self, states: &mut [__m512i; N]) {
        for state in states.iter_mut() {
            *state = _mm512_xor_si512(*state, self.first);
        }
        for key in self.middle {
            for state in states.iter_mut() {
                *state = _mm512_aesenc_epi128(*state, key);
            }
        }
        for state in states.iter_mut() {
            *state = _mm512_aesenclast_epi128(*state, self.last);
        }
    }
}

/// The counters of four blocks: as blocks but for their last words, which are numbers here.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Counter(__m512i);

impl Counter {
    /// `block` and the three after it, all but their last words taken from `block`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in crate::kernels) fn at(block: u128) -> Self {
        let block = of_number(block.swap_bytes());
        let counter = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(block), turn());
        Self(_mm512_add_epi32(counter, _mm512_set_epi32(3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0)))
    }

    /// The next four blocks.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in crate::kernels) fn take(&mut self) -> __m512i {
        let blocks = _mm512_shuffle_epi8(self.0, turn());
        self.0 = _mm512_add_epi32(self.0, _mm512_set_epi32(4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0));
        blocks
    }
}

/// The octets of the last word of each block the other way round.
#[inline]
#[target_feature(enable = "avx512f")]
fn turn() -> __m512i {
    let (a, b, c, d) = (0x0302_0100, 0x0706_0504, 0x0b0a_0908, 0x0c0d_0e0f);
    _mm512_set_epi32(d, c, b, a, d, c, b, a, d, c, b, a, d, c, b, a)
}

/// Counter mode.
#[target_feature(enable = "avx512f,avx512bw,vaes")]
pub(super) fn counter_mode<const MIDDLE: usize>(schedule: &Schedule, block: u128, mut run: Run) {
    let keys = Keys::<MIDDLE>::load(schedule);
    let mut counter = Counter::at(block);
    while run.len > 4 * WIDE {
        xor_quads::<MIDDLE, 4>(&keys, &mut counter, &mut run);
    }
    match run.len.div_ceil(WIDE) {
        4 => xor_quads::<MIDDLE, 4>(&keys, &mut counter, &mut run),
        3 => xor_quads::<MIDDLE, 3>(&keys, &mut counter, &mut run),
        2 => xor_quads::<MIDDLE, 2>(&keys, &mut counter, &mut run),
        1 => xor_quads::<MIDDLE, 1>(&keys, &mut counter, &mut run),
        _ => {}
    }
}

/// XORs the next `N` quadruples of blocks of the run, the last of which may be a part.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn xor_quads<const MIDDLE: usize, const N: usize>(keys: &Keys<MIDDLE>, counter: &mut Counter, run: &mut Run) {
    let mut states = [_mm512_setzero_si512(); N];
    for state in &mut states {
        *state = counter.take();
    }
    keys.encrypt(&mut states);
    for (stream, after) in states.into_iter().zip((0..N).rev()) {
        if run.len >= WIDE {
            // SAFETY: a quadruple is left.
            let input = unsafe { _mm512_loadu_si512(run.from.cast()) };
            let output = _mm512_xor_si512(input, stream);
            // SAFETY: as above.
            unsafe { _mm512_storeu_si512(run.to.cast(), output) };
        } else if after == 0 {
            let mask = first_octets(run.len);
            // SAFETY: the mask leaves out what is not the run's.
            let input = unsafe { _mm512_maskz_loadu_epi8(mask, run.from.cast()) };
            let output = _mm512_xor_si512(input, stream);
            // SAFETY: as above.
            unsafe { _mm512_mask_storeu_epi8(run.to.cast(), mask, output) };
        }
        run.advance(WIDE);
    }
}

/// A mask of the first `count` octets of a register, at most all of them.
#[inline(always)]
pub(in crate::kernels) const fn first_octets(count: usize) -> u64 {
    if count >= WIDE { u64::MAX } else { !(u64::MAX << count) }
}
