//! Work for a time to come: what ends a grace when nobody calls.
//!
//! 1. A timer holds its task weakly. It keeps neither a context nor a domain; a task that is gone by then is passed over.
//! 2. No lock is held while a task runs, and no guard by whoever runs it: a task may pin, retire, take a control mutex, and set timers. No fork happens
//!    meanwhile: a task that had begun in the parent would not be run in the child.
//! 3. Timers of tasks that are gone take no more room than those of tasks that are not, but for a few.

use super::events::Events;
use crate::kernels::fork::Whole;
use core::cmp::Ordering;
use core::panic::AssertUnwindSafe;
use std::collections::BinaryHeap;
use std::panic::catch_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

/// What a timer does when its time has come.
pub(crate) trait Task: Send + Sync {
    /// Called once for each timer, on the reclaimer's thread or in [`Domain::reclaim`](super::Domain::reclaim).
    ///
    /// Others may have done the work meanwhile: it is to look before it acts. If it panics, the timer is spent, and nothing else is lost. It is to be
    /// short: other timers wait for it, and so does a fork.
    fn run(&self);
}

struct Timer {
    at: Instant,
    task: Weak<dyn Task>,
}

/// The timers of a domain, and its events: they are due at once.
pub(super) struct Timers {
    pending: Mutex<Pending>,
    pub(super) events: Arc<Events>,
}

struct Pending {
    /// The earliest on top.
    heap: BinaryHeap<Timer>,
    /// Timers of tasks that are gone are thrown out when there are so many.
    prune_at: usize,
}

/// As long as there are no more timers, none is thrown out.
const FEW: usize = 64;

impl Timers {
    pub(super) fn new() -> Self {
        let pending = Mutex::new(Pending { heap: BinaryHeap::new(), prune_at: FEW });
        Self { pending, events: Arc::new(Events::new()) }
    }

    pub(super) fn add(&self, at: Instant, task: Weak<dyn Task>) {
        let mut pending = self.lock();
        if pending.heap.len() >= pending.prune_at {
            pending.heap.retain(|timer| timer.task.strong_count() > 0);
            pending.prune_at = FEW.max(2 * pending.heap.len());
        }
        pending.heap.push(Timer { at, task });
    }

    /// All of them, for a child's engine.
    pub(super) fn take(&self) -> Self {
        let mut before = self.lock();
        let pending = Pending { heap: core::mem::take(&mut before.heap), prune_at: before.prune_at };
        Self { pending: Mutex::new(pending), events: Arc::clone(&self.events) }
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        if self.events.is_due() {
            return Some(Instant::now());
        }
        self.lock().heap.peek().map(|timer| timer.at)
    }

    /// Runs the tasks that are due at this moment. Those that they add have to wait for another call, however early they are due.
    pub(super) fn run_due(&self) {
        self.events.deliver();
        // A task that a fork cut short would never be run in the child.
        let _whole = Whole::begin();
        for task in self.take_due() {
            let Some(task) = task.upgrade() else { continue };
            // The task is dropped in there as well: it may be the last to hold its context. The panic has been reported by its hook; whatever the
            // task left half done, others see through the same locks and atomics as after any panic of a control operation.
            let _ = catch_unwind(AssertUnwindSafe(move || task.run()));
        }
    }

    fn take_due(&self) -> Vec<Weak<dyn Task>> {
        let mut pending = self.lock();
        let mut due = Vec::new();
        if pending.heap.is_empty() {
            return due;
        }
        let now = Instant::now();
        while pending.heap.peek().is_some_and(|timer| timer.at <= now) {
            due.extend(pending.heap.pop().map(|timer| timer.task));
        }
        due
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> Ordering {
        // The other way round: a heap's top is its greatest.
        other.at.cmp(&self.at)
    }
}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Timer {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::epoch::Domain;
    use core::time::Duration;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::thread::ThreadId;

    /// A task that tells who ran it, then does what it was given.
    struct Told<F>(Mutex<mpsc::Sender<(ThreadId, Instant)>>, F);

    impl<F: Fn() + Send + Sync> Task for Told<F> {
        fn run(&self) {
            let told = (std::thread::current().id(), Instant::now());
            self.0.lock().unwrap().send(told).unwrap();
            (self.1)();
        }
    }

    type Runs = mpsc::Receiver<(ThreadId, Instant)>;

    fn task<F: Fn() + Send + Sync + 'static>(work: F) -> (Arc<dyn Task>, Runs) {
        let (sender, receiver) = mpsc::channel();
        (Arc::new(Told(Mutex::new(sender), work)), receiver)
    }

    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(20);

