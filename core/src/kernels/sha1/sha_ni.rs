//! One to four messages interleaved, by the SHA extensions.
//!
//! 1. Four rounds of one message take six cycles to the next four; other messages go on meanwhile.
//! 2. The block a message ends in, and the one after it if need be, are made before the first block is hashed: the processor does so while it waits
//!    for the rounds.
//! 3. A state that is done stays as it is by a mask.

use super::lanes::TRAILER;
use super::{HmacJob, Midstates, SUFFIX_LEN, TAG_LEN};
use crate::kernels::cpu::ShaNi;
use core::ptr;
use std::arch::x86_64::*;

type V = __m128i;

/// SHA-1's state as the instructions take it: `a` in the uppermost word, and `e` in that of another.
#[derive(Clone, Copy)]
struct State {
    abcd: V,
    e: V,
}

/// The MACs of `N` messages.
#[inline]
pub(super) fn hmac<const N: usize>(_: ShaNi, jobs: [&mut HmacJob<'_>; N]) {
    let inputs = jobs.each_ref().map(|job| Input { key: job.key, message: job.message, suffix: job.suffix });
    let tags = jobs.map(|job| &mut job.tag);
    // SAFETY: the witness shows that the processor has the features.
    unsafe { run(&inputs, tags) }
}

/// The MAC of one message.
#[inline]
pub(super) fn hmac_one(_: ShaNi, key: &Midstates, message: &[u8], suffix: [u8; SUFFIX_LEN], tag: &mut [u8; TAG_LEN]) {
    // SAFETY: the witness shows that the processor has the features.
    unsafe { run(&[Input { key, message, suffix }], [tag]) }
}

struct Input<'a> {
    key: &'a Midstates,
    message: &'a [u8],
    suffix: [u8; SUFFIX_LEN],
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
fn run<const N: usize>(inputs: &[Input<'_>; N], tags: [&mut [u8; TAG_LEN]; N]) {
    let lasts = inputs.each_ref().map(|input| last_block(input.message.len()));
    let longest = lasts.into_iter().max().unwrap_or_default();
    let mut states = inputs.each_ref().map(|input| load_state(&input.key.inner));
    let mut words = [[_mm_setzero_si128(); 4]; N];
    let mut tails = [[[0; 64]; 2]; N];
    for block in 0..=longest + 1 {
        let mut live = [true; N];
        if block <= longest {
            for (((words, live), tail), (input, last)) in
                words.iter_mut().zip(&mut live).zip(&mut tails).zip(inputs.iter().zip(lasts))
            {
                *words = load_block(input.block(block, tail));
                *live = block <= last;
            }
        } else {
            words = states.map(|state| outer_block(state));
            states = inputs.each_ref().map(|input| load_state(&input.key.outer));
        }
        compress(&mut states, &mut words, &live);
    }
    for (tag, state) in tags.into_iter().zip(states) {
        put_tag(state, tag);
    }
}

impl Input<'_> {
    /// A block of the message, or of what it ends in, which is then made. After the last one it is any.
    #[inline]
    fn block<'a>(&'a self, number: usize, tail: &'a mut [[u8; 64]; 2]) -> &'a [u8; 64] {
        let (blocks, rest) = self.message.as_chunks();
        if let Some(block) = blocks.get(number) {
            return block;
        }
        if number == blocks.len() {
            self.make_tail(rest, tail);
        }
        let [first, second] = tail;
        if number == blocks.len() { first } else { second }
    }

    /// The end of a message, the suffix, the padding bit and the length: one block, or two.
    #[inline]
    fn make_tail(&self, rest: &[u8], tail: &mut [[u8; 64]; 2]) {
        *tail = [[0; 64]; 2];
        if let Some((start, end)) = tail.as_flattened_mut().split_at_mut_checked(rest.len()) {
            start.copy_from_slice(rest);
            if let Some(end) = end.first_chunk_mut() {
                let [a, b, c, d] = self.suffix;
                *end = [a, b, c, d, 0x80];
            }
        }
        let bits = (64 + self.message.len() as u64 + 4) * 8;
        let [first, second] = tail;
        if let Some(length) = (if last_block(rest.len()) == 0 { first } else { second }).last_chunk_mut() {
            *length = bits.to_be_bytes();
        }
    }
}

#[inline]
#[target_feature(enable = "sse2")]
fn load_state(state: &super::State) -> State {
    // SAFETY: the state has four words, and one more.
    let dcba = unsafe { _mm_loadu_si128(state.as_ptr().cast()) };
    let [.., e] = *state;
    State {
        abcd: _mm_shuffle_epi32::<0b00_01_10_11>(dcba),
        e: _mm_slli_si128::<12>(_mm_cvtsi32_si128(e.cast_signed())),
    }
}

/// The number of the block in which a message's padding ends.
#[inline]
const fn last_block(len: usize) -> usize {
    (len + TRAILER as usize - 1) / 64
}

/// The order of octets in a message's words, and of words in a vector, is the other way round.
#[inline]
#[target_feature(enable = "ssse3")]
fn reverse(octets: V) -> V {
    _mm_shuffle_epi8(octets, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
}

#[inline]
#[target_feature(enable = "ssse3")]
fn load_block(block: &[u8; 64]) -> [V; 4] {
    let mut words = [_mm_setzero_si128(); 4];
    for (words, octets) in words.iter_mut().zip(block.as_chunks::<16>().0) {
        // SAFETY: the array is as large as the vector.
        *words = reverse(unsafe { _mm_loadu_si128(octets.as_ptr().cast()) });
    }
    words
}

/// The outer hash's only block after the keyed one: the inner digest, the padding bit and the length.
#[inline]
#[target_feature(enable = "sse2")]
fn outer_block(digest: State) -> [V; 4] {
    let bit = _mm_set_epi32(0, i32::MIN, 0, 0);
    [digest.abcd, _mm_or_si128(digest.e, bit), _mm_setzero_si128(), _mm_set_epi32(0, 0, 0, (64 + 20) * 8)]
}

#[inline]
#[target_feature(enable = "sse4.1,ssse3")]
fn put_tag(state: State, tag: &mut [u8; TAG_LEN]) {
    let (start, end) = tag.split_at_mut(16);
    let abcd = reverse(state.abcd);
    // SAFETY: the slice is as large as the vector.
    unsafe { _mm_storeu_si128(start.as_mut_ptr().cast(), abcd) };
    end.copy_from_slice(&_mm_extract_epi32::<3>(state.e).to_be_bytes());
}

/// SHA-1's compression (FIPS 180-4 6.1.2) of one block of each message that is live.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn compress<const N: usize>(states: &mut [State; N], words: &mut [[V; 4]; N], live: &[bool; N]) {
    let mut next = *states;
    let mut newest = [_mm_setzero_si128(); N];
    macro_rules! four_rounds {
        ($($q:literal)*) => { $(four_rounds::<$q, N>(&mut next, words, &mut newest);)* };
    }
    four_rounds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19);
    for ((state, mut next), live) in states.iter_mut().zip(next).zip(live) {
        // One message alone is live as long as there are blocks.
        if N > 1 {
            let mask = _mm_set1_epi32(-i32::from(*live));
            next = State { abcd: _mm_and_si128(next.abcd, mask), e: _mm_and_si128(next.e, mask) };
        }
        state.e = _mm_sha1nexte_epu32(next.e, state.e);
        state.abcd = _mm_add_epi32(state.abcd, next.abcd);
    }
}

