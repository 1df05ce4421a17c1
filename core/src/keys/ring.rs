//! The keys that a context uses, and their roles.

use super::{KeyId, MAX_KEYS, SessionKeys};
use crate::crypto::profile::{CipherKind, Spec};
use crate::error::{Error, Result};
use crate::wire::{Protocol, Shape};
use std::sync::Arc;

/// What a key is to its context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyRole {
    /// Outbound: protects. Inbound: tried first.
    Current,
    /// Replaced; packets in flight under it are accepted still.
    InGrace,
    /// Added beside the current key.
    Added,
}

/// Which keys of a ring a stream may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usable {
    /// The key to try first.
    pub(crate) hint: KeyId,
    /// Those in grace, too: the stream has not settled under the current key.
    pub(crate) in_grace: bool,
}

/// The keys of a context.
#[derive(Default)]
pub(crate) struct KeyRing {
    current: Option<Arc<SessionKeys>>,
    /// Newest first.
    in_grace: Vec<Arc<SessionKeys>>,
    added: Vec<Arc<SessionKeys>>,
    mki_len: usize,
}

impl KeyRing {
    /// The key that protects.
    ///
    /// # Errors
    ///
    /// [`Error::NoKey`].
    pub(crate) fn current(&self) -> Result<&SessionKeys> {
        self.current.as_deref().ok_or(Error::NoKey)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.current.is_none() && self.added.is_empty()
    }

    /// The trailer of packets under these keys.
    pub(crate) const fn shape(&self, spec: Spec, protocol: Protocol) -> Shape {
        let tag = match protocol {
            Protocol::Rtp => spec.srtp_tag_len,
            Protocol::Rtcp => spec.srtcp_tag_len,
        };
        Shape { protocol, tag, mki: self.mki_len, tag_first: matches!(spec.cipher, CipherKind::AesGcm) }
    }

    /// The keys that may have protected a packet: the one its MKI names, or, without MKIs, all, that of `usable.hint` first.
    ///
    /// # Errors
    ///
    /// [`Error::NoKey`]; [`Error::UnknownMki`].
    pub(crate) fn candidates<'r>(
        &'r self,
        mki: &[u8],
        usable: Usable,
    ) -> Result<impl Iterator<Item = &'r SessionKeys> + use<'r>> {
        if self.is_empty() {
            return Err(Error::NoKey);
        }
        let keys = move || {
            self.list().filter(move |(_, role)| usable.in_grace || *role != KeyRole::InGrace).map(|(key, _)| key)
        };
        let (first, rest) = if self.mki_len > 0 {
            (Some(keys().find(|key| key.mki() == mki).ok_or(Error::UnknownMki)?), false)
        } else {
            (keys().find(|key| key.id == usable.hint), true)
        };
        let tried = first.map(SessionKeys::id);
        Ok(first.into_iter().chain(keys().filter(move |key| rest && Some(key.id) != tried)))
    }

    /// All keys: current, in grace, added.
    fn iter(&self) -> impl Iterator<Item = &SessionKeys> {
        self.shared().map(|key| &**key)
    }

    fn shared(&self) -> impl Iterator<Item = &Arc<SessionKeys>> {
        self.current.iter().chain(&self.in_grace).chain(&self.added)
    }

    pub(crate) fn list(&self) -> impl Iterator<Item = (&SessionKeys, KeyRole)> {
        let with = |role| move |key| (key, role);
        (self.current.iter().map(with(KeyRole::Current)))
            .chain(self.in_grace.iter().map(with(KeyRole::InGrace)))
            .chain(self.added.iter().map(with(KeyRole::Added)))
            .map(|(key, role)| (&**key, role))
    }

    // ---- Successors of a ring, made on the control side.

    /// The key of this ring that comes from the same master key, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::MkiLengthMismatch`] or [`Error::DuplicateMki`] if `key` could not join the ring.
    pub(crate) fn match_for(&self, key: &SessionKeys) -> Result<Option<KeyId>> {
        // All are compared, so that time does not tell which one matched.
        let same = self.iter().fold(None, |found, held| if held.same_master(key) { Some(held.id) } else { found });
        if same.is_some() {
            return Ok(same);
        }
        if self.iter().next().is_some() && key.mki.len() != self.mki_len {
            return Err(Error::MkiLengthMismatch);
        }
        if self.mki_len > 0 && self.iter().any(|held| held.mki == key.mki) {
            return Err(Error::DuplicateMki);
        }
        Ok(None)
    }

    /// `key` becomes the current one; the one before it joins the grace, which holds `grace` keys at most, and fewer if the ring is full.
    pub(crate) fn rekeyed(&self, key: Arc<SessionKeys>, grace: usize) -> Self {
        let room = grace.min(MAX_KEYS - 1 - self.added.len());
        let in_grace = self.current.iter().chain(&self.in_grace).take(room).cloned().collect();
        Self { mki_len: key.mki.len(), current: Some(key), in_grace, added: self.added.clone() }
    }

    /// `key` joins beside the current one.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyKeys`].
    pub(crate) fn with(&self, key: Arc<SessionKeys>) -> Result<Self> {
        if self.iter().count() >= MAX_KEYS {
            return Err(Error::TooManyKeys);
        }
        let mki_len = key.mki.len();
        let added = self.added.iter().cloned().chain([key]).collect();
        Ok(Self { current: self.current.clone(), in_grace: self.in_grace.clone(), added, mki_len })
    }

    /// The key `id` leaves.
    ///
    /// # Errors
    ///
    /// [`Error::KeyIsCurrent`], [`Error::UnknownKey`].
    pub(crate) fn without(&self, id: KeyId) -> Result<Self> {
        if self.current.as_ref().is_some_and(|key| key.id == id) {
            return Err(Error::KeyIsCurrent);
        }
        if !self.iter().any(|key| key.id == id) {
            return Err(Error::UnknownKey);
        }
        let keep = |keys: &[Arc<SessionKeys>]| keys.iter().filter(|key| key.id != id).cloned().collect();
        Ok(Self {
            current: self.current.clone(),
            in_grace: keep(&self.in_grace),
            added: keep(&self.added),
            mki_len: self.mki_len,
        })
    }

    /// The keys in grace leave. `None` if there are none.
    pub(crate) fn without_grace(&self) -> Option<Self> {
        (!self.in_grace.is_empty()).then(|| Self {
            current: self.current.clone(),
            in_grace: Vec::new(),
            added: self.added.clone(),
            mki_len: self.mki_len,
        })
    }

    /// The added key `id` becomes the current one, which takes its place among the added.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownKey`].
    pub(crate) fn switched_to(&self, id: KeyId) -> Result<Option<Self>> {
        if self.current.as_ref().is_some_and(|key| key.id == id) {
            return Ok(None);
        }
        let chosen = self.added.iter().find(|key| key.id == id).ok_or(Error::UnknownKey)?;
        let others = self.current.iter().chain(self.added.iter().filter(|key| key.id != id));
        Ok(Some(Self {
            current: Some(Arc::clone(chosen)),
            in_grace: self.in_grace.clone(),
            added: others.cloned().collect(),
            mki_len: self.mki_len,
        }))
    }

    /// Counts as retired the keys of this ring that `next` does not name.
    pub(crate) fn retire_missing(&self, next: &Self) {
        for key in self.iter().filter(|key| !next.iter().any(|kept| kept.id == key.id)) {
            key.retire();
        }
    }
}
