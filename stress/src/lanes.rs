//! What a scenario runs on: lanes of traffic side by side on a thread pool, and a control side beside them.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use keyflip::Domain;
use rand_chacha::ChaCha8Rng;
use rayon::ThreadPool;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefMutIterator, ParallelIterator};

use crate::board::Board;
use crate::progress::Progress;
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
                let is_over = self.began.elapsed() >= self.settings.seconds && lanes.iter().all(Lane::is_satisfied);
                if is_over || self.board.is_hopeless() || lanes.is_empty() {
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
