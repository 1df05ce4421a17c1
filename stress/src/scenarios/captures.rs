//! Every shipped capture at once, round after round, while decoy keys come and go.
//!
//! Each capture is a session of its own in one domain. Its packets go in capture order, since that is what its
//! verdicts depend on; the captures run side by side. The keys of a capture cannot be chosen, so the control side adds
//! random ones beside them and retires them again, without pause: real swaps of the ring under the readers, which must
//! change nothing. Replays and forgeries in between must change nothing either, so every verdict stays the side file's.

mod decoys;

use std::path::Path;
use std::sync::PoisonError;

use anyhow::{Context, Result};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use self::decoys::{Target, Targets, decoys};
use super::Scenario;
use crate::board::{Counts, Promise};
use crate::courier::Courier;
use crate::feed::{Plan, Receiver, verdict};
use crate::lanes::{Lane, Run};
use crate::oracle::{Difference, Oracle, Outcome};
use crate::race::race;
use crate::side::{Packet, SHIPPED, Verdict, load_dir};

/// Replays the captures of a folder.
pub struct Captures {
    /// The folder.
    pub dir: &'static str,
}

impl Captures {
    /// The captures that come with this crate.
    pub const SHIPPED: Self = Self { dir: SHIPPED };
}

impl Scenario for Captures {
    fn name(&self) -> &'static str {
        "captures"
    }

    fn about(&self) -> &'static str {
        "replays every shipped capture side by side, against its oracle, while decoy keys come and go"
    }

    fn run(&self, run: &Run<'_>) -> Result<()> {
        let captures = load_dir(Path::new(self.dir))?;
        let plan = |capture| Plan::of(capture).with_context(|| capture.name.clone());
        let plans = captures.iter().map(plan).collect::<Result<Vec<_>>>()?;
        let targets = Targets::default();
        // Enough lanes for all threads, however many.
        let copies = run.settings.threads.div_ceil(plans.len().max(1));
        let lanes = plans.iter().cycle().take(plans.len() * copies).zip(0..);
        let lanes = lanes.map(|(plan, id)| Replay::new(run, plan, &targets, id)).collect::<Result<Vec<_>>>();
        let mut lanes = lanes?;
        run.beside(|| decoys(run, &targets), || run.drive(&mut lanes))
    }
}

/// A capture on its way through a receiver.
struct Replay<'r> {
    run: &'r Run<'r>,
    plan: &'r Plan<'r>,
    targets: &'r Targets,
    id: u64,
    rng: ChaCha8Rng,
    receiver: Receiver<'r>,
    /// What became of the packets so far.
    outcomes: Vec<(Verdict, Option<Vec<u8>>)>,
    rounds: u64,
}

impl<'r> Replay<'r> {
    /// Packets of one step.
    const STEP: usize = 256;
    /// Packets of one race.
    const RACE: usize = 16;
    /// How far back replays go: well within every window.
    const RECENT: usize = 64;

    fn new(run: &'r Run<'r>, plan: &'r Plan<'r>, targets: &'r Targets, id: u64) -> Result<Self> {
        let receiver = plan.receiver(run.domain).with_context(|| plan.capture.name.clone())?;
        let rng = run.rng(1 + id);
        let replay = Self { run, plan, targets, id, rng, receiver, outcomes: Vec::new(), rounds: 0 };
        replay.announce();
        Ok(replay)
    }

    fn announce(&self) {
        let target = Target {
            round: self.rounds,
            inbound: self.receiver.inbound().clone(),
            profile: self.plan.profile,
            mkis: self.plan.capture.side.keys.iter().map(|key| key.mki.clone()).collect(),
        };
        self.targets.lock().unwrap_or_else(PoisonError::into_inner).insert(self.id, target);
    }

