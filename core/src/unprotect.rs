//! The path of a received packet, top-down, for SRTP and SRTCP alike (RFC 3711 3.3, 3.4; RFC 7714 8, 9).
//!
//! 1. Nothing before the claim changes the buffer or any state but counters of refusals, and nothing after it can fail (P8).
//! 2. What a packet is judged by is a *view*: the key ring, the stream and its mark, loaded once. If a packet is refused and the view has changed
//!    by then (another thread rekeyed, or claimed an index meanwhile), it is judged again, by the new view: a refusal is one that a packet arriving
//!    alone would have met.
//! 3. A packet is judged under each key in the index space of that key. As a rule all keys are in one, and the view holds what the SSRC has there.

mod headers;
mod opened;

pub(crate) use opened::Opened;

use crate::buffer::Buffer;
use crate::context::{Context, Ring};
use crate::crypto::{Authenticated, Frame};
use crate::epoch::Guard;
use crate::error::{Error, Result};
use crate::id::KeyId;
use crate::index::{Counter, PacketIndex, SrtcpIndex, Ssrc};
use crate::kernels::{scrub_after_packet, scrubbed};
use crate::keys::{Held, SessionKeys, Usable};
use crate::policy::Policy;
use crate::space::{Space, until_settled};
use crate::stream::{Mark, Seat, Stream};
use crate::wire::{HeaderForm, Protected, Protocol};

/// Unprotects one packet; returns the length of the plain one.
pub(crate) fn unprotect(
    context: &Context,
    guard: &Guard<'_>,
    protocol: Protocol,
    mut buffer: Buffer<'_>,
) -> Result<usize> {
    scrubbed(scrub_after_packet, || unprotect_unscrubbed(context, guard, protocol, &mut buffer))
}

/// Verifies one packet and claims its index, and leaves it encrypted; returns its length without the trailer.
pub(crate) fn authenticate(context: &Context, guard: &Guard<'_>, protocol: Protocol, packet: &[u8]) -> Result<usize> {
    let accept = || accept(context, guard, protocol, packet, usize::MAX).map(|accepted| accepted.body_end);
    scrubbed(scrub_after_packet, || until_settled(accept))
        .inspect_err(|error| context.count_refusal(*error, guard, protocol, packet))
}

/// As [`unprotect`], but leaves copies of keys on the stack and in registers.
pub(crate) fn unprotect_unscrubbed(
    context: &Context,
    guard: &Guard<'_>,
    protocol: Protocol,
    buffer: &mut Buffer<'_>,
) -> Result<usize> {
    let accepted = accepted(context, guard, protocol, buffer.packet(), buffer.room())?;
    Ok(accepted.decrypt(buffer))
}

/// Verifies a packet and claims its index; counts a refusal.
pub(crate) fn accepted<'g>(
    context: &'g Context,
    guard: &'g Guard<'_>,
    protocol: Protocol,
    octets: &[u8],
    room: usize,
) -> Result<Accepted<'g>> {
    until_settled(|| accept(context, guard, protocol, octets, room))
        .inspect_err(|error| context.count_refusal(*error, guard, protocol, octets))
}

/// A packet whose index is claimed: it may be decrypted.
pub(crate) struct Accepted<'g> {
    key: &'g SessionKeys,
    frame: Frame,
    protocol: Protocol,
    body_end: usize,
}

impl Accepted<'_> {
    /// Decrypts it; returns the length of the plain packet.
    pub(crate) fn decrypt(&self, buffer: &mut Buffer<'_>) -> usize {
        if self.frame.form != HeaderForm::Clear {
            return self.decrypt_with_header(buffer);
        }
        self.key.suite(self.protocol).crypt(&self.frame, buffer.body(self.frame.head..self.body_end));
        self.body_end
    }
}

/// All that can fail, and the claim at its end.
fn accept<'g>(
    context: &'g Context,
    guard: &'g Guard<'_>,
    protocol: Protocol,
    octets: &[u8],
    room: usize,
) -> Result<Accepted<'g>> {
    let context = context.route(guard, protocol, octets)?;
    let (ring, packet) = parse(context, guard, protocol, octets, room)?;
    let (view, verdict) = judge(context, guard, protocol, &packet, octets, ring)?;
    let verified = verdict.inspect_err(|_| view.count_refused(protocol))?;
    claim(context, guard, protocol, &view, packet.body_end, verified)
}

