//! What a domain has retired and what of it is gone.

use super::events::Events;
use super::latency::{Latencies, LatencyHistogram};
use super::record::nanos_since;
use crate::event::Event;
use crate::primitive::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// The counters of a domain. Deferred code outlives the domain that queued it, so they sit in an allocation of their own.
///
/// Counts are `Relaxed` but for what is gone: that is added with `Release` after the deed and read with `Acquire`, so that whoever reads the count
/// also
/// sees the memory as the deed left it.
///
/// What waits is counted in two *phases*. A retirement counts in the phase of the moment; to wait for all that was retired before now is to turn the
/// phase and wait until the one before is empty, whatever is retired meanwhile.
pub(crate) struct Tally {
    waiting: [AtomicU64; 2],
    phase: AtomicUsize,
    keys_created: AtomicU64,
    keys_retired: AtomicU64,
    keys_wiped: AtomicU64,
    latency: Latencies,
    waited: Latencies,
    made: Instant,
    /// Where keys tell of themselves.
    events: OnceLock<Arc<Events>>,
}

/// A retirement, to be reported as destroyed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ticket {
    /// When, in nanoseconds since the tally was made; the lowest bit is the phase.
    stamp: u64,
}

/// A snapshot of what a [`Domain`](crate::Domain) has retired and destroyed.
///
/// Once no call is in progress, `keys_created == live keys + (keys_retired - keys_wiped) + keys_wiped`, each counted on
/// its own (P9). What the keys lie in is another matter, and all domains': [`KeyMemory`](crate::KeyMemory).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DomainStats {
    /// Session keys derived, one for each master key a context was given.
    pub keys_created: u64,
    /// Keys that left their context: replaced, retired, or dropped with it. Also those that never entered it, since it held the same master key
    /// already or refused them.
    pub keys_retired: u64,
    /// Keys wiped from memory.
    pub keys_wiped: u64,
    /// Values of any kind (keys, key rings, stream tables) that wait for readers to unpin.
    pub items_waiting: u64,
    /// How long destroyed values waited for reclamation: from the moment at which the last guard that was pinned when they were retired was gone (or
    /// from the retirement, if that was later or the moment is not known) until they were destroyed.
    pub latency: LatencyHistogram,
    /// How long they waited in all, from the retirement: for readers too.
    pub waited: LatencyHistogram,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            waiting: Default::default(),
            phase: AtomicUsize::new(0),
            keys_created: AtomicU64::new(0),
            keys_retired: AtomicU64::new(0),
            keys_wiped: AtomicU64::new(0),
            latency: Latencies::default(),
            waited: Latencies::default(),
            made: Instant::now(),
            events: OnceLock::new(),
        }
    }
}

impl Tally {
    pub(super) fn tell(&self, events: &Arc<Events>) {
        let _ = self.events.set(Arc::clone(events));
    }

    /// Tells the owner of the domain of an event, when the reclaimer next looks: something waits, or has just been destroyed.
    pub(crate) fn raise(&self, event: Event) {
        if let Some(events) = self.events.get() {
            events.raise(event, || {});
        }
    }

    pub(super) fn item_retired(&self) -> Ticket {
        // Relaxed: a retirement that happens before a turn of the phase counts before it, since the turn is made under a mutex that the one
        // who turns it takes after whatever told it of the retirement.
        let phase = self.phase.load(Ordering::Relaxed) & 1;
        if let Some(waiting) = self.waiting.get(phase) {
            waiting.fetch_add(1, Ordering::Relaxed);
        }
        Ticket { stamp: self.now() & !1 | phase as u64 }
    }

    /// `blocked_until` is when the last guard was gone that was pinned at the retirement.
    pub(super) fn item_destroyed(&self, ticket: Ticket, blocked_until: Option<u64>) {
        let now = self.now();
        self.waited.record(now.saturating_sub(ticket.stamp));
        self.latency.record(now.saturating_sub(ticket.stamp.max(blocked_until.unwrap_or(0))));
        if let Some(waiting) = self.waiting.get(usize::from(ticket.stamp & 1 == 1)) {
            // Release: pairs with the Acquire in `waiting_in`.
            waiting.fetch_sub(1, Ordering::Release);
        }
    }

    /// When its clock began.
    pub(super) const fn made(&self) -> Instant {
        self.made
    }

    fn now(&self) -> u64 {
        nanos_since(self.made)
    }

    /// Values retired in a phase and not destroyed yet.
    pub(super) fn waiting_in(&self, phase: usize) -> u64 {
        // Acquire: pairs with the Release in `item_destroyed`.
        self.waiting.get(phase & 1).map_or(0, |waiting| waiting.load(Ordering::Acquire))
    }

    /// Values retired and not destroyed yet.
    pub(crate) fn items_waiting(&self) -> u64 {
        self.waiting_in(0) + self.waiting_in(1)
    }

    /// Turns the phase; returns the one that ended. One caller at a time.
    pub(super) fn turn(&self) -> usize {
        // AcqRel: in one order with the other turns; retirements are ordered before by what `item_retired` says.
        self.phase.fetch_add(1, Ordering::AcqRel) & 1
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

    pub(crate) fn snapshot(&self) -> DomainStats {
        // Acquire: pairs with the Release in `key_wiped`.
        let keys_wiped = self.keys_wiped.load(Ordering::Acquire);
        DomainStats {
            keys_wiped,
            keys_retired: self.keys_retired.load(Ordering::Relaxed),
            keys_created: self.keys_created.load(Ordering::Relaxed),
            items_waiting: self.items_waiting(),
            latency: self.latency.snapshot(),
            waited: self.waited.snapshot(),
        }
    }
}
