//! Where secrets lie: slots in pages that are locked in memory and left out of core dumps, as far as the system lets us.
//!
//! 1. A slot has one owner, a [`Vaulted`], from when it is taken until that has wiped it and given it back. A free slot is all zeros.
//! 2. Slots are taken under a mutex, by control operations alone. They are given back without it, and so by any thread. Who empties a slab takes it, to
//!    unmap that; but a reader leaves that to others.
//! 3. Nobody calls the system under the mutex: it is held for some ten nanoseconds at a time. No fork finds it held.
//! 4. A slab, which is a mapping cut into slots of one length, is unmapped after it left its shelf and the last of its slots is given back. One that
//!    becomes empty leaves, unless it is the only empty one of its shelf.
//! 5. Where the system maps no pages, a slot is an allocation of its own on the ordinary heap, and counted as such.

mod free;
mod pages;
mod shelves;
mod slab;

#[cfg(crossbeam_loom)]
pub(crate) use free::FreeSlots;
pub(crate) use shelves::{leaving_slabs, unmap_what_was_left};

use crate::primitive::StaticU64;
use crate::primitive::atomic::Ordering;
use core::alloc::Layout;
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};
use core::sync::atomic::compiler_fence;
use slab::Slab;
use std::alloc::{alloc_zeroed, dealloc, handle_alloc_error};
use std::sync::Arc;

/// Slots begin at multiples of this, and so do cache lines.
const LINE: usize = 64;

/// The longest slot. What is longer is no key of ours, and lies on the heap.
const LONGEST: usize = 16 * 1024;

/// Octets of secrets on the ordinary heap.
static ON_HEAP: StaticU64 = StaticU64::new(0);

/// Owns a value in a slot of its own, as a `Box` does one on the heap. Dropped, it drops the value and overwrites every octet of the slot.
///
/// A value that wipes itself wipes its fields. A move into the slot may have carried more than them: what was on the stack where an enum has a larger
/// variant, or padding. Secrets should be written in their place all the same: what is moved leaves a copy where it was.
pub(crate) struct Vaulted<T: ?Sized> {
    place: NonNull<T>,
    /// `None`: the slot is on the heap.
    slab: Option<Arc<Slab>>,
}

// SAFETY: it owns its value as a `Box` does; a slot is no more bound to a thread than the heap is.
unsafe impl<T: Send + ?Sized> Send for Vaulted<T> {}
// SAFETY: as above; a shared reference to it gives shared references to the value and nothing else.
unsafe impl<T: Sync + ?Sized> Sync for Vaulted<T> {}

impl<T> Vaulted<T> {
    #[inline(always)]
    pub(crate) fn new(value: T) -> Self {
        const { assert!(align_of::<T>() <= LINE) };
        let (place, slab) = slot(size_of::<T>());
        let place = place.cast::<T>();
        // SAFETY: the slot is this call's alone, long enough, and aligned for whatever a line is a multiple of.
        unsafe { place.write(value) };
        Self { place, slab }
    }
}

impl Vaulted<[u8]> {
    pub(crate) fn zeroed(len: usize) -> Self {
        let (place, slab) = slot(len);
        Self { place: NonNull::slice_from_raw_parts(place, len), slab }
    }
}

impl<T: ?Sized> Deref for Vaulted<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the value was written when this was made, and is there until it is dropped; the borrow of `self` keeps both from change.
        unsafe { self.place.as_ref() }
    }
}

impl<T: ?Sized> DerefMut for Vaulted<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and the borrow is exclusive.
        unsafe { self.place.as_mut() }
    }
}

impl<T: ?Sized> Drop for Vaulted<T> {
    fn drop(&mut self) {
        let len = slot_len(size_of_val::<T>(self));
        // SAFETY: the value is there, and dropped here, once; it is not touched as a `T` from here on.
        unsafe { self.place.drop_in_place() };
        let place = self.place.cast::<u8>();
        // SAFETY: the slot is this value's, of that length, and a multiple of a line like its address.
        unsafe { wipe(place, len) };
        match &self.slab {
            Some(slab) => {
                if slab.give_back(place) {
                    shelves::emptied();
                }
            }
            None => {
                // Relaxed: a count, that orders nothing.
                ON_HEAP.fetch_sub(len as u64, Ordering::Relaxed);
                // SAFETY: without a slab it came from `on_heap`, for the same length.
                unsafe { dealloc(place.as_ptr(), layout(len)) };
            }
        }
    }
}

