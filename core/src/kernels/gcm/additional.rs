//! Additional data: the head of a packet, and what follows it there without being next to it in memory.

use super::BLOCK;
use crate::kernels::aes::part::read_part;

/// Octets that are authenticated and not encrypted: `head || word`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Additional<'a> {
    pub(super) head: &'a [u8],
    /// SRTCP's word.
    pub(super) word: Option<[u8; 4]>,
}

impl Additional<'_> {
    /// Octets in all.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.head.len() + self.word.map_or(0, |word| word.len())
    }

    /// Blocks in all, the last of them padded with zeros.
    #[inline(always)]
    pub(super) fn blocks(&self) -> usize {
        self.len().div_ceil(BLOCK)
    }

    /// The blocks that lie in memory as they are.
    #[inline(always)]
    pub(super) fn whole(&self) -> &[[u8; BLOCK]] {
        self.head.as_chunks().0
    }

    /// The blocks after those: none, one or two, as numbers whose lowest octet is the first.
    #[inline(always)]
    pub(super) fn rest(&self) -> [Option<u128>; 2] {
        let (_, rest) = self.head.as_chunks::<BLOCK>();
        // SAFETY: they are the slice's.
        let head = unsafe { read_part(rest.as_ptr(), rest.len()) };
        let word = u128::from(u32::from_le_bytes(self.word.unwrap_or_default()));
        let len = rest.len() + self.len() - self.head.len();
        let first = head | word << (8 * rest.len());
        let second = word >> (8 * (BLOCK - rest.len()).min(BLOCK - 1));
        [(len > 0).then_some(first), (len > BLOCK).then_some(second)]
    }
}
