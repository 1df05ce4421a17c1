//! Session keys, and the ring of those a context uses: both immutable once published.
//!
//! A master key becomes one [`SessionKeys`]: the derived keys of both protocols (RFC 3711 4.3). A [`KeyRing`] says which of them a context
//! uses and in which role. A change makes a new ring that shares the keys that stay; a key is gone when the last ring that names it is.

mod history;
mod ring;

pub(crate) use history::{History, HistoryState};
pub use ring::KeyRole;
pub(crate) use ring::{Held, KeyRing, Usable};

use crate::crypto::header::HeaderCipher;
use crate::crypto::profile::Spec;
use crate::crypto::{Frame, Suite, Suites};
use crate::epoch::Tally;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::id::{ContextId, KeyId};
use crate::primitive::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::secret::MasterKey;
use crate::wire::Protocol;
use crate::wire::extension::Selected;
use core::fmt;
use std::sync::Arc;

/// How many keys a ring holds: the current, those in grace, and those added.
pub const MAX_KEYS: usize = 16;

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

/// How many packets a master key may protect (RFC 3711 9.2), per protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLifetime {
    /// SRTP packets: 1 to 2^48.
    pub srtp_packets: u64,
    /// SRTCP packets: 1 to 2^31.
    pub srtcp_packets: u64,
}

impl KeyLifetime {
    /// No packet at all: as a soft limit, none.
    pub const NONE: Self = Self { srtp_packets: 0, srtcp_packets: 0 };

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

/// What a key may protect, and when its owner is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) hard: KeyLifetime,
    /// Packets left when the owner is told; 0 if he does not want to know.
    pub(crate) soft: KeyLifetime,
}

impl Limits {
    /// These, for a key that came with a lifetime of `packets`: the lower limit counts.
    pub(crate) fn at_most(self, packets: u64) -> Self {
        let KeyLifetime { srtp_packets, srtcp_packets } = self.hard;
        let hard = KeyLifetime { srtp_packets: srtp_packets.min(packets), srtcp_packets: srtcp_packets.min(packets) };
        Self { hard, ..self }
    }
}

/// The packets a key has left, from which streams take leases, so that they seldom meet here.
pub(crate) struct Budget {
    left: AtomicU64,
    /// The owner is told when no more are left, once.
    soft: u64,
    told: AtomicBool,
}

/// Packets that a stream may protect.
#[derive(Clone, Copy)]
pub(crate) struct Lease {
    pub(crate) packets: u64,
    /// With it the key passed its soft limit.
    pub(crate) passes_soft_limit: bool,
}

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
    pub(crate) fn lease(&self) -> Result<Lease> {
        self.take(|left| (left / Self::SHARE).clamp(1, Self::LEASE))
    }

    /// Takes one packet.
    pub(crate) fn take_one(&self) -> Result<Lease> {
        self.take(|_| 1)
    }

    fn new(packets: u64, soft: u64) -> Self {
        Self { left: AtomicU64::new(packets), soft, told: AtomicBool::new(false) }
    }

    fn take(&self, amount: impl Fn(u64) -> u64) -> Result<Lease> {
        // Relaxed: the count orders nothing but itself.
        let before = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(amount(left)))
            .map_err(|_| Error::KeyExpired)?;
        let packets = amount(before);
        // Relaxed: of those who swap, one finds it unset.
        let passes_soft_limit = before - packets <= self.soft
            && self.soft > 0
            && !self.told.load(Ordering::Relaxed)
            && !self.told.swap(true, Ordering::Relaxed);
        Ok(Lease { packets, passes_soft_limit })
    }

    pub(crate) fn give_back(&self, packets: u64) {
        // Relaxed: as in `take`.
        self.left.fetch_add(packets, Ordering::Relaxed);
    }

    /// Packets that no stream has leased yet.
    pub(crate) fn left(&self) -> u64 {
        // Relaxed: as in `take`.
        self.left.load(Ordering::Relaxed)
    }

    /// Whether the owner was told that few are left.
    pub(crate) fn was_told(&self) -> bool {
        // Relaxed: as in `take`.
        self.told.load(Ordering::Relaxed)
    }

    /// Never more than it has.
    fn resume(&mut self, left: u64, told: bool) {
        let left = left.min(self.left());
        *self = Self { left: AtomicU64::new(left), soft: self.soft, told: AtomicBool::new(told) };
    }

    /// # Errors
    ///
    /// [`Error::KeyExpired`] when nothing is left.
    pub(crate) fn check(&self) -> Result<()> {
        if self.left() == 0 { Err(Error::KeyExpired) } else { Ok(()) }
    }
}

