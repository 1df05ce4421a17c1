//! The keys of a direction, the session's or those of one SSRC, as its owner changes them: which become current, in which index space, and when
//! their grace ends.

use super::direction::Control;
use super::slots::Slots;
use super::{Context, Direction, Ring};
use crate::epoch::Task;
use crate::error::{Error, Result};
use crate::id::{KeyId, SpaceId};
use crate::index::Ssrc;
use crate::keys::{Held, Rekeyed, SessionKeys};
use crate::policy::RocOnRekey;
use crate::secret::MasterKey;
use crate::space::Space;
use crate::stream::Origin;
use std::sync::{Arc, Weak};
use std::time::Instant;

impl Direction {
    /// # Errors
    ///
    /// [`Error::TooManyRetired`], unless `ring` is empty: a first key retires nothing but that.
    fn check_backlog(&self, ring: &Ring) -> Result<()> {
        if ring.is_empty() { Ok(()) } else { self.domain().check_backlog() }
    }

    /// The place of a key that is to become the current one.
    ///
    /// # Errors
    ///
    /// [`Error::KeyUsedBefore`], [`Error::KeyHistoryFull`], [`Error::CannotProbe`].
    fn seat_key(
        &self,
        whose: Option<Ssrc>,
        ring: &Ring,
        control: &mut Control,
        key: &Arc<SessionKeys>,
        roc: RocOnRekey,
    ) -> Result<Held<Space>> {
        if !self.inbound && roc == RocOnRekey::Probe {
            return Err(Error::CannotProbe);
        }
        let keeps = roc == RocOnRekey::Keep || roc == RocOnRekey::Probe && !self.policy().is_authenticated();
        let (false, None, Ok(current)) = (keeps, whose, ring.current()) else {
            control.check_apart(whose, key)?;
            return Ok(control.join(ring, key));
        };
        control.history.check_fresh(key)?;
        control.history_of_slots.check_fresh(key)?;
        let space = Space::new(SpaceId(control.next_space), self.domain(), self.policy().max_streams)?;
        let guard = self.domain().pin();
        let probes = (roc == RocOnRekey::Probe).then(|| Arc::new(current.lineage()));
        if probes.is_none() && !self.adds_streams {
            // Nobody else will.
            for ssrc in current.known(&guard)? {
                space.place(ssrc, &Origin::START, self.windows(), &guard)?;
            }
        }
        control.next_space += 1;
        Ok(Held { key: Arc::clone(key), space, probes })
    }

    /// # Errors
    ///
    /// [`Error::TooManyRetired`]; key and salt lengths; [`Error::MkiLengthMismatch`], [`Error::DuplicateMki`]; [`Error::KeyUsedBefore`],
    /// [`Error::KeyHistoryFull`], [`Error::CannotProbe`].
    pub(crate) fn rekey(&self, whose: Option<Ssrc>, master: &MasterKey, roc: RocOnRekey) -> Result<Rekeyed> {
        self.change_ring(whose, |context, ring, control| {
            self.check_backlog(ring)?;
            let key = control.derive(context.policy(), self.domain(), master)?;
            if let Some(held) = ring.match_for(&key)? {
                return Ok((None, Rekeyed::Unchanged(held)));
            }
            let held = self.seat_key(whose, ring, control, &key, roc)?;
            Ok((Some(ring.rekeyed(held, context.policy().grace.count())), Rekeyed::Switched(key.id())))
        })
    }

    /// # Errors
    ///
    /// As [`Self::rekey`]; [`Error::TooManyKeys`].
    pub(crate) fn add_key(&self, whose: Option<Ssrc>, master: &MasterKey) -> Result<KeyId> {
        self.change_ring(whose, |context, ring, control| {
            self.check_backlog(ring)?;
            let key = control.derive(context.policy(), self.domain(), master)?;
            if let Some(held) = ring.match_for(&key)? {
                return Ok((None, held));
            }
            control.check_apart(whose, &key)?;
            Ok((Some(ring.with(control.join(ring, &key))?), key.id()))
        })
    }

    /// # Errors
    ///
    /// [`Error::UnknownKey`], [`Error::KeyIsCurrent`].
    pub(crate) fn retire_key(&self, whose: Option<Ssrc>, id: KeyId) -> Result<()> {
        self.change_ring(whose, |_, ring, _| Ok((Some(ring.without(id)?), ())))
    }

