//! Models of the lock-free parts: loom runs each in every order its threads may take, and with every value that a load may return, up to a
//! bound of preemptions.
//!
//! ```text
//! RUSTFLAGS="--cfg crossbeam_loom" cargo test --release -p keyflip --test loom
//! ```
//!
//! `LOOM_MAX_PREEMPTIONS` overrides the bounds. A model that must fail stands beside each that must not, where there is a way to break it.
//!
//! Under this cfg a domain has no reclaimer, a thread registers at each pin (and so drives the epoch with each), no time passes, and tables start
//! with two slots. `crossbeam-epoch` is modelled along with what stands on it. Loom's `SeqCst` accesses are weaker than the language's (its
//! `SeqCst` fences are not), so a model may fail where the code would not, but does not pass where the code would fail.

#![cfg(crossbeam_loom)]

use keyflip::model::{Direction, Flaw, FreeSlots, Published, ReplayList, Stream, Table, domain_with};
use keyflip::{Domain, Error};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use loom::sync::atomic::{AtomicBool, AtomicPtr};
use loom::thread::{JoinHandle, spawn};
use std::sync::atomic::{AtomicBool as Noted, AtomicUsize, Ordering};
use std::time::Instant;

/// More preemptions than any model has room for.
const UNBOUNDED: usize = 99;

/// Runs `model` in every order with at most `preemptions` preemptions.
fn explore(name: &str, preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.max_branches = 50_000;
    let runs = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&runs);
    let start = Instant::now();
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    println!("{name}: {} runs in {:.1?}", runs.load(Ordering::Relaxed), start.elapsed());
}

fn join<T>(handles: Vec<JoinHandle<T>>) -> Vec<T> {
    handles.into_iter().map(|handle| handle.join().unwrap()).collect()
}

// ---- Published values.

/// A value whose memory loom watches: a read that does not happen after its making, or before its end, fails the model.
struct Value {
    number: UnsafeCell<u64>,
    dead: Arc<AtomicBool>,
}

// SAFETY: `number` is written by its maker and by `drop` alone; that no read runs beside them is what the models check.
unsafe impl Sync for Value {}

impl Value {
    fn new(number: u64, dead: &Arc<AtomicBool>) -> Self {
        Self { number: UnsafeCell::new(number), dead: Arc::clone(dead) }
    }

    fn read(&self) -> u64 {
        assert!(!self.dead.load(Acquire), "a value is gone while it is read");
        // SAFETY: not written while shared; loom checks it.
        self.number.with(|number| unsafe { *number })
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        // SAFETY: the last owner; loom checks it.
        self.number.with_mut(|number| unsafe { *number = u64::MAX });
        self.dead.store(true, Release);
    }
}

/// Readers load twice under a guard, while the main thread replaces the value `times` times, then drives the epoch.
fn readers_beside_a_rekeyer(readers: usize, times: u64) {
    let domain = Domain::without_reclaimer();
    let dead: Vec<_> = (0..=times).map(|_| Arc::new(AtomicBool::new(false))).collect();
    let published = Arc::new(Published::new(&domain, Value::new(0, &dead[0])));
    let reader = |_| {
        let (domain, published) = (domain.clone(), Arc::clone(&published));
        spawn(move || {
            let guard = domain.pin();
            let first = published.load(&guard).unwrap();
            let second = published.load(&guard).unwrap();
            assert!(first.read() <= second.read(), "the older value came back");
            first.read();
        })
    };
    let handles = (0..readers).map(reader).collect();
    for number in 1..=times {
        let guard = domain.pin();
        published.replace(Value::new(number, &dead[usize::try_from(number).unwrap()]), &guard).unwrap();
        assert_eq!(published.load(&guard).unwrap().read(), number);
    }
    join(handles);
    assert_eq!(domain.reclaim(), 0);
    for (at, dead) in dead.iter().enumerate() {
        assert_eq!(dead.load(Acquire), at as u64 != times, "value {at}");
    }
}

