//! A direction that leaves its process, and one that goes on where it stood.
//!
//! 1. A direction that leaves publishes rings that are *spent*, the session's and those of its slots: packets that come later are refused. Then it waits
//!    until the rings before are destroyed, which is when every guard is gone under which a packet could have found a key (step 25 of
//!    `docs/reclamation.md`). From then on nobody claims or takes an index.
//! 2. Only then its state is read: it holds every index that was claimed or given out, whether or not the packet has left the process.
//! 3. If readers stall, the rings before are published again, and nothing has happened but that packets were refused in between.

use super::direction::Control;
use super::slots::Slots;
use super::{Context, Direction, Ring};
use crate::epoch::{Bulk, Domain, Guard, Published, SynchronizeError};
use crate::error::{Error, Result};
use crate::id::{ContextId, KeyId, SpaceId};
use crate::index::Ssrc;
use crate::keys::{Held, History, HistoryState, KeyLifetime, KeyRole, SessionKeys};
use crate::policy::{Policy, PolicyState};
use crate::secret::MasterKey;
use crate::space::Space;
use crate::stream::{Stream, StreamState, Totals};
use crate::wire::Protocol;
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

/// All that a direction knows.
pub(crate) struct DirectionState {
    pub(crate) inbound: bool,
    pub(crate) policy: PolicyState,
    pub(crate) next_key: u64,
    pub(crate) next_space: u64,
    pub(crate) history: HistoryState,
    pub(crate) history_of_slots: HistoryState,
    /// The session's keys: the current one first, then those in grace, newest first, then those added.
    pub(crate) keys: Vec<KeyState>,
    /// A key that waits to be activated; it is in no space.
    pub(crate) staged: Option<KeyState>,
    pub(crate) slots: Vec<SlotState>,
    pub(crate) spaces: Vec<SpaceState>,
    /// The space of keys that have no current one beside them, as a place in the list.
    pub(crate) first_space: usize,
    pub(crate) gone: Totals,
}

/// A slot: its policy, which nobody else could tell again, and its keys, in the order of the session's.
pub(crate) struct SlotState {
    pub(crate) ssrc: Ssrc,
    pub(crate) policy: PolicyState,
    pub(crate) keys: Vec<KeyState>,
}

/// A key, and where it stands.
pub(crate) struct KeyState {
    pub(crate) id: KeyId,
    pub(crate) role: KeyRole,
    pub(crate) master: MasterKey,
    pub(crate) left: KeyLifetime,
    /// The owner was told that few are left: of SRTP, of SRTCP.
    pub(crate) told: [bool; 2],
    /// Its space, as a place in the list of spaces, and those that it probes.
    pub(crate) space: usize,
    pub(crate) probes: Option<Vec<usize>>,
    /// When its grace ends, if a time is set for that.
    pub(crate) grace_left: Option<Duration>,
}

pub(crate) struct SpaceState {
    pub(crate) id: SpaceId,
    pub(crate) streams: Vec<StreamState>,
}

/// The rings that a direction had: the session's, and those of its slots.
type Rings = Vec<(Option<Ssrc>, Ring)>;

impl Direction {
    /// Stops the direction for good, and returns all that it knows.
    ///
    /// # Errors
    ///
    /// [`Error::NotMovable`], [`Error::Moved`]; those of [`Domain::synchronize`]. The direction goes on then.
    pub(crate) fn export<E: From<Error> + From<SynchronizeError>>(
        &self,
        within: Duration,
    ) -> core::result::Result<DirectionState, E> {
        let mut control = self.lock();
        if let Err(pinned @ SynchronizeError::CallerPinned) = self.domain().synchronize(Duration::ZERO) {
            return Err(pinned.into());
        }
        let last = self.publish_spent()?;
        if let Err(stalled) = self.domain().synchronize(within) {
            self.publish_again(last)?;
            return Err(stalled.into());
        }
        let state = self.state(&last, &control, &self.domain().pin());
        match state {
            Ok(state) => {
                last.iter().for_each(|(_, ring)| ring.retire_missing(&Ring::empty()));
                control.staged = None;
                Ok(state)
            }
            Err(error) => {
                self.publish_again(last)?;
                Err(error.into())
            }
        }
    }

