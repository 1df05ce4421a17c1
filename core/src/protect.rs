//! The path of a packet to be sent, top-down, for SRTP and SRTCP alike (RFC 3711 3.3, 3.4; RFC 7714 8, 9).
//!
//! Nothing before the index is taken changes the buffer or any state (but for a stream that is added), and nothing after it can fail. An index
//! is taken once, so no two packets leave under one key, SSRC and index (P6), unless the caller vouched for them to be the same.

use crate::buffer::Buffer;
use crate::context::{Context, until_settled};
use crate::crypto::Frame;
use crate::epoch::Guard;
use crate::error::{Error, Result};
use crate::index::{Counter, PacketIndex, SrtcpIndex};
use crate::kernels::{scrub_after_packet, scrubbed};
use crate::keys::{KeyRing, SessionKeys};
use crate::stream::{Seat, Stream, Taken};
use crate::wire::{Plain, Protocol, Shape};
use core::ops::Range;

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
fn protect_unscrubbed(
    context: &Context,
    guard: &Guard<'_>,
    protocol: Protocol,
    buffer: &mut Buffer<'_>,
) -> Result<usize> {
    let ready = until_settled(|| prepare(context, guard, protocol, buffer));
    match ready {
        Ok(ready) => Ok(ready.seal(protocol, buffer)),
        Err(error) => {
            context.refusals.count(error, guard);
            Err(error)
        }
    }
}

/// A packet whose index is taken: it may be encrypted.
struct Ready<'g> {
    key: &'g SessionKeys,
    frame: Frame,
    shape: Shape,
    body_end: usize,
}

/// All that can fail, and the taking of the index at its end.
fn prepare<'g>(
    context: &'g Context,
    guard: &'g Guard<'_>,
    protocol: Protocol,
    buffer: &Buffer<'_>,
) -> Result<Ready<'g>> {
    let packet = Plain::parse(protocol, buffer.packet())?;
    let body_end = buffer.packet().len();
    let ring = context.ring(guard)?;
    let shape = ring.shape(context.policy().spec, protocol);
    buffer.check_room(body_end + shape.overhead())?;
    let key = ring.current()?;
    key.budget(protocol).check()?;

    let seat = context.seat(packet.ssrc, guard)?;
    let (stream, key, frame) = match protocol {
        Protocol::Rtp => {
            let mark = seat.mark(protocol);
            let index = mark.estimate(Counter::SRTP, packet.seq);
            let again = context.policy().retransmission;
            let allowed = |error: Error| if again && error == Error::IndexReused { Ok(()) } else { Err(error) };
            seat.peek(protocol, index, mark).map_err(Error::to_sender).or_else(allowed)?;
            let stream = context.admit(packet.ssrc, &seat, guard)?;
            let track = stream.track(protocol);
            track.spend(key, protocol)?;
            track.reserve(index).or_else(allowed).inspect_err(|_| track.count_refused())?;
            let encrypted = context.policy().srtp_encrypted;
            (stream, key, Frame::srtp(packet.ssrc, PacketIndex::from_estimate(index), packet.head, encrypted))
        }
        Protocol::Rtcp => {
            if let Seat::Empty(origin) = &seat {
                origin.next_srtcp.index_for(key.id(), true)?;
            }
            let stream = context.admit(packet.ssrc, &seat, guard)?;
            let (key, index) = next_srtcp(context, guard, stream, ring)?;
            (stream, key, Frame::srtcp(packet.ssrc, index, packet.head, context.policy().encrypts_srtcp()))
        }
    };
    stream.note_key(key.id());
    Ok(Ready { key, frame, shape, body_end })
}

/// Takes the next SRTCP index, under the newest key: of two threads that see a rekey at different times, the one that is behind follows.
fn next_srtcp<'g>(
    context: &'g Context,
    guard: &'g Guard<'_>,
    stream: &Stream,
    mut ring: &'g KeyRing,
) -> Result<(&'g SessionKeys, SrtcpIndex)> {
    let mut current = false;
    loop {
        let key = ring.current()?;
        stream.track(Protocol::Rtcp).spend(key, Protocol::Rtcp)?;
        match stream.take_srtcp_index(key.id(), current)? {
            Taken::Index(index) => return Ok((key, index)),
            Taken::KeyReplaced => {
                let newer = context.ring(guard)?;
                current = core::ptr::eq(newer, ring);
                ring = newer;
            }
        }
    }
}

impl Ready<'_> {
    fn seal(&self, protocol: Protocol, buffer: &mut Buffer<'_>) -> usize {
        let trailer = self.shape.trailer(self.body_end);
        self.key.suite(protocol).seal(&self.frame, buffer, self.body_end, trailer.tag);
        let output = buffer.output();
        if let Some(word) = self.frame.word() {
            put(output, trailer.word, &word);
        }
        put(output, trailer.mki, self.key.mki());
        self.body_end + self.shape.overhead()
    }
}

/// Writes `octets` at `place`, which `prepare` has made sure is there.
fn put(output: &mut [u8], place: Range<usize>, octets: &[u8]) {
    for (to, from) in output.get_mut(place).unwrap_or_default().iter_mut().zip(octets) {
        *to = *from;
    }
}