/// Takes a packet apart, by the lengths of the ring in use.
fn parse<'g>(
    context: &'g Context,
    guard: &'g Guard<'_>,
    protocol: Protocol,
    octets: &[u8],
    room: usize,
) -> Result<(&'g Ring, Protected)> {
    let ring = context.ring(guard)?;
    let policy = context.policy();
    let shape = policy.shape_received(ring.shape(policy.spec, protocol), octets);
    let mut packet = Protected::parse(shape, octets)?;
    if policy.changes_headers && protocol == Protocol::Rtp {
        policy.read_header(&mut packet, octets)?;
    }
    if !packet.encrypted && policy.demands_encrypted_srtcp() {
        return Err(Error::UnencryptedSrtcp);
    }
    if packet.body_end > room { Err(Error::OutputTooSmall) } else { Ok((ring, packet)) }
}

/// Claims the index of a packet that verified.
fn claim<'g>(
    context: &'g Context,
    guard: &'g Guard<'_>,
    protocol: Protocol,
    view: &View<'g>,
    body_end: usize,
    Verified { held, frame, proof, decides }: Verified<'g>,
) -> Result<Accepted<'g>> {
    let key = &*held.key;
    key.budget(protocol).check()?;
    let stream = context.admit(held, frame.ssrc, &view.place.seat, guard)?;
    let track = stream.track(protocol);
    if track.spend(key, protocol)? {
        context.tell_near_limit(guard, key, protocol);
    }
    if decides {
        track.decide(Mark::index(proof.index()))?;
    }
    track.claim(&proof).inspect_err(|_| track.count_refused())?;
    stream.note_key(key.id());
    if let (Some(limit), Ok(current)) = (context.policy().grace.packets(), view.ring.current())
        && current.key.id() == key.id()
    {
        stream.settle(key.id(), limit);
    }
    Ok(Accepted { key, frame, protocol, body_end })
}

/// What a packet was verified by.
struct Verified<'g> {
    held: &'g Held<Space>,
    frame: Frame,
    proof: Authenticated,
    /// The packet is the first to say where the indices of its SSRC are in that space.
    decides: bool,
}

/// Judges a packet by the view of now, and again if it is refused and the view has changed meanwhile (invariant 2).
///
/// A tag is checked against two views at most, since that is what a flood of forgeries would cost; what is refused before any tag is checked is
/// cheap, and is judged a few times.
fn judge<'g>(
    context: &'g Context,
    guard: &'g Guard<'_>,
    protocol: Protocol,
    packet: &Protected,
    octets: &[u8],
    ring: &'g Ring,
) -> Result<(View<'g>, Result<Verified<'g>>)> {
    const VIEWS: usize = 5;
    const VIEWS_WITH_TAGS: usize = 2;
    let mut view = View::load(ring, guard, protocol, packet)?;
    let mut tags_failed = 0;
    for _ in 1..VIEWS {
        let verdict = view.authenticate(context, guard, protocol, packet, octets);
        let Err(error) = &verdict else { return Ok((view, verdict)) };
        tags_failed += usize::from(*error == Error::AuthenticationFailed);
        let fresh = View::again(context, guard, protocol, packet)?;
        if fresh.same(&view) || tags_failed == VIEWS_WITH_TAGS {
            return Ok((view, verdict));
        }
        view = fresh;
    }
    let verdict = view.authenticate(context, guard, protocol, packet, octets);
    Ok((view, verdict))
}

/// What an SSRC has in a space.
#[derive(Clone, Copy)]
struct Place<'g> {
    seat: Seat<'g>,
    mark: Mark,
}

impl<'g> Place<'g> {
    fn load(space: &'g Space, ssrc: Ssrc, protocol: Protocol, guard: &'g Guard<'_>) -> Result<Self> {
        let seat = space.seat(ssrc, guard)?;
        Ok(Self { mark: seat.mark(protocol), seat })
    }

