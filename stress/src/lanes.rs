//! What a scenario runs on: lanes of traffic side by side on a thread pool, and a control side beside them.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use keyflip::Domain;
use rand_chacha::ChaCha8Rng;
use rayon::ThreadPool;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefMutIterator, ParallelIterator};

use crate::board::Board;
use crate::progress::Progress;
use crate::report::Counter;
use crate::settings::Settings;

/// What a scenario is given.
pub struct Run<'r> {
    /// The options.
    pub settings: &'r Settings,
    /// Where its sessions are to live.
    pub domain: &'r Domain,
    /// Where what it sees is to be noted.
    pub board: &'r Board,
    pub(crate) name: &'static str,
    pub(crate) pool: &'r ThreadPool,
    pub(crate) progress: &'r Progress,
    pub(crate) began: Instant,
    pub(crate) stop: AtomicBool,
    /// Whether the control side has not done all that it must.
    pub(crate) owes: AtomicBool,
    /// Whether nothing else runs in the process: then its memory says something of the scenario.
    pub(crate) is_alone: bool,
    /// What it must have measured.
    pub(crate) effort: &'static [Counter],
}

/// A part of a scenario's traffic that goes on step by step, alone: lanes run side by side on the pool.
pub trait Lane: Send {
    /// Delivers some packets, in about a millisecond.
    ///
    /// # Errors
    ///
    /// The run cannot go on. (A broken promise is no error: it goes to the board.)
    fn advance(&mut self) -> Result<()>;

    /// Races some packets, on two threads of the pool.
    ///
    /// # Errors
    ///
    /// As [`Self::advance`].
    fn race(&mut self) -> Result<()>;

    /// Whether the lane has done what it must do at least, however short the run.
    fn is_satisfied(&self) -> bool {
        true
    }
}

impl Run<'_> {
    /// A source of randomness for one part of the scenario.
    pub fn rng(&self, part: u64) -> ChaCha8Rng {
        self.settings.rng(self.name, part)
    }

    /// Whether the control side is to end.
    pub fn is_stopped(&self) -> bool {
        // Relaxed: the threads are joined afterwards.
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether the traffic is to end: the time is up, and it is `satisfied` with what it did. On a machine that is too
    /// busy to get anywhere it goes on for a while, but not forever, and not if a promise is broken by then.
    pub fn is_over(&self, satisfied: impl FnOnce() -> bool) -> bool {
        /// How long a run goes on at most that has not done all that it must.
        const OVERTIME: Duration = Duration::from_secs(30);
        let Some(over) = self.began.elapsed().checked_sub(self.settings.seconds) else {
            return self.board.is_hopeless();
        };
        let is_futile = self.settings.seconds.is_zero() || over > OVERTIME;
        // Relaxed: a hint to go on.
        let owes = self.owes.load(Ordering::Relaxed);
        is_futile || self.board.is_broken() || !owes && satisfied() && self.missing().is_empty()
    }

    /// The counters that must not be 0, and are. A run that was told not to rekey is not blamed for that.
    pub(crate) fn missing(&self) -> Vec<Counter> {
        let Ok((counts, ..)) = self.board.read() else { return Vec::new() };
        let rekeys = self.settings.rekeys_per_second > 0;
        let is_missing = |counter: &&Counter| counter.of(&counts) == 0 && (rekeys || !counter.needs_rekeys());
        self.effort.iter().filter(is_missing).copied().collect()
    }

    /// Whether so much waits to be wiped that the control side should hold back.
    ///
    /// A thread that is preempted under its guard holds up all that is retired meanwhile, and on busy cores that is a
    /// lot. Any owner would wait then, rather than be refused.
    pub fn has_backlog(&self) -> bool {
        /// A quarter of what the library allows.
        const BACKLOG: u64 = 1024;
        self.domain.stats().items_waiting > BACKLOG
    }

    /// Whether so much waits to be wiped that the next rekey may be refused: a lane that rekeys holds back too.
    pub fn is_choked(&self) -> bool {
        /// Three quarters of what the library allows.
        const CHOKED: u64 = 3072;
        self.domain.stats().items_waiting > CHOKED
    }

    /// Calls `control` on a thread of its own, which ends when [`Self::is_stopped`], while `traffic` runs.
    ///
    /// # Errors
    ///
    /// Those of the two.
    pub fn beside(
        &self,
        control: impl FnOnce() -> Result<()> + Send,
        traffic: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        /// Stops the control side even if the traffic panics.
        struct StopAtEnd<'s>(&'s AtomicBool);
        impl Drop for StopAtEnd<'_> {
            fn drop(&mut self) {
                // Relaxed: as in `is_stopped`.
                self.0.store(true, Ordering::Relaxed);
            }
        }
        std::thread::scope(|scope| {
            let control = scope.spawn(control);
            let stop = StopAtEnd(&self.stop);
            let traffic = traffic();
            drop(stop);
            let control = control.join().unwrap_or_else(|panic| resume_unwind(panic));
            traffic.and(control.context("control side"))
        })
    }

    /// Drives `lanes` until the time is up, and all of them are satisfied.
    ///
    /// All lanes advance side by side; every other time, some of them race then. A race takes a free thread, so it has
    /// half of the pool to find one.
    ///
    /// # Errors
    ///
    /// The first lane's that fails.
    pub fn drive<L: Lane>(&self, lanes: &mut [L]) -> Result<()> {
        let racing = (self.settings.threads / 2).clamp(1, lanes.len().max(1));
        self.pool.install(|| {
            for step in 0_u64.. {
                if lanes.is_empty() || self.is_over(|| lanes.iter().all(Lane::is_satisfied)) {
                    return Ok(());
                }
                lanes.par_iter_mut().try_for_each(Lane::advance)?;
                if step.is_multiple_of(2) {
                    // Another choice each time.
                    lanes.rotate_left(racing % lanes.len());
                    lanes.par_iter_mut().take(racing).try_for_each(Lane::race)?;
                }
                self.progress.show(self.board.packets());
            }
            Ok(())
        })
    }

    /// Calls `each` for every lane, side by side on the pool.
    ///
    /// # Errors
    ///
    /// The first call's that fails.
    pub fn for_each<L: Lane>(&self, lanes: &mut [L], each: impl Fn(&mut L) -> Result<()> + Sync) -> Result<()> {
        self.pool.install(|| lanes.par_iter_mut().try_for_each(&each))
    }
}
