//! One direction of a session, as its owner controls it: the session's context, and what control operations need beside it.

use super::slots::Slots;
use super::{Context, Ring};
use crate::epoch::{Bulk, Domain, Guard, Published};
use crate::error::{Error, Result};
use crate::id::{ContextId, KeyId, SpaceId};
use crate::index::Ssrc;
use crate::kernels::fork::Locked;
use crate::keys::{Held, History, Limits, SessionKeys};
use crate::policy::{Grace, Policy};
use crate::secret::MasterKey;
use crate::space::Space;
use crate::stream::Totals;
use core::ops::Deref;
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

/// A context, and who may change it.
pub(crate) struct Direction {
    /// First, since packets read it.
    context: Context,
    /// For timers, which must not keep it.
    pub(super) this: Weak<Self>,
    domain: Domain,
    control: Mutex<Control>,
    pub(super) made: Instant,
}

/// What control operations need to go one after the other.
pub(super) struct Control {
    /// That of the direction.
    pub(super) id: ContextId,
    /// Of all keys of the direction, those of slots too: a stream compares the ids of the keys it meets.
    pub(super) next_key: u64,
    pub(super) next_space: u64,
    /// Where a key goes that has no current one beside it, and every key of a slot.
    pub(super) first_space: Arc<Space>,
    /// The session's keys that were in use.
    pub(super) history: History,
    /// The keys of slots that were in use.
    pub(super) history_of_slots: History,
    /// Outbound: derived, and used by nobody yet.
    pub(super) staged: Option<Arc<SessionKeys>>,
    /// When the grace of a key ends, the earliest first. Keys whose grace has ended otherwise are gone from it.
    pub(super) deadlines: Vec<(KeyId, Instant)>,
    /// When the timer goes off: for the first of them, or for an earlier one that is gone.
    pub(super) timer: Option<Instant>,
    /// Packets of streams that are gone: SRTP and SRTCP.
    pub(super) gone: Totals,
}

impl Control {
    pub(super) fn derive(&mut self, policy: &Policy, domain: &Domain, master: &MasterKey) -> Result<Arc<SessionKeys>> {
        let id = KeyId(self.next_key);
        let limits = policy.limits.at_most(master.lifetime().unwrap_or(u64::MAX));
        let key = Self::derive_as(policy, domain, master, (self.id, id), limits)?;
        self.next_key += 1;
        Ok(key)
    }

    /// Derives a key, which keeps its master key where the policy says so.
    pub(super) fn derive_as(
        policy: &Policy,
        domain: &Domain,
        master: &MasterKey,
        name: (ContextId, KeyId),
        limits: Limits,
    ) -> Result<Arc<SessionKeys>> {
        let mut key = SessionKeys::derive(policy.spec, master, name, limits, policy.elements, domain.tally())?;
        if policy.movable {
            // Nobody else has it yet.
            Arc::get_mut(&mut key).ok_or(Error::NoKey)?.keep_master(master, policy.spec);
        }
        Ok(key)
    }

    /// `key`, in the space of the current one.
    pub(super) fn join(&self, ring: &Ring, key: &Arc<SessionKeys>) -> Held<Space> {
        let alone = |_| Held { key: Arc::clone(key), space: Arc::clone(&self.first_space), probes: None };
        ring.current().map_or_else(alone, |current| current.beside(key))
    }

    /// A ring of `masters`: the first of them current, the others added.
    pub(super) fn first_ring(&mut self, policy: &Policy, domain: &Domain, masters: &[MasterKey]) -> Result<Ring> {
        let mut ring = Ring::empty();
        for master in masters {
            let key = self.derive(policy, domain, master)?;
            if ring.match_for(&key)?.is_none() {
                let held = self.join(&ring, &key);
                ring = if ring.is_empty() { ring.rekeyed(held, 0) } else { ring.with(held)? };
            }
        }
        Ok(ring)
    }

    /// Once the session's keys have opened other spaces than the first, no master key is both the session's and a slot's (invariant 2 of the slots).
    ///
    /// # Errors
    ///
    /// [`Error::KeyUsedBefore`], [`Error::KeyHistoryFull`].
    pub(super) fn check_apart(&mut self, whose: Option<Ssrc>, key: &SessionKeys) -> Result<()> {
        if self.next_space == 1 {
            return Ok(());
        }
        let others = if whose.is_some() { &self.history } else { &self.history_of_slots };
        others.check_fresh(key)
    }

    /// Where keys of `whose` are noted that come into use.
    pub(super) const fn history_of(&mut self, whose: Option<Ssrc>) -> &mut History {
        if whose.is_some() { &mut self.history_of_slots } else { &mut self.history }
    }
}