    pub(crate) fn end_grace(&self, whose: Option<Ssrc>) -> Result<()> {
        self.change_ring(whose, |_, ring, _| Ok((ring.without_grace(|_| true), ())))
    }

    /// Derives a key for [`Self::activate_staged`]. It takes the place of one staged before.
    ///
    /// # Errors
    ///
    /// As [`Self::rekey`].
    pub(crate) fn stage_key(&self, master: &MasterKey) -> Result<Rekeyed> {
        self.change_ring(None, |context, ring, control| {
            let key = control.derive(context.policy(), self.domain(), master)?;
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
    /// [`Error::NoStagedKey`]; [`Error::TooManyRetired`]; [`Error::DuplicateMki`] and [`Error::MkiLengthMismatch`] by keys added since;
    /// [`Error::KeyUsedBefore`], [`Error::KeyHistoryFull`], [`Error::CannotProbe`].
    pub(crate) fn activate_staged(&self, roc: RocOnRekey) -> Result<Rekeyed> {
        self.change_ring(None, |context, ring, control| {
            let key = Arc::clone(control.staged.as_ref().ok_or(Error::NoStagedKey)?);
            self.domain().check_backlog()?;
            let changed = match ring.match_for(&key)? {
                Some(held) => (None, Rekeyed::Unchanged(held)),
                None => {
                    let held = self.seat_key(None, ring, control, &key, roc)?;
                    (Some(ring.rekeyed(held, context.policy().grace.count())), Rekeyed::Switched(key.id()))
                }
            };
            control.staged = None;
            Ok(changed)
        })
    }

    /// # Errors
    ///
    /// [`Error::UnknownKey`]; [`Error::TooManyRetired`].
    pub(crate) fn switch_to(&self, whose: Option<Ssrc>, id: KeyId) -> Result<()> {
        self.change_ring(whose, |context, ring, _| {
            self.domain().check_backlog()?;
            let next =
                if self.inbound { ring.promoted(id, context.policy().grace.count()) } else { ring.switched_to(id) };
            Ok((next?, ()))
        })
    }

    // ---- When a grace ends in time.

    /// Notes when the grace ends of the keys that enter it, and forgets the keys that are not in grace any more.
    pub(super) fn set_deadlines(&self, context: &Context, control: &mut Control, ring: &Ring, next: &Ring) {
        control.deadlines.retain(|(id, _)| !ring.is_in_grace(*id) || next.is_in_grace(*id));
        let Some(time) = context.policy().grace.deadline() else { return };
        // A time that the clock does not reach is no deadline.
        let Some(at) = Instant::now().checked_add(time) else { return };
        for id in next.in_grace().filter(|id| !ring.is_in_grace(*id)) {
            let place = control.deadlines.partition_point(|(_, before)| *before <= at);
            control.deadlines.insert(place, (id, at));
        }
        self.set_timer(control);
    }

    pub(super) fn set_timer(&self, control: &mut Control) {
        let Some((_, at)) = control.deadlines.first() else { return };
        if control.timer.is_none_or(|set| *at < set) {
            let task: Weak<Self> = Weak::clone(&self.this);
            self.domain().schedule(*at, task);
            control.timer = Some(*at);
        }
    }

    /// Ends the grace of the keys whose deadline has passed.
    fn end_grace_in_time(&self) -> Result<()> {
        let mut control = self.lock();
        let guard = self.domain().pin();
        let now = Instant::now();
        let over: Vec<KeyId> = control.deadlines.iter().filter(|(_, at)| *at <= now).map(|(id, _)| *id).collect();
        let slots = self.slot_table(&guard)?;
        for whose in [None].into_iter().chain(slots.into_iter().flat_map(Slots::ssrcs).map(Some)) {
            let context = self.context_of(whose, &guard)?;
            let ring = context.ring(&guard)?;
            if let Some(next) = ring.without_grace(|id| over.contains(&id)) {
                self.publish(whose, context, ring, next, &mut control, &guard)?;
            }
        }
        control.deadlines.retain(|(_, at)| *at > now);
        control.timer = control.timer.filter(|at| *at > now);
        self.set_timer(&mut control);
        Ok(())
    }
}

impl Task for Direction {
    fn run(&self) {
        // A guard of the context's own domain is never refused.
        let _ = self.end_grace_in_time();
    }
}
