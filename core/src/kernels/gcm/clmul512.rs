//! VPCLMULQDQ on 512-bit registers: four blocks an instruction, sixteen between two reductions.
//!
//! 1. What is hashed is laid out in *quads* of four blocks, from the end: the last block of the last quad is that of the lengths. Masks leave out the
//!    places before the first block, and the end of a last block that is a part.
//! 2. A packet that is sealed is encrypted in the same layout, so that what comes out can be hashed as it is. The place of the lengths, which nothing
//!    needs encrypted, serves to encrypt the block that masks the tag.
//! 3. A group is up to four quads, the first group the one that may have fewer. The hash up to there joins the first block of the next group.

use super::clmul128::{Hash, lengths, load, masked, turned as turned_one};
use super::product::{Product, Product4};
use super::{Additional, BLOCK, GcmKey, Powers};
use crate::kernels::aes::Run;
use crate::kernels::aes::part::{number, of_number};
use crate::kernels::aes::vaes512::{Counter, Keys, WIDE, first_octets};
use core::arch::x86_64::{
    __m128i, __m512i, _mm_loadu_si128, _mm_setzero_si128, _mm_xor_si128, _mm256_castsi256_si128,
    _mm256_extracti128_si256, _mm256_xor_si256, _mm512_broadcast_i32x4, _mm512_castsi512_si256,
    _mm512_extracti32x4_epi32, _mm512_extracti64x4_epi64, _mm512_loadu_si512, _mm512_mask_blend_epi64,
    _mm512_mask_storeu_epi8, _mm512_maskz_broadcast_i32x4, _mm512_maskz_loadu_epi8, _mm512_maskz_mov_epi8,
    _mm512_set_epi32, _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_xor_si512, _mm512_zextsi128_si512,
};

/// Blocks of a quad.
const QUAD: usize = 4;
/// Quads of a group.
const GROUP: usize = 4;

/// The powers of a key for a group: those of its last quad first.
struct GroupPowers([__m512i; GROUP]);

impl GroupPowers {
    /// Those that so many quads need.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,vpclmulqdq")]
    fn load(powers: &Powers, quads: usize) -> Self {
        // SAFETY: four powers.
        let last = unsafe { _mm512_loadu_si512(powers.from(4).cast()) };
        // SAFETY: four powers.
        let before = unsafe { _mm512_loadu_si512(powers.from(8).cast()) };
        // SAFETY: a power.
        let eighth = _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(powers.from(8).cast()) });
        let times_eighth = |powers| {
            let mut product = Product4::zero();
            product.add(powers, eighth);
            product.reduce()
        };
        let mut all = [last, before, _mm512_setzero_si512(), _mm512_setzero_si512()];
        if let [_, _, third, fourth] = &mut all
            && quads > 2
        {
            *third = times_eighth(last);
            if quads > 3 {
                *fourth = times_eighth(before);
            }
        }
        Self(all)
    }

    /// The hash of a group's `N` quads.
    #[inline]
    #[target_feature(enable = "avx512f,vpclmulqdq")]
    fn hash<const N: usize>(&self, quads: [__m512i; N]) -> __m128i {
        let mut sum = Product4::zero();
        for (quad, powers) in quads.into_iter().zip(self.0.iter().take(N).rev()) {
            sum.add(quad, *powers);
        }
        folded(sum)
    }
}

/// The sum of four.
#[inline]
#[target_feature(enable = "avx512f,vpclmulqdq")]
fn folded(sum: Product4) -> __m128i {
    let four = sum.reduce();
    let two = _mm256_xor_si256(_mm512_castsi512_si256(four), _mm512_extracti64x4_epi64::<1>(four));
    _mm_xor_si128(_mm256_castsi256_si128(two), _mm256_extracti128_si256::<1>(two))
}

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

/// How so many blocks are laid out.
struct Layout {
    quads: usize,
    /// Places before the first block.
    lead: usize,
}

impl Layout {
    #[inline(always)]
    const fn of(blocks: usize) -> Self {
        let quads = blocks.div_ceil(QUAD);
        Self { quads, lead: QUAD * quads - blocks }
    }

    /// Takes the quads of the first group; those that are left fill whole groups.
    #[inline(always)]
    const fn take_first(&mut self) -> usize {
        let first = self.quads.wrapping_sub(1) % GROUP + 1;
        self.quads = self.quads.saturating_sub(first);
        first
    }
}

