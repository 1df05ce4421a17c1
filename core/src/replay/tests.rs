//! The replay list against a set of claimed indices, under one thread and under several.

use super::*;
use core::sync::atomic::AtomicU64 as Shared;
use proptest::prelude::*;
use std::collections::HashSet;
use std::sync::Mutex;

/// The model: a set, and the highest.
#[derive(Default)]
struct Model {
    claimed: HashSet<u64>,
    highest: Option<u64>,
}

impl Model {
    fn claim(&mut self, index: u64, window: u64) -> Result<()> {
        if self.highest.is_some_and(|highest| index + window <= highest) {
            return Err(Error::TooOld);
        }
        if !self.claimed.insert(index) {
            return Err(Error::Replayed);
        }
        self.highest = Some(self.highest.map_or(index, |highest| highest.max(index)));
        Ok(())
    }
}

fn steps() -> impl Strategy<Value = Vec<i64>> {
    prop::collection::vec(prop_oneof![8 => -80i64..80, 2 => -3000i64..3000, 1 => -70_000i64..70_000], 1..600)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn p05_one_thread_sees_exactly_the_set(window in prop_oneof![Just(64u32), Just(65), Just(79), Just(1000), Just(1024), 64u32..2000], start in prop_oneof![0u64..200, 0u64..1 << 47], steps in steps()) {
        let list = ReplayList::new(window, 0);
        let mut model = Model::default();
        let mut at = start;
        for step in steps {
            at = at.saturating_add_signed(step).min((1 << 48) - 1);
            let expected = model.highest;
            let peeked = list.peek(at, expected);
            let claimed = list.claim(at, expected);
            prop_assert_eq!(peeked, claimed);
            prop_assert_eq!(claimed, model.claim(at, u64::from(window)));
        }
    }
}

/// Design: each index is accepted at most once, and every `TooOld` is justified by an index at least `window` above, claimed
/// before the call returned; indices of which no such claim exists are accepted.
fn race(window: u32, threads: usize, rounds: u64) {
    let list = ReplayList::new(window, 0);
    let highest = Shared::new(0);
    let taken = Mutex::new(HashSet::new());
    let (next, newest) = (Shared::new(1), Shared::new(0));
    std::thread::scope(|scope| {
        for thread in 0..threads as u64 {
            let (list, highest, taken, next, newest) = (&list, &highest, &taken, &next, &newest);
            scope.spawn(move || {
                let mut random = thread.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
                let mut mine = Vec::new();
                for _ in 0..rounds {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    // Near the front, so that threads collide; sometimes a jump, so that words change blocks under them.
                    let front = next.fetch_add(u64::from(random % 7 == 0) * (random % 90), Ordering::Relaxed);
                    let index = front.saturating_sub(random % (u64::from(window) + 40));
                    match list.claim(index, Some(highest.load(Ordering::Relaxed))) {
                        Ok(()) => {
                            newest.fetch_max(index, Ordering::SeqCst);
                            mine.push(index);
                            highest.fetch_max(index, Ordering::Relaxed);
                        }
                        Err(Error::TooOld) => {
                            // A claim is recorded here just after it is made: give its maker a moment.
                            let justified = || newest.load(Ordering::SeqCst) >= index + u64::from(window);
                            assert!(
                                (0..1_000_000).any(|_| justified() || {
                                    std::thread::yield_now();
                                    false
                                }),
                                "{index}"
                            );
                        }
                        Err(other) => assert_eq!(other, Error::Replayed),
                    }
                }
                let mut taken = taken.lock().unwrap();
                for index in mine {
                    assert!(taken.insert(index), "{index} was accepted twice");
                }
            });
        }
    });
}

#[test]
fn p05_two_threads_accept_each_index_at_most_once() {
    for window in [64, 65, 100, 127, 1000, 1024] {
        race(window, 2, 30_000);
    }
}

#[test]
fn p05_five_threads_accept_each_index_at_most_once() {
    for window in [64, 72, 1024] {
        race(window, 5, 20_000);
    }
}

#[test]
fn the_edges_of_the_window_are_exact() {
    for window in [64u32, 70, 1024, 32_768] {
        let list = ReplayList::new(window, 0);
        let top = 1_000_000;
        list.claim(top, None).unwrap();
        let edge = top - u64::from(window);
        assert_eq!(list.claim(edge, Some(top)), Err(Error::TooOld));
        assert_eq!(list.claim(edge + 1, Some(top)), Ok(()));
        assert_eq!(list.claim(edge + 1, Some(top)), Err(Error::Replayed));
        assert_eq!(list.claim(top, Some(top)), Err(Error::Replayed));
    }
}

#[test]
fn the_place_of_a_block_is_its_remainder() {
    for window in WINDOWS.step_by(16) {
        let list = ReplayList::new(window, 0);
        let words = list.words.len() as u64;
        let near = |block: u64| [block.saturating_sub(1), block, block + 1];
        let multiples = [0, 1, 2, 1000, (1 << 44) / words - 1, (1 << 44) / words].map(|times| times * words);
        for block in
            multiples.into_iter().chain([1 << 31, (1 << 44) - 2]).flat_map(near).filter(|block| block >> 44 == 0)
        {
            assert_eq!(list.place(block) as u64, block % words, "{block} of {words}");
        }
    }
}

#[test]
fn index_zero_is_claimed_once() {
    let list = ReplayList::new(64, 0);
    assert_eq!(list.claim(0, None), Ok(()));
    assert_eq!(list.claim(0, Some(0)), Err(Error::Replayed));
    assert_eq!(list.claim(1, Some(0)), Ok(()));
}

#[test]
fn indices_below_the_base_stay_closed() {
    let list = ReplayList::new(64, 100);
    assert_eq!(list.claim(99, None), Err(Error::TooOld));
    assert_eq!(list.claim(100, None), Ok(()));
    assert_eq!(ReplayList::closed().claim(0, None), Err(Error::TooOld));
    assert_eq!(ReplayList::closed().peek(1 << 47, None), Err(Error::TooOld));
}