/// 2 threads, 2 preemptions.
#[test]
fn a_reader_never_sees_a_value_that_is_gone() {
    explore("one reader, one rekey", 2, || readers_beside_a_rekeyer(1, 1));
}

/// 2 threads, 1 preemption.
#[test]
fn a_reader_never_sees_a_value_that_is_gone_in_two_rekeys() {
    explore("one reader, two rekeys", 1, || readers_beside_a_rekeyer(1, 2));
}

/// 3 threads, no preemption: a switch where a thread ends only. More with `LOOM_MAX_PREEMPTIONS=1`, which takes a quarter of an hour.
#[test]
fn two_readers_never_see_a_value_that_is_gone() {
    explore("two readers, one rekey", 0, || readers_beside_a_rekeyer(2, 1));
}

/// A reader that pins twice, and then another in its record, if the first has ended by then. 2 and 3 threads, 1 preemption.
fn pins_beside_a_rekey(successor: bool) {
    let domain = Domain::without_reclaimer();
    let dead = [Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false))];
    let published = Arc::new(Published::new(&domain, Value::new(0, &dead[0])));
    let read = {
        let (domain, published) = (domain.clone(), Arc::clone(&published));
        move || published.load(&domain.pin()).unwrap().read()
    };
    let reader = spawn(move || {
        let first = read();
        if successor {
            return spawn(move || assert!(first <= read()));
        }
        assert!(first <= read());
        spawn(|| ())
    });
    published.replace(Value::new(1, &dead[1]), &domain.pin()).unwrap();
    reader.join().unwrap().join().unwrap();
    assert_eq!(domain.reclaim(), 0);
    assert!(dead[0].load(Acquire) && !dead[1].load(Acquire));
}

#[test]
fn a_reader_that_pins_again_never_sees_a_value_that_is_gone() {
    explore("two pins, one rekey", 1, || pins_beside_a_rekey(false));
}

#[test]
fn a_reader_in_the_record_of_another_never_sees_a_value_that_is_gone() {
    explore("two readers of one record, one rekey", 0, || pins_beside_a_rekey(true));
}

/// Says in how many runs a reader held a value that was gone already, in a domain that `new_domain` makes. 2 threads, 2 preemptions.
fn runs_with_a_dead_value(name: &str, new_domain: fn() -> Domain) -> bool {
    let seen = std::sync::Arc::new(Noted::new(false));
    let note = std::sync::Arc::clone(&seen);
    explore(name, 2, move || {
        let domain = new_domain();
        let dead = Arc::new(AtomicBool::new(false));
        let published = Arc::new(Published::new(&domain, Value::new(0, &dead)));
        let first = std::ptr::from_ref(published.load(&domain.pin()).unwrap()).addr();
        let handle = {
            let (domain, published, dead) = (domain.clone(), Arc::clone(&published), Arc::clone(&dead));
            spawn(move || {
                let guard = domain.pin();
                // By its address: memory that may be free is not read, not even here.
                let held = std::ptr::from_ref(published.load(&guard).unwrap()).addr();
                held == first && dead.load(Acquire)
            })
        };
        published.replace(Value::new(1, &Arc::new(AtomicBool::new(false))), &domain.pin()).unwrap();
        if handle.join().unwrap() {
            note.store(true, Ordering::Relaxed);
        }
    });
    seen.load(Ordering::Relaxed)
}

#[test]
fn a_value_that_goes_before_its_readers_is_seen_dead() {
    assert!(runs_with_a_dead_value("dropped at once", || domain_with(Flaw::FreesAtOnce)));
    assert!(runs_with_a_dead_value("pins taken for over", || domain_with(Flaw::TakesPinsForOver)));
    assert!(runs_with_a_dead_value("pins read without a fence", || domain_with(Flaw::ReadsPinsUnfenced)));
    assert!(!runs_with_a_dead_value("retired", Domain::without_reclaimer));
}

