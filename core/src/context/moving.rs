//! A context that leaves its process, and one that goes on where it stood.
//!
//! 1. A context that leaves publishes a ring that is *spent*: packets that come later are refused. Then it waits until the ring before is destroyed, which
//!    is when every guard is gone under which a packet could have found a key (step 2 of `docs/reclamation.md`). From then on nobody claims or takes an index.
//! 2. Only then its state is read: it holds every index that was claimed or given out, whether or not the packet has left the process.
//! 3. If readers stall, the ring before is published again, and nothing has happened but that packets were refused in between.

use super::{Context, Control, Ring, checked, derive};
use crate::epoch::{Domain, Guard, SynchronizeError};
use crate::error::{Error, Result};
use crate::id::{KeyId, SpaceId};
use crate::keys::{Held, HistoryState, KeyLifetime, KeyRole, SessionKeys};
use crate::policy::{Policy, SrtcpEncryption};
use crate::secret::MasterKey;
use crate::space::Space;
use crate::stream::{Stream, StreamState};
use crate::wire::Protocol;
use crate::wire::cryptex::Cryptex;
use crate::wire::extension::Selected;
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

/// All that a context knows.
pub(crate) struct ContextState {
    pub(crate) inbound: bool,
    pub(crate) rules: PacketRules,
    pub(crate) next_key: u64,
    pub(crate) next_space: u64,
    pub(crate) history: HistoryState,
    /// The current one first, then those in grace, newest first, then those added.
    pub(crate) keys: Vec<KeyState>,
    /// A key that waits to be activated; it is in no space.
    pub(crate) staged: Option<KeyState>,
    pub(crate) spaces: Vec<SpaceState>,
}

/// What packets look like: both processes must agree on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PacketRules {
    pub(crate) profile: String,
    pub(crate) srtp_encrypted: bool,
    pub(crate) srtcp_encrypted: bool,
    pub(crate) cryptex: u8,
    pub(crate) elements: Selected,
    /// Which packets carry their rollover counter: mode and rate.
    pub(crate) roc: (u8, u16),
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

impl Context {
    /// Stops the context for good, and returns all that it knows.
    ///
    /// # Errors
    ///
    /// [`Error::NotMovable`], [`Error::Moved`]; those of [`Domain::synchronize`]. The context goes on then.
    pub(crate) fn export<E: From<Error> + From<SynchronizeError>>(
        &self,
        within: Duration,
    ) -> core::result::Result<ContextState, E> {
        if !self.policy.movable {
            return Err(Error::NotMovable.into());
        }
        let mut control = self.lock();
        if let Err(pinned @ SynchronizeError::CallerPinned) = self.domain.synchronize(Duration::ZERO) {
            return Err(pinned.into());
        }
        let last = self.publish_spent()?;
        if let Err(stalled) = self.domain.synchronize(within) {
            self.ring.replace(last, &self.domain.pin())?;
            return Err(stalled.into());
        }
        let guard = self.domain.pin();
        match self.state(&last, &control, &guard) {
            Ok(state) => {
                last.retire_missing(&Ring::empty());
                control.staged = None;
                Ok(state)
            }
            Err(error) => {
                self.ring.replace(last, &guard)?;
                Err(error.into())
            }
        }
    }

    /// Publishes a ring that is spent; returns the keys of the one before.
    fn publish_spent(&self) -> Result<Ring> {
        let guard = self.domain.pin();
        let ring = self.ring.load(&guard)?;
        ring.check_not_moved()?;
        let last = ring.share();
        self.ring.replace(ring.spent(), &guard)?;
        Ok(last)
    }

    /// What the context knows, whose keys are those of `ring`, and which nobody uses any more.
    fn state(&self, ring: &Ring, control: &Control, guard: &Guard<'_>) -> Result<ContextState> {
        let mut spaces: Vec<Arc<Space>> = ring.spaces().into_iter().map(Arc::clone).collect();
        if !spaces.iter().any(|space| Arc::ptr_eq(space, &control.first_space)) && ring.current().is_err() {
            spaces.push(Arc::clone(&control.first_space));
        }
        let place = |space: &Arc<Space>| spaces.iter().position(|of| Arc::ptr_eq(of, space)).ok_or(Error::NoKey);
        let mut keys = Vec::new();
        for (held, role) in ring.list() {
            let probes = held.probes.as_ref().map(|of| of.iter().map(place).collect::<Result<_>>()).transpose()?;
            let deadline = control.deadlines.iter().find(|(id, _)| *id == held.key.id()).map(|(_, at)| *at);
            keys.push(KeyState {
                role,
                space: place(&held.space)?,
                probes,
                grace_left: deadline.map(|at| at.saturating_duration_since(Instant::now())),
                ..state_of(&held.key)?
            });
        }
        // What streams have leased of a key's lifetime and not used is the key's again.
        for space in &spaces {
            space.visit(guard, |stream| give_back(stream, &mut keys))?;
        }
        Ok(ContextState {
            inbound: self.inbound,
            rules: PacketRules::of(&self.policy),
            next_key: control.next_key,
            next_space: control.next_space,
            history: control.history.state(),
            keys,
            staged: control.staged.as_deref().map(state_of).transpose()?,
            spaces: spaces
                .iter()
                .map(|space| Ok(SpaceState { id: space.id(), streams: space.every(guard)? }))
                .collect::<Result<_>>()?,
        })
    }

