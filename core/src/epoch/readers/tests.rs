//! What records tell: who may see a value, until when, and who lends a hand.

use super::*;
use crate::epoch::record::Leave;
use crate::epoch::{Bulk, Domain};
use crate::kernels::fork::tests::FORKS_HERE;
use core::time::Duration;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Barrier, PoisonError, mpsc};

const LONG: Duration = Duration::from_millis(50);
const SHORT: Duration = Duration::from_millis(10);

/// Takes its time to be dropped, and says so when it is.
struct Slow(Duration, Arc<AtomicBool>);

impl Drop for Slow {
    fn drop(&mut self) {
        std::thread::sleep(self.0);
        self.1.store(true, Ordering::Release);
    }
}

/// A value that takes `time` to be dropped.
fn slow(time: Duration) -> (Slow, Arc<AtomicBool>) {
    let gone = Arc::new(AtomicBool::new(false));
    (Slow(time, Arc::clone(&gone)), gone)
}

/// Pins on another thread, retires values here, and has the other thread do `then` with its guard.
fn with_a_reader(domain: &Domain, values: Vec<Slow>, then: impl FnOnce(crate::epoch::Guard<'_>) + Send) {
    let _no_fork = FORKS_HERE.read().unwrap_or_else(PoisonError::into_inner);
    let (pinned, retired) = (Barrier::new(2), Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let guard = domain.pin();
            pinned.wait();
            retired.wait();
            then(guard);
        });
        pinned.wait();
        for value in values {
            domain.pin().retire(value);
        }
        retired.wait();
    });
}

#[test]
fn p09_the_last_reader_to_unpin_destroys_what_waited_for_it() {
    let domain = Domain::without_reclaimer();
    let (value, gone) = slow(Duration::ZERO);
    with_a_reader(&domain, vec![value], |guard| {
        assert!(!gone.load(Ordering::Acquire));
        drop(guard);
        assert!(gone.load(Ordering::Acquire));
    });
    assert_eq!(domain.stats().items_waiting, 0);
}

#[test]
fn p09_a_later_pin_holds_nothing_up() {
    let domain = Domain::without_reclaimer();
    let (value, gone) = slow(Duration::ZERO);
    let (later, pinned) = mpsc::channel();
    let done = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            with_a_reader(&domain, vec![value], |guard| {
                // By an epoch's reckoning the pin below would hold the value up.
                later.send(()).unwrap();
                done.wait();
                drop(guard);
                assert!(gone.load(Ordering::Acquire));
                done.wait();
            });
        });
        pinned.recv().unwrap();
        let _guard = domain.pin();
        done.wait();
        done.wait();
    });
}

#[test]
fn pinning_afresh_lets_go_but_not_under_a_second_guard() {
    let domain = Domain::without_reclaimer();
    let (value, gone) = slow(Duration::ZERO);
    with_a_reader(&domain, vec![value], |mut guard| {
        let second = domain.pin();
        guard.repin();
        assert!(!gone.load(Ordering::Acquire), "the second guard sees it still");
        drop(second);
        assert!(!gone.load(Ordering::Acquire));
        guard.repin();
        assert!(gone.load(Ordering::Acquire));
        assert_eq!(domain.pinned_readers().len(), 1, "it is pinned afresh");
    });
}

#[test]
fn the_time_a_reader_holds_its_guard_is_no_latency() {
    let domain = Domain::new();
    let (value, _) = slow(Duration::ZERO);
    with_a_reader(&domain, vec![value], |guard| {
        std::thread::sleep(LONG);
        drop(guard);
    });
    domain.synchronize(Duration::from_secs(20)).unwrap();
    let stats = domain.stats();
    assert_eq!((stats.latency.count(), stats.waited.count()), (1, 1));
    assert!(stats.waited.max() >= LONG, "{stats:?}");
    assert!(stats.latency.max() < LONG / 2, "{stats:?}");
}

#[test]
fn the_time_that_the_destruction_is_late_is_latency() {
    let domain = Domain::without_reclaimer();
    // Whoever destroys is held up, for as long as the first value takes.
    let values = vec![slow(LONG).0, slow(Duration::ZERO).0];
    with_a_reader(&domain, values, |guard| {
        std::thread::sleep(LONG);
        drop(guard);
    });
    let stats = domain.stats();
    assert_eq!(stats.latency.count(), 2);
    assert!(stats.latency.quantile(0.0) >= LONG, "the second value has waited for the first: {stats:?}");
    assert!(stats.latency.max() < 2 * LONG, "but not for the reader: {stats:?}");
    assert!(stats.waited.quantile(0.0) >= 2 * LONG, "{stats:?}");
}

#[test]
fn when_a_pin_was_over_is_told_whatever_is_asked_later_but_not_for_ever() {
    let readers = Readers::new(Instant::now());
    let record = readers.enroll();
    let pin = || {
        record.enter();
        let pins = readers.pins();
        assert_eq!(readers.last_end(&pins), None, "it is not over");
        assert!(pins.iter().all(|pin| !readers.is_over(pin)));
        std::thread::sleep(SHORT / 5);
        assert_eq!(record.leave(), Leave::Asked);
        assert!(pins.iter().all(|pin| readers.is_over(pin)));
        pins
    };
    let (first, second) = (pin(), pin());
    let (early, late) = (readers.last_end(&first).unwrap(), readers.last_end(&second).unwrap());
    assert!(late - early >= u64::try_from((SHORT / 5).as_nanos()).unwrap());
    assert_eq!(readers.last_end(&[first, second].into_iter().flatten().collect::<Vec<_>>()), Some(late));
    let first = pin();
    (0..100).for_each(|_| drop(pin()));
    assert_eq!(readers.last_end(&first), None, "unknown counts as if the pin had held up nothing");
}

