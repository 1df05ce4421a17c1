//! All threads share one SSRC and race on the same packets: each packet may be accepted once, by one of them.
//!
//! A round protects some packets and has every thread of the pool deliver all of them, in order. At each packet a thread
//! waits for a moment for another one to be there too; where two met, the packet counts as raced. Keys turn during the
//! rounds, and the rollover counter advances: the one stream goes on as long as the run.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use keyflip::{Error, Grace};

use super::Scenario;
use crate::board::{Board, Counts, Promise};
use crate::call::profiles;
use crate::lanes::Run;
use crate::pace::Pace;
use crate::pair::Pair;
use crate::race::Finish;
use crate::report::Counter;
use crate::stream::{Manner, Packet, Stream};

/// Races on one stream.
pub struct OneStream {
    /// How long the receivers accept replaced keys.
    pub grace: Grace,
}

impl OneStream {
    /// With the grace that loses no packet: one key.
    pub const LOSSLESS: Self = Self { grace: Grace::LAST };
}

/// How many spins a thread waits for another at each packet.
const MEETING: u32 = 2000;

/// Batches of packets in a round.
const BATCHES: usize = 8;

/// How long a thread waits for the others at the beginning of a round: some time slices, since the cores may be busy.
const PATIENCE: Duration = Duration::from_millis(10);

impl Scenario for OneStream {
    fn name(&self) -> &'static str {
        "one-stream"
    }

    fn about(&self) -> &'static str {
        "has all threads deliver every packet of one SSRC at once, under turning keys: each is accepted exactly once"
    }

    fn effort(&self) -> &'static [Counter] {
        &[Counter::Rekeys, Counter::DeliveredInGrace, Counter::DuplicatesRaced, Counter::ReplaysAttempted]
    }

    fn run(&self, run: &Run<'_>) -> Result<()> {
        // One stream a profile, one at a time.
        let mut tracks = Vec::new();
        for (profile, id) in profiles().into_iter().zip(1..) {
            let pair = Pair::new(run.domain, profile, 0, self.grace, &mut run.rng(id))?;
            tracks.push((pair, Stream::new(1, Manner { in_order: true, attacks: 0 }, run.rng(1000 + id))));
        }
        let (pairs, mut streams): (Vec<_>, Vec<_>) = tracks.into_iter().unzip();
        let control = || {
            let (mut rng, mut pace) = (run.rng(0), Pace::new(run.settings.rekeys_per_second));
            while !run.is_stopped() {
                if !pace.is_due() || run.has_backlog() {
                    std::thread::yield_now();
                    continue;
                }
                for pair in &pairs {
                    if pair.turn(&mut rng).context("rekey")? {
                        run.board.book(Counts { rekeys: 2, ..Counts::default() }, &[]);
                        pace.note();
                    }
                }
            }
            Ok(())
        };
        let traffic = || {
            let mut in_flight: Vec<_> = pairs.iter().map(|_| Vec::new()).collect();
            for n in (0..pairs.len()).cycle() {
                let (Some(pair), Some(stream)) = (pairs.get(n), streams.get_mut(n)) else { break };
                if run.is_over(|| true) {
                    break;
                }
                pair.note_sending(0);
                let mut next = Vec::new();
                for _ in 0..BATCHES {
                    next.append(&mut stream.batch(pair)?);
                }
                // The round delivers what was protected in the one before: it is in flight when the keys turn.
                if let Some(in_flight) = in_flight.get_mut(n) {
                    round(run, pair, &std::mem::replace(in_flight, next));
                }
                pair.note_delivered(0);
                run.progress.show(run.board.packets());
            }
            Ok(())
        };
        run.beside(control, traffic)
    }
}

/// Has every thread deliver all `packets`.
fn round(run: &Run<'_>, pair: &Pair, packets: &[Packet]) {
    let there: Vec<_> = packets.iter().map(|_| There::default()).collect();
    let here = AtomicUsize::new(0);
    let threads = run.pool.broadcast(|broadcast| {
        let began = Instant::now();
        // Release and Acquire pair with each other; nothing hangs on them but time.
        here.fetch_add(1, Ordering::AcqRel);
        while here.load(Ordering::Acquire) < broadcast.num_threads() && began.elapsed() < PATIENCE {
            std::thread::yield_now();
        }
        deliver(pair, packets, &there)
    });
    let number = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
    let mut counts = Counts { packets: number(packets.len()), ..Counts::default() };
    let (mut finishes, mut unprotect_ns): (Vec<_>, Vec<_>) = (packets.iter().map(|_| Vec::new()).collect(), Vec::new());
    let mut met = vec![false; packets.len()];
    for thread in threads {
        for (n, finish) in thread.into_iter().enumerate() {
            met[n] |= finish.met;
            unprotect_ns.push(finish.ns);
            finishes[n].push(finish);
        }
    }
    counts.duplicates_raced = number(met.into_iter().filter(|met| *met).count());
    for (packet, finishes) in packets.iter().zip(finishes) {
        counts.replays_attempted += number(finishes.len().saturating_sub(1));
        judge(run.board, &mut counts, packet, finishes);
    }
    run.board.book(counts, &unprotect_ns);
}

