//! What one thread measures: implementations that do the same work in turn.

use super::agree;
use super::slots::Slots;
use super::who::Who;
use anyhow::Result;
use std::time::{Duration, Instant};

/// The work of one thread. Its entrants are known by their numbers.
pub(crate) trait Lane {
    /// Whose work each entrant does.
    fn entrants(&self) -> Vec<Who>;

    /// Begins a turn with payloads of `size` octets: warms up, and checks that all entrants do the same.
    fn begin(&mut self, size: usize) -> Result<()>;

    /// Makes ready what the next sample of every entrant works on.
    fn advance(&mut self) -> Result<()>;

    /// Makes ready the sample of one entrant. Not timed.
    fn prepare(&mut self, entrant: usize) -> Result<()>;

    /// The sample. Timed, by the laps it takes.
    fn run(&mut self, entrant: usize, laps: &mut Laps) -> Result<()>;

    /// How often a second turns are made in between.
    fn turns_per_second(&self) -> f64 {
        0.0
    }

    /// What a sample amounts to.
    fn load(&self) -> Load;
}

/// The clock of a sample.
pub(crate) struct Laps {
    since: Instant,
    /// Pieces of the work, the same ones in every sample.
    pub(crate) pieces: Vec<Duration>,
    /// Turns made in between, by their kind; not the same in every sample.
    pub(crate) turns: [Vec<Duration>; 2],
}

impl Laps {
    /// Begins the first lap.
    pub(crate) fn start() -> Self {
        Self { since: Instant::now(), pieces: Vec::new(), turns: [Vec::new(), Vec::new()] }
    }

    /// Ends a lap with a piece of work.
    #[inline]
    pub(crate) fn piece(&mut self) {
        let lap = self.lap();
        self.pieces.push(lap);
    }

    /// Ends a lap with a turn.
    #[inline]
    pub(crate) fn turn(&mut self, kind: usize) {
        let lap = self.lap();
        self.turns[kind].push(lap);
    }

    /// All laps so far.
    pub(crate) fn total(&self) -> Duration {
        self.pieces.iter().chain(self.turns.iter().flatten()).sum()
    }

    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.since, now)
    }
}

/// What a sample amounts to, whoever does it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    /// Packets protected or unprotected.
    pub(crate) packets: usize,
    /// Their octets as RTP or RTCP, in all.
    pub(crate) octets: usize,
}

/// Where the packets of samples come from.
pub(crate) trait Source {
    /// Sets the octets of a payload.
    fn resize(&mut self, size: usize) -> Result<()>;

    /// Makes the next sample's packets.
    fn advance(&mut self) -> Result<()>;

    /// Puts them into the buffers, if that is where they are worked on.
    fn fill(&self, slots: &mut Slots);

    /// Buffers for a sample.
    fn slots(&self) -> Slots;

    /// What must come of the sample's packets, where that is known beforehand.
    fn expected(&self) -> Option<&[Vec<u8>]>;

    /// Samples until each context has had a packet.
    fn round(&self) -> usize;

    fn load(&self) -> Load;
}

/// What an implementation does with the packets of a source.
///
/// It is written once, and compiled for the clock and for the check.
pub(crate) trait Work<S> {
    /// Octets that are left out at the beginning of what it returns.
    const LEAVES_OUT: usize = 0;

    /// Does a sample; `sink` sees each packet that comes out.
    fn each(&mut self, source: &S, slots: &mut Slots, sink: impl FnMut(&[u8])) -> Result<()>;
}

/// [`Work`], for lists of it.
pub(crate) trait Task<S> {
    fn run(&mut self, source: &S, slots: &mut Slots) -> Result<()>;

    fn outputs(&mut self, source: &S, slots: &mut Slots) -> Result<Vec<Vec<u8>>>;

    fn leaves_out(&self) -> usize;
}

impl<S, W: Work<S>> Task<S> for W {
    fn run(&mut self, source: &S, slots: &mut Slots) -> Result<()> {
        self.each(source, slots, |packet| {
            std::hint::black_box(packet);
        })
    }

    fn outputs(&mut self, source: &S, slots: &mut Slots) -> Result<Vec<Vec<u8>>> {
        let mut outputs = Vec::new();
        self.each(source, slots, |packet| outputs.push(packet.to_vec()))?;
        Ok(outputs)
    }

