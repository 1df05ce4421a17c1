//! What a domain has retired and what of it is gone.

use super::events::Events;
use crate::event::Event;
use crate::primitive::atomic::{AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
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
#[derive(Debug)]
pub(crate) struct Tally {
    waiting: [AtomicU64; 2],
    phase: AtomicUsize,
    keys_created: AtomicU64,
    keys_retired: AtomicU64,
    keys_wiped: AtomicU64,
    latencies: [AtomicU64; LATENCIES],
    made: Instant,
    /// Where keys tell of themselves.
    events: OnceLock<Arc<Events>>,
}

/// Buckets of the latency histogram: bucket `b` holds what took less than 2^b microseconds and was too long for the one before.
const LATENCIES: usize = 32;

/// A retirement, to be reported as destroyed.
#[derive(Clone, Copy, Debug)]
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
    /// How long destroyed values waited.
    pub latency: LatencyHistogram,
}

/// How long retired values waited to be destroyed, in powers of two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatencyHistogram {
    buckets: [u64; LATENCIES],
}

impl LatencyHistogram {
    /// How many values were destroyed.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// A time within which `part` (0 to 1) of all values were destroyed: the upper bound of a bucket, so at most twice the truth.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Duration {
        #[expect(clippy::cast_precision_loss)] // A rank in a histogram of powers of two.
        let rank = self.count() as f64 * part;
        let mut seen = 0;
        for (exponent, bucket) in self.buckets.iter().enumerate() {
            seen += bucket;
            #[expect(clippy::cast_precision_loss)] // As above.
            if seen > 0 && seen as f64 >= rank {
                return Duration::from_micros(1 << exponent);
            }
        }
        Duration::ZERO
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            waiting: Default::default(),
            phase: AtomicUsize::new(0),
            keys_created: AtomicU64::new(0),
            keys_retired: AtomicU64::new(0),
            keys_wiped: AtomicU64::new(0),
            latencies: core::array::from_fn(|_| AtomicU64::new(0)),
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

    pub(super) fn item_destroyed(&self, ticket: Ticket) {
        let micros = self.now().saturating_sub(ticket.stamp) / 1000;
        let bucket = (u64::BITS - micros.leading_zeros()) as usize;
        if let Some(bucket) = self.latencies.get(bucket.min(LATENCIES - 1)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(waiting) = self.waiting.get(usize::from(ticket.stamp & 1 == 1)) {
            // Release: pairs with the Acquire in `waiting_in`.
            waiting.fetch_sub(1, Ordering::Release);
        }
    }

    /// Nanoseconds since the tally was made. None pass in a model: each of its runs must take the same path again.
    fn now(&self) -> u64 {
        if cfg!(crossbeam_loom) {
            return 0;
        }
        u64::try_from(self.made.elapsed().as_nanos()).unwrap_or(u64::MAX)
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
            latency: LatencyHistogram {
                buckets: core::array::from_fn(|at| {
                    self.latencies.get(at).map_or(0, |bucket| bucket.load(Ordering::Relaxed))
                }),
            },
        }
    }
}
