//! The threads of a domain: how one becomes a member, and who is pinned.
//!
//! A thread registers itself when it first pins a domain, in thread-local storage keyed by the domain's id. Ids are never reused, so an entry of a
//! domain long gone can never be taken for that of a new one; such entries are pruned when the thread registers with another domain.
//!
//! Each member has a record that the domain can read: a name, and a sequence number that is odd while the thread is pinned. Readers write their own
//! record and no other, and read no clock; who looks at the records twice can tell who has been pinned in between.

use super::domain::{DomainId, Inner};
use crate::primitive::atomic::{AtomicBool, AtomicU64, Ordering};
use core::cell::RefCell;
use core::fmt;
use core::ptr::NonNull;
use crossbeam_epoch::LocalHandle;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

/// What a domain knows of a member.
pub(super) struct Record {
    thread: String,
    lane: usize,
    /// Odd while pinned. Written by the member alone.
    sequence: AtomicU64,
    /// Guards the member holds. Written by the member alone.
    depth: AtomicU64,
    left: AtomicBool,
    /// The last odd sequence number that a look saw, and when it first did. Nobody but `Readers::look` uses it.
    seen: Mutex<Option<(u64, Instant)>>,
}

impl Record {
    fn new(thread: String, lane: usize) -> Self {
        Self {
            thread,
            lane,
            sequence: AtomicU64::new(0),
            depth: AtomicU64::new(0),
            left: AtomicBool::new(false),
            seen: Mutex::new(None),
        }
    }

    pub(super) const fn lane(&self) -> usize {
        self.lane
    }

    /// Notes one more guard.
    #[inline]
    pub(super) fn enter(&self) {
        // Relaxed, in `leave` too: written by one thread; others read it to name a stall, and order nothing by it.
        let depth = self.depth.load(Ordering::Relaxed);
        self.depth.store(depth + 1, Ordering::Relaxed);
        if depth == 0 {
            self.step();
        }
    }

    /// Notes one guard less.
    #[inline]
    pub(super) fn leave(&self) {
        let depth = self.depth.load(Ordering::Relaxed);
        self.depth.store(depth.wrapping_sub(1), Ordering::Relaxed);
        if depth == 1 {
            self.step();
        }
    }

    /// Notes that the thread pinned afresh, if it did: with one guard only.
    pub(super) fn again(&self) {
        if self.depth.load(Ordering::Relaxed) == 1 {
            self.step();
            self.step();
        }
    }

    #[inline]
    fn step(&self) {
        // Relaxed: as in `enter`.
        self.sequence.store(self.sequence.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    fn is_pinned(&self) -> bool {
        self.sequence.load(Ordering::Relaxed) & 1 == 1
    }
}

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

/// The records of a domain's members.
#[derive(Default)]
pub(super) struct Readers(Mutex<Vec<Arc<Record>>>);

impl Readers {
    /// Makes the record of the calling thread.
    fn enroll(&self) -> Arc<Record> {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Acquire: pairs with the Release in `Member::drop`: a record is dropped only if its thread is gone and left no guard behind. Guards point
        // to it.
        records.retain(|record| !record.left.load(Ordering::Acquire) || record.is_pinned());
        let taken: Vec<usize> = records.iter().map(|record| record.lane).collect();
        let lane = (0..).find(|lane| !taken.contains(lane)).unwrap_or_default();
        let thread = std::thread::current();
        let name = thread.name().map_or_else(|| format!("{:?}", thread.id()), str::to_owned);
        let record = Arc::new(Record::new(name, lane));
        records.push(Arc::clone(&record));
        record
    }

    /// Who is pinned, and since when at least.
    pub(super) fn look(&self) -> Vec<PinnedReader> {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let pinned = |record: &Arc<Record>| {
            let sequence = record.sequence.load(Ordering::Relaxed);
            let mut seen = record.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if sequence & 1 == 0 {
                *seen = None;
                return None;
            }
            let since = match *seen {
                Some((then, since)) if then == sequence => since,
                _ => now,
            };
            *seen = Some((sequence, since));
            let gone = if record.left.load(Ordering::Relaxed) { " (exited, guard forgotten)" } else { "" };
            Some(PinnedReader { thread: format!("{}{gone}", record.thread), since })
        };
        records.iter().filter_map(pinned).collect()
    }
}

/// A thread's membership in a domain.
struct Member {
    id: DomainId,
    handle: LocalHandle,
    record: Arc<Record>,
    domain: Weak<Inner>,
}

impl Drop for Member {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `enroll`, which must see a guard that is still held as such.
        self.record.left.store(true, Ordering::Release);
    }
}

thread_local! {
    static MEMBERSHIPS: RefCell<Vec<Member>> = const { RefCell::new(Vec::new()) };
}

/// A pin, and the record in which it is noted; `None` where the thread has no membership.
pub(super) struct Pinned {
    pub(super) pin: crossbeam_epoch::Guard,
    pub(super) record: Option<NonNull<Record>>,
}

impl Inner {
    /// Pins the calling thread, which becomes a member first if it is not.
    #[inline]
    pub(super) fn pin(this: &Arc<Self>) -> Pinned {
        if cfg!(crossbeam_loom) {
            // The threads of a model share one thread-local storage.
            return this.pin_once();
        }
        MEMBERSHIPS.try_with(|list| this.pin_in(list, this)).unwrap_or_else(|_| this.pin_once())
    }

    /// Whether the calling thread holds a guard of this domain.
    pub(super) fn is_pinned_here(&self) -> bool {
        let pinned = |list: &RefCell<Vec<Member>>| {
            let list = list.try_borrow().ok()?;
            list.iter().find(|member| member.id == self.id()).map(|member| member.handle.is_pinned())
        };
        MEMBERSHIPS.try_with(pinned).ok().flatten().unwrap_or(false)
    }

    fn pin_in(&self, list: &RefCell<Vec<Member>>, this: &Arc<Self>) -> Pinned {
        if let Ok(list) = list.try_borrow()
            && let Some(member) = list.iter().find(|member| member.id == self.id())
        {
            return member.pin();
        }
        self.join_in(list, this)
    }

    #[cold]
    fn join_in(&self, list: &RefCell<Vec<Member>>, this: &Arc<Self>) -> Pinned {
        // Fails only inside a pin of this thread that runs deferred code, which takes no guard (invariant 5).
        let Ok(mut list) = list.try_borrow_mut() else { return self.pin_once() };
        list.retain(|member| member.domain.strong_count() > 0);
        let member = Member {
            id: self.id(),
            handle: self.collector().register(),
            record: self.readers().enroll(),
            domain: Arc::downgrade(this),
        };
        let pinned = member.pin();
        list.push(member);
        pinned
    }

    /// Pins without a membership, for a thread whose thread-local storage is gone already. The pin keeps the collector's record of it alive, and
    /// takes it along.
    #[cold]
    fn pin_once(&self) -> Pinned {
        Pinned { pin: self.collector().register().pin(), record: None }
    }
}

impl Member {
    #[inline]
    fn pin(&self) -> Pinned {
        self.record.enter();
        Pinned { pin: self.handle.pin(), record: Some(NonNull::from(&*self.record)) }
    }
}

#[cfg(test)]
pub(super) fn memberships() -> usize {
    MEMBERSHIPS.with(|list| list.borrow().len())
}