/// The session keys of one master key, in a slot of the vault. Wiped when dropped.
pub(crate) struct SessionKeys {
    suites: Suites,
    srtp_budget: Budget,
    srtcp_budget: Budget,
    id: KeyId,
    mki: Box<[u8]>,
    /// What the key was derived from, if the context may be moved.
    master: Option<MasterKey>,
    /// Where elements of header extensions are encrypted.
    header: Option<Box<HeaderCipher>>,
    /// Counted as retired already.
    retired: AtomicBool,
    /// The last to be dropped, after all that is wiped.
    counted: Counted,
}

/// Counts a key as wiped when it is dropped, and tells.
struct Counted {
    tally: Arc<Tally>,
    context: ContextId,
    key: KeyId,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.tally.key_wiped();
        self.tally.raise(Event::KeyWiped { context: self.context, key: self.key });
    }
}

impl SessionKeys {
    /// Derives the session keys, in the slot that keeps them; those of header extensions, in another, if any are `selected`.
    ///
    /// # Errors
    ///
    /// [`Error::WrongKeyLength`], [`Error::WrongSaltLength`], [`Error::WrongKeyAndSaltLength`].
    pub(crate) fn derive(
        spec: Spec,
        master: &MasterKey,
        (context, id): (ContextId, KeyId),
        limits: Limits,
        selected: Selected,
        tally: &Arc<Tally>,
    ) -> Result<Arc<Self>> {
        let (key, salt) = master.split(spec.key_len, spec.salt_len)?;
        let header = if selected.is_empty() { None } else { Some(HeaderCipher::derive(key, salt, spec, selected)?) };
        let mut keys = Arc::new(Self {
            suites: Suites::vacant(spec),
            srtp_budget: Budget::new(limits.hard.srtp_packets, limits.soft.srtp_packets),
            srtcp_budget: Budget::new(limits.hard.srtcp_packets, limits.soft.srtcp_packets),
            id,
            mki: master.mki().into(),
            master: None,
            header: header.map(Box::new),
            retired: AtomicBool::new(false),
            counted: Counted { tally: Arc::clone(tally), context, key: id },
        });
        tally.key_created();
        let filled = Arc::get_mut(&mut keys).ok_or(Error::NoKey)?;
        filled.suites.derive(key, salt, spec)?;
        Ok(keys)
    }

    /// Keeps what the key was derived from, as long as the key.
    pub(crate) fn keep_master(&mut self, master: &MasterKey, spec: Spec) {
        self.master = Some(master.duplicate_split(spec.key_len));
    }

    pub(crate) const fn master(&self) -> Option<&MasterKey> {
        self.master.as_ref()
    }

    /// Goes on with a lifetime that began elsewhere: so many packets are left of it, and of which protocols the owner was told that few are.
    pub(crate) fn resume(&mut self, left: KeyLifetime, told: [bool; 2]) {
        let [srtp_told, srtcp_told] = told;
        self.srtp_budget.resume(left.srtp_packets, srtp_told);
        self.srtcp_budget.resume(left.srtcp_packets, srtcp_told);
    }

    pub(crate) const fn id(&self) -> KeyId {
        self.id
    }

    pub(crate) fn mki(&self) -> &[u8] {
        &self.mki
    }

    /// Has what [`Self::suite`] is a view of fetched from memory.
    pub(crate) fn fetch_suite(&self, protocol: Protocol) {
        self.suites.fetch(protocol);
    }

    #[inline]
    pub(crate) fn suite(&self, protocol: Protocol) -> Suite<'_> {
        self.suites.of(protocol)
    }

    /// Encrypts or decrypts the elements of an RTP header's extension that were selected.
    #[cold]
    pub(crate) fn crypt_elements(&self, frame: &Frame, header: &mut [u8]) {
        if let Some(cipher) = &self.header {
            cipher.crypt(frame, header);
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
        self.suites.same_master(&other.suites)
    }

    /// Counts the key as retired, once.
    pub(crate) fn retire(&self) {
        // Relaxed: only this flag decides who counts.
        if !self.retired.swap(true, Ordering::Relaxed) {
            let Counted { tally, context, key } = &self.counted;
            tally.key_retired();
            tally.raise(Event::KeyRetired { context: *context, key: *key });
        }
    }
}

impl Drop for SessionKeys {
    fn drop(&mut self) {
        // A key that never came into use, or goes with its context, retires here.
        self.retire();
        // The suites are wiped as the fields are dropped, in their order.
    }
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionKeys").field("id", &self.id).field("mki", &self.mki).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
