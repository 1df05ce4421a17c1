//! An array of values that many read, many fill and few replace: the floor under a hash table that grows while it is read.
//!
//! A slot is empty, or holds a value; it may be *frozen* in either state, for good. Each change is one compare-and-swap that
//! expects an unfrozen slot, so after [`Slots::freeze`] returned, the content it returned is final.
//!
//! A slot owns one strong count of the `Arc` it holds. Two arrays may hold the same value (while one is copied to the other): each
//! owns a count of its own, and the value goes with the last.

use super::domain::DomainId;
use super::guard::Guard;
use super::shelf::Bulk;
use crate::error::{Error, Result};
use crate::kernels::fetch;
use crate::primitive::atomic::Ordering;
use core::marker::PhantomData;
use crossbeam_epoch::{Atomic, Shared};
use std::sync::Arc;

const FROZEN: usize = 1;

/// An array of slots. `T` must be aligned to 2 octets at least: the lowest bit of a pointer says "frozen".
pub(crate) struct Slots<T: Send + Sync + 'static, A: Room<T> = Box<[Atomic<T>]>> {
    domain: DomainId,
    slots: A,
    holds: PhantomData<T>,
}

/// One slot, without an allocation of its own.
pub(crate) type Single<T> = Slots<T, [Atomic<T>; 1]>;

/// What holds slots, a power of two of them.
pub(crate) trait Room<T>: AsRef<[Atomic<T>]> + AsMut<[Atomic<T>]> {}

impl<T> Room<T> for Box<[Atomic<T>]> {}
impl<T> Room<T> for [Atomic<T>; 1] {}

/// What a slot was seen to hold.
#[derive(Debug)]
pub(crate) struct Slot<'g, T> {
    pub(crate) value: Option<&'g T>,
    pub(crate) frozen: bool,
}

impl<T: Send + Sync + 'static> Slots<T> {
    /// Empty slots, `len` of them or as many as the next power of two.
    pub(crate) fn new(domain: DomainId, len: usize) -> Self {
        let () = Self::TAG_FITS;
        let len = len.next_power_of_two();
        Self { domain, slots: (0..len).map(|_| Atomic::null()).collect(), holds: PhantomData }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }
}

impl<T: Send + Sync + 'static> Single<T> {
    /// An empty slot, at 0.
    pub(crate) fn empty(domain: DomainId) -> Self {
        let () = Self::TAG_FITS;
        Self { domain, slots: [Atomic::null()], holds: PhantomData }
    }
}