/// `Published` without reclamation, in orderings of the caller's.
fn publication(publish: Ordering, load: Ordering) {
    let first = Box::into_raw(Box::new(UnsafeCell::new(0u64)));
    let pointer = Arc::new(AtomicPtr::new(first));
    let reader = {
        let pointer = Arc::clone(&pointer);
        spawn(move || {
            // SAFETY: nothing is freed before this thread is joined.
            let seen = unsafe { &*pointer.load(load) };
            // SAFETY: written before it was published; loom checks it.
            assert!(seen.with(|number| unsafe { *number }) < 2);
        })
    };
    let second = Box::into_raw(Box::new(UnsafeCell::new(0u64)));
    // SAFETY: not shared yet.
    unsafe { &*second }.with_mut(|number| unsafe { *number = 1 });
    let old = pointer.swap(second, publish);
    reader.join().unwrap();
    for value in [old, pointer.load(Relaxed)] {
        // SAFETY: made by `into_raw`, each is freed once.
        drop(unsafe { Box::from_raw(value) });
    }
}

/// 2 threads, 3 preemptions.
#[test]
fn release_and_acquire_publish() {
    explore("AcqRel and Acquire", 3, || publication(AcqRel, Acquire));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn relaxed_does_not_publish() {
    explore("Relaxed and Acquire", 3, || publication(Relaxed, Acquire));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_relaxed_load_does_not_see_what_was_published() {
    explore("AcqRel and Relaxed", 3, || publication(AcqRel, Relaxed));
}

/// The owner lets go while a reader reads: whoever is last drops value and domain. 2 threads, 2 preemptions.
#[test]
fn p12_dropping_the_owner_is_as_safe_as_a_rekey() {
    explore("owner dropped", 2, || {
        let domain = Domain::without_reclaimer();
        let dead = [Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false))];
        let published = Arc::new(Published::new(&domain, Value::new(0, &dead[0])));
        let reader = {
            let (domain, published) = (domain.clone(), Arc::clone(&published));
            spawn(move || {
                let guard = domain.pin();
                published.load(&guard).unwrap().read();
            })
        };
        published.replace(Value::new(1, &dead[1]), &domain.pin()).unwrap();
        drop((published, domain));
        reader.join().unwrap();
        assert!(dead.iter().all(|dead| dead.load(Acquire)), "the last owner leaves nothing behind");
    });
}

/// A stream table goes with the value that owned it, as index spaces do with the last ring of a session: a reader that looks into it sees all of it. 2
/// threads, 2 preemptions.
#[test]
fn p12_what_a_session_owns_goes_after_the_last_reader_of_it() {
    explore("owner of a table dropped", 2, || {
        let domain = Domain::without_reclaimer();
        let dead = [Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false))];
        let owner = |number: u32| {
            let table = Table::new(&domain, 4).unwrap();
            table.insert(number, &domain.pin()).unwrap();
            (table, Value::new(number.into(), &dead[number as usize]))
        };
        let published = Arc::new(Published::new(&domain, owner(0)));
        let reader = {
            let (domain, published) = (domain.clone(), Arc::clone(&published));
            spawn(move || {
                let guard = domain.pin();
                let (table, value) = published.load(&guard).unwrap();
                let number = u32::try_from(value.read()).unwrap();
                assert_eq!(table.find(number, &guard).unwrap().map(|held| held.ssrc()), Some(number));
                value.read();
            })
        };
        published.replace(owner(1), &domain.pin()).unwrap();
        drop(published);
        reader.join().unwrap();
        domain.reclaim();
        assert!(dead.iter().all(|dead| dead.load(Acquire)));
    });
}

