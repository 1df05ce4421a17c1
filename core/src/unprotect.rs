//! The path of a received packet, top-down, for SRTP and SRTCP alike (RFC 3711 3.3, 3.4; RFC 7714 8, 9).
//!
//! 1. Nothing before the claim changes the buffer or any state but counters of refusals, and nothing after it can fail (P8).
//! 2. What a packet is judged by is a *view*: the key ring, the stream and its mark, loaded once. If a packet is refused and the view has changed
//!    by then (another thread rekeyed, or claimed an index meanwhile), it is judged again, by the new view: a refusal is one that a packet arriving
//!    alone would have met.

use crate::buffer::Buffer;
use crate::context::{Context, until_settled};
use crate::crypto::many::{FullTag, TagJob};
use crate::crypto::{Authenticated, Frame};
use crate::epoch::Guard;
use crate::error::{Error, Result};
use crate::index::{Counter, PacketIndex, SrtcpIndex};
use crate::kernels::{scrub_after_packet, scrubbed};
use crate::keys::{KeyId, KeyRing, SessionKeys, Usable};
use crate::policy::Policy;
use crate::stream::{Mark, Seat, Stream};
use crate::wire::{Protected, Protocol};
use core::ops::Range;

/// Unprotects one packet; returns the length of the plain one.
pub(crate) fn unprotect(
    context: &Context,
    guard: &Guard<'_>,
    protocol: Protocol,
    mut buffer: Buffer<'_>,
) -> Result<usize> {
    scrubbed(scrub_after_packet, || unprotect_unscrubbed(context, guard, protocol, &mut buffer))
}

/// As [`unprotect`], but leaves copies of keys on the stack and in registers.
pub(crate) fn unprotect_unscrubbed(
    context: &Context,
    guard: &Guard<'_>,
    protocol: Protocol,
    buffer: &mut Buffer<'_>,
) -> Result<usize> {
    let accepted = until_settled(|| accept(context, guard, protocol, buffer.packet(), buffer.room()));
    match accepted {
        Ok(accepted) => Ok(accepted.decrypt(buffer)),
        Err(error) => {
            context.refusals.count(error, guard);
            Err(error)
        }
    }
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
    let (ring, packet) = parse(context, guard, protocol, octets, room)?;
    let (view, verdict) = judge(context, guard, protocol, &packet, octets, ring)?;
    let (key, frame, proof) = verdict.inspect_err(|_| view.count_refused(protocol))?;
    claim(context, guard, protocol, &view, packet.body_end, (key, frame, proof))
}

/// Takes a packet apart, by the lengths of the ring in use.
fn parse<'g>(
    context: &'g Context,
    guard: &'g Guard<'_>,
    protocol: Protocol,
    octets: &[u8],
    room: usize,
) -> Result<(&'g KeyRing, Protected)> {
    let ring = context.ring(guard)?;
    let packet = Protected::parse(ring.shape(context.policy().spec, protocol), octets)?;
    if !packet.encrypted && context.policy().encrypts_srtcp() {
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
    (key, frame, proof): Verified<'g>,
) -> Result<Accepted<'g>> {
    key.budget(protocol).check()?;
    let stream = context.admit(frame.ssrc, &view.seat, guard)?;
    let track = stream.track(protocol);
    track.spend(key, protocol)?;
    track.claim(&proof).inspect_err(|_| track.count_refused())?;
    stream.note_key(key.id());
    if let (Some(limit), Ok(current)) = (context.policy().grace.packets(), view.ring.current())
        && current.id() == key.id()
    {
        stream.settle(key.id(), limit);
    }
    Ok(Accepted { key, frame, protocol, body_end })
}

/// A packet of a batch, on its way: judged but for its tag.
pub(crate) struct Opened<'g> {
    context: &'g Context,
    view: View<'g>,
    packet: Protected,
    protocol: Protocol,
    /// The key that is tried first.
    key: &'g SessionKeys,
    frame: Frame,
    /// Its stream may use keys in grace.
    in_grace: bool,
}