    fn stream(&self) -> Option<*const Stream> {
        self.seat.stream().map(core::ptr::from_ref)
    }
}

/// What a packet is judged by.
struct View<'g> {
    ring: &'g Ring,
    /// In the space of the current key; once the packet is verified, in that of its key.
    place: Place<'g>,
    /// Stands for what the SSRC has in the other spaces: equal as long as nothing changes there.
    others: u64,
}

impl<'g> View<'g> {
    #[inline(always)]
    fn load(ring: &'g Ring, guard: &'g Guard<'_>, protocol: Protocol, packet: &Protected) -> Result<Self> {
        let place = Place::load(&ring.first()?.space, packet.ssrc, protocol, guard)?;
        let others = if ring.has_one_space() { 0 } else { others(ring, guard, protocol, packet)? };
        Ok(Self { ring, place, others })
    }

    /// Apart from the first view, which every packet loads.
    #[cold]
    fn again(context: &'g Context, guard: &'g Guard<'_>, protocol: Protocol, packet: &Protected) -> Result<Self> {
        Self::load(context.ring(guard)?, guard, protocol, packet)
    }

    /// The same ring with the stream as it is by now.
    fn later(&self, guard: &'g Guard<'_>, protocol: Protocol, packet: &Protected) -> Result<Self> {
        let seat = match self.place.seat {
            Seat::Stream(_) => self.place.seat,
            Seat::Empty(_) => self.ring.first()?.space.seat(packet.ssrc, guard)?,
        };
        Ok(Self { ring: self.ring, place: Place { mark: seat.mark(protocol), seat }, others: self.others })
    }

    fn same(&self, other: &Self) -> bool {
        core::ptr::eq(self.ring, other.ring)
            && self.place.stream() == other.place.stream()
            && self.place.mark == other.place.mark
            && self.others == other.others
    }

    fn count_refused(&self, protocol: Protocol) {
        if let Some(stream) = self.place.seat.stream() {
            stream.track(protocol).count_refused();
        }
    }

    /// Estimates the index, asks the replay list, and finds the key whose tag verifies.
    fn authenticate(
        &mut self,
        context: &Context,
        guard: &'g Guard<'_>,
        protocol: Protocol,
        packet: &Protected,
        octets: &[u8],
    ) -> Result<Verified<'g>> {
        if !self.ring.has_one_space() || self.ring.is_probing() {
            return self.authenticate_across(context, guard, protocol, packet, octets);
        }
        let index = index(protocol, packet, self.place.mark);
        self.place.seat.peek(protocol, index, self.place.mark)?;
        let frame = frame(context.policy(), protocol, packet, index);
        let tagged = Tagged::of(packet, octets)?;
        let hint = self.place.seat.last_key();
        let verify = |held: &'g Held<Space>| {
            let proof = held.key.suite(protocol).verify(&frame, tagged.protected, tagged.tag).ok()?;
            Some(Verified { held, frame, proof, decides: false })
        };
        let likeliest = self.ring.likeliest(tagged.mki, hint);
        if let Some(verified) = likeliest.and_then(verify) {
            return Ok(verified);
        }
        let tried = likeliest.map(|held| held.key.id());
        let mut others = self.ring.candidates(tagged.mki, self.usable(context.policy(), hint))?;
        let verified = others.find_map(|held| if Some(held.key.id()) == tried { None } else { verify(held) });
        verified.ok_or(Error::AuthenticationFailed)
    }

    /// The same where keys are in several spaces, or probe: the index is another one under each.
    #[cold]
    fn authenticate_across(
        &mut self,
        context: &Context,
        guard: &'g Guard<'_>,
        protocol: Protocol,
        packet: &Protected,
        octets: &[u8],
    ) -> Result<Verified<'g>> {
        let tagged = Tagged::of(packet, octets)?;
        let mut hint = self.place.seat.last_key();
        for held in self.ring.iter().skip(1) {
            if hint == KeyId::NONE {
                // Its sender may not have come as far as the space of the current key.
                hint = Place::load(&held.space, packet.ssrc, protocol, guard)?.seat.last_key();
            }
        }
        let mut refused = None;
        for held in self.ring.candidates(tagged.mki, self.usable(context.policy(), hint))? {
            let place = Place::load(&held.space, packet.ssrc, protocol, guard)?;
            let decides = held.probes.is_some() && protocol == Protocol::Rtp && place.mark.is_undecided();
            // While that is undecided: with the counter that goes on, then with one that begins afresh.
            let kept = if decides { held.kept(packet.ssrc, guard)? } else { None };
            let mut last = None;
            for mark in kept.into_iter().chain([place.mark]) {
                let index = index(protocol, packet, mark);
                if last.replace(index) == Some(index) {
                    continue;
                }
                if let Err(error) = place.seat.peek(protocol, index, place.mark) {
                    refused.get_or_insert(error);
                    continue;
                }
                let frame = frame(context.policy(), protocol, packet, index);
                if let Ok(proof) = held.key.suite(protocol).verify(&frame, tagged.protected, tagged.tag) {
                    self.place = place;
                    return Ok(Verified { held, frame, proof, decides });
                }
            }
        }
        Err(refused.unwrap_or(Error::AuthenticationFailed))
    }

    /// Which keys the packet's stream may use, that of `hint` first.
    fn usable(&self, policy: &Policy, hint: KeyId) -> Usable {
        let settled = match (self.place.seat.stream(), policy.grace.packets(), self.ring.current()) {
            (Some(stream), Some(limit), Ok(current)) => stream.has_settled(current.key.id(), limit),
            _ => false,
        };
        // Without tags every key verifies: the current one is as good a guess as any, and the only one that is meant.
        Usable { hint: if policy.is_authenticated() { hint } else { KeyId::NONE }, in_grace: !settled }
    }
}

