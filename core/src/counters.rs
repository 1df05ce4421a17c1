//! What a context counts that belongs to no stream, on cache lines that its threads do not share.

use crate::epoch::Guard;
use crate::error::{Error, Fault};
use crate::primitive::atomic::{AtomicU64, Ordering};

/// Lanes a context has. Threads beyond as many share.
const LANES: usize = 4;

/// Counters of packets that were refused before they reached a stream.
#[derive(Default)]
pub(crate) struct Refusals([Lane; LANES]);

/// One cache line.
#[derive(Default)]
#[repr(align(64))]
struct Lane {
    malformed: AtomicU64,
    unauthenticated: AtomicU64,
    unknown_mki: AtomicU64,
    unknown_ssrc: AtomicU64,
    replayed: AtomicU64,
    no_key: AtomicU64,
    other: AtomicU64,
}

/// Packets refused, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedCounts {
    /// Not a packet of this protocol.
    pub malformed: u64,
    /// No key verified the tag.
    pub authentication_failed: u64,
    /// The MKI named no key.
    pub unknown_mki: u64,
    /// The SSRC had no stream and got none: not added here, or the table was full.
    pub unknown_ssrc: u64,
    /// Replayed, or left of the window.
    pub replayed: u64,
    /// No key, or one at the end of its lifetime.
    pub no_key: u64,
    /// Refused for another reason, by policy or because the call was wrong.
    pub other: u64,
}

impl Refusals {
    pub(crate) fn count(&self, error: Error, guard: &Guard<'_>) {
        let Some(lane) = self.0.get(guard.lane() % LANES) else { return };
        let counter = match error {
            _ if error.fault() == Fault::Packet => &lane.malformed,
            Error::AuthenticationFailed => &lane.unauthenticated,
            Error::UnknownMki => &lane.unknown_mki,
            Error::UnknownSsrc | Error::TooManyStreams => &lane.unknown_ssrc,
            Error::Replayed | Error::TooOld | Error::IndexReused | Error::IndexTooOld => &lane.replayed,
            _ if error.fault() == Fault::Key => &lane.no_key,
            _ => &lane.other,
        };
        // Relaxed: a counter.
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> RefusedCounts {
        let sum = |counter: fn(&Lane) -> &AtomicU64| {
            // Relaxed: counters.
            self.0.iter().map(|lane| counter(lane).load(Ordering::Relaxed)).sum()
        };
        RefusedCounts {
            malformed: sum(|lane| &lane.malformed),
            authentication_failed: sum(|lane| &lane.unauthenticated),
            unknown_mki: sum(|lane| &lane.unknown_mki),
            unknown_ssrc: sum(|lane| &lane.unknown_ssrc),
            replayed: sum(|lane| &lane.replayed),
            no_key: sum(|lane| &lane.no_key),
            other: sum(|lane| &lane.other),
        }
    }
}
