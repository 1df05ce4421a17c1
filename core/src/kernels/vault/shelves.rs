//! The slabs of the process, by the length of their slots.

use super::slab::Slab;
use crate::kernels::fork::Locked;
use crate::primitive::StaticBool;
use crate::primitive::atomic::Ordering;
use core::cell::Cell;
use core::ptr::NonNull;
use std::sync::{Arc, Mutex};

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

/// The shelves, for a moment. No fork finds them taken.
pub(super) fn lock() -> Locked<'static, Vec<Shelf>> {
    // Nothing is left half done by a panic: slabs come and go whole.
    Locked::new(&SHELVES)
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
        let mut shelves = lock();
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
    put(&mut lock(), Arc::clone(&slab));
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

/// Says that a thread which must not wait has emptied a slab.
static LEFT: StaticBool = StaticBool::new(false);

std::thread_local! {
    static LEAVES: Cell<bool> = const { Cell::new(false) };
}

/// Does `work`, on a thread that waits for nobody meanwhile: slabs that it empties stay until [`unmap_what_was_left`].
pub(crate) fn leaving_slabs<R>(work: impl FnOnce() -> R) -> R {
    let before = LEAVES.replace(true);
    let result = work();
    LEAVES.set(before);
    result
}

/// Unmaps what others had no time to.
pub(crate) fn unmap_what_was_left() {
    // Relaxed: a hint; the mutex orders what must be. Looked at first, since it is hardly ever set.
    if LEFT.load(Ordering::Relaxed) && LEFT.swap(false, Ordering::Relaxed) {
        clear();
    }
}

/// A slab was emptied.
pub(super) fn emptied() {
    if LEAVES.get() {
        LEFT.store(true, Ordering::Relaxed);
    } else {
        clear();
    }
}

/// Unmaps the slabs that are empty, but the first of each shelf.
fn clear() {
    // One by one, each outside of the mutex.
    while surplus().is_some() {}
}

/// Takes an empty slab from its shelf, if there is another before it.
fn surplus() -> Option<Arc<Slab>> {
    lock().iter_mut().find_map(|shelf| {
        let empty = shelf.slabs.iter().enumerate().filter(|(_, slab)| slab.is_empty()).nth(1);
        let (number, _) = empty?;
        shelf.at = 0;
        Some(shelf.slabs.remove(number))
    })
}

/// Shows the slabs to `visit`.
pub(super) fn for_each(visit: impl FnMut(&Slab)) {
    lock().iter().flat_map(|shelf| &shelf.slabs).map(|slab| &**slab).for_each(visit);
}

/// How long the slabs with slots of `slot_len` octets are.
#[cfg(test)]
pub(super) fn slabs(slot_len: usize) -> Vec<usize> {
    let of_len = |slab: &&Arc<Slab>| slab.slot_len() == slot_len;
    lock().iter().flat_map(|shelf| &shelf.slabs).filter(of_len).map(|slab| slab.octets()).collect()
}