    /// A context that goes on where `state` was taken.
    ///
    /// # Errors
    ///
    /// Those of [`Policy::check`]; [`Error::MovedDiffers`], [`Error::TooManyStreams`]; those of key derivation. A state that contradicts itself differs, too.
    pub(crate) fn restored(domain: &Domain, policy: Policy, inbound: bool, state: ContextState) -> Result<Arc<Self>> {
        let policy = checked(policy, inbound)?;
        if state.inbound != inbound || state.rules != PacketRules::of(&policy) {
            return Err(Error::MovedDiffers);
        }
        let guard = domain.pin();
        let mut spaces = Vec::new();
        for SpaceState { id, streams } in &state.spaces {
            let space = Space::new(*id, domain, policy.max_streams, policy.windows(inbound))?;
            for stream in streams {
                if !space.restore(stream, &guard)? {
                    return Err(Error::MovedDiffers);
                }
            }
            spaces.push(space);
        }
        let mut deadlines = Vec::new();
        let (mut current, mut in_grace, mut added) = (None, Vec::new(), Vec::new());
        for key in &state.keys {
            let held = key.held(&policy, domain, &spaces)?;
            match key.role {
                KeyRole::Current => current = Some(held),
                KeyRole::InGrace => in_grace.push(held),
                KeyRole::Added => added.push(held),
            }
            let ends = key.grace_left.and_then(|left| Instant::now().checked_add(left));
            deadlines.extend(ends.map(|at| (key.id, at)));
        }
        deadlines.sort_by_key(|(_, at)| *at);
        let first_space = current.as_ref().map(|held: &Held<Space>| &held.space).or(spaces.last());
        let control = Control {
            next_key: state.next_key,
            next_space: state.next_space,
            first_space: Arc::clone(first_space.ok_or(Error::MovedDiffers)?),
            history: state.history.into(),
            staged: state.staged.map(|key| key.resumed(&policy, domain)).transpose()?,
            deadlines,
            timer_is_set: false,
        };
        let context = Self::with(domain, policy, inbound, Ring::of(current, in_grace, added), control);
        context.set_timer(&mut context.lock());
        Ok(context)
    }
}

fn state_of(key: &SessionKeys) -> Result<KeyState> {
    let left = |protocol| key.budget(protocol).left();
    Ok(KeyState {
        id: key.id(),
        role: KeyRole::Added,
        master: key.master().ok_or(Error::NotMovable)?.duplicate(),
        left: KeyLifetime { srtp_packets: left(Protocol::Rtp), srtcp_packets: left(Protocol::Rtcp) },
        told: [Protocol::Rtp, Protocol::Rtcp].map(|protocol| key.budget(protocol).was_told()),
        space: 0,
        probes: None,
        grace_left: None,
    })
}

fn give_back(stream: &Stream, keys: &mut [KeyState]) {
    for protocol in [Protocol::Rtp, Protocol::Rtcp] {
        let (of, left) = stream.track(protocol).lease();
        let Some(key) = keys.iter_mut().find(|key| key.id == of) else { continue };
        match protocol {
            Protocol::Rtp => key.left.srtp_packets += left,
            Protocol::Rtcp => key.left.srtcp_packets += left,
        }
    }
}

impl KeyState {
    fn resumed(&self, policy: &Policy, domain: &Domain) -> Result<Arc<SessionKeys>> {
        let mut key = derive(policy, domain, &self.master, self.id, policy.limits)?;
        // Nobody else has it yet.
        Arc::get_mut(&mut key).ok_or(Error::NoKey)?.resume(self.left, self.told);
        Ok(key)
    }

    /// The key in its space.
    fn held(&self, policy: &Policy, domain: &Domain, spaces: &[Arc<Space>]) -> Result<Held<Space>> {
        let space = |at: &usize| spaces.get(*at).cloned().ok_or(Error::MovedDiffers);
        let probes = self.probes.as_ref().map(|of| of.iter().map(space).collect::<Result<_>>()).transpose()?;
        Ok(Held { key: self.resumed(policy, domain)?, space: space(&self.space)?, probes: probes.map(Arc::new) })
    }
}

impl PacketRules {
    fn of(policy: &Policy) -> Self {
        Self {
            profile: policy.spec.name.to_owned(),
            srtp_encrypted: policy.srtp_encrypted,
            srtcp_encrypted: policy.srtcp_encryption == SrtcpEncryption::Required,
            cryptex: match policy.cryptex {
                Cryptex::Off => 0,
                Cryptex::Enabled => 1,
                Cryptex::Required => 2,
            },
            elements: policy.elements,
            roc: policy.roc.numbers(),
        }
    }
}
