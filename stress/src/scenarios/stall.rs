//! A reader sits on its guard: the others go on, and the control side learns who it is.
//!
//! The domain allows a small backlog. Again and again a thread pins and waits, and keys are turned until the library
//! refuses, as it must once the backlog is full and not long after. `synchronize` must name the thread meanwhile, the
//! others must receive under the newest keys, and what they hold must stay bounded. Then the thread receives a packet
//! under its old guard and lets go: all that waited must be wiped, and keys turn again.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use keyflip::{Domain, Error, SynchronizeError};
use rand_chacha::ChaCha8Rng;

use super::Scenario;
use crate::board::{Counts, Promise};
use crate::call::{Call, Line, Talker, any_profile};
use crate::feats::Feats;
use crate::lanes::Run;
use crate::stream::{Manner, Stream};

/// Stalls.
pub struct Stall {
    /// Whether the reader holds its guard. If it does not, there is no stall: on purpose.
    pub holds: bool,
    /// Values that may wait before a rekey is refused.
    pub backlog: u64,
}

impl Stall {
    /// A small backlog.
    pub const SMALL: Self = Self { holds: true, backlog: BACKLOG };
}

/// The backlog that the scenario counts on.
const BACKLOG: u64 = 64;

/// Turns that may succeed at most before one is refused: each retires a key and a ring at either end, but the first.
const TURNS: u64 = BACKLOG;

/// How long `synchronize` may look for the culprit.
const LOOK: Duration = Duration::from_millis(5);

/// How long anything may take that needs no more than a time slice.
const PATIENCE: Duration = Duration::from_secs(20);

const REFUSED: &str = "refused a rekey over the backlog";
const NAMED: &str = "named the thread that stalls";
const WENT_ON: &str = "received beside the thread that stalls";
const WIPED: &str = "wiped everything after the stall";

impl Scenario for Stall {
    fn name(&self) -> &'static str {
        "stall"
    }

    fn about(&self) -> &'static str {
        "has a reader sit on its guard: the others go on, it is named, rekeys are refused in time, and then all is wiped"
    }

    fn domain(&self) -> Option<Domain> {
        Some(Domain::with_backlog(self.backlog))
    }

    fn run(&self, run: &Run<'_>) -> Result<()> {
        let lanes = run.settings.threads;
        let mut rng = run.rng(0);
        let call = Call::new(run.domain, any_profile(&mut rng), keyflip::Grace::LAST, lanes, &mut rng)?;
        let line = Line::new(call);
        let mut talkers: Vec<_> =
            (0..lanes).map(|lane| Talker::new(run, &line, lane, lanes, Manner::default())).collect();
        let control = || {
            let mut feats = Feats::new(run, &[REFUSED, NAMED, WENT_ON, WIPED]);
            let call = line.call();
            for number in 1_u64.. {
                if run.is_stopped() || run.board.is_broken() || run.settings.rekeys_per_second == 0 {
                    break;
                }
                self.stall(run, &call, number, &mut rng, &mut feats)?;
            }
            Ok(())
        };
        run.beside(control, || run.drive(&mut talkers))?;
        for talker in &mut talkers {
            talker.end();
        }
        line.call().ways().into_iter().for_each(|pair| pair.judge(run.board));
        Ok(())
    }
}

