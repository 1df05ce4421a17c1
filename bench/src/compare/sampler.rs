//! Takes samples: every implementation in turn, in one process, each thread pinned to a core of its own.
//!
//! A sample is made of pieces that are the same in every sample, some 100 microseconds long: short enough to be left
//! undisturbed now and then. The least time of each piece, and the median of each, are summed up. Turns that are made in
//! between, so many a second, take the thread away from its packets for as long as one takes, as often as that.

use super::lane::{Lane, Laps, Load};
use super::who::Who;
use anyhow::{Result, anyhow, bail};
use core_affinity::CoreId;
use std::hint::spin_loop;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Samples that are thrown away at the beginning of a turn.
const WARM_UP: usize = 2;

/// What one implementation needed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measured {
    pub(crate) who: Who,
    /// Nanoseconds a packet: the least of all samples. Infinite if the turns alone take more time than there is.
    pub(crate) min_ns: f64,
    /// And half of the samples needed less than this.
    pub(crate) median_ns: f64,
    /// Octets of an RTP packet, on average.
    pub(crate) octets: f64,
}

/// Measures the lane that `make` makes for each thread, one turn for each size; a thread for each core.
pub(crate) fn measure<L: Lane>(
    cores: &[CoreId],
    samples: usize,
    sizes: &[usize],
    make: impl Fn(usize) -> Result<L> + Sync,
) -> Result<Vec<Vec<Measured>>> {
    let meeting = Meeting::of(cores.len());
    // One after the other, so that no thread's contexts lie between those of another.
    let building = Mutex::new(());
    let sampled: Vec<Vec<Turn>> = std::thread::scope(|scope| {
        let run = |thread: usize, core: CoreId| -> Result<Vec<Turn>> {
            let mut attendance = Attendance { meeting: &meeting, leaves_in_order: false };
            if !core_affinity::set_for_current(core) {
                bail!("cannot pin a thread to core {}", core.id);
            }
            let mut lane = {
                let _turn = building.lock().map_err(|_| anyhow!("another thread failed"))?;
                make(thread)?
            };
            let turns = sizes.iter().map(|size| turn(&mut lane, &meeting, samples, *size)).collect::<Result<_>>()?;
            attendance.leaves_in_order = true;
            Ok(turns)
        };
        let threads: Vec<_> =
            cores.iter().enumerate().map(|(thread, core)| scope.spawn(move || run(thread, *core))).collect();
        let ended = threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?);
        // The first error that is not of somebody who was left alone.
        let (done, failed): (Vec<_>, Vec<_>) = ended.collect::<Vec<_>>().into_iter().partition(Result::is_ok);
        match failed.into_iter().filter_map(Result::err).min_by_key(|error| error.is::<Alone>()) {
            Some(error) => Err(error),
            None => done.into_iter().collect(),
        }
    })?;
    Ok((0..sizes.len()).map(|n| together(&sampled.iter().map(|turns| &turns[n]).collect::<Vec<_>>())).collect())
}

/// The samples of one thread.
struct Turn {
    load: Load,
    turns_per_second: f64,
    entrants: Vec<Sampled>,
}

/// The samples of one entrant.
struct Sampled {
    who: Who,
    /// For each sample, its pieces.
    pieces: Vec<Vec<Duration>>,
    /// All turns, by their kind.
    turns: [Vec<Duration>; 2],
}

fn turn(lane: &mut impl Lane, meeting: &Meeting, samples: usize, size: usize) -> Result<Turn> {
    lane.begin(size)?;
    let sampled = |who| Sampled { who, pieces: Vec::new(), turns: [Vec::new(), Vec::new()] };
    let mut entrants: Vec<Sampled> = lane.entrants().into_iter().map(sampled).collect();
    for sample in 0..WARM_UP + samples {
        lane.advance()?;
        for n in 0..entrants.len() {
            // Nobody always comes after the same other one.
            let entrant = (n + sample) % entrants.len();
            lane.prepare(entrant)?;
            meeting.attend()?;
            let mut laps = Laps::start();
            lane.run(entrant, &mut laps)?;
            if sample >= WARM_UP {
                let sampled = &mut entrants[entrant];
                sampled.pieces.push(laps.pieces);
                sampled.turns.iter_mut().zip(laps.turns).for_each(|(all, new)| all.extend(new));
            }
        }
    }
    Ok(Turn { load: lane.load(), turns_per_second: lane.turns_per_second(), entrants })
}

/// Samples of threads that ran at once: a piece took as long as it took the slowest thread, for the packets of all.
fn together(threads: &[&Turn]) -> Vec<Measured> {
    let packets: usize = threads.iter().map(|turn| turn.load.packets).sum();
    let octets: usize = threads.iter().map(|turn| turn.load.octets).sum();
    let Some(first) = threads.first() else { return Vec::new() };
    let of_entrant = |entrant: usize| {
        let sampled: Vec<&Sampled> = threads.iter().map(|turn| &turn.entrants[entrant]).collect();
        let ns = |pick: Pick| {
            // The share of its time that a thread has for packets.
            let share = 1.0 - first.turns_per_second * turns(&sampled, pick);
            let took = pieces(&sampled, pick) / share;
            if share > 0.0 { took * 1e9 / float(packets) } else { f64::INFINITY }
        };
        let octets = float(octets) / float(packets);
        Measured { who: sampled[0].who, min_ns: ns(least), median_ns: ns(median), octets }
    };
    (0..first.entrants.len()).map(of_entrant).collect()
}

/// Picks one of some times.
type Pick = fn(&mut [Duration]) -> Duration;