impl<T: Send + Sync + 'static, A: Room<T>> Slots<T, A> {
    const TAG_FITS: () = assert!(align_of::<T>() > FROZEN);

    pub(crate) const fn domain(&self) -> DomainId {
        self.domain
    }

    /// The slot at `at`, modulo the length.
    ///
    /// # Errors
    ///
    /// [`Error::ForeignGuard`] if the guard pins another domain; so in all calls here.
    #[inline(always)]
    pub(crate) fn load<'g>(&'g self, at: usize, guard: &'g Guard<'_>) -> Result<Slot<'g, T>> {
        let pin = guard.of(self.domain).ok_or(Error::ForeignGuard)?;
        // Acquire: pairs with the Release half of `fill`, `replace` and of the store that made a copy of the slot.
        let shared = self.slot(at)?.load(Ordering::Acquire, pin);
        Ok(Self::view(shared))
    }

    /// Has the slot at `at` fetched from memory.
    pub(crate) fn fetch(&self, at: usize) {
        if let Ok(slot) = self.slot(at) {
            fetch(slot, 1);
        }
    }

    /// Puts `value` into an empty, unfrozen slot; hands it back if the slot is not, or not any more.
    pub(crate) fn fill<'g>(
        &'g self,
        at: usize,
        value: Arc<T>,
        guard: &'g Guard<'_>,
    ) -> core::result::Result<&'g T, Arc<T>> {
        let Some(pin) = guard.of(self.domain) else { return Err(value) };
        let Ok(slot) = self.slot(at) else { return Err(value) };
        let new = Shared::from(Arc::into_raw(value));
        // AcqRel: Release pairs with the Acquire in `load`: the value is seen as made. Acquire costs nothing beside it.
        // Relaxed on failure: nothing is read through the pointer found.
        match slot.compare_exchange(Shared::null(), new, Ordering::AcqRel, Ordering::Relaxed, pin) {
            // SAFETY: just published here and owned by the slot; whoever takes it out retires it under a guard (invariant 3), and this
            // guard was pinned before.
            Ok(_) => Ok(unsafe { new.deref() }),
            // SAFETY: the pointer came from `Arc::into_raw` above and was not published: its count is still ours.
            Err(_) => Err(unsafe { Arc::from_raw(new.as_raw()) }),
        }
    }

    /// Puts `value` in the place of `expected`, which is of that bulk and retired; hands it back if the slot is frozen or holds another value.
    pub(crate) fn replace(
        &self,
        at: usize,
        expected: &T,
        value: Arc<T>,
        bulk: Bulk,
        guard: &Guard<'_>,
    ) -> core::result::Result<(), Arc<T>> {
        let Some(pin) = guard.of(self.domain) else { return Err(value) };
        let Ok(slot) = self.slot(at) else { return Err(value) };
        let old = Shared::from(core::ptr::from_ref(expected));
        let new = Shared::from(Arc::into_raw(value));
        // AcqRel: as in `fill`. An unfrozen expectation: a frozen slot makes it fail.
        match slot.compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed, pin) {
            Ok(_) => {
                // SAFETY: `old` was made by `Arc::into_raw` in `fill`, `replace` or `freeze`'s copy, and the slot owned one count, which is
                // now ours, since the exchange took it out. It is dropped after the readers of now have unpinned.
                let old = unsafe { Arc::from_raw(old.as_raw()) };
                guard.retire_outgrown(Box::new(old), bulk);
                Ok(())
            }
            // SAFETY: as in `fill`: never published.
            Err(_) => Err(unsafe { Arc::from_raw(new.as_raw()) }),
        }
    }

    /// Freezes the slot (again, perhaps), and returns a count of what it holds for good.
    pub(crate) fn freeze(&self, at: usize, guard: &Guard<'_>) -> Result<Option<Arc<T>>> {
        let pin = guard.of(self.domain).ok_or(Error::ForeignGuard)?;
        // AcqRel: Acquire pairs with the Release in `fill` and `replace`, so the value may be read; Release orders the freeze before the
        // publication of the array that follows.
        let shared = self.slot(at)?.fetch_or(FROZEN, Ordering::AcqRel, pin).with_tag(0);
        if shared.is_null() {
            return Ok(None);
        }
        // SAFETY: the pointer was made by `Arc::into_raw`, and the frozen slot owns a count until the array is dropped, which `&self` rules
        // out now. So the count may be raised, and the raised count is ours.
        unsafe { Arc::increment_strong_count(shared.as_raw()) };
        // SAFETY: takes over the count just raised.
        Ok(Some(unsafe { Arc::from_raw(shared.as_raw()) }))
    }

    #[inline(always)]
    fn view<'g>(shared: Shared<'g, T>) -> Slot<'g, T> {
        let frozen = shared.tag() == FROZEN;
        // SAFETY: null or a value whose count the slot owned when it was loaded. It is released by `replace`, which retires it (invariant 3),
        // or by dropping the array, which no reader can reach then. The caller's guard is of this domain (invariant 1).
        Slot { value: unsafe { shared.with_tag(0).as_ref() }, frozen }
    }

    #[inline(always)]
    fn slot(&self, at: usize) -> Result<&Atomic<T>> {
        // The length is a power of two, so the look-up cannot fail; the error keeps a panic off the data path.
        let slots = self.slots.as_ref();
        slots.get(at & (slots.len() - 1)).ok_or(Error::TooManyStreams)
    }
}

