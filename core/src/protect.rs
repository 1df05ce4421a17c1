//! The path of a packet to be sent, top-down, for SRTP and SRTCP alike (RFC 3711 3.3, 3.4; RFC 7714 8, 9).
//!
//! Nothing before the index is taken changes the buffer or any state (but for a stream that is added), and nothing after it can fail. An index
//! is taken once, so no two packets leave under one key, SSRC and index (P6), unless the caller vouched for them to be the same.

mod check;
mod headers;

pub(crate) use check::check;

use crate::buffer::Buffer;
use crate::context::Context;
use crate::crypto::aes::BLOCK;
use crate::crypto::many::TagJob;
use crate::crypto::{Frame, Suite};
use crate::epoch::Guard;
use crate::error::{Error, Result};
use crate::index::{Counter, PacketIndex, SrtcpIndex, Ssrc};
use crate::kernels::{scrub_after_packet, scrubbed};
use crate::keys::{Held, SessionKeys};
use crate::space::{Space, until_settled};
use crate::stream::{Seat, Stream, Taken};
use crate::wire::{HeaderForm, MAX_PACKET_LEN, Plain, Protocol, Shape};
use cipher::inout::InOutBuf;
use core::ops::Range;
use std::sync::Arc;

/// Protects one packet; returns its new length.
pub(crate) fn protect(
    context: &Context,
    guard: &Guard<'_>,
    protocol: Protocol,
    mut buffer: Buffer<'_>,
) -> Result<usize> {
    scrubbed(scrub_after_packet, || protect_unscrubbed(context, guard, protocol, &mut buffer))
}

/// As [`protect`], but leaves copies of keys on the stack and in registers.
#[inline(always)]
fn protect_unscrubbed(
    context: &Context,
    guard: &Guard<'_>,
    protocol: Protocol,
    buffer: &mut Buffer<'_>,
) -> Result<usize> {
    // Each protocol in code of its own, as in `unprotect`.
    match protocol {
        Protocol::Rtp => protect_as(context, guard, Protocol::Rtp, buffer),
        Protocol::Rtcp => protect_as(context, guard, Protocol::Rtcp, buffer),
    }
}

#[inline(always)]
fn protect_as(context: &Context, guard: &Guard<'_>, protocol: Protocol, buffer: &mut Buffer<'_>) -> Result<usize> {
    let packet = buffer.packet();
    Ok(ready(context, guard, protocol, packet, packet.len(), buffer.room())?.seal(buffer))
}

/// Makes the packet ready that `head` begins and that is `len` octets long, for a buffer with room for `room` octets; counts a refusal.
#[inline(always)]
pub(crate) fn ready<'g>(
    context: &'g Context,
    guard: &'g Guard<'_>,
    protocol: Protocol,
    head: &[u8],
    len: usize,
    room: usize,
) -> Result<Ready<'g>> {
    until_settled!(prepare(context, guard, protocol, head, len, room))
        .inspect_err(|error| context.count_refusal(*error, guard, protocol, head))
}

/// A packet whose index is taken: it may be encrypted.
#[derive(Clone, Copy)]
pub(crate) struct Ready<'g> {
    pub(crate) key: &'g SessionKeys,
    suite: Suite<'g>,
    pub(crate) frame: Frame,
    shape: Shape,
    pub(crate) body_end: usize,
}

