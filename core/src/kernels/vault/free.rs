//! Which slots of a slab are free: a bit for each that is.
//!
//! Slots are taken by one thread at a time (invariant 2 of the vault), and given back by any: so a bit that says "free" stays as it is until the one
//! who takes slots clears it. `tests/loom.rs` has the models.

use crate::primitive::atomic::{AtomicU64, Ordering, fence};

const BITS: usize = u64::BITS as usize;

/// Slots, by number.
pub(crate) struct FreeSlots {
    slots: usize,
    words: Box<[AtomicU64]>,
}

impl FreeSlots {
    /// All of so many slots.
    pub(crate) fn all(slots: usize) -> Self {
        let words = (0..slots.div_ceil(BITS)).map(|word| AtomicU64::new(full(slots, word))).collect();
        Self { slots, words }
    }

    /// A free slot, from now on the caller's. One caller at a time.
    pub(crate) fn take(&self) -> Option<usize> {
        self.words.iter().enumerate().find_map(|(number, word)| {
            // Relaxed: a slot that is given back just now may be overlooked. Nobody else takes one, so a bit that is seen is there still.
            let bit = word.load(Ordering::Relaxed).trailing_zeros() as usize;
            if bit == BITS {
                return None;
            }
            // Acquire: pairs with the Release in `give_back`, so that the slot is seen as its last owner left it.
            word.fetch_and(!(1 << bit), Ordering::Acquire);
            Some(number * BITS + bit)
        })
    }

    /// Gives back a slot that was taken. Says whether all are free now; of those who give back the last ones at once, at least one hears it.
    pub(crate) fn give_back(&self, slot: usize) -> bool {
        let bit = 1 << (slot % BITS);
        let Some(word) = self.words.get(slot / BITS) else { return false };
        // Release: pairs with the Acquire in `take`.
        let before = word.fetch_or(bit, Ordering::Release);
        debug_assert_eq!(before & bit, 0, "a slot is given back once");
        if before | bit != full(self.slots, slot / BITS) {
            return false;
        }
        // SeqCst, with the same fence of others: of two threads that give back the last slots of two words, each of which then looks at the other's word,
        // at least one finds it full.
        fence(Ordering::SeqCst);
        self.are_all()
    }

    /// No slot is taken.
    pub(crate) fn are_all(&self) -> bool {
        // Relaxed: the fence in `give_back` orders what must be.
        self.words.iter().enumerate().all(|(number, word)| word.load(Ordering::Relaxed) == full(self.slots, number))
    }

    /// How many are free.
    pub(crate) fn count(&self) -> usize {
        // Relaxed: a count, that orders nothing.
        self.words.iter().map(|word| word.load(Ordering::Relaxed).count_ones() as usize).sum()
    }
}

/// The bits of the slots, of `slots`, that word number `word` stands for.
const fn full(slots: usize, word: usize) -> u64 {
    match slots - word * BITS {
        BITS.. => u64::MAX,
        last => (1 << last) - 1,
    }
}