/// Rounds `4 * Q` to `4 * Q + 3` of each message. Between them, `e` of a state holds the `abcd` of four rounds ago, of which `e` is made.
///
/// There are not registers enough for the words of more than two messages. The newest ones are in registers, since the next ones wait for them; the
/// others are in memory, where the compiler is told to leave them: left to itself it kept some of those instead.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
#[expect(clippy::indexing_slicing, reason = "each index is a remainder of the length")]
fn four_rounds<const Q: usize, const N: usize>(states: &mut [State; N], words: &mut [[V; 4]; N], newest: &mut [V; N]) {
    for ((state, words), newest) in states.iter_mut().zip(words).zip(newest) {
        // SAFETY: a reference can be read.
        let read = |word: &V| unsafe { ptr::read_volatile(word) };
        *newest = if Q < 4 {
            words[Q % 4]
        } else {
            let mixed = _mm_sha1msg1_epu32(read(&words[Q % 4]), read(&words[(Q + 1) % 4]));
            _mm_sha1msg2_epu32(_mm_xor_si128(mixed, read(&words[(Q + 2) % 4])), *newest)
        };
        if (4..18).contains(&Q) {
            // SAFETY: a unique reference can be written.
            unsafe { ptr::write_volatile(&mut words[Q % 4], *newest) };
        }
        let sum = if Q == 0 { _mm_add_epi32(state.e, *newest) } else { _mm_sha1nexte_epu32(state.e, *newest) };
        let abcd = match Q / 5 {
            0 => _mm_sha1rnds4_epu32::<0>(state.abcd, sum),
            1 => _mm_sha1rnds4_epu32::<1>(state.abcd, sum),
            2 => _mm_sha1rnds4_epu32::<2>(state.abcd, sum),
            _ => _mm_sha1rnds4_epu32::<3>(state.abcd, sum),
        };
        *state = State { abcd, e: state.abcd };
    }
}
