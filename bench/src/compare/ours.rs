//! Keyflip's side: the calls of its users, under one guard a batch.

use super::fanout::Payload;
use super::keys::Keys;
use super::lane::Work;
use super::packets::{Contexts, Packets};
use super::sfu::feed::Turn;
use super::sfu::mix::{Arrival, Kind, PARTICIPANTS, others};
use super::sfu::relay::Batch;
use super::slots::Slots;
use super::who::Kernel;
use anyhow::Result;
use keyflip::{Domain, Inbound, Outbound, Profile, Roc, Session};
use keyflip_interop::{Direction, Protocol};

/// The kernels that are measured. The core has one set: that of the crates it is built on, which choose their instructions themselves.
pub(crate) const KERNELS: [Kernel; 1] = [Kernel { name: "portable", forced: false }];

/// A context that sends.
pub(crate) fn outbound(domain: &Domain, keys: &Keys) -> Result<Outbound> {
    Ok(Session::builder(keys.profile).outbound(keys.master()).build(domain)?.outbound().clone())
}

/// A context that receives.
pub(crate) fn inbound(domain: &Domain, keys: &Keys) -> Result<Inbound> {
    Ok(Session::builder(keys.profile).inbound(keys.master()).build(domain)?.inbound().clone())
}

/// Protects packets in place.
pub(crate) struct Protect {
    domain: Domain,
    contexts: Vec<Outbound>,
}

impl Protect {
    pub(crate) fn new(domain: &Domain, contexts: Contexts) -> Result<Self> {
        let contexts = contexts.keys().map(|keys| outbound(domain, &keys)).collect::<Result<_>>()?;
        Ok(Self { domain: domain.clone(), contexts })
    }
}

impl Work<Packets> for Protect {
    #[inline]
    fn each(&mut self, source: &Packets, slots: &mut Slots, mut sink: impl FnMut(&[u8])) -> Result<()> {
        for batch in source.batches() {
            let guard = self.domain.pin();
            for (n, context) in batch.zip(&self.contexts) {
                let (buffer, len) = slots.slot(n);
                let len = context.protect_rtp(&guard, buffer, len)?;
                sink(&buffer[..len]);
            }
        }
        Ok(())
    }
}

/// Unprotects packets in place.
pub(crate) struct Unprotect {
    domain: Domain,
    contexts: Vec<Inbound>,
}

impl Unprotect {
    pub(crate) fn new(domain: &Domain, contexts: Contexts) -> Result<Self> {
        let contexts = contexts.keys().map(|keys| inbound(domain, &keys)).collect::<Result<_>>()?;
        Ok(Self { domain: domain.clone(), contexts })
    }
}

impl Work<Packets> for Unprotect {
    #[inline]
    fn each(&mut self, source: &Packets, slots: &mut Slots, mut sink: impl FnMut(&[u8])) -> Result<()> {
        for batch in source.batches() {
            let guard = self.domain.pin();
            for (n, context) in batch.zip(&self.contexts) {
                sink(context.unprotect_rtp(&guard, slots.packet(n))?);
            }
        }
        Ok(())
    }
}

/// Protects one payload for many.
pub(crate) struct FanOut {
    domain: Domain,
    contexts: Vec<Outbound>,
    packet: Vec<u8>,
}

impl FanOut {
    pub(crate) fn new(domain: &Domain, contexts: Contexts) -> Result<Self> {
        let contexts = contexts.keys().map(|keys| outbound(domain, &keys)).collect::<Result<_>>()?;
        Ok(Self { domain: domain.clone(), contexts, packet: Vec::new() })
    }
}

impl Work<Payload> for FanOut {
    #[inline]
    fn each(&mut self, source: &Payload, slots: &mut Slots, mut sink: impl FnMut(&[u8])) -> Result<()> {
        self.packet.clone_from(&source.packet);
        let guard = self.domain.pin();
        for (place, context) in source.places() {
            Payload::address(&mut self.packet, context, source.seq);
            let room = slots.room(place);
            let len = self.contexts[context].protect_rtp_to(&guard, &self.packet, room)?;
            sink(&room[..len]);
        }
        Ok(())
    }
}

/// The server of rooms: for each participant a context of either direction.
///
/// What a turned key retires is destroyed by the server's own loop, within the time of the turn: a thread that did it beside would not be counted.
pub(crate) struct Relay {
    domain: Domain,
    inbound: Vec<Inbound>,
    outbound: Vec<Outbound>,
}

impl Relay {
    /// `domain` must have no reclaimer.
    pub(crate) fn new(domain: &Domain, profile: Profile, first_key: u64) -> Result<Self> {
        let keys = || (first_key..).take(PARTICIPANTS).map(|number| Keys::new(profile, number));
        let inbound = keys().map(|keys| inbound(domain, &keys)).collect::<Result<_>>()?;
        let outbound: Vec<Outbound> = keys().map(|keys| outbound(domain, &keys)).collect::<Result<_>>()?;
        for (receiver, outbound) in outbound.iter().enumerate() {
            for sender in others(receiver) {
                // The peers number SRTCP packets from one.
                outbound.add_stream(Kind::Rtcp.ssrc(sender), Roc(0), 1)?;
            }
        }
        Ok(Self { domain: domain.clone(), inbound, outbound })
    }
}

impl Batch for Relay {
    #[inline]
    fn batch(
        &mut self,
        batch: &[Arrival],
        input: &mut Slots,
        first: usize,
        output: &mut Slots,
        mut sink: impl FnMut(&[u8]),
    ) -> Result<()> {
        let guard = self.domain.pin();
        let mut place = 0;
        for (n, arrival) in batch.iter().enumerate() {
            let (protocol, packet) = (arrival.kind.protocol(), input.packet(first + n));
            let inbound = &self.inbound[arrival.sender];
            let plain = match protocol {
                Protocol::Rtp => inbound.unprotect_rtp(&guard, packet)?,
                Protocol::Rtcp => inbound.unprotect_rtcp(&guard, packet)?,
            };
            for receiver in arrival.receivers() {
                let (outbound, room) = (&self.outbound[receiver], output.room(place));
                place += 1;
                let len = match protocol {
                    Protocol::Rtp => outbound.protect_rtp_to(&guard, plain, room)?,
                    Protocol::Rtcp => outbound.protect_rtcp_to(&guard, plain, room)?,
                };
                sink(&room[..len]);
            }
        }
        Ok(())
    }

    fn turn(&mut self, turn: &Turn) -> Result<()> {
        match turn.direction {
            Direction::Receive => self.inbound[turn.participant].rekey(turn.keys.master())?,
            Direction::Send => self.outbound[turn.participant].rekey(turn.keys.master())?,
        };
        self.domain.reclaim();
        Ok(())
    }
}
