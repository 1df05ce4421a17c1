//! Domains, and the guards of their readers.

use super::events::Events;
use super::readers::{Pinned, PinnedReader, Readers, Record};
use super::reclaimer::{Backoff, Engine};
use super::tally::{DomainStats, Tally};
use super::timers::Task;
use crate::error::{Error, Result};
use crate::event::{Event, EventKind};
use crate::primitive::atomic::Ordering;
use crate::primitive::{StaticU64, yield_now};
use core::fmt;
use core::ptr::NonNull;
use core::time::Duration;
use crossbeam_epoch::Collector;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

/// A reclamation domain: contexts built in it share one collector, and so one guard serves them all.
///
/// One per process is the rule. It has a collector of its own, so no other user of `crossbeam-epoch` in the process can
/// hold up the destruction of keys. A `Domain` is a handle: clones name the same domain.
///
/// A thread of its own, started when something is first retired, destroys what no reader can see any more, and sleeps when there is nothing. When
/// the last handle and the last context are gone, what is still retired is destroyed.
#[derive(Clone)]
pub struct Domain(Arc<Inner>);

/// Names a domain. Structures keep it instead of a handle, so that what waits in a domain's queue does not keep the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DomainId(u64);

pub(super) struct Inner {
    id: DomainId,
    engine: Arc<Engine>,
    /// The reclaimer does the work. Else the program does, by `reclaim`.
    reclaims: bool,
    /// More values than these may not wait when another key is to be retired.
    backlog: u64,
    readers: Readers,
    /// One thread at a time turns the tally's phase.
    synchronizing: Mutex<()>,
    /// Broken on purpose, for a model that must fail.
    #[cfg(crossbeam_loom)]
    frees_at_once: bool,
}

/// Keeps what its thread reads from the contexts of one [`Domain`] alive.
///
/// Take one per batch of packets, drop it before waiting for more: keys replaced meanwhile cannot be wiped while it lives.
/// It does not cross threads. Guards of one thread may nest; only the last to go unpins.
#[must_use = "a guard that is dropped at once protects nothing"]
pub struct Guard<'d> {
    pin: crossbeam_epoch::Guard,
    domain: &'d Inner,
    record: Option<NonNull<Record>>,
}

/// Why [`Domain::synchronize`] could not say that everything is gone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SynchronizeError {
    /// The calling thread holds a guard of the domain, and would wait for itself.
    #[error("the calling thread is pinned itself")]
    CallerPinned,
    /// Readers kept their guards longer than the caller would wait.
    #[error("{waiting} retired values wait for {}", list(readers))]
    Stalled {
        /// Values retired before the call that are not destroyed yet.
        waiting: u64,
        /// The threads that were pinned when time was up. The one that has been so for longest is the likeliest cause.
        readers: Vec<PinnedReader>,
    },
}

