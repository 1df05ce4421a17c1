//! The path of a received packet, top-down, for SRTP and SRTCP alike (RFC 3711 3.3, 3.4; RFC 7714 8, 9).
//!
//! 1. Nothing before the claim changes the buffer or any state but counters of refusals, and nothing after it can fail (P8).
//! 2. What a packet is judged by is a *view*: the key ring, the stream and its mark, loaded once. If a packet is refused and the view has changed
//!    by then (another thread rekeyed, or claimed an index meanwhile), it is judged again, by the new view: a refusal is one that a packet arriving
//!    alone would have met.
//! 3. A packet is judged under each key in the index space of that key. As a rule all keys are in one, and the view holds what the SSRC has there.

mod headers;
mod judge;
mod opened;

use judge::{View, judge};

pub(crate) use opened::Opened;

use crate::buffer::Buffer;
use crate::context::{Context, Ring};
use crate::crypto::{Authenticated, Frame, Suite};
use crate::epoch::Guard;
use crate::error::{Error, Result};
use crate::id::KeyId;
use crate::index::{Counter, PacketIndex, SrtcpIndex};
use crate::kernels::{scrub_after_packet, scrub_at_length, scrubbed};
use crate::keys::{Held, SessionKeys};
use crate::policy::Policy;
use crate::space::{Space, until_settled};
use crate::stream::{Mark, Stream};
use crate::wire::{HeaderForm, Protected, Protocol};

/// Unprotects one packet; returns the length of the plain one.
pub(crate) fn unprotect(
    context: &Context,
    guard: &Guard<'_>,
    protocol: Protocol,
    mut buffer: Buffer<'_>,
) -> Result<usize> {
    // Each protocol in code of its own: what differs is known where it is compiled, and nothing of a packet is carried through memory.
    scrubbed(scrub_after_packet, || match protocol {
        Protocol::Rtp => unprotect_as(context, guard, Protocol::Rtp, &mut buffer),
        Protocol::Rtcp => unprotect_as(context, guard, Protocol::Rtcp, &mut buffer),
    })
}

#[inline(always)]
fn unprotect_as(context: &Context, guard: &Guard<'_>, protocol: Protocol, buffer: &mut Buffer<'_>) -> Result<usize> {
    let room = buffer.room();
    let plain = until_settled!(accept::<true>(context, guard, protocol, buffer, room));
    plain.inspect_err(|error| context.count_refusal(*error, guard, protocol, buffer.packet()))
}

/// Verifies one packet and claims its index, and leaves it encrypted; returns its length without the trailer.
pub(crate) fn authenticate(context: &Context, guard: &Guard<'_>, protocol: Protocol, packet: &[u8]) -> Result<usize> {
    let mut buffer = Buffer::between(packet, &mut []);
    let accepted = scrubbed(scrub_after_packet, || {
        until_settled!(accept::<false>(context, guard, protocol, &mut buffer, usize::MAX))
    });
    accepted.inspect_err(|error| context.count_refusal(*error, guard, protocol, packet))
}

/// Verifies a packet and claims its index; counts a refusal. For who decrypts it, and perhaps encrypts it again. It leaves copies of keys on the stack.
pub(crate) fn accepted<'g>(
    context: &'g Context,
    guard: &'g Guard<'_>,
    protocol: Protocol,
    octets: &[u8],
    room: usize,
) -> Result<Accepted<'g>> {
    let accept = || judged(context.route(guard, protocol, octets)?, guard, protocol, octets, room, Tried::NONE);
    until_settled!(accept()).inspect_err(|error| context.count_refusal(*error, guard, protocol, octets))
}

/// A packet whose index is claimed: it may be decrypted.
#[derive(Clone, Copy)]
pub(crate) struct Accepted<'g> {
    key: &'g SessionKeys,
    suite: Suite<'g>,
    frame: Frame,
    body_end: usize,
}

impl Accepted<'_> {
    /// Decrypts it; returns the length of the plain packet.
    #[inline(always)]
    pub(crate) fn decrypt(self, buffer: &mut Buffer<'_>) -> usize {
        if self.frame.form != HeaderForm::Clear {
            return self.decrypt_with_header(buffer);
        }
        self.suite.crypt(&self.frame, buffer.body(self.frame.head..self.body_end));
        self.body_end
    }
}

/// All that can fail, the claim at its end, and the decryption, if it is to be decrypted.
#[inline(always)]
fn accept<const DECRYPTS: bool>(
    context: &Context,
    guard: &Guard<'_>,
    protocol: Protocol,
    buffer: &mut Buffer<'_>,
    room: usize,
) -> Result<usize> {
    let octets = buffer.packet();
    let context = context.route(guard, protocol, octets)?;
    let (ring, packet) = parse(context, guard, protocol, octets, room)?;
    match guess(context, ring, guard, protocol, &packet, octets) {
        Ok((stream, verified)) => {
            let accepted = claim(context, guard, protocol, ring, stream, packet.body_end, verified)?;
            Ok(if DECRYPTS { accepted.decrypt(buffer) } else { accepted.body_end })
        }
        Err(tried) => accept_at_length::<DECRYPTS>(context, guard, protocol, buffer, room, tried),
    }
}

