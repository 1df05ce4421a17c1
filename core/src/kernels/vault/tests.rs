//! Slots, one by one and with many threads; what is in them before and after.

use super::*;
use std::collections::BTreeSet;
use std::thread;

/// What a slot holds. It must be mapped still.
fn octets(place: NonNull<u8>, len: usize) -> Vec<u8> {
    // SAFETY: the caller keeps the slab, so the octets are there; nobody else takes slots of the lengths used here, and so nobody writes.
    unsafe { core::slice::from_raw_parts(place.as_ptr(), len) }.to_vec()
}

fn slab_of<T: ?Sized>(value: &Vaulted<T>) -> Arc<Slab> {
    Arc::clone(value.slab.as_ref().expect("pages can be had"))
}

#[test]
fn a_slab_gives_each_slot_once_all_zero_and_aligned() {
    for len in [64, 192, 640, 4096, 8192] {
        let slab = Slab::map(len, 64 * 1024).unwrap();
        let places: BTreeSet<_> = std::iter::from_fn(|| slab.take()).collect();
        assert_eq!(places.len(), slab.octets() / len);
        let apart = |pair: &[&NonNull<u8>]| pair[1].addr().get() - pair[0].addr().get() >= len;
        assert!(places.iter().collect::<Vec<_>>().windows(2).all(apart));
        for place in &places {
            assert!(place.addr().get().is_multiple_of(LINE));
            assert_eq!(octets(*place, len), vec![0; len]);
        }
        let last = places.len() - 1;
        for (number, place) in places.iter().enumerate() {
            assert!(!slab.is_empty());
            assert_eq!(slab.give_back(*place), number == last, "the last one to be given back empties it");
        }
        assert!(slab.is_empty());
        assert!(places.contains(&slab.take().unwrap()));
    }
}

#[test]
fn a_slot_is_at_least_a_line_and_may_be_as_long_as_a_slab() {
    assert_eq!([0, 1, 64, 65, 1000].map(slot_len), [64, 64, 64, 128, 1024]);
    let slab = Slab::map(LONGEST, 0).unwrap();
    assert!(slab.take().is_some());
    assert_eq!(slab.octets() / LONGEST, 1);
    assert!(slab.take().is_none());
}

#[test]
fn a_place_is_wiped_whole() {
    let vaulted: Vaulted<Option<[u8; 5 * LINE - 2]>> = Vaulted::new(None);
    let (slab, place) = (slab_of(&vaulted), vaulted.place.cast());
    let len = 5 * LINE;
    assert_eq!(slot_len(size_of_val(&*vaulted)), len);
    // SAFETY: within the slot.
    let unused = unsafe { place.add(1) };
    // SAFETY: up to its end, where there is nothing of the value.
    unsafe { unused.write_bytes(0xee, len - 1) };
    assert!(vaulted.is_none() && octets(unused, len - 1).iter().all(|octet| *octet == 0xee));
    drop(vaulted);
    assert_eq!(octets(place, len), vec![0; len]);
    drop(slab);
}

#[test]
fn a_value_is_dropped_once_and_before_its_slot_is_wiped() {
    struct Says(Arc<()>, [u8; 7 * LINE]);
    impl Drop for Says {
        fn drop(&mut self) {
            assert_eq!((Arc::strong_count(&self.0), self.1), (2, [7; 7 * LINE]));
        }
    }
    let count = Arc::new(());
    let vaulted = Vaulted::new(Says(Arc::clone(&count), [7; 7 * LINE]));
    assert_eq!(Arc::strong_count(&count), 2);
    drop(vaulted);
    assert_eq!(Arc::strong_count(&count), 1);
}

#[test]
fn a_slot_that_was_given_back_is_used_again() {
    const LEN: usize = 9 * LINE;
    let kept = Vaulted::zeroed(LEN);
    let mut places = BTreeSet::new();
    for _ in 0..100 {
        let mut vaulted = Vaulted::zeroed(LEN);
        assert!(Arc::ptr_eq(&slab_of(&vaulted), &slab_of(&kept)));
        vaulted.fill(0xaa);
        places.insert(vaulted.as_ptr().addr());
    }
    assert_eq!(places.len(), 1);
}

#[test]
fn it_costs_a_pointer_and_one_to_its_slab() {
    assert_eq!(size_of::<Vaulted<[u64; 40]>>(), 2 * size_of::<usize>());
}

