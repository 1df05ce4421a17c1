//! The readers of a domain: who is pinned, who of them may see a value, and when the last of those was gone.
//!
//! Each thread that pins has a record, which the domain can read: a sequence number that is odd while the thread is pinned. An odd number names a pin.
//! Readers write their own record and no other.
//!
//! 1. A pin is noted before the fence that the collector's own pin makes; whoever retires a value has made it unreachable before a fence of his own, and
//!    reads the records after it. So he sees every pin under which the value may have been loaded, or that it is over.
//! 2. A pin that was seen can see what was retired then; a later one cannot. So a value may go when every pin that was seen at its retirement is over.
//! 3. Records are never freed while the domain lives, and sequence numbers never start again: a record and a number name one pin for good.
//!
//! Readers read no clock and help nobody, unless they are *asked*:
//!
//! 4. Whoever retires a value asks all who are pinned just then, by writing the number of their pin into their record. A reader that finds its own number
//!    there when its pin ends notes the time, and destroys what may go. It finds it in a line that it is about to write anyway.
//! 5. A record remembers when the last few pins were over that were asked. A question may miss its pin: asked just when the reader looks the other way.
//!    When that pin was over is not known then, and it counts as if it had held up nothing. So a wait is never taken for shorter than it was.

#[cfg(crossbeam_loom)]
use super::domain::Flaw;
use super::record::{Pin, Record};
use crate::kernels::fork::this_thread;
use crate::primitive::atomic::{Ordering, fence};
use core::fmt;
use std::sync::OnceLock;
use std::time::Instant;

/// A thread that is pinned, as far as anybody looked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PinnedReader {
    /// The thread's name, or its id in the process where it has none. Says so if the thread has exited with its guard forgotten.
    pub thread: String,
    /// It has been pinned since then, or longer: the first time that somebody saw it so.
    pub since: Instant,
}

impl fmt::Display for PinnedReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (for {:?})", self.thread, self.since.elapsed())
    }
}

/// The records of a domain: as many as threads were ever pinned in it at once, or nearly.
pub(super) struct Readers {
    epoch: Instant,
    first: Chunk,
    /// Broken on purpose, for a model that must fail.
    #[cfg(crossbeam_loom)]
    flaw: OnceLock<Flaw>,
}

/// Each twice as long as the one before.
struct Chunk {
    records: Box<[Record]>,
    next: OnceLock<Box<Chunk>>,
}

/// In a model, just enough: it would not see how another chunk is published.
const FIRST_CHUNK: usize = if cfg!(crossbeam_loom) { 3 } else { 8 };

impl Chunk {
    fn new(from: usize, len: usize, epoch: Instant) -> Self {
        Self { records: (from..from + len).map(|lane| Record::new(lane, epoch)).collect(), next: OnceLock::new() }
    }
}

impl Readers {
    /// `epoch` is when the clock of the domain began.
    pub(super) fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            first: Chunk::new(0, FIRST_CHUNK, epoch),
            #[cfg(crossbeam_loom)]
            flaw: OnceLock::new(),
        }
    }

    #[cfg(crossbeam_loom)]
    pub(super) fn set_flaw(&self, flaw: Flaw) {
        let _ = self.flaw.set(flaw);
    }

    #[cfg(crossbeam_loom)]
    fn has(&self, flaw: Flaw) -> bool {
        self.flaw.get() == Some(&flaw)
    }

    /// Makes a record the calling thread's.
    pub(super) fn enroll(&self) -> &Record {
        let thread = this_thread();
        let (mut chunk, mut before) = (&self.first, 0);
        loop {
            if let Some(record) = chunk.records.iter().find(|record| record.take(thread)) {
                return record;
            }
            before += chunk.records.len();
            let next = || Box::new(Chunk::new(before, 2 * chunk.records.len(), self.epoch));
            chunk = chunk.next.get_or_init(next);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Record> {
        let chunks = core::iter::successors(Some(&self.first), |chunk| chunk.next.get().map(|next| &**next));
        chunks.flat_map(|chunk| chunk.records.iter())
    }

    /// The pins of now: all under which a value can be seen that was made unreachable before. They are asked to say when they are over.
    pub(super) fn pins(&self) -> Vec<Pin> {
        #[cfg(crossbeam_loom)]
        if self.has(Flaw::ReadsPinsUnfenced) {
            return self.iter().filter_map(Record::ask).collect();
        }
        // Pairs with the fence in the collector's pin (invariant 1).
        fence(Ordering::SeqCst);
        self.iter().filter_map(Record::ask).collect()
    }

    /// Asks all who are pinned to lend a hand when that is over.
    pub(super) fn ask(&self) {
        for record in self.iter() {
            record.ask();
        }
    }

    /// Whether a pin of this domain is over. All that was read under it is read then.
    pub(super) fn is_over(&self, pin: &Pin) -> bool {
        #[cfg(crossbeam_loom)]
        if self.has(Flaw::TakesPinsForOver) {
            return true;
        }
        self.record(pin.lane).is_none_or(|record| record.is_over(pin.number))
    }

    /// When the last of `pins` was over, as far as that is known.
    pub(super) fn last_end(&self, pins: &[Pin]) -> Option<u64> {
        pins.iter().filter_map(|pin| self.record(pin.lane)?.end_of(pin.number)).max()
    }

    pub(super) fn record(&self, lane: usize) -> Option<&Record> {
        let (mut chunk, mut at) = (&self.first, lane);
        while at >= chunk.records.len() {
            at -= chunk.records.len();
            chunk = chunk.next.get()?;
        }
        chunk.records.get(at)
    }

    /// Who is pinned, and since when at least.
    pub(super) fn look(&self, now: Instant) -> Vec<PinnedReader> {
        self.iter().filter_map(|record| record.look(now)).collect()
    }
}

#[cfg(test)]
mod tests;
