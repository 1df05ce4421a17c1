//! The path of a received packet, top-down, for SRTP and SRTCP alike (RFC 3711 3.3, 3.4; RFC 7714 8, 9).
//!
//! 1. Nothing before the claim changes the buffer or any state but counters of refusals, and nothing after it can fail (P8).
//! 2. What a packet is judged by is a *view*: the key ring, the stream and its mark, loaded once. If a packet is refused and the view has changed
//!    by then (another thread rekeyed, or claimed an index meanwhile), it is judged again, by the new view: a refusal is one that a packet arriving
//!    alone would have met.

use crate::buffer::Buffer;
use crate::context::{Context, until_settled};
use crate::crypto::{Authenticated, Frame};
use crate::epoch::Guard;
use crate::error::{Error, Result};
use crate::index::{Counter, PacketIndex, SrtcpIndex};
use crate::kernels::{scrub_after_packet, scrubbed};
use crate::keys::{KeyId, KeyRing, SessionKeys, Usable};
use crate::policy::Policy;
use crate::stream::{Mark, Seat, Stream};
use crate::wire::{Protected, Protocol};

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
fn unprotect_unscrubbed(
    context: &Context,
    guard: &Guard<'_>,
    protocol: Protocol,
    buffer: &mut Buffer<'_>,
) -> Result<usize> {
    let accepted = until_settled(|| accept(context, guard, protocol, buffer));
    match accepted {
        Ok(accepted) => Ok(accepted.decrypt(protocol, buffer)),
        Err(error) => {
            context.refusals.count(error, guard);
            Err(error)
        }
    }
}

/// A packet whose index is claimed: it may be decrypted.
struct Accepted<'g> {
    key: &'g SessionKeys,
    frame: Frame,
    body_end: usize,
}

impl Accepted<'_> {
    fn decrypt(&self, protocol: Protocol, buffer: &mut Buffer<'_>) -> usize {
        self.key.suite(protocol).crypt(&self.frame, buffer.body(self.frame.head..self.body_end));
        self.body_end
    }
}

/// All that can fail, and the claim at its end.
fn accept<'g>(
    context: &'g Context,
    guard: &'g Guard<'_>,
    protocol: Protocol,
    buffer: &Buffer<'_>,
) -> Result<Accepted<'g>> {
    let ring = context.ring(guard)?;
    let packet = Protected::parse(ring.shape(context.policy().spec, protocol), buffer.packet())?;
    if !packet.encrypted && context.policy().encrypts_srtcp() {
        return Err(Error::UnencryptedSrtcp);
    }
    buffer.check_room(packet.body_end)?;

    let (view, verdict) = judge(context, guard, protocol, &packet, buffer.packet(), ring)?;
    let (key, frame, proof) = verdict.inspect_err(|_| view.count_refused(protocol))?;

    key.budget(protocol).check()?;
    let stream = context.admit(packet.ssrc, &view.seat, guard)?;
    let track = stream.track(protocol);
    track.spend(key, protocol)?;
    track.claim(&proof).inspect_err(|_| track.count_refused())?;
    stream.note_key(key.id());
    if let (Some(limit), Ok(current)) = (context.policy().grace.packets(), view.ring.current())
        && current.id() == key.id()
    {
        stream.settle(key.id(), limit);
    }
    Ok(Accepted { key, frame, body_end: packet.body_end })
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
        let counter = protocol.counter();
        let index = self.mark.estimate(counter, packet.index);
        self.seat.peek(protocol, index, self.mark)?;
        let frame = match protocol {
            Protocol::Rtp => {
                let encrypted = context.policy().srtp_encrypted;
                Frame::srtp(packet.ssrc, PacketIndex::from_estimate(index), packet.head, encrypted)
            }
            Protocol::Rtcp => {
                Frame::srtcp(packet.ssrc, SrtcpIndex::from_extended(index), packet.head, packet.encrypted)
            }
        };
        let part = |range: &core::ops::Range<usize>| octets.get(range.clone()).ok_or(Error::PacketTooShort);
        let (protected, tag) = (part(&(0..packet.body_end))?, part(&packet.trailer.tag)?);
        let mut verdict = Err(Error::AuthenticationFailed);
        for key in self.ring.candidates(part(&packet.trailer.mki)?, self.usable(context.policy()))? {
            verdict = key.suite(protocol).verify(&frame, protected, tag).map(|proof| (key, frame, proof));
            if verdict.is_ok() {
                break;
            }
        }
        verdict
    }
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
