//! Keyflip's side: the calls of its users. A packet alone by a call of its own, several by one call for all.

use super::fanout::Payload;
use super::keys::Keys;
use super::lane::Work;
use super::packets::{Contexts, Packets};
use super::sfu::feed::Turn;
use super::sfu::mix::{Arrival, BATCH, Kind, PARTICIPANTS, RECEIVERS, others};
use super::sfu::relay::Batch;
use super::slots::Slots;
use super::who::Kernel;
use crate::HEADER;
use anyhow::{Context, Result, anyhow};
use arrayvec::ArrayVec;
use keyflip::{
    Domain, Inbound, Kernels, Outbound, Outgoing, OutgoingAt, Profile, ReceivedAt, Roc, Session, Target, fanout,
    protect_batch, protect_batch_in, unprotect_batch_in,
};
use keyflip_interop::{Direction, Protocol};
use std::ops::Range;
use std::sync::OnceLock;

/// The kernels that are measured: those asked for, or else the best that there are, and, where these use AVX-512, the best without.
static CHOSEN: OnceLock<Vec<Kernel>> = OnceLock::new();

/// Measures this set of kernels alone.
pub(crate) fn choose(set: Kernels) -> Result<()> {
    let forced = set != Kernels::active();
    set.force().context("these kernels cannot be forced")?;
    CHOSEN.set(vec![Kernel { name: set.name(), forced }]).map_err(|_| anyhow!("kernels are chosen once"))
}

/// The kernels that are measured.
pub(crate) fn kernels() -> impl Iterator<Item = Kernel> {
    let best_and_next = || {
        let best = Kernels::active();
        let narrow = |set: &Kernels| !matches!(set, Kernels::Avx512 | Kernels::Avx512Vl) && set.is_available();
        let next = Kernels::ALL.into_iter().rev().find(narrow).filter(|next| *next != best);
        let kernel = |set: Kernels| Kernel { name: set.name(), forced: set != best };
        [Some(best), next].into_iter().flatten().map(kernel).collect()
    };
    CHOSEN.get_or_init(best_and_next).iter().copied()
}

/// The first of them: those asked for, or the best.
pub(crate) fn chosen() -> Result<Kernel> {
    kernels().next().context("no kernels to measure")
}

/// Keys derived from now on are for these kernels.
pub(crate) fn force(kernel: Kernel) -> Result<()> {
    let set: Kernels = kernel.name.parse()?;
    Ok(set.force()?)
}

/// A context that sends.
pub(crate) fn outbound(domain: &Domain, keys: &Keys) -> Result<Outbound> {
    Ok(Session::builder(keys.profile).outbound(keys.master()).build(domain)?.outbound().clone())
}

/// A context that receives.
pub(crate) fn inbound(domain: &Domain, keys: &Keys) -> Result<Inbound> {
    Ok(Session::builder(keys.profile).inbound(keys.master()).build(domain)?.inbound().clone())
}

/// Packets handed over in one call at most.
const AT_ONCE: usize = 256;

/// The packets of each call, and their contexts.
fn calls<'c, C>(source: &Packets, contexts: &'c [C]) -> impl Iterator<Item = (Range<usize>, &'c [C])> {
    source.batches().flat_map(move |batch| {
        let places = batch.clone().step_by(AT_ONCE).map(move |first| first..batch.end.min(first + AT_ONCE));
        places.zip(contexts.chunks(AT_ONCE))
    })
}

/// Protects packets in place: one alone, or a batch by one call.
pub(crate) struct Protect {
    domain: Domain,
    contexts: Vec<Outbound>,
}

impl Protect {
    pub(crate) fn new(domain: &Domain, contexts: Contexts, kernel: Kernel) -> Result<Self> {
        force(kernel)?;
        let contexts = contexts.keys().map(|keys| outbound(domain, &keys)).collect::<Result<_>>()?;
        Ok(Self { domain: domain.clone(), contexts })
    }
}

impl Work<Packets> for Protect {
    #[inline]
    fn each(&mut self, source: &Packets, slots: &mut Slots, mut sink: impl FnMut(&[u8])) -> Result<()> {
        if let [alone] = &self.contexts[..] {
            let guard = self.domain.pin();
            for n in source.batches().flatten() {
                let (buffer, len) = slots.slot(n);
                let len = alone.protect_rtp(&guard, buffer, len)?;
                sink(&buffer[..len]);
            }
            return Ok(());
        }
        for (batch, contexts) in calls(source, &self.contexts) {
            let mut guard = self.domain.pin();
            let mut items: ArrayVec<OutgoingAt<'_>, AT_ONCE> = (batch.zip(contexts))
                .map(|(n, context)| OutgoingAt::rtp(context, slots.place(n), slots.len(n)))
                .collect();
            protect_batch_in(&mut guard, slots.memory(), &mut items)?;
            for item in &items {
                sink(&slots.memory()[item.place().clone()][..item.result()?]);
            }
        }
        Ok(())
    }
}

/// Unprotects packets in place: one alone, or a batch by one call.
pub(crate) struct Unprotect {
    domain: Domain,
    contexts: Vec<Inbound>,
}

impl Unprotect {
    pub(crate) fn new(domain: &Domain, contexts: Contexts, kernel: Kernel) -> Result<Self> {
        force(kernel)?;
        let contexts = contexts.keys().map(|keys| inbound(domain, &keys)).collect::<Result<_>>()?;
        Ok(Self { domain: domain.clone(), contexts })
    }
}