/// How many threads have begun a packet, and how many are done with it.
#[derive(Default)]
struct There {
    begun: AtomicUsize,
    done: AtomicUsize,
}

/// What a thread got for one packet.
struct Delivered {
    finish: Finish,
    in_grace: bool,
    /// Whether another thread was at the packet.
    met: bool,
    ns: u64,
}

fn deliver(pair: &Pair, packets: &[Packet], there: &[There]) -> Vec<Delivered> {
    let guard = pair.inbound.domain().pin();
    let one = |(packet, there): (&Packet, &There)| {
        // Release and Acquire pair with each other; nothing hangs on them but time.
        there.begun.fetch_add(1, Ordering::AcqRel);
        for _ in 0..MEETING {
            if there.begun.load(Ordering::Acquire) > 1 {
                break;
            }
            spin_loop();
        }
        let met = there.begun.load(Ordering::Acquire) > there.done.load(Ordering::Acquire) + 1;
        let (in_grace, began) = (pair.is_behind(packet.generation), Instant::now());
        let finish = Finish::of(&pair.inbound, &guard, packet.wire());
        let ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        there.done.fetch_add(1, Ordering::AcqRel);
        Delivered { finish, in_grace, met, ns }
    };
    packets.iter().zip(there).map(one).collect()
}

/// Exactly one thread has it, and rightly; the others were told so and left alone.
fn judge(board: &Board, counts: &mut Counts, packet: &Packet, threads: Vec<Delivered>) {
    let mut accepted = 0;
    let mut refusals = Vec::new();
    for Delivered { finish, in_grace, .. } in threads {
        match finish {
            Finish::Accepted(plain) => {
                accepted += 1;
                counts.delivered_in_grace += u64::from(in_grace);
                if plain != packet.plain {
                    counts.mismatched_plaintexts += 1;
                    board.broke(Promise::P1, format_args!("{} packet decrypted to something else", packet.kind));
                }
            }
            Finish::Refused { error, untouched } => {
                if !untouched {
                    board.broke(Promise::P8, "the loser of a race found its packet changed");
                }
                refusals.push(error);
            }
        }
    }
    if accepted == 0 {
        counts.lost_to_rekey += 1;
        board.broke(Promise::P1, format_args!("no thread was given a {} packet: {refusals:?}", packet.kind));
    } else if accepted > 1 {
        counts.replays_accepted += accepted - 1;
        board.broke(Promise::P5, format_args!("{accepted} threads were given the same {} packet", packet.kind));
    } else if let Some(error) = refusals.into_iter().find(|error| *error != Error::Replayed) {
        board.broke(Promise::P5, format_args!("the loser of a race was refused as \"{error}\""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyflip::{Domain, Profile};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn a_packet_that_two_threads_were_given_or_none_breaks_its_promise() {
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let pair = Pair::new(&Domain::new(), Profile::Aes128CmSha1_80, 0, Grace::default(), rng).unwrap();
        let packets = Stream::new(1, Manner::default(), ChaCha8Rng::seed_from_u64(2)).batch(&pair).unwrap();
        let refused = |error| Finish::Refused { error, untouched: true };
        let judged = |finishes: Vec<Finish>| {
            let (board, mut counts) = (Board::new(1).unwrap(), Counts::default());
            let threads = finishes.into_iter().map(|finish| Delivered { finish, in_grace: false, met: true, ns: 1 });
            judge(&board, &mut counts, &packets[0], threads.collect());
            (counts, board.read().unwrap().2.first().map(|broken| broken.promise))
        };
        let accepted = || Finish::Accepted(packets[0].plain.clone());
        let replayed = || refused(Error::Replayed);
        assert_eq!(judged(vec![replayed(), accepted(), replayed()]), (Counts::default(), None));
        let (counts, promise) = judged(vec![accepted(), replayed(), accepted()]);
        assert_eq!((counts.replays_accepted, promise), (1, Some(Promise::P5)));
        let (counts, promise) = judged(vec![replayed(), refused(Error::TooOld)]);
        assert_eq!((counts.lost_to_rekey, promise), (1, Some(Promise::P1)));
        assert_eq!(judged(vec![accepted(), refused(Error::TooOld)]).1, Some(Promise::P5));
        assert_eq!(judged(vec![Finish::Accepted(vec![])]).0.mismatched_plaintexts, 1);
    }
}