fn list(readers: &[PinnedReader]) -> String {
    match readers {
        [] => "no reader that is still pinned: a thread is just destroying them".to_owned(),
        _ => readers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// How many values may wait in a domain before a rekey is refused, unless said otherwise. A retired key costs some three kilobytes.
const BACKLOG: u64 = 4096;

impl Domain {
    /// Makes a domain with a reclaimer.
    #[must_use]
    pub fn new() -> Self {
        Self::with(true, BACKLOG)
    }

    /// Makes a domain without a thread of its own, for programs that call [`Self::reclaim`] from a loop.
    #[must_use]
    pub fn without_reclaimer() -> Self {
        Self::with(false, BACKLOG)
    }

    /// Makes a domain in which a rekey is refused while more than `values` retired values wait for readers (4096 unless said): a stalled reader then
    /// costs so much memory and no more.
    #[must_use]
    pub fn with_backlog(values: u64) -> Self {
        Self::with(true, values)
    }

    fn with(reclaims: bool, backlog: u64) -> Self {
        static NEXT_ID: StaticU64 = StaticU64::new(0);
        let domain = Self(Arc::new(Inner {
            // Relaxed: only uniqueness matters.
            id: DomainId(NEXT_ID.fetch_add(1, Ordering::Relaxed)),
            engine: Arc::new(Engine::new(Collector::new(), Arc::new(Tally::default()))),
            reclaims,
            backlog,
            readers: Readers::default(),
            synchronizing: Mutex::new(()),
            #[cfg(crossbeam_loom)]
            frees_at_once: false,
        }));
        domain.tally().tell(&domain.0.engine.timers.events);
        domain
    }

    /// A domain that destroys what it should retire: broken on purpose.
    #[cfg(crossbeam_loom)]
    pub(crate) fn freeing_at_once() -> Self {
        let mut domain = Self::without_reclaimer();
        if let Some(inner) = Arc::get_mut(&mut domain.0) {
            inner.frees_at_once = true;
        }
        domain
    }

    /// Pins the calling thread, registering it on first use.
    ///
    /// # Performance
    ///
    /// A thread-local look-up, three stores and one fence: 5 to 8 ns. Every 128th call of a thread also tries to destroy what
    /// others retired, which takes longer by as much as that is.
    pub fn pin(&self) -> Guard<'_> {
        let Pinned { pin, record } = Inner::pin(&self.0);
        Guard { pin, domain: &self.0, record }
    }

    /// Drives reclamation from the calling thread as far as the readers let it, and says how many retired values are left.
    ///
    /// For programs that have a loop of their own. It ends when nothing is left, or when several passes in a row freed
    /// nothing since some reader is still pinned. A thread that calls it under a guard of its own holds itself up.
    ///
    /// First it does what is due: in a domain without reclaimer, nobody else does.
    pub fn reclaim(&self) -> u64 {
        if !self.0.is_pinned_here() {
            self.0.engine.timers.run_due();
        }
        let start = Instant::now();
        // With no reader pinned, what is left is in the hands of another thread that is just destroying it: it is waited for, but not forever, since
        // not every pin is on record.
        let held_up = || !self.0.readers.look().is_empty() || start.elapsed() >= Self::HANDOVER;
        self.0.tally().drain(|| self.pin().pin.flush(), held_up)
    }

    /// How long [`Self::reclaim`] waits for values that another thread is destroying. Not at all in a model, where no time passes.
    const HANDOVER: Duration = if cfg!(crossbeam_loom) { Duration::ZERO } else { Duration::from_secs(1) };

    /// Waits until everything that was retired before the call is destroyed: after a rekey and the end of its grace, until the old key is wiped.
    ///
    /// It helps with the work. It waits for readers to unpin, never the other way round.
    ///
    /// # Errors
    ///
    /// [`SynchronizeError::CallerPinned`] at once; [`SynchronizeError::Stalled`] after `within`, with the readers that are pinned.
    pub fn synchronize(&self, within: Duration) -> core::result::Result<(), SynchronizeError> {
        if self.0.is_pinned_here() {
            return Err(SynchronizeError::CallerPinned);
        }
        let deadline = Instant::now() + within;
        // A first look, so that the last one can tell who was pinned all the while.
        self.0.readers.look();
        let _turn = self.0.synchronizing.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = self.0.tally();
        // Twice: a call that gave up may have left the phase before the current one unfinished.
        for _ in 0..2 {
            let phase = tally.turn();
            let mut backoff = Backoff::default();
            while tally.waiting_in(phase) > 0 {
                if Instant::now() >= deadline {
                    return Err(SynchronizeError::Stalled {
                        waiting: tally.items_waiting(),
                        readers: self.0.readers.look(),
                    });
                }
                self.pin().pin.flush();
                backoff.wait();
            }
        }
        Ok(())
    }

    /// The threads that are pinned now.
    #[must_use]
    pub fn pinned_readers(&self) -> Vec<PinnedReader> {
        self.0.readers.look()
    }

    /// What this domain has retired and destroyed so far.
    #[must_use]
    pub fn stats(&self) -> DomainStats {
        self.0.tally().snapshot()
    }

    /// Has `task` run at `at` or shortly after: by the reclaimer, which is started if need be, or else by [`Self::reclaim`].
    ///
    /// No guard and no lock is held then. A timer keeps neither its task nor the domain; it is cancelled by dropping the task.
    pub(crate) fn schedule(&self, at: Instant, task: Weak<dyn Task>) {
        self.0.engine.timers.add(at, task);
        self.wake();
    }

    /// Has the reclaimer look at what there is to do.
    pub(super) fn wake(&self) {
        if self.0.reclaims {
            self.0.engine.ring();
        }
    }

    pub(super) fn events(&self) -> &Events {
        &self.0.engine.timers.events
    }

    /// # Errors
    ///
    /// [`Error::TooManyRetired`] if more waits than this domain allows.
    pub(crate) fn check_backlog(&self) -> Result<()> {
        if self.0.tally().items_waiting() > self.0.backlog { Err(Error::TooManyRetired) } else { Ok(()) }
    }

    pub(crate) fn tally(&self) -> &Arc<Tally> {
        self.0.tally()
    }

    pub(crate) fn id(&self) -> DomainId {
        self.0.id
    }

    #[cfg(test)]
    pub(super) fn watch(&self) -> Weak<Inner> {
        Arc::downgrade(&self.0)
    }
}

impl Inner {
    pub(super) const fn id(&self) -> DomainId {
        self.id
    }

    pub(super) fn collector(&self) -> &Collector {
        &self.engine.collector
    }

    pub(super) const fn readers(&self) -> &Readers {
        &self.readers
    }

    fn tally(&self) -> &Arc<Tally> {
        &self.engine.tally
    }

    #[cfg(not(crossbeam_loom))]
    const fn frees_at_once(&self) -> bool {
        cfg!(keyflip_free_at_once)
    }

    #[cfg(crossbeam_loom)]
    const fn frees_at_once(&self) -> bool {
        self.frees_at_once
    }
}

impl Tally {
    /// Repeats `pass` until nothing waits, or several passes in a row freed nothing and `held_up` says that it is no wonder.
    fn drain(&self, mut pass: impl FnMut(), held_up: impl Fn() -> bool) -> u64 {
        /// A value is destroyed two epochs after it was retired; one pass advances the epoch by one at most, and one more may
        /// be lost to a thread that registers or leaves just then.
        const PATIENCE: u32 = 4;
        let mut waiting = self.items_waiting();
        let mut idle = 0;
        while waiting > 0 && (idle < PATIENCE || !held_up()) {
            pass();
            let left = self.items_waiting();
            if left < waiting {
                idle = 0;
            } else {
                idle = idle.saturating_add(1);
                yield_now();
            }
            waiting = left;
        }
        waiting
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.engine.stop();
        // No guard of this domain is left but forgotten ones, which borrow its handles: what waits can go now. Only a handle of
        // this call's own will do, since the thread-local ones may be gone already.
        let handle = self.collector().register();
        self.tally().drain(|| handle.pin().flush(), || true);
    }
}

impl Default for Domain {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Domain").field("id", &self.0.id.0).field("stats", &self.stats()).finish()
    }
}