#[cold]
fn others(ring: &Ring, guard: &Guard<'_>, protocol: Protocol, packet: &Protected) -> Result<u64> {
    let mut others = 0u64;
    for held in ring.iter() {
        let place = Place::load(&held.space, packet.ssrc, protocol, guard)?;
        let stream = place.stream().map_or(0, |stream| stream.addr() as u64);
        others = (others ^ stream).rotate_left(23).wrapping_add(place.mark.word());
    }
    Ok(others)
}

/// The parts of a packet that a key is verified by.
struct Tagged<'p> {
    protected: &'p [u8],
    tag: &'p [u8],
    mki: &'p [u8],
}

impl<'p> Tagged<'p> {
    fn of(packet: &Protected, octets: &'p [u8]) -> Result<Self> {
        let part = |range: &core::ops::Range<usize>| octets.get(range.clone()).ok_or(Error::PacketTooShort);
        let (tag, mki) = (part(&packet.trailer.tag)?, part(&packet.trailer.mki)?);
        Ok(Self { protected: part(&(0..packet.body_end))?, tag, mki })
    }
}

/// The index of a packet: what it says itself, if it carries its counter, and its tag is to confirm (RFC 4771); or the estimate by a mark.
fn index(protocol: Protocol, packet: &Protected, mark: Mark) -> u64 {
    match packet.roc {
        None => mark.estimate(protocol.counter(), packet.index),
        Some(roc) => protocol.counter().first(u64::from(roc.0), packet.index),
    }
}

fn frame(policy: &Policy, protocol: Protocol, packet: &Protected, index: u64) -> Frame {
    match protocol {
        Protocol::Rtp => {
            let index = PacketIndex::from_estimate(index);
            Frame::srtp(packet.ssrc, index, packet.head, policy.srtp_encrypted).with_form(packet.form)
        }
        Protocol::Rtcp => Frame::srtcp(packet.ssrc, SrtcpIndex::from_extended(index), packet.head, packet.encrypted),
    }
}

impl Protocol {
    /// How this protocol's index is carried.
    const fn counter(self) -> Counter {
        match self {
            Self::Rtp => Counter::SRTP,
            Self::Rtcp => Counter::SRTCP,
        }
    }
}
