//! What a domain tells its owner: a queue, and perhaps a handler.
//!
//! 1. Raising an event neither waits nor allocates: the queue is bounded and lock-free. What does not fit is counted.
//! 2. A handler is called where timers run: by the reclaimer, or in a domain without one by whoever drives it. So never on a thread that handles
//!    packets, and with no guard and no lock held.
//! 3. No fork finds the queue half changed. A handler is not waited for by a fork: it may want a lock that the thread holds which forks.
//! 4. An event is in the queue before the reclaimer is rung for, and the reclaimer looks into the queue before it parks.

use super::domain::Domain;
use crate::event::{Event, EventKind};
use crate::kernels::fork::Whole;
use crate::primitive::atomic::{AtomicU64, Ordering};
use core::fmt;
use core::panic::AssertUnwindSafe;
use crossbeam_queue::ArrayQueue;
use std::panic::catch_unwind;
use std::sync::OnceLock;

/// Events that wait at most. Few in a model: each is made anew in every run.
const ROOM: usize = if cfg!(crossbeam_loom) { 2 } else { 256 };

type Handler = Box<dyn Fn(Event) + Send + Sync>;

/// The events of a domain.
pub(super) struct Events {
    queue: ArrayQueue<Event>,
    missed: AtomicU64,
    /// The kinds that are raised, a bit each.
    watched: AtomicU64,
    handler: OnceLock<Handler>,
}

impl Events {
    pub(super) fn new() -> Self {
        Self {
            queue: ArrayQueue::new(ROOM),
            missed: AtomicU64::new(0),
            watched: AtomicU64::new(EventKind::KeyNearLimit.bit()),
            handler: OnceLock::new(),
        }
    }

    pub(super) fn is_watched(&self, kind: EventKind) -> bool {
        // Relaxed: a setting of its own.
        self.watched.load(Ordering::Relaxed) & kind.bit() != 0
    }

    /// Something waits for the handler.
    pub(super) fn is_due(&self) -> bool {
        self.handler.get().is_some() && !self.queue.is_empty()
    }