    /// Publishes rings that are spent; returns those before.
    fn publish_spent(&self) -> Result<Rings> {
        let guard = self.domain().pin();
        self.ring(&guard)?.check_not_moved()?;
        let slots = self.slot_table(&guard)?;
        let mut contexts = vec![(None, &**self)];
        for ssrc in slots.into_iter().flat_map(Slots::ssrcs) {
            contexts.push((Some(ssrc), self.context_of(Some(ssrc), &guard)?));
        }
        if !contexts.iter().all(|(_, context)| context.policy().movable) {
            return Err(Error::NotMovable);
        }
        let mut last = Vec::with_capacity(contexts.len());
        for (whose, context) in contexts {
            let ring = context.ring(&guard)?;
            let spent = ring.spent();
            last.push((whose, ring.share()));
            context.ring.replace(spent, Bulk::Small, &guard)?;
        }
        Ok(last)
    }

    fn publish_again(&self, last: Rings) -> Result<()> {
        let guard = self.domain().pin();
        last.into_iter()
            .try_for_each(|(whose, ring)| self.context_of(whose, &guard)?.ring.replace(ring, Bulk::Small, &guard))
    }

    /// What the direction knows, whose keys are those of `rings`, and which nobody uses any more.
    fn state(&self, rings: &Rings, control: &Control, guard: &Guard<'_>) -> Result<DirectionState> {
        let mut spaces: Vec<Arc<Space>> = Vec::new();
        let of_rings = rings.iter().flat_map(|(_, ring)| ring.spaces());
        for space in [&control.first_space].into_iter().chain(of_rings) {
            if !spaces.iter().any(|known| Arc::ptr_eq(known, space)) {
                spaces.push(Arc::clone(space));
            }
        }
        let mut keys = Vec::new();
        let mut slots = Vec::new();
        for (whose, ring) in rings {
            let states = ring.list().map(|(held, role)| state_of(held, role, &spaces, control));
            let states = states.collect::<Result<Vec<_>>>()?;
            match whose {
                None => keys = states,
                Some(ssrc) => {
                    let policy = self.context_of(*whose, guard)?.policy().state();
                    slots.push(SlotState { ssrc: *ssrc, policy, keys: states });
                }
            }
        }
        // What streams have leased of a key's lifetime and not used is the key's again.
        for space in &spaces {
            let mut all: Vec<&mut KeyState> =
                keys.iter_mut().chain(slots.iter_mut().flat_map(|slot: &mut SlotState| &mut slot.keys)).collect();
            space.visit(guard, |stream| give_back(stream, &mut all))?;
        }
        let staged = control.staged.as_deref();
        Ok(DirectionState {
            inbound: self.inbound,
            policy: self.policy().state(),
            next_key: control.next_key,
            next_space: control.next_space,
            history: control.history.state(),
            history_of_slots: control.history_of_slots.state(),
            keys,
            staged: staged.map(|key| state_of_key(key, KeyRole::Added)).transpose()?,
            slots,
            spaces: spaces
                .iter()
                .map(|space| Ok(SpaceState { id: space.id(), streams: space.every(guard)? }))
                .collect::<Result<_>>()?,
            first_space: 0,
            gone: control.gone,
        })
    }

    /// A direction that goes on where `state` was taken.
    ///
    /// # Errors
    ///
    /// Those of [`Policy::check`]; [`Error::MovedDiffers`], [`Error::TooManyStreams`]; those of key derivation. A state that contradicts itself differs, too.
    pub(crate) fn restored(domain: &Domain, policy: Policy, inbound: bool, state: DirectionState) -> Result<Arc<Self>> {
        let policy = Self::checked(policy, inbound)?;
        if state.inbound != inbound || !state.policy.shapes_as(&policy.state()) {
            return Err(Error::MovedDiffers);
        }
        let guard = domain.pin();
        let mut arrival = Arrival { domain, id: ContextId::next(), spaces: Vec::new(), deadlines: Vec::new() };
        for SpaceState { id, streams } in &state.spaces {
            let space = Space::new(*id, domain, policy.max_streams)?;
            for stream in streams {
                if !space.restore(stream, &guard)? {
                    return Err(Error::MovedDiffers);
                }
            }
            arrival.spaces.push(space);
        }
        let ring = arrival.ring(&policy, &state.keys)?;
        let mut slots = Vec::new();
        for slot in &state.slots {
            let policy = Self::checked(slot.policy.policy().ok_or(Error::MovedDiffers)?, inbound)?;
            let ring = Published::new(domain, arrival.ring(&policy, &slot.keys)?);
            slots.push((slot.ssrc, Arc::new(Context::new(domain.id(), arrival.id, policy, inbound, ring))));
        }
        let staged = state.staged.map(|key| arrival.key(&policy, &key)).transpose()?;
        arrival.deadlines.sort_by_key(|(_, at)| *at);
        let first_space = arrival.spaces.get(state.first_space).ok_or(Error::MovedDiffers)?;
        let control = Control {
            id: arrival.id,
            next_key: state.next_key,
            next_space: state.next_space,
            first_space: Arc::clone(first_space),
            history: History::from(state.history),
            history_of_slots: History::from(state.history_of_slots),
            staged,
            deadlines: arrival.deadlines,
            timer: None,
            gone: state.gone,
        };
        let direction = Self::of(domain, policy, inbound, ring, control);
        for (ssrc, slot) in slots {
            direction.put_slot(ssrc, Some(slot), &guard)?;
        }
        direction.set_timer(&mut direction.lock());
        Ok(direction)
    }
}

