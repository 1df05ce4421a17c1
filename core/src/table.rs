//! SSRC to stream in O(1), read without a lock while it grows.
//!
//! Open addressing with linear probing in an array that is at most half full. A full array is *migrated*: each of its slots is frozen and its
//! stream copied to another, as a rule twice as long, which then takes its place. Every thread that wants to insert meanwhile helps, so nobody waits
//! for
//! another; look-ups go on in whichever array they loaded.
//!
//! 1. An SSRC has at most one slot in an array: probes for it start at the same place, and a slot that was filled stays filled with a stream
//!    of that SSRC. (A removed stream is replaced by its floor, a forgotten one by a blank, which no migration copies.)
//! 2. The successor of an array is entered through the root only after every slot of the array is frozen and copied. Until then it holds
//!    nothing but copies, so that it makes no difference which helper copies first.
//! 3. Streams are added for authenticated or outgoing packets and by the control side, never for a packet that was merely received (P8), and never
//!    more than the bound.

use crate::epoch::{Bulk, Domain, DomainId, Guard, Single, Slot, Slots};
use crate::error::{Error, Result};
use crate::index::Ssrc;
use crate::kernels::fetch;
use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::stream::Stream;
use core::hash::BuildHasher;
use std::collections::hash_map::RandomState;
use std::sync::Arc;

/// Slots of the first array. Few in a model, where each slot that is migrated multiplies the runs.
const FIRST_LEN: usize = if cfg!(crossbeam_loom) { 2 } else { 8 };

/// Cache lines of a stream that a packet reads.
const STREAM_LINES: usize = 3;

pub(crate) struct StreamTable {
    /// The array in use: never empty.
    root: Single<Array>,
    /// Streams and floors held, or about to be.
    count: AtomicUsize,
    bound: usize,
    /// Keeps a peer from choosing SSRCs that collide.
    seed: u64,
}

struct Array {
    slots: Slots<Stream>,
    filled: AtomicUsize,
    /// The array that takes this one's place, once there is one.
    next: Single<Array>,
}

/// How a probe of an array ended.
enum Probe<'g> {
    Found(usize, &'g Stream),
    /// Not there, and the first slot where it could be put.
    Vacant(usize),
    /// Not there, and nothing can be put here any more.
    Migrating,
}

impl StreamTable {
    /// An empty table for `bound` streams at most.
    pub(crate) fn new(domain: &Domain, bound: usize) -> Result<Self> {
        let table = Self {
            root: Single::empty(domain.id()),
            count: AtomicUsize::new(0),
            bound,
            // The same in each run of a model.
            seed: if cfg!(crossbeam_loom) { 0 } else { RandomState::new().hash_one(0u8) },
        };
        table
            .root
            .fill(0, Arc::new(Array::new(domain.id(), FIRST_LEN)), &domain.pin())
            .map_err(|_| Error::ForeignGuard)?;
        Ok(table)
    }

