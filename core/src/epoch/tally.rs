//! What a domain has retired and what of it is gone.

use crate::primitive::atomic::{AtomicU64, Ordering};

/// The counters of a domain. Deferred code outlives the domain that queued it, so they sit in an allocation of their own.
///
/// All orderings here are `Relaxed` but two pairs: `destroyed` and `wiped` are added with `Release` after the deed and read with `Acquire`,
/// so that whoever reads a count also sees the memory as the deed left it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    items_retired: AtomicU64,
    items_destroyed: AtomicU64,
    keys_created: AtomicU64,
    keys_retired: AtomicU64,
    keys_wiped: AtomicU64,
}

/// A snapshot of what a [`Domain`](crate::Domain) has retired and destroyed.
///
/// Once no call is in progress, `keys_created == live keys + (keys_retired - keys_wiped) + keys_wiped`, each counted on
/// its own (P9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DomainStats {
    /// Session keys derived, one for each master key a context was given.
    pub keys_created: u64,
    /// Keys that left their context: replaced, retired, or dropped with it.
    pub keys_retired: u64,
    /// Keys wiped from memory.
    pub keys_wiped: u64,
    /// Values of any kind (keys, key rings, stream tables) that wait for readers to unpin.
    pub items_waiting: u64,
}

impl Tally {
    pub(crate) fn item_retired(&self) {
        self.items_retired.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn item_destroyed(&self) {
        // Release: pairs with the Acquire in `items_waiting`.
        self.items_destroyed.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn key_created(&self) {
        self.keys_created.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn key_retired(&self) {
        self.keys_retired.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn key_wiped(&self) {
        // Release: pairs with the Acquire in `snapshot`.
        self.keys_wiped.fetch_add(1, Ordering::Release);
    }

    /// Values retired and not destroyed yet.
    pub(crate) fn items_waiting(&self) -> u64 {
        // Acquire: pairs with the Release in `item_destroyed`. Destroyed is read first, so the difference is never negative.
        let destroyed = self.items_destroyed.load(Ordering::Acquire);
        self.items_retired.load(Ordering::Relaxed).saturating_sub(destroyed)
    }

    pub(crate) fn snapshot(&self) -> DomainStats {
        // Acquire: pairs with the Release in `key_wiped`.
        let keys_wiped = self.keys_wiped.load(Ordering::Acquire);
        DomainStats {
            keys_wiped,
            keys_retired: self.keys_retired.load(Ordering::Relaxed),
            keys_created: self.keys_created.load(Ordering::Relaxed),
            items_waiting: self.items_waiting(),
        }
    }
}