    /// Takes in an event, and wakes whom it may concern.
    pub(super) fn raise(&self, event: Event, wake: impl FnOnce()) {
        if !self.is_watched(event.kind()) {
            return;
        }
        let _whole = Whole::begin();
        if self.queue.push(event).is_err() {
            // Relaxed: a counter.
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
        if self.handler.get().is_some() {
            wake();
        }
    }

    fn next(&self) -> Option<Event> {
        let _whole = Whole::begin();
        self.queue.pop()
    }

    /// Hands what waits to the handler. An event on which it panics is spent; the panic has been reported by its hook.
    pub(super) fn deliver(&self) {
        let Some(handler) = self.handler.get() else { return };
        // No more than were there when it began: a handler may raise events itself.
        for _ in 0..self.queue.len() {
            let Some(event) = self.next() else { return };
            let _ = catch_unwind(AssertUnwindSafe(|| handler(event)));
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("waiting", &self.queue.len()).finish_non_exhaustive()
    }
}

impl Domain {
    /// Has `handler` called with every event from here on, instead of leaving them to [`Self::next_event`]: by the reclaimer's thread, or in a domain
    /// without one in [`Self::reclaim`]. A domain has one handler, the first.
    ///
    /// It may call anything, and hold up nothing but the wiping of keys. What it owns lives as long as the domain: a handle of the domain or of a
    /// context in there would keep the domain for ever.
    #[must_use]
    pub fn on_event(self, handler: impl Fn(Event) + Send + Sync + 'static) -> Self {
        let _whole = Whole::begin();
        let _ = self.events().handler.set(Box::new(handler));
        self
    }

    /// Has events of these kinds raised, too. [`EventKind::KeyNearLimit`] is raised unless asked, where a session has a soft limit, and no other.
    pub fn watch_events(&self, kinds: &[EventKind]) {
        let bits = kinds.iter().fold(0, |bits, kind| bits | kind.bit());
        // Relaxed: as in `is_watched`.
        self.events().watched.fetch_or(bits, Ordering::Relaxed);
    }

    /// The oldest event that nobody has taken yet. Up to 256 wait.
    #[must_use]
    pub fn next_event(&self) -> Option<Event> {
        self.events().next()
    }

    /// How many events were lost, since nobody had taken those before them.
    #[must_use]
    pub fn events_missed(&self) -> u64 {
        // Relaxed: a counter.
        self.events().missed.load(Ordering::Relaxed)
    }

    /// Tells the owner of an event.
    pub(crate) fn raise(&self, event: Event) {
        self.events().raise(event, || self.wake());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ContextId, KeyId};
    use crate::wire::Protocol;
    use core::time::Duration;
    use std::sync::{Mutex, mpsc};

    fn event(n: u64) -> Event {
        let (context, key) = (ContextId::next(), KeyId(n));
        Event::KeyNearLimit { context, key, protocol: Protocol::Rtp, packets_left: n }
    }

    fn number(event: &Event) -> u64 {
        let Event::KeyNearLimit { packets_left, .. } = event else { panic!("{event:?}") };
        *packets_left
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn events_wait_in_order_and_what_does_not_fit_is_counted() {
        let domain = Domain::without_reclaimer();
        let count = ROOM as u64 + 5;
        (0..count).for_each(|n| domain.raise(event(n)));
        let taken: Vec<_> = std::iter::from_fn(|| domain.next_event()).map(|event| number(&event)).collect();
        assert_eq!((taken, domain.events_missed()), ((0..ROOM as u64).collect(), 5));
        domain.raise(event(7));
        assert_eq!(domain.next_event().map(|event| number(&event)), Some(7));
        assert_eq!(domain.next_event(), None);
    }

    #[test]
    fn a_handler_is_called_by_the_reclaimer_and_may_call_anything() {
        let (sender, receiver) = mpsc::channel();
        let sender = Mutex::new(sender);
        let domain = Domain::new().on_event(move |event| {
            let told = (std::thread::current().name().map(str::to_owned), number(&event));
            sender.lock().unwrap().send(told).unwrap();
            assert!(number(&event) != 3, "a handler that panics, on purpose");
        });
        for n in 0..200 {
            {
                let _guard = domain.pin();
                domain.raise(event(n));
            }
            if n % 20 == 0 {
                // Let it park.
                std::thread::sleep(Duration::from_millis(2));
            }
            assert_eq!(receiver.recv_timeout(LONG), Ok((Some("keyflip-reclaim".to_owned()), n)));
        }
        assert_eq!((domain.next_event(), domain.events_missed()), (None, 0));
    }

    #[test]
    fn in_a_domain_without_reclaimer_the_handler_is_called_where_it_is_driven() {
        let (sender, receiver) = mpsc::channel();
        let sender = Mutex::new(sender);
        let tell = move |event: Event| sender.lock().unwrap().send(number(&event)).unwrap();
        let domain = Domain::without_reclaimer().on_event(tell).on_event(|_| panic!("the second handler"));
        domain.raise(event(1));
        domain.raise(event(2));
        assert!(receiver.try_recv().is_err(), "nobody drives it");
        {
            let _guard = domain.pin();
            domain.reclaim();
            assert!(receiver.try_recv().is_err(), "not under a guard");
        }
        domain.reclaim();
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_handler_goes_with_its_domain() {
        let owned = std::sync::Arc::new(());
        let theirs = std::sync::Arc::clone(&owned);
        let domain = Domain::new().on_event(move |_| drop(std::sync::Arc::clone(&theirs)));
        domain.raise(event(1));
        drop(domain);
        let begun = std::time::Instant::now();
        while std::sync::Arc::strong_count(&owned) > 1 {
            assert!(begun.elapsed() < LONG);
            std::thread::yield_now();
        }
    }

    #[cfg(unix)]
    #[test]
    fn no_fork_finds_the_queue_half_changed() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let (domain, stop) = (Domain::without_reclaimer(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        domain.raise(event(1));
                        let _ = domain.next_event();
                    }
                });
            }
            let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| {
                for _ in 0..200 {
                    crate::kernels::fork::tests::in_child(|| {
                        domain.raise(event(7));
                        // What was put before a place that somebody had taken, and not filled, would never be seen.
                        while domain.next_event().is_some_and(|event| number(&event) != 7) {}
                    });
                }
            }));
            stop.store(true, Ordering::Relaxed);
            outcome.unwrap();
        });
    }

    #[cfg(unix)]
    #[test]
    fn events_are_delivered_in_a_child() {
        let seen = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        let told = std::sync::Arc::clone(&seen);
        let tell = move |event: Event| _ = told.fetch_max(number(&event), std::sync::atomic::Ordering::SeqCst);
        let domain = Domain::new().on_event(tell);
        crate::kernels::fork::tests::in_child(|| {
            domain.raise(event(7));
            let begun = std::time::Instant::now();
            while seen.load(std::sync::atomic::Ordering::SeqCst) != 7 {
                assert!(begun.elapsed() < LONG);
                std::thread::yield_now();
            }
        });
    }
}