/// Once `synchronize` has returned, what was retired before is gone, and its reader with it. 2 threads, 1 preemption.
#[test]
fn p09_synchronize_returns_when_the_value_is_gone() {
    explore("synchronize beside a reader", 1, || {
        let domain = Domain::without_reclaimer();
        let dead = [Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false))];
        let published = Arc::new(Published::new(&domain, Value::new(0, &dead[0])));
        let reader = {
            let (domain, published) = (domain.clone(), Arc::clone(&published));
            spawn(move || {
                let guard = domain.pin();
                published.load(&guard).unwrap().read();
            })
        };
        published.replace(Value::new(1, &dead[1]), &domain.pin()).unwrap();
        domain.synchronize(std::time::Duration::MAX).unwrap();
        assert!(dead[0].load(Acquire) && !dead[1].load(Acquire));
        reader.join().unwrap();
    });
}

/// Retired here, destroyed by a thread that drives the epoch meanwhile or by this one later. 2 threads, 2 preemptions.
#[test]
fn p09_what_is_retired_is_destroyed_by_whoever_drives_the_epoch() {
    explore("retired and driven", 2, || {
        let domain = Domain::without_reclaimer();
        let dead = Arc::new(AtomicBool::new(false));
        let published = Published::new(&domain, Value::new(0, &dead));
        let driver = {
            let domain = domain.clone();
            spawn(move || domain.reclaim())
        };
        published.replace(Value::new(1, &Arc::new(AtomicBool::new(false))), &domain.pin()).unwrap();
        driver.join().unwrap();
        assert_eq!(domain.reclaim(), 0);
        assert!(dead.load(Acquire));
        assert_eq!(domain.stats().items_waiting, 0);
    });
}

// ---- The replay list.

/// Claims, each on a thread of its own, in a window of 64 (5 words of 16 packets): what became of them.
fn claim_all(claims: &[(u64, Option<u64>)], before: &[u64]) -> Vec<Result<(), Error>> {
    let list = Arc::new(ReplayList::new(64));
    before.iter().for_each(|&index| list.claim(index, None).unwrap());
    let claim = |&(index, highest)| {
        let list = Arc::clone(&list);
        spawn(move || list.claim(index, highest))
    };
    // The last one here: a thread less.
    let (&(index, highest), others) = claims.split_last().unwrap();
    let others: Vec<_> = others.iter().map(claim).collect();
    let last = list.claim(index, highest);
    let mut outcomes = join(others);
    outcomes.push(last);
    for &(index, highest) in claims {
        let again = list.claim(index, highest);
        assert!(matches!(again, Err(Error::Replayed | Error::TooOld)), "{index} once more: {again:?}");
    }
    outcomes
}

/// 2 and 3 threads, no bound.
#[test]
fn p05_of_all_claims_of_an_index_one_wins() {
    explore("one index, two claims", UNBOUNDED, || {
        let mut outcomes = claim_all(&[(7, None), (7, None)], &[]);
        outcomes.sort_by_key(Result::is_err);
        assert_eq!(outcomes, [Ok(()), Err(Error::Replayed)]);
    });
    explore("one index, three claims", UNBOUNDED, || {
        let outcomes = claim_all(&[(7, None), (7, None), (7, None)], &[]);
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(Error::Replayed)).count(), 2);
    });
}

/// 2 and 3 threads, no bound.
#[test]
fn p05_claims_in_one_block_do_not_hide_each_other() {
    explore("one block, two claims", UNBOUNDED, || {
        assert_eq!(claim_all(&[(3, None), (4, None)], &[5]), [Ok(()); 2]);
    });
    explore("one block, three claims", UNBOUNDED, || {
        assert_eq!(claim_all(&[(3, None), (4, None), (15, None)], &[5]), [Ok(()); 3]);
    });
}

/// Index 80 takes the word of index 0: the older block is claimed before, or is too old. 3 threads, no bound.
#[test]
fn p05_a_block_that_takes_a_word_over_forgets_no_claim_that_counts() {
    explore("a block taken over", UNBOUNDED, || {
        let outcomes = claim_all(&[(1, None), (80, Some(79)), (80, Some(79))], &[0]);
        assert!(matches!(outcomes[0], Ok(()) | Err(Error::TooOld)));
        assert_eq!(outcomes[1..].iter().filter(|outcome| outcome.is_ok()).count(), 1);
    });
}

