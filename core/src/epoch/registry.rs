//! Values by number: handles for callers that cannot be trusted with pointers, such as C.
//!
//! 1. A handle names a slot and the generation of its content. A slot that is emptied moves on by one generation, so a handle is never valid again once
//!    its value was removed. A slot whose generations are used up is never filled again.
//! 2. The generation stands beside the value, in one allocation that is published whole: who finds the generation of its handle has the value of
//!    its handle.
//! 3. Slots lie in segments that are never moved or freed before the registry is: look-ups take no lock.

use super::domain::{Domain, DomainId};
use super::guard::Guard;
use super::shelf::Bulk;
use crate::kernels::fork::Locked;
use crate::primitive::atomic::Ordering;
use core::fmt;
use crossbeam_epoch::{Atomic, Owned, Shared};
use std::sync::{Mutex, OnceLock};

/// Segment `n` has `FIRST_LEN << n` slots.
const FIRST_LEN: usize = 64;
const SEGMENTS: usize = 18;
/// Bits of a handle that name the slot: enough for all segments.
const INDEX_BITS: u32 = 24;
const GENERATION_BITS: u32 = 32;

/// A table of values of one kind, each named by a number.
///
/// Any number is a valid question: one that names nothing, nothing any more, or something of another kind is answered by `None`. A removed value is
/// dropped once no [`Guard`] of the domain is left that was pinned before.
///
/// Look-ups take no lock and touch no reference count. Insertion and removal share a mutex.
pub struct Registry<T: Send + Sync + 'static> {
    domain: DomainId,
    handles: Domain,
    kind: u8,
    segments: [OnceLock<Segment<T>>; SEGMENTS],
    free: Mutex<Free>,
}

type Segment<T> = Box<[Atomic<Entry<T>>]>;

struct Entry<T> {
    generation: u32,
    value: T,
}

/// What may be filled next.
#[derive(Default)]
struct Free {
    /// Emptied slots, and their next generations.
    emptied: Vec<(u32, u32)>,
    /// Slots from here on were never filled.
    fresh: u32,
}

/// A handle's parts: `kind << 56 | generation << 24 | index`.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Handle {
    kind: u8,
    generation: u32,
    index: u32,
}

impl Handle {
    fn of(number: u64) -> Self {
        let [kind, g3, g2, g1, g0, i2, i1, i0] = number.to_be_bytes();
        Self { kind, generation: u32::from_be_bytes([g3, g2, g1, g0]), index: u32::from_be_bytes([0, i2, i1, i0]) }
    }

    fn number(self) -> u64 {
        u64::from(self.kind) << (GENERATION_BITS + INDEX_BITS)
            | u64::from(self.generation) << INDEX_BITS
            | u64::from(self.index)
    }
}

/// Where a slot is: its segment, and its place there.
fn place(index: u32) -> (usize, usize) {
    let at = index as usize + FIRST_LEN;
    let segment = at.ilog2() - FIRST_LEN.ilog2();
    (segment as usize, at - (FIRST_LEN << segment))
}