impl Guard<'_> {
    /// Lets go of what was loaded so far and pins afresh: for long batches, between packets.
    ///
    /// Has no effect while this thread holds a second guard of the domain.
    pub fn repin(&mut self) {
        self.pin.repin();
        if let Some(record) = self.record() {
            record.again();
        }
    }

    /// The pin, if it is one of the domain `id` (invariant 1 of the module).
    #[inline]
    pub(super) fn of(&self, id: DomainId) -> Option<&crossbeam_epoch::Guard> {
        (self.domain.id == id).then_some(&self.pin)
    }

    /// Tells the owner of the domain of an event.
    pub(crate) fn raise(&self, event: Event) {
        self.domain.engine.timers.events.raise(event, || {
            if self.domain.reclaims {
                self.domain.engine.ring();
            }
        });
    }

    /// Whether events of this kind are raised.
    pub(crate) fn is_watched(&self, kind: EventKind) -> bool {
        self.domain.engine.timers.events.is_watched(kind)
    }

    /// A small number that differs between the threads of a domain: which of several counters to use.
    pub(crate) fn lane(&self) -> usize {
        self.record().map_or(0, Record::lane)
    }

    #[inline]
    fn record(&self) -> Option<&Record> {
        // SAFETY: the domain's list holds a count of the record. It gives it up only when the domain is dropped, which this guard borrows, or when
        // the record's thread has left with no guard noted in it, and this guard is noted until it drops.
        self.record.map(|record| unsafe { record.as_ref() })
    }

    /// Drops `value` once every guard that is pinned now is gone.
    ///
    /// Its domain is this guard's. The caller made it unreachable under this guard (invariant 3).
    pub(super) fn retire<T: Send + 'static>(&self, value: T) {
        let tally = Arc::clone(self.domain.tally());
        let ticket = tally.item_retired();
        if self.domain.frees_at_once() {
            // Broken on purpose, to show that a sanitizer or a model would see it.
            drop(value);
            tally.item_destroyed(ticket);
            return;
        }
        let deferred = move || {
            drop(value);
            tally.item_destroyed(ticket);
        };
        // SAFETY: the closure may run on any thread, and only after this call's thread unpinned, perhaps never. It owns all it touches
        // (`'static`), `T` is `Send`, and so is the tally. It borrows nothing.
        unsafe { self.pin.defer_unchecked(deferred) };
        self.pin.flush();
        if self.domain.reclaims {
            self.domain.engine.ring();
        }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        // Before the pin goes: a look in between may miss a reader, and never blames one that is gone.
        if let Some(record) = self.record() {
            record.leave();
        }
    }
}

impl fmt::Debug for Guard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("domain", &self.domain.id.0).finish()
    }
}

#[cfg(test)]
mod tests;
