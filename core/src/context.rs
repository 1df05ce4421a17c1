//! A cryptographic context (RFC 3711 3.2): the keys, streams and policy of one direction.
//!
//! The data path reads it under a guard; control operations share a mutex that the data path never takes. Each changes one pointer, so all
//! streams of the direction see it at once (P2).

use crate::counters::Refusals;
use crate::epoch::{Domain, Guard, Locked, Published};
use crate::error::{Error, Result};
use crate::index::Ssrc;
use crate::keys::{KeyId, KeyRing, SessionKeys};
use crate::policy::{Grace, NewStreams, Policy, Windows};
use crate::secret::MasterKey;
use crate::stream::{Origin, Seat, Stream};
use crate::table::StreamTable;
use std::sync::{Arc, Mutex};
use std::time::Instant;

pub(crate) struct Context {
    domain: Domain,
    policy: Policy,
    windows: Windows,
    /// Unknown SSRCs get a stream at their first packet.
    adds_streams: bool,
    ring: Published<KeyRing>,
    streams: StreamTable,
    pub(crate) refusals: Refusals,
    control: Mutex<Control>,
    made: Instant,
}

/// What control operations need to go one after the other.
struct Control {
    next_key: u64,
    /// Outbound: derived, and used by nobody yet.
    staged: Option<Arc<SessionKeys>>,
}

impl Control {
    fn derive(&mut self, policy: &Policy, domain: &Domain, master: &MasterKey) -> Result<Arc<SessionKeys>> {
        let id = KeyId(self.next_key);
        let key = SessionKeys::derive(policy.spec, master, id, policy.lifetime, domain.tally())?;
        self.next_key += 1;
        Ok(key)
    }
}

/// What a rekey did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rekeyed {
    /// The key is the current one now.
    Switched(KeyId),
    /// The context holds this very master key already, in some role. Nothing changed.
    Unchanged(KeyId),
}

impl Rekeyed {
    /// The key that was given.
    #[must_use]
    pub const fn key(self) -> KeyId {
        match self {
            Self::Switched(key) | Self::Unchanged(key) => key,
        }
    }
}

impl Context {
    /// A context that holds `keys`: the first of them current, the others added.
    ///
    /// # Errors
    ///
    /// Those of [`Policy::check`], of [`Self::rekey`] and of [`Self::add_key`].
    pub(crate) fn new(domain: &Domain, policy: Policy, inbound: bool, keys: &[MasterKey]) -> Result<Self> {
        let mut policy = policy.check()?;
        if !inbound {
            // What was sent under a replaced key is sent: nothing needs it any more.
            policy.grace = Grace::NONE;
        }
        let mut control = Control { next_key: 0, staged: None };
        let mut ring = KeyRing::default();
        for master in keys {
            let key = control.derive(&policy, domain, master)?;
            if ring.match_for(&key)?.is_none() {
                ring = if ring.is_empty() { ring.rekeyed(key, 0) } else { ring.with(key)? };
            }
        }
        Ok(Self {
            domain: domain.clone(),
            policy,
            windows: policy.windows(inbound),
            // A sender knows its own streams. A receiver must not take an SSRC's word for it (P8).
            adds_streams: policy.new_streams == NewStreams::AtFirstPacket && (!inbound || policy.is_authenticated()),
            ring: Published::new(domain, ring),
            streams: StreamTable::new(domain, policy.max_streams)?,
            refusals: Refusals::default(),
            control: Mutex::new(control),
            made: Instant::now(),
        })
    }

    pub(crate) const fn domain(&self) -> &Domain {
        &self.domain
    }

    pub(crate) const fn policy(&self) -> &Policy {
        &self.policy
    }

    // ---- Data path.