// ---- The stream table.

/// One thread looks for a stream, over and over, while another inserts two more: the table migrates from 2 slots to 4 and to 8.
fn growth_beside_a_look_up(insertions: u32) {
    let domain = Domain::without_reclaimer();
    let table = Arc::new(Table::new(&domain, 16).unwrap());
    let address = table.insert(1, &domain.pin()).unwrap().address();
    let finder = {
        let (domain, table) = (domain.clone(), Arc::clone(&table));
        spawn(move || {
            let guard = domain.pin();
            for _ in 0..2 {
                let held = table.find(1, &guard).unwrap().expect("never lost while the table grows");
                assert_eq!((held.ssrc(), held.address()), (1, address));
            }
        })
    };
    for ssrc in 2..2 + insertions {
        let guard = domain.pin();
        assert_eq!(table.insert(ssrc, &guard).unwrap().ssrc(), ssrc);
    }
    finder.join().unwrap();
    let guard = domain.pin();
    for ssrc in 1..2 + insertions {
        assert_eq!(table.find(ssrc, &guard).unwrap().map(|held| held.ssrc()), Some(ssrc));
    }
}

/// 2 threads, 2 preemptions.
#[test]
fn a_stream_is_found_while_the_table_grows() {
    explore("growth beside a look-up", 2, || growth_beside_a_look_up(1));
}

/// The SSRCs that two threads insert into a table that holds the streams `before`; each agrees with the table afterwards.
fn insert_two(before: &[u32], ours: &'static [u32], theirs: u32) {
    let domain = Domain::without_reclaimer();
    let table = Arc::new(Table::new(&domain, 16).unwrap());
    for &ssrc in before {
        table.insert(ssrc, &domain.pin()).unwrap();
    }
    let insert = |domain: &Domain, table: &Table, ssrc| table.insert(ssrc, &domain.pin()).unwrap().address();
    let other = {
        let (domain, table) = (domain.clone(), Arc::clone(&table));
        spawn(move || ours.iter().map(|&ssrc| (ssrc, insert(&domain, &table, ssrc))).collect::<Vec<_>>())
    };
    // Here, and not there: to leave this thread at any point and let the other one run to its end takes one preemption.
    let mut inserted = vec![(theirs, insert(&domain, &table, theirs))];
    inserted.extend(other.join().unwrap());
    let guard = domain.pin();
    for (ssrc, address) in inserted {
        assert_eq!(table.find(ssrc, &guard).unwrap().map(|held| held.address()), Some(address), "{ssrc}");
    }
    for &ssrc in before {
        assert!(table.find(ssrc, &guard).unwrap().is_some(), "{ssrc}");
    }
}

/// 2 threads, 2 preemptions.
#[test]
fn two_that_insert_one_ssrc_agree_on_its_stream() {
    explore("one SSRC, two insertions", 2, || insert_two(&[], &[5], 5));
}

/// 2 threads, 1 preemption: both migrate.
#[test]
fn two_that_insert_one_ssrc_agree_while_the_table_grows() {
    explore("one SSRC, two insertions, growth", 1, || insert_two(&[1], &[5], 5));
}

/// 2 threads, 1 preemption: both migrate.
#[test]
fn two_that_insert_two_ssrcs_lose_neither_while_the_table_grows() {
    explore("two SSRCs, two insertions, growth", 1, || insert_two(&[1], &[5], 6));
}

/// One finds room in an array that the other fills and migrates: what it puts there too late must not be lost. 2 threads, 1 preemption.
#[test]
fn an_insertion_into_an_array_that_is_left_is_not_lost() {
    explore("an insertion beside a migration", 1, || insert_two(&[], &[5, 6], 7));
}

// ---- Removal of streams.