/// All that can fail, and the taking of the index at its end.
#[inline(always)]
fn prepare<'g>(
    context: &'g Context,
    guard: &'g Guard<'_>,
    protocol: Protocol,
    head: &[u8],
    body_end: usize,
    room: usize,
) -> Result<Ready<'g>> {
    if body_end > MAX_PACKET_LEN {
        return Err(Error::PacketTooLong);
    }
    let context = context.route(guard, protocol, head)?;
    let mut packet = Plain::parse(protocol, head)?;
    let policy = context.policy();
    let changes_header = policy.changes_headers && protocol == Protocol::Rtp;
    let mut body_end = body_end;
    if changes_header {
        (packet.form, packet.head, body_end) = policy.plan_header(head, packet.head, body_end)?;
    }
    let ring = context.ring(guard)?;
    let shape = policy.shape(ring.shape(policy.spec, protocol), packet.seq);
    if body_end + shape.overhead() > room {
        return Err(Error::OutputTooSmall);
    }
    let held = ring.current()?;
    let key = &*held.key;
    key.budget(protocol).check()?;

    let stream = match held.space.stream_of(packet.ssrc, guard)? {
        Some(stream) => stream,
        // Used at once: one that is added and looked up again may be gone by then, again and again.
        None => added_stream(context, guard, protocol, held, (packet.ssrc, packet.seq))?,
    };
    let (key, frame) = match protocol {
        Protocol::Rtp => {
            let track = stream.track(protocol);
            let mark = track.mark();
            let index = mark.estimate(Counter::SRTP, packet.seq);
            let again = context.policy().retransmission;
            let allowed = |error: Error| if again && error == Error::IndexReused { Ok(()) } else { Err(error) };
            track.peek(index, mark).map_err(Error::to_sender).or_else(allowed)?;
            if track.spend(key, protocol)? {
                context.tell_near_limit(guard, key, protocol);
            }
            track.reserve(index).or_else(allowed).inspect_err(|_| track.count_spent_in_vain())?;
            let index = PacketIndex::from_estimate(index);
            let frame = Frame::srtp(packet.ssrc, index, packet.head, context.policy().srtp_encrypted);
            (key, frame.with_form(packet.form))
        }
        Protocol::Rtcp => {
            let (key, index) = next_srtcp(context, guard, stream, held)?;
            (key, Frame::srtcp(packet.ssrc, index, packet.head, context.policy().encrypts_srtcp()))
        }
    };
    stream.note_key(key.id());
    Ok(Ready { key, suite: key.suite(protocol), frame, shape, body_end })
}

/// The stream of a packet that may be the first of it: it is added.
#[cold]
#[inline(never)]
fn added_stream<'g>(
    context: &Context,
    guard: &'g Guard<'_>,
    protocol: Protocol,
    held: &'g Held<Space>,
    (ssrc, seq): (Ssrc, u32),
) -> Result<&'g Stream> {
    let seat = held.space.seat(ssrc, guard)?;
    match (protocol, &seat) {
        (Protocol::Rtp, _) => {
            let mark = seat.mark(protocol);
            seat.peek(protocol, mark.estimate(Counter::SRTP, seq), mark).map_err(Error::to_sender)?;
        }
        (Protocol::Rtcp, Seat::Empty(origin)) => drop(origin.next_srtcp.index_for(held.key.id(), true)?),
        (Protocol::Rtcp, Seat::Stream(_)) => {}
    }
    context.admit(held, ssrc, &seat, guard)
}

/// Takes the next SRTCP index, under the newest key: of two threads that see a rekey at different times, the one that is behind follows.
///
/// # Errors
///
/// [`Error::NoSuchStream`] if the newest key is in another space: the stream is to be looked up once more.
#[inline(never)]
fn next_srtcp<'g>(
    context: &'g Context,
    guard: &'g Guard<'_>,
    stream: &Stream,
    mut held: &'g Held<Space>,
) -> Result<(&'g SessionKeys, SrtcpIndex)> {
    let mut current = false;
    loop {
        let key = &*held.key;
        // Asked first, so that a refusal costs the key no packet.
        if stream.may_take_srtcp_index(key.id(), current)? {
            if stream.track(Protocol::Rtcp).spend(key, Protocol::Rtcp)? {
                context.tell_near_limit(guard, key, Protocol::Rtcp);
            }
            let taken = stream.take_srtcp_index(key.id(), current);
            if let Ok(Taken::Index(index)) = taken {
                return Ok((key, index));
            }
            // Another thread was faster.
            stream.track(Protocol::Rtcp).count_not_spent();
            taken?;
        }
        let newer = context.ring(guard)?.current()?;
        if !Arc::ptr_eq(&newer.space, &held.space) {
            return Err(Error::NoSuchStream);
        }
        current = newer.key.id() == key.id();
        held = newer;
    }
}