impl<T: Send + Sync + 'static> Registry<T> {
    /// An empty registry. `kind`, which is not 0, tells its handles from those of others: so no handle is 0.
    #[must_use]
    pub fn new(domain: &Domain, kind: u8) -> Self {
        Self {
            domain: domain.id(),
            handles: domain.clone(),
            kind,
            segments: [const { OnceLock::new() }; SEGMENTS],
            free: Mutex::default(),
        }
    }

    /// Takes a value in, and returns its handle; gives the value back if there is no room. There is for some sixteen million values, but not while more
    /// retired values wait for a stalled reader than the domain's backlog allows: what is removed waits, too.
    ///
    /// # Errors
    ///
    /// The value.
    pub fn insert(&self, value: T) -> Result<u64, T> {
        if self.handles.check_backlog().is_err() {
            return Err(value);
        }
        let mut free = Locked::new(&self.free);
        let (index, generation) = match free.emptied.pop() {
            Some(emptied) => emptied,
            None => (free.fresh, 1),
        };
        let (segment, at) = place(index);
        let Some(segment_slots) = self.segments.get(segment) else { return Err(value) };
        let slots = segment_slots.get_or_init(|| (0..FIRST_LEN << segment).map(|_| Atomic::null()).collect());
        let Some(slot) = slots.get(at) else { return Err(value) };
        if index == free.fresh {
            free.fresh += 1;
        }
        // Release: pairs with the Acquire in `get`: the entry is seen as made here.
        slot.store(Owned::new(Entry { generation, value }), Ordering::Release);
        Ok(Handle { kind: self.kind, generation, index }.number())
    }

    /// The value of a handle. `None` too if the guard pins another domain.
    #[inline]
    pub fn get<'g>(&'g self, handle: u64, guard: &'g Guard<'_>) -> Option<&'g T> {
        let pin = guard.of(self.domain)?;
        let Handle { kind, generation, index } = Handle::of(handle);
        // Acquire: pairs with the Release in `insert`.
        let shared = self.slot(index)?.load(Ordering::Acquire, pin);
        // SAFETY: null, or an entry that this registry owned when it was loaded. The pin is of its domain (invariant 1 of the module), and `remove`
        // retires what it takes out under a guard (invariant 3), so the entry outlives the guard, to which the reference is bound.
        let entry = unsafe { shared.as_ref() }?;
        (entry.generation == generation && kind == self.kind).then_some(&entry.value)
    }

    /// Removes the value of a handle, which is dropped once no guard can see it. False if the handle names nothing (any more).
    pub fn remove(&self, handle: u64) -> bool {
        let Handle { kind, generation, index } = Handle::of(handle);
        let Some(slot) = self.slot(index).filter(|_| kind == self.kind) else { return false };
        let guard = self.handles.pin();
        let Some(pin) = guard.of(self.domain) else { return false };
        let mut free = Locked::new(&self.free);
        // Relaxed: only insertion and removal change a slot, under the mutex that is held here.
        let shared = slot.load(Ordering::Relaxed, pin);
        // SAFETY: as in `get`.
        if unsafe { shared.as_ref() }.is_none_or(|entry| entry.generation != generation) {
            return false;
        }
        // Relaxed: nothing is published by a null.
        slot.store(Shared::null(), Ordering::Relaxed);
        if let Some(next) = generation.checked_add(1) {
            free.emptied.push((index, next));
        }
        drop(free);
        // SAFETY: it was in the slot, which owned it; it was taken out under the mutex, so by this call alone.
        let entry = unsafe { shared.into_owned() };
        // Large: the code that drops it may be anybody's.
        guard.retire_replaced(entry.into_box(), Bulk::Large);
        true
    }

    /// The domain whose guards this registry takes.
    #[must_use]
    pub const fn domain(&self) -> &Domain {
        &self.handles
    }

    #[inline]
    fn slot(&self, index: u32) -> Option<&Atomic<Entry<T>>> {
        let (segment, at) = place(index);
        self.segments.get(segment)?.get()?.get(at)
    }
}

