//! Reclamation that needs nobody's help: a thread that drives a domain's epoch while anything waits, and parks when nothing does.
//!
//! 1. A retirement counts what waits, and a timer is added, before it rings. The reclaimer announces that it parks before it looks whether anything
//!    waits and when the next timer is due, and looks before it parks. So either it sees what there is, or the ring sees it parked, and wakes it.
//! 2. It holds the collector and the tally, not the domain: it does not keep a domain alive. The domain tells it to stop.
//! 3. A child process has no reclaimer, whatever the word says: each ring compares the process id, and a child starts one of its own.

use super::tally::Tally;
use super::timers::Timers;
use crate::primitive::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use crossbeam_epoch::Collector;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::Instant;

/// What a domain and its reclaimer share.
pub(super) struct Engine {
    pub(super) collector: Collector,
    pub(super) tally: Arc<Tally>,
    pub(super) timers: Timers,
    /// `process id << 2 | state`.
    bell: AtomicU64,
    thread: Mutex<Option<Thread>>,
}

/// No reclaimer runs.
const ABSENT: u64 = 0;
/// It is at work, or will look once more before it parks.
const AWAKE: u64 = 1;
const PARKED: u64 = 2;
/// It ends at its next look.
const STOPPED: u64 = 3;
const STATE: u64 = 3;

impl Engine {
    pub(super) fn new(collector: Collector, tally: Arc<Tally>) -> Self {
        Self { collector, tally, timers: Timers::new(), bell: AtomicU64::new(ABSENT), thread: Mutex::new(None) }
    }

    /// Tries to move the epoch on, and destroys what may go.
    fn pass(&self) {
        self.collector.register().pin().flush();
    }

    /// Sees to it that a reclaimer looks at what waits, and at the timers, as of now.
    pub(super) fn ring(self: &Arc<Self>) {
        let here = u64::from(std::process::id()) << 2;
        // SeqCst, with the reclaimer's: of "I park" and "something waits" at least one is seen by the other side (invariant 1).
        let before = self.bell.swap(here | AWAKE, Ordering::SeqCst);
        if before == here | AWAKE {
            return;
        }
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        match &*thread {
            Some(thread) if before == here | PARKED => thread.unpark(),
            _ => *thread = self.start(),
        }
    }

    fn start(self: &Arc<Self>) -> Option<Thread> {
        let engine = Arc::clone(self);
        let name = "keyflip-reclaim".to_owned();
        match std::thread::Builder::new().name(name).spawn(move || engine.run()) {
            Ok(handle) => Some(handle.thread().clone()),
            Err(_) => {
                // No thread to be had: the next retirement tries again, and readers and `Domain::reclaim` do the work meanwhile.
                self.bell.store(ABSENT, Ordering::SeqCst);
                None
            }
        }
    }

    /// Tells the reclaimer to end.
    pub(super) fn stop(&self) {
        self.bell.fetch_or(STOPPED, Ordering::SeqCst);
        if let Some(thread) = &*self.thread.lock().unwrap_or_else(PoisonError::into_inner) {
            thread.unpark();
        }
    }

    fn run(&self) {
        let awake = u64::from(std::process::id()) << 2 | AWAKE;
        let parked = u64::from(std::process::id()) << 2 | PARKED;
        loop {
            let mut backoff = Backoff::default();
            self.timers.run_due();
            while self.tally.items_waiting() > 0 && !self.is_stopped() {
                let before = self.tally.items_waiting();
                self.pass();
                self.timers.run_due();
                if self.tally.items_waiting() < before {
                    backoff = Backoff::default();
                } else {
                    backoff.wait();
                }
            }
            // SeqCst: as in `ring`.
            if self.bell.compare_exchange(awake, parked, Ordering::SeqCst, Ordering::SeqCst).is_err() {
                return;
            }
            while self.tally.items_waiting() == 0 && self.bell.load(Ordering::SeqCst) == parked {
                match self.timers.next().map(|at| at.saturating_duration_since(Instant::now())) {
                    None => std::thread::park(),
                    Some(Duration::ZERO) => break,
                    Some(left) => std::thread::park_timeout(left),
                }
            }
            // Whoever rang has set it already; else something waits that rang before, or a timer is due. Stopped, it stays so.
            let _ = self.bell.compare_exchange(parked, awake, Ordering::SeqCst, Ordering::SeqCst);
        }
    }

    fn is_stopped(&self) -> bool {
        self.bell.load(Ordering::SeqCst) & STATE == STOPPED
    }
}

/// Waits longer and longer, up to a bound that keeps the wipe within milliseconds of the last unpin.
#[derive(Default)]
pub(super) struct Backoff {
    round: u32,
}

impl Backoff {
    const YIELDS: u32 = 8;
    const SHORTEST: Duration = Duration::from_micros(20);
    const DOUBLINGS: u32 = 6;

    pub(super) fn wait(&mut self) {
        if self.round < Self::YIELDS {
            std::thread::yield_now();
        } else {
            std::thread::sleep(Self::SHORTEST * (1 << (self.round - Self::YIELDS).min(Self::DOUBLINGS)));
        }
        self.round += 1;
    }
}