    /// The stream of `ssrc`, or the floor that is left of it.
    ///
    /// # Errors
    ///
    /// [`Error::ForeignGuard`]; so in all calls here.
    #[inline(always)]
    pub(crate) fn find<'g>(&'g self, ssrc: Ssrc, guard: &'g Guard<'_>) -> Result<Option<&'g Stream>> {
        match self.array(guard)?.probe(self.hash(ssrc), ssrc, guard)? {
            Probe::Found(_, stream) => Ok(Some(stream)),
            Probe::Vacant(_) | Probe::Migrating => Ok(None),
        }
    }

    /// Has what a look-up reads fetched from memory: first the array,
    pub(crate) fn fetch_array(&self, guard: &Guard<'_>) {
        if let Ok(array) = self.array(guard) {
            fetch(array, 1);
        }
    }

    /// then the slot in it where a look-up begins,
    pub(crate) fn fetch_slot(&self, ssrc: Ssrc, guard: &Guard<'_>) {
        if let Ok(array) = self.array(guard) {
            array.slots.fetch(self.hash(ssrc));
        }
    }

    /// and then what is in that.
    pub(crate) fn fetch_stream(&self, ssrc: Ssrc, guard: &Guard<'_>) {
        let first = self.array(guard).and_then(|array| array.slots.load(self.hash(ssrc), guard));
        if let Ok(Slot { value: Some(stream), .. }) = first {
            fetch(stream, STREAM_LINES);
        }
    }

    /// Adds a stream. If its SSRC has one by now (or its floor), that is returned and `stream` is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyStreams`].
    pub(crate) fn insert<'g>(&'g self, stream: Arc<Stream>, guard: &'g Guard<'_>) -> Result<&'g Stream> {
        let ssrc = stream.ssrc();
        if self.reserve().is_err() {
            return self.find(ssrc, guard)?.ok_or(Error::TooManyStreams);
        }
        let (inserted, held) = self.put(stream, guard)?;
        if !inserted {
            self.release();
        }
        Ok(held)
    }

    /// Counts one more, if the bound allows it.
    fn reserve(&self) -> Result<()> {
        // Relaxed: the count bounds, and orders nothing.
        self.count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| (held < self.bound).then_some(held + 1))
            .map(drop)
            .map_err(|_| Error::TooManyStreams)
    }

    fn release(&self) {
        // Relaxed: as in `reserve`.
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether the stream was put, and the stream that holds the SSRC now.
    fn put<'g>(&'g self, mut stream: Arc<Stream>, guard: &'g Guard<'_>) -> Result<(bool, &'g Stream)> {
        let ssrc = stream.ssrc();
        loop {
            let array = self.array(guard)?;
            match array.probe(self.hash(ssrc), ssrc, guard)? {
                Probe::Found(_, held) => return Ok((false, held)),
                Probe::Vacant(at) if !array.is_full() => match array.slots.fill(at, stream, guard) {
                    Ok(held) => {
                        // Relaxed: a hint when to migrate.
                        array.filled.fetch_add(1, Ordering::Relaxed);
                        return Ok((true, held));
                    }
                    // Somebody filled or froze the slot: look again.
                    Err(back) => stream = back,
                },
                Probe::Vacant(_) | Probe::Migrating => self.migrate(array, guard)?,
            }
        }
    }

    /// Puts `new` in the place of `old`. False if somebody else did, with another.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyStreams`] if `old` is a blank.
    pub(crate) fn replace(&self, old: &Stream, new: Arc<Stream>, guard: &Guard<'_>) -> Result<bool> {
        let (before, after) = (old.counts_in_table(), new.counts_in_table());
        if after && !before {
            self.reserve()?;
        }
        let replaced = self.exchange(old, new, guard)?;
        if replaced && before && !after || !replaced && after && !before {
            self.release();
        }
        Ok(replaced)
    }

    fn exchange(&self, old: &Stream, mut new: Arc<Stream>, guard: &Guard<'_>) -> Result<bool> {
        let ssrc = old.ssrc();
        loop {
            let array = self.array(guard)?;
            match array.probe(self.hash(ssrc), ssrc, guard)? {
                Probe::Found(at, held) if core::ptr::eq(held, old) => {
                    match array.slots.replace(at, old, new, Bulk::Small, guard) {
                        Ok(()) => return Ok(true),
                        Err(back) => new = back,
                    }
                    if array.slots.load(at, guard)?.frozen {
                        self.migrate(array, guard)?;
                    }
                }
                _ => return Ok(false),
            }
        }
    }

    /// Every stream and floor, in no order. One that comes or goes meanwhile may be missed.
    pub(crate) fn iter<'g>(&'g self, guard: &'g Guard<'_>) -> Result<impl Iterator<Item = &'g Stream>> {
        let slots = &self.array(guard)?.slots;
        Ok((0..slots.len()).filter_map(move |at| slots.load(at, guard).ok()?.value))
    }

    #[inline(always)]
    fn array<'g>(&'g self, guard: &'g Guard<'_>) -> Result<&'g Array> {
        // Never empty; the error keeps a panic off the data path.
        self.root.load(0, guard)?.value.ok_or(Error::TooManyStreams)
    }

    /// Moves everything from `from` to its successor, which becomes the root. Any number of threads may do so at once.
    #[cold]
    fn migrate(&self, from: &Array, guard: &Guard<'_>) -> Result<()> {
        if from.next.load(0, guard)?.value.is_none() {
            // Blanks are not copied: with many of them, what stays fits an array as long. Relaxed: as in `reserve`; that of any length will do.
            let grows = self.count.load(Ordering::Relaxed) > from.slots.len() / 4;
            let len = if grows { from.slots.len() * 2 } else { from.slots.len() };
            // If another thread was first, its array serves.
            drop(from.next.fill(0, Arc::new(Array::new(self.root.domain(), len)), guard));
        }
        let Some(to) = from.next.freeze(0, guard)? else { return Ok(()) };
        for at in 0..from.slots.len() {
            if let Some(stream) = from.slots.freeze(at, guard)?.filter(|stream| stream.counts_in_table()) {
                to.adopt(self.hash(stream.ssrc()), stream, guard)?;
            }
        }
        // Fails if another helper was first.
        drop(self.root.replace(0, from, to, from.bulk(), guard));
        Ok(())
    }

    /// Where the probe for an SSRC starts: a permutation of 32 bits, seeded, of which the low bits serve.
    #[inline(always)]
    fn hash(&self, ssrc: Ssrc) -> usize {
        let mixed = (u64::from(ssrc.0) ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // 32 bits, of which the low ones are used.
        (mixed >> 32) as usize
    }
}

impl Array {
    fn new(domain: DomainId, len: usize) -> Self {
        Self { slots: Slots::new(domain, len), filled: AtomicUsize::new(0), next: Single::empty(domain) }
    }

    /// As an array that was left: its streams live on in the next.
    fn bulk(&self) -> Bulk {
        const FEW: usize = 64;
        if self.slots.len() <= FEW { Bulk::Small } else { Bulk::Large }
    }

    fn is_full(&self) -> bool {
        // Relaxed: a hint; a slot that is really there decides.
        self.filled.load(Ordering::Relaxed) * 2 >= self.slots.len()
    }

    #[inline(always)]
    fn probe<'g>(&'g self, hash: usize, ssrc: Ssrc, guard: &'g Guard<'_>) -> Result<Probe<'g>> {
        for step in 0..self.slots.len() {
            let at = hash.wrapping_add(step);
            match self.slots.load(at, guard)? {
                Slot { value: Some(stream), .. } if stream.ssrc() == ssrc => return Ok(Probe::Found(at, stream)),
                Slot { value: Some(_), .. } => {}
                Slot { value: None, frozen: true } => return Ok(Probe::Migrating),
                Slot { value: None, frozen: false } => return Ok(Probe::Vacant(at)),
            }
        }
        Ok(Probe::Migrating)
    }

    /// Takes in a stream of the array before, unless it is here already (invariant 2).
    fn adopt(&self, hash: usize, mut stream: Arc<Stream>, guard: &Guard<'_>) -> Result<()> {
        while let Probe::Vacant(at) = self.probe(hash, stream.ssrc(), guard)? {
            match self.slots.fill(at, stream, guard) {
                Ok(_) => {
                    self.filled.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
                Err(back) => stream = back,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
