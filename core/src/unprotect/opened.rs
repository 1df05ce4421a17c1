//! A packet of a batch, between the two halves of its path: before its tag is computed, beside others, and after.

use super::judge::View;
use super::{Accepted, Verified, claim, frame, index, parse};
use crate::buffer::Buffer;
use crate::context::{Context, Ring};
use crate::crypto::many::TagJob;
use crate::crypto::tag::FullTag;
use crate::epoch::Guard;
use crate::error::Error;
use crate::id::KeyId;
use crate::keys::Held;
use crate::space::Space;
use crate::stream::{Mark, Stream};
use crate::wire::Protocol;
use core::ops::Range;

/// A packet of a batch, on its way: judged but for its tag.
pub(crate) struct Opened<'g> {
    /// Whose refusals count.
    counts: &'g Context,
    context: &'g Context,
    ring: &'g Ring,
    stream: &'g Stream,
    mark: Mark,
    /// The key that is tried first.
    held: &'g Held<Space>,
    accepted: Accepted<'g>,
    /// The index as the packet carries it.
    wire_index: u32,
    /// The packet carries its rollover counter: its index is no estimate.
    carries_roc: bool,
    /// Where its tag lies.
    tag: (u32, u8),
    /// Its stream may use keys in grace.
    in_grace: bool,
}

impl<'g> Opened<'g> {
    /// Finds all that the tag check needs. `None` if the packet is to be judged alone, at its turn: its stream is a new one, or it may be judged by what
    /// others of the batch change, or its key may be in one of several index spaces.
    #[inline(always)]
    pub(crate) fn new(
        context: &'g Context,
        guard: &'g Guard<'_>,
        protocol: Protocol,
        octets: &[u8],
        room: usize,
    ) -> Option<Self> {
        // Each protocol in code of its own, as in `unprotect`.
        match protocol {
            Protocol::Rtp => Self::new_as(context, guard, Protocol::Rtp, octets, room),
            Protocol::Rtcp => Self::new_as(context, guard, Protocol::Rtcp, octets, room),
        }
    }

    #[inline(always)]
    fn new_as(
        context: &'g Context,
        guard: &'g Guard<'_>,
        protocol: Protocol,
        octets: &[u8],
        room: usize,
    ) -> Option<Self> {
        let counts = context;
        let context = context.route(guard, protocol, octets).ok()?;
        let (ring, packet) = parse(context, guard, protocol, octets, room).ok()?;
        let stream = ring.plain()?.space.stream_of(packet.ssrc, guard).ok()??;
        let mark = stream.track(protocol).mark();
        let index = index(protocol, &packet, mark);
        stream.track(protocol).peek(index, mark).ok()?;
        let mki = octets.get(packet.trailer.mki.clone())?;
        let (held, in_grace) = match ring.likeliest(mki, stream.last_key()) {
            Some(likeliest) if context.policy().grace.packets().is_none() => (likeliest, true),
            _ => likely(context, &View::of(ring, stream, mark), mki)?,
        };
        let tag = (u32::try_from(packet.trailer.tag.start).ok()?, u8::try_from(packet.trailer.tag.len()).ok()?);
        let frame = frame(context.policy(), protocol, &packet, index);
        let accepted = Accepted { key: &held.key, suite: held.key.suite(protocol), frame, body_end: packet.body_end };
        Some(Self {
            counts,
            context,
            ring,
            stream,
            mark,
            held,
            accepted,
            wire_index: packet.index,
            carries_roc: packet.roc.is_some(),
            tag,
            in_grace,
        })
    }

    /// What its tag is computed of.
    #[inline(always)]
    pub(crate) fn tag_job<'a>(&'a self, octets: &'a [u8]) -> TagJob<'a> {
        let Accepted { suite, frame, body_end, .. } = &self.accepted;
        TagJob { suite: *suite, frame, protected: octets.get(..*body_end).unwrap_or_default() }
    }

    /// Claims its index, if `expected` is its tag. It may be decrypted then.
    ///
    /// # Errors
    ///
    /// `None` if it is to be judged again, alone: other keys may fit, or somebody (a packet of this batch, perhaps) has changed what it was
    /// judged by. A second look at a forgery costs a second tag.
    #[inline(always)]
    pub(crate) fn claim(
        &self,
        guard: &'g Guard<'_>,
        octets: &[u8],
        expected: &FullTag,
    ) -> core::result::Result<(), Option<Error>> {
        let protocol = self.accepted.frame.protocol;
        let tag = octets.get(self.tag_place()).ok_or(None)?;
        let proof = expected.verify(&self.accepted.frame, tag).map_err(|_| None)?;
        let mark = self.stream.track(protocol).mark();
        if !self.stands(mark) {
            return Err(None);
        }
        let Accepted { suite, frame, body_end, .. } = self.accepted;
        let verified = Verified { held: self.held, suite, frame, proof, decides: false };
        match claim(self.context, guard, protocol, self.ring, self.stream, body_end, verified) {
            Ok(_) => Ok(()),
            Err(error) => self.refused(guard, octets, error),
        }
    }

    #[cold]
    #[inline(never)]
    fn refused(&self, guard: &Guard<'_>, octets: &[u8], error: Error) -> core::result::Result<(), Option<Error>> {
        if error == Error::NoSuchStream {
            return Err(None);
        }
        self.counts.count_refusal(error, guard, self.accepted.frame.protocol, octets);
        Err(Some(error))
    }

    /// Decrypts it, once it is claimed; returns the length of the plain packet.
    #[inline(always)]
    pub(crate) fn decrypt(&self, buffer: &mut Buffer<'_>) -> usize {
        self.accepted.decrypt(buffer)
    }

    fn tag_place(&self) -> Range<usize> {
        let (start, len) = self.tag;
        start as usize..start as usize + usize::from(len)
    }

    /// Whether it would be judged so by now, too: packets before it can have moved the estimate of its index, taken that, or settled its stream.
    #[inline(always)]
    fn stands(&self, mark: Mark) -> bool {
        let settles = self.context.policy().grace.packets().is_some();
        mark == self.mark && !settles || self.stands_by_now(mark, settles)
    }

    #[inline(never)]
    fn stands_by_now(&self, mark: Mark, settles: bool) -> bool {
        let (protocol, index) = (self.accepted.frame.protocol, self.accepted.frame.index);
        let view = View::of(self.ring, self.stream, mark);
        (self.carries_roc || mark.estimate(protocol.counter(), self.wire_index) == index)
            && self.stream.track(protocol).peek(index, mark).is_ok()
            && (!settles || view.usable(self.context.policy(), KeyId::NONE).in_grace == self.in_grace)
    }
}

/// The key to try first where that is not as a rule, and whether the stream may use keys in grace.
#[inline(never)]
fn likely<'g>(context: &Context, view: &View<'g>, mki: &[u8]) -> Option<(&'g Held<Space>, bool)> {
    let usable = view.usable(context.policy(), view.place.seat.last_key());
    let held = match view.ring.likeliest(mki, usable.hint) {
        Some(likeliest) => likeliest,
        None => view.ring.candidates(mki, usable).ok()?.next()?,
    };
    Some((held, usable.in_grace))
}