/// 3 threads, no bound: two claim, one closes a stream that has seen no packet.
#[test]
fn p05_the_floor_of_a_closed_stream_is_at_least_every_claim_in_it() {
    explore("claims beside a removal", UNBOUNDED, || {
        let stream = Arc::new(Stream::new(1));
        let claim = |index| {
            let stream = Arc::clone(&stream);
            spawn(move || stream.held().claim(index))
        };
        let (one, two) = (claim(10), claim(20));
        let (floor, _) = stream.held().close();
        for (index, outcome) in [(10, one.join().unwrap()), (20, two.join().unwrap())] {
            match outcome {
                Ok(()) => assert!(floor.is_some_and(|floor| floor >= index), "{index} is above {floor:?}"),
                Err(error) => assert_eq!(error, Error::NoSuchStream),
            }
        }
        assert_eq!(stream.held().claim(30), Err(Error::NoSuchStream));
        assert_eq!(stream.held().close().0.max(floor), stream.held().close().0);
    });
}

/// `claims` claims of one index, in a direction whose stream is removed meanwhile: one settles, in the old stream or in a new one.
fn removal_beside_claims(claims: usize) {
    let domain = Domain::without_reclaimer();
    let direction = Arc::new(Direction::new(&domain).unwrap());
    direction.claim(1, 3, &domain.pin()).unwrap();
    let claim = |_| {
        let (domain, direction) = (domain.clone(), Arc::clone(&direction));
        spawn(move || direction.claim(1, 4, &domain.pin()))
    };
    let handles = (0..claims).map(claim).collect();
    assert_eq!(direction.remove_stream(1, &domain.pin()), Ok(true));
    let outcomes = join(handles);
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    let guard = domain.pin();
    for index in [3, 4] {
        assert!(direction.claim(1, index, &guard).is_err(), "{index} was claimed before");
    }
    assert_eq!(direction.claim(1, 5, &guard), Ok(()));
}

/// 2 threads, 1 preemption.
#[test]
fn p05_a_claim_beside_a_removal_counts_once() {
    explore("a claim beside a removal", 1, || removal_beside_claims(1));
}

/// A stream is forgotten while a packet of `other` is claimed, which may be of the same SSRC; the table has room for two, and is full at once.
fn forgetting_beside_a_claim(other: u32) {
    let domain = Domain::without_reclaimer();
    let direction = Arc::new(Direction::bounded(&domain, 2).unwrap());
    direction.claim(1, 3, &domain.pin()).unwrap();
    let claim = {
        let (domain, direction) = (domain.clone(), Arc::clone(&direction));
        spawn(move || direction.claim(other, 4, &domain.pin()))
    };
    assert_eq!(direction.forget_stream(1, &domain.pin()), Ok(true));
    assert_eq!(claim.join().unwrap(), Ok(()), "the claim is not lost");
    let guard = domain.pin();
    // What was claimed in the forgotten stream can be claimed once more, and what was claimed in another cannot.
    assert_eq!(direction.claim(1, 3, &guard), Ok(()));
    assert_eq!(direction.claim(1, 3, &guard), Err(Error::Replayed));
    if other != 1 {
        assert_eq!(direction.claim(other, 4, &guard), Err(Error::Replayed));
    }
    // Each place is counted once: the one that was given back, and those that are taken.
    assert_eq!(direction.claim(2, 9, &guard), Ok(()));
    assert_eq!(direction.claim(3, 9, &guard), Err(Error::TooManyStreams));
}

/// 2 threads, 1 preemption.
#[test]
fn a_claim_beside_the_forgetting_of_its_stream_is_not_lost() {
    explore("a claim beside the forgetting of its stream", 1, || forgetting_beside_a_claim(1));
}

/// 2 threads, 1 preemption.
#[test]
fn a_stream_that_is_added_while_another_is_forgotten_stays() {
    explore("a stream that is added while another is forgotten", 1, || forgetting_beside_a_claim(2));
}

// ---- Probing.

