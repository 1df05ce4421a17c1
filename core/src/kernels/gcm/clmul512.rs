//! VPCLMULQDQ on 512-bit registers: four blocks an instruction. The tag of what is encrypted already.

use super::clmul128::{last_of, lengths, masked};
use super::quads::{Alone, Ends, GROUP, Layout, Steps, by_group, whole};
use super::{Additional, BLOCK, GcmKey};
use crate::kernels::aes::vaes512::WIDE;
use core::arch::x86_64::{__m512i, _mm512_maskz_loadu_epi8, _mm512_setzero_si512};

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,vaes,vpclmulqdq,aes,pclmulqdq")]
pub(super) fn tag<const MIDDLE: usize>(
    key: &GcmKey,
    block: u128,
    additional: Additional<'_>,
    ciphertext: &[u8],
) -> [u8; BLOCK] {
    let before = last_of(&key.powers, additional);
    let lengths = lengths([additional.len(), ciphertext.len()]);
    let mut layout = Layout::of(ciphertext.len());
    let mut from = ciphertext.as_ptr().wrapping_sub(layout.lead);
    let group = layout.take_first();
    let ends = layout.first_ends(before);
    if layout.quads == 0 {
        let ends = ends.and_last(&layout, lengths);
        let hash = by_group!(group, N => {
            // SAFETY: the masks leave out what is not the ciphertext's.
            Alone::<N>::load(&key.powers).hash(unsafe { read(from, &ends) })
        });
        return masked::<MIDDLE>(&key.keys.schedule, block, hash);
    }
    let steps = Steps::load(&key.powers);
    let first = by_group!(group, N => {
        // SAFETY: as above.
        whole::<N>(unsafe { read(from, &ends) })
    });
    let mut sums = steps.next(_mm512_setzero_si512(), first);
    from = from.wrapping_add(WIDE * group);
    let none = Ends::none();
    while layout.quads > GROUP {
        layout.take_whole();
        // SAFETY: only ciphertext is in a group between the first and the last.
        sums = steps.next(sums, unsafe { read(from, &none) });
        from = from.wrapping_add(WIDE * GROUP);
    }
    let ends = none.and_last(&layout, lengths);
    // SAFETY: the masks leave out what is not the ciphertext's.
    sums = steps.next(sums, unsafe { read(from, &ends) });
    masked::<MIDDLE>(&key.keys.schedule, block, Steps::end(&key.powers, sums))
}

/// The quads of a group, from memory.
///
/// # Safety
///
/// All octets from `from` on that the masks do not leave out can be read.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn read<const N: usize>(from: *const u8, ends: &Ends) -> [__m512i; N] {
    let mut quads = [_mm512_setzero_si512(); N];
    for (number, quad) in quads.iter_mut().enumerate() {
        let (mask, from) = (ends.mask::<N>(number), from.wrapping_add(WIDE * number));
        // SAFETY: as the caller says.
        let octets = unsafe { _mm512_maskz_loadu_epi8(mask, from.cast()) };
        *quad = ends.hashed::<N>(number, octets);
    }
    quads
}
