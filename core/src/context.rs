//! A cryptographic context (RFC 3711 3.2): the keys, streams and policy of one direction.
//!
//! The data path reads it under a guard; control operations share a mutex that the data path never takes. Each changes one pointer, so all
//! streams of the direction see it at once (P2).

mod keying;
mod moving;

pub(crate) use moving::{ContextState, KeyState, PacketRules, SpaceState};

use crate::counters::Refusals;
use crate::epoch::{Domain, Guard, Published};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::id::{ContextId, KeyId, SpaceId};
use crate::index::{Roc, Ssrc};
use crate::keys::{Held, History, KeyRing, Limits, SessionKeys};
use crate::policy::{Grace, NewStreams, Policy};
use crate::secret::MasterKey;
use crate::space::Space;
use crate::stream::{Mark, Origin, Seat, Stream};
use crate::wire::Protocol;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

/// The keys of a context, each in its index space.
pub(crate) type Ring = KeyRing<Space>;

/// What a packet reads on its way to its stream: a line of the ring, one of the space.
#[cfg(all(target_pointer_width = "64", not(crossbeam_loom)))]
const _: () = assert!(size_of::<Ring>() == 64 && size_of::<Space>() == 64);

pub(crate) struct Context {
    id: ContextId,
    /// For timers, which must not keep it.
    this: Weak<Self>,
    domain: Domain,
    policy: Policy,
    inbound: bool,
    /// Unknown SSRCs get a stream at their first packet.
    adds_streams: bool,
    ring: Published<Ring>,
    pub(crate) refusals: Refusals,
    control: Mutex<Control>,
    made: Instant,
}

/// What control operations need to go one after the other.
struct Control {
    next_key: u64,
    next_space: u64,
    /// Where a key goes that has no current one beside it.
    first_space: Arc<Space>,
    /// The keys that were in use.
    history: History,
    /// Outbound: derived, and used by nobody yet.
    staged: Option<Arc<SessionKeys>>,
    /// When the grace of a key ends, the earliest first. Keys whose grace has ended otherwise are gone from it.
    deadlines: Vec<(KeyId, Instant)>,
    /// A timer is set for the first of them, or for an earlier one that is gone.
    timer_is_set: bool,
}

/// # Errors
///
/// Those of [`Policy::check`].
fn checked(policy: Policy, inbound: bool) -> Result<Policy> {
    let policy = policy.check()?;
    // What was sent under a replaced key is sent: nothing needs it any more.
    Ok(if inbound { policy } else { Policy { grace: Grace::NONE, ..policy } })
}

/// Derives a key, which keeps its master key where the policy says so.
fn derive(policy: &Policy, domain: &Domain, master: &MasterKey, id: KeyId, limits: Limits) -> Result<Arc<SessionKeys>> {
    let mut key = SessionKeys::derive(policy.spec, master, id, limits, policy.elements, domain.tally())?;
    if policy.movable {
        // Nobody else has it yet.
        Arc::get_mut(&mut key).ok_or(Error::NoKey)?.keep_master(master, policy.spec);
    }
    Ok(key)
}

impl Control {
    fn derive(&mut self, policy: &Policy, domain: &Domain, master: &MasterKey) -> Result<Arc<SessionKeys>> {
        let id = KeyId(self.next_key);
        let limits = policy.limits.at_most(master.lifetime().unwrap_or(u64::MAX));
        let key = derive(policy, domain, master, id, limits)?;
        self.next_key += 1;
        Ok(key)
    }

    /// `key`, in the space of the current one.
    fn join(&self, ring: &Ring, key: &Arc<SessionKeys>) -> Held<Space> {
        let alone = |_| Held { key: Arc::clone(key), space: Arc::clone(&self.first_space), probes: None };
        ring.current().map_or_else(alone, |current| current.beside(key))
    }
}