/// What the masks leave of a group's first and last quad, and what is added to them.
struct Ends {
    first: u64,
    last: u64,
    carry: __m512i,
    lengths: __m512i,
    /// Where the block that masks the tag is put: the last place of the last quad.
    in_last_place: u8,
}

/// Four blocks from memory, turned.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn turned(blocks: __m512i) -> __m512i {
    let (a, b, c, d) = (0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203);
    _mm512_shuffle_epi8(blocks, _mm512_set_epi32(d, c, b, a, d, c, b, a, d, c, b, a, d, c, b, a))
}

/// A block in its place of a quad; nothing elsewhere.
#[inline]
#[target_feature(enable = "avx512f")]
fn in_place(block: __m128i, place: usize) -> __m512i {
    _mm512_maskz_broadcast_i32x4(0xf << (4 * (place % QUAD)), block)
}

/// All octets from the place on.
#[inline(always)]
const fn from_place(place: usize) -> u64 {
    !first_octets(BLOCK * place)
}

/// All octets of a last quad that has so many octets of ciphertext in blocks, of which the last may be a part.
#[inline(always)]
const fn up_to_lengths(octets: usize) -> u64 {
    first_octets((QUAD - 1) * BLOCK - (octets.next_multiple_of(BLOCK) - octets))
}

/// The hash of additional data, but for the last multiplication.
#[inline]
#[target_feature(enable = "pclmulqdq,ssse3,sse4.1")]
fn additional(powers: &Powers, additional: Additional<'_>) -> __m128i {
    match (additional.whole(), additional.rest()) {
        ([], [Some(only), None]) => turned_one(of_number(only)),
        _ => long_additional(powers, additional),
    }
}

/// As [`additional`], of more than one block, or none.
#[cold]
#[inline(never)]
#[target_feature(enable = "pclmulqdq,ssse3,sse4.1")]
fn long_additional(powers: &Powers, additional: Additional<'_>) -> __m128i {
    let rest = additional.rest();
    let mut hash = Hash::new(powers, additional.blocks().saturating_sub(1));
    let mut last = _mm_setzero_si128();
    let whole = additional.whole().iter().map(|block| load(block));
    for block in whole.chain(rest.into_iter().flatten().map(of_number)) {
        if hash.left > 0 {
            hash.absorb(turned_one(block));
        } else {
            last = turned_one(block);
        }
    }
    _mm_xor_si128(hash.carry, last)
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,vaes,vpclmulqdq,aes,pclmulqdq")]
pub(super) fn tag<const MIDDLE: usize>(
    key: &GcmKey,
    block: u128,
    data: Additional<'_>,
    ciphertext: &[u8],
) -> [u8; BLOCK] {
    let first = additional(&key.powers, data);
    let mut layout = Layout::of(1 + ciphertext.len().div_ceil(BLOCK) + 1);
    let powers = GroupPowers::load(&key.powers, layout.quads);
    // The last block of additional data is the first block here.
    let mut ends = Ends::of(layout.lead + 1, in_place(first, layout.lead));
    let end = (ciphertext.len(), lengths(data.len(), ciphertext.len()));
    let mut from = ciphertext.as_ptr().wrapping_sub(BLOCK * (layout.lead + 1));
    let group = layout.take_first();
    ends.end(&layout, end);
    let mut hash = by_group!(group, N => {
        // SAFETY: the masks leave out what is not the ciphertext's.
        powers.hash(unsafe { read::<N>(from, &ends) })
    });
    from = from.wrapping_add(WIDE * group);
    while layout.quads > 0 {
        layout.quads = layout.quads.saturating_sub(GROUP);
        ends.go_on(hash);
        ends.end(&layout, end);
        // SAFETY: as above.
        hash = powers.hash(unsafe { read::<GROUP>(from, &ends) });
        from = from.wrapping_add(WIDE * GROUP);
    }
    masked::<MIDDLE>(&key.keys.schedule, block, hash)
}

/// The quads of a group, from memory, as they are hashed.
///
/// # Safety
///
/// All octets from `from` that the masks do not leave out can be read.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn read<const N: usize>(from: *const u8, ends: &Ends) -> [__m512i; N] {
    let mut quads = [_mm512_setzero_si512(); N];
    for (number, quad) in quads.iter_mut().enumerate() {
        let mask = ends.mask::<N>(number);
        // SAFETY: as the caller says.
        let octets = unsafe { _mm512_maskz_loadu_epi8(mask, from.wrapping_add(WIDE * number).cast()) };
        *quad = ends.add::<N>(number, turned(octets));
    }
    quads
}