    fn leaves_out(&self) -> usize {
        W::LEAVES_OUT
    }
}

/// An implementation's work.
pub(crate) type Entrant<S> = (Who, Box<dyn Task<S>>);

/// A lane in which everybody works on the packets of one source.
pub(crate) struct Common<S> {
    source: S,
    slots: Slots,
    entrants: Vec<Entrant<S>>,
}

impl<S: Source> Common<S> {
    pub(crate) fn new(source: S, entrants: Vec<Entrant<S>>) -> Self {
        Self { slots: source.slots(), source, entrants }
    }

    /// Lets everybody do the same sample, and compares what comes out.
    fn check(&mut self) -> Result<()> {
        let mut first: Option<(&'static str, Vec<Vec<u8>>)> =
            self.source.expected().map(|packets| ("the plain packets", packets.to_vec()));
        for (who, task) in &mut self.entrants {
            self.source.fill(&mut self.slots);
            let outputs = task.outputs(&self.source, &mut self.slots)?;
            match &first {
                Some((name, expected)) => agree::check(name, expected, who.name(), &outputs, task.leaves_out())?,
                None => first = Some((who.name(), outputs)),
            }
        }
        Ok(())
    }
}

impl<S: Source> Lane for Common<S> {
    fn entrants(&self) -> Vec<Who> {
        self.entrants.iter().map(|(who, _)| *who).collect()
    }

    fn begin(&mut self, size: usize) -> Result<()> {
        self.source.resize(size)?;
        self.slots = self.source.slots();
        for _ in 0..self.source.round() {
            self.source.advance()?;
            self.check()?;
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<()> {
        self.source.advance()
    }

    fn prepare(&mut self, _entrant: usize) -> Result<()> {
        self.source.fill(&mut self.slots);
        Ok(())
    }

    fn run(&mut self, entrant: usize, laps: &mut Laps) -> Result<()> {
        self.entrants[entrant].1.run(&self.source, &mut self.slots)?;
        laps.piece();
        Ok(())
    }

    fn load(&self) -> Load {
        self.source.load()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three packets of zeros.
    struct Zeros;

    impl Source for Zeros {
        fn resize(&mut self, _size: usize) -> Result<()> {
            Ok(())
        }

        fn advance(&mut self) -> Result<()> {
            Ok(())
        }

        fn fill(&self, slots: &mut Slots) {
            (0..3).for_each(|n| slots.put(n, &[0; 8]));
        }

        fn slots(&self) -> Slots {
            Slots::new(3, 8)
        }

        fn expected(&self) -> Option<&[Vec<u8>]> {
            None
        }

        fn round(&self) -> usize {
            1
        }

        fn load(&self) -> Load {
            Load { packets: 3, octets: 24 }
        }
    }

    /// Adds one to each octet, but for those of one packet.
    struct Adds {
        skips: usize,
    }

    impl Work<Zeros> for Adds {
        fn each(&mut self, _: &Zeros, slots: &mut Slots, mut sink: impl FnMut(&[u8])) -> Result<()> {
            for n in 0..3 {
                let packet = slots.packet(n);
                if n != self.skips {
                    packet.iter_mut().for_each(|octet| *octet += 1);
                }
                sink(packet);
            }
            Ok(())
        }
    }

    fn lane(skips: usize) -> Common<Zeros> {
        let honest = (Who::Peer("honest"), Box::new(Adds { skips: 3 }) as Box<dyn Task<Zeros>>);
        Common::new(Zeros, vec![honest, (Who::Peer("other"), Box::new(Adds { skips }))])
    }

    #[test]
    fn who_leaves_one_packet_undone_is_found_out_before_the_clock_starts() {
        lane(3).begin(8).unwrap();
        let error = lane(1).begin(8).unwrap_err().to_string();
        assert!(error.contains("other") && error.contains("packet 1") && error.contains("honest"), "{error}");
    }

    #[test]
    fn laps_are_pieces_and_turns() {
        let mut lane = lane(3);
        lane.begin(8).unwrap();
        let mut laps = Laps::start();
        lane.run(0, &mut laps).unwrap();
        laps.turn(1);
        assert_eq!((laps.pieces.len(), laps.turns.each_ref().map(Vec::len)), (1, [0, 1]));
        assert_eq!(laps.total(), laps.pieces[0] + laps.turns[1][0]);
    }
}
