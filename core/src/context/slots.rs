//! Keys and a policy for one SSRC only, beside the session's (P2).
//!
//! 1. A slot is a context that packets of its SSRC are routed to. It has no streams of its own: its keys are in the direction's first index space,
//!    for good (they are never rekeyed into another), as the session's keys are until one of them opens another.
//! 2. A master key is used for an SSRC in one space only: a session's key that opens a space was never one of a slot, and once there is such a
//!    space, a key of a slot was never one of the session's. So an SSRC that gets a slot, or loses it, goes on with its indices, and none is used
//!    twice (P5, P6).
//! 3. The table is replaced whole. What a packet found in one before lives as long as its guard.

use super::{Context, Direction};
use crate::epoch::{Bulk, Guard, Published};
use crate::error::{Error, Result};
use crate::index::Ssrc;
use crate::policy::{Policy, Windows};
use crate::secret::MasterKey;
use crate::space::Space;
use crate::stream::{Origin, Totals};
use std::collections::HashMap;
use std::sync::Arc;

/// The slots of a direction.
#[derive(Default)]
pub(super) struct Slots(HashMap<Ssrc, Arc<Context>>);

impl Slots {
    pub(super) fn get(&self, ssrc: Ssrc) -> Option<&Context> {
        self.0.get(&ssrc).map(|slot| &**slot)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Context> {
        self.0.values().map(|slot| &**slot)
    }

    pub(super) fn ssrcs(&self) -> impl Iterator<Item = Ssrc> {
        self.0.keys().copied()
    }

    /// These, with another in the place of `ssrc`'s, or none.
    fn with(&self, ssrc: Ssrc, slot: Option<Arc<Context>>) -> Self {
        let others = self.0.iter().filter(|(held, _)| **held != ssrc);
        Self(others.map(|(held, slot)| (*held, Arc::clone(slot))).chain(slot.map(|slot| (ssrc, slot))).collect())
    }
}

impl Direction {
    /// Gives `ssrc` a slot, and a stream.
    ///
    /// # Errors
    ///
    /// [`Error::SsrcHasKeys`], [`Error::NoKey`], [`Error::KeyUsedBefore`], [`Error::KeyHistoryFull`], [`Error::TooManyStreams`],
    /// [`Error::TooManyRetired`]; those of a new context.
    pub(crate) fn give_keys(&self, ssrc: Ssrc, policy: Policy, keys: &[MasterKey]) -> Result<()> {
        let inbound = self.inbound;
        let policy = Self::checked(policy, inbound)?;
        let mut control = self.lock();
        let guard = self.domain().pin();
        self.ring(&guard)?.check_not_moved()?;
        self.domain().check_backlog()?;
        let slots = self.slot_table(&guard)?;
        if slots.is_some_and(|slots| slots.get(ssrc).is_some()) {
            return Err(Error::SsrcHasKeys);
        }
        if slots.is_some_and(|slots| slots.0.len() >= self.policy().max_streams) {
            return Err(Error::TooManyStreams);
        }
        let ring = control.first_ring(&policy, self.domain(), keys)?;
        if ring.is_empty() {
            return Err(Error::NoKey);
        }
        ring.iter().try_for_each(|held| control.check_apart(Some(ssrc), &held.key))?;
        let space = Arc::clone(&control.first_space);
        Self::seat_stream(&space, ssrc, policy.windows(inbound), &mut control.gone, &guard)?;
        ring.iter().for_each(|held| control.history_of_slots.note(&held.key));
        let slot = Context::new(self.domain().id(), self.id(), policy, inbound, Published::new(self.domain(), ring));
        self.put_slot(ssrc, Some(Arc::new(slot)), &guard)
    }

    /// Takes its slot from `ssrc`: its keys are retired.
    ///
    /// # Errors
    ///
    /// [`Error::NoKeysForSsrc`].
    pub(crate) fn take_keys(&self, ssrc: Ssrc) -> Result<()> {
        let mut control = self.lock();
        let guard = self.domain().pin();
        let ring = self.context_of(Some(ssrc), &guard)?.ring(&guard)?;
        ring.check_not_moved()?;
        control.deadlines.retain(|(id, _)| !ring.is_in_grace(*id));
        ring.iter().for_each(|held| held.key.retire());
        self.put_slot(ssrc, None, &guard)
    }

    pub(crate) fn has_slot(&self, ssrc: Ssrc) -> bool {
        self.context_of(Some(ssrc), &self.domain().pin()).is_ok()
    }

    pub(crate) fn ssrcs_with_slots(&self) -> Vec<Ssrc> {
        let guard = self.domain().pin();
        self.slot_table(&guard).ok().flatten().into_iter().flat_map(Slots::ssrcs).collect()
    }

    pub(super) fn put_slot(&self, ssrc: Ssrc, slot: Option<Arc<Context>>, guard: &Guard<'_>) -> Result<()> {
        let table = &self.slots;
        let put = match table.load(0, guard)?.value {
            None => table.fill(0, Arc::new(Slots::default().with(ssrc, slot)), guard).is_ok(),
            Some(slots) => table.replace(0, slots, Arc::new(slots.with(ssrc, slot)), Bulk::Large, guard).is_ok(),
        };
        // Nobody else changes it: the caller holds the mutex.
        if put { Ok(()) } else { Err(Error::ForeignGuard) }
    }

    /// Makes sure that `ssrc` has a stream in `space`, of these windows. One of others begins again above what it had.
    fn seat_stream(space: &Space, ssrc: Ssrc, windows: Windows, gone: &mut Totals, guard: &Guard<'_>) -> Result<()> {
        let stream = space.place(ssrc, &Origin::START, windows, guard)?;
        if stream.windows() != windows {
            space.remove(ssrc, gone, guard)?;
            space.place(ssrc, &Origin::START, windows, guard)?;
        }
        Ok(())
    }
}
