//! Forks: what the child finds, and may go on with.

use super::*;
use crate::epoch::{Bulk, Domain, Published, SynchronizeError, Task};
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Barrier, RwLock};
use std::time::Instant;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(50);

/// Held to fork, and by tests that forks would disturb: readers do not wait for one to lend a hand.
pub(crate) static FORKS_HERE: RwLock<()> = RwLock::new(());

#[test]
fn what_is_whole_nests() {
    let first = Whole::begin();
    let second = Whole::begin();
    assert_eq!(DEPTH.get(), 2);
    drop(first);
    assert_eq!(DEPTH.get(), 1);
    drop(second);
    assert_eq!(DEPTH.get(), 0);
}

#[test]
fn threads_have_numbers_of_their_own() {
    let ours = this_thread();
    assert_eq!(ours, this_thread());
    assert_ne!(ours, std::thread::spawn(this_thread).join().unwrap());
}

#[cfg(unix)]
pub(crate) use real::in_child;

#[cfg(unix)]
mod real {
    use super::*;

    /// Runs `work` in a child process, which ends with it, and must end well.
    pub(crate) fn in_child(work: impl FnOnce()) {
        let forking = FORKS_HERE.write().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the child runs on, on this thread's stack, until it exits; it needs no lock but those of this crate and of the allocator, which
        // both see to it that they are free in a child.
        let child = unsafe { libc::fork() };
        drop(forking);
        assert!(child >= 0, "no process to be had");
        if child == 0 {
            let outcome = catch_unwind(AssertUnwindSafe(work));
            // SAFETY: it ends the process, and nothing else.
            unsafe { libc::_exit(i32::from(outcome.is_err())) };
        }
        let (start, mut status) = (Instant::now(), 0);
        // SAFETY: `status` is there to be written.
        while unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } == 0 {
            if start.elapsed() > 2 * LONG {
                // SAFETY: it is this call's child, and not waited for yet: the number is no other's.
                unsafe { libc::kill(child, libc::SIGKILL) };
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(status, 0, "the child panicked, or hung");
    }

    #[test]
    fn a_child_that_panics_is_seen() {
        assert!(catch_unwind(|| in_child(|| panic!("on purpose"))).is_err());
    }

    /// Calls `work` while another thread is pinned in `domain`.
    fn beside_a_reader(domain: &Domain, work: impl FnOnce()) {
        let (pinned, done) = (Barrier::new(2), Barrier::new(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _guard = domain.pin();
                pinned.wait();
                done.wait();
            });
            pinned.wait();
            let outcome = catch_unwind(AssertUnwindSafe(work));
            done.wait();
            outcome.unwrap();
        });
    }

    /// Counts how many of it are gone.
    struct Counted(Arc<AtomicUsize>);

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn p09_a_child_destroys_what_it_retires_and_what_it_inherited() {
        for domain in [Domain::new(), Domain::without_reclaimer()] {
            let gone = Arc::new(AtomicUsize::new(0));
            let value = || Counted(Arc::clone(&gone));
            beside_a_reader(&domain, || {
                domain.pin().retire(value());
                assert!(domain.synchronize(Duration::ZERO).is_err(), "the reader sees it still");
                in_child(|| {
                    assert_eq!(domain.pinned_readers(), [], "the reader is not here");
                    domain.synchronize(LONG).unwrap();
                    assert_eq!(gone.load(Ordering::SeqCst), 1, "what waited at the fork");
                    domain.pin().retire(value());
                    assert_eq!(gone.load(Ordering::SeqCst), 2);
                    // This thread was a member before the fork. Its new guards protect from the child's other threads.
                    let guard = domain.pin();
                    std::thread::scope(|scope| {
                        scope.spawn(|| {
                            domain.pin().retire(value());
                            domain.reclaim();
                        });
                    });
                    assert_eq!(gone.load(Ordering::SeqCst), 2);
                    drop(guard);
                    domain.synchronize(LONG).unwrap();
                    assert_eq!(gone.load(Ordering::SeqCst), 3);
                    // And so do those of new threads.
                    beside_a_reader(&domain, || {
                        domain.pin().retire(value());
                        assert!(domain.synchronize(SHORT).is_err());
                        assert_eq!(gone.load(Ordering::SeqCst), 3);
                    });
                    domain.synchronize(LONG).unwrap();
                    assert_eq!((gone.load(Ordering::SeqCst), domain.stats().items_waiting), (4, 0));
                });
                assert_eq!(gone.load(Ordering::SeqCst), 0, "the parent's is another");
            });
            domain.synchronize(LONG).unwrap();
            assert_eq!(gone.load(Ordering::SeqCst), 1);
        }
    }

    #[test]
    fn a_guard_that_is_held_across_the_fork_protects_in_the_child() {
        let domain = Domain::new();
        let published = Published::new(&domain, Arc::new(1));
        let gone = Arc::new(AtomicUsize::new(0));
        let guard = domain.pin();
        let value = Arc::downgrade(published.load(&guard).unwrap());
        in_child(|| {
            let before = published.load(&guard).unwrap();
            // The child's own threads, and this one with a second guard, retire what this one sees.
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    published.replace(Arc::new(2), Bulk::Small, &domain.pin()).unwrap();
                    domain.pin().retire(Counted(Arc::clone(&gone)));
                    let Err(SynchronizeError::Stalled { readers, .. }) = domain.synchronize(SHORT) else {
                        panic!("nobody was named")
                    };
                    assert_eq!(readers.len(), 1, "{readers:?}");
                });
            });
            {
                let second = domain.pin();
                second.retire(Counted(Arc::clone(&gone)));
                assert_eq!(**published.load(&second).unwrap(), 2);
            }
            assert_eq!(domain.synchronize(SHORT), Err(SynchronizeError::CallerPinned));
            assert_eq!((**before, value.strong_count()), (1, 1));
            assert_eq!(gone.load(Ordering::SeqCst), 0);
            drop(guard);
            domain.synchronize(LONG).unwrap();
            assert_eq!((value.strong_count(), gone.load(Ordering::SeqCst)), (0, 2));
        });
    }

    #[test]
    fn pinning_afresh_in_the_child_lets_go_of_what_was_seen_before_the_fork() {
        let domain = Domain::without_reclaimer();
        let published = Published::new(&domain, Arc::new(1));
        let mut guard = domain.pin();
        let value = Arc::downgrade(published.load(&guard).unwrap());
        in_child(|| {
            {
                let second = domain.pin();
                published.replace(Arc::new(2), Bulk::Small, &second).unwrap();
                guard.repin();
                assert_eq!(value.strong_count(), 1, "not under a second guard");
            }
            guard.repin();
            // It is one of the child's guards now, and protects as such.
            let two = published.load(&guard).unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    published.replace(Arc::new(3), Bulk::Small, &domain.pin()).unwrap();
                    domain.reclaim();
                });
            });
            assert_eq!((value.strong_count(), **two), (0, 2));
            assert_eq!(domain.synchronize(LONG), Err(SynchronizeError::CallerPinned));
            drop(guard);
            domain.synchronize(LONG).unwrap();
        });
    }

    #[test]
    fn p09_a_child_of_a_child_destroys_what_it_retires() {
        let domain = Domain::new();
        let gone = Arc::new(AtomicUsize::new(0));
        let retire = || domain.pin().retire(Counted(Arc::clone(&gone)));
        beside_a_reader(&domain, || {
            retire();
            in_child(|| {
                // This one makes an engine of its own, and has a reader at the fork; the other one has not.
                beside_a_reader(&domain, || {
                    retire();
                    in_child(|| {
                        retire();
                        domain.synchronize(LONG).unwrap();
                        assert_eq!(gone.load(Ordering::SeqCst), 3);
                        in_child(|| {
                            retire();
                            domain.synchronize(LONG).unwrap();
                            assert_eq!(gone.load(Ordering::SeqCst), 4);
                        });
                    });
                });
                domain.synchronize(LONG).unwrap();
                assert_eq!(gone.load(Ordering::SeqCst), 2);
            });
            // A child that has nothing to do with the domain, and has one that has.
            in_child(|| {
                in_child(|| {
                    domain.synchronize(LONG).unwrap();
                    assert_eq!(gone.load(Ordering::SeqCst), 1);
                });
            });
        });
    }

    #[test]
    fn p09_a_child_that_drops_the_domain_leaves_nothing() {
        let domain = Domain::new();
        let gone = Arc::new(AtomicUsize::new(0));
        beside_a_reader(&domain, || {
            domain.pin().retire(Counted(Arc::clone(&gone)));
            in_child(|| {
                // SAFETY: the handle is not used any more in this process, which exits without dropping it.
                drop(unsafe { core::ptr::read(&raw const domain) });
                assert_eq!(gone.load(Ordering::SeqCst), 1);
            });
        });
    }

    #[test]
    fn timers_that_were_set_before_the_fork_run_in_parent_and_child() {
        struct Note(AtomicBool);
        impl Task for Note {
            fn run(&self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let domain = Domain::new();
        let note = Arc::new(Note(AtomicBool::new(false)));
        let task: Arc<dyn Task> = Arc::<Note>::clone(&note);
        domain.schedule(Instant::now() + 4 * SHORT, Arc::downgrade(&task));
        let is_run = || {
            let start = Instant::now();
            while !note.0.load(Ordering::SeqCst) {
                assert!(start.elapsed() < LONG);
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        in_child(|| {
            // The child's reclaimer starts when the domain is first used.
            drop(domain.pin());
            is_run();
        });
        is_run();
    }

    #[test]
    fn a_fork_waits_for_what_must_not_be_cut_and_what_comes_waits_for_the_fork() {
        let begun = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _whole = Whole::begin();
                begun.wait();
                std::thread::sleep(SHORT);
            });
            begun.wait();
            let start = Instant::now();
            in_child(|| {
                assert!(start.elapsed() >= SHORT);
                // The other thread's is not here.
                assert_eq!(GATE.load(Ordering::SeqCst), 0);
                drop(Whole::begin());
            });
        });
    }

    #[test]
    fn p09_forks_beside_retirements_lose_nothing() {
        let domain = Domain::new();
        let (made, gone) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let stop = AtomicBool::new(false);
        let published = Published::new(&domain, Counted(Arc::clone(&gone)));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let guard = domain.pin();
                        // Made before it is seen, so that the sums below hold whenever the fork comes.
                        let _whole = Whole::begin();
                        made.fetch_add(1, Ordering::SeqCst);
                        published.replace(Counted(Arc::clone(&gone)), Bulk::Small, &guard).unwrap();
                    }
                });
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let _ = published.load(&domain.pin());
                    }
                });
            }
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                for _ in 0..50 {
                    in_child(|| {
                        domain.synchronize(LONG).unwrap();
                        assert_eq!(domain.stats().items_waiting, 0);
                        assert_eq!(gone.load(Ordering::SeqCst), made.load(Ordering::SeqCst), "all but the one in use");
                    });
                }
            }));
            stop.store(true, Ordering::Relaxed);
            outcome.unwrap();
        });
    }
}