/// Overwrites what no value uses any more with zeros, though nobody will read them.
///
/// # Safety
///
/// The `len` octets from `place` are the caller's alone, and hold no value. Both are multiples of a line.
unsafe fn wipe(place: NonNull<u8>, len: usize) {
    let words = place.cast::<u64>();
    for at in 0..len / size_of::<u64>() {
        // SAFETY: within the place.
        let word = unsafe { words.add(at) };
        // SAFETY: aligned; any octet may be written, since no value is there.
        unsafe { ptr::write_volatile(word.as_ptr(), 0) };
    }
    // The place is another's next: not before it is wiped.
    compiler_fence(Ordering::SeqCst);
}

/// The length of a slot for `len` octets.
const fn slot_len(len: usize) -> usize {
    if len == 0 { LINE } else { len.next_multiple_of(LINE) }
}

/// A slot for `len` octets, all of them zero, and its slab.
fn slot(len: usize) -> (NonNull<u8>, Option<Arc<Slab>>) {
    let len = slot_len(len);
    let in_slab = if len <= LONGEST { shelves::slot(len) } else { None };
    in_slab.map_or_else(|| (on_heap(len), None), |(place, slab)| (place, Some(slab)))
}

fn on_heap(len: usize) -> NonNull<u8> {
    let layout = layout(len);
    // Relaxed: a count, that orders nothing.
    ON_HEAP.fetch_add(len as u64, Ordering::Relaxed);
    // SAFETY: the length is not zero.
    let place = unsafe { alloc_zeroed(layout) };
    NonNull::new(place).unwrap_or_else(|| handle_alloc_error(layout))
}

/// Of a slot on the heap.
fn layout(len: usize) -> Layout {
    // A length that is no layout's belongs to a value that cannot be.
    Layout::from_size_align(len, LINE).unwrap_or_else(|_| handle_alloc_error(Layout::new::<u8>()))
}

/// The memory that keys lie in, all domains' together: what the system was asked to do for it, and did.
///
/// Session keys, and master keys until they are used, lie in pages that are *locked*, so that they are not written to swap space, and *kept out of
/// dumps* of the process's memory. Either may fail: a process may lock no more than its `RLIMIT_MEMLOCK`, and only Linux is asked to keep pages
/// out of dumps. Where no pages are to be had (and on systems that are no Unix, where none are asked for) keys lie on the ordinary heap. They
/// work all the same, and this says what they lie in.
///
/// ```
/// let memory = keyflip::KeyMemory::now();
/// if memory.locked < memory.total {
///     eprintln!("{} octets of key memory could be written to swap space", memory.total - memory.locked);
/// }
/// ```
///
/// # After a fork
///
/// A child process has a copy of its parent's keys, in pages that are not locked (`fork(2)`), which shows here, but kept out of dumps still. It keeps
/// the copy until it ends or executes another program, whatever the parent wipes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyMemory {
    /// Octets of keys, as long as the slots that they lie in.
    pub used: u64,
    /// Octets set apart for keys, used or not: pages, and allocations on the ordinary heap where no pages were to be had.
    pub total: u64,
    /// Of these, octets that the system has locked in memory for this process.
    pub locked: u64,
    /// Of these, octets that the system keeps out of core dumps.
    pub undumped: u64,
}

impl KeyMemory {
    /// As of now.
    ///
    /// # Performance
    ///
    /// Visits every slab: for an owner that asks now and then.
    #[must_use]
    pub fn now() -> Self {
        // Relaxed: a count, that orders nothing.
        let on_heap = ON_HEAP.load(Ordering::Relaxed);
        let mut memory = Self { used: on_heap, total: on_heap, ..Self::default() };
        shelves::for_each(|slab| slab.count(&mut memory));
        memory
    }
}

#[cfg(all(test, unix, not(any(miri, crossbeam_loom, keyflip_keys_on_heap))))]
mod tests;