    #[inline]
    pub(crate) fn ring<'g>(&'g self, guard: &'g Guard<'_>) -> Result<&'g KeyRing> {
        self.ring.load(guard)
    }

    /// What `ssrc` has here.
    #[inline]
    pub(crate) fn seat<'g>(&'g self, ssrc: Ssrc, guard: &'g Guard<'_>) -> Result<Seat<'g>> {
        Ok(Seat::of(self.streams.find(ssrc, guard)?))
    }

    /// The stream of a seat. One that is empty gets a stream; the one that is there then is returned, whoever made it.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownSsrc`] if streams are added by call; [`Error::TooManyStreams`].
    pub(crate) fn admit<'g>(&'g self, ssrc: Ssrc, seat: &Seat<'g>, guard: &'g Guard<'_>) -> Result<&'g Stream> {
        match seat {
            Seat::Stream(stream) => Ok(stream),
            Seat::Empty(_) if !self.adds_streams => Err(Error::UnknownSsrc),
            Seat::Empty(origin) => self.place(ssrc, origin, guard),
        }
    }

    fn place<'g>(&'g self, ssrc: Ssrc, origin: &Origin, guard: &'g Guard<'_>) -> Result<&'g Stream> {
        let new = |origin: &Origin| Arc::new(Stream::new(ssrc, origin, self.windows));
        loop {
            let held = match self.streams.find(ssrc, guard)? {
                Some(held) => held,
                None => self.streams.insert(new(origin), guard)?,
            };
            let Some(floor) = held.gone() else { return Ok(held) };
            // The new stream starts above the floor, whatever `origin` says. Somebody else may be first, and somebody may remove that one again.
            self.streams.replace(held, new(&floor), guard)?;
        }
    }

    // ---- Control: keys.

    /// Publishes the ring that `change` makes of the one in use, then retires what it leaves out.
    fn change_ring<R>(&self, change: impl FnOnce(&KeyRing, &mut Control) -> Result<(Option<KeyRing>, R)>) -> Result<R> {
        let mut control = self.lock();
        let guard = self.domain.pin();
        let ring = self.ring.load(&guard)?;
        let (next, outcome) = change(ring, &mut control)?;
        if let Some(next) = next {
            // Before the publication retires the ring: once that is out, it may be dropped at any time.
            ring.retire_missing(&next);
            self.ring.replace(next, &guard)?;
        }
        Ok(outcome)
    }

    /// # Errors
    ///
    /// [`Error::TooManyRetired`], unless `ring` is empty: a first key retires nothing but that.
    fn check_backlog(&self, ring: &KeyRing) -> Result<()> {
        if ring.is_empty() { Ok(()) } else { self.domain.check_backlog() }
    }

    /// # Errors
    ///
    /// [`Error::TooManyRetired`]; key and salt lengths; [`Error::MkiLengthMismatch`], [`Error::DuplicateMki`].
    pub(crate) fn rekey(&self, master: &MasterKey) -> Result<Rekeyed> {
        self.change_ring(|ring, control| {
            self.check_backlog(ring)?;
            let key = control.derive(&self.policy, &self.domain, master)?;
            if let Some(held) = ring.match_for(&key)? {
                return Ok((None, Rekeyed::Unchanged(held)));
            }
            let id = key.id();
            Ok((Some(ring.rekeyed(key, self.policy.grace.count())), Rekeyed::Switched(id)))
        })
    }

    /// # Errors
    ///
    /// As [`Self::rekey`]; [`Error::TooManyKeys`].
    pub(crate) fn add_key(&self, master: &MasterKey) -> Result<KeyId> {
        self.change_ring(|ring, control| {
            self.check_backlog(ring)?;
            let key = control.derive(&self.policy, &self.domain, master)?;
            if let Some(held) = ring.match_for(&key)? {
                return Ok((None, held));
            }
            let id = key.id();
            Ok((Some(ring.with(key)?), id))
        })
    }

    /// # Errors
    ///
    /// [`Error::UnknownKey`], [`Error::KeyIsCurrent`].
    pub(crate) fn retire_key(&self, id: KeyId) -> Result<()> {
        self.change_ring(|ring, _| Ok((Some(ring.without(id)?), ())))
    }

    pub(crate) fn end_grace(&self) -> Result<()> {
        self.change_ring(|ring, _| Ok((ring.without_grace(), ())))
    }

    /// Derives a key for [`Self::activate_staged`]. It takes the place of one staged before.
    ///
    /// # Errors
    ///
    /// As [`Self::rekey`].
    pub(crate) fn stage_key(&self, master: &MasterKey) -> Result<Rekeyed> {
        self.change_ring(|ring, control| {
            let key = control.derive(&self.policy, &self.domain, master)?;
            Ok((
                None,
                match ring.match_for(&key)? {
                    Some(held) => Rekeyed::Unchanged(held),
                    None => Rekeyed::Switched(control.staged.insert(key).id()),
                },
            ))
        })
    }

    /// # Errors
    ///
    /// [`Error::NoStagedKey`]; [`Error::TooManyRetired`]; [`Error::DuplicateMki`] and [`Error::MkiLengthMismatch`] by keys added since.
    pub(crate) fn activate_staged(&self) -> Result<Rekeyed> {
        self.change_ring(|ring, control| {
            let key = control.staged.as_ref().ok_or(Error::NoStagedKey)?;
            self.domain.check_backlog()?;
            let held = ring.match_for(key)?;
            let Some(key) = control.staged.take() else { return Err(Error::NoStagedKey) };
            Ok(match held {
                Some(held) => (None, Rekeyed::Unchanged(held)),
                None => {
                    let id = key.id();
                    (Some(ring.rekeyed(key, self.policy.grace.count())), Rekeyed::Switched(id))
                }
            })
        })
    }

    /// # Errors
    ///
    /// [`Error::UnknownKey`]; [`Error::TooManyRetired`].
    pub(crate) fn switch_to(&self, id: KeyId) -> Result<()> {
        self.change_ring(|ring, _| {
            self.domain.check_backlog()?;
            Ok((ring.switched_to(id)?, ()))
        })
    }

    // ---- Control: streams.

    /// # Errors
    ///
    /// [`Error::StreamExists`], [`Error::TooManyStreams`], [`Error::IndexBackward`] below the floor of an earlier life.
    pub(crate) fn add_stream(&self, ssrc: Ssrc, origin: &Origin) -> Result<()> {
        let _control = self.lock();
        let guard = self.domain.pin();
        let Some(held) = self.streams.find(ssrc, &guard)? else {
            return self.place(ssrc, origin, &guard).map(drop);
        };
        let origin = origin.above(&held.gone().ok_or(Error::StreamExists)?)?;
        let stream = Arc::new(Stream::new(ssrc, &origin, self.windows));
        if self.streams.replace(held, stream, &guard)? { Ok(()) } else { Err(Error::StreamExists) }
    }

    /// # Errors
    ///
    /// [`Error::NoSuchStream`].
    pub(crate) fn remove_stream(&self, ssrc: Ssrc) -> Result<()> {
        let _control = self.lock();
        let guard = self.domain.pin();
        let held = self.live(ssrc, &guard)?;
        // Closed first: nothing is claimed from here on, so the floor holds all that was accepted. If a packet has brought the stream back by
        // then, above its floor, it stays.
        let floor = Stream::floor(ssrc, &held.close());
        self.streams.replace(held, Arc::new(floor), &guard).map(drop)
    }

    /// The stream of an SSRC, for control operations.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchStream`].
    pub(crate) fn live<'g>(&'g self, ssrc: Ssrc, guard: &'g Guard<'_>) -> Result<&'g Stream> {
        self.seat(ssrc, guard)?.stream().ok_or(Error::NoSuchStream)
    }

    /// Calls `visit` with every stream, under the control mutex. The second argument is the time, on the clock of [`Self::since`].
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Stream, u64)) -> Result<()> {
        let _control = self.lock();
        let guard = self.domain.pin();
        let now = u64::try_from(self.made.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.streams.iter(&guard)?.filter(|stream| stream.gone().is_none()).for_each(|stream| visit(stream, now));
        Ok(())
    }

    /// A time of [`Self::for_each`]'s clock.
    pub(crate) fn since(&self, nanos: u64) -> Instant {
        self.made + std::time::Duration::from_nanos(nanos)
    }

    fn lock(&self) -> Locked<'_, Control> {
        // Nothing under it is left half done by a panic: the ring changes by one swap.
        Locked::new(&self.control)
    }
}

/// Tries again if the stream was removed between look-up and claim. Removed again and again, it is as if it had never been there.
pub(crate) fn until_settled<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    const ATTEMPTS: usize = 16;
    for _ in 0..ATTEMPTS {
        match attempt() {
            Err(Error::NoSuchStream) => {}
            settled => return settled,
        }
    }
    Err(Error::UnknownSsrc)
}
