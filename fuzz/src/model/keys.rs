//! The keys of a direction, by number.

use super::MKIS;
use super::direction::Policy;
use crate::plant;
use keyflip::{Error, KeyId, KeyRole, MAX_KEYS, Result};

#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) number: u8,
    pub(super) id: KeyId,
    /// SRTP and SRTCP packets it may still protect.
    pub(super) left: [u64; 2],
}

#[derive(Clone, Debug)]
pub(super) struct Keys {
    policy: Policy,
    /// Current, then in grace from the newest on, then added.
    held: Vec<(Held, KeyRole)>,
}

impl Keys {
    pub(super) fn new(policy: Policy, first: KeyId) -> Self {
        let mut keys = Self { policy, held: Vec::new() };
        keys.held.push((keys.fresh(0, first), KeyRole::Current));
        keys
    }

    fn fresh(&self, number: u8, id: KeyId) -> Held {
        let lifetime = self.policy.lifetime;
        Held { number, id, left: [lifetime.srtp_packets, lifetime.srtcp_packets] }
    }

    pub(super) fn current(&self) -> &Held {
        &self.held[0].0
    }

    pub(super) fn current_mut(&mut self) -> &mut Held {
        &mut self.held[0].0
    }

    pub(super) fn list(&self) -> impl Iterator<Item = &(Held, KeyRole)> {
        self.held.iter()
    }

    pub(super) fn by_number(&mut self, number: u8) -> Option<&mut Held> {
        self.held.iter_mut().map(|(key, _)| key).find(|key| key.number == number)
    }

    fn with_role(&self, role: KeyRole) -> Vec<(Held, KeyRole)> {
        self.held.iter().copied().filter(|held| held.1 == role).collect()
    }

    /// Whether the key is held already.
    fn admit(&mut self, number: u8, id: Option<KeyId>) -> Result<bool> {
        if let Some(held) = self.by_number(number) {
            assert!(id.is_none_or(|id| id == held.id), "a key that is held has another id");
            return Ok(true);
        }
        let same_mki = |(held, _): &(Held, KeyRole)| held.number % MKIS == number % MKIS;
        if self.policy.mki && self.held.iter().any(same_mki) { Err(Error::DuplicateMki) } else { Ok(false) }
    }

    /// Whether the key changed. `id` is the one it got.
    pub(super) fn rekey(&mut self, number: u8, id: Option<KeyId>) -> Result<bool> {
        if self.admit(number, id)? {
            return Ok(false);
        }
        let Some(id) = id else { return Ok(true) };
        let added = self.with_role(KeyRole::Added);
        let room = self.policy.grace_keys.min(MAX_KEYS - 1 - added.len());
        let before = [(*self.current(), KeyRole::InGrace)].into_iter().chain(self.with_role(KeyRole::InGrace));
        let current = (self.fresh(number, id), KeyRole::Current);
        self.held = [current].into_iter().chain(before.take(room)).chain(added).collect();
        Ok(true)
    }

    pub(super) fn add(&mut self, number: u8, id: Option<KeyId>) -> Result<()> {
        if self.admit(number, id)? {
            return Ok(());
        }
        if self.held.len() >= MAX_KEYS {
            return Err(Error::TooManyKeys);
        }
        if let Some(id) = id {
            self.held.push((self.fresh(number, id), KeyRole::Added));
        }
        Ok(())
    }

    pub(super) fn retire(&mut self, id: KeyId) -> Result<()> {
        match self.held.iter().position(|(key, _)| key.id == id) {
            Some(0) => Err(Error::KeyIsCurrent),
            Some(at) => {
                self.held.remove(at);
                Ok(())
            }
            None => Err(Error::UnknownKey),
        }
    }

    pub(super) fn end_grace(&mut self) {
        let mut stay = usize::from(plant::is_on());
        self.held.retain(|(_, role)| {
            let stays = *role != KeyRole::InGrace || stay > 0;
            stay -= usize::from(*role == KeyRole::InGrace && stays);
            stays
        });
    }
}