#[test]
fn whoever_is_not_asked_answers_nothing() {
    let readers = Readers::new(Instant::now());
    let record = readers.enroll();
    record.enter();
    assert_eq!(record.again(), Leave::Quiet);
    let number = record.number();
    readers.ask();
    assert_eq!(record.again(), Leave::Asked);
    assert_ne!(record.number(), number, "it is another pin");
    assert_eq!(record.again(), Leave::Quiet);
    assert_eq!(record.leave(), Leave::Quiet);
    assert!(readers.pins().is_empty());
}

#[test]
fn records_pass_from_thread_to_thread_and_name_each_pin_once() {
    let readers = Readers::new(Instant::now());
    let mut numbers = Vec::new();
    for _ in 0..3 {
        let record = readers.enroll();
        assert_eq!(record.lane(), 0);
        record.enter();
        numbers.extend(record.number());
        record.leave();
        record.give_up();
    }
    assert_eq!(numbers, [1, 3, 5]);
    // More at once than the first chunk has.
    let lanes: Vec<_> = (0..100).map(|_| readers.enroll().lane()).collect();
    assert!(lanes.iter().copied().eq(0..100));
    assert_eq!(readers.iter().map(Record::lane).take(100).collect::<Vec<_>>(), lanes);
    assert!(lanes.iter().all(|&lane| readers.record(lane).is_some_and(|record| record.lane() == lane)));
}

/// How many of `gone` are set.
fn count(gone: &[Arc<AtomicBool>]) -> usize {
    gone.iter().filter(|gone| gone.load(Ordering::Acquire)).count()
}

#[test]
fn p01_a_reader_destroys_no_more_than_its_share_and_goes_on_when_it_unpins_again() {
    let domain = Domain::without_reclaimer();
    let (values, gone): (Vec<_>, Vec<_>) = (0..70).map(|_| slow(Duration::ZERO)).unzip();
    with_a_reader(&domain, values, |guard| {
        drop(guard);
        assert_eq!(count(&gone), 32);
        drop(domain.pin());
        assert_eq!(count(&gone), 64);
        let mut guard = domain.pin();
        guard.repin();
        assert_eq!(count(&gone), 70);
        drop(guard);
    });
    assert_eq!(domain.stats().items_waiting, 0);
}

#[test]
fn p01_a_reader_leaves_what_is_large_to_others() {
    for domain in [Domain::without_reclaimer(), Domain::new()] {
        let (gone, retired) = (Arc::new(AtomicBool::new(false)), Barrier::new(2));
        let destroyer = Arc::new(std::sync::Mutex::new(None));
        struct Large(Arc<AtomicBool>, Arc<std::sync::Mutex<Option<std::thread::ThreadId>>>);
        impl Drop for Large {
            fn drop(&mut self) {
                *self.1.lock().unwrap() = Some(std::thread::current().id());
                self.0.store(true, Ordering::Release);
            }
        }
        let (small, small_is_gone) = slow(Duration::ZERO);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let guard = domain.pin();
                retired.wait();
                retired.wait();
                drop(guard);
                for _ in 0..100 {
                    drop(domain.pin());
                }
            });
            retired.wait();
            let large = Box::new(Large(Arc::clone(&gone), Arc::clone(&destroyer)));
            domain.pin().retire_replaced(large, Bulk::Large);
            domain.pin().retire(small);
            retired.wait();
            let reader_thread = reader.thread().id();
            reader.join().unwrap();
            domain.synchronize(Duration::from_secs(20)).unwrap();
            assert!(gone.load(Ordering::Acquire) && small_is_gone.load(Ordering::Acquire));
            assert_ne!(*destroyer.lock().unwrap(), Some(reader_thread));
        });
    }
}

#[test]
fn p11_a_value_that_panics_as_it_goes_takes_nothing_with_it() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("a value that panics, on purpose");
        }
    }
    let domain = Domain::without_reclaimer();
    let (value, gone) = slow(Duration::ZERO);
    domain.pin().retire(Panics);
    domain.pin().retire(value);
    assert!(gone.load(Ordering::Acquire));
    assert_eq!((domain.stats().items_waiting, domain.stats().latency.count()), (0, 2));
}

#[test]
fn values_that_retire_others_as_they_go_do_not_nest() {
    struct Chain(Domain, usize, Arc<std::sync::atomic::AtomicUsize>);
    impl Drop for Chain {
        fn drop(&mut self) {
            // In a frame that is no small one: a few hundred of them would be too many.
            let frame = std::hint::black_box([0u8; 4096]);
            self.2.fetch_add(usize::from(frame[0] == 0), Ordering::Relaxed);
            if let Some(left) = self.1.checked_sub(1) {
                self.0.pin().retire(Chain(self.0.clone(), left, Arc::clone(&self.2)));
            }
        }
    }
    let domain = Domain::without_reclaimer();
    let gone = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    domain.pin().retire(Chain(domain.clone(), 9_999, Arc::clone(&gone)));
    assert_eq!(domain.reclaim(), 0);
    assert_eq!(gone.load(Ordering::Relaxed), 10_000);
}
