//! The replay list (RFC 3711 3.3.2): a ring of atomic words, exact under any number of threads, without a lock.
//!
//! 1. A word is `block << 16 | bitmap`: bit `b` of the bitmap says that index `block * 16 + b` was claimed. All zero is block 0 with
//!    nothing claimed, which is the initial state.
//! 2. Index `i` belongs to block `i >> 4`, which lives in word `block % words`.
//! 3. A word only ever grows: the same block gains bits, or a newer block takes the word over. So no bit is claimed twice, and nothing
//!    is ever cleared.
//! 4. With `ceil(W / 16) + 1` words, a block that lost its word to a newer one lies more than `W` left of an index that was claimed. So
//!    `TooOld` is always justified, even while the `highest` a caller gives lags behind.
//!
//! What `Ok` does not mean: [`ReplayList::peek`] promises nothing, another thread may claim in between. Only `claim` decides.

mod state;

pub(crate) use state::ListState;

use crate::error::{Error, Result};
use crate::primitive::atomic::{AtomicU64, Ordering};

/// The narrowest and the widest window, in packets (RFC 3711 3.3.2 demands 64).
pub(crate) const WINDOWS: core::ops::RangeInclusive<u32> = 64..=32_768;

const PER_WORD: u64 = 16;
const BLOCK_SHIFT: u32 = 16;

/// Which indices of one stream and protocol were claimed.
#[derive(Debug)]
pub(crate) struct ReplayList {
    words: Box<[AtomicU64]>,
    /// 2^64 divided by the number of words, rounded up: for the remainder of a division by that.
    reciprocal: u64,
    /// Indices below are too old, whatever the window: they belong to an earlier life of the stream.
    base: u64,
    window: u64,
}

impl ReplayList {
    /// A list for a window of `window` packets in which nothing from `base` on is claimed. Allocates `(window / 16 + 2) * 8` octets at
    /// most.
    pub(crate) fn new(window: u32, base: u64) -> Self {
        let words = u64::from(window).div_ceil(PER_WORD) + 1;
        let reciprocal = u64::MAX / words + 1;
        Self { words: (0..words).map(|_| AtomicU64::new(0)).collect(), reciprocal, base, window: u64::from(window) }
    }

    /// A list that refuses every index, and allocates nothing.
    pub(crate) fn closed() -> Self {
        Self { words: Box::default(), reciprocal: 0, base: u64::MAX, window: 0 }
    }

    /// Packets of its window. `None` if it is closed.
    pub(crate) fn window(&self) -> Option<u32> {
        u32::try_from(self.window).ok().filter(|window| *window > 0)
    }

    /// Whether `index` could be claimed now. `highest` is the highest index claimed so far, if any.
    ///
    /// # Errors
    ///
    /// [`Error::TooOld`] or [`Error::Replayed`], as `claim` would.
    #[inline(always)]
    pub(crate) fn peek(&self, index: u64, highest: Option<u64>) -> Result<()> {
        self.check_window(index, highest)?;
        // Relaxed: a hint. `claim` decides, by itself.
        Entry::of(index).advance(self.word(index)?.load(Ordering::Relaxed)).map(drop)
    }

    /// Claims `index`: succeeds once, for one caller.
    ///
    /// # Errors
    ///
    /// [`Error::TooOld`] if `index + window <= highest` or the ring has moved on; [`Error::Replayed`] if it was claimed before.
    #[inline(always)]
    pub(crate) fn claim(&self, index: u64, highest: Option<u64>) -> Result<()> {
        self.check_window(index, highest)?;
        let word = self.word(index)?;
        let entry = Entry::of(index);
        // Relaxed throughout: claims of one word are ordered by its modification order, which is all that exactly-once needs
        // (invariant 3); no other memory is published through it.
        let mut seen = word.load(Ordering::Relaxed);
        loop {
            let grown = entry.advance(seen)?;
            match word.compare_exchange_weak(seen, grown, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => seen = now,
            }
        }
    }

    #[inline(always)]
    fn check_window(&self, index: u64, highest: Option<u64>) -> Result<()> {
        if index < self.base {
            return Err(Error::TooOld);
        }
        match highest {
            Some(highest) if index + self.window <= highest => Err(Error::TooOld),
            _ => Ok(()),
        }
    }

    #[inline(always)]
    fn word(&self, index: u64) -> Result<&AtomicU64> {
        // Empty only when closed, which `check_window` has refused; the error keeps a panic off the data path.
        self.words.get(self.place(index / PER_WORD)).ok_or(Error::TooOld)
    }

    /// `block % words`, by multiplication: the low half of `block * reciprocal` is the fraction of the quotient, and that times the number of words the
    /// remainder. Exact while `block * words < 2^64` (Lemire, Kaser and Kurz, "Faster remainder by direct computation", 2019): a block has 44
    /// bits, and there are less than 2^12 words.
    #[inline(always)]
    fn place(&self, block: u64) -> usize {
        let fraction = block.wrapping_mul(self.reciprocal);
        let remainder = (u128::from(fraction) * self.words.len() as u128) >> u64::BITS;
        // Less than the number of words.
        #[expect(clippy::cast_possible_truncation)]
        {
            remainder as usize
        }
    }
}

/// An index as its block and its bit.
#[derive(Clone, Copy)]
struct Entry {
    block: u64,
    bit: u64,
}

impl Entry {
    #[inline(always)]
    const fn of(index: u64) -> Self {
        Self { block: index / PER_WORD, bit: 1 << (index % PER_WORD) }
    }

    /// What a word that reads `seen` becomes when this entry is claimed.
    #[inline(always)]
    fn advance(self, seen: u64) -> Result<u64> {
        let newest = seen >> BLOCK_SHIFT;
        if newest > self.block {
            Err(Error::TooOld)
        } else if newest < self.block {
            Ok(self.block << BLOCK_SHIFT | self.bit)
        } else if seen & self.bit != 0 {
            Err(Error::Replayed)
        } else {
            Ok(seen | self.bit)
        }
    }
}

#[cfg(test)]
mod tests;
