//! A mapping, cut into slots of one length.

use super::KeyMemory;
use super::pages::Pages;
use crate::primitive::StaticU64;
use crate::primitive::atomic::Ordering;
use core::ptr::NonNull;

const BITS: usize = u64::BITS as usize;

/// Slots are taken by one thread at a time (invariant 2 of the vault), and given back by any: so a bit that says "free" stays as it is until
/// the one who takes slots clears it.
pub(super) struct Slab {
    pages: Pages,
    slot_len: usize,
    slots: usize,
    /// A bit for each slot that is free.
    free: Box<[StaticU64]>,
}

impl Slab {
    /// Slots of `slot_len` octets in about `octets` of pages.
    pub(super) fn map(slot_len: usize, octets: usize) -> Option<Self> {
        let least = slot_len.next_multiple_of(Pages::FEWEST);
        let pages = Pages::for_secrets(octets.max(least), least)?;
        let slots = pages.octets() / slot_len;
        let mut slab = Self { pages, slot_len, slots, free: Box::default() };
        slab.free = (0..slots.div_ceil(BITS)).map(|word| StaticU64::new(slab.all(word))).collect();
        Some(slab)
    }

    /// The bits of the slots that word number `word` stands for.
    const fn all(&self, word: usize) -> u64 {
        match self.slots - word * BITS {
            BITS.. => u64::MAX,
            last => (1 << last) - 1,
        }
    }

    /// A free slot, from now on the caller's. One caller at a time.
    pub(super) fn take(&self) -> Option<NonNull<u8>> {
        // Relaxed: a slot that is given back just now may be overlooked; nobody else takes one (so a bit seen is there still).
        let has_free = |word: &&StaticU64| word.load(Ordering::Relaxed) != 0;
        let (number, word) = self.free.iter().enumerate().find(|(_, word)| has_free(word))?;
        let bit = word.load(Ordering::Relaxed).trailing_zeros() as usize;
        // Acquire: pairs with the Release half of `give_back`, so that the slot is seen wiped.
        word.fetch_and(!(1 << bit), Ordering::Acquire);
        let offset = (number * BITS + bit) * self.slot_len;
        // SAFETY: the bit stands for a slot, so the offset is within the pages.
        Some(unsafe { self.pages.base().add(offset) })
    }

    /// Gives back a slot that [`Self::take`] gave out and its owner has wiped; says whether all are free now, to one at least of those who gave back
    /// the last ones.
    pub(super) fn give_back(&self, place: NonNull<u8>) -> bool {
        let slot = (place.addr().get() - self.pages.base().addr().get()) / self.slot_len;
        let bit = 1 << (slot % BITS);
        let Some(word) = self.free.get(slot / BITS) else { return false };
        // Release: pairs with the Acquire in `take`. SeqCst, with the loads in `is_empty`: of two threads that give back the last slots of two words
        // and then look at the other's word, at least one finds it full.
        let before = word.fetch_or(bit, Ordering::SeqCst);
        debug_assert_eq!(before & bit, 0, "a slot is given back once");
        before | bit == self.all(slot / BITS) && self.is_empty()
    }

    /// No slot is taken.
    pub(super) fn is_empty(&self) -> bool {
        // SeqCst: as in `give_back`.
        self.free.iter().enumerate().all(|(number, word)| word.load(Ordering::SeqCst) == self.all(number))
    }

    pub(super) const fn slot_len(&self) -> usize {
        self.slot_len
    }

    /// Octets of its pages.
    pub(super) const fn octets(&self) -> usize {
        self.pages.octets()
    }

    pub(super) fn count(&self, memory: &mut KeyMemory) {
        // Relaxed: a count, that orders nothing.
        let free: usize = self.free.iter().map(|word| word.load(Ordering::Relaxed).count_ones() as usize).sum();
        let octets = self.pages.octets() as u64;
        memory.used += ((self.slots - free) * self.slot_len) as u64;
        memory.total += octets;
        memory.locked += if self.pages.are_locked() { octets } else { 0 };
        memory.undumped += if self.pages.are_undumped() { octets } else { 0 };
    }
}
