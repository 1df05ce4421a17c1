//! The keys that a context uses, and their roles.
//!
//! 1. Each key is held with the index space in which its packets are judged. What a space is, is for floors above to say.
//! 2. A space lives as long as a ring names it: it goes with its last key, and the last key that probes it.
//! 3. A key that *probes* has a space of its own, and names those that its streams may go on from, newest first: the one it would have joined, and
//!    those which that one's key probes. Of spaces on this list that no key is in, no two are neighbours ([`KeyRing::compact`]). So a ring names
//!    less than three spaces a key.

use super::{MAX_KEYS, SessionKeys};
use crate::crypto::profile::{CipherKind, Spec};
use crate::error::{Error, Result};
use crate::id::KeyId;
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

/// A key in its index space.
pub(crate) struct Held<S> {
    pub(crate) key: Arc<SessionKeys>,
    pub(crate) space: Arc<S>,
    /// The spaces that the key's streams may turn out to go on from, newest first.
    pub(crate) probes: Option<Arc<Vec<Arc<S>>>>,
}

impl<S> Clone for Held<S> {
    fn clone(&self) -> Self {
        self.beside(&self.key)
    }
}

impl<S> Held<S> {
    /// `key`, where this one is.
    pub(crate) fn beside(&self, key: &Arc<SessionKeys>) -> Self {
        Self { key: Arc::clone(key), space: Arc::clone(&self.space), probes: self.probes.clone() }
    }

    /// What a key probes that would else join this one: the space here, and what is probed here.
    pub(crate) fn lineage(&self) -> Vec<Arc<S>> {
        [&self.space].into_iter().chain(self.probed()).cloned().collect()
    }

    pub(crate) fn probed(&self) -> impl Iterator<Item = &Arc<S>> {
        self.probes.iter().flat_map(|spaces| spaces.iter())
    }
}

/// An added key, and the other added ones.
type Chosen<S> = (Held<S>, Vec<Held<S>>);

/// The keys of a context. What a packet reads of it, in one cache line.
#[repr(align(64))]
pub(crate) struct KeyRing<S> {
    current: Option<Held<S>>,
    /// Newest first.
    in_grace: Box<[Held<S>]>,
    added: Box<[Held<S>]>,
    mki_len: u8,
    /// All keys are in one space.
    one_space: bool,
    /// And the current one does not probe.
    plain: bool,
    /// The context was moved elsewhere.
    moved: bool,
}

impl<S> KeyRing<S> {
    pub(crate) fn empty() -> Self {
        Self {
            current: None,
            in_grace: Box::default(),
            added: Box::default(),
            mki_len: 0,
            one_space: true,
            plain: false,
            moved: false,
        }
    }

    /// The key that protects.
    ///
    /// # Errors
    ///
    /// [`Error::NoKey`]; [`Error::Moved`].
    pub(crate) fn current(&self) -> Result<&Held<S>> {
        self.current.as_ref().ok_or_else(|| self.none())
    }

    /// Why there is no key.
    #[cold]
    const fn none(&self) -> Error {
        if self.moved { Error::Moved } else { Error::NoKey }
    }

    /// The current key, or else any.
    ///
    /// # Errors
    ///
    /// [`Error::NoKey`]; [`Error::Moved`].
    pub(crate) fn first(&self) -> Result<&Held<S>> {
        self.current.as_ref().or_else(|| self.added.first()).ok_or_else(|| self.none())
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.current.is_none() && self.added.is_empty()
    }

    pub(crate) const fn has_one_space(&self) -> bool {
        self.one_space
    }

    /// The current key probes.
    pub(crate) fn is_probing(&self) -> bool {
        self.current.as_ref().is_some_and(|held| held.probes.is_some())
    }

    const fn mki_len(&self) -> usize {
        self.mki_len as usize
    }

    /// The trailer of packets under these keys.
    #[inline(always)]
    pub(crate) const fn shape(&self, spec: Spec, protocol: Protocol) -> Shape {
        let tag = match protocol {
            Protocol::Rtp => spec.srtp_tag_len,
            Protocol::Rtcp => spec.srtcp_tag_len,
        };
        Shape { protocol, tag, mki: self.mki_len, roc: 0, tag_first: matches!(spec.cipher, CipherKind::AesGcm) }
    }

    /// The current key, if that is in the space of all others, and does not probe: as a rule.
    #[inline(always)]
    pub(crate) fn plain(&self) -> Option<&Held<S>> {
        self.current.as_ref().filter(|_| self.plain)
    }

    /// The first of the [`candidates`](Self::candidates), if that is the current key: as a rule, and without a search.
    #[inline(always)]
    pub(crate) fn likeliest(&self, mki: &[u8], hint: KeyId) -> Option<&Held<S>> {
        let is_meant = |held: &&Held<S>| if self.mki_len > 0 { held.key.mki() == mki } else { held.key.id == hint };
        self.current.as_ref().filter(is_meant)
    }

