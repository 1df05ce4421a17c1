//! A mapping, cut into slots of one length.

use super::KeyMemory;
use super::free::FreeSlots;
use super::pages::Pages;
use core::ptr::NonNull;

/// Slots, and the pages they lie in.
pub(super) struct Slab {
    pages: Pages,
    slot_len: usize,
    slots: usize,
    free: FreeSlots,
}

impl Slab {
    /// Slots of `slot_len` octets in about `octets` of pages.
    pub(super) fn map(slot_len: usize, octets: usize) -> Option<Self> {
        let least = slot_len.next_multiple_of(Pages::FEWEST);
        let pages = Pages::for_secrets(octets.max(least), least)?;
        let slots = pages.octets() / slot_len;
        Some(Self { pages, slot_len, slots, free: FreeSlots::all(slots) })
    }

    /// A free slot, from now on the caller's. One caller at a time.
    pub(super) fn take(&self) -> Option<NonNull<u8>> {
        let offset = self.free.take()? * self.slot_len;
        // SAFETY: there is such a slot, so the offset is within the pages.
        Some(unsafe { self.pages.base().add(offset) })
    }

    /// Gives back a slot that [`Self::take`] gave out and its owner has wiped. Says whether all are free now; of those who give back the last ones at
    /// once, at least one hears it.
    pub(super) fn give_back(&self, place: NonNull<u8>) -> bool {
        self.free.give_back((place.addr().get() - self.pages.base().addr().get()) / self.slot_len)
    }

    /// No slot is taken.
    pub(super) fn is_empty(&self) -> bool {
        self.free.are_all()
    }

    pub(super) const fn slot_len(&self) -> usize {
        self.slot_len
    }

    /// Octets of its pages.
    pub(super) const fn octets(&self) -> usize {
        self.pages.octets()
    }

    pub(super) fn count(&self, memory: &mut KeyMemory) {
        let octets = self.octets() as u64;
        memory.used += ((self.slots - self.free.count()) * self.slot_len) as u64;
        memory.total += octets;
        memory.locked += if self.pages.are_locked() { octets } else { 0 };
        memory.undumped += if self.pages.are_undumped() { octets } else { 0 };
    }
}