impl Work<Packets> for Unprotect {
    #[inline]
    fn each(&mut self, source: &Packets, slots: &mut Slots, mut sink: impl FnMut(&[u8])) -> Result<()> {
        if let [alone] = &self.contexts[..] {
            let guard = self.domain.pin();
            for n in source.batches().flatten() {
                sink(alone.unprotect_rtp(&guard, slots.packet(n))?);
            }
            return Ok(());
        }
        for (batch, contexts) in calls(source, &self.contexts) {
            let mut guard = self.domain.pin();
            let mut items: ArrayVec<ReceivedAt<'_>, AT_ONCE> =
                (batch.zip(contexts)).map(|(n, context)| ReceivedAt::rtp(context, slots.packet_place(n))).collect();
            unprotect_batch_in(&mut guard, slots.memory(), &mut items)?;
            for item in &items {
                sink(&slots.memory()[item.place().clone()][..item.result()?]);
            }
        }
        Ok(())
    }
}

/// Protects one payload for many.
pub(crate) struct FanOut {
    domain: Domain,
    contexts: Vec<Outbound>,
}

impl FanOut {
    pub(crate) fn new(domain: &Domain, contexts: Contexts, kernel: Kernel) -> Result<Self> {
        force(kernel)?;
        let contexts = contexts.keys().map(|keys| outbound(domain, &keys)).collect::<Result<_>>()?;
        Ok(Self { domain: domain.clone(), contexts })
    }
}

impl Work<Payload> for FanOut {
    #[inline]
    fn each(&mut self, source: &Payload, slots: &mut Slots, mut sink: impl FnMut(&[u8])) -> Result<()> {
        let (header, payload) = source.packet.split_at(HEADER);
        let mut headers = [[0; HEADER]; AT_ONCE];
        for ((_, context), to) in source.places().zip(&mut headers) {
            to.copy_from_slice(header);
            Payload::address(to, context, source.seq);
        }
        let mut guard = self.domain.pin();
        let mut targets: ArrayVec<Target<'_>, AT_ONCE> = (source.places().zip(&headers).zip(slots.rooms()))
            .map(|(((_, context), header), room)| Target::new(&self.contexts[context], header, room))
            .collect();
        fanout(&mut guard, payload, &mut targets);
        for target in &targets {
            sink(target.protected()?);
        }
        Ok(())
    }
}

/// The server of rooms: for each participant a context of either direction.
///
/// What a turned key retires is destroyed by the server's own loop, within the time of the turn: a thread that did it beside would not be counted.
pub(crate) struct Relay {
    domain: Domain,
    kernel: Kernel,
    inbound: Vec<Inbound>,
    outbound: Vec<Outbound>,
}

impl Relay {
    /// `domain` must have no reclaimer.
    pub(crate) fn new(domain: &Domain, profile: Profile, first_key: u64, kernel: Kernel) -> Result<Self> {
        force(kernel)?;
        let keys = || (first_key..).take(PARTICIPANTS).map(|number| Keys::new(profile, number));
        let inbound = keys().map(|keys| inbound(domain, &keys)).collect::<Result<_>>()?;
        let outbound: Vec<Outbound> = keys().map(|keys| outbound(domain, &keys)).collect::<Result<_>>()?;
        for (receiver, outbound) in outbound.iter().enumerate() {
            for sender in others(receiver) {
                // The peers number SRTCP packets from one.
                outbound.add_stream(Kind::Rtcp.ssrc(sender), Roc(0), 1)?;
            }
        }
        Ok(Self { domain: domain.clone(), kernel, inbound, outbound })
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
        let mut guard = self.domain.pin();
        let mut arrived: ArrayVec<ReceivedAt<'_>, BATCH> = (batch.iter().enumerate())
            .map(|(n, arrival)| {
                let (inbound, place) = (&self.inbound[arrival.sender], input.packet_place(first + n));
                match arrival.kind.protocol() {
                    Protocol::Rtp => ReceivedAt::rtp(inbound, place),
                    Protocol::Rtcp => ReceivedAt::rtcp(inbound, place),
                }
            })
            .collect();
        unprotect_batch_in(&mut guard, input.memory(), &mut arrived)?;

        let input = &*input.memory();
        let mut rooms = output.rooms();
        let mut leaving: ArrayVec<Outgoing<'_>, { BATCH * RECEIVERS }> = ArrayVec::new();
        for (arrival, item) in batch.iter().zip(&arrived) {
            let plain = &input[item.place().clone()][..item.result()?];
            for (receiver, room) in arrival.receivers().zip(&mut rooms) {
                let outbound = &self.outbound[receiver];
                leaving.push(match arrival.kind.protocol() {
                    Protocol::Rtp => Outgoing::rtp_to(outbound, plain, room),
                    Protocol::Rtcp => Outgoing::rtcp_to(outbound, plain, room),
                });
            }
        }
        protect_batch(&mut guard, &mut leaving);
        for packet in &leaving {
            sink(packet.protected()?);
        }
        Ok(())
    }

    fn turn(&mut self, turn: &Turn) -> Result<()> {
        // A store; keys of both kernels are derived in turns here.
        force(self.kernel)?;
        match turn.direction {
            Direction::Receive => self.inbound[turn.participant].rekey(turn.keys.master())?,
            Direction::Send => self.outbound[turn.participant].rekey(turn.keys.master())?,
        };
        self.domain.reclaim();
        Ok(())
    }
}
