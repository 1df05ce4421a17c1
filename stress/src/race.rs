//! Two threads deliver the same packets at the same time: exactly one of each pair may be accepted.
//!
//! 1. Both sides are tasks of the pool. The first waits for the second to begin, so that they run at once if any thread
//!    of the pool is free; if none is within `PATIENCE`, the second runs later, which is a plain replay and no race.
//! 2. Before each packet a side waits for a moment for the other to be at the same one. A packet at which they met
//!    counts as raced.
//! 3. Each side takes the packets in order, and goes on only when a packet has been accepted by one of them. So they
//!    are accepted in order too, and a run of packets can be raced without disturbing the index estimates.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use keyflip::{Error, Guard, Inbound};

use crate::board::{Board, Counts, Promise};
use crate::feed::{Wire, unprotect};

/// How long the first side waits for a thread to take the second: some time slices, since the cores may be busy.
const PATIENCE: Duration = Duration::from_millis(10);

/// How many spins a side waits for the other at each packet.
const MEETING: u32 = 4000;

/// What one side got for one packet.
pub(crate) enum Finish {
    Accepted(Vec<u8>),
    Refused { error: Error, untouched: bool },
}

impl Finish {
    /// Delivers a copy of a packet.
    pub(crate) fn of(inbound: &Inbound, guard: &Guard<'_>, wire: Wire<'_>) -> Self {
        let mut packet = wire.octets.to_vec();
        match unprotect(inbound, guard, wire.kind, &mut packet) {
            Ok(plain) => Self::Accepted(plain.to_vec()),
            Err(error) => Self::Refused { error, untouched: packet == wire.octets },
        }
    }
}

/// One side's way through the packets.
struct Run {
    finishes: Vec<Finish>,
    /// At how many packets the other side was met.
    met: u64,
}

/// Where both sides are: how many packets each has begun.
#[derive(Default)]
struct Track {
    begun: [AtomicUsize; 2],
    second_is_there: AtomicBool,
}

impl Track {
    /// Waits until the second side runs; whether it does.
    fn await_second(&self) -> bool {
        let began = Instant::now();
        // Acquire: pairs with the Release in `race`; nothing hangs on it but time.
        while !self.second_is_there.load(Ordering::Acquire) {
            if began.elapsed() > PATIENCE {
                return false;
            }
            // The second side may need this core.
            std::thread::yield_now();
        }
        true
    }

    /// Begins the packet after `passed` others; whether the other side is at the same one.
    fn meet(&self, side: usize, passed: usize) -> bool {
        let [mine, other] = if side == 0 { [0, 1] } else { [1, 0] };
        // Release and Acquire pair with each other; nothing hangs on them but time.
        self.begun[mine].store(passed + 1, Ordering::Release);
        for _ in 0..MEETING {
            if self.begun[other].load(Ordering::Acquire) > passed {
                break;
            }
            spin_loop();
        }
        self.begun[other].load(Ordering::Acquire) == passed + 1
    }
}

fn run(inbound: &Inbound, packets: &[Wire<'_>], track: &Track, side: usize, alone: bool) -> Run {
    let guard = inbound.domain().pin();
    let mut run = Run { finishes: Vec::with_capacity(packets.len()), met: 0 };
    for (passed, wire) in packets.iter().enumerate() {
        if !alone && track.meet(side, passed) {
            run.met += 1;
        }
        run.finishes.push(Finish::of(inbound, &guard, *wire));
    }
    run
}

/// Delivers `packets`, which are genuine and new to the receiver, on two threads of the pool at once.
///
/// Returns what each was accepted as, `None` if it was not. Whatever else is wrong with the finish goes to the board.
/// Must be called on a thread of the pool, without a guard.
pub fn race(board: &Board, inbound: &Inbound, packets: &[Wire<'_>]) -> Vec<Option<Vec<u8>>> {
    let track = Track::default();
    let (first, second) = rayon::join(
        || {
            let alone = !track.await_second();
            run(inbound, packets, &track, 0, alone)
        },
        || {
            // Release: pairs with the Acquire in `await_second`.
            track.second_is_there.store(true, Ordering::Release);
            run(inbound, packets, &track, 1, false)
        },
    );
    let delivered = u64::try_from(packets.len()).unwrap_or(u64::MAX);
    let mut counts =
        Counts { packets: delivered, duplicates_raced: first.met, replays_attempted: delivered, ..Counts::default() };
    let pairs = first.finishes.into_iter().zip(second.finishes);
    let accepted = pairs.map(|(first, second)| judge(board, &mut counts, first, second)).collect();
    board.book(counts, &[]);
    accepted
}

fn judge(board: &Board, counts: &mut Counts, first: Finish, second: Finish) -> Option<Vec<u8>> {
    match (first, second) {
        (Finish::Accepted(plain), Finish::Refused { error, untouched })
        | (Finish::Refused { error, untouched }, Finish::Accepted(plain)) => {
            if error != Error::Replayed {
                board.broke(Promise::P5, format_args!("the loser of a race was refused as \"{error}\""));
            }
            if !untouched {
                board.broke(Promise::P8, "the loser of a race found its packet changed");
            }
            Some(plain)
        }
        (Finish::Accepted(plain), Finish::Accepted(_)) => {
            counts.replays_accepted += 1;
            board.broke(Promise::P5, "both sides of a race were accepted");
            Some(plain)
        }
        (Finish::Refused { error, .. }, Finish::Refused { error: other, .. }) => {
            counts.lost_to_rekey += 1;
            board.broke(Promise::P1, format_args!("both sides of a race were refused: {error}; {other}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(first: Finish, second: Finish) -> (Counts, Vec<crate::board::Broken>) {
        let (board, mut counts) = (Board::new(1).unwrap(), Counts::default());
        judge(&board, &mut counts, first, second);
        (counts, board.read().unwrap().2)
    }

    fn accepted() -> Finish {
        Finish::Accepted(vec![1])
    }

    fn refused(error: Error, untouched: bool) -> Finish {
        Finish::Refused { error, untouched }
    }

    #[test]
    fn exactly_one_side_may_win_and_the_other_must_find_its_packet_untouched() {
        assert_eq!(judged(accepted(), refused(Error::Replayed, true)), (Counts::default(), vec![]));
        assert_eq!(judged(refused(Error::Replayed, true), accepted()), (Counts::default(), vec![]));
        let (counts, broken) = judged(accepted(), accepted());
        assert_eq!((counts.replays_accepted, broken[0].promise), (1, Promise::P5));
        let (counts, broken) = judged(refused(Error::Replayed, true), refused(Error::TooOld, true));
        assert_eq!((counts.lost_to_rekey, broken[0].promise), (1, Promise::P1));
        assert_eq!(judged(accepted(), refused(Error::AuthenticationFailed, true)).1[0].promise, Promise::P5);
        assert_eq!(judged(refused(Error::Replayed, false), accepted()).1[0].promise, Promise::P8);
    }
}