#[test]
fn slabs_grow_and_those_that_empty_go_but_for_one() {
    const LEN: usize = 11 * LINE;
    let mut all: Vec<_> = (0..5_000).map(|_| Vaulted::zeroed(LEN)).collect();
    let lens = shelves::slabs(LEN);
    // Fewer and longer where as much can be locked as is asked for.
    assert!(lens.len() < 30 && lens.iter().all(|len| (4 * 1024..=1024 * 1024).contains(len)), "{lens:?}");
    assert!(lens.iter().max() >= Some(&(512 * 1024)) && lens[0] <= 16 * 1024, "{lens:?}");
    assert!(lens.iter().sum::<usize>() < all.len() * LEN + (2 << 20), "{lens:?}");
    all.truncate(10);
    assert_eq!(shelves::slabs(LEN).len(), 2, "the one in use, and one to spare");
    let kept = all.pop();
    all.clear();
    assert_eq!(shelves::slabs(LEN).len(), 2);
    drop(kept);
    assert_eq!(shelves::slabs(LEN).len(), 1);
}

#[test]
fn what_is_too_long_lies_on_the_heap_and_is_counted() {
    let before = ON_HEAP.load(Ordering::Relaxed);
    let long = Vaulted::zeroed(LONGEST + 1);
    assert!(long.slab.is_none() && long.as_ptr().addr().is_multiple_of(LINE));
    assert_eq!(ON_HEAP.load(Ordering::Relaxed) - before, (LONGEST + LINE) as u64);
    assert!(KeyMemory::now().total >= (LONGEST + LINE) as u64);
    drop(long);
    assert_eq!(ON_HEAP.load(Ordering::Relaxed), before);
}

/// Each thread takes and gives back at random, passes some on to be given back by another, and finds in its slots what it put there.
#[test]
fn slots_are_nobody_elses_whoever_gives_them_back() {
    const LEN: usize = 13 * LINE;
    const THREADS: u8 = 4;
    const ROUNDS: usize = if cfg!(debug_assertions) { 5_000 } else { 50_000 };
    type Held = (u8, Vaulted<[u8]>);
    let check = |(tag, vaulted): Held| assert!(vaulted.iter().all(|octet| *octet == tag));
    let (channels, inboxes): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| std::sync::mpsc::channel::<Held>()).unzip();
    thread::scope(|scope| {
        for (number, inbox) in (1u8..).zip(inboxes) {
            let next = channels[usize::from(number % THREADS)].clone();
            scope.spawn(move || {
                let mut held = Vec::new();
                let mut random = u64::from(number);
                for _ in 0..ROUNDS {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(number.into());
                    match random >> 61 {
                        0..4 => {
                            let mut vaulted = Vaulted::zeroed(LEN);
                            assert!(vaulted.iter().all(|octet| *octet == 0), "a new slot is all zeros");
                            vaulted.fill(number);
                            held.push((number, vaulted));
                        }
                        4 => held.pop().into_iter().for_each(|held| next.send(held).unwrap_or_default()),
                        5 => inbox.try_iter().for_each(check),
                        _ if held.is_empty() => {}
                        _ => check(held.swap_remove(usize::try_from(random >> 32).unwrap() % held.len())),
                    }
                }
                drop(next);
                held.into_iter().for_each(check);
                inbox.try_iter().for_each(check);
            });
        }
    });
    drop(channels);
    assert_eq!(shelves::slabs(LEN).len(), 1, "all are empty, and all but one unmapped");
}

#[test]
fn what_the_pages_are_is_counted() {
    const LEN: usize = 15 * LINE;
    let slab = Slab::map(LEN, 16 * 1024).unwrap();
    let count = || {
        let mut memory = KeyMemory::default();
        slab.count(&mut memory);
        memory
    };
    let place = slab.take().unwrap();
    let memory = count();
    assert_eq!((memory.used, memory.total), (LEN as u64, slab.octets() as u64));
    assert!([0, memory.total].contains(&memory.locked));
    assert_eq!(memory.undumped, if cfg!(target_os = "linux") { memory.total } else { 0 });
    slab.give_back(place);
    assert_eq!(count().used, 0);
}

#[test]
fn p01_who_must_not_wait_leaves_the_slabs_that_it_empties() {
    const LEN: usize = 17 * LINE;
    let make = || -> Vec<_> { (0..500).map(|_| Vaulted::zeroed(LEN)).collect() };
    let all = make();
    let slabs = shelves::slabs(LEN).len();
    assert!(slabs > 1);
    // Another thread has the shelves for good: who must not wait does not notice.
    let (sender, receiver) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        let taken = shelves::lock();
        scope.spawn(move || {
            leaving_slabs(|| drop(all));
            sender.send(()).unwrap();
        });
        let outcome = receiver.recv_timeout(std::time::Duration::from_secs(10));
        drop(taken);
        outcome.unwrap();
    });
    // Others may unmap them at any time, but for one.
    unmap_what_was_left();
    assert_eq!(shelves::slabs(LEN).len(), 1);
    drop(make());
    assert_eq!(shelves::slabs(LEN).len(), 1, "who may wait unmaps what it empties");
}