impl Ends {
    /// Those of the first group, whose first block is in that place.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn of(place: usize, carry: __m512i) -> Self {
        let lengths = _mm512_setzero_si512();
        Self { first: from_place(place), last: u64::MAX, carry, lengths, in_last_place: 0 }
    }

    /// Those of a group after the first.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn go_on(&mut self, hash: __m128i) {
        self.first = u64::MAX;
        self.carry = _mm512_zextsi128_si512(hash);
    }

    /// Those of the last group, if no quads are left after it.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn end(&mut self, layout: &Layout, (octets, lengths): (usize, __m128i)) {
        if layout.quads == 0 {
            self.last = up_to_lengths(octets);
            self.lengths = in_place(lengths, QUAD - 1);
            self.in_last_place = 0b1100_0000;
        }
    }

    /// What belongs to the packet of a quad of a group of `N`.
    #[inline(always)]
    const fn mask<const N: usize>(&self, number: usize) -> u64 {
        let first = if number == 0 { self.first } else { u64::MAX };
        if number + 1 == N { first & self.last } else { first }
    }

    /// Adds to a quad what is hashed with it.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn add<const N: usize>(&self, number: usize, mut quad: __m512i) -> __m512i {
        if number == 0 {
            quad = _mm512_xor_si512(quad, self.carry);
        }
        if number + 1 == N {
            quad = _mm512_xor_si512(quad, self.lengths);
        }
        quad
    }
}

/// Encrypts and hashes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,vaes,vpclmulqdq,aes,pclmulqdq")]
pub(super) fn seal<const MIDDLE: usize>(key: &GcmKey, block: u128, data: Additional<'_>, mut run: Run) -> [u8; BLOCK] {
    let len = run.len;
    if len == 0 {
        return tag::<MIDDLE>(key, block, data, &[]);
    }
    let mut product = Product::zero();
    // SAFETY: the first power.
    product.add(additional(&key.powers, data), unsafe { _mm_loadu_si128(key.powers.from(1).cast()) });
    let carry = product.reduce();
    let mut layout = Layout::of(len.div_ceil(BLOCK) + 1);
    let mut ends = Ends::of(layout.lead, in_place(carry, layout.lead));
    let end = (len, lengths(data.len(), len));
    let ahead = [1, 0, -1, -2].get(layout.lead).copied().unwrap_or_default();
    let mut sealer = Sealer {
        keys: Keys::<MIDDLE>::load(&key.keys.schedule),
        counter: Counter::at(block).moved(ahead),
        mask_block: _mm512_broadcast_i32x4(of_number(block.swap_bytes())),
        powers: GroupPowers::load(&key.powers, layout.quads),
    };
    run.from = run.from.wrapping_sub(BLOCK * layout.lead);
    run.to = run.to.wrapping_sub(BLOCK * layout.lead);
    let group = layout.take_first();
    ends.end(&layout, end);
    if layout.quads == 0 {
        let (hash, mask) = by_group!(group, N => {
            // SAFETY: the masks leave out what is not the run's.
            unsafe { sealer.alone::<N>(&run, &ends) }
        });
        return number(_mm_xor_si128(turned_one(hash), mask)).to_le_bytes();
    }
    let mut quads = by_group!(group, N => {
        // SAFETY: as above.
        unsafe { sealer.first::<N>(&run, &ends) }
    });
    run.from = run.from.wrapping_add(WIDE * group);
    run.to = run.to.wrapping_add(WIDE * group);
    let mut mask = _mm_setzero_si128();
    ends.first = u64::MAX;
    while layout.quads > 0 {
        layout.quads = layout.quads.saturating_sub(GROUP);
        ends.end(&layout, end);
        let mut states = sealer.counters::<GROUP>(ends.in_last_place);
        // The group before is hashed while this one is encrypted: neither needs the other, and each leaves the processor idle for a while.
        let hash = sealer.encrypt_and_hash(&mut states, quads);
        ends.carry = _mm512_zextsi128_si512(hash);
        // SAFETY: as above.
        (quads, mask) = unsafe { xor::<GROUP>(states, &run, &ends) };
        run.from = run.from.wrapping_add(WIDE * GROUP);
        run.to = run.to.wrapping_add(WIDE * GROUP);
    }
    let hash = sealer.powers.hash(quads);
    number(_mm_xor_si128(turned_one(hash), mask)).to_le_bytes()
}

