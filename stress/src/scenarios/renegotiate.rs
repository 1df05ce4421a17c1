//! A call whose keys are renegotiated, and which is torn down and set up again, while its packets are decrypted.
//!
//! What goes on in a telephone at a re-INVITE: the main thread gives new keys to what it sends, to what it receives, to
//! both, or drops the whole session and makes another, all while the threads that receive are at it. All threads share
//! the one call. Keys turn by the protocol of `pair`, so nothing in flight may be lost; only a call that
//! is hung up takes with it what was in flight.

use anyhow::{Context, Result};
use keyflip::{Grace, KeyInfo, RocOnRekey};
use rand::RngExt;

use super::Scenario;
use crate::board::{Counts, Promise};
use crate::call::{Call, Line, Talker, any_profile};
use crate::feats::Feats;
use crate::lanes::Run;
use crate::pace::Pace;
use crate::report::Counter;
use crate::stream::Manner;

/// Renegotiates.
pub struct Renegotiate {
    /// How long the receivers accept replaced keys.
    pub grace: Grace,
}

impl Renegotiate {
    /// With the grace that loses no packet: one key.
    pub const LOSSLESS: Self = Self { grace: Grace::LAST };
}

const TX: &str = "renegotiated TX alone";
const RX: &str = "renegotiated RX alone";
const BOTH: &str = "renegotiated TX and RX";
const AGAIN: &str = "tore the call down and set it up again";

impl Scenario for Renegotiate {
    fn name(&self) -> &'static str {
        "renegotiate"
    }

    fn about(&self) -> &'static str {
        "gives a call new TX keys, RX keys, both, or tears it down and sets it up again, while all threads decrypt it"
    }

    fn effort(&self) -> &'static [Counter] {
        &Counter::ALL
    }

    fn run(&self, run: &Run<'_>) -> Result<()> {
        let lanes = run.settings.threads;
        let mut rng = run.rng(0);
        let call = |rng: &mut _| Call::new(run.domain, any_profile(rng), self.grace, lanes, rng);
        let line = Line::new(call(&mut rng)?);
        let mut talkers: Vec<_> =
            (0..lanes).map(|lane| Talker::new(run, &line, lane, lanes, Manner::default())).collect();
        let control = || {
            let mut feats = Feats::new(run, &[TX, RX, BOTH, AGAIN]);
            let mut pace = Pace::new(run.settings.rekeys_per_second);
            while !run.is_stopped() {
                if !pace.is_due() {
                    continue;
                }
                if run.has_backlog() {
                    std::thread::yield_now();
                    continue;
                }
                if rng.random_ratio(1, 64) && line.call().is_under_way() {
                    // The handle of the old one goes at once: its readers are at it.
                    line.put(call(&mut rng)?);
                    feats.did(AGAIN);
                } else if let Some(feat) = renegotiate(run, &line.call(), &mut rng).context("renegotiation")? {
                    feats.did(feat);
                } else {
                    std::thread::yield_now();
                    continue;
                }
                pace.note();
            }
            Ok(())
        };
        run.beside(control, || run.drive(&mut talkers))?;
        for talker in &mut talkers {
            talker.follow();
            talker.end();
        }
        line.call().ways().into_iter().for_each(|pair| pair.judge(run.board));
        Ok(())
    }
}

/// Gives one way or both new keys, if what is in flight lets it; says which.
fn renegotiate(run: &Run<'_>, call: &Call, rng: &mut rand_chacha::ChaCha8Rng) -> Result<Option<&'static str>> {
    let (tx, rx) = ([true, false, true], [false, true, true]);
    let kind = rng.random_range(0..3);
    let before = keys(call);
    // A receiver that is to find out must find that the counters go on.
    let roc = if rng.random_ratio(1, 4) { RocOnRekey::Probe } else { RocOnRekey::Keep };
    let turned = [tx[kind] && call.tx.turn_with(rng, roc)?, rx[kind] && call.rx.turn_with(rng, roc)?];
    let (after, pairs) = (keys(call), turned.iter().filter(|turned| **turned).count());
    for (way, turned) in turned.into_iter().enumerate() {
        if !turned && before[way] != after[way] {
            run.board.broke(Promise::P2, "the keys of one direction changed with those of the other");
        }
    }
    // A sender and a receiver each.
    run.board.book(Counts { rekeys: 2 * u64::try_from(pairs).unwrap_or_default(), ..Counts::default() }, &[]);
    Ok(match turned {
        [true, true] => Some(BOTH),
        [true, false] => Some(TX),
        [false, true] => Some(RX),
        [false, false] => None,
    })
}

/// The keys of both ends, by way.
fn keys(call: &Call) -> [Vec<KeyInfo>; 2] {
    call.ways().map(|pair| [pair.outbound.keys(), pair.inbound.keys()].concat())
}
