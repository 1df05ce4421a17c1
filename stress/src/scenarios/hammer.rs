//! Synthetic streams whose sender and receiver rekey in step, as fast as they can.
//!
//! The streams are spread over sessions of all profiles, with and without MKI, with headers in the clear and encrypted; a session is a lane. What a lane
//! protects in one step it delivers in the next, so that packets are always in flight when the control side turns the
//! keys of a session: the receiver first, then the sender. Whatever was protected before the turn arrives in grace.
//!
//! `pair` has the protocol that keeps the control side from turning too early, `stream`
//! what is sent and how it is received, `packets` the packets themselves.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use keyflip::{Grace, Profile};
use rand::RngExt;
use rayon::iter::{IntoParallelRefMutIterator, ParallelIterator};

use super::Scenario;
use crate::board::Counts;
use crate::headers::Headers;
use crate::lanes::{Lane, Run};
use crate::pace::Pace;
use crate::pair::Pair;
use crate::report::Counter;
use crate::stream::{Manner, Stream};

/// Hammers synthetic streams.
pub struct Hammer {
    /// How long the receivers accept replaced keys.
    pub grace: Grace,
}

impl Hammer {
    /// With the grace that loses no packet: one key.
    pub const LOSSLESS: Self = Self { grace: Grace::LAST };
}

impl Scenario for Hammer {
    fn name(&self) -> &'static str {
        "hammer"
    }

    fn about(&self) -> &'static str {
        "rekeys synthetic streams of every profile in step with their sender, as often as asked, and loses nothing"
    }

    fn effort(&self) -> &'static [Counter] {
        &Counter::ALL
    }

    fn run(&self, run: &Run<'_>) -> Result<()> {
        let mut lanes = lanes(run, self.grace)?;
        let pairs: Vec<_> = lanes.iter().map(|lane| Arc::clone(&lane.pair)).collect();
        run.beside(
            || turn(run, &pairs),
            || {
                run.drive(&mut lanes)?;
                run.for_each(&mut lanes, |lane| {
                    lane.streams.iter_mut().for_each(Stream::end);
                    lane.deliver();
                    Ok(())
                })
            },
        )?;
        lanes.iter().for_each(|lane| lane.pair.judge(run.board));
        Ok(())
    }
}

/// A session and its streams.
struct Session<'r> {
    run: &'r Run<'r>,
    pair: Arc<Pair>,
    streams: Vec<Stream>,
    /// How often it raced: so its streams take turns.
    races: usize,
}

/// The sessions, with the streams dealt out evenly.
fn lanes<'r>(run: &'r Run<'r>, grace: Grace) -> Result<Vec<Session<'r>>> {
    let profiles: Vec<_> = Profile::ALL.into_iter().filter(|profile| profile.is_authenticated()).collect();
    // Each profile twice, without MKI and with one of 1 to 4 octets; then each with headers encrypted in each way.
    let plain = [false, true].into_iter().flat_map(|mki| profiles.iter().map(move |p| (*p, mki, Headers::Clear)));
    let hiding = profiles.iter().flat_map(|p| Headers::of(*p).iter().skip(1).map(|headers| (*p, true, *headers)));
    let kinds: Vec<_> = plain.chain(hiding).collect();
    let mut rng = run.rng(0);
    let mut lanes = Vec::new();
    for (&(profile, has_mki, headers), id) in kinds.iter().take(run.settings.streams).zip(1..) {
        let mki_len = if has_mki { rng.random_range(1..=4) } else { 0 };
        let pair = Pair::hiding(headers, run.domain, profile, mki_len, grace, &mut run.rng(id));
        let pair = pair.with_context(|| profile.to_string())?;
        lanes.push(Session { run, pair: Arc::new(pair), streams: Vec::new(), races: 0 });
    }
    let first_ssrc: u32 = rng.random();
    let sessions = lanes.len();
    ensure!(sessions > 0, "no streams");
    for (i, ssrc) in (0..run.settings.streams).zip(0..) {
        let rng = run.rng(1_000_000 + u64::from(ssrc));
        lanes[i % sessions].streams.push(Stream::new(first_ssrc.wrapping_add(ssrc), Manner::default(), rng));
    }
    Ok(lanes)
}

impl Session<'_> {
    /// Delivers what is in flight.
    fn deliver(&mut self) {
        let (board, pair) = (self.run.board, &*self.pair);
        self.streams.par_iter_mut().for_each(|stream| stream.deliver(board, pair));
        pair.note_delivered(0);
    }
}

impl Lane for Session<'_> {
    fn advance(&mut self) -> Result<()> {
        let pair = &*self.pair;
        pair.note_sending(0);
        self.streams.par_iter_mut().try_for_each(|stream| stream.send(pair))?;
        self.deliver();
        Ok(())
    }

    fn race(&mut self) -> Result<()> {
        self.races += 1;
        let turn = self.races % self.streams.len().max(1);
        if let Some(stream) = self.streams.get_mut(turn) {
            stream.race(self.run.board, &self.pair);
        }
        Ok(())
    }
}

/// Turns the keys of one session after the other, at the rate that was asked for, until the run is over.
fn turn(run: &Run<'_>, pairs: &[Arc<Pair>]) -> Result<()> {
    let mut rng = run.rng(2_000_000);
    let mut pace = Pace::new(run.settings.rekeys_per_second);
    let mut turns = pairs.iter().cycle();
    while !run.is_stopped() {
        if !pace.is_due() {
            continue;
        }
        // One whose packets of the generation before are all delivered. There may be none just now.
        let mut turned = false;
        for pair in turns.by_ref().take(pairs.len()) {
            if !run.has_backlog() && pair.turn(&mut rng).context("rekey")? {
                turned = true;
                break;
            }
        }
        if turned {
            pace.note();
            run.board.book(Counts { rekeys: 2, ..Counts::default() }, &[]);
        } else {
            std::thread::yield_now();
        }
    }
    Ok(())
}