impl Stall {
    /// One stall, from the pin to the wipe.
    fn stall(
        &self,
        run: &Run<'_>,
        call: &Call,
        number: u64,
        rng: &mut ChaCha8Rng,
        feats: &mut Feats<'_>,
    ) -> Result<()> {
        let name = format!("sleeper-{number}");
        let own = Call::new(run.domain, any_profile(rng), keyflip::Grace::LAST, 1, rng)?;
        let (pair, holds) = (&own.rx, self.holds);
        let mut stream = Stream::new(1, Manner::default(), run.rng(number));
        thread::scope(|scope| {
            let (tell, told) = mpsc::channel();
            // In here, so that the sleeper wakes whatever becomes of this thread.
            let (wake, woken) = mpsc::channel::<()>();
            let sleeper = move || {
                let guard = holds.then(|| run.domain.pin());
                stream.send(pair)?;
                stream.end();
                // They fail only if the other side is gone.
                let _ = tell.send(());
                let _ = woken.recv();
                stream.deliver(run.board, pair);
                drop(guard);
                anyhow::Ok(())
            };
            let sleeper = thread::Builder::new().name(name.clone()).spawn_scoped(scope, sleeper)?;
            // It fails if the sleeper failed: the join says why.
            let outcome = if told.recv().is_ok() { during(run, call, &name, rng, feats) } else { Ok(()) };
            drop(wake);
            sleeper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).and(outcome)
        })?;
        drop(own);
        after(run, call, rng, feats)
    }
}

/// What must hold while the thread `name` sits on its guard.
fn during(run: &Run<'_>, call: &Call, name: &str, rng: &mut ChaCha8Rng, feats: &mut Feats<'_>) -> Result<()> {
    let mut turns = 0;
    // Until a turn is refused. Turns wait for the traffic: the run may end first.
    while !run.is_stopped() {
        match turn(run, call, rng)? {
            Turn::Done => turns += 1,
            Turn::Early => thread::yield_now(),
            Turn::Refused => {
                feats.did(REFUSED);
                break;
            }
        }
        if turns > TURNS {
            let what = format_args!("{turns} rekeys beside a stalled reader, and none was refused");
            run.board.broke(Promise::P9, what);
            break;
        }
    }
    if run.is_stopped() {
        return Ok(());
    }
    match run.domain.synchronize(LOOK) {
        Err(SynchronizeError::Stalled { readers, .. }) if readers.iter().any(|reader| reader.thread == name) => {
            feats.did(NAMED);
        }
        outcome => {
            let what = format_args!("{name} sits on its guard, and synchronize says {outcome:?}");
            run.board.broke(Promise::P9, what);
        }
    }
    let guard = run.domain.pin();
    if run.domain.synchronize(LOOK) != Err(SynchronizeError::CallerPinned) {
        run.board.broke(Promise::P9, "synchronize under a guard of the caller's own does not say so");
    }
    drop(guard);
    let (before, began) = (call.rx.batches(), Instant::now());
    while call.rx.batches() < before + 2 {
        if run.is_stopped() {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            run.board.broke(Promise::P1, format_args!("no packet in {PATIENCE:?} beside a stalled reader"));
            return Ok(());
        }
        thread::sleep(Duration::from_micros(100));
    }
    feats.did(WENT_ON);
    Ok(())
}

/// What must hold once nobody sits on a guard any more.
fn after(run: &Run<'_>, call: &Call, rng: &mut ChaCha8Rng, feats: &mut Feats<'_>) -> Result<()> {
    if let Err(error) = run.domain.synchronize(PATIENCE) {
        run.board.broke(Promise::P9, format_args!("after the stall: {error}"));
    }
    let began = Instant::now();
    while !run.is_stopped() {
        match turn(run, call, rng)? {
            Turn::Done => {
                feats.did(WIPED);
                break;
            }
            _ if began.elapsed() > PATIENCE => {
                run.board.broke(Promise::P9, "rekeys are refused still, long after the stall");
                break;
            }
            _ => thread::yield_now(),
        }
    }
    Ok(())
}

enum Turn {
    Done,
    /// Packets under the key before are in flight.
    Early,
    /// Too much waits to be wiped.
    Refused,
}

fn turn(run: &Run<'_>, call: &Call, rng: &mut ChaCha8Rng) -> Result<Turn> {
    match call.rx.turn(rng) {
        Ok(true) => {
            run.board.book(Counts { rekeys: 2, ..Counts::default() }, &[]);
            Ok(Turn::Done)
        }
        Ok(false) => Ok(Turn::Early),
        Err(Error::TooManyRetired) => Ok(Turn::Refused),
        Err(error) => bail!("rekey: {error}"),
    }
}
