//! Domains and guards: what outlives what, and who is named.

use super::*;
use crate::epoch::Bulk;
use crate::epoch::members::memberships;
use crate::primitive::atomic::AtomicBool;
use core::cell::RefCell;

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
    let domain = Domain::without_reclaimer();
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
    let domain = Domain::without_reclaimer();
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
    let domain = Domain::without_reclaimer();
    let (value, gone) = flag();
    // Forgotten, it holds up what waits, but not longer than the domain lives.
    std::mem::forget(domain.pin());
    domain.pin().retire(value);
    assert_eq!(domain.reclaim(), 1);
    let other = domain.clone();
    drop(domain);
    assert!(!gone.load(Ordering::Acquire));
    drop(other);
    assert!(gone.load(Ordering::Acquire));
}

#[test]
fn a_thread_that_exits_leaves_nothing_behind() {
    let domain = Domain::without_reclaimer();
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
        let kept = memberships();
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
    let domain = Domain::without_reclaimer();
    let (sender, receiver) = mpsc::channel();
    let theirs = domain.clone();
    std::thread::spawn(move || {
        // Destroyed after `the memberships`: thread-local values go in the order of their registration on this platform or the reverse, so
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

#[test]
fn p09_the_reclaimer_needs_nobodys_help() {
    let domain = Domain::new();
    for round in 0..20 {
        let (value, gone) = flag();
        domain.pin().retire(value);
        let start = Instant::now();
        while !gone.load(Ordering::Acquire) {
            assert!(start.elapsed() < Duration::from_secs(20), "round {round}");
            std::thread::sleep(Duration::from_micros(100));
        }
    }
    assert_eq!(domain.stats().latency.count(), 20);
}

#[test]
fn p09_synchronize_waits_for_what_was_retired_before() {
    let domain = Domain::new();
    let (value, gone) = flag();
    let guard = domain.pin();
    guard.retire(value);
    assert_eq!(domain.synchronize(Duration::ZERO), Err(SynchronizeError::CallerPinned));
    drop(guard);
    domain.synchronize(Duration::from_secs(20)).unwrap();
    assert!(gone.load(Ordering::Acquire));
}

#[test]
fn p09_synchronize_names_who_stalls() {
    let domain = Domain::new();
    let (pinned, release) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("sleepy reader".to_owned())
            .spawn_scoped(scope, || {
                let _guard = domain.pin();
                pinned.wait();
                release.wait();
            })
            .unwrap();
        pinned.wait();
        let (value, gone) = flag();
        domain.pin().retire(value);
        let Err(SynchronizeError::Stalled { waiting, readers }) = domain.synchronize(Duration::from_millis(30)) else {
            panic!("nobody was named");
        };
        assert_eq!(waiting, 1);
        assert!(readers.iter().any(|reader| reader.thread == "sleepy reader"), "{readers:?}");
        assert!(!gone.load(Ordering::Acquire));
        release.wait();
        domain.synchronize(Duration::from_secs(20)).unwrap();
        assert!(gone.load(Ordering::Acquire));
    });
    assert_eq!(domain.pinned_readers(), []);
}

#[test]
fn p09_synchronize_ends_under_constant_retirement() {
    let domain = Domain::new();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                domain.pin().retire(Box::new(0u64));
            }
        });
        for _ in 0..10 {
            let (value, gone) = flag();
            domain.pin().retire(value);
            domain.synchronize(Duration::from_secs(20)).unwrap();
            assert!(gone.load(Ordering::Acquire));
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_forgotten_guard_of_a_thread_that_exited_is_named() {
    let domain = Domain::new();
    std::thread::scope(|scope| {
        let forget = || std::mem::forget(domain.pin());
        std::thread::Builder::new().name("careless".to_owned()).spawn_scoped(scope, forget).unwrap();
    });
    domain.pin().retire(Box::new(0u64));
    let stalled = domain.synchronize(Duration::from_millis(20)).unwrap_err().to_string();
    assert!(stalled.contains("careless (exited, guard forgotten)"), "{stalled}");
}

#[test]
fn a_domain_dropped_under_its_reclaimer_leaves_nothing() {
    for _ in 0..200 {
        let domain = Domain::new();
        let (value, gone) = flag();
        domain.pin().retire(value);
        drop(domain);
        // The reclaimer may hold the value at the moment; it is about to drop it.
        let start = Instant::now();
        while !gone.load(Ordering::Acquire) {
            assert!(start.elapsed() < Duration::from_secs(20));
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_strangers_pin_holds_nothing_up() {
    // Of the collector that every user of crossbeam-epoch in the process has in common.
    let _stranger = crossbeam_epoch::pin();
    let domain = Domain::without_reclaimer();
    let (value, gone) = flag();
    domain.pin().retire(value);
    assert!(gone.load(Ordering::Acquire));
    let (value, gone) = flag();
    {
        let other = Domain::without_reclaimer();
        let _reader = other.pin();
        domain.pin().retire(value);
    }
    assert!(gone.load(Ordering::Acquire));
}

#[test]
fn a_forgotten_guard_of_a_living_thread_is_named() {
    let domain = Domain::new();
    let (forgotten, done) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        let forgetful = || {
            std::mem::forget(domain.pin());
            forgotten.wait();
            // Later guards come and go, and the first stays.
            drop(domain.pin());
            done.wait();
        };
        std::thread::Builder::new().name("forgetful".to_owned()).spawn_scoped(scope, forgetful).unwrap();
        forgotten.wait();
        domain.pin().retire(Box::new(0u64));
        let stalled = domain.synchronize(Duration::from_millis(20)).unwrap_err().to_string();
        done.wait();
        assert!(stalled.contains("forgetful (for"), "{stalled}");
    });
}

#[test]
fn p01_a_pin_destroys_nothing() {
    let domain = Domain::without_reclaimer();
    let (value, gone) = flag();
    // Retired while nobody is pinned that could be asked: it may go at once, and waits for somebody to look.
    domain.0.engine().retire(Box::new(value), Bulk::Small, &domain.0.bare_pin());
    // Ten times as many as it takes a thread to collect.
    for _ in 0..1280 {
        let guard = domain.pin();
        assert!(!gone.load(Ordering::Acquire), "by a pin");
        drop(guard);
        assert!(!gone.load(Ordering::Acquire), "by a reader that was not asked");
    }
    assert_eq!(domain.reclaim(), 0);
    assert!(gone.load(Ordering::Acquire));
}
