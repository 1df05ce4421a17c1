//! A cryptographic context (RFC 3711 3.2): the keys, streams and policy of one direction, or, of that direction, those of one SSRC.
//!
//! The data path reads it under a guard; control operations ([`Direction`]) share a mutex that the data path never takes. Each changes one pointer,
//! so all streams of the context see it at once (P2).
//!
//! An SSRC that was given keys of its own has a context of its own, its *slot*. A packet is routed to it by its SSRC, and judged as by any other. All
//! keys of slots are in the first index space of the direction, beside the session's: so an SSRC has the same indices under either.

mod ahead;
mod direction;
mod keying;
mod moving;
mod slots;
mod streams;

pub(crate) use ahead::{FROM as FETCH_AHEAD_FROM, fetch_ahead};
pub(crate) use direction::Direction;
pub(crate) use moving::{DirectionState, KeyState, SlotState, SpaceState};

use crate::counters::Refusals;
use crate::epoch::{DomainId, Guard, Published, Single};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::id::ContextId;
use crate::index::Ssrc;
use crate::keys::{Held, KeyRing, SessionKeys};
use crate::policy::{NewStreams, Policy, Windows};
use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::space::Space;
use crate::stream::{Origin, Seat, Stream};
use crate::wire::{Protocol, ssrc_of};
use slots::Slots;

/// The keys of a context, each in its index space.
pub(crate) type Ring = KeyRing<Space>;

/// What a packet reads on its way to its stream: a line of the ring, one of the space.
#[cfg(all(target_pointer_width = "64", not(crossbeam_loom)))]
const _: () = assert!(size_of::<Ring>() == 64 && size_of::<Space>() == 64);

/// What packets need of a context. It keeps no domain: one that is a slot is dropped by the domain's own queue.
pub(crate) struct Context {
    ring: Published<Ring>,
    /// Empty until the first SSRC is given keys of its own.
    slots: Single<Slots>,
    /// Unknown SSRCs get a stream at their first packet.
    adds_streams: bool,
    inbound: bool,
    /// That of the direction.
    id: ContextId,
    policy: Policy,
    pub(crate) refusals: Refusals,
    /// The kinds of events that the owner has been told of and has not acknowledged, a bit each.
    told: AtomicU64,
}

impl Context {
    fn new(domain: DomainId, id: ContextId, policy: Policy, inbound: bool, ring: Published<Ring>) -> Self {
        Self {
            ring,
            slots: Single::empty(domain),
            // A sender knows its own streams. A receiver must not take an SSRC's word for it (P8).
            adds_streams: policy.new_streams == NewStreams::AtFirstPacket && (!inbound || policy.is_authenticated()),
            inbound,
            id,
            policy,
            refusals: Refusals::default(),
            told: AtomicU64::new(0),
        }
    }

    pub(crate) const fn id(&self) -> ContextId {
        self.id
    }

    pub(crate) const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The windows of its streams.
    pub(crate) const fn windows(&self) -> Windows {
        self.policy.windows(self.inbound)
    }

    /// The context by which a packet that begins with `octets` is judged: the slot of its SSRC, or this one.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownSsrc`] where only SSRCs with slots have keys.
    #[inline]
    pub(crate) fn route<'g>(&'g self, guard: &'g Guard<'_>, protocol: Protocol, octets: &[u8]) -> Result<&'g Self> {
        match self.slots.load(0, guard)?.value {
            None => Ok(self),
            Some(slots) => self.route_by(slots, guard, ssrc_of(protocol, octets)),
        }
    }

    #[cold]
    fn route_by<'g>(&'g self, slots: &'g Slots, guard: &'g Guard<'_>, ssrc: Option<Ssrc>) -> Result<&'g Self> {
        match ssrc.map(|ssrc| slots.get(ssrc)) {
            Some(Some(slot)) => Ok(slot),
            Some(None) if self.ring(guard)?.is_empty() => {
                self.ring(guard)?.check_not_moved()?;
                Err(Error::UnknownSsrc)
            }
            // Too short to have an SSRC: refused by its length.
            Some(None) | None => Ok(self),
        }
    }

    #[inline]
    pub(crate) fn ring<'g>(&'g self, guard: &'g Guard<'_>) -> Result<&'g Ring> {
        self.ring.load(guard)
    }

    /// By how many octets protection makes a packet longer, at most.
    pub(crate) fn overhead(&self, guard: &Guard<'_>, protocol: Protocol) -> Result<usize> {
        let growth = if protocol == Protocol::Rtp { self.policy.header_growth() } else { 0 };
        let shape = self.policy.longest_shape(self.ring(guard)?.shape(self.policy.spec, protocol));
        let mut most = shape.overhead() + growth;
        if let Some(slots) = self.slots.load(0, guard)?.value {
            for slot in slots.iter() {
                most = most.max(slot.overhead(guard, protocol)?);
            }
        }
        Ok(most)
    }

    /// The stream of a seat in the space of `held`. One that is empty gets a stream; the one that is there then is returned, whoever made it.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownSsrc`] if streams are added by call; [`Error::TooManyStreams`].
    #[inline]
    pub(crate) fn admit<'g>(
        &self,
        held: &'g Held<Space>,
        ssrc: Ssrc,
        seat: &Seat<'g>,
        guard: &'g Guard<'_>,
    ) -> Result<&'g Stream> {
        match seat {
            Seat::Stream(stream) => Ok(stream),
            Seat::Empty(origin) => self.add(held, ssrc, origin, guard),
        }
    }

    #[cold]
    fn add<'g>(&self, held: &'g Held<Space>, ssrc: Ssrc, origin: &Origin, guard: &'g Guard<'_>) -> Result<&'g Stream> {
        let is_known = self.adds_streams || held.has_probed(ssrc, guard)?;
        if !is_known {
            return Err(Error::UnknownSsrc);
        }
        let (stream, added) = held.space.place_or_find(ssrc, origin, self.windows(), guard)?;
        if added {
            guard.raise(Event::StreamAdded { context: self.id, ssrc });
        }
        Ok(stream)
    }

    /// Counts a packet that was refused, and tells the owner, if he should know, once until he acknowledges it.
    #[cold]
    pub(crate) fn count_refusal(&self, error: Error, guard: &Guard<'_>, protocol: Protocol, octets: &[u8]) {
        self.refusals.count(error, guard);
        let (context, ssrc) = (self.id, ssrc_of(protocol, octets).unwrap_or(Ssrc(0)));
        let event = match error {
            Error::UnknownMki => Event::UnknownMki { context, ssrc, protocol },
            Error::UnknownSsrc => Event::UnknownSsrc { context, ssrc, protocol },
            Error::TooManyStreams => Event::TooManyStreams { context, ssrc },
            _ => return,
        };
        let bit = event.kind().bit();
        // Relaxed: of those who set the bit, one finds it unset. Looked at first, so that a flood writes nothing. Not set where nobody is told.
        let is_told = self.told.load(Ordering::Relaxed) & bit != 0;
        if !is_told && guard.is_watched(event.kind()) && self.told.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            guard.raise(event);
        }
    }

    /// Has events be raised again that are raised once.
    pub(crate) fn acknowledge_events(&self) {
        // Relaxed: as above.
        self.told.store(0, Ordering::Relaxed);
    }

    /// Tells the owner that a key has passed its soft limit.
    #[cold]
    pub(crate) fn tell_near_limit(&self, guard: &Guard<'_>, key: &SessionKeys, protocol: Protocol) {
        let packets_left = key.budget(protocol).left();
        guard.raise(Event::KeyNearLimit { context: self.id, key: key.id(), protocol, packets_left });
    }
}
