//! Sessions, streams and whole domains come and go under the threads that read them.
//!
//! Each thread talks on a line of its own. The control side hangs calls up and sets others up, in the run's domain or in
//! one made for the call, which goes with it; it removes streams and adds them again; and it turns keys. Packets arrive
//! in order here: so a stream that was removed comes back above its floor and misses none of them.

use anyhow::{Context, Result, bail};
use keyflip::{Domain, Error, Roc};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::Scenario;
use crate::board::Counts;
use crate::call::{Call, Line, Talker, any_profile, ssrc, streams_each};
use crate::feats::Feats;
use crate::lanes::Run;
use crate::pace::Pace;
use crate::pair::Pair;
use crate::runner::{RECLAIM, reclaimed};
use crate::stream::Manner;

/// Tears down.
pub struct Teardown {
    /// Forgets a call now and then, instead of hanging it up: on purpose.
    pub forgets: bool,
}

const SESSION: &str = "dropped a session under its readers";
const DOMAIN: &str = "dropped a domain under its readers";
const REMOVED: &str = "removed a stream under its packets";
const ADDED: &str = "added a removed stream before its next packet";
const TURNED: &str = "turned the keys";

/// Domains of calls that are hung up and not looked at yet. Each may have a thread of its own.
const DOMAINS: usize = 16;

impl Scenario for Teardown {
    fn name(&self) -> &'static str {
        "teardown"
    }

    fn about(&self) -> &'static str {
        "creates and drops sessions, streams and whole domains under the threads that receive with them"
    }

    fn run(&self, run: &Run<'_>) -> Result<()> {
        let threads = run.settings.threads;
        let mut rng = run.rng(0);
        let call = |domain: &Domain, rng: &mut _| Call::new(domain, any_profile(rng), keyflip::Grace::LAST, 1, rng);
        let lines = (0..threads).map(|_| Ok(Line::new(call(run.domain, &mut rng)?))).collect::<Result<Vec<_>>>()?;
        let manner = Manner { in_order: true, attacks: 0 };
        let talker = |(lane, line)| Alone(Talker::new(run, line, lane, threads, manner));
        let mut talkers: Vec<_> = lines.iter().enumerate().map(talker).collect();
        let mut domains = Vec::new();
        let control = || {
            let mut feats = Feats::new(run, &[SESSION, DOMAIN, REMOVED, ADDED, TURNED]);
            let mut pace = Pace::new(run.settings.rekeys_per_second);
            while !run.is_stopped() {
                if !pace.is_due() {
                    continue;
                }
                if run.has_backlog() {
                    std::thread::yield_now();
                    continue;
                }
                pace.note();
                let lane = rng.random_range(0..threads);
                let Some(line) = lines.get(lane) else { continue };
                match rng.random_range(0..64) {
                    0..4 if line.call().is_under_way() => {
                        let old = line.put(call(run.domain, &mut rng)?);
                        if self.forgets {
                            std::mem::forget(old);
                        }
                        feats.did(SESSION);
                    }
                    4 if domains.len() < DOMAINS && line.call().is_under_way() => {
                        let domain = Domain::new();
                        line.put(call(&domain, &mut rng)?);
                        // Some go with their last reader, and are not seen again.
                        if rng.random() {
                            domains.push(domain);
                        }
                        feats.did(DOMAIN);
                    }
                    5..32 => {
                        let call = line.call();
                        let (way, stream) = (rng.random_range(0..2), rng.random_range(0..streams_each(run, threads)));
                        restream(call.ways()[way], ssrc(lane, way, stream), &mut rng, &mut feats)?;
                    }
                    _ => turn(run, &line.call(), &mut rng, &mut feats)?,
                }
                look(run, &mut domains);
            }
            Ok(())
        };
        run.beside(control, || run.drive(&mut talkers))?;
        drop(talkers);
        drop(lines);
        for domain in domains {
            run.board.book_keys(reclaimed(&domain, RECLAIM, run.board));
        }
        Ok(())
    }
}

/// A talker that does not race: a removed stream forgets which packets it was given, and calls all of them too old.
struct Alone<'r>(Talker<'r>);

impl crate::lanes::Lane for Alone<'_> {
    fn advance(&mut self) -> Result<()> {
        self.0.advance()
    }

    fn race(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Takes the domains whose calls are gone and wiped off the list.
fn look(run: &Run<'_>, domains: &mut Vec<Domain>) {
    domains.retain(|domain| {
        let stats = domain.stats();
        let is_over = stats.keys_created == stats.keys_wiped;
        if is_over {
            run.board.book_keys(stats);
        }
        !is_over
    });
}

/// Removes a stream; half of the time, adds it again.
fn restream(pair: &Pair, ssrc: u32, rng: &mut ChaCha8Rng, feats: &mut Feats<'_>) -> Result<()> {
    let inbound = &pair.inbound;
    let roc = inbound.roc(ssrc).unwrap_or(Roc(0));
    match inbound.remove_stream(ssrc) {
        Ok(()) => feats.did(REMOVED),
        // Its first packet is yet to come.
        Err(Error::NoSuchStream) => return Ok(()),
        Err(error) => bail!("removing a stream: {error}"),
    }
    if rng.random() {
        match inbound.add_stream(ssrc, roc) {
            Ok(()) => feats.did(ADDED),
            // A packet was faster, or took the rollover counter on before the removal.
            Err(Error::StreamExists | Error::IndexBackward) => {}
            Err(error) => bail!("adding a stream: {error}"),
        }
    }
    Ok(())
}

fn turn(run: &Run<'_>, call: &Call, rng: &mut ChaCha8Rng, feats: &mut Feats<'_>) -> Result<()> {
    for pair in call.ways() {
        if pair.turn(rng).context("rekey")? {
            feats.did(TURNED);
            run.board.book(Counts { rekeys: 2, ..Counts::default() }, &[]);
        }
    }
    Ok(())
}
