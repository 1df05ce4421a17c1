//! Encryption and GHASH in one pass, on 512-bit registers.
//!
//! A packet is encrypted in the layout it is hashed in, so that what comes out can be hashed as it is. The place of the lengths, which nothing needs
//! encrypted, serves to encrypt the block that masks the tag.

use super::clmul128::{last_of, lengths, turned};
use super::quads::{Alone, Ends, GROUP, Layout, Steps, by_group, turned as turned_quad, whole};
use super::{Additional, BLOCK, GcmKey};
use crate::kernels::aes::Run;
use crate::kernels::aes::part::{number, of_number};
use crate::kernels::aes::vaes512::{Counter, Keys, WIDE};
use core::arch::x86_64::{
    __m128i, __m512i, _mm_xor_si128, _mm512_extracti32x4_epi32, _mm512_loadu_si512, _mm512_mask_broadcast_i32x4,
    _mm512_mask_storeu_epi8, _mm512_maskz_loadu_epi8, _mm512_maskz_mov_epi8, _mm512_setzero_si512, _mm512_storeu_si512,
    _mm512_xor_si512,
};

/// Encrypts the run and gives the tag.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,vaes,vpclmulqdq,aes,pclmulqdq")]
pub(super) fn seal<const MIDDLE: usize>(
    key: &GcmKey,
    block: u128,
    additional: Additional<'_>,
    mut run: Run,
) -> [u8; BLOCK] {
    let lengths = [additional.len(), run.len];
    let before = last_of(&key.powers, additional);
    let layout = Layout::of(run.len);
    run.from = run.from.wrapping_sub(layout.lead);
    run.to = run.to.wrapping_sub(layout.lead);
    if layout.quads <= GROUP {
        by_group!(layout.quads, N => seal_alone::<MIDDLE, N>(key, block, &layout, before, lengths, &run))
    } else {
        seal_groups::<MIDDLE>(key, block, layout, before, lengths, run)
    }
}

/// As [`seal`], of a packet of `N` quads, one group. Apart from [`seal_groups`], so that neither puts what the other needs on the stack.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,vaes,vpclmulqdq,aes,pclmulqdq")]
fn seal_alone<const MIDDLE: usize, const N: usize>(
    key: &GcmKey,
    block: u128,
    layout: &Layout,
    before: __m128i,
    of_lengths: [usize; 2],
    run: &Run,
) -> [u8; BLOCK] {
    let mut cipher = Cipher::<MIDDLE>::new(key, block, layout.lead);
    let powers = Alone::<N>::load(&key.powers);
    let ends = layout.first_ends(before).and_last(layout, lengths(of_lengths));
    let stream = cipher.last_stream::<N>(block);
    // SAFETY: the masks leave out what is not the run's.
    let quads = unsafe { xor(stream, run, &ends) };
    tag(powers.hash(quads), stream)
}

/// As [`seal`], of a packet of more than one group.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,vaes,vpclmulqdq,aes,pclmulqdq")]
fn seal_groups<const MIDDLE: usize>(
    key: &GcmKey,
    block: u128,
    mut layout: Layout,
    before: __m128i,
    of_lengths: [usize; 2],
    mut run: Run,
) -> [u8; BLOCK] {
    let mut cipher = Cipher::<MIDDLE>::new(key, block, layout.lead);
    let group = layout.take_first();
    let ends = layout.first_ends(before);
    let mut quads = by_group!(group, N => {
        let stream = cipher.stream::<N>();
        // SAFETY: the masks leave out what is not the run's.
        whole(unsafe { xor(stream, &run, &ends) })
    });
    (run.from, run.to) = (run.from.wrapping_add(WIDE * group), run.to.wrapping_add(WIDE * group));
    let steps = Steps::load(&key.powers);
    let mut sums = _mm512_setzero_si512();
    // Each group is encrypted while the one before is hashed: neither needs the other, and the processor does both at once.
    while layout.quads > GROUP {
        layout.take_whole();
        let stream = cipher.stream::<GROUP>();
        sums = steps.next(sums, quads);
        // SAFETY: only ciphertext is in a group between the first and the last.
        quads = unsafe { xor_whole(stream, &run) };
        (run.from, run.to) = (run.from.wrapping_add(WIDE * GROUP), run.to.wrapping_add(WIDE * GROUP));
    }
    let stream = cipher.last_stream::<GROUP>(block);
    sums = steps.next(sums, quads);
    let ends = Ends::none().and_last(&layout, lengths(of_lengths));
    // SAFETY: the masks leave out what is not the run's.
    quads = unsafe { xor(stream, &run, &ends) };
    tag(Steps::end(&key.powers, steps.next(sums, quads)), stream)
}

/// What encrypts a packet.
struct Cipher<const MIDDLE: usize> {
    keys: Keys<MIDDLE>,
    counter: Counter,
}

impl<const MIDDLE: usize> Cipher<MIDDLE> {
    /// The count that follows on that of `block` comes after `lead` octets.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn new(key: &GcmKey, block: u128, lead: usize) -> Self {
        let count = block.wrapping_add(1).wrapping_sub((lead / BLOCK) as u128) & u128::from(u32::MAX);
        Self { keys: Keys::load(&key.keys.schedule), counter: Counter::at(((block >> 32) << 32) | count) }
    }

    /// The keystream of the next `N` quads.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,vaes")]
    fn stream<const N: usize>(&mut self) -> [__m512i; N] {
        let mut states = self.counters();
        self.keys.encrypt(&mut states);
        states
    }

    /// The keystream of the last `N` quads; and in the last place, what `block` is encrypted to.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,vaes")]
    fn last_stream<const N: usize>(&mut self, block: u128) -> [__m512i; N] {
        let mut states = self.counters();
        if let Some(last) = states.last_mut() {
            *last = _mm512_mask_broadcast_i32x4(*last, 0xf000, of_number(block.swap_bytes()));
        }
        self.keys.encrypt(&mut states);
        states
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn counters<const N: usize>(&mut self) -> [__m512i; N] {
        let mut blocks = [_mm512_setzero_si512(); N];
        for block in &mut blocks {
            *block = self.counter.take();
        }
        blocks
    }
}

/// XORs a group of `N` quads, and gives them as they are hashed.
///
/// # Safety
///
/// Of the run, what the masks do not leave out can be read and written.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn xor<const N: usize>(stream: [__m512i; N], run: &Run, ends: &Ends) -> [__m512i; N] {
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
    quads
}

/// As [`xor`], of a group that is ciphertext and nothing else.
///
/// # Safety
///
/// So much of the run can be read and written.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn xor_whole(stream: [__m512i; GROUP], run: &Run) -> [__m512i; GROUP] {
    let mut quads = stream;
    for (number, quad) in quads.iter_mut().enumerate() {
        let (from, to) = (run.from.wrapping_add(WIDE * number), run.to.wrapping_add(WIDE * number));
        // SAFETY: as the caller says.
        let input = unsafe { _mm512_loadu_si512(from.cast()) };
        let output = _mm512_xor_si512(input, *quad);
        // SAFETY: as the caller says.
        unsafe { _mm512_storeu_si512(to.cast(), output) };
        *quad = turned_quad(output);
    }
    quads
}

/// The tag: the hash, XORed with the last block of keystream.
#[inline]
#[target_feature(enable = "avx512f,ssse3")]
fn tag<const N: usize>(hash: __m128i, stream: [__m512i; N]) -> [u8; BLOCK] {
    let last = stream.last().copied().unwrap_or(_mm512_setzero_si512());
    number(_mm_xor_si128(turned(hash), _mm512_extracti32x4_epi32::<3>(last))).to_le_bytes()
}