impl<T: Send + Sync + 'static, A: Room<T>> Drop for Slots<T, A> {
    fn drop(&mut self) {
        for slot in self.slots.as_mut() {
            let owned = core::mem::replace(slot, Atomic::null());
            // SAFETY: `&mut self`, and an array that was published is dropped by the collector only: no reader is left, so no guard is needed
            // to look at the pointer.
            let shared = unsafe { owned.load(Ordering::Relaxed, crossbeam_epoch::unprotected()) }.with_tag(0);
            if !shared.is_null() {
                // SAFETY: made by `Arc::into_raw`; the slot owned one count, and gives it up here, once.
                drop(unsafe { Arc::from_raw(shared.as_raw()) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::epoch::Domain;

    #[test]
    fn a_slot_is_filled_once() {
        let domain = Domain::without_reclaimer();
        let slots = Slots::new(domain.id(), 4);
        let guard = domain.pin();
        assert!(slots.load(5, &guard).unwrap().value.is_none());
        assert_eq!(slots.fill(5, Arc::new(7u64), &guard), Ok(&7));
        assert_eq!(slots.fill(1, Arc::new(8), &guard), Err(Arc::new(8)));
        assert_eq!(slots.load(1, &guard).unwrap().value, Some(&7));
    }

    #[test]
    fn a_frozen_slot_never_changes() {
        let domain = Domain::without_reclaimer();
        let slots = Slots::new(domain.id(), 2);
        let guard = domain.pin();
        slots.fill(0, Arc::new(7u64), &guard).unwrap();
        assert_eq!(slots.freeze(0, &guard).unwrap(), Some(Arc::new(7)));
        assert_eq!(slots.freeze(1, &guard).unwrap(), None);
        let seven = slots.load(0, &guard).unwrap();
        assert!(seven.frozen);
        assert_eq!(slots.replace(0, seven.value.unwrap(), Arc::new(9), Bulk::Small, &guard), Err(Arc::new(9)));
        assert_eq!(slots.fill(1, Arc::new(9), &guard), Err(Arc::new(9)));
    }

    #[test]
    fn every_count_is_given_back() {
        let domain = Domain::without_reclaimer();
        let (a, b) = (Arc::new(1u64), Arc::new(2u64));
        let (from, to) = (Slots::new(domain.id(), 1), Single::empty(domain.id()));
        {
            let guard = domain.pin();
            from.fill(0, Arc::clone(&a), &guard).unwrap();
            let copy = from.freeze(0, &guard).unwrap().unwrap();
            to.fill(0, copy, &guard).unwrap();
            assert_eq!(Arc::strong_count(&a), 3);
            let seen = to.load(0, &guard).unwrap().value.unwrap();
            to.replace(0, seen, Arc::clone(&b), Bulk::Small, &guard).unwrap();
            assert_eq!(*seen, 1);
        }
        assert_eq!(domain.reclaim(), 0);
        assert_eq!(Arc::strong_count(&a), 2);
        drop((from, to));
        assert_eq!((Arc::strong_count(&a), Arc::strong_count(&b)), (1, 1));
    }

    #[test]
    fn slots_refuse_a_foreign_guard() {
        let (ours, theirs) = (Domain::without_reclaimer(), Domain::without_reclaimer());
        let slots = Slots::new(ours.id(), 1);
        let (ours, theirs) = (ours.pin(), theirs.pin());
        let seven = slots.fill(0, Arc::new(7u64), &ours).unwrap();
        assert_eq!(slots.load(0, &theirs).unwrap_err(), Error::ForeignGuard);
        assert_eq!(slots.fill(0, Arc::new(8), &theirs), Err(Arc::new(8)));
        assert_eq!(slots.replace(0, seven, Arc::new(8), Bulk::Small, &theirs), Err(Arc::new(8)));
        assert_eq!(slots.freeze(0, &theirs), Err(Error::ForeignGuard));
        assert_eq!(slots.load(0, &ours).unwrap().value, Some(&7));
    }
}