impl Context {
    /// A context that holds `keys`: the first of them current, the others added.
    ///
    /// # Errors
    ///
    /// Those of [`Policy::check`], of [`Self::rekey`] and of [`Self::add_key`].
    pub(crate) fn new(domain: &Domain, policy: Policy, inbound: bool, keys: &[MasterKey]) -> Result<Arc<Self>> {
        let policy = checked(policy, inbound)?;
        let first_space = Space::new(SpaceId(0), domain, policy.max_streams, policy.windows(inbound))?;
        let mut control = Control {
            next_key: 0,
            next_space: 1,
            first_space,
            history: History::default(),
            staged: None,
            deadlines: Vec::new(),
            timer_is_set: false,
        };
        let mut ring = Ring::empty();
        for master in keys {
            let key = control.derive(&policy, domain, master)?;
            if ring.match_for(&key)?.is_none() {
                let held = control.join(&ring, &key);
                control.history.note(&key);
                ring = if ring.is_empty() { ring.rekeyed(held, 0) } else { ring.with(held)? };
            }
        }
        Ok(Self::with(domain, policy, inbound, ring, control))
    }

    fn with(domain: &Domain, policy: Policy, inbound: bool, ring: Ring, control: Control) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            id: ContextId::next(),
            this: Weak::clone(this),
            domain: domain.clone(),
            policy,
            inbound,
            // A sender knows its own streams. A receiver must not take an SSRC's word for it (P8).
            adds_streams: policy.new_streams == NewStreams::AtFirstPacket && (!inbound || policy.is_authenticated()),
            ring: Published::new(domain, ring),
            refusals: Refusals::default(),
            control: Mutex::new(control),
            made: Instant::now(),
        })
    }

    pub(crate) const fn domain(&self) -> &Domain {
        &self.domain
    }

    pub(crate) const fn id(&self) -> ContextId {
        self.id
    }

    pub(crate) const fn policy(&self) -> &Policy {
        &self.policy
    }

    // ---- Data path.

    #[inline]
    pub(crate) fn ring<'g>(&'g self, guard: &'g Guard<'_>) -> Result<&'g Ring> {
        self.ring.load(guard)
    }

    /// By how many octets protection makes a packet longer, at most.
    pub(crate) fn overhead(&self, ring: &Ring, protocol: Protocol) -> usize {
        let growth = if protocol == Protocol::Rtp { self.policy.header_growth() } else { 0 };
        self.policy.longest_shape(ring.shape(self.policy.spec, protocol)).overhead() + growth
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
        if is_known { held.space.place(ssrc, origin, guard) } else { Err(Error::UnknownSsrc) }
    }

    /// Tells the owner that a key has passed its soft limit.
    #[cold]
    pub(crate) fn tell_near_limit(&self, key: &SessionKeys, protocol: Protocol) {
        let packets_left = key.budget(protocol).left();
        self.domain.raise(Event::KeyNearLimit { context: self.id, key: key.id(), protocol, packets_left });
    }

    // ---- Control: keys.

    /// Publishes the ring that `change` makes of the one in use, then retires what it leaves out.
    fn change_ring<R>(&self, change: impl FnOnce(&Ring, &mut Control) -> Result<(Option<Ring>, R)>) -> Result<R> {
        let mut control = self.lock();
        let guard = self.domain.pin();
        let ring = self.ring.load(&guard)?;
        ring.check_not_moved()?;
        let (next, outcome) = change(ring, &mut control)?;
        if let Some(mut next) = next {
            next.compact(|older, newer| newer.inherit(older, &guard))?;
            for held in next.iter().filter(|held| !ring.iter().any(|before| before.key.id() == held.key.id())) {
                control.history.note(&held.key);
            }
            // Before the publication retires the ring: once that is out, it may be dropped at any time.
            ring.retire_missing(&next);
            self.set_deadlines(&mut control, ring, &next);
            self.ring.replace(next, &guard)?;
        }
        Ok(outcome)
    }

    // ---- Control: streams.

    /// Calls `visit` with the spaces in use, that of the current key first.
    fn in_spaces<R>(&self, visit: impl FnOnce(&[&Arc<Space>], &Guard<'_>) -> Result<R>) -> Result<R> {
        let control = self.lock();
        let guard = self.domain.pin();
        let ring = self.ring.load(&guard)?;
        ring.check_not_moved()?;
        let mut spaces = ring.spaces();
        if ring.current().is_err() {
            spaces.retain(|space| !Arc::ptr_eq(space, &control.first_space));
            spaces.insert(0, &control.first_space);
        }
        visit(&spaces, &guard)
    }

    /// Adds a stream to the space of the current key.
    ///
    /// # Errors
    ///
    /// [`Error::StreamExists`], [`Error::TooManyStreams`], [`Error::IndexBackward`] below the floor of an earlier life.
    pub(crate) fn add_stream(&self, ssrc: Ssrc, origin: &Origin) -> Result<()> {
        self.in_spaces(|spaces, guard| spaces.first().ok_or(Error::NoKey)?.add(ssrc, origin, guard))
    }

    /// Removes a stream from all spaces.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchStream`].
    pub(crate) fn remove_stream(&self, ssrc: Ssrc) -> Result<()> {
        let removed = self.in_spaces(|spaces, guard| {
            spaces.iter().try_fold(false, |removed, space| Ok(removed | space.remove(ssrc, guard)?))
        })?;
        if removed { Ok(()) } else { Err(Error::NoSuchStream) }
    }

    /// The rollover counter of a stream, in the newest space that knows it.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchStream`].
    pub(crate) fn roc(&self, ssrc: Ssrc) -> Result<Roc> {
        let mut known = None;
        self.in_spaces(|spaces, guard| {
            for space in spaces {
                let Some(stream) = space.seat(ssrc, guard)?.stream() else { continue };
                let (rtp, _) = stream.counts();
                known = known.or(Some(rtp.cycle));
                if rtp.highest_index.is_some() || rtp.cycle > 0 {
                    return Ok(Some(rtp.cycle));
                }
            }
            Ok(known)
        })?
        .map(Roc)
        .ok_or(Error::NoSuchStream)
    }

    /// Moves a stream on to cycle `roc`, in the space of the current key. If it has sent nothing in that yet, it starts there.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchStream`], [`Error::IndexBackward`], [`Error::TooManyStreams`].
    pub(crate) fn set_roc(&self, ssrc: Ssrc, roc: Roc) -> Result<()> {
        self.in_spaces(|spaces, guard| {
            let (current, others) = spaces.split_first().ok_or(Error::NoKey)?;
            if let Some(stream) = current.seat(ssrc, guard)?.stream() {
                return stream.set_roc(roc);
            }
            let mut lives = others.iter().map(|space| space.seat(ssrc, guard));
            if !lives.any(|seat| seat.is_ok_and(|seat| seat.stream().is_some())) {
                return Err(Error::NoSuchStream);
            }
            current.place(ssrc, &Origin { srtp: Mark::cycle(roc.0), ..Origin::START }, guard)?.set_roc(roc)
        })
    }

    /// Calls `visit` with every stream, under the control mutex: those in the space of the current key first. The second argument is the time, on
    /// the clock of [`Self::since`].
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Stream, u64)) -> Result<()> {
        self.in_spaces(|spaces, guard| {
            let now = u64::try_from(self.made.elapsed().as_nanos()).unwrap_or(u64::MAX);
            for space in spaces {
                space.live(guard)?.for_each(|stream| visit(stream, now));
            }
            Ok(())
        })
    }

    /// A time of [`Self::for_each`]'s clock.
    pub(crate) fn since(&self, nanos: u64) -> Instant {
        self.made + std::time::Duration::from_nanos(nanos)
    }

    fn lock(&self) -> MutexGuard<'_, Control> {
        // Nothing under it is left half done by a panic: the ring changes by one swap.
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
