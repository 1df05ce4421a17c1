//! The slabs of the process, by the length of their slots.

use super::slab::Slab;
use crate::primitive::StaticU64;
use crate::primitive::atomic::Ordering;
use core::ptr::NonNull;
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

/// Octets of a shelf's first slab. The next are as long as those before them together.
const FIRST: usize = 16 * 1024;
/// No slab is longer.
const MOST: usize = 1024 * 1024;

/// Slabs with slots of one length.
pub(super) struct Shelf {
    slot_len: usize,
    slabs: Vec<Arc<Slab>>,
    /// The slab that had a free slot when last asked.
    at: usize,
}

static SHELVES: Mutex<Vec<Shelf>> = Mutex::new(Vec::new());

/// Not 0 once somebody has waited in vain for the shelves.
static IN_VAIN: StaticU64 = StaticU64::new(0);

/// The shelves, for a moment. `None` in a process that was forked while a thread of its parent had them: nobody is there who could let go of them, and
/// keys lie on the heap.
pub(super) fn lock() -> Option<MutexGuard<'static, Vec<Shelf>>> {
    const SPINS: u32 = 100;
    const PAUSE: Duration = Duration::from_micros(100);
    /// Some hundred thousand times as long as anybody has them (invariant 3).
    const PAUSES: u32 = 5_000;
    for round in 0..SPINS + PAUSES {
        match SHELVES.try_lock() {
            Ok(shelves) => return Some(shelves),
            // Nothing is left half done by a panic: slabs come and go whole.
            Err(TryLockError::Poisoned(shelves)) => return Some(shelves.into_inner()),
            Err(TryLockError::WouldBlock) if round < SPINS => core::hint::spin_loop(),
            // Relaxed: a hint, so that only the first key waits for long.
            Err(TryLockError::WouldBlock) if IN_VAIN.load(Ordering::Relaxed) != 0 => return None,
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
        }
    }
    IN_VAIN.store(1, Ordering::Relaxed);
    None
}

impl Shelf {
    /// A free slot of a slab that is here.
    fn take(&mut self) -> Option<(NonNull<u8>, Arc<Slab>)> {
        let (before, from) = self.slabs.split_at_checked(self.at)?;
        let (number, place, slab) = (from.iter().zip(self.at..).chain(before.iter().zip(0..)))
            .find_map(|(slab, number)| Some((number, slab.take()?, Arc::clone(slab))))?;
        self.at = number;
        Some((place, slab))
    }

    /// How long the next slab should be.
    fn next_octets(&self) -> usize {
        self.slabs.iter().map(|slab| slab.octets()).sum::<usize>().clamp(FIRST, MOST)
    }
}

/// A slot of `slot_len` octets, all of them zero, and its slab. `None` if no pages are to be had.
pub(super) fn slot(slot_len: usize) -> Option<(NonNull<u8>, Arc<Slab>)> {
    let octets = {
        let mut shelves = lock()?;
        match shelves.iter_mut().find(|shelf| shelf.slot_len == slot_len) {
            Some(shelf) => match shelf.take() {
                Some(slot) => return Some(slot),
                None => shelf.next_octets(),
            },
            None => FIRST,
        }
    };
    // Outside of the mutex. Others may find no slot meanwhile, and map a slab each.
    let slab = Arc::new(Slab::map(slot_len, octets)?);
    let place = slab.take()?;
    put(&mut *lock()?, Arc::clone(&slab));
    Some((place, slab))
}

fn put(shelves: &mut Vec<Shelf>, slab: Arc<Slab>) {
    match shelves.iter_mut().find(|shelf| shelf.slot_len == slab.slot_len()) {
        Some(shelf) => {
            shelf.at = shelf.slabs.len();
            shelf.slabs.push(slab);
        }
        None => shelves.push(Shelf { slot_len: slab.slot_len(), slabs: vec![slab], at: 0 }),
    }
}

/// Unmaps the slabs that are empty, but the first of each shelf.
pub(super) fn clear() {
    // One by one, each outside of the mutex.
    while surplus().is_some() {}
}

/// Takes an empty slab from its shelf, if there is another before it.
fn surplus() -> Option<Arc<Slab>> {
    lock()?.iter_mut().find_map(|shelf| {
        let empty = shelf.slabs.iter().enumerate().filter(|(_, slab)| slab.is_empty()).nth(1);
        let (number, _) = empty?;
        shelf.at = 0;
        Some(shelf.slabs.remove(number))
    })
}

/// Shows the slabs to `visit`; none of them where [`lock`] gives up.
pub(super) fn for_each(visit: impl FnMut(&Slab)) {
    let Some(shelves) = lock() else { return };
    shelves.iter().flat_map(|shelf| &shelf.slabs).map(|slab| &**slab).for_each(visit);
}

/// How long the slabs with slots of `slot_len` octets are.
#[cfg(test)]
pub(super) fn slabs(slot_len: usize) -> Vec<usize> {
    let of_len = |slab: &&Arc<Slab>| slab.slot_len() == slot_len;
    lock().unwrap().iter().flat_map(|shelf| &shelf.slabs).filter(of_len).map(|slab| slab.octets()).collect()
}