impl<T: Send + Sync + 'static> Drop for Registry<T> {
    fn drop(&mut self) {
        for slot in self.segments.iter_mut().filter_map(OnceLock::get_mut).flat_map(|slots| slots.iter_mut()) {
            let last = core::mem::replace(slot, Atomic::null());
            // SAFETY: `&mut self`: nobody is inside a call, and what `get` gave out was bound to a borrow of `self`.
            drop(unsafe { last.try_into_owned() });
        }
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for Registry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("kind", &self.kind).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::sync::Arc;

    #[test]
    fn a_handle_outlives_its_value_as_a_number_only() {
        let domain = Domain::without_reclaimer();
        let registry = Registry::new(&domain, 7);
        let value = Arc::new(1);
        let handle = registry.insert(Arc::clone(&value)).unwrap();
        let guard = domain.pin();
        let seen = registry.get(handle, &guard).unwrap();
        assert!(registry.remove(handle));
        assert!(!registry.remove(handle));
        assert_eq!((registry.get(handle, &guard), **seen), (None, 1));
        drop(guard);
        assert_eq!(domain.reclaim(), 0);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn slots_are_used_again_and_handles_are_not() {
        let domain = Domain::new();
        let registry = Registry::new(&domain, 7);
        let first = registry.insert("first").unwrap();
        assert!(registry.remove(first));
        let second = registry.insert("second").unwrap();
        assert_eq!(Handle::of(first).index, Handle::of(second).index);
        assert_eq!(registry.get(first, &domain.pin()), None);
        assert_eq!(registry.get(second, &domain.pin()), Some(&"second"));
        // Its generations used up, a slot is left alone.
        registry.remove(second);
        registry.free.lock().unwrap().emptied = vec![(0, u32::MAX)];
        let last = registry.insert("last").unwrap();
        assert_eq!(Handle::of(last).index, 0);
        assert!(registry.remove(last));
        assert_eq!(Handle::of(registry.insert("next").unwrap()).index, 1);
    }

    #[test]
    fn other_kinds_other_domains_and_garbage_name_nothing() {
        let domain = Domain::new();
        let (one, other) = (Registry::new(&domain, 1), Registry::new(&domain, 2));
        let (in_one, in_other) = (one.insert(()).unwrap(), other.insert(()).unwrap());
        let guard = domain.pin();
        assert!(one.get(in_one, &guard).is_some() && one.get(in_other, &guard).is_none());
        assert!(!other.remove(in_one));
        assert!(one.get(in_one, &Domain::new().pin()).is_none());
        for garbage in [0, 1, u64::MAX, in_one + 1, in_one | 0xff_ffff, in_one ^ 1 << 40] {
            assert!(one.get(garbage, &guard).is_none() && !one.remove(garbage), "{garbage:x}");
        }
    }

    #[test]
    fn dropping_it_drops_what_it_holds() {
        let value = Arc::new(());
        let registry = Registry::new(&Domain::new(), 1);
        let handles: Vec<u64> = (0..1000).map(|_| registry.insert(Arc::clone(&value)).unwrap()).collect();
        assert!(handles.iter().all(|handle| registry.get(*handle, &registry.domain().pin()).is_some()));
        drop(registry);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn p09_what_is_removed_under_a_stalled_reader_is_bounded_by_the_backlog() {
        const BACKLOG: u64 = 8;
        let domain = Domain::with_backlog(BACKLOG);
        let registry = Registry::new(&domain, 1);
        let kept = registry.insert(0).unwrap();
        let stalled = domain.pin();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let refused = (1..100).find_map(|value| {
                    let handle = registry.insert(value);
                    if let Ok(handle) = handle {
                        assert!(registry.remove(handle));
                    }
                    handle.err()
                });
                assert!(refused.is_some() && domain.stats().items_waiting == BACKLOG + 1, "{refused:?}");
                assert!(registry.remove(kept), "to let go is never refused");
            });
        });
        drop(stalled);
        domain.synchronize(core::time::Duration::from_secs(20)).unwrap();
        assert!(registry.insert(1).is_ok());
    }

    proptest! {
        #[test]
        fn it_does_what_a_map_does(steps in prop::collection::vec((any::<bool>(), 0usize..40), 0..400)) {
            let domain = Domain::new();
            let registry = Registry::new(&domain, 9);
            let (mut model, mut given) = (HashMap::new(), Vec::new());
            for (number, (insert, at)) in steps.into_iter().enumerate() {
                if insert {
                    let handle = registry.insert(number).unwrap();
                    prop_assert!(model.insert(handle, number).is_none());
                    given.push(handle);
                } else if let Some(handle) = given.get(at) {
                    prop_assert_eq!(registry.remove(*handle), model.remove(handle).is_some());
                }
                let guard = domain.pin();
                for handle in &given {
                    prop_assert_eq!(registry.get(*handle, &guard), model.get(handle));
                }
            }
        }
    }

    #[test]
    fn readers_see_a_value_or_nothing_while_it_comes_and_goes() {
        let domain = Domain::new();
        let registry = Registry::new(&domain, 1);
        let (domain, registry) = (&domain, &registry);
        let current = &std::sync::atomic::AtomicU64::new(0);
        std::thread::scope(|scope| {
            let writer = scope.spawn(move || {
                for round in 0..20_000u64 {
                    // Refused while the reader is asleep under its guard, and the backlog is full.
                    let mut value = vec![round; 4];
                    let handle = loop {
                        match registry.insert(value) {
                            Ok(handle) => break handle,
                            Err(back) => value = back,
                        }
                        std::thread::yield_now();
                    };
                    current.store(handle, std::sync::atomic::Ordering::Release);
                    assert!(registry.remove(handle));
                }
            });
            scope.spawn(move || {
                while !writer.is_finished() {
                    let guard = domain.pin();
                    if let Some(value) = registry.get(current.load(std::sync::atomic::Ordering::Acquire), &guard) {
                        assert!(value.iter().all(|round| *round == value[0]));
                    }
                }
            });
        });
    }
}
