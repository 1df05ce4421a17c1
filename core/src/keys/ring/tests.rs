//! Which keys a packet is tried with, in which order, and which spaces a ring names.

use super::*;
use crate::crypto::profile::Profile;
use crate::keys::tests::key;

fn held(n: usize, space: &Arc<u8>) -> Held<u8> {
    Held { key: key(Profile::NullSha1_80, n, &[]), space: Arc::clone(space), probes: None }
}

fn ids<'r>(keys: impl Iterator<Item = &'r Held<u8>>) -> Vec<u64> {
    keys.map(|held| held.key.id().0).collect()
}

fn tried(ring: &KeyRing<u8>, hint: u64, in_grace: bool) -> Vec<u64> {
    ids(ring.candidates(&[], Usable { hint: KeyId(hint), in_grace }).unwrap())
}

#[test]
fn p03_the_key_that_last_authenticated_a_stream_is_tried_first() {
    let space = Arc::new(0);
    let mut ring = KeyRing::empty().rekeyed(held(0, &space), 2);
    for n in 1..=3 {
        ring = ring.rekeyed(held(n, &space), 2);
    }
    let ring = ring.with(held(9, &space)).unwrap();
    assert_eq!(tried(&ring, KeyId::NONE.0, true), [3, 2, 1, 9]);
    assert_eq!(tried(&ring, 3, true), [3, 2, 1, 9]);
    assert_eq!(tried(&ring, 1, true), [1, 3, 2, 9]);
    assert_eq!(tried(&ring, 9, true), [9, 3, 2, 1]);
    assert_eq!(tried(&ring, 0, true), [3, 2, 1, 9], "a key that is gone");
    assert_eq!(tried(&ring, 1, false), [3, 9], "a stream that has settled");
}

/// The ring after a rekey with a probing key: which spaces it names, and which were merged into which.
fn probing(ring: &KeyRing<u8>, n: u8, grace: usize) -> (KeyRing<u8>, Vec<u8>, Vec<(u8, u8)>) {
    let lineage = ring.current().unwrap().lineage();
    let probes = Held { probes: Some(Arc::new(lineage)), ..held(n.into(), &Arc::new(n)) };
    let (mut ring, mut merged) = (ring.rekeyed(probes, grace), Vec::new());
    ring.compact(|from, to| {
        merged.push((*from, *to));
        Ok(())
    })
    .unwrap();
    let named = ring.spaces().into_iter().map(|space| **space).collect();
    (ring, named, merged)
}

#[test]
fn what_a_key_in_grace_may_go_on_from_is_named_and_one_space_more() {
    let ring = KeyRing::empty().rekeyed(held(0, &Arc::new(0)), 2);
    assert!(ring.has_one_space());
    let (ring, named, merged) = probing(&ring, 1, 2);
    assert_eq!((named, merged, ring.has_one_space()), (vec![1, 0], vec![], false));
    let (ring, named, _) = probing(&ring, 2, 2);
    assert_eq!(named, [2, 1, 0]);
    let (ring, named, merged) = probing(&ring, 3, 2);
    assert_eq!((named, merged), (vec![3, 2, 1, 0], vec![]), "nothing is in 0, but 1 probes it");
    let (mut ring, named, merged) = probing(&ring, 4, 2);
    assert_eq!(named, [4, 3, 2, 1]);
    assert!(merged.iter().all(|merge| *merge == (0, 1)) && merged.len() == 3, "once for each that probed: {merged:?}");
    let ended = ring.without_grace(|_| true).unwrap();
    assert!(ended.has_one_space());
    ring = ended;
    ring.compact(|_, _| Ok(())).unwrap();
    assert_eq!(ring.spaces().into_iter().map(|space| **space).collect::<Vec<_>>(), [4, 3], "probed still");
}

#[test]
fn a_ring_names_less_than_three_spaces_a_key_however_often_it_is_rekeyed() {
    let mut ring = KeyRing::empty().rekeyed(held(0, &Arc::new(0)), 2);
    for n in 1..100u8 {
        if n % 20 == 0 {
            // A key that stays, and its space with it.
            ring = ring
                .with(ring.current().unwrap().beside(&key(Profile::NullSha1_80, 1000 + usize::from(n), &[])))
                .unwrap();
        }
        let (next, named, _) = probing(&ring, n, 3);
        assert!(named.len() < 3 * next.iter().count(), "{named:?}");
        ring = next;
    }
    let ring = ring.rekeyed(held(200, &Arc::new(200)), 0);
    assert_eq!(ring.spaces().len(), 9, "its own, those of the added keys, and what they probe");
}
