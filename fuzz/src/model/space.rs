//! The indices of one protocol of a stream (RFC 3711 3.3.1 and 3.3.2), with a set for a replay list.

use crate::input::Protocol;
use crate::reader;
use crate::state::Track;
use keyflip::{Error, Result};
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
pub(super) struct Space {
    protocol: Protocol,
    window: u64,
    highest: Option<u64>,
    /// Where the first packet is expected.
    cycle: u64,
    /// Below lies an earlier life of the stream.
    base: u64,
    taken: BTreeSet<u64>,
    packets: u64,
    pub(super) refused: u64,
}

impl Space {
    pub(super) fn new(protocol: Protocol, window: u64, cycle: u32) -> Self {
        let cycle = cycle.into();
        Self { protocol, window, highest: None, cycle, base: 0, taken: BTreeSet::new(), packets: 0, refused: 0 }
    }

    const fn bits(&self) -> u32 {
        match self.protocol {
            Protocol::Rtp => 16,
            Protocol::Rtcp => 31,
        }
    }

    pub(super) const fn cycle(&self) -> u64 {
        match self.highest {
            Some(highest) => highest >> self.bits(),
            None => self.cycle,
        }
    }

    pub(super) fn estimate(&self, index: u64) -> u64 {
        reader::nearest(self.protocol, self.highest, self.cycle, index % (1 << self.bits()))
    }

    pub(super) fn look(&self, index: u64) -> Result<()> {
        if index < self.base || self.highest.is_some_and(|highest| index + self.window <= highest) {
            Err(Error::TooOld)
        } else if self.taken.contains(&index) {
            Err(Error::Replayed)
        } else {
            Ok(())
        }
    }

    pub(super) fn take(&mut self, index: u64) {
        self.taken.insert(index);
        self.highest = self.highest.max(Some(index));
        self.packets += 1;
    }

    /// What the space is to the next life of its stream.
    pub(super) fn reborn(&self) -> Self {
        let base = self.highest.map_or(0, |highest| highest + 1);
        Self { base, taken: BTreeSet::new(), packets: 0, refused: 0, ..self.clone() }
    }

    pub(super) fn set_cycle(&mut self, cycle: u32) -> Result<()> {
        let cycle = u64::from(cycle);
        if cycle < self.cycle() {
            return Err(Error::IndexBackward);
        }
        let bits = self.bits();
        match &mut self.highest {
            Some(highest) => *highest = (cycle << bits) + *highest % (1 << bits),
            None => self.cycle = cycle,
        }
        Ok(())
    }

    /// Where an announced stream starts: a floor without packets binds nobody.
    pub(super) fn start_in(&mut self, cycle: u32) -> Result<()> {
        if self.highest.is_none() {
            self.cycle = cycle.into();
        }
        self.set_cycle(cycle)?;
        *self = self.reborn();
        Ok(())
    }

    pub(super) fn track(&self) -> Track {
        (self.highest, u32::try_from(self.cycle()).unwrap_or(u32::MAX), self.packets, self.refused)
    }
}
