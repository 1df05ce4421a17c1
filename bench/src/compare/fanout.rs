//! Packets for `fanout`: one payload for many contexts, each with a header of its own.

use super::lane::{Load, Source};
use super::packets::Contexts;
use super::slots::Slots;
use crate::{HEADER, packet, set_seq, set_ssrc};
use anyhow::Result;

/// Contexts that a sample serves at most. A fan-out to more of them takes several samples, each going on where the one before ended, so that samples
/// stay short and every context comes as cold as it would.
const SAMPLE: usize = 250;

/// A payload, and whom the next sample sends it to.
pub(crate) struct Payload {
    contexts: usize,
    sample: usize,
    /// The first context of the sample.
    pub(crate) first: usize,
    /// What the sample puts into headers.
    pub(crate) seq: u16,
    /// The packet, but for its header's SSRC and sequence number.
    pub(crate) packet: Vec<u8>,
    begun: bool,
}

impl Payload {
    pub(crate) fn new(contexts: usize) -> Self {
        let packet = vec![0; HEADER];
        Self { contexts, sample: contexts.min(SAMPLE), first: 0, seq: 0, packet, begun: false }
    }

    /// The contexts of the sample, by their places in it.
    pub(crate) fn places(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        (self.first..self.first + self.sample).enumerate()
    }

    /// Writes the header for one context.
    #[inline]
    pub(crate) fn address(packet: &mut [u8], context: usize, seq: u16) {
        set_ssrc(packet, Contexts::ssrc(context));
        set_seq(packet, seq);
    }
}

impl Source for Payload {
    fn resize(&mut self, size: usize) -> Result<()> {
        let (packet, len) = packet(0, size);
        self.packet = packet;
        self.packet.truncate(len);
        Ok(())
    }

    fn advance(&mut self) -> Result<()> {
        if self.begun {
            self.first += self.sample;
        }
        if self.first + self.sample > self.contexts {
            self.first = 0;
            self.seq = self.seq.wrapping_add(1);
        }
        self.begun = true;
        Ok(())
    }

    fn fill(&self, _slots: &mut Slots) {}

    fn slots(&self) -> Slots {
        Slots::new(self.sample, self.packet.len())
    }

    fn expected(&self) -> Option<&[Vec<u8>]> {
        None
    }

    fn round(&self) -> usize {
        self.contexts / self.sample
    }

    fn load(&self) -> Load {
        Load { packets: self.sample, octets: self.sample * self.packet.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_walk_over_all_contexts_and_then_begin_again_with_the_next_number() {
        let mut payload = Payload::new(1000);
        let mut seen = Vec::new();
        for _ in 0..2 * payload.round() {
            payload.advance().unwrap();
            seen.extend(payload.places().map(|(_, context)| (payload.seq, context)));
        }
        let all: Vec<_> = (0..2).flat_map(|seq| (0..1000).map(move |context| (seq, context))).collect();
        assert_eq!(seen, all);
    }
}
