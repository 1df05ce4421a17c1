//! Reclamation that needs nobody's help: a thread that drives a domain's epoch while anything waits, and parks when nothing does.
//!
//! Most of the time it has nothing to do. Whoever retired something, or was asked under a pin, does the work as it unpins; the thread is for what is
//! left then, and for timers.
//!
//! 1. A retirement counts what waits, and a timer is added, before it rings. The reclaimer announces that it parks before it looks whether anything
//!    waits and when the next timer is due, and looks before it parks. So either it sees what there is, or the ring sees it parked, and wakes it.
//! 2. It holds the engine, not the domain: it does not keep a domain alive. The domain tells it to stop.
//! 3. A child process has an engine of its own, and so a bell of its own, that nobody has answered yet.

use super::engine::{Destroyed, Engine, Share};
use crate::kernels::fork::Whole;
use crate::kernels::unmap_what_was_left;
use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::primitive::yield_now;
use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::Instant;

/// By which a reclaimer is called.
pub(super) struct Bell {
    state: AtomicU64,
    thread: Mutex<Option<Thread>>,
}

/// No reclaimer runs.
const ABSENT: u64 = 0;
/// It is at work, or will look once more before it parks.
const AWAKE: u64 = 1;
const PARKED: u64 = 2;
/// It ends at its next look.
const STOPPED: u64 = 3;

impl Bell {
    pub(super) fn new() -> Self {
        Self { state: AtomicU64::new(ABSENT), thread: Mutex::new(None) }
    }

    /// Tells the reclaimer to end.
    pub(super) fn stop(&self) {
        let _whole = Whole::begin();
        self.state.store(STOPPED, Ordering::SeqCst);
        if let Some(thread) = &*self.thread.lock().unwrap_or_else(PoisonError::into_inner) {
            thread.unpark();
        }
    }

    fn is_stopped(&self) -> bool {
        self.state.load(Ordering::SeqCst) == STOPPED
    }
}

impl Engine {
    /// Sees to it that a reclaimer looks at what waits, and at the timers, as of now.
    pub(super) fn ring(self: &Arc<Self>) {
        if !self.reclaims || self.tally.items_waiting() == 0 && self.next_timer().is_none() {
            return;
        }
        // SeqCst, with the reclaimer's: of "I park" and "something waits" at least one is seen by the other side (invariant 1).
        let before = self.bell.state.swap(AWAKE, Ordering::SeqCst);
        if before == AWAKE {
            return;
        }
        let _whole = Whole::begin();
        let mut thread = self.bell.thread.lock().unwrap_or_else(PoisonError::into_inner);
        match &*thread {
            Some(thread) if before == PARKED => thread.unpark(),
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
                self.bell.state.store(ABSENT, Ordering::SeqCst);
                None
            }
        }
    }

    fn run(&self) {
        let handle = self.collector.register();
        loop {
            self.run_due();
            let mut backoff = Backoff::default();
            while self.tally.items_waiting() > 0 && !self.bell.is_stopped() {
                let whole = Whole::begin();
                if self.destroy(Share::Idle, || handle.pin()) != Destroyed::Nothing {
                    backoff = Backoff::default();
                } else {
                    self.ask();
                    drop(whole);
                    backoff.wait();
                }
                self.run_due();
            }
            // Readers may have emptied slabs with the last that waited.
            unmap_what_was_left();
            Self::free_nodes(|| handle.pin());
            // SeqCst: as in `ring`.
            if self.bell.state.compare_exchange(AWAKE, PARKED, Ordering::SeqCst, Ordering::SeqCst).is_err() {
                return;
            }
            while self.tally.items_waiting() == 0 && self.bell.state.load(Ordering::SeqCst) == PARKED {
                match self.next_timer().map(|at| at.saturating_duration_since(Instant::now())) {
                    None => std::thread::park(),
                    Some(Duration::ZERO) => break,
                    Some(left) => std::thread::park_timeout(left),
                }
            }
            // Whoever rang has set it already; else something waits that rang before, or a timer is due. Stopped, it stays so.
            let _ = self.bell.state.compare_exchange(PARKED, AWAKE, Ordering::SeqCst, Ordering::SeqCst);
        }
    }

    fn next_timer(&self) -> Option<Instant> {
        let _whole = Whole::begin();
        self.timers.next()
    }

    /// Runs the tasks that are due.
    pub(super) fn run_due(&self) {
        self.timers.run_due();
    }
}

/// Waits longer and longer, up to a bound that keeps the wipe within milliseconds of the last unpin.
#[derive(Default)]
pub(super) struct Backoff {
    round: u32,
}

impl Backoff {
    const SHORTEST: Duration = Duration::from_micros(20);
    const DOUBLINGS: u32 = 6;

    pub(super) fn wait(&mut self) {
        if cfg!(crossbeam_loom) {
            return yield_now();
        }
        std::thread::sleep(Self::SHORTEST * (1 << self.round.min(Self::DOUBLINGS)));
        self.round += 1;
    }
}
