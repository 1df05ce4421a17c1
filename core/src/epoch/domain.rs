//! Domains, the guards of their readers, and how a thread becomes one.
//!
//! A thread registers itself with a domain when it first pins it, in thread-local storage keyed by the domain's id. Ids are
//! never reused, so an entry of a domain long gone can never be taken for that of a new one; such entries are pruned when the
//! thread registers with another domain.

use super::tally::{DomainStats, Tally};
use crate::primitive::atomic::{AtomicU64, AtomicUsize, Ordering};
use core::cell::RefCell;
use core::fmt;
use crossbeam_epoch::{Collector, LocalHandle};
use std::sync::{Arc, Weak};

/// A reclamation domain: contexts built in it share one collector, and so one guard serves them all.
///
/// One per process is the rule. It has a collector of its own, so no other user of `crossbeam-epoch` in the process can
/// hold up the destruction of keys. A `Domain` is a handle: clones name the same domain.
///
/// When the last handle and the last context are gone, what is still retired is destroyed.
#[derive(Clone)]
pub struct Domain(Arc<Inner>);

/// Names a domain. Structures keep it instead of a handle, so that what waits in a domain's queue does not keep the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DomainId(u64);

pub(super) struct Inner {
    id: DomainId,
    collector: Collector,
    tally: Arc<Tally>,
    /// Deals out [`Guard::lane`]s.
    registered: AtomicUsize,
}

/// Keeps what its thread reads from the contexts of one [`Domain`] alive.
///
/// Take one per batch of packets, drop it before waiting for more: keys replaced meanwhile cannot be wiped while it lives.
/// It does not cross threads. Guards of one thread may nest; only the last to go unpins.
#[must_use = "a guard that is dropped at once protects nothing"]
pub struct Guard<'d> {
    pin: crossbeam_epoch::Guard,
    domain: &'d Inner,
    lane: usize,
}

/// A thread's membership in a domain.
struct Participant {
    id: DomainId,
    lane: usize,
    handle: LocalHandle,
    domain: Weak<Inner>,
}

thread_local! {
    static PARTICIPANTS: RefCell<Vec<Participant>> = const { RefCell::new(Vec::new()) };
}

impl Domain {
    /// Makes a domain.
    #[must_use]
    pub fn new() -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        Self(Arc::new(Inner {
            // Relaxed: only uniqueness matters.
            id: DomainId(NEXT_ID.fetch_add(1, Ordering::Relaxed)),
            collector: Collector::new(),
            tally: Arc::new(Tally::default()),
            registered: AtomicUsize::new(0),
        }))
    }

    /// Pins the calling thread, registering it on first use.
    ///
    /// # Performance
    ///
    /// A thread-local look-up, one store and one fence: 2 to 5 ns. Every 128th call of a thread also tries to destroy what
    /// others retired, which takes longer by as much as that is.
    pub fn pin(&self) -> Guard<'_> {
        let inner = &*self.0;
        let (pin, lane) =
            PARTICIPANTS.try_with(|list| inner.pin_in(list, &self.0)).unwrap_or_else(|_| inner.pin_once());
        Guard { pin, domain: inner, lane }
    }

    /// Drives reclamation from the calling thread as far as the readers let it, and says how many retired values are left.
    ///
    /// For programs that have a loop of their own. It ends when nothing is left, or when several passes in a row freed
    /// nothing since some reader is still pinned. A thread that calls it under a guard of its own holds itself up.
    pub fn reclaim(&self) -> u64 {
        let pass = || drop(self.pin().flushed());
        self.0.tally.drain(pass)
    }

    /// What this domain has retired and destroyed so far.
    #[must_use]
    pub fn stats(&self) -> DomainStats {
        self.0.tally.snapshot()
    }

    pub(crate) fn tally(&self) -> &Arc<Tally> {
        &self.0.tally
    }

    pub(super) fn id(&self) -> DomainId {
        self.0.id
    }
}