/// What a direction is made of that goes on here.
struct Arrival<'d> {
    domain: &'d Domain,
    id: ContextId,
    spaces: Vec<Arc<Space>>,
    deadlines: Vec<(KeyId, Instant)>,
}

impl Arrival<'_> {
    fn key(&self, policy: &Policy, state: &KeyState) -> Result<Arc<SessionKeys>> {
        let mut key = Control::derive_as(policy, self.domain, &state.master, (self.id, state.id), policy.limits)?;
        // Nobody else has it yet.
        Arc::get_mut(&mut key).ok_or(Error::NoKey)?.resume(state.left, state.told);
        Ok(key)
    }

    fn ring(&mut self, policy: &Policy, keys: &[KeyState]) -> Result<Ring> {
        let (mut current, mut in_grace, mut added) = (None, Vec::new(), Vec::new());
        for state in keys {
            let space = |at: &usize| self.spaces.get(*at).cloned().ok_or(Error::MovedDiffers);
            let probes = state.probes.as_ref().map(|of| of.iter().map(space).collect::<Result<_>>()).transpose()?;
            let space = space(&state.space)?;
            let held = Held { key: self.key(policy, state)?, space, probes: probes.map(Arc::new) };
            match state.role {
                KeyRole::Current => current = Some(held),
                KeyRole::InGrace => in_grace.push(held),
                KeyRole::Added => added.push(held),
            }
            let ends = state.grace_left.and_then(|left| Instant::now().checked_add(left));
            self.deadlines.extend(ends.map(|at| (state.id, at)));
        }
        Ok(Ring::of(current, in_grace, added))
    }
}

fn state_of(held: &Held<Space>, role: KeyRole, spaces: &[Arc<Space>], control: &Control) -> Result<KeyState> {
    let place = |space: &Arc<Space>| spaces.iter().position(|of| Arc::ptr_eq(of, space)).ok_or(Error::NoKey);
    let probes = held.probes.as_ref().map(|of| of.iter().map(place).collect::<Result<_>>()).transpose()?;
    let deadline = control.deadlines.iter().find(|(id, _)| *id == held.key.id()).map(|(_, at)| *at);
    Ok(KeyState {
        space: place(&held.space)?,
        probes,
        grace_left: deadline.map(|at| at.saturating_duration_since(Instant::now())),
        ..state_of_key(&held.key, role)?
    })
}

fn state_of_key(key: &SessionKeys, role: KeyRole) -> Result<KeyState> {
    let left = |protocol| key.budget(protocol).left();
    Ok(KeyState {
        id: key.id(),
        role,
        master: key.master().ok_or(Error::NotMovable)?.duplicate(),
        left: KeyLifetime { srtp_packets: left(Protocol::Rtp), srtcp_packets: left(Protocol::Rtcp) },
        told: [Protocol::Rtp, Protocol::Rtcp].map(|protocol| key.budget(protocol).was_told()),
        space: 0,
        probes: None,
        grace_left: None,
    })
}

fn give_back(stream: &Stream, keys: &mut [&mut KeyState]) {
    for protocol in [Protocol::Rtp, Protocol::Rtcp] {
        let (of, left) = stream.track(protocol).lease();
        let Some(key) = keys.iter_mut().find(|key| key.id == of) else { continue };
        match protocol {
            Protocol::Rtp => key.left.srtp_packets += left,
            Protocol::Rtcp => key.left.srtcp_packets += left,
        }
    }
}