impl<'g> Opened<'g> {
    /// Finds all that the tag check needs.
    ///
    /// # Errors
    ///
    /// As for a packet alone; but it may be judged by a view that others have changed by now, so ask again for a verdict.
    pub(crate) fn new(
        context: &'g Context,
        guard: &'g Guard<'_>,
        protocol: Protocol,
        octets: &[u8],
        room: usize,
    ) -> Result<Self> {
        let (ring, packet) = parse(context, guard, protocol, octets, room)?;
        let view = View::load(context, guard, protocol, &packet, ring)?;
        let frame = view.frame(context, protocol, &packet)?;
        let key = view.candidates(context, &packet, octets)?.next().ok_or(Error::AuthenticationFailed)?;
        let in_grace = view.usable(context.policy()).in_grace;
        Ok(Self { context, view, packet, protocol, key, frame, in_grace })
    }

    /// What its tag is computed of.
    pub(crate) fn tag_job<'a>(&'a self, octets: &'a [u8]) -> TagJob<'a> {
        let protected = octets.get(..self.packet.body_end).unwrap_or_default();
        TagJob { suite: self.key.suite(self.protocol), frame: &self.frame, protected }
    }

    /// Claims its index, if `expected` is its tag.
    ///
    /// # Errors
    ///
    /// `None` if it is to be judged again, alone: other keys may fit, or somebody (a packet of this batch, perhaps) has changed what it was
    /// judged by. A second look at a forgery costs a second tag.
    pub(crate) fn claim(
        self,
        guard: &'g Guard<'_>,
        octets: &[u8],
        expected: &FullTag,
    ) -> core::result::Result<Accepted<'g>, Option<Error>> {
        let tag = octets.get(self.packet.trailer.tag.clone()).ok_or(None)?;
        let proof = expected.verify(&self.frame, tag).map_err(|_| None)?;
        let view = self.view.again(self.context, guard, self.protocol, &self.packet).map_err(|_| None)?;
        if !self.stands(&view) {
            return Err(None);
        }
        let verified = (self.key, self.frame, proof);
        match claim(self.context, guard, self.protocol, &view, self.packet.body_end, verified) {
            Ok(accepted) => Ok(accepted),
            Err(Error::NoSuchStream) => Err(None),
            Err(error) => {
                self.context.refusals.count(error, guard);
                Err(Some(error))
            }
        }
    }
}

impl Opened<'_> {
    /// Whether it would be judged so by `view`, too: packets before it can have moved the estimate of its index, taken that, or settled its stream.
    fn stands(&self, view: &View<'_>) -> bool {
        let frame = view.frame(self.context, self.protocol, &self.packet);
        frame.is_ok_and(|frame| frame.index == self.frame.index)
            && view.usable(self.context.policy()).in_grace == self.in_grace
    }
}

/// What a packet was verified by.
type Verified<'g> = (&'g SessionKeys, Frame, Authenticated);

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
    ring: &'g KeyRing,
) -> Result<(View<'g>, Result<Verified<'g>>)> {
    const VIEWS: usize = 5;
    const VIEWS_WITH_TAGS: usize = 2;
    let mut view = View::load(context, guard, protocol, packet, ring)?;
    let mut tags_failed = 0;
    for _ in 1..VIEWS {
        let verdict = view.authenticate(context, protocol, packet, octets);
        let Err(error) = &verdict else { return Ok((view, verdict)) };
        tags_failed += usize::from(*error == Error::AuthenticationFailed);
        let fresh = View::load(context, guard, protocol, packet, context.ring(guard)?)?;
        if fresh.same(&view) || tags_failed == VIEWS_WITH_TAGS {
            return Ok((view, verdict));
        }
        view = fresh;
    }
    let verdict = view.authenticate(context, protocol, packet, octets);
    Ok((view, verdict))
}

/// What a packet is judged by.
struct View<'g> {
    ring: &'g KeyRing,
    seat: Seat<'g>,
    mark: Mark,
}