    #[test]
    fn the_reclaimer_runs_each_timer_once_and_not_before_its_time() {
        let domain = Domain::new();
        let (later, late_runs) = task(|| ());
        let (sooner, early_runs) = task(|| ());
        let start = Instant::now();
        // The later one first: the reclaimer sleeps for it when the earlier one comes.
        domain.schedule(start + 4 * SHORT, Arc::downgrade(&later));
        domain.schedule(start + SHORT, Arc::downgrade(&sooner));
        let (reclaimer, early) = early_runs.recv_timeout(LONG).unwrap();
        let (same, late) = late_runs.recv_timeout(LONG).unwrap();
        assert!(early >= start + SHORT && late >= start + 4 * SHORT);
        assert_eq!(reclaimer, same);
        assert_ne!(reclaimer, std::thread::current().id());
        assert!(early_runs.recv_timeout(SHORT).is_err() && late_runs.recv_timeout(SHORT).is_err());
    }

    #[test]
    fn a_domain_without_reclaimer_runs_timers_where_it_is_driven() {
        let domain = Domain::without_reclaimer();
        let (task, runs) = task(|| ());
        let start = Instant::now();
        domain.schedule(start + SHORT, Arc::downgrade(&task));
        domain.reclaim();
        assert!(start.elapsed() >= SHORT || runs.try_recv().is_err());
        std::thread::sleep(SHORT);
        assert!(runs.try_recv().is_err(), "nobody drives it");
        {
            let _guard = domain.pin();
            domain.reclaim();
            assert!(runs.try_recv().is_err(), "no task runs under a guard");
        }
        domain.reclaim();
        assert_eq!(runs.try_recv().unwrap().0, std::thread::current().id());
    }

    #[test]
    fn a_task_may_pin_retire_and_set_timers() {
        let domain = Domain::new();
        let again = Arc::new(AtomicUsize::new(0));
        let (theirs, counted) = (domain.clone(), Arc::clone(&again));
        let (task, runs) = task(move || {
            theirs.pin().retire(Box::new(0u8));
            counted.fetch_add(1, Ordering::Relaxed);
        });
        // Due long ago.
        domain.schedule(Instant::now(), Arc::downgrade(&task));
        runs.recv_timeout(LONG).unwrap();
        domain.schedule(Instant::now(), Arc::downgrade(&task));
        runs.recv_timeout(LONG).unwrap();
        let start = Instant::now();
        while again.load(Ordering::Relaxed) < 2 || domain.stats().items_waiting > 0 {
            assert!(start.elapsed() < LONG);
            std::thread::yield_now();
        }
        assert_eq!(domain.stats().latency.count(), 2);
    }

    #[test]
    fn a_task_that_panics_takes_nothing_with_it() {
        let domain = Domain::new();
        let (bad, bad_runs) = task(|| panic!("a task that panics, on purpose"));
        let (good, good_runs) = task(|| ());
        domain.schedule(Instant::now(), Arc::downgrade(&bad));
        let (reclaimer, _) = bad_runs.recv_timeout(LONG).unwrap();
        domain.schedule(Instant::now(), Arc::downgrade(&good));
        assert_eq!(good_runs.recv_timeout(LONG).unwrap().0, reclaimer);
        domain.pin().retire(Box::new(0u8));
        domain.synchronize(LONG).unwrap();
    }

    #[test]
    fn a_task_that_is_gone_is_passed_over_and_takes_no_room() {
        let timers = Timers::new();
        let (kept, runs) = task(|| ());
        let now = Instant::now();
        timers.add(now, Arc::downgrade(&kept));
        for _ in 0..100 * FEW {
            let (gone, _) = task(|| ());
            timers.add(now, Arc::downgrade(&gone));
            assert!(timers.lock().heap.len() <= FEW);
        }
        timers.run_due();
        assert_eq!(runs.try_iter().count(), 1);
        assert!(timers.lock().heap.is_empty());
    }

    #[test]
    fn timers_keep_no_domain_and_the_last_owner_may_be_a_task() {
        let domain = Domain::new();
        let theirs = Mutex::new(Some(domain.clone()));
        let (task, runs) = task(move || drop(theirs.lock().unwrap().take()));
        let (idle, idle_runs) = self::task(|| ());
        domain.schedule(Instant::now() + SHORT, Arc::downgrade(&task));
        domain.schedule(Instant::now() + LONG, Arc::downgrade(&idle));
        let watch = domain.watch();
        drop(domain);
        assert!(watch.upgrade().is_some(), "the task owns it still");
        runs.recv_timeout(LONG).unwrap();
        let start = Instant::now();
        while watch.strong_count() > 0 {
            assert!(start.elapsed() < LONG);
            std::thread::yield_now();
        }
        drop(task);
        assert!(idle_runs.try_recv().is_err());
    }
}
