//! Runs one scenario and judges it.
//!
//! Each scenario has a thread pool and a [`Domain`] of its own. When it returns, all its sessions are gone; then
//! every key must be wiped within `RECLAIM`, and be counted (P9). A panic in any of its threads ends the scenario and
//! counts against it: nothing here waits for a thread that is gone.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use keyflip::{Domain, DomainStats};
use rayon::ThreadPoolBuilder;

use crate::board::{Board, Promise};
use crate::lanes::Run;
use crate::progress::Progress;
use crate::report::Report;
use crate::scenarios::Scenario;
use crate::settings::Settings;

/// How long keys may take to be wiped once nothing reads any more.
pub(crate) const RECLAIM: Duration = Duration::from_secs(10);

/// Runs `scenario`.
///
/// # Errors
///
/// It could not be started. Whatever goes wrong later is in the report.
pub fn run(scenario: &dyn Scenario, settings: &Settings) -> Result<Report> {
    let name = scenario.name();
    let board = Board::new(settings.threads)?;
    let pool = ThreadPoolBuilder::new()
        .num_threads(settings.threads)
        .thread_name(|index| format!("rx-{index}"))
        .build()
        .context("cannot start the threads")?;
    let domain = scenario.domain().unwrap_or_default();
    let progress = Progress::start(name, settings.seconds);
    let began = Instant::now();
    let run = Run {
        settings,
        domain: &domain,
        board: &board,
        name,
        pool: &pool,
        progress: &progress,
        began,
        stop: AtomicBool::new(false),
        owes: AtomicBool::new(false),
        is_alone: true,
        effort: scenario.effort(),
    };
    attempt(scenario, &run);
    let missing = run.missing();
    drop(pool);
    let keys = board.keys(reclaimed(&domain, RECLAIM, &board));
    let (counts, unprotect, _) = board.read()?;
    if counts.packets == 0 || keys.keys_wiped == 0 {
        board.broke(Promise::Run, format_args!("{name}: {} packets, {} keys wiped", counts.packets, keys.keys_wiped));
    }
    for counter in missing {
        board.broke(Promise::Run, format_args!("{name}: {counter} is 0"));
    }
    let (.., broken) = board.read()?;
    let elapsed = began.elapsed().as_secs_f64();
    let report = Report::new(name, settings, counts, &unprotect, keys, elapsed, &broken);
    let outcome = if report.passed { "passed" } else { "FAILED" };
    progress.end(&format!("{outcome}: {} packets, {} rekeys", report.packets, report.rekeys));
    Ok(report)
}

/// Runs `scenario`; what goes wrong is on the board then.
pub(crate) fn attempt(scenario: &dyn Scenario, run: &Run<'_>) {
    let (name, board) = (run.name, run.board);
    match catch_unwind(AssertUnwindSafe(|| scenario.run(run))) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => board.broke(Promise::Run, format_args!("{name}: {error:#}")),
        Err(panic) => board.broke(Promise::P11, format_args!("{name}: a thread panicked: {}", message(&*panic))),
    }
}

/// The domain's counts once nothing waits any more, or `patience` is over. All its keys must be gone then.
pub(crate) fn reclaimed(domain: &Domain, patience: Duration, board: &Board) -> DomainStats {
    let began = Instant::now();
    let stats = loop {
        domain.reclaim();
        let stats = domain.stats();
        if stats.items_waiting == 0 {
            break stats;
        }
        if began.elapsed() > patience {
            let (waiting, pinned) = (stats.items_waiting, domain.pinned_readers());
            let what =
                format_args!("{waiting} items still wait {patience:?} after all sessions went; pinned: {pinned:?}");
            board.broke(Promise::P9, what);
            break stats;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let DomainStats { keys_created, keys_retired, keys_wiped, .. } = stats;
    if keys_created != keys_retired || keys_retired != keys_wiped {
        let what = format_args!("{keys_created} keys created, {keys_retired} retired, {keys_wiped} wiped");
        board.broke(Promise::P9, what);
    }
    stats
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> &str {
    let string = panic.downcast_ref::<String>().map(String::as_str);
    string.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Counter;

    /// Does what a test wants.
    struct Fake(fn(&Run<'_>) -> Result<()>);

    impl Scenario for Fake {
        fn name(&self) -> &'static str {
            "fake"
        }

        fn about(&self) -> &'static str {
            ""
        }

        fn effort(&self) -> &'static [Counter] {
            &[]
        }

        fn run(&self, run: &Run<'_>) -> Result<()> {
            (self.0)(run)
        }
    }

    fn broken(scenario: fn(&Run<'_>) -> Result<()>) -> String {
        let settings = Settings { seconds: Duration::ZERO, threads: 2, streams: 1, rekeys_per_second: 0, seed: 1 };
        let report = super::run(&Fake(scenario), &settings).unwrap();
        assert!(!report.passed);
        report.broken.join("\n")
    }

    #[test]
    fn a_panic_of_any_thread_is_a_broken_promise_and_no_hang() {
        let on_the_control_side = broken(|run| run.beside(|| panic!("control {}", 1), || Ok(())));
        assert!(on_the_control_side.contains("P11: no input panics: fake: a thread panicked: control 1"));
        let on_the_pool = broken(|run| {
            let wait = || {
                while !run.is_stopped() {
                    std::thread::yield_now();
                }
                Ok(())
            };
            run.beside(wait, || run.pool.install(|| panic!("pool")))
        });
        assert!(on_the_pool.contains("a thread panicked: pool"), "{on_the_pool}");
    }

    #[test]
    fn an_error_and_an_idle_scenario_prove_nothing() {
        assert!(broken(|_| anyhow::bail!("no idea")).contains("proves nothing: fake: no idea"));
        assert!(broken(|_| Ok(())).contains("fake: 0 packets, 0 keys wiped"));
    }

    fn session(domain: &Domain) -> keyflip::Session {
        let key = keyflip::MasterKey::take(&mut [1; 30]);
        keyflip::Session::builder(keyflip::Profile::Aes128CmSha1_80).inbound(key).build(domain).unwrap()
    }

    #[test]
    fn a_session_that_outlives_its_scenario_breaks_p9() {
        let leaky = broken(|run| {
            std::mem::forget(session(run.domain));
            Ok(())
        });
        assert!(
            leaky.contains("P9: replaced keys are wiped, and none is forgotten: 1 keys created, 0 retired"),
            "{leaky}"
        );
    }

    #[test]
    fn a_reader_that_never_unpins_breaks_p9() {
        let (domain, board) = (Domain::new(), Board::new(1).unwrap());
        std::thread::scope(|scope| {
            let guard = domain.pin();
            scope.spawn(|| {
                let key = keyflip::MasterKey::take(&mut [2; 30]);
                let session = session(&domain);
                session.inbound().rekey(key).unwrap();
                session.inbound().end_grace().unwrap();
                drop(session);
                reclaimed(&domain, Duration::from_millis(20), &board);
            });
            // Held until the other thread is done.
            std::thread::sleep(Duration::from_millis(300));
            drop(guard);
        });
        let (.., broken) = board.read().unwrap();
        assert!(broken.iter().any(|broken| broken.what.contains("still wait 20ms")), "{broken:?}");
    }
}
