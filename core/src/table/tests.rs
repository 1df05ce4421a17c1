//! The stream table: one stream an SSRC, whoever inserts it, and none lost while it grows.

use super::*;
use crate::policy::Windows;
use crate::stream::Origin;
use std::collections::{HashMap, HashSet};

const WINDOWS: Windows = Windows { srtp: 64, srtcp: None };

fn stream(ssrc: u32) -> Arc<Stream> {
    Arc::new(Stream::new(Ssrc(ssrc), &Origin::START, WINDOWS))
}

#[test]
fn a_stream_is_found_from_its_insertion_on() {
    let domain = Domain::without_reclaimer();
    let table = StreamTable::new(&domain, 100_000).unwrap();
    let guard = domain.pin();
    for ssrc in 0..5_000u32 {
        let ssrc = ssrc.wrapping_mul(0x9e37_79b9);
        assert!(table.find(Ssrc(ssrc), &guard).unwrap().is_none());
        let held = table.insert(stream(ssrc), &guard).unwrap();
        assert!(core::ptr::eq(held, table.find(Ssrc(ssrc), &guard).unwrap().unwrap()));
    }
    for ssrc in 0..5_000u32 {
        assert!(table.find(Ssrc(ssrc.wrapping_mul(0x9e37_79b9)), &guard).unwrap().is_some());
    }
    assert_eq!(table.iter(&guard).unwrap().count(), 5_000);
}

#[test]
fn the_second_of_an_ssrc_gets_the_first() {
    let domain = Domain::without_reclaimer();
    let table = StreamTable::new(&domain, 2).unwrap();
    let guard = domain.pin();
    let first = table.insert(stream(7), &guard).unwrap();
    assert!(core::ptr::eq(first, table.insert(stream(7), &guard).unwrap()));
    assert!(table.insert(stream(8), &guard).is_ok(), "the loser gave its place back");
}

#[test]
fn a_full_table_refuses_and_keeps_what_it_has() {
    let domain = Domain::without_reclaimer();
    let table = StreamTable::new(&domain, 3).unwrap();
    let guard = domain.pin();
    for ssrc in 0..3 {
        table.insert(stream(ssrc), &guard).unwrap();
    }
    assert!(matches!(table.insert(stream(3), &guard), Err(Error::TooManyStreams)));
    assert!(table.insert(stream(2), &guard).is_ok());
    assert_eq!(table.iter(&guard).unwrap().count(), 3);
}

#[test]
fn a_replacement_takes_the_slot_once() {
    let domain = Domain::without_reclaimer();
    let table = StreamTable::new(&domain, 10).unwrap();
    let guard = domain.pin();
    let old = table.insert(stream(1), &guard).unwrap();
    assert_eq!(table.replace(old, stream(1), &guard), Ok(true));
    assert_eq!(table.replace(old, stream(1), &guard), Ok(false));
    assert_eq!(table.iter(&guard).unwrap().count(), 1);
}

#[test]
fn threads_that_insert_at_once_agree_on_one_stream_an_ssrc() {
    for _ in 0..50 {
        let domain = Domain::without_reclaimer();
        let table = StreamTable::new(&domain, 10_000).unwrap();
        let maps: Vec<HashMap<u32, usize>> = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..4u32)
                .map(|thread| {
                    let (table, domain) = (&table, &domain);
                    scope.spawn(move || {
                        let mut seen = HashMap::new();
                        for step in 0..400u32 {
                            // Every thread inserts every SSRC, each in an order of its own.
                            let ssrc = (step * 7 + thread * 100) % 400;
                            let guard = domain.pin();
                            let held = table.insert(stream(ssrc), &guard).unwrap();
                            assert_eq!(held.ssrc(), Ssrc(ssrc));
                            seen.insert(ssrc, core::ptr::from_ref(held) as usize);
                            assert!(table.find(Ssrc(ssrc), &guard).unwrap().is_some());
                        }
                        seen
                    })
                })
                .collect();
            handles.into_iter().map(|handle| handle.join().unwrap()).collect()
        });
        assert!(maps.iter().all(|map| *map == maps[0]), "all threads hold the same streams");
        let guard = domain.pin();
        let all: HashSet<_> = table.iter(&guard).unwrap().map(|stream| stream.ssrc().0).collect();
        assert_eq!(all.len(), 400);
        assert_eq!(table.iter(&guard).unwrap().count(), 400);
        drop(guard);
        domain.reclaim();
        assert_eq!(domain.stats().items_waiting, 0);
    }
}