impl Ready<'_> {
    /// Encrypts it, and writes its trailer; returns its new length.
    #[inline(always)]
    pub(crate) fn seal(self, buffer: &mut Buffer<'_>) -> usize {
        let sealed = self.encrypt(buffer);
        let output = buffer.output();
        self.put_clear(output);
        if !sealed {
            let (protected, tag) = self.split(output);
            self.suite.tag(&self.frame, protected, tag);
        }
        self.len()
    }

    /// Encrypts the body; true if the tag, too, is written: a suite that can does both at once.
    #[inline(always)]
    pub(crate) fn encrypt(self, buffer: &mut Buffer<'_>) -> bool {
        if self.frame.form != HeaderForm::Clear {
            return self.encrypt_with_header(buffer);
        }
        let suite = self.suite;
        let (head, body, room) = buffer.parts(self.frame.head..self.body_end);
        match suite.seal(&self.frame, head, body) {
            Some(tag) => {
                tag.write(self.tag_in(room));
                true
            }
            None => {
                suite.crypt(&self.frame, buffer.body(self.frame.head..self.body_end));
                false
            }
        }
    }

    /// The place of the tag, in what is behind the body.
    #[inline(always)]
    fn tag_in<'b>(&self, room: &'b mut [u8]) -> &'b mut [u8] {
        let place = self.shape.trailer(self.body_end).tag;
        room.get_mut(place.start - self.body_end..place.end - self.body_end).unwrap_or_default()
    }

    /// Encrypts an RTP payload that is two parts, one behind the other, into `output`, which is as long as both; true if the tag, too, is written
    /// to its place in `room`.
    #[inline(always)]
    pub(crate) fn encrypt_parts(
        &self,
        header: &[u8],
        (first, rest): (&[u8], &[u8]),
        output: &mut [u8],
        room: &mut [u8],
    ) -> bool {
        let suite = self.suite;
        if first.is_empty()
            && let Ok(body) = InOutBuf::new(rest, output)
            && let Some(tag) = suite.seal(&self.frame, header, body)
        {
            tag.write(self.tag_in(room));
            return true;
        }
        // Up to where a block ends, the two meet in the output; from there on, it is straight from one to the other.
        let meet = if first.is_empty() { 0 } else { first.len().next_multiple_of(BLOCK).min(output.len()) };
        let (begin, end) = output.split_at_mut_checked(meet).unwrap_or_default();
        for (to, from) in begin.iter_mut().zip(first.iter().chain(rest)) {
            *to = *from;
        }
        if !begin.is_empty() {
            suite.crypt(&self.frame, begin.into());
        }
        let rest = rest.get(meet - first.len()..).unwrap_or_default();
        let blocks = u16::try_from(meet / BLOCK).unwrap_or(u16::MAX);
        if let Ok(body) = InOutBuf::new(rest, end) {
            suite.crypt_from(&self.frame, blocks, body);
        }
        false
    }

    /// Writes what of the trailer is in the clear.
    #[inline(always)]
    pub(crate) fn put_clear(&self, output: &mut [u8]) {
        let trailer = self.shape.trailer(self.body_end);
        if let Some(word) = self.frame.word() {
            put(output, trailer.word, &word);
        }
        put(output, trailer.mki, self.key.mki());
        if !trailer.roc.is_empty() {
            put(output, trailer.roc, &self.frame.suffix());
        }
    }

    /// What is authenticated, and where the tag goes.
    #[inline(always)]
    pub(crate) fn split<'b>(&self, output: &'b mut [u8]) -> (&'b mut [u8], &'b mut [u8]) {
        let (protected, room) = output.split_at_mut_checked(self.body_end).unwrap_or_default();
        (protected, self.tag_in(room))
    }

    /// What its tag is computed of, once it is encrypted.
    #[inline(always)]
    pub(crate) fn tag_job<'a>(&'a self, output: &'a [u8]) -> TagJob<'a> {
        let protected = output.get(..self.body_end).unwrap_or_default();
        TagJob { suite: self.suite, frame: &self.frame, protected }
    }

    /// Octets of the protected packet.
    pub(crate) const fn len(&self) -> usize {
        self.body_end + self.shape.overhead()
    }
}

/// Writes `octets` at `place`, which `prepare` has made sure is there.
fn put(output: &mut [u8], place: Range<usize>, octets: &[u8]) {
    for (to, from) in output.get_mut(place).unwrap_or_default().iter_mut().zip(octets) {
        *to = *from;
    }
}
