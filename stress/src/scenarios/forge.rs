//! Floods of forgeries and replays beside genuine traffic, which loses nothing; and memory stays as it was.
//!
//! For each genuine packet come several forgeries (flipped bits, truncations, noise, packets of other streams and of
//! streams that do not exist) and as many replays. At the end each receiver has the streams of its sender and no other.

use anyhow::{Context, Result};

use super::Scenario;
use crate::board::{Counts, Promise};
use crate::call::{Call, Line, Talker, profiles};
use crate::lanes::Run;
use crate::memory::Memory;
use crate::pace::Pace;
use crate::stream::Manner;

/// Floods.
pub struct Forge {
    /// Octets to hoard a millisecond: on purpose.
    pub hoards: usize,
}

/// Forgeries, and replays, of each packet.
const ATTACKS: u32 = 8;

impl Scenario for Forge {
    fn name(&self) -> &'static str {
        "forge"
    }

    fn about(&self) -> &'static str {
        "floods receivers with forgeries, truncations and replays beside genuine traffic, and watches the memory"
    }

    fn run(&self, run: &Run<'_>) -> Result<()> {
        let profiles = profiles();
        let threads = run.settings.threads.max(profiles.len());
        let call = |(profile, id)| {
            let call = Call::new(run.domain, profile, keyflip::Grace::LAST, 1, &mut run.rng(id));
            call.map(Line::new)
        };
        // A line a profile, and each thread has one of its own.
        let lines = profiles.into_iter().cycle().take(threads).zip(1..).map(call).collect::<Result<Vec<_>>>()?;
        let manner = Manner { in_order: false, attacks: ATTACKS };
        let talker = |(lane, line)| Talker::new(run, line, lane, threads, manner);
        let mut talkers: Vec<_> = lines.iter().enumerate().map(talker).collect();
        let mut memory = Memory::watch(run);
        let control = || {
            let (mut rng, mut pace) = (run.rng(0), Pace::new(run.settings.rekeys_per_second));
            let mut hoard = Vec::new();
            let mut turns = lines.iter().cycle();
            while !run.is_stopped() {
                memory.sample();
                if self.hoards > 0 {
                    hoard.push(vec![1_u8; self.hoards]);
                }
                if !pace.is_due() || run.has_backlog() {
                    std::thread::yield_now();
                    continue;
                }
                pace.note();
                let Some(line) = turns.next() else { break };
                for pair in line.call().ways() {
                    if pair.turn(&mut rng).context("rekey")? {
                        run.board.book(Counts { rekeys: 2, ..Counts::default() }, &[]);
                    }
                }
            }
            Ok(())
        };
        run.beside(control, || run.drive(&mut talkers))?;
        for talker in &mut talkers {
            talker.end();
            talker.call.ways().into_iter().for_each(|pair| pair.judge(run.board));
        }
        if run.is_alone {
            memory.judge(run, Promise::P8);
        }
        Ok(())
    }
}