impl Inner {
    /// Pins by the membership in `list`, which is made if missing.
    fn pin_in(&self, list: &RefCell<Vec<Participant>>, this: &Arc<Self>) -> (crossbeam_epoch::Guard, usize) {
        if let Ok(list) = list.try_borrow()
            && let Some(member) = list.iter().find(|member| member.id == self.id)
        {
            return (member.handle.pin(), member.lane);
        }
        self.register_in(list, this)
    }

    #[cold]
    fn register_in(&self, list: &RefCell<Vec<Participant>>, this: &Arc<Self>) -> (crossbeam_epoch::Guard, usize) {
        // Fails only inside a pin of this thread that runs deferred code, which takes no guard (invariant 5).
        let Ok(mut list) = list.try_borrow_mut() else { return self.pin_once() };
        list.retain(|member| member.domain.strong_count() > 0);
        // Relaxed: lanes only spread counters.
        let lane = self.registered.fetch_add(1, Ordering::Relaxed);
        let handle = self.collector.register();
        let pin = handle.pin();
        list.push(Participant { id: self.id, lane, handle, domain: Arc::downgrade(this) });
        (pin, lane)
    }

    /// Pins without a lasting membership, for a thread whose thread-local storage is gone already. The pin keeps the
    /// collector's record of it alive, and takes it along.
    #[cold]
    fn pin_once(&self) -> (crossbeam_epoch::Guard, usize) {
        (self.collector.register().pin(), 0)
    }
}

impl Tally {
    /// Repeats `pass` until nothing waits or several passes in a row freed nothing.
    fn drain(&self, mut pass: impl FnMut()) -> u64 {
        /// A value is destroyed two epochs after it was retired; one pass advances the epoch by one at most, and one more may
        /// be lost to a thread that registers or leaves just then.
        const PATIENCE: u32 = 4;
        let mut waiting = self.items_waiting();
        let mut idle = 0;
        while waiting > 0 && idle < PATIENCE {
            pass();
            let left = self.items_waiting();
            idle = if left < waiting { 0 } else { idle + 1 };
            waiting = left;
        }
        waiting
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // No guard of this domain is left but forgotten ones, which borrow its handles: what waits can go now. Only a handle of
        // this call's own will do, since the thread-local ones may be gone already.
        let handle = self.collector.register();
        self.tally.drain(|| handle.pin().flush());
    }
}

impl Default for Domain {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Domain").field("id", &self.0.id.0).field("stats", &self.stats()).finish()
    }
}

impl Guard<'_> {
    /// Lets go of what was loaded so far and pins afresh: for long batches, between packets.
    ///
    /// Has no effect while this thread holds a second guard of the domain.
    pub fn repin(&mut self) {
        self.pin.repin();
    }

    /// The pin, if it is one of the domain `id` (invariant 1 of the module).
    #[inline]
    pub(super) fn of(&self, id: DomainId) -> Option<&crossbeam_epoch::Guard> {
        (self.domain.id == id).then_some(&self.pin)
    }

    /// A small number that differs between the threads of a domain: which of several counters to use.
    pub(crate) const fn lane(&self) -> usize {
        self.lane
    }

    fn flushed(self) -> Self {
        self.pin.flush();
        self
    }

    /// Drops `value` once every guard that is pinned now is gone.
    ///
    /// Its domain is this guard's. The caller made it unreachable under this guard (invariant 3).
    pub(super) fn retire<T: Send + 'static>(&self, value: T) {
        let tally = Arc::clone(&self.domain.tally);
        tally.item_retired();
        if cfg!(keyflip_free_at_once) {
            // Broken on purpose, in builds that show that a sanitizer would see it.
            drop(value);
            tally.item_destroyed();
            return;
        }
        let deferred = move || {
            drop(value);
            tally.item_destroyed();
        };
        // SAFETY: the closure may run on any thread, and only after this call's thread unpinned, perhaps never. It owns all it touches
        // (`'static`), `T` is `Send`, and so is the tally. It borrows nothing.
        unsafe { self.pin.defer_unchecked(deferred) };
        self.pin.flush();
    }
}