/// Two first packets under a probing key, of senders that contradict each other: the one goes on in cycle 2, the other begins afresh. Says in how
/// many runs both were accepted.
fn contradictions_accepted(name: &str, once: bool) -> usize {
    let both = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&both);
    explore(name, 1, move || {
        const KEPT: u64 = 2 << 16 | 9;
        let domain = Domain::without_reclaimer();
        let direction = Arc::new(Direction::new(&domain).unwrap());
        let other = {
            let (domain, direction) = (domain.clone(), Arc::clone(&direction));
            spawn(move || direction.probe(10, 2, KEPT, once, &domain.pin()))
        };
        let afresh = direction.probe(11, 0, KEPT, once, &domain.pin());
        let kept = other.join().unwrap();
        assert!(afresh.is_ok() || kept.is_ok(), "{afresh:?} {kept:?}");
        counted.fetch_add((afresh.is_ok() && kept.is_ok()).into(), Ordering::Relaxed);
        // What was decided holds.
        let guard = domain.pin();
        let next = [direction.probe(12, 0, KEPT, once, &guard), direction.probe(12, 2, KEPT, once, &guard)];
        assert_eq!(next.iter().filter(|next| next.is_ok()).count(), 1, "{next:?}");
        for (seq, cycle) in [(10, 2), (11, 0), (12, 0), (12, 2)] {
            assert!(direction.probe(seq, cycle, KEPT, once, &guard).is_err(), "{seq} of cycle {cycle} once more");
        }
    });
    both.load(Ordering::Relaxed)
}

/// 2 threads, 1 preemption.
#[test]
fn p04_of_two_decisions_about_a_stream_one_counts() {
    assert_eq!(contradictions_accepted("two decisions", true), 0);
    assert!(contradictions_accepted("two decisions, neither by comparison", false) > 0);
}

/// 2 threads, 1 preemption: the loser of a decision that is its own as well loses nothing.
#[test]
fn p04_packets_that_decide_alike_are_both_accepted_once() {
    explore("one decision, two packets", 1, || {
        const KEPT: u64 = 2 << 16 | 9;
        let domain = Domain::without_reclaimer();
        let direction = Arc::new(Direction::new(&domain).unwrap());
        let other = {
            let (domain, direction) = (domain.clone(), Arc::clone(&direction));
            spawn(move || direction.probe(10, 2, KEPT, true, &domain.pin()))
        };
        assert_eq!(direction.probe(11, 2, KEPT, true, &domain.pin()), Ok(()));
        assert_eq!(other.join().unwrap(), Ok(()));
        for seq in [10, 11] {
            assert_eq!(direction.probe(seq, 2, KEPT, true, &domain.pin()), Err(Error::Replayed));
        }
    });
}

// ---- SRTCP indices.

/// 2 threads, no bound: each takes two, one of them the second under a newer key.
#[test]
fn p06_no_srtcp_index_is_given_out_twice() {
    explore("SRTCP indices", UNBOUNDED, || {
        let stream = Arc::new(Stream::sending_srtcp_from(0));
        let take = |stream: &Stream, keys: [u64; 2]| keys.map(|key| stream.held().take_srtcp_index(key).unwrap());
        let other = {
            let stream = Arc::clone(&stream);
            spawn(move || take(&stream, [1, 1]))
        };
        let newer = take(&stream, [1, 2]);
        let taken = [other.join().unwrap(), newer];
        assert!(taken[1].iter().all(Option::is_some), "the newest key is never refused");
        let mut indices: Vec<u64> = taken.as_flattened().iter().copied().flatten().collect();
        let count = indices.len() as u64;
        indices.sort_unstable();
        // Distinct, and none is skipped.
        assert!(indices.into_iter().eq(0..count));
    });
}

