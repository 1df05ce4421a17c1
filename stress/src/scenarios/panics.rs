//! Readers panic while they are pinned, and threads exit in the middle of their work: nothing leaks.
//!
//! Each lane has its batches received in one of four ways: on its own thread, by a call that panics after some packets
//! and is caught; by a thread that panics and is not; by one that just ends; and by one that receives its last packets
//! from the destructor of a thread-local value, when thread-local storage is going or gone. What such a reader leaves,
//! the lane receives itself. Then nobody may be pinned for long: what was retired is wiped.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use keyflip::{Guard, Inbound};
use rand::RngExt;

use super::Scenario;
use crate::board::{Counts, Promise};
use crate::call::{Call, Line, Talker, any_profile};
use crate::feats::Feats;
use crate::lanes::{Lane, Run};
use crate::pace::Pace;
use crate::stream::Manner;

/// Panics.
pub struct Panics {
    /// Whether a reader that panics forgets its guard, so that it never unpins: on purpose.
    pub forgets: bool,
    /// How long keys may take to be wiped beside these readers.
    pub patience: Duration,
}

impl Panics {
    /// As they should be.
    pub const CLEAN: Self = Self { forgets: false, patience: Duration::from_secs(20) };
}

const SYNCHRONIZED: &str = "wiped everything beside readers that panic";

/// What a reader panics with here.
struct Deliberate;

/// Drops the messages of panics that are deliberate, and no others.
fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !panic.payload().is::<Deliberate>() {
                others(panic);
            }
        }));
    });
}

/// Goes on if the panic was deliberate; if it was not, goes on with the panic.
fn forgive(outcome: thread::Result<()>) {
    if let Err(panic) = outcome
        && !panic.is::<Deliberate>()
    {
        resume_unwind(panic);
    }
}

impl Scenario for Panics {
    fn name(&self) -> &'static str {
        "panic"
    }

    fn about(&self) -> &'static str {
        "has readers panic under their guards and threads exit in the middle of their work: nothing leaks, nothing stops"
    }

    fn run(&self, run: &Run<'_>) -> Result<()> {
        silence();
        let lanes = run.settings.threads;
        let mut rng = run.rng(0);
        let line = Line::new(Call::new(run.domain, any_profile(&mut rng), keyflip::Grace::LAST, lanes, &mut rng)?);
        let lane = |lane| Reckless {
            talker: Talker::new(run, &line, lane, lanes, Manner::default()),
            forgets: self.forgets,
            tried: AtomicU32::new(0),
        };
        let mut readers: Vec<_> = (0..lanes).map(lane).collect();
        let control = || {
            let mut feats = Feats::new(run, &[SYNCHRONIZED]);
            let mut pace = Pace::new(run.settings.rekeys_per_second);
            let call = line.call();
            while !run.is_stopped() {
                if !pace.is_due() {
                    continue;
                }
                let mut turned = false;
                for pair in call.ways() {
                    if !run.has_backlog() && pair.turn(&mut rng).context("rekey")? {
                        turned = true;
                        run.board.book(Counts { rekeys: 2, ..Counts::default() }, &[]);
                    }
                }
                if turned {
                    pace.note();
                } else {
                    thread::yield_now();
                }
                if rng.random_ratio(1, 32) {
                    match run.domain.synchronize(self.patience) {
                        Ok(()) => feats.did(SYNCHRONIZED),
                        Err(error) => {
                            run.board.broke(Promise::P9, format_args!("beside readers that panic: {error}"));
                            break;
                        }
                    }
                }
            }
            Ok(())
        };
        run.beside(control, || run.drive(&mut readers))?;
        for reader in &mut readers {
            reader.talker.end();
        }
        line.call().ways().into_iter().for_each(|pair| pair.judge(run.board));
        Ok(())
    }
}

/// Ways to end badly.
const WAYS: u32 = 4;

/// A lane whose readers end badly.
struct Reckless<'r> {
    talker: Talker<'r>,
    forgets: bool,
    /// How many readers it has had.
    tried: AtomicU32,
}

impl Lane for Reckless<'_> {
    fn advance(&mut self) -> Result<()> {
        let (tried, forgets) = (&self.tried, self.forgets);
        self.talker.talk(|stream, board, pair| {
            // Relaxed: only that the ways take turns.
            let n = tried.fetch_add(1, Ordering::Relaxed);
            let mut left = n / WAYS % 12;
            let panics = |_: &Guard<'_>| {
                if left == 0 {
                    if forgets {
                        std::mem::forget(pair.inbound.domain().pin());
                    }
                    panic_any(Deliberate);
                }
                left -= 1;
            };
            match n % WAYS {
                0 => forgive(catch_unwind(AssertUnwindSafe(|| stream.deliver_with(board, pair, panics)))),
                1 => on_a_thread(|| stream.deliver_with(board, pair, panics)),
                2 => on_a_thread(|| stream.deliver(board, pair)),
                _ => on_a_thread(|| {
                    // Which destructor runs first depends on which value was there first.
                    let is_first = (n / WAYS).is_multiple_of(2);
                    if is_first {
                        LAST.replace(Some(Farewell(pair.inbound.clone())));
                    }
                    stream.deliver(board, pair);
                    if !is_first {
                        LAST.replace(Some(Farewell(pair.inbound.clone())));
                    }
                }),
            }
            stream.deliver(board, pair);
        })
    }

    fn race(&mut self) -> Result<()> {
        self.talker.race();
        Ok(())
    }

    fn is_satisfied(&self) -> bool {
        // Relaxed: as above.
        self.tried.load(Ordering::Relaxed) >= WAYS
    }
}

/// Receives on a thread that ends then, if it does not panic.
fn on_a_thread(receive: impl FnOnce() + Send) {
    forgive(thread::scope(|scope| scope.spawn(receive).join()));
}

thread_local! {
    static LAST: RefCell<Option<Farewell>> = const { RefCell::new(None) };
}

/// Receives noise when it is dropped.
struct Farewell(Inbound);

impl Drop for Farewell {
    fn drop(&mut self) {
        // Nobody is left to tell. That it is refused is tried elsewhere.
        let _ = self.0.unprotect_rtp_autopin(&mut [0x80; 100]);
    }
}
