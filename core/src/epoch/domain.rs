//! Domains, and the guards of their readers.

use super::engine::{Destroyed, Engine, Share};
use super::events::Events;
use super::guard::Guard;
use super::readers::PinnedReader;
use super::reclaimer::Backoff;
use super::record::{Leave, Record};
use super::tally::{DomainStats, Tally};
use super::timers::Task;
use crate::error::{Error, Result};
use crate::kernels::fork::{self, Whole};
use crate::primitive::atomic::Ordering;
use crate::primitive::{PlainU64, yield_now};
use core::fmt;
use core::time::Duration;
use std::sync::{Arc, PoisonError, Weak};
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
    /// Of the process in which the domain was made. A child finds its own from here.
    engine: Arc<Engine>,
    /// More values than these may not wait when another key is to be retired.
    backlog: u64,
    /// Broken on purpose, for a model that must fail.
    #[cfg(crossbeam_loom)]
    flaw: Option<Flaw>,
}

/// What is wrong with a domain that is broken on purpose.
#[cfg(crossbeam_loom)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It destroys at once what it should retire.
    FreesAtOnce,
    /// It reads who is pinned without the fence before.
    ReadsPinsUnfenced,
    /// It takes a pin for over as soon as it has seen it.
    TakesPinsForOver,
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
        static NEXT_ID: PlainU64 = PlainU64::new(0);
        fork::watch();
        let domain = Self(Arc::new(Inner {
            // Relaxed: only uniqueness matters.
            id: DomainId(NEXT_ID.fetch_add(1, Ordering::Relaxed)),
            engine: Arc::new(Engine::new(Arc::new(Tally::default()), reclaims)),
            backlog,
            #[cfg(crossbeam_loom)]
            flaw: None,
        }));
        domain.tally().tell(&domain.0.engine.timers.events);
        domain
    }

    /// A domain that is broken on purpose.
    #[cfg(crossbeam_loom)]
    pub(crate) fn with_flaw(flaw: Flaw) -> Self {
        let mut domain = Self::without_reclaimer();
        let inner = Arc::get_mut(&mut domain.0).expect("nobody else has it yet");
        inner.flaw = Some(flaw);
        inner.engine.readers.set_flaw(flaw);
        domain
    }

    /// Pins the calling thread, registering it on first use.
    ///
    /// # Performance
    ///
    /// A thread-local look-up, four stores and one fence: 5 to 8 ns, the drop included. Where something waits for the guard, dropping it takes longer:
    /// up to 32 retired values are destroyed then, a quarter of a microsecond or more each. Every 128th call of a thread also moves the collector's epoch
    /// on, which takes as long as a look at each thread of the domain.
    pub fn pin(&self) -> Guard<'_> {
        Guard::new(&self.0)
    }

    /// Drives reclamation from the calling thread as far as the readers let it, and says how many retired values are left.
    ///
    /// For programs that have a loop of their own. It ends when nothing is left, or when several passes in a row freed
    /// nothing since some reader is still pinned. A thread that calls it under a guard of its own holds itself up.
    ///
    /// First it does what is due: in a domain without reclaimer, nobody else does.
    pub fn reclaim(&self) -> u64 {
        let engine = self.0.engine();
        if !engine.is_pinned_here() {
            engine.run_due();
        }
        let start = Instant::now();
        // With no reader pinned, what is left is in the hands of another thread that is just destroying it: it is waited for, but not forever, since
        // not every pin is on record.
        let held_up = || !engine.look().is_empty() || start.elapsed() >= Self::HANDOVER;
        self.0.tally().drain(|| self.0.pass(), held_up)
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
        let engine = self.0.engine();
        if engine.is_pinned_here() {
            return Err(SynchronizeError::CallerPinned);
        }
        // `None`: in another age of the world.
        let deadline = Instant::now().checked_add(within);
        // A first look, so that the last one can tell who was pinned all the while.
        engine.look();
        let _turn = engine.synchronizing.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = self.0.tally();
        // Twice: a call that gave up may have left the phase before the current one unfinished.
        for _ in 0..2 {
            let phase = tally.turn();
            let mut backoff = Backoff::default();
            while tally.waiting_in(phase) > 0 {
                if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    return Err(SynchronizeError::Stalled { waiting: tally.items_waiting(), readers: engine.look() });
                }
                self.0.pass();
                backoff.wait();
            }
        }
        Ok(())
    }

    /// The threads that are pinned now.
    #[must_use]
    pub fn pinned_readers(&self) -> Vec<PinnedReader> {
        self.0.engine().look()
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
        let _whole = Whole::begin();
        self.0.engine().timers.add(at, task);
        self.wake();
    }

    /// Has the reclaimer look at what there is to do.
    pub(super) fn wake(&self) {
        self.0.engine().ring();
    }

    pub(super) fn events(&self) -> &Events {
        &self.0.engine().timers.events
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

    /// The engine of this process.
    #[inline]
    pub(super) fn engine(&self) -> &Arc<Engine> {
        Engine::of_this_process(&self.engine)
    }

    fn tally(&self) -> &Arc<Tally> {
        &self.engine.tally
    }

    /// Destroys what may go.
    fn pass(&self) {
        let _whole = Whole::begin();
        self.engine().destroy(Share::Idle, || self.bare_pin());
        Engine::free_nodes(|| self.bare_pin());
    }

    /// Helps what waits along, after a pin that it waited for. `record` is the thread's.
    #[cold]
    pub(super) fn lend_a_hand(&self, leave: Leave, record: &Record) {
        let (share, whole) = match leave {
            Leave::Replaced => (Share::Replacer, Some(Whole::begin())),
            Leave::Grown => (Share::Reader, Some(Whole::begin())),
            // It has packets to see to, and waits for no fork. What it leaves has been rung for.
            Leave::Asked | Leave::Quiet => (Share::Reader, Whole::try_begin()),
        };
        let Some(_whole) = whole else { return };
        let engine = self.engine();
        if engine.destroy(share, || self.bare_pin()) == Destroyed::Share {
            // There is more: whoever unpins next goes on, and so does this thread.
            engine.ask();
            record.ask_for_next();
        }
        if leave != Leave::Asked {
            engine.ring();
        }
    }

    /// Destroys a value although there may be readers: broken on purpose.
    pub(super) fn free_at_once(&self, value: Box<dyn Send>) {
        let ticket = self.tally().item_retired();
        drop(value);
        self.tally().item_destroyed(ticket, None);
    }

    #[cfg(not(crossbeam_loom))]
    pub(super) const fn frees_at_once(&self) -> bool {
        cfg!(keyflip_free_at_once)
    }

    #[cfg(crossbeam_loom)]
    pub(super) const fn frees_at_once(&self) -> bool {
        matches!(self.flaw, Some(Flaw::FreesAtOnce))
    }
}

impl Tally {
    /// Repeats `pass` until nothing waits, or several passes in a row freed nothing and `held_up` says that it is no wonder.
    fn drain(&self, mut pass: impl FnMut(), held_up: impl Fn() -> bool) -> u64 {
        /// A value may be in the hands of another thread for a moment.
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
        let engine = self.engine();
        engine.bell.stop();
        if cfg!(crossbeam_loom) {
            // A model does not see what the counts of a standard `Arc` order; it sees the collector.
            let handle = engine.collector.register();
            let pass = || {
                engine.destroy(Share::Idle, || handle.pin());
            };
            self.tally().drain(pass, || true);
        }
        // A reference to a value is bound to a guard, and a guard to a handle of the domain, and there is no handle any more. So nobody can see what
        // waits, not even under a guard that was forgotten.
        engine.destroy_all();
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

#[cfg(test)]
mod tests;