    fn packets(&self) -> &'r [Packet] {
        &self.plan.capture.side.packets
    }

    fn oracle(&self) -> Oracle<'r> {
        Oracle::new(&self.plan.capture.side)
    }

    /// Judges the next packet.
    fn note(&mut self, counts: &mut Counts, verdict: Verdict, plain: Option<Vec<u8>>) {
        let n = self.outcomes.len();
        if let Err(difference) = self.oracle().check(n, verdict, plain.as_deref()) {
            self.blame(counts, n, verdict, &difference);
        }
        self.outcomes.push((verdict, plain));
    }

    /// Which promise a difference breaks.
    fn blame(&self, counts: &mut Counts, n: usize, verdict: Verdict, difference: &Difference) {
        let expect = self.packets().get(n).map(|packet| packet.expect);
        let promise = match (expect, verdict) {
            (Some(Verdict::Ok), Verdict::Ok) => {
                counts.mismatched_plaintexts += 1;
                Promise::P1
            }
            (Some(Verdict::Ok), _) => {
                counts.lost_to_rekey += 1;
                Promise::P1
            }
            (Some(Verdict::Replayed | Verdict::TooOld), Verdict::Ok) => {
                counts.replays_accepted += 1;
                Promise::P5
            }
            (_, Verdict::Ok) => {
                counts.forged_accepted += 1;
                Promise::P8
            }
            // Refused for another reason than it should be: something before it changed the state.
            _ => Promise::P8,
        };
        self.run.board.broke(promise, difference);
    }

    /// Ends the round, and begins the next one with a fresh session.
    fn finish(&mut self) -> Result<()> {
        let outcomes = self.outcomes.iter().enumerate();
        let outcomes = outcomes.map(|(n, (verdict, plain))| Outcome { n, verdict: *verdict, plain: plain.as_deref() });
        if let Err(difference) = self.oracle().finish(outcomes) {
            self.run.board.broke(Promise::P1, difference);
        }
        if let Err(error) = self.receiver.check_streams() {
            self.run.board.broke(Promise::P8, format_args!("{}: {error:#}", self.plan.capture.name));
        }
        self.rounds += 1;
        self.outcomes.clear();
        self.receiver = self.plan.receiver(self.run.domain)?;
        self.announce();
        Ok(())
    }

    /// One of the packets accepted last, if there is one.
    fn accepted_lately(&mut self) -> Option<usize> {
        let back = self.rng.random_range(1..=Self::RECENT);
        let n = self.outcomes.len().checked_sub(back)?;
        (self.outcomes.get(n)?.0 == Verdict::Ok).then_some(n)
    }
}

impl Lane for Replay<'_> {
    fn advance(&mut self) -> Result<()> {
        if self.run.is_choked() {
            std::thread::yield_now();
            return Ok(());
        }
        if self.outcomes.len() == self.packets().len() {
            return self.finish();
        }
        let domain = self.run.domain;
        let mut courier = Courier::new(self.run.board);
        let mut guard = domain.pin();
        let end = self.packets().len().min(self.outcomes.len() + Self::STEP);
        while self.outcomes.len() < end {
            let n = self.outcomes.len();
            if n.is_multiple_of(32) {
                guard.repin();
            }
            courier.counts.rekeys += self.receiver.rekey_before(n)?;
            let (inbound, wire) = (self.receiver.inbound(), self.receiver.wire(n)?);
            // Only of what is genuine: where the capture holds a corrupted packet, one more flipped bit can mend it.
            let genuine = self.packets().get(n).is_some_and(|packet| packet.expect == Verdict::Ok);
            if genuine && self.rng.random_ratio(1, 8) {
                courier.forge(inbound, &guard, wire, self.plan.profile, &mut self.rng);
            }
            let (verdict, plain) = match courier.deliver(inbound, &guard, wire) {
                Ok(plain) => (Verdict::Ok, Some(plain.to_vec())),
                Err(error) => (verdict(error), None),
            };
            self.note(&mut courier.counts, verdict, plain);
            if self.rng.random_ratio(1, 8)
                && let Some(n) = self.accepted_lately()
            {
                courier.replay(self.receiver.inbound(), &guard, self.receiver.wire(n)?);
            }
        }
        Ok(())
    }

    fn race(&mut self) -> Result<()> {
        if self.run.is_choked() {
            return Ok(());
        }
        let from = self.outcomes.len();
        let mut counts = Counts { rekeys: self.receiver.rekey_before(from)?, ..Counts::default() };
        let rekeyed_at = |n| n > from && self.plan.capture.side.keys.iter().any(|key| key.from_packet == n);
        let raced = self.packets().iter().skip(from).take(Self::RACE);
        // The first of the two must be accepted, and all under the keys of now.
        let raced = raced.take_while(|packet| packet.expect == Verdict::Ok && !rekeyed_at(packet.n));
        let wires = raced.map(|packet| self.receiver.wire(packet.n)).collect::<Result<Vec<_>>>()?;
        for plain in race(self.run.board, self.receiver.inbound(), &wires) {
            // One that was lost is on the board already, as such.
            let verdict = if plain.is_some() { Verdict::Ok } else { Verdict::Other("lost_in_a_race") };
            self.note(&mut counts, verdict, plain);
        }
        self.run.board.book(counts, &[]);
        Ok(())
    }

    fn is_satisfied(&self) -> bool {
        self.rounds > 0
    }
}
