//! Session keys, and the ring of those a context uses: both immutable once published.
//!
//! A master key becomes one [`SessionKeys`]: the derived keys of both protocols (RFC 3711 4.3). A [`KeyRing`] says which of them a context
//! uses and in which role. A change makes a new ring that shares the keys that stay; a key is gone when the last ring that names it is.

use crate::crypto::Suite;
use crate::crypto::kdf::{IDENTITY, Prf};
use crate::crypto::profile::Spec;
use crate::epoch::Tally;
use crate::error::{Error, Result};
use crate::primitive::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::secret::{MasterKey, scrub_stack};
use crate::wire::{Protocol, Shape};
use core::fmt;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// How many keys a ring holds: the current, those in grace, and those added.
pub const MAX_KEYS: usize = 16;

const IDENTITY_LEN: usize = 16;

/// Names a key within its context. Never reused; a later key has a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub(crate) u64);

impl KeyId {
    /// No key has it.
    pub(crate) const NONE: Self = Self(u64::MAX);
}

/// How many packets a master key may protect (RFC 3711 9.2), per protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLifetime {
    /// SRTP packets: 1 to 2^48.
    pub srtp_packets: u64,
    /// SRTCP packets: 1 to 2^31.
    pub srtcp_packets: u64,
}

impl KeyLifetime {
    /// The most that RFC 3711 9.2 allows.
    pub const MAX: Self = Self { srtp_packets: 1 << 48, srtcp_packets: 1 << 31 };

    pub(crate) fn check(self) -> Result<Self> {
        let within = |packets, most| (1..=most).contains(&packets);
        if within(self.srtp_packets, Self::MAX.srtp_packets) && within(self.srtcp_packets, Self::MAX.srtcp_packets) {
            Ok(self)
        } else {
            Err(Error::BadKeyLifetime)
        }
    }
}

/// The packets a key has left, from which streams take leases, so that they seldom meet here.
pub(crate) struct Budget(AtomicU64);

impl Budget {
    /// The most a stream takes at once.
    const LEASE: u64 = 1024;
    /// A lease is at most this part of what is left, so that a low limit is not hoarded by one stream.
    const SHARE: u64 = 64;

    /// Takes a lease of at least 1 packet.
    ///
    /// # Errors
    ///
    /// [`Error::KeyExpired`] when nothing is left.
    pub(crate) fn lease(&self) -> Result<u64> {
        self.take(|left| (left / Self::SHARE).clamp(1, Self::LEASE))
    }

    /// Takes one packet.
    pub(crate) fn take_one(&self) -> Result<u64> {
        self.take(|_| 1)
    }

    fn take(&self, amount: impl Fn(u64) -> u64) -> Result<u64> {
        // Relaxed: the count orders nothing but itself.
        let before = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(amount(left)))
            .map_err(|_| Error::KeyExpired)?;
        Ok(amount(before))
    }

    pub(crate) fn give_back(&self, packets: u64) {
        // Relaxed: as in `take`.
        self.0.fetch_add(packets, Ordering::Relaxed);
    }

    /// # Errors
    ///
    /// [`Error::KeyExpired`] when nothing is left.
    pub(crate) fn check(&self) -> Result<()> {
        // Relaxed: as in `take`.
        if self.0.load(Ordering::Relaxed) == 0 { Err(Error::KeyExpired) } else { Ok(()) }
    }
}

/// The session keys of one master key. Wiped when dropped.
pub(crate) struct SessionKeys {
    srtp: Suite,
    srtcp: Suite,
    srtp_budget: Budget,
    srtcp_budget: Budget,
    id: KeyId,
    mki: Box<[u8]>,
    /// Tells master keys apart without keeping them: derived like a session key, under a label of its own.
    identity: [u8; IDENTITY_LEN],
    /// Counted as retired already.
    retired: AtomicBool,
    tally: Arc<Tally>,
}

