//! Encryption and GHASH in one pass, on 512-bit registers.
//!
//! A packet is encrypted in the layout it is hashed in, so that what comes out can be hashed as it is. The place of the lengths, which nothing needs
//! encrypted, serves to encrypt the block that masks the tag.

use super::clmul128::{last_of, lengths, turned};
use super::quads::{Ends, GROUP, Layout, Steps, by_group};
use super::{Additional, BLOCK, GcmKey};
use crate::kernels::aes::Run;
use crate::kernels::aes::part::{number, of_number};
use crate::kernels::aes::vaes512::{Counter, Keys, WIDE};
use core::arch::x86_64::{
    __m128i, __m512i, _mm_xor_si128, _mm512_broadcast_i32x4, _mm512_extracti32x4_epi32, _mm512_mask_blend_epi64,
    _mm512_mask_storeu_epi8, _mm512_maskz_loadu_epi8, _mm512_maskz_mov_epi8, _mm512_setzero_si512, _mm512_xor_si512,
};

/// Encrypts the run and gives the tag.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,vaes,vpclmulqdq,aes,pclmulqdq")]
pub(super) fn seal<const MIDDLE: usize>(
    key: &GcmKey,
    block: u128,
    additional: Additional<'_>,
    mut run: Run,
) -> [u8; BLOCK] {
    let before = last_of(&key.powers, additional);
    let lengths = lengths(additional.len(), run.len);
    let mut layout = Layout::of(run.len);
    run.from = run.from.wrapping_sub(layout.lead);
    run.to = run.to.wrapping_sub(layout.lead);
    let mut cipher = Cipher::<MIDDLE>::new(key, block, layout.lead);
    let steps = Steps::load(&key.powers);

    let group = layout.take_first();
    let ends = layout.first_ends(before, lengths);
    if layout.quads == 0 {
        let (sums, mask) = by_group!(group, N => {
            let stream = cipher.stream::<N>(&ends);
            // SAFETY: the masks leave out what is not the run's.
            let (quads, mask) = unsafe { xor(stream, &run, &ends) };
            (steps.first(quads), mask)
        });
        return tag(steps.end(sums), mask);
    }
    // As if quads of nothing had come before, which change no hash.
    let mut sums = _mm512_setzero_si512();
    let (mut quads, mut mask) = by_group!(group, N => {
        let stream = cipher.stream::<N>(&ends);
        // SAFETY: as above.
        let (quads, mask) = unsafe { xor(stream, &run, &ends) };
        (whole(quads), mask)
    });
    (run.from, run.to) = (run.from.wrapping_add(WIDE * group), run.to.wrapping_add(WIDE * group));
    while layout.quads > 0 {
        layout.take_whole();
        let ends = layout.ends(lengths);
        // The group before is hashed while this one is encrypted: neither needs the other, and the processor does both at once.
        let stream = cipher.stream::<GROUP>(&ends);
        sums = steps.next(sums, quads);
        // SAFETY: as above.
        (quads, mask) = unsafe { xor(stream, &run, &ends) };
        (run.from, run.to) = (run.from.wrapping_add(WIDE * GROUP), run.to.wrapping_add(WIDE * GROUP));
    }
    tag(steps.end(steps.next(sums, quads)), mask)
}

/// What encrypts a packet.
struct Cipher<const MIDDLE: usize> {
    keys: Keys<MIDDLE>,
    counter: Counter,
    mask_block: __m512i,
}

impl<const MIDDLE: usize> Cipher<MIDDLE> {
    /// The count that follows on that of `block` comes after `lead` octets.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn new(key: &GcmKey, block: u128, lead: usize) -> Self {
        let count = block.wrapping_add(1).wrapping_sub((lead / BLOCK) as u128) & u128::from(u32::MAX);
        let keys = Keys::load(&key.keys.schedule);
        let counter = Counter::at(((block >> 32) << 32) | count);
        Self { keys, counter, mask_block: _mm512_broadcast_i32x4(of_number(block.swap_bytes())) }
    }

    /// The keystream of `N` quads; the last block of the last group is the one that masks the tag.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,vaes")]
    fn stream<const N: usize>(&mut self, ends: &Ends) -> [__m512i; N] {
        let mut states = [_mm512_setzero_si512(); N];
        for state in &mut states {
            *state = self.counter.take();
        }
        if let Some(last) = states.last_mut() {
            let place = if ends.is_last { 0b1100_0000 } else { 0 };
            *last = _mm512_mask_blend_epi64(place, *last, self.mask_block);
        }
        self.keys.encrypt(&mut states);
        states
    }
}

/// XORs a group of `N` quads; gives them as they are hashed, and the last block of keystream.
///
/// # Safety
///
/// Of the run, what the masks do not leave out can be read and written.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn xor<const N: usize>(stream: [__m512i; N], run: &Run, ends: &Ends) -> ([__m512i; N], __m128i) {
    let last = stream.last().copied().unwrap_or(_mm512_setzero_si512());
    let mut quads = stream;
    for (number, quad) in quads.iter_mut().enumerate() {
        let mask = ends.mask::<N>(number);
        let (from, to) = (run.from.wrapping_add(WIDE * number), run.to.wrapping_add(WIDE * number));
        // SAFETY: as the caller says.
        let input = unsafe { _mm512_maskz_loadu_epi8(mask, from.cast()) };
        let output = _mm512_xor_si512(input, *quad);
        // SAFETY: as the caller says.
        unsafe { _mm512_mask_storeu_epi8(to.cast(), mask, output) };
        *quad = ends.hashed::<N>(number, _mm512_maskz_mov_epi8(mask, output));
    }
    (quads, _mm512_extracti32x4_epi32::<3>(last))
}

/// A whole group that ends with these quads.
#[inline]
#[target_feature(enable = "avx512f")]
fn whole<const N: usize>(quads: [__m512i; N]) -> [__m512i; GROUP] {
    let mut group = [_mm512_setzero_si512(); GROUP];
    for (to, from) in group.iter_mut().rev().zip(quads.into_iter().rev()) {
        *to = from;
    }
    group
}

#[inline]
#[target_feature(enable = "ssse3")]
fn tag(hash: __m128i, mask: __m128i) -> [u8; BLOCK] {
    number(_mm_xor_si128(turned(hash), mask)).to_le_bytes()
}
