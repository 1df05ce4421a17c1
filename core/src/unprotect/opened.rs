//! A packet of a batch, between the two halves of its path: before its tag is computed, beside others, and after.

use super::{Accepted, Verified, View, claim, frame, index, parse};
use crate::context::Context;
use crate::crypto::Frame;
use crate::crypto::many::TagJob;
use crate::crypto::tag::FullTag;
use crate::epoch::Guard;
use crate::error::Error;
use crate::id::KeyId;
use crate::keys::Held;
use crate::space::Space;
use crate::wire::{Protected, Protocol};

/// A packet of a batch, on its way: judged but for its tag.
pub(crate) struct Opened<'g> {
    /// Whose refusals count.
    counts: &'g Context,
    context: &'g Context,
    view: View<'g>,
    packet: Protected,
    protocol: Protocol,
    /// The key that is tried first.
    held: &'g Held<Space>,
    frame: Frame,
    /// Its stream may use keys in grace.
    in_grace: bool,
}

impl<'g> Opened<'g> {
    /// Finds all that the tag check needs. `None` if the packet is to be judged alone, at its turn: it may be judged by what others of the batch
    /// change, or its key may be in one of several index spaces.
    pub(crate) fn new(
        context: &'g Context,
        guard: &'g Guard<'_>,
        protocol: Protocol,
        octets: &[u8],
        room: usize,
    ) -> Option<Self> {
        let counts = context;
        let context = context.route(guard, protocol, octets).ok()?;
        let (ring, packet) = parse(context, guard, protocol, octets, room).ok()?;
        if !ring.has_one_space() || ring.is_probing() {
            return None;
        }
        let view = View::load(ring, guard, protocol, &packet).ok()?;
        let index = index(protocol, &packet, view.place.mark);
        view.place.seat.peek(protocol, index, view.place.mark).ok()?;
        let usable = view.usable(context.policy(), view.place.seat.last_key());
        let mki = octets.get(packet.trailer.mki.clone())?;
        let held = match ring.likeliest(mki, usable.hint) {
            Some(likeliest) => likeliest,
            None => ring.candidates(mki, usable).ok()?.next()?,
        };
        let frame = frame(context.policy(), protocol, &packet, index);
        Some(Self { counts, context, view, packet, protocol, held, frame, in_grace: usable.in_grace })
    }

    /// What its tag is computed of.
    pub(crate) fn tag_job<'a>(&'a self, octets: &'a [u8]) -> TagJob<'a> {
        let protected = octets.get(..self.packet.body_end).unwrap_or_default();
        TagJob { suite: self.held.key.suite(self.protocol), frame: &self.frame, protected }
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
        let view = self.view.later(guard, self.protocol, &self.packet).map_err(|_| None)?;
        if !self.stands(&view) {
            return Err(None);
        }
        let verified = Verified { held: self.held, frame: self.frame, proof, decides: false };
        match claim(self.context, guard, self.protocol, &view, self.packet.body_end, verified) {
            Ok(accepted) => Ok(accepted),
            Err(Error::NoSuchStream) => Err(None),
            Err(error) => {
                self.counts.count_refusal(error, guard, self.protocol, octets);
                Err(Some(error))
            }
        }
    }
}

impl Opened<'_> {
    /// Whether it would be judged so by `view`, too: packets before it can have moved the estimate of its index, taken that, or settled its stream.
    fn stands(&self, view: &View<'_>) -> bool {
        let (mark, policy) = (view.place.mark, self.context.policy());
        let settles = policy.grace.packets().is_some();
        if mark == self.view.place.mark && !settles {
            return true;
        }
        index(self.protocol, &self.packet, mark) == self.frame.index
            && view.place.seat.peek(self.protocol, self.frame.index, mark).is_ok()
            && (!settles || view.usable(policy, KeyId::NONE).in_grace == self.in_grace)
    }
}
