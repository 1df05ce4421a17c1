//! All other scenarios at once, for as long as asked, while memory and the keys that wait are watched.
//!
//! The parts share a domain, but for those that need one of their own, and the board; each has a small pool. None may
//! break what it promises alone. Memory may not grow from the first half of the run to the second, and at no time may
//! more keys wait to be wiped than the domain allows and some that are retired by other means than a rekey.

use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use keyflip::Domain;
use rayon::ThreadPoolBuilder;

use super::Scenario;
use crate::board::Promise;
use crate::lanes::Run;
use crate::memory::Memory;
use crate::progress::Progress;
use crate::report::Counter;
use crate::runner::{RECLAIM, attempt, reclaimed};
use crate::settings::Settings;

/// Runs many scenarios at once.
pub struct Soak {
    /// Them.
    pub parts: &'static [&'static dyn Scenario],
    /// How many retired keys may wait at most.
    pub waiting: u64,
}

impl Soak {
    /// Twice what a domain allows before it refuses a rekey: sessions may be dropped beyond it.
    pub const WAITING: u64 = 2 * 4096;
}

/// Time between two samples.
const INTERVAL: Duration = Duration::from_millis(5);

impl Scenario for Soak {
    fn name(&self) -> &'static str {
        "soak"
    }

    fn about(&self) -> &'static str {
        "runs all the others at once, and watches the memory and how many keys wait to be wiped"
    }

    fn effort(&self) -> &'static [Counter] {
        &Counter::ALL
    }

    fn run(&self, run: &Run<'_>) -> Result<()> {
        let parts = self.parts.len().max(1);
        let share = u32::try_from(parts).unwrap_or(u32::MAX);
        let rekeys_per_second = match run.settings.rekeys_per_second {
            0 => 0,
            rate => (rate / share).max(1),
        };
        let settings = Settings {
            threads: (run.settings.threads / 4).max(2),
            streams: (run.settings.streams / parts).max(1),
            rekeys_per_second,
            ..*run.settings
        };
        let mut memory = Memory::watch(run);
        thread::scope(|scope| {
            let start = |scenario: &'static dyn Scenario| {
                let settings = &settings;
                scope.spawn(move || part(run, settings, scenario))
            };
            let running: Vec<_> = self.parts.iter().copied().map(start).collect();
            while !running.iter().all(thread::ScopedJoinHandle::is_finished) {
                memory.sample();
                let stats = run.domain.stats();
                let waiting = stats.keys_retired.saturating_sub(stats.keys_wiped);
                if waiting > self.waiting {
                    run.board.broke(Promise::P9, format_args!("{waiting} retired keys wait to be wiped"));
                    break;
                }
                run.progress.show(run.board.packets());
                thread::sleep(INTERVAL);
            }
            running
                .into_iter()
                .try_for_each(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })?;
        memory.judge(run, Promise::P9);
        Ok(())
    }
}

/// Runs one scenario beside the others.
fn part(run: &Run<'_>, settings: &Settings, scenario: &'static dyn Scenario) -> Result<()> {
    let name = scenario.name();
    let own = scenario.domain();
    let pool = ThreadPoolBuilder::new()
        .num_threads(settings.threads)
        .thread_name(move |index| format!("{name}-{index}"))
        .build()
        .context("cannot start the threads")?;
    let progress = Progress::silent(name);
    let domain: &Domain = own.as_ref().unwrap_or(run.domain);
    let part = Run {
        settings,
        domain,
        board: run.board,
        name,
        pool: &pool,
        progress: &progress,
        began: run.began,
        stop: AtomicBool::new(false),
        owes: AtomicBool::new(false),
        is_alone: false,
        effort: scenario.effort(),
    };
    attempt(scenario, &part);
    drop(pool);
    if let Some(own) = own {
        run.board.book_keys(reclaimed(&own, RECLAIM, run.board));
    }
    Ok(())
}