    /// The keys that may have protected a packet: the one its MKI names, or, without MKIs, all, that of `usable.hint` first.
    ///
    /// # Errors
    ///
    /// [`Error::NoKey`]; [`Error::UnknownMki`].
    pub(crate) fn candidates<'r>(&'r self, mki: &[u8], usable: Usable) -> Result<impl Iterator<Item = &'r Held<S>>> {
        if self.is_empty() {
            return Err(self.none());
        }
        let keys = move || {
            self.list().filter(move |(_, role)| usable.in_grace || *role != KeyRole::InGrace).map(|(held, _)| held)
        };
        let (first, rest) = if self.mki_len > 0 {
            (Some(keys().find(|held| held.key.mki() == mki).ok_or(Error::UnknownMki)?), false)
        } else {
            (keys().find(|held| held.key.id == usable.hint), true)
        };
        let tried = first.map(|held| held.key.id);
        Ok(first.into_iter().chain(keys().filter(move |held| rest && Some(held.key.id) != tried)))
    }

    /// All keys: current, in grace, added.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Held<S>> {
        self.current.iter().chain(&self.in_grace).chain(&self.added)
    }

    pub(crate) fn list(&self) -> impl Iterator<Item = (&Held<S>, KeyRole)> {
        let with = |role| move |held| (held, role);
        (self.current.iter().map(with(KeyRole::Current)))
            .chain(self.in_grace.iter().map(with(KeyRole::InGrace)))
            .chain(self.added.iter().map(with(KeyRole::Added)))
    }

    pub(crate) fn in_grace(&self) -> impl Iterator<Item = KeyId> {
        self.in_grace.iter().map(|held| held.key.id)
    }

    pub(crate) fn is_in_grace(&self, id: KeyId) -> bool {
        self.in_grace().any(|held| held == id)
    }

    /// Every space once: those of the keys in the order of the keys, then those that are probed.
    pub(crate) fn spaces(&self) -> Vec<&Arc<S>> {
        let mut spaces: Vec<&Arc<S>> = Vec::new();
        for space in self.iter().map(|held| &held.space).chain(self.iter().flat_map(Held::probed)) {
            if !spaces.iter().any(|known| Arc::ptr_eq(known, space)) {
                spaces.push(space);
            }
        }
        spaces
    }

    // ---- Successors of a ring, made on the control side.

    /// The key of this ring that comes from the same master key, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::MkiLengthMismatch`] or [`Error::DuplicateMki`] if `key` could not join the ring.
    pub(crate) fn match_for(&self, key: &SessionKeys) -> Result<Option<KeyId>> {
        // All are compared, so that time does not tell which one matched.
        let keys = || self.iter().map(|held| &held.key);
        let same = keys().fold(None, |found, held| if held.same_master(key) { Some(held.id) } else { found });
        if same.is_some() {
            return Ok(same);
        }
        if keys().next().is_some() && key.mki.len() != self.mki_len() {
            return Err(Error::MkiLengthMismatch);
        }
        if self.mki_len > 0 && keys().any(|held| held.mki == key.mki) {
            return Err(Error::DuplicateMki);
        }
        Ok(None)
    }

    /// The ring of a context that was moved elsewhere: without keys, and packets have the shape that they had.
    pub(crate) fn spent(&self) -> Self {
        Self { mki_len: self.mki_len, moved: true, ..Self::empty() }
    }

    /// # Errors
    ///
    /// [`Error::Moved`].
    pub(crate) const fn check_not_moved(&self) -> Result<()> {
        if self.moved { Err(Error::Moved) } else { Ok(()) }
    }

    /// The same keys.
    pub(crate) fn share(&self) -> Self {
        Self::of(self.current.clone(), self.in_grace.to_vec(), self.added.to_vec())
    }

    /// A ring of these keys, with what follows from them.
    pub(crate) fn of(current: Option<Held<S>>, in_grace: Vec<Held<S>>, added: Vec<Held<S>>) -> Self {
        let ring = Self { current, in_grace: in_grace.into(), added: added.into(), ..Self::empty() };
        // 128 at most.
        let mki_len = ring.iter().next().and_then(|first| u8::try_from(first.key.mki.len()).ok()).unwrap_or(0);
        let spaces = || ring.iter().map(|held| &held.space);
        let one_space = spaces().zip(spaces().skip(1)).all(|(one, other)| Arc::ptr_eq(one, other));
        let plain = one_space && ring.current.as_ref().is_some_and(|held| held.probes.is_none());
        Self { mki_len, one_space, plain, ..ring }
    }

    /// Drops spaces that are probed and that no key is in, up to one of each run of such neighbours. `merge` is told of each, before it goes, and of
    /// its newer neighbour.
    ///
    /// # Errors
    ///
    /// Those of `merge`.
    pub(crate) fn compact(&mut self, mut merge: impl FnMut(&S, &S) -> Result<()>) -> Result<()> {
        let named: Vec<_> = self.iter().map(|held| Arc::clone(&held.space)).collect();
        let is_named = |space: &Arc<S>| named.iter().any(|named| Arc::ptr_eq(named, space));
        for held in self.current.iter_mut().chain(&mut self.in_grace).chain(&mut self.added) {
            let mut kept: Vec<Arc<S>> = Vec::new();
            for space in held.probed() {
                match kept.last() {
                    Some(newer) if !is_named(newer) && !is_named(space) => merge(space, newer)?,
                    _ => kept.push(Arc::clone(space)),
                }
            }
            if kept.len() < held.probed().count() {
                held.probes = Some(Arc::new(kept));
            }
        }
        Ok(())
    }

    /// `key` becomes the current one; the one before it joins the grace, which holds `grace` keys at most, and fewer if the ring is full.
    pub(crate) fn rekeyed(&self, key: Held<S>, grace: usize) -> Self {
        let room = grace.min(MAX_KEYS - 1 - self.added.len());
        let in_grace = self.current.iter().chain(&self.in_grace).take(room).cloned().collect();
        Self::of(Some(key), in_grace, self.added.to_vec())
    }

    /// `key` joins beside the current one.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyKeys`].
    pub(crate) fn with(&self, key: Held<S>) -> Result<Self> {
        if self.iter().count() >= MAX_KEYS {
            return Err(Error::TooManyKeys);
        }
        let added = self.added.iter().cloned().chain([key]).collect();
        Ok(Self::of(self.current.clone(), self.in_grace.to_vec(), added))
    }

    /// The key `id` leaves.
    ///
    /// # Errors
    ///
    /// [`Error::KeyIsCurrent`], [`Error::UnknownKey`].
    pub(crate) fn without(&self, id: KeyId) -> Result<Self> {
        if self.current.as_ref().is_some_and(|held| held.key.id == id) {
            return Err(Error::KeyIsCurrent);
        }
        if !self.iter().any(|held| held.key.id == id) {
            return Err(Error::UnknownKey);
        }
        let keep = |keys: &[Held<S>]| keys.iter().filter(|held| held.key.id != id).cloned().collect();
        Ok(Self::of(self.current.clone(), keep(&self.in_grace), keep(&self.added)))
    }

    /// The keys in grace that `ends` names leave. `None` if there are none.
    pub(crate) fn without_grace(&self, ends: impl Fn(KeyId) -> bool) -> Option<Self> {
        let stays = |held: &&Held<S>| !ends(held.key.id);
        let in_grace: Vec<_> = self.in_grace.iter().filter(stays).cloned().collect();
        let changes = in_grace.len() < self.in_grace.len();
        changes.then(|| Self::of(self.current.clone(), in_grace, self.added.to_vec()))
    }

    /// The added key `id` becomes the current one, which takes its place among the added. `None` if it is the current one.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownKey`].
    pub(crate) fn switched_to(&self, id: KeyId) -> Result<Option<Self>> {
        let Some((chosen, others)) = self.choose(id)? else { return Ok(None) };
        let added = self.current.iter().cloned().chain(others).collect();
        Ok(Some(Self::of(Some(chosen), self.in_grace.to_vec(), added)))
    }

    /// The added key `id` becomes the current one; the one before it joins the grace. `None` if it is the current one.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownKey`].
    pub(crate) fn promoted(&self, id: KeyId, grace: usize) -> Result<Option<Self>> {
        let Some((chosen, others)) = self.choose(id)? else { return Ok(None) };
        let room = grace.min(MAX_KEYS - 1 - others.len());
        let in_grace = self.current.iter().chain(&self.in_grace).take(room).cloned().collect();
        Ok(Some(Self::of(Some(chosen), in_grace, others)))
    }

    /// The added key `id`, and the others.
    fn choose(&self, id: KeyId) -> Result<Option<Chosen<S>>> {
        if self.current.as_ref().is_some_and(|held| held.key.id == id) {
            return Ok(None);
        }
        let chosen = self.added.iter().find(|held| held.key.id == id).ok_or(Error::UnknownKey)?;
        Ok(Some((chosen.clone(), self.added.iter().filter(|held| held.key.id != id).cloned().collect())))
    }

    /// Counts as retired the keys of this ring that `next` does not name.
    pub(crate) fn retire_missing(&self, next: &Self) {
        for held in self.iter().filter(|held| !next.iter().any(|kept| kept.key.id == held.key.id)) {
            held.key.retire();
        }
    }
}

#[cfg(test)]
mod tests;