/// What stays the same from group to group, and the counter.
struct Sealer<const MIDDLE: usize> {
    keys: Keys<MIDDLE>,
    counter: Counter,
    mask_block: __m512i,
    powers: GroupPowers,
}

impl<const MIDDLE: usize> Sealer<MIDDLE> {
    /// The next counter blocks.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn counters<const N: usize>(&mut self, in_last_place: u8) -> [__m512i; N] {
        let mut blocks = [_mm512_setzero_si512(); N];
        for block in &mut blocks {
            *block = self.counter.take();
        }
        if let Some(last) = blocks.last_mut() {
            *last = _mm512_mask_blend_epi64(in_last_place, *last, self.mask_block);
        }
        blocks
    }

    /// Encrypts a group of `N` quads; gives them as they are hashed, and the last block of keystream.
    ///
    /// # Safety
    ///
    /// Of the run, what the masks do not leave out can be read and written.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,vaes")]
    unsafe fn encrypt<const N: usize>(&mut self, run: &Run, ends: &Ends) -> ([__m512i; N], __m128i) {
        let mut states = self.counters::<N>(ends.in_last_place);
        self.keys.encrypt(&mut states);
        // SAFETY: as the caller says.
        unsafe { xor(states, run, ends) }
    }

    /// The hash of the only group, and what masks the tag.
    ///
    /// # Safety
    ///
    /// As of [`Self::encrypt`].
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,vaes,vpclmulqdq")]
    unsafe fn alone<const N: usize>(&mut self, run: &Run, ends: &Ends) -> (__m128i, __m128i) {
        // SAFETY: as the caller says.
        let (quads, mask) = unsafe { self.encrypt::<N>(run, ends) };
        (self.powers.hash(quads), mask)
    }

    /// The first of several groups, as if it had been preceded by zeros, which change no hash.
    ///
    /// # Safety
    ///
    /// As of [`Self::encrypt`].
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,vaes")]
    unsafe fn first<const N: usize>(&mut self, run: &Run, ends: &Ends) -> [__m512i; GROUP] {
        // SAFETY: as the caller says.
        let (quads, _) = unsafe { self.encrypt::<N>(run, ends) };
        let mut group = [_mm512_setzero_si512(); GROUP];
        for (to, from) in group.iter_mut().rev().zip(quads.into_iter().rev()) {
            *to = from;
        }
        group
    }

    /// Encrypts counter blocks and hashes the group before.
    #[inline]
    #[target_feature(enable = "avx512f,vaes,vpclmulqdq")]
    fn encrypt_and_hash(&self, states: &mut [__m512i; GROUP], quads: [__m512i; GROUP]) -> __m128i {
        let mut sum = Product4::zero();
        self.keys.encrypt_beside(states, |number| {
            if let (Some(quad), Some(powers)) = (quads.get(number), self.powers.0.get(GROUP - 1 - number)) {
                sum.add(*quad, *powers);
            }
        });
        folded(sum)
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
    let mut quads = stream;
    let mut last = _mm_setzero_si128();
    for (number, quad) in quads.iter_mut().enumerate() {
        last = _mm512_extracti32x4_epi32::<3>(*quad);
        let mask = ends.mask::<N>(number);
        let (from, to) = (run.from.wrapping_add(WIDE * number), run.to.wrapping_add(WIDE * number));
        // SAFETY: as the caller says.
        let input = unsafe { _mm512_maskz_loadu_epi8(mask, from.cast()) };
        let output = _mm512_xor_si512(input, *quad);
        // SAFETY: as the caller says.
        unsafe { _mm512_mask_storeu_epi8(to.cast(), mask, output) };
        *quad = ends.add::<N>(number, turned(_mm512_maskz_mov_epi8(mask, output)));
    }
    (quads, last)
}