/// As a rule: the stream is known, its index could be claimed, and the current key, which was the last to authenticate a packet of it, verifies this one.
///
/// # Errors
///
/// The key that does not, if there was one to try.
#[inline(always)]
fn guess<'g>(
    context: &Context,
    ring: &'g Ring,
    guard: &'g Guard<'_>,
    protocol: Protocol,
    packet: &Protected,
    octets: &[u8],
) -> core::result::Result<(&'g Stream, Verified<'g>), Tried> {
    let none = |_| Tried::NONE;
    let held = ring.plain().ok_or(Tried::NONE)?;
    let stream = held.space.stream_of(packet.ssrc, guard).map_err(none)?.ok_or(Tried::NONE)?;
    let track = stream.track(protocol);
    let mark = track.mark();
    let index = index(protocol, packet, mark);
    track.peek(index, mark).map_err(none)?;
    let tagged = Tagged::of(packet, octets).map_err(none)?;
    ring.likeliest(tagged.mki, stream.last_key()).ok_or(Tried::NONE)?;
    match verify(context, protocol, packet, &tagged, held, index) {
        Some(verified) => Ok((stream, verified)),
        None => Err(Tried { key: held.key.id(), index }),
    }
}

/// The same where it is not the current key, at the first look, that verifies the packet.
#[cold]
#[inline(never)]
fn accept_at_length<const DECRYPTS: bool>(
    context: &Context,
    guard: &Guard<'_>,
    protocol: Protocol,
    buffer: &mut Buffer<'_>,
    room: usize,
    tried: Tried,
) -> Result<usize> {
    scrubbed(scrub_at_length, || {
        let accepted = judged(context, guard, protocol, buffer.packet(), room, tried)?;
        Ok(if DECRYPTS { accepted.decrypt(buffer) } else { accepted.body_end })
    })
}

#[inline(never)]
fn judged<'g>(
    context: &'g Context,
    guard: &'g Guard<'_>,
    protocol: Protocol,
    octets: &[u8],
    room: usize,
    tried: Tried,
) -> Result<Accepted<'g>> {
    let (ring, packet) = parse(context, guard, protocol, octets, room)?;
    let view = View::load(ring, guard, protocol, &packet)?;
    let (view, verdict) = judge(context, guard, protocol, &packet, octets, view, tried)?;
    let verified = verdict.inspect_err(|_| view.count_refused(protocol))?;
    verified.held.key.budget(protocol).check()?;
    let stream = context.admit(verified.held, packet.ssrc, &view.place.seat, guard)?;
    claim(context, guard, protocol, view.ring, stream, packet.body_end, verified)
}

/// Takes a packet apart, by the lengths of the ring in use.
#[inline(always)]
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
        (packet.form, packet.head) = policy.read_header(octets, packet.head)?;
    }
    if !packet.encrypted && policy.demands_encrypted_srtcp() {
        return Err(Error::UnencryptedSrtcp);
    }
    if packet.body_end > room { Err(Error::OutputTooSmall) } else { Ok((ring, packet)) }
}

/// Claims the index of a packet that verified.
#[inline(always)]
fn claim<'g>(
    context: &Context,
    guard: &Guard<'_>,
    protocol: Protocol,
    ring: &Ring,
    stream: &Stream,
    body_end: usize,
    Verified { held, suite, frame, proof, decides }: Verified<'g>,
) -> Result<Accepted<'g>> {
    let key = &*held.key;
    key.budget(protocol).check()?;
    let track = stream.track(protocol);
    if track.spend(key, protocol)? {
        context.tell_near_limit(guard, key, protocol);
    }
    if decides {
        track.decide(Mark::index(proof.index())).inspect_err(|_| track.count_spent_in_vain())?;
    }
    track.claim(&proof).inspect_err(|_| track.count_spent_in_vain())?;
    stream.note_key(key.id());
    if let (Some(limit), Ok(current)) = (context.policy().grace.packets(), ring.current())
        && current.key.id() == key.id()
    {
        stream.settle(key.id(), limit);
    }
    Ok(Accepted { key, suite, frame, body_end })
}

/// What a packet was verified by.
struct Verified<'g> {
    held: &'g Held<Space>,
    suite: Suite<'g>,
    frame: Frame,
    proof: Authenticated,
    /// The packet is the first to say where the indices of its SSRC are in that space.
    decides: bool,
}

/// A key that does not verify a packet at an index.
#[derive(Clone, Copy)]
struct Tried {
    key: KeyId,
    index: u64,
}

impl Tried {
    const NONE: Self = Self { key: KeyId::NONE, index: 0 };

    fn is(self, key: &SessionKeys, index: u64) -> bool {
        self.key == key.id() && self.index == index
    }
}

/// Whether `held` verifies a packet at `index`.
#[inline(always)]
fn verify<'g>(
    context: &Context,
    protocol: Protocol,
    packet: &Protected,
    tagged: &Tagged<'_>,
    held: &'g Held<Space>,
    index: u64,
) -> Option<Verified<'g>> {
    let frame = frame(context.policy(), protocol, packet, index);
    let suite = held.key.suite(protocol);
    let proof = suite.verify(&frame, tagged.protected, tagged.tag).ok()?;
    Some(Verified { held, suite, frame, proof, decides: false })
}

/// The parts of a packet that a key is verified by.
struct Tagged<'p> {
    protected: &'p [u8],
    tag: &'p [u8],
    mki: &'p [u8],
}

impl<'p> Tagged<'p> {
    #[inline(always)]
    fn of(packet: &Protected, octets: &'p [u8]) -> Result<Self> {
        let part = |range: &core::ops::Range<usize>| octets.get(range.clone()).ok_or(Error::PacketTooShort);
        let (tag, mki) = (part(&packet.trailer.tag)?, part(&packet.trailer.mki)?);
        Ok(Self { protected: part(&(0..packet.body_end))?, tag, mki })
    }
}

/// The index of a packet: what it says itself, if it carries its counter, and its tag is to confirm (RFC 4771); or the estimate by a mark.
#[inline(always)]
fn index(protocol: Protocol, packet: &Protected, mark: Mark) -> u64 {
    match packet.roc {
        None => mark.estimate(protocol.counter(), packet.index),
        Some(roc) => protocol.counter().first(u64::from(roc.0), packet.index),
    }
}

#[inline(always)]
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