fn least(times: &mut [Duration]) -> Duration {
    times.iter().min().copied().unwrap_or_default()
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The seconds of a sample: one time picked for each piece, and all summed up.
fn pieces(threads: &[&Sampled], pick: Pick) -> f64 {
    let Some(samples) = threads.first().map(|thread| &thread.pieces) else { return 0.0 };
    let slowest = |sample: usize, piece: usize| threads.iter().map(|thread| thread.pieces[sample][piece]).max();
    let of_piece = |piece: usize| {
        let mut times: Vec<Duration> = (0..samples.len()).filter_map(|sample| slowest(sample, piece)).collect();
        pick(&mut times).as_secs_f64()
    };
    (0..samples.first().map_or(0, Vec::len)).map(of_piece).sum()
}

/// The seconds of a turn: the mean of one time picked for each kind.
fn turns(threads: &[&Sampled], pick: Pick) -> f64 {
    let of_kind =
        |kind: usize| threads.iter().flat_map(|thread| thread.turns[kind].iter().copied()).collect::<Vec<_>>();
    let mut kinds: Vec<_> = (0..2).map(of_kind).filter(|times| !times.is_empty()).collect();
    let sum: f64 = kinds.iter_mut().map(|times| pick(times).as_secs_f64()).sum();
    sum / float(kinds.len().max(1))
}

#[expect(clippy::cast_precision_loss)] // Counts of packets and octets are small.
fn float(count: usize) -> f64 {
    count as f64
}

/// Where threads wait for each other, spinning, so that they start within less than a microsecond.
struct Meeting {
    parties: usize,
    arrived: AtomicUsize,
    deserted: AtomicBool,
}

/// The other thread failed.
#[derive(Debug)]
struct Alone;

impl std::fmt::Display for Alone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("another thread failed")
    }
}

impl std::error::Error for Alone {}

impl Meeting {
    const fn of(parties: usize) -> Self {
        Self { parties, arrived: AtomicUsize::new(0), deserted: AtomicBool::new(false) }
    }

    /// Waits until all are there.
    fn attend(&self) -> Result<()> {
        // AcqRel: with the Acquire load below. Nothing but the start is shared, so weaker would do; it costs nothing here.
        let ticket = self.arrived.fetch_add(1, Ordering::AcqRel);
        let all = (ticket / self.parties + 1) * self.parties;
        // Acquire: with the AcqRel of those who arrive.
        while self.arrived.load(Ordering::Acquire) < all {
            // Relaxed: it stands for itself.
            if self.deserted.load(Ordering::Relaxed) {
                bail!(Alone);
            }
            spin_loop();
        }
        Ok(())
    }
}

/// Tells the others if a thread leaves before its time.
struct Attendance<'m> {
    meeting: &'m Meeting,
    leaves_in_order: bool,
}

impl Drop for Attendance<'_> {
    fn drop(&mut self) {
        if !self.leaves_in_order {
            // Relaxed: it stands for itself.
            self.meeting.deserted.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn us(time: u64) -> Duration {
        Duration::from_micros(time)
    }

    fn thread(pieces: &[[u64; 2]], turns: [&[u64]; 2]) -> Turn {
        let pieces = pieces.iter().map(|sample| sample.map(us).to_vec()).collect();
        let turns = turns.map(|times| times.iter().copied().map(us).collect());
        let load = Load { packets: 100, octets: 5000 };
        Turn { load, turns_per_second: 1000.0, entrants: vec![Sampled { who: Who::Peer("a"), pieces, turns }] }
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6
    }

    #[test]
    fn the_least_time_of_each_piece_counts_wherever_it_was_taken() {
        let turn = thread(&[[100, 900], [800, 200], [300, 300]], [&[], &[]]);
        let measured = together(&[&turn])[0];
        assert!(close(measured.min_ns, 3000.0), "{measured:?}");
        assert!(close(measured.median_ns, 6000.0), "{measured:?}");
        assert!(close(measured.octets, 50.0));
    }

    #[test]
    fn of_two_threads_the_slower_counts_for_the_packets_of_both() {
        let (a, b) = (thread(&[[100, 100], [300, 300]], [&[], &[]]), thread(&[[200, 100], [100, 400]], [&[], &[]]));
        assert!(close(together(&[&a, &b])[0].min_ns, 1500.0));
    }

    #[test]
    fn turns_take_their_share_of_the_time() {
        // Turns of either kind by turns: 200 microseconds in the mean, a thousand times a second.
        let turn = thread(&[[100, 100]], [&[100, 500], &[300]]);
        assert!(close(together(&[&turn])[0].min_ns, 2000.0 / 0.8));
        let hopeless = thread(&[[100, 100]], [&[1000], &[1100]]);
        assert!(together(&[&hopeless])[0].min_ns.is_infinite());
    }

    #[test]
    fn a_thread_that_fails_is_named_and_leaves_nobody_waiting() {
        struct Fails;
        impl Lane for Fails {
            fn entrants(&self) -> Vec<Who> {
                vec![Who::Peer("a")]
            }
            fn begin(&mut self, _: usize) -> Result<()> {
                Ok(())
            }
            fn advance(&mut self) -> Result<()> {
                Ok(())
            }
            fn prepare(&mut self, _: usize) -> Result<()> {
                Ok(())
            }
            fn run(&mut self, _: usize, _: &mut Laps) -> Result<()> {
                bail!("cannot")
            }
            fn load(&self) -> Load {
                Load::default()
            }
        }
        let core = super::super::machine::cores()[0];
        let make = |thread| if thread == 0 { Ok(Fails) } else { bail!("cannot begin") };
        for cores in [&[core][..], &[core, core]] {
            let error = measure(cores, 3, &[1], make).unwrap_err().to_string();
            assert!(error.contains("cannot"), "{error}");
        }
    }
}