/// 3 threads, no bound: at the wrap, a key that sent the last index sends no other.
#[test]
fn p07_the_srtcp_index_wraps_between_two_keys_only() {
    explore("the SRTCP wrap", UNBOUNDED, || {
        const LAST: u64 = (1 << 31) - 1;
        let stream = Arc::new(Stream::sending_srtcp_from(u32::try_from(LAST).unwrap()));
        let take = |key| {
            let stream = Arc::clone(&stream);
            spawn(move || stream.held().take_srtcp_index(key))
        };
        let others = vec![take(1), take(1)];
        let last = stream.held().take_srtcp_index(2);
        let mut taken = join(others);
        taken.push(last);
        let under = |keys: &[usize]| keys.iter().filter(|&&key| matches!(taken[key], Ok(Some(_)))).count();
        assert!(under(&[0, 1]) <= 1, "one key, two cycles: {taken:?}");
        assert_eq!(under(&[2]), 1, "{taken:?}");
    });
}

/// 3 threads, no bound.
#[test]
fn p05_an_srtcp_index_is_below_the_floor_or_not_given_out() {
    explore("an SRTCP index beside a removal", UNBOUNDED, || {
        let stream = Arc::new(Stream::sending_srtcp_from(0));
        let take = || {
            let stream = Arc::clone(&stream);
            spawn(move || stream.held().take_srtcp_index(1))
        };
        let handles = vec![take(), take()];
        let (_, next) = stream.held().close();
        let given = join(handles).into_iter().filter_map(Result::ok).flatten();
        assert_eq!(given.map(|index| assert!(index < next)).count() as u64, next);
    });
}

// ---- Slots for keys.

/// Octets that loom watches, as many as there are slots.
struct Slots(Vec<UnsafeCell<u64>>);

// SAFETY: each is its owner's alone; that no two have it at once is what the models check.
unsafe impl Sync for Slots {}

impl Slots {
    fn write(&self, slot: usize, value: u64) {
        // SAFETY: the caller owns the slot; loom checks it.
        self.0[slot].with_mut(|octets| unsafe { *octets = value });
    }

    fn read(&self, slot: usize) -> u64 {
        // SAFETY: as above.
        self.0[slot].with(|octets| unsafe { *octets })
    }
}

/// 3 threads, no bound: two owners wipe their slots and give them back, while the one who takes slots takes what is there.
#[test]
fn a_slot_is_taken_as_its_last_owner_left_it() {
    explore("slots taken while others are given back", UNBOUNDED, || {
        let free = Arc::new(FreeSlots::all(2));
        let slots = Arc::new(Slots((0..2).map(|_| UnsafeCell::new(0)).collect()));
        let owner = |slot: usize| {
            let (free, slots) = (Arc::clone(&free), Arc::clone(&slots));
            slots.write(slot, 7);
            spawn(move || {
                assert_eq!(slots.read(slot), 7);
                slots.write(slot, 0);
                free.give_back(slot);
            })
        };
        let handles = [free.take(), free.take()].map(|slot| owner(slot.unwrap())).into();
        let taken: Vec<usize> = std::iter::from_fn(|| free.take()).collect();
        for slot in &taken {
            assert_eq!(slots.read(*slot), 0);
            slots.write(*slot, 8);
        }
        join(handles);
        assert!(taken.iter().all(|slot| slots.read(*slot) == 8));
        assert_eq!(std::iter::from_fn(|| free.take()).count(), 2 - taken.len());
    });
}

/// 2 threads, no bound: the last slots of two words.
#[test]
fn who_gives_back_the_last_slot_hears_that_all_are_free() {
    const SLOTS: usize = 65;
    explore("the last slots given back", UNBOUNDED, || {
        let free = Arc::new(FreeSlots::all(SLOTS));
        let taken: Vec<usize> = std::iter::from_fn(|| free.take()).collect();
        assert_eq!(taken.len(), SLOTS);
        assert!(taken[1..64].iter().all(|slot| !free.give_back(*slot)));
        let other = {
            let free = Arc::clone(&free);
            spawn(move || free.give_back(0))
        };
        let here = free.give_back(64);
        assert!(here | other.join().unwrap(), "nobody heard it");
    });
}
