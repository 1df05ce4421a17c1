//! Sessions across a `fork`: both processes go on with them, and wipe what they retire, though threads of the parent read, rekey and build sessions
//! when it forks.

#![cfg(unix)]

use keyflip::{Domain, Grace, MasterKey, Profile, Session};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(20);

fn key(number: u64) -> MasterKey {
    let mut octets = [7; 30];
    octets[..8].copy_from_slice(&number.to_be_bytes());
    MasterKey::take(&mut octets)
}

fn session(domain: &Domain) -> Session {
    let builder = Session::builder(Profile::Aes128CmSha1_80).inbound(key(0)).outbound(key(0));
    builder.grace(Grace::NONE).build(domain).unwrap()
}

/// Sends a packet through a session, to itself.
fn works(session: &Session, seq: u16) {
    let mut packet = [0; 64];
    packet[..16].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 160, 0xca, 0xfe, 0xba, 0xbe, 1, 2, 3, 4]);
    packet[2..4].copy_from_slice(&seq.to_be_bytes());
    let guard = session.outbound().domain().pin();
    let len = session.outbound().protect_rtp(&guard, &mut packet, 16).unwrap();
    let plain = session.inbound().unprotect_rtp(&guard, &mut packet[..len]).unwrap();
    assert_eq!(plain[12..], [1, 2, 3, 4]);
}

fn rekey(session: &Session, number: u64) {
    session.inbound().rekey(key(number)).unwrap();
    session.outbound().rekey(key(number)).unwrap();
}

/// Runs `work` in a child process, which ends with it, and must end well.
fn in_child(work: impl FnOnce()) {
    // SAFETY: the child runs on, on this thread's stack, until it exits; it needs no lock but those of the library and of the allocator, which
    // both see to it that they are free in a child.
    let child = unsafe { libc::fork() };
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

/// Calls `work` while another thread is pinned.
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

/// All keys but those that are in use are wiped, and counted.
fn settles(domain: &Domain, live: u64) {
    domain.synchronize(LONG).unwrap();
    let stats = domain.stats();
    assert_eq!((stats.keys_wiped, stats.items_waiting), (stats.keys_retired, 0), "{stats:?}");
    assert_eq!(stats.keys_created, stats.keys_wiped + live, "{stats:?}");
}

/// Reclaimers of this process, where that can be told.
fn reclaimers() -> Option<usize> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).ok();
    Some(tasks.filter_map(|task| name(task.ok()?)).filter(|name| name.trim() == "keyflip-reclaim").count())
}

#[test]
fn p09_a_child_goes_on_with_its_parents_sessions_and_wipes_what_it_retires() {
    let domain = Domain::new();
    let session = session(&domain);
    works(&session, 1);
    beside_a_reader(&domain, || {
        // These wait for the reader, and the reclaimer is at work on them.
        rekey(&session, 1);
        assert_eq!(domain.stats().keys_wiped, 0);
        in_child(|| {
            assert!(reclaimers().is_none_or(|reclaimers| reclaimers == 0), "threads are not inherited");
            works(&session, 2);
            rekey(&session, 2);
            works(&session, 3);
            settles(&domain, 2);
            // Under a reader of the child's own the child's own reclaimer starts.
            beside_a_reader(&domain, || {
                rekey(&session, 3);
                assert!(domain.synchronize(Duration::ZERO).is_err());
                assert!(reclaimers().is_none_or(|reclaimers| reclaimers == 1));
            });
            settles(&domain, 2);
            in_child(|| {
                rekey(&session, 4);
                works(&session, 5);
                settles(&domain, 2);
                // A session of the child's own, in a domain of its own.
                let own = Domain::new();
                works(&self::session(&own), 1);
                settles(&own, 0);
            });
            rekey(&session, 5);
            drop(session.clone());
            settles(&domain, 2);
        });
        // The child's rekeys are no business of the parent's.
        assert_eq!((domain.stats().keys_wiped, domain.stats().keys_created), (0, 4));
    });
    works(&session, 9);
    rekey(&session, 6);
    settles(&domain, 2);
}

#[test]
fn forks_beside_rekeys_find_no_lock_held_and_no_key_lost() {
    const SESSIONS: u64 = 2;
    let domain = Domain::new();
    let sessions: Vec<_> = (0..SESSIONS).map(|_| session(&domain)).collect();
    let (stop, number) = (AtomicBool::new(false), AtomicU64::new(1));
    std::thread::scope(|scope| {
        for session in &sessions {
            // Rekeys hold the control mutexes most of the time.
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    rekey(session, number.fetch_add(1, Ordering::Relaxed));
                }
            });
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    assert!(session.inbound().streams().is_empty());
                }
            });
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            for _ in 0..30 {
                in_child(|| {
                    for session in &sessions {
                        let number = number.fetch_add(1, Ordering::Relaxed);
                        // A rekey of one direction may have been the last thing that the parent's thread did.
                        rekey(session, number);
                        works(session, u16::try_from(number % 30_000).unwrap());
                    }
                    domain.synchronize(LONG).unwrap();
                    let stats = domain.stats();
                    assert_eq!((stats.keys_wiped, stats.items_waiting), (stats.keys_retired, 0), "{stats:?}");
                    assert_eq!(stats.keys_created, stats.keys_wiped + 2 * SESSIONS, "{stats:?}");
                });
            }
        }));
        stop.store(true, Ordering::Relaxed);
        outcome.unwrap();
    });
    settles(&domain, 2 * SESSIONS);
}

#[test]
fn forks_beside_threads_that_take_master_keys_find_the_key_memory_free() {
    let domain = Domain::new();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    drop([key(1), key(2)]);
                }
            });
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            for number in 0..100 {
                in_child(|| {
                    let session = session(&domain);
                    works(&session, number);
                    let memory = keyflip::KeyMemory::now();
                    assert!(
                        !cfg!(target_os = "linux") || memory.undumped == memory.total,
                        "in pages, not on the heap: {memory:?}"
                    );
                });
            }
        }));
        stop.store(true, Ordering::Relaxed);
        outcome.unwrap();
    });
}
