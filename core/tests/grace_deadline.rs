//! P3: a grace that ends by a deadline, which the control side keeps.

mod common;

use common::*;
use keyflip::{Domain, Error, Grace, Inbound, KeyId, KeyRole, MasterKey, Profile, Session};
use std::time::{Duration, Instant};

const PROFILE: Profile = Profile::Aes128CmSha1_80;
const LONG: Duration = Duration::from_secs(60);

fn key(n: u8) -> MasterKey {
    Key::nth(PROFILE, n, 0).master()
}

fn receiver(domain: &Domain, grace: Grace) -> Session {
    Session::builder(PROFILE).inbound(key(0)).grace(grace).build(domain).unwrap()
}

fn in_grace(inbound: &Inbound) -> Vec<KeyId> {
    inbound.keys().iter().filter(|key| key.role == KeyRole::InGrace).map(|key| key.id).collect()
}

/// Waits until `done`, for as long as any machine may need.
fn until(done: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while !done() {
        if begun.elapsed() > LONG {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

#[test]
fn p03_a_grace_ends_by_its_deadline_without_help_from_anyone() {
    const TIME: Duration = Duration::from_millis(150);
    let pair = Pair::with(PROFILE, 0, |builder| builder.grace(Grace::LAST.until_elapsed(TIME)));
    let flying: Vec<_> = (1..3).map(|seq| pair.sealed(Protocol::Rtp, SSRC, seq)).collect();
    let replaced = Instant::now();
    pair.inbound().rekey(pair.key(1).master()).unwrap();
    let opened = pair.open(Protocol::Rtp, &flying[0]);
    assert!(opened.is_ok() || replaced.elapsed() >= TIME, "{opened:?}");
    assert!(until(|| in_grace(pair.inbound()).is_empty()));
    assert!(replaced.elapsed() >= TIME, "after {:?}", replaced.elapsed());
    assert_eq!(pair.open(Protocol::Rtp, &flying[1]), Err(Error::AuthenticationFailed));
    assert!(until(|| pair.domain.stats().keys_wiped == 1), "wiped, too");
    // And the next one, and two at once.
    pair.inbound().rekey(pair.key(2).master()).unwrap();
    assert!(until(|| in_grace(pair.inbound()).is_empty()));
}

#[test]
fn p03_each_key_has_a_deadline_of_its_own_and_in_a_domain_without_reclaimer_whoever_drives_it_keeps_it() {
    const TIME: Duration = Duration::from_millis(80);
    let domain = Domain::without_reclaimer();
    let receiver = receiver(&domain, Grace::keys(3).unwrap().until_elapsed(TIME));
    let inbound = receiver.inbound();
    let mut replaced = Vec::new();
    for n in 1..=3 {
        let old = inbound.keys()[0].id;
        let before = Instant::now();
        inbound.rekey(key(n)).unwrap();
        replaced.push((old, before, Instant::now()));
        std::thread::sleep(TIME / 3);
    }
    assert_eq!(in_grace(inbound).len(), 3, "nobody drives it");
    let mut lengths = vec![3];
    while lengths.last() != Some(&0) {
        let before = Instant::now();
        domain.reclaim();
        let (after, held) = (Instant::now(), in_grace(inbound));
        for (id, earliest, latest) in &replaced {
            assert!(held.contains(id) || after >= *earliest + TIME, "ended early");
            assert!(!held.contains(id) || before <= *latest + TIME, "held too long");
        }
        lengths.push(held.len());
        assert!(before.elapsed() < LONG);
    }
    assert_eq!(domain.stats().keys_wiped, 3);
}

#[test]
fn p03_a_deadline_ends_the_grace_of_no_other_key() {
    const TIME: Duration = Duration::from_millis(50);
    let domain = Domain::without_reclaimer();
    let receiver = receiver(&domain, Grace::LAST.until_elapsed(TIME));
    let inbound = receiver.inbound();
    inbound.rekey(key(1)).unwrap();
    // Ended otherwise: by a call, and by another rekey.
    inbound.end_grace().unwrap();
    inbound.rekey(key(2)).unwrap();
    std::thread::sleep(TIME);
    let last = inbound.keys()[0].id;
    let replaced = Instant::now();
    inbound.rekey(key(3)).unwrap();
    domain.reclaim();
    assert!(in_grace(inbound) == [last] || replaced.elapsed() >= TIME, "the timers of before are harmless");
    std::thread::sleep(TIME);
    domain.reclaim();
    assert_eq!(in_grace(inbound), []);
    assert_eq!(inbound.keys().len(), 1);
}

#[test]
fn p12_a_deadline_keeps_no_session() {
    let domain = Domain::new();
    for time in [Duration::from_millis(20), Duration::from_secs(3600), Duration::MAX] {
        let receiver = receiver(&domain, Grace::default().until_elapsed(time));
        receiver.inbound().rekey(key(1)).unwrap();
        assert!(in_grace(receiver.inbound()).len() == 1 || time < LONG);
        drop(receiver);
        assert_eq!(domain.synchronize(LONG), Ok(()));
        let stats = domain.stats();
        assert_eq!(stats.keys_wiped, stats.keys_created);
    }
    std::thread::sleep(Duration::from_millis(30));
}

#[test]
fn p03_many_rekeys_with_a_deadline_leave_nothing_behind() {
    let domain = Domain::new();
    let receiver = receiver(&domain, Grace::default().until_elapsed(Duration::from_millis(5)));
    for n in 0..400u32 {
        receiver.inbound().rekey(key(u8::try_from(n % 250).unwrap() + 1)).unwrap();
        if n % 50 == 0 {
            std::thread::sleep(Duration::from_millis(7));
        }
    }
    assert!(until(|| in_grace(receiver.inbound()).is_empty()));
    assert_eq!(domain.synchronize(LONG), Ok(()));
    assert_eq!(domain.stats().keys_wiped + 1, domain.stats().keys_created, "but the current one");
}
