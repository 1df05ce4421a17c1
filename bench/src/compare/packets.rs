//! Packets for `one` and `batch`: streams in turn, each with a context of its own.

use super::keys::Keys;
use super::lane::{Load, Source};
use super::ours;
use super::slots::Slots;
use crate::{HEADER, packet, set_seq};
use anyhow::Result;
use keyflip::{Domain, Outbound, Profile};
use keyflip_interop::Direction;
use std::ops::Range;

/// Packets of a sample, whatever the size of a batch.
const SAMPLE: usize = 256;

/// What is done with the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Protect,
    Unprotect,
}

impl Op {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Protect => "protect",
            Self::Unprotect => "unprotect",
        }
    }

    /// What a context is for that does it.
    pub(crate) const fn direction(self) -> Direction {
        match self {
            Self::Protect => Direction::Send,
            Self::Unprotect => Direction::Receive,
        }
    }
}

/// Contexts of one thread: their profile, how many there are, and the number of the first one's keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contexts {
    pub(crate) profile: Profile,
    pub(crate) count: usize,
    pub(crate) first_key: u64,
}

impl Contexts {
    /// The keys of each.
    pub(crate) fn keys(self) -> impl Iterator<Item = Keys> {
        (self.first_key..).take(self.count).map(move |number| Keys::new(self.profile, number))
    }

    /// The SSRC of the stream of context `n`.
    #[expect(clippy::cast_possible_truncation)] // There are not that many contexts.
    pub(crate) const fn ssrc(n: usize) -> u32 {
        0x5000_0000 + n as u32
    }
}

/// The packets. Those to be unprotected are protected by Keyflip, outside of the measured time.
pub(crate) struct Packets {
    op: Op,
    contexts: usize,
    domain: Domain,
    senders: Vec<Outbound>,
    sample: usize,
    next: u64,
    plain: Vec<Vec<u8>>,
    protected: Vec<Vec<u8>>,
}

impl Packets {
    /// Packets for so many contexts, as many at once.
    pub(crate) fn new(op: Op, contexts: Contexts, domain: &Domain) -> Result<Self> {
        let senders = match op {
            Op::Protect => Vec::new(),
            Op::Unprotect => contexts.keys().map(|keys| ours::outbound(domain, &keys)).collect::<Result<_>>()?,
        };
        Ok(Self {
            op,
            contexts: contexts.count,
            domain: domain.clone(),
            senders,
            sample: SAMPLE.next_multiple_of(contexts.count),
            next: 0,
            plain: Vec::new(),
            protected: Vec::new(),
        })
    }

    /// The packets of a sample by the batches in which they are handed over: one packet for each context, in their order.
    #[inline]
    pub(crate) fn batches(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let contexts = self.contexts;
        (0..self.sample).step_by(contexts).map(move |first| first..first + contexts)
    }
}

impl Source for Packets {
    fn resize(&mut self, size: usize) -> Result<()> {
        let of_context = |n| {
            let (mut packet, len) = packet(Contexts::ssrc(n), size);
            packet.truncate(len);
            packet
        };
        self.plain = (0..self.sample).map(|n| of_context(n % self.contexts)).collect();
        Ok(())
    }

    #[expect(clippy::cast_possible_truncation)] // Sequence numbers wrap.
    fn advance(&mut self) -> Result<()> {
        for (n, packet) in self.plain.iter_mut().enumerate() {
            set_seq(packet, (self.next + (n / self.contexts) as u64) as u16);
        }
        self.next += (self.sample / self.contexts) as u64;
        if self.op == Op::Unprotect {
            self.protected.resize(self.sample, Vec::new());
            let guard = self.domain.pin();
            for (n, (plain, protected)) in self.plain.iter().zip(&mut self.protected).enumerate() {
                let sender = &self.senders[n % self.contexts];
                protected.resize(plain.len() + sender.rtp_overhead(), 0);
                sender.protect_rtp_to(&guard, plain, protected)?;
            }
        }
        Ok(())
    }

    fn fill(&self, slots: &mut Slots) {
        let packets = if self.op == Op::Protect { &self.plain } else { &self.protected };
        for (n, packet) in packets.iter().enumerate() {
            slots.put(n, packet);
        }
    }

    fn slots(&self) -> Slots {
        Slots::new(self.sample, self.plain.first().map_or(HEADER, Vec::len))
    }

    fn expected(&self) -> Option<&[Vec<u8>]> {
        (self.op == Op::Unprotect).then_some(&self.plain)
    }

    fn round(&self) -> usize {
        1
    }

    fn load(&self) -> Load {
        Load { packets: self.sample, octets: self.plain.iter().map(Vec::len).sum() }
    }
}
