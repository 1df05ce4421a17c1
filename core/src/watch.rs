//! Looks at intervals whether readers hold up a domain.

use crate::epoch::{Domain, Task};
use crate::event::{Event, EventKind};
use crate::primitive::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::{Arc, Weak};
use std::time::Instant;

/// Watches a domain for stalls, as long as it is kept: made by [`Domain::watch_stalls`].
#[derive(Debug)]
#[must_use = "a watch that is dropped sees nothing"]
pub struct StallWatch(#[expect(dead_code, reason = "it keeps the task alive")] Arc<Watch>);

#[derive(Debug)]
struct Watch {
    this: Weak<Self>,
    domain: Domain,
    interval: Duration,
    /// Values that were destroyed at the last look, if some waited then and nobody was told; else [`MOVING`].
    stuck_at: AtomicU64,
    /// The same, if somebody was told: a stall is told once.
    told_at: AtomicU64,
}

const MOVING: u64 = u64::MAX;

impl Domain {
    /// Raises [`Event::Stall`] when retired values have waited for `within` to twice that, and none was destroyed meanwhile: some reader holds its
    /// guard.
    /// Once for each stall. It takes a timer, so in a domain without reclaimer it needs [`Self::reclaim`] to be called. `within` is 1 ms at least.
    pub fn watch_stalls(&self, within: Duration) -> StallWatch {
        self.watch_events(&[EventKind::Stall]);
        let watch = Arc::new_cyclic(|this| Watch {
            this: Weak::clone(this),
            domain: self.clone(),
            interval: within.max(Duration::from_millis(1)),
            stuck_at: AtomicU64::new(MOVING),
            told_at: AtomicU64::new(MOVING),
        });
        watch.set_timer();
        StallWatch(watch)
    }
}

impl Watch {
    fn set_timer(&self) {
        // A time that the clock does not reach never comes.
        if let Some(at) = Instant::now().checked_add(self.interval) {
            let task: Weak<Self> = Weak::clone(&self.this);
            self.domain.schedule(at, task);
        }
    }

    fn look(&self) {
        let stats = self.domain.stats();
        let destroyed = stats.latency.count();
        // Relaxed throughout: one timer at a time looks.
        if stats.items_waiting == 0 {
            self.stuck_at.store(MOVING, Ordering::Relaxed);
            self.told_at.store(MOVING, Ordering::Relaxed);
            return;
        }
        let is_stuck = self.stuck_at.swap(destroyed, Ordering::Relaxed) == destroyed;
        if is_stuck && self.told_at.swap(destroyed, Ordering::Relaxed) != destroyed {
            let pinned_readers = self.domain.pinned_readers().len();
            self.domain.raise(Event::Stall { waiting: stats.items_waiting, pinned_readers });
        }
    }
}

impl Task for Watch {
    fn run(&self) {
        self.look();
        self.set_timer();
    }
}
