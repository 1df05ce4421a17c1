//! How long things took, by the microsecond: a histogram that threads fill without a lock.

use crate::primitive::PlainU64;
use crate::primitive::atomic::Ordering;
use core::array::from_fn;
use core::fmt;
use core::time::Duration;

/// Buckets to a power of two: a bucket's ends differ by a sixteenth at most.
const PARTS: usize = 16;
/// What takes 2^26 microseconds (a minute) or more goes into the last bucket.
const BUCKETS: usize = PARTS * (26 - 3);

/// How long values waited to be destroyed. Short waits are told apart by the microsecond, longer ones by a sixteenth of themselves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LatencyHistogram {
    buckets: [u64; BUCKETS],
    max_nanos: u64,
}

/// A [`LatencyHistogram`] that is filled.
pub(super) struct Latencies {
    // Relaxed, all of it: numbers for the eye.
    buckets: [PlainU64; BUCKETS],
    max_nanos: PlainU64,
}

/// The bucket of a time in microseconds.
fn bucket(micros: u64) -> usize {
    // The four bits after the leading one say which part; below 32 the parts are single microseconds.
    let shift = micros.checked_ilog2().map_or(0, |log| log.saturating_sub(PARTS.ilog2()));
    let part = usize::try_from(micros >> shift).unwrap_or(usize::MAX);
    (PARTS * shift as usize).saturating_add(part).min(BUCKETS - 1)
}

/// The first microsecond that is too long for a bucket.
fn end(bucket: usize) -> u64 {
    let next = bucket + 1;
    let shift = (next / PARTS).saturating_sub(1);
    ((next - PARTS * shift) as u64) << shift
}

impl LatencyHistogram {
    /// How many values were destroyed.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// A time within which `part` (0 to 1) of all values were destroyed: a sixteenth, or a microsecond, above the truth at most.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Duration {
        #[expect(clippy::cast_precision_loss)] // A rank in a histogram.
        let rank = self.count() as f64 * part;
        let mut seen = 0;
        for (at, bucket) in self.buckets.iter().enumerate() {
            seen += bucket;
            #[expect(clippy::cast_precision_loss)] // As above.
            if seen > 0 && seen as f64 >= rank {
                // Nothing took longer than the longest, and the last bucket has no end.
                let end = if at + 1 < BUCKETS { Duration::from_micros(end(at)) } else { Duration::MAX };
                return end.min(self.max());
            }
        }
        self.max()
    }

    /// The longest of all, exactly.
    #[must_use]
    pub const fn max(&self) -> Duration {
        Duration::from_nanos(self.max_nanos)
    }
}

impl Latencies {
    pub(super) fn record(&self, nanos: u64) {
        if let Some(bucket) = self.buckets.get(bucket(nanos / 1000)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.max_nanos.fetch_max(nanos, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> LatencyHistogram {
        LatencyHistogram {
            buckets: from_fn(|at| self.buckets.get(at).map_or(0, |bucket| bucket.load(Ordering::Relaxed))),
            max_nanos: self.max_nanos.load(Ordering::Relaxed),
        }
    }
}

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], max_nanos: 0 }
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self { buckets: from_fn(|_| PlainU64::new(0)), max_nanos: PlainU64::new(0) }
    }
}

impl fmt::Debug for LatencyHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LatencyHistogram")
            .field("count", &self.count())
            .field("p50", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .field("max", &self.max())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_ends_where_the_next_begins() {
        assert_eq!(bucket(0), 0);
        for at in 0..BUCKETS - 1 {
            assert_eq!((bucket(end(at) - 1), bucket(end(at))), (at, at + 1));
            let width = end(at + 1) - end(at);
            assert!(width == 1 || width * 16 <= end(at), "bucket {at}");
        }
        assert_eq!(end(BUCKETS - 1), 1 << 26);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_a_sixteenth_above_the_truth_at_most() {
        let latencies = Latencies::default();
        assert_eq!(latencies.snapshot().quantile(0.99), Duration::ZERO);
        (1..=1000).for_each(|micros| latencies.record(micros * 5000));
        let read = latencies.snapshot();
        assert_eq!((read.count(), read.max()), (1000, Duration::from_millis(5)));
        for (part, truth) in [(0.0, 5), (0.5, 2500), (0.99, 4950), (1.0, 5000)] {
            let found = read.quantile(part).as_micros();
            assert!((truth..=truth + truth / 16 + 1).contains(&found), "{part}: {found}, not {truth}");
        }
        latencies.record(100_000_000_000);
        assert_eq!(latencies.snapshot().quantile(1.0), Duration::from_secs(100));
    }
}