impl Direction {
    /// A direction whose context holds `keys`: the first of them current, the others added.
    ///
    /// # Errors
    ///
    /// Those of [`Policy::check`], of [`Self::rekey`] and of [`Self::add_key`].
    pub(crate) fn new(domain: &Domain, policy: Policy, inbound: bool, keys: &[MasterKey]) -> Result<Arc<Self>> {
        let policy = Self::checked(policy, inbound)?;
        let mut control = Control {
            id: ContextId::next(),
            next_key: 0,
            next_space: 1,
            first_space: Space::new(SpaceId(0), domain, policy.max_streams)?,
            history: History::default(),
            history_of_slots: History::default(),
            staged: None,
            deadlines: Vec::new(),
            timer: None,
            gone: Totals::default(),
        };
        let ring = control.first_ring(&policy, domain, keys)?;
        ring.iter().for_each(|held| control.history.note(&held.key));
        Ok(Self::of(domain, policy, inbound, ring, control))
    }

    pub(super) fn of(domain: &Domain, policy: Policy, inbound: bool, ring: Ring, control: Control) -> Arc<Self> {
        let ring = Published::new(domain, ring);
        Arc::new_cyclic(|this| Self {
            context: Context::new(domain.id(), control.id, policy, inbound, ring),
            this: Weak::clone(this),
            domain: domain.clone(),
            control: Mutex::new(control),
            made: Instant::now(),
        })
    }

    /// The policy of a context of a direction.
    ///
    /// # Errors
    ///
    /// Those of [`Policy::check`].
    pub(super) fn checked(policy: Policy, inbound: bool) -> Result<Policy> {
        let policy = policy.check()?;
        // What was sent under a replaced key is sent: nothing needs it any more.
        Ok(if inbound { policy } else { Policy { grace: Grace::NONE, ..policy } })
    }

    pub(crate) const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The context of the session's keys, or the slot of `whose`.
    ///
    /// # Errors
    ///
    /// [`Error::NoKeysForSsrc`].
    pub(crate) fn context_of<'g>(&'g self, whose: Option<Ssrc>, guard: &'g Guard<'_>) -> Result<&'g Context> {
        match whose {
            None => Ok(&self.context),
            Some(ssrc) => self.slot_table(guard)?.and_then(|slots| slots.get(ssrc)).ok_or(Error::NoKeysForSsrc),
        }
    }

    /// The context by which packets of `ssrc` are judged.
    pub(super) fn context_for<'g>(&'g self, ssrc: Ssrc, guard: &'g Guard<'_>) -> Result<&'g Context> {
        Ok(self.slot_table(guard)?.and_then(|slots| slots.get(ssrc)).unwrap_or(&self.context))
    }

    pub(super) fn slot_table<'g>(&'g self, guard: &'g Guard<'_>) -> Result<Option<&'g Slots>> {
        Ok(self.context.slots.load(0, guard)?.value)
    }

    /// Publishes the ring that `change` makes of the one in use, then retires what it leaves out.
    pub(super) fn change_ring<R>(
        &self,
        whose: Option<Ssrc>,
        change: impl FnOnce(&Context, &Ring, &mut Control) -> Result<(Option<Ring>, R)>,
    ) -> Result<R> {
        let mut control = self.lock();
        let guard = self.domain.pin();
        let context = self.context_of(whose, &guard)?;
        let ring = context.ring(&guard)?;
        ring.check_not_moved()?;
        let (next, outcome) = change(context, ring, &mut control)?;
        if let Some(next) = next {
            self.publish(whose, context, ring, next, &mut control, &guard)?;
        }
        Ok(outcome)
    }

    /// Publishes `next` in the place of `ring`.
    pub(super) fn publish(
        &self,
        whose: Option<Ssrc>,
        context: &Context,
        ring: &Ring,
        mut next: Ring,
        control: &mut Control,
        guard: &Guard<'_>,
    ) -> Result<()> {
        next.compact(|older, newer| newer.inherit(older, guard))?;
        for held in next.iter().filter(|held| !ring.iter().any(|before| before.key.id() == held.key.id())) {
            control.history_of(whose).note(&held.key);
        }
        let mut bulk = Bulk::Small;
        for space in ring.spaces() {
            let stays =
                Arc::ptr_eq(space, &control.first_space) || next.spaces().iter().any(|kept| Arc::ptr_eq(kept, space));
            if !stays {
                // A space may hold any number of streams.
                bulk = Bulk::Large;
                space.live(guard)?.for_each(|stream| control.gone.add(stream));
            }
        }
        // Before the publication retires the ring: once that is out, it may be dropped at any time.
        ring.retire_missing(&next);
        self.set_deadlines(context, control, ring, &next);
        context.ring.replace(next, bulk, guard)
    }

    pub(super) fn lock(&self) -> Locked<'_, Control> {
        // Nothing under it is left half done by a panic: the ring changes by one swap.
        Locked::new(&self.control)
    }
}

impl Deref for Direction {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.context
    }
}
