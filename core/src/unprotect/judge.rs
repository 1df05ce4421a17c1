//! Packets that are not what most are: judged by a view, with whatever keys may fit, and once more if the view has changed.

use super::{Tagged, Tried, Verified, frame, index, verify};
use crate::context::{Context, Ring};
use crate::epoch::Guard;
use crate::error::{Error, Result};
use crate::id::KeyId;
use crate::index::Ssrc;
use crate::keys::Usable;
use crate::policy::Policy;
use crate::space::Space;
use crate::stream::{Mark, Seat, Stream};
use crate::wire::{Protected, Protocol};

/// Judges a packet by the view of now, and again if it is refused and the view has changed meanwhile (invariant 2).
///
/// A tag is checked against two views at most, since that is what a flood of forgeries would cost; what is refused before any tag is checked is
/// cheap, and is judged a few times.
pub(super) fn judge<'g>(
    context: &'g Context,
    guard: &'g Guard<'_>,
    protocol: Protocol,
    packet: &Protected,
    octets: &[u8],
    mut view: View<'g>,
    tried: Tried,
) -> Result<(View<'g>, Result<Verified<'g>>)> {
    const VIEWS: usize = 5;
    const VIEWS_WITH_TAGS: usize = 2;
    let mut tags_failed = 0;
    for _ in 1..VIEWS {
        let verdict = view.authenticate(context, guard, protocol, packet, octets, tried);
        let Err(error) = &verdict else { return Ok((view, verdict)) };
        tags_failed += usize::from(*error == Error::AuthenticationFailed);
        let fresh = View::again(context, guard, protocol, packet)?;
        if fresh.same(&view) || tags_failed == VIEWS_WITH_TAGS {
            return Ok((view, verdict));
        }
        view = fresh;
    }
    let verdict = view.authenticate(context, guard, protocol, packet, octets, tried);
    Ok((view, verdict))
}

/// What an SSRC has in a space.
#[derive(Clone, Copy)]
pub(super) struct Place<'g> {
    pub(super) seat: Seat<'g>,
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
pub(super) struct View<'g> {
    pub(super) ring: &'g Ring,
    /// In the space of the current key; once the packet is verified, in that of its key.
    pub(super) place: Place<'g>,
    /// Stands for what the SSRC has in the other spaces: equal as long as nothing changes there.
    others: u64,
}

impl<'g> View<'g> {
    pub(super) fn load(ring: &'g Ring, guard: &'g Guard<'_>, protocol: Protocol, packet: &Protected) -> Result<Self> {
        let place = Place::load(&ring.first()?.space, packet.ssrc, protocol, guard)?;
        let others = if ring.has_one_space() { 0 } else { others(ring, guard, protocol, packet)? };
        Ok(Self { ring, place, others })
    }

    /// That of a stream which is known, in the one space there is.
    pub(super) fn of(ring: &'g Ring, stream: &'g Stream, mark: Mark) -> Self {
        Self { ring, place: Place { seat: Seat::Stream(stream), mark }, others: 0 }
    }

    /// Apart from the first view.
    #[cold]
    fn again(context: &'g Context, guard: &'g Guard<'_>, protocol: Protocol, packet: &Protected) -> Result<Self> {
        Self::load(context.ring(guard)?, guard, protocol, packet)
    }

    fn same(&self, other: &Self) -> bool {
        core::ptr::eq(self.ring, other.ring)
            && self.place.stream() == other.place.stream()
            && self.place.mark == other.place.mark
            && self.others == other.others
    }

    pub(super) fn count_refused(&self, protocol: Protocol) {
        if let Some(stream) = self.place.seat.stream() {
            stream.track(protocol).count_refused();
        }
    }

    /// Estimates the index, asks the replay list, and finds the key whose tag verifies; but for what was `tried`.
    fn authenticate(
        &mut self,
        context: &Context,
        guard: &'g Guard<'_>,
        protocol: Protocol,
        packet: &Protected,
        octets: &[u8],
        tried: Tried,
    ) -> Result<Verified<'g>> {
        if !self.ring.has_one_space() || self.ring.is_probing() {
            return self.authenticate_across(context, guard, protocol, packet, octets);
        }
        let index = index(protocol, packet, self.place.mark);
        self.place.seat.peek(protocol, index, self.place.mark)?;
        let tagged = Tagged::of(packet, octets)?;
        let usable = self.usable(context.policy(), self.place.seat.last_key());
        let mut candidates = self.ring.candidates(tagged.mki, usable)?.filter(|held| !tried.is(&held.key, index));
        let verified = candidates.find_map(|held| verify(context, protocol, packet, &tagged, held, index));
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
                let suite = held.key.suite(protocol);
                if let Ok(proof) = suite.verify(&frame, tagged.protected, tagged.tag) {
                    self.place = place;
                    return Ok(Verified { held, suite, frame, proof, decides });
                }
            }
        }
        Err(refused.unwrap_or(Error::AuthenticationFailed))
    }

    /// Which keys the packet's stream may use, that of `hint` first.
    pub(super) fn usable(&self, policy: &Policy, hint: KeyId) -> Usable {
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