impl SessionKeys {
    /// Derives the session keys, in the allocation that keeps them.
    ///
    /// # Errors
    ///
    /// [`Error::WrongKeyLength`], [`Error::WrongSaltLength`], [`Error::WrongKeyAndSaltLength`].
    pub(crate) fn derive(
        spec: Spec,
        master: &MasterKey,
        id: KeyId,
        lifetime: KeyLifetime,
        tally: &Arc<Tally>,
    ) -> Result<Arc<Self>> {
        let (key, salt) = master.split(spec.key_len, spec.salt_len)?;
        let mut keys = Arc::new(Self {
            srtp: Suite::vacant(spec),
            srtcp: Suite::vacant(spec),
            srtp_budget: Budget(AtomicU64::new(lifetime.srtp_packets)),
            srtcp_budget: Budget(AtomicU64::new(lifetime.srtcp_packets)),
            id,
            mki: master.mki().into(),
            identity: [0; IDENTITY_LEN],
            retired: AtomicBool::new(false),
            tally: Arc::clone(tally),
        });
        tally.key_created();
        let filled = Arc::get_mut(&mut keys).ok_or(Error::NoKey).and_then(|keys| keys.fill(key, salt, spec));
        scrub_stack();
        filled.map(|()| keys)
    }

    #[inline(never)]
    fn fill(&mut self, master_key: &[u8], master_salt: &[u8], spec: Spec) -> Result<()> {
        let prf = Prf::new(master_key, master_salt)?;
        self.srtp.derive(&prf, Protocol::Rtp.labels(), spec.key_len)?;
        self.srtcp.derive(&prf, Protocol::Rtcp.labels(), spec.key_len)?;
        prf.derive(IDENTITY, &mut self.identity);
        Ok(())
    }

    pub(crate) const fn id(&self) -> KeyId {
        self.id
    }

    pub(crate) fn mki(&self) -> &[u8] {
        &self.mki
    }

    pub(crate) const fn suite(&self, protocol: Protocol) -> &Suite {
        match protocol {
            Protocol::Rtp => &self.srtp,
            Protocol::Rtcp => &self.srtcp,
        }
    }

    pub(crate) const fn budget(&self, protocol: Protocol) -> &Budget {
        match protocol {
            Protocol::Rtp => &self.srtp_budget,
            Protocol::Rtcp => &self.srtcp_budget,
        }
    }

    /// Whether both come from the same master key and salt, in constant time.
    fn same_master(&self, other: &Self) -> bool {
        self.identity.ct_eq(&other.identity).into()
    }

    /// Counts the key as retired, once.
    pub(crate) fn retire(&self) {
        // Relaxed: only this flag decides who counts.
        if !self.retired.swap(true, Ordering::Relaxed) {
            self.tally.key_retired();
        }
    }
}

impl Drop for SessionKeys {
    fn drop(&mut self) {
        // A key that never came into use, or goes with its context, retires here.
        self.retire();
        self.identity.zeroize();
        // The suites wipe themselves as fields are dropped, which is after this body: so they are dropped by hand before it is counted.
        self.srtp = Suite::Unprotected;
        self.srtcp = Suite::Unprotected;
        self.tally.key_wiped();
    }
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionKeys").field("id", &self.id).field("mki", &self.mki).finish_non_exhaustive()
    }
}

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
        use crate::crypto::profile::CipherKind;
        let tag = match protocol {
            Protocol::Rtp => spec.srtp_tag_len,
            Protocol::Rtcp => spec.srtcp_tag_len,
        };
        Shape { protocol, tag, mki: self.mki_len, tag_first: matches!(spec.cipher, CipherKind::AesGcm) }
    }

    /// The keys that may have protected a packet: the one its MKI names, or, without MKIs, all, that of `hint` first.
    ///
    /// # Errors
    ///
    /// [`Error::NoKey`]; [`Error::UnknownMki`].
    pub(crate) fn candidates<'r>(&'r self, mki: &[u8], hint: KeyId) -> Result<impl Iterator<Item = &'r SessionKeys>> {
        let named = (self.mki_len > 0).then(|| self.iter().find(|key| key.mki() == mki));
        let (first, rest) = match named {
            Some(Some(key)) => (Some(key), false),
            Some(None) => return Err(Error::UnknownMki),
            None => (self.iter().find(|key| key.id == hint), true),
        };
        if self.is_empty() {
            return Err(Error::NoKey);
        }
        let tried = first.map(SessionKeys::id);
        let others = self.iter().filter(move |key| rest && Some(key.id) != tried);
        Ok(first.into_iter().chain(others))
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

    /// Counts as retired the keys of this ring that `next` does not name.
    pub(crate) fn retire_missing(&self, next: &Self) {
        for key in self.iter().filter(|key| !next.iter().any(|kept| kept.id == key.id)) {
            key.retire();
        }
    }
}