#[test]
fn replacements_survive_migration() {
    for _ in 0..50 {
        let domain = Domain::without_reclaimer();
        let table = StreamTable::new(&domain, 10_000).unwrap();
        for ssrc in 0..50 {
            table.insert(stream(ssrc), &domain.pin()).unwrap();
        }
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for ssrc in 50..800 {
                    table.insert(stream(ssrc), &domain.pin()).unwrap();
                }
            });
            scope.spawn(|| {
                for ssrc in 0..50 {
                    let guard = domain.pin();
                    let old = table.find(Ssrc(ssrc), &guard).unwrap().unwrap();
                    let floor = Arc::new(Stream::floor(Ssrc(ssrc), &old.close()));
                    assert_eq!(table.replace(old, floor, &guard), Ok(true));
                }
            });
        });
        let guard = domain.pin();
        for ssrc in 0..800 {
            let held = table.find(Ssrc(ssrc), &guard).unwrap().unwrap();
            assert_eq!(held.gone().is_some(), ssrc < 50, "{ssrc}");
        }
    }
}

#[test]
fn a_blank_gives_its_place_back() {
    let domain = Domain::without_reclaimer();
    let table = StreamTable::new(&domain, 3).unwrap();
    let guard = domain.pin();
    let blank = |ssrc| Arc::new(Stream::blank(Ssrc(ssrc)));
    // Many times more than the bound.
    for ssrc in 0..10_000 {
        let held = table.insert(stream(ssrc), &guard).unwrap();
        assert_eq!(table.replace(held, blank(ssrc), &guard), Ok(true));
    }
    assert!(table.array(&guard).unwrap().slots.len() <= 16, "nothing grows");
    assert!(table.iter(&guard).unwrap().all(|held| !held.counts_in_table()));
    // A blank that is there still is filled again, if there is room.
    let held = table.insert(stream(1), &guard).unwrap();
    table.replace(held, blank(1), &guard).unwrap();
    for ssrc in 2..5 {
        table.insert(stream(ssrc), &guard).unwrap();
    }
    let old = table.find(Ssrc(1), &guard).unwrap();
    if let Some(old) = old {
        assert_eq!(table.replace(old, stream(1), &guard), Err(Error::TooManyStreams));
    }
    let live = table.iter(&guard).unwrap().filter(|held| held.counts_in_table()).count();
    assert_eq!(live, 3);
}

#[test]
fn threads_that_insert_and_forget_lose_nothing_that_stays() {
    let domain = Domain::new();
    let table = StreamTable::new(&domain, 4096).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let (table, domain) = (&table, &domain);
            scope.spawn(move || {
                for n in 0..2_000 {
                    let guard = domain.pin();
                    let ssrc = (thread << 16) + n;
                    let held = table.insert(stream(ssrc), &guard).unwrap();
                    if n % 8 != 0 {
                        assert_eq!(table.replace(held, Arc::new(Stream::blank(Ssrc(ssrc))), &guard), Ok(true));
                    }
                }
            });
        }
    });
    let guard = domain.pin();
    let live: HashSet<u32> =
        table.iter(&guard).unwrap().filter(|held| held.counts_in_table()).map(|held| held.ssrc().0).collect();
    let expected = (0..4u32).flat_map(|thread| (0..250).map(move |n| (thread << 16) + n * 8)).collect();
    assert_eq!(live, expected);
    assert_eq!(table.count.load(Ordering::Relaxed), 1000);
}