impl fmt::Debug for Guard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("domain", &self.domain.id.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitive::atomic::AtomicBool;

    struct Flag(Arc<AtomicBool>);

    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }

    fn flag() -> (Flag, Arc<AtomicBool>) {
        let set = Arc::new(AtomicBool::new(false));
        (Flag(Arc::clone(&set)), set)
    }

    #[test]
    fn a_retired_value_outlives_every_guard_that_was_pinned_then() {
        let domain = Domain::new();
        let (value, gone) = flag();
        let reader = domain.pin();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                domain.pin().retire(value);
                assert_eq!(domain.reclaim(), 1, "a pinned reader holds it");
            });
        });
        assert!(!gone.load(Ordering::Acquire));
        drop(reader);
        assert_eq!(domain.reclaim(), 0);
        assert!(gone.load(Ordering::Acquire));
    }

    #[test]
    fn nested_guards_count_as_one_until_the_last_goes() {
        let domain = Domain::new();
        let (value, gone) = flag();
        let outer = domain.pin();
        let inner = domain.pin();
        inner.retire(value);
        drop(outer);
        assert_eq!(domain.reclaim(), 1);
        drop(inner);
        assert_eq!(domain.reclaim(), 0);
        assert!(gone.load(Ordering::Acquire));
    }

    #[test]
    fn the_last_owner_of_a_domain_destroys_what_waits() {
        let domain = Domain::new();
        let (value, gone) = flag();
        // This thread stays registered, idle, while the domain goes.
        domain.pin().retire(value);
        let other = domain.clone();
        drop(domain);
        assert!(!gone.load(Ordering::Acquire));
        drop(other);
        assert!(gone.load(Ordering::Acquire));
    }

    #[test]
    fn a_thread_that_exits_leaves_nothing_behind() {
        let domain = Domain::new();
        let (value, gone) = flag();
        std::thread::scope(|scope| {
            scope.spawn(|| domain.pin().retire(value));
        });
        assert_eq!(domain.reclaim(), 0);
        assert!(gone.load(Ordering::Acquire));
    }

    #[test]
    fn memberships_of_dead_domains_are_pruned() {
        std::thread::spawn(|| {
            for _ in 0..100 {
                drop(Domain::new().pin());
            }
            let kept = PARTICIPANTS.with(|list| list.borrow().len());
            assert_eq!(kept, 1);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_domain_serves_a_thread_whose_local_storage_is_gone() {
        use std::sync::mpsc;
        struct AtExit(Domain, mpsc::Sender<u64>);
        impl Drop for AtExit {
            fn drop(&mut self) {
                let guard = self.0.pin();
                guard.retire(Box::new(1u8));
                drop(guard);
                self.1.send(self.0.reclaim()).unwrap();
            }
        }
        thread_local! {
            static LATE: RefCell<Option<AtExit>> = const { RefCell::new(None) };
        }
        let domain = Domain::new();
        let (sender, receiver) = mpsc::channel();
        let theirs = domain.clone();
        std::thread::spawn(move || {
            // Destroyed after `PARTICIPANTS`: thread-local values go in the order of their registration on this platform or the reverse, so
            // this one registers first and again holds either way.
            LATE.with(|late| *late.borrow_mut() = Some(AtExit(theirs.clone(), sender)));
            drop(theirs.pin());
        })
        .join()
        .unwrap();
        assert_eq!(receiver.recv().unwrap(), 0);
    }

    #[test]
    fn a_guard_is_admitted_by_its_own_domain_alone() {
        let (one, two) = (Domain::new(), Domain::new());
        let guard = one.pin();
        assert!(guard.of(one.id()).is_some());
        assert!(guard.of(one.clone().id()).is_some());
        assert!(guard.of(two.id()).is_none());
    }
}