impl<'g> View<'g> {
    fn load(
        context: &'g Context,
        guard: &'g Guard<'_>,
        protocol: Protocol,
        packet: &Protected,
        ring: &'g KeyRing,
    ) -> Result<Self> {
        let seat = context.seat(packet.ssrc, guard)?;
        Ok(Self { ring, mark: seat.mark(protocol), seat })
    }

    /// The same ring with the stream as it is by now.
    fn again(
        &self,
        context: &'g Context,
        guard: &'g Guard<'_>,
        protocol: Protocol,
        packet: &Protected,
    ) -> Result<Self> {
        let seat = match self.seat {
            Seat::Stream(_) => self.seat,
            Seat::Empty(_) => context.seat(packet.ssrc, guard)?,
        };
        Ok(Self { ring: self.ring, mark: seat.mark(protocol), seat })
    }

    fn same(&self, other: &Self) -> bool {
        let stream = |view: &Self| view.seat.stream().map(core::ptr::from_ref);
        core::ptr::eq(self.ring, other.ring) && stream(self) == stream(other) && self.mark == other.mark
    }

    fn count_refused(&self, protocol: Protocol) {
        if let Some(stream) = self.seat.stream() {
            stream.track(protocol).count_refused();
        }
    }

    /// Estimates the index, asks the replay list, and finds the key whose tag verifies.
    fn authenticate(
        &self,
        context: &Context,
        protocol: Protocol,
        packet: &Protected,
        octets: &[u8],
    ) -> Result<Verified<'g>> {
        let frame = self.frame(context, protocol, packet)?;
        let (protected, tag) = (part(octets, &(0..packet.body_end))?, part(octets, &packet.trailer.tag)?);
        let mut verdict = Err(Error::AuthenticationFailed);
        for key in self.candidates(context, packet, octets)? {
            verdict = key.suite(protocol).verify(&frame, protected, tag).map(|proof| (key, frame, proof));
            if verdict.is_ok() {
                break;
            }
        }
        verdict
    }

    /// Estimates the index, and asks the replay list.
    fn frame(&self, context: &Context, protocol: Protocol, packet: &Protected) -> Result<Frame> {
        let index = self.mark.estimate(protocol.counter(), packet.index);
        self.seat.peek(protocol, index, self.mark)?;
        Ok(match protocol {
            Protocol::Rtp => {
                let encrypted = context.policy().srtp_encrypted;
                Frame::srtp(packet.ssrc, PacketIndex::from_estimate(index), packet.head, encrypted)
            }
            Protocol::Rtcp => {
                Frame::srtcp(packet.ssrc, SrtcpIndex::from_extended(index), packet.head, packet.encrypted)
            }
        })
    }

    /// The keys that may have protected the packet.
    fn candidates(
        &self,
        context: &Context,
        packet: &Protected,
        octets: &[u8],
    ) -> Result<impl Iterator<Item = &'g SessionKeys> + use<'g>> {
        self.ring.candidates(part(octets, &packet.trailer.mki)?, self.usable(context.policy()))
    }
}

/// A part of a packet, which its parser has seen to be there.
fn part<'o>(octets: &'o [u8], range: &Range<usize>) -> Result<&'o [u8]> {
    octets.get(range.clone()).ok_or(Error::PacketTooShort)
}

impl View<'_> {
    /// Which keys the packet's stream may use.
    fn usable(&self, policy: &Policy) -> Usable {
        // Without tags every key verifies: the current one is as good a guess as any, and the only one that is meant.
        let hint = self.seat.stream().filter(|_| policy.is_authenticated()).map_or(KeyId::NONE, Stream::last_key);
        let settled = match (self.seat.stream(), policy.grace.packets(), self.ring.current()) {
            (Some(stream), Some(limit), Ok(current)) => stream.has_settled(current.id(), limit),
            _ => false,
        };
        Usable { hint, in_grace: !settled }
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
