//! Keys that one SSRC has to itself, beside a session's (P2).

mod common;

use common::{BOTH, Key, Pair, Protocol, SSRC, accepted, open, plain, rtp};
use core::time::Duration;
use keyflip::{
    Domain, Error, Event, Grace, Inbound, KeyLifetime, KeyRole, MasterKey, NewStreams, Outbound, Outgoing, Profile,
    Received, Rekeyed, RocOnRekey, Session, SessionBuilder,
};
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

const OTHER: u32 = 0x5eed_0002;
const PROFILE: Profile = Profile::Aes128CmSha1_80;

fn key(n: u8) -> MasterKey {
    Key::nth(PROFILE, n, 0).master()
}

/// Keys for both directions.
fn own(n: u8) -> SessionBuilder {
    Session::builder(PROFILE).inbound(key(n)).outbound(key(n))
}

fn give(pair: &Pair, ssrc: u32, n: u8) {
    pair.outbound().give_ssrc_keys(ssrc, own(n)).unwrap();
    pair.inbound().give_ssrc_keys(ssrc, own(n)).unwrap();
}

fn seal(outbound: &Outbound, protocol: Protocol, packet: &[u8]) -> keyflip::Result<Vec<u8>> {
    let mut packet = packet.to_vec();
    let guard = outbound.domain().pin();
    match protocol {
        Protocol::Rtp => outbound.protect_rtp_in(&guard, &mut packet),
        Protocol::Rtcp => outbound.protect_rtcp_in(&guard, &mut packet),
    }
    .map(|()| packet)
}

/// What a session sends that has key `n` for everybody.
fn sent_under(n: u8, protocol: Protocol, ssrc: u32, number: u16) -> Vec<u8> {
    let session = own(n).build(&Domain::new()).unwrap();
    seal(session.outbound(), protocol, &plain(protocol, ssrc, number)).unwrap()
}

#[test]
fn p02_an_ssrc_has_keys_of_its_own_and_others_have_the_sessions() {
    for protocol in BOTH {
        let pair = Pair::new(PROFILE);
        give(&pair, SSRC, 1);
        pair.send(protocol, SSRC, 0);
        pair.send(protocol, OTHER, 0);
        // Not only to each other: by the keys they were given.
        let fresh = Pair::new(PROFILE);
        give(&fresh, SSRC, 1);
        for (n, ssrc) in [(1, SSRC), (0, OTHER)] {
            assert_eq!(fresh.open(protocol, &sent_under(1 - n, protocol, ssrc, 0)), Err(Error::AuthenticationFailed));
            assert_eq!(fresh.open(protocol, &sent_under(n, protocol, ssrc, 0)), Ok(plain(protocol, ssrc, 0)));
        }
    }
}

#[test]
fn p02_a_rekey_of_the_session_leaves_them_and_theirs_the_sessions() {
    let pair = Pair::with(PROFILE, 0, |builder| builder.grace(Grace::NONE));
    give(&pair, SSRC, 1);
    pair.inbound().rekey(key(2)).unwrap();
    assert_eq!(pair.open(Protocol::Rtp, &sent_under(1, Protocol::Rtp, SSRC, 0)), Ok(rtp(SSRC, 0)));
    assert_eq!(pair.open(Protocol::Rtp, &sent_under(0, Protocol::Rtp, OTHER, 0)), Err(Error::AuthenticationFailed));
    assert_eq!(pair.open(Protocol::Rtp, &sent_under(2, Protocol::Rtp, OTHER, 0)), Ok(rtp(OTHER, 0)));

    let keys = pair.inbound().ssrc_keys(SSRC).unwrap();
    assert!(matches!(keys.rekey(key(3)), Ok(Rekeyed::Switched(_))));
    // Its own grace is that of its builder: the default.
    assert_eq!(pair.open(Protocol::Rtp, &sent_under(1, Protocol::Rtp, SSRC, 1)), Ok(rtp(SSRC, 1)));
    assert_eq!(pair.open(Protocol::Rtp, &sent_under(3, Protocol::Rtp, SSRC, 2)), Ok(rtp(SSRC, 2)));
    assert_eq!(pair.open(Protocol::Rtp, &sent_under(2, Protocol::Rtp, OTHER, 1)), Ok(rtp(OTHER, 1)));
    assert_eq!(keys.keys().iter().map(|key| key.role).collect::<Vec<_>>(), [KeyRole::Current, KeyRole::InGrace]);
    keys.end_grace().unwrap();
    assert_eq!(pair.open(Protocol::Rtp, &sent_under(1, Protocol::Rtp, SSRC, 3)), Err(Error::AuthenticationFailed));
    assert!(matches!(keys.rekey(key(3)), Ok(Rekeyed::Unchanged(_))));
}

#[test]
fn its_profile_and_windows_may_differ() {
    let domain = Domain::new();
    let gcm = Profile::AeadAes256Gcm;
    let slot = || {
        let master = || Key::nth(gcm, 1, 3).master();
        Session::builder(gcm).replay_window(64).inbound(master()).outbound(master())
    };
    let session = own(0).build(&domain).unwrap();
    assert_eq!(session.outbound().rtp_overhead(), 10);
    session.inbound().give_ssrc_keys(SSRC, slot()).unwrap();
    session.outbound().give_ssrc_keys(SSRC, slot()).unwrap();
    assert_eq!(session.outbound().rtp_overhead(), 16 + 3, "the most of any SSRC");
    for protocol in BOTH {
        for (ssrc, trailer) in [(SSRC, 19), (OTHER, 10)] {
            let packet = plain(protocol, ssrc, 500);
            let sealed = seal(session.outbound(), protocol, &packet).unwrap();
            assert_eq!(sealed.len(), packet.len() + trailer + if protocol == Protocol::Rtcp { 4 } else { 0 });
            assert_eq!(open(session.inbound(), protocol, &sealed), Ok(packet));
        }
    }
    // The windows: 64 packets and 1024.
    let late = |ssrc| seal(session.outbound(), Protocol::Rtp, &rtp(ssrc, 400));
    assert_eq!(late(SSRC), Err(Error::IndexTooOld));
    assert!(late(OTHER).is_ok());
}

#[test]
fn without_a_key_of_the_session_others_are_refused() {
    let domain = Domain::new();
    let session = Session::builder(PROFILE).build(&domain).unwrap();
    let packet = sent_under(1, Protocol::Rtp, SSRC, 7);
    assert_eq!(open(session.inbound(), Protocol::Rtp, &packet), Err(Error::NoKey));
    session.inbound().give_ssrc_keys(SSRC, own(1)).unwrap();
    assert_eq!(open(session.inbound(), Protocol::Rtp, &packet), Ok(rtp(SSRC, 7)));
    let stranger = sent_under(1, Protocol::Rtp, OTHER, 7);
    assert_eq!(open(session.inbound(), Protocol::Rtp, &stranger), Err(Error::UnknownSsrc));
    assert_eq!(seal(session.outbound(), Protocol::Rtp, &rtp(SSRC, 0)), Err(Error::NoKey));
    assert_eq!(session.inbound().refused().unknown_ssrc, 1);
    // A session key is a template for all the others.
    session.inbound().rekey(key(1)).unwrap();
    assert_eq!(open(session.inbound(), Protocol::Rtp, &stranger), Ok(rtp(OTHER, 7)));
}

#[test]
fn its_stream_is_there_from_the_beginning() {
    let domain = Domain::new();
    for profile in [PROFILE, Profile::NullWithoutAuthentication] {
        let master = || Key::nth(profile, 1, 0).master();
        let slot = || Session::builder(profile).new_streams(NewStreams::ByCall).inbound(master());
        let session = slot().build(&domain).unwrap();
        session.inbound().give_ssrc_keys(SSRC, slot()).unwrap();
        let sender = Session::builder(profile).outbound(master()).build(&domain).unwrap();
        for (ssrc, expected) in [(SSRC, Ok(rtp(SSRC, 1))), (OTHER, Err(Error::UnknownSsrc))] {
            let packet = seal(sender.outbound(), Protocol::Rtp, &rtp(ssrc, 1)).unwrap();
            assert_eq!(open(session.inbound(), Protocol::Rtp, &packet), expected, "{profile}");
        }
    }
}

#[test]
fn p04_p05_indices_go_on_when_an_ssrc_gets_and_loses_its_keys() {
    // The same master key all the while: a space of its own would accept everything again.
    let pair = Pair::new(PROFILE);
    let mut all = Vec::new();
    let mut pass = |numbers: core::ops::Range<u16>| {
        for protocol in BOTH {
            for number in numbers.clone() {
                let packet = pair.sealed(protocol, SSRC, number);
                assert!(pair.open(protocol, &packet).is_ok(), "{number}");
                all.push((protocol, packet));
            }
        }
        for (protocol, packet) in &all {
            assert_eq!(pair.open(*protocol, packet), Err(Error::Replayed));
        }
        for number in numbers.clone() {
            let again = seal(pair.outbound(), Protocol::Rtp, &rtp(SSRC, number));
            assert_eq!(again, Err(Error::IndexReused), "P6");
        }
    };
    pass(0..20);
    give(&pair, SSRC, 0);
    pass(20..40);
    for keys in [pair.outbound().ssrc_keys(SSRC).unwrap(), pair.inbound().ssrc_keys(SSRC).unwrap()] {
        keys.take_away().unwrap();
    }
    pass(40..60);
    give(&pair, SSRC, 0);
    pass(60..80);
    assert_eq!(accepted(&pair.inbound().streams()), accepted(&pair.outbound().streams()));
    assert_eq!(pair.inbound().streams().len(), 1);
}

#[test]
fn p05_other_windows_begin_anew_above_all_there_was() {
    let pair = Pair::new(PROFILE);
    let old: Vec<_> = [10, 12].map(|number| pair.sealed(Protocol::Rtp, SSRC, number)).into();
    old.iter().for_each(|packet| assert!(pair.open(Protocol::Rtp, packet).is_ok()));
    let late = pair.sealed(Protocol::Rtp, SSRC, 11);
    pair.inbound().give_ssrc_keys(SSRC, own(0).replay_window(64)).unwrap();
    for packet in old.iter().chain([&late]) {
        assert_eq!(pair.open(Protocol::Rtp, packet), Err(Error::TooOld));
    }
    pair.send(Protocol::Rtp, SSRC, 13);
}

#[test]
fn p05_a_key_is_in_one_index_space() {
    let used = Err(Error::KeyUsedBefore);
    let domain = Domain::new();
    let session = own(0).build(&domain).unwrap();
    let inbound = session.inbound();
    inbound.give_ssrc_keys(SSRC, own(1)).unwrap();
    // A slot's key cannot open a space for the session.
    assert_eq!(inbound.rekey_with(key(1), RocOnRekey::Reset).map(drop), used);
    assert_eq!(inbound.rekey_with(key(1), RocOnRekey::Probe).map(drop), used);
    // In the first space both are at home.
    inbound.rekey(key(1)).unwrap();
    inbound.rekey_with(key(2), RocOnRekey::Reset).unwrap();
    // From here on no key is in both.
    let keys = inbound.ssrc_keys(SSRC).unwrap();
    assert_eq!(inbound.rekey(key(1)).map(drop), Ok(()), "in grace: nothing changes");
    inbound.end_grace().unwrap();
    assert_eq!(inbound.rekey(key(1)).map(drop), used);
    assert_eq!(inbound.add_key(key(1)).map(drop), used);
    assert_eq!(keys.rekey(key(2)).map(drop), used);
    assert_eq!(keys.add_key(key(2)).map(drop), used);
    assert_eq!(inbound.give_ssrc_keys(OTHER, own(2)).map(drop), used);
    keys.rekey(key(3)).unwrap();
    inbound.give_ssrc_keys(OTHER, own(3)).unwrap();
    assert_eq!(keys.keys().iter().map(|key| key.space).collect::<HashSet<_>>().len(), 1);
    assert_ne!(keys.keys()[0].space, inbound.keys()[0].space);
}

#[test]
fn wrong_calls_are_answered() {
    let pair = Pair::with(PROFILE, 0, |builder| builder.max_streams(2));
    let inbound = pair.inbound();
    assert!(inbound.ssrc_keys(SSRC).is_none());
    assert_eq!(inbound.give_ssrc_keys(SSRC, Session::builder(PROFILE)).map(drop), Err(Error::NoKey));
    let wrong = Session::builder(PROFILE).inbound(MasterKey::take(&mut [1; 28]));
    assert_eq!(inbound.give_ssrc_keys(SSRC, wrong).map(drop), Err(Error::WrongKeyAndSaltLength));
    assert_eq!(inbound.give_ssrc_keys(SSRC, own(1).replay_window(1)).map(drop), Err(Error::BadReplayWindow));
    assert!(inbound.streams().is_empty() && inbound.ssrcs_with_keys().is_empty());
    let keys = inbound.give_ssrc_keys(SSRC, own(1)).unwrap();
    assert_eq!(inbound.give_ssrc_keys(SSRC, own(2)).map(drop), Err(Error::SsrcHasKeys));
    inbound.give_ssrc_keys(OTHER, own(1)).unwrap();
    assert_eq!(inbound.give_ssrc_keys(7, own(2)).map(drop), Err(Error::TooManyStreams));
    assert_eq!(inbound.ssrcs_with_keys().len(), 2);
    keys.take_away().unwrap();
    for refused in [keys.take_away(), keys.end_grace(), keys.rekey(key(5)).map(drop), keys.add_key(key(5)).map(drop)] {
        assert_eq!(refused, Err(Error::NoKeysForSsrc));
    }
    assert!(keys.keys().is_empty());
}

#[test]
fn several_keys_are_told_apart_by_mki_and_sent_under_in_turn() {
    let master = |n| Key::nth(PROFILE, n, 2).master();
    let session = Session::builder(PROFILE).build(&Domain::new()).unwrap();
    let slot = || Session::builder(PROFILE).inbound(master(1)).inbound(master(2)).outbound(master(1));
    session.inbound().give_ssrc_keys(SSRC, slot()).unwrap();
    let sending = session.outbound().give_ssrc_keys(SSRC, slot()).unwrap();
    let second = sending.add_key(master(2)).unwrap();
    let mut seen = HashSet::new();
    for number in 0..4 {
        let packet = seal(session.outbound(), Protocol::Rtp, &rtp(SSRC, number)).unwrap();
        seen.insert(packet[common::mki_range(PROFILE, Protocol::Rtp, 2, packet.len())].to_vec());
        assert_eq!(open(session.inbound(), Protocol::Rtp, &packet), Ok(rtp(SSRC, number)));
        if number == 1 {
            sending.switch_to(second).unwrap();
        }
    }
    assert_eq!(seen.len(), 2);
    let first = sending.keys()[1].id;
    sending.retire_key(first).unwrap();
    assert_eq!(sending.keys().len(), 1);
}

#[test]
fn p03_its_grace_ends_by_its_deadline() {
    let pair = Pair::new(PROFILE);
    let graceful = || own(1).grace(Grace::DEFAULT.until_elapsed(Duration::from_millis(30)));
    let keys = pair.inbound().give_ssrc_keys(SSRC, graceful()).unwrap();
    pair.inbound().rekey(key(9)).unwrap();
    keys.rekey(key(2)).unwrap();
    assert_eq!(keys.keys().len(), 2);
    let begun = std::time::Instant::now();
    while keys.keys().len() > 1 {
        assert!(begun.elapsed() < Duration::from_secs(10));
        std::thread::yield_now();
    }
    assert_eq!(pair.inbound().keys().len(), 2, "the session's grace has no deadline");
}

#[test]
fn p07_its_lifetime_is_its_own_and_told() {
    let pair = Pair::new(PROFILE);
    let limit = |srtp_packets| KeyLifetime { srtp_packets, srtcp_packets: srtp_packets };
    let slot = own(1).key_lifetime(limit(5)).key_soft_limit(limit(2));
    let keys = pair.outbound().give_ssrc_keys(SSRC, slot).unwrap();
    for number in 0..5 {
        seal(pair.outbound(), Protocol::Rtp, &rtp(SSRC, number)).unwrap();
    }
    assert_eq!(seal(pair.outbound(), Protocol::Rtp, &rtp(SSRC, 5)), Err(Error::KeyExpired));
    let id = keys.keys()[0].id;
    assert_eq!(keys.packets_left(id).unwrap().srtp_packets, 0);
    let Some(Event::KeyNearLimit { context, key, .. }) = pair.domain.next_event() else { panic!("no event") };
    assert_eq!((context, key), (pair.outbound().id(), id));
    assert!(seal(pair.outbound(), Protocol::Rtp, &rtp(OTHER, 5)).is_ok());
}

#[test]
fn p09_taken_keys_are_wiped() {
    let pair = Pair::new(PROFILE);
    let before = pair.domain.stats();
    let keys = pair.inbound().give_ssrc_keys(SSRC, own(1)).unwrap();
    keys.rekey(key(2)).unwrap();
    let guard = pair.domain.pin();
    keys.take_away().unwrap();
    let stats = pair.domain.stats();
    assert_eq!((stats.keys_created, stats.keys_retired), (before.keys_created + 2, before.keys_retired + 2));
    assert_eq!(stats.keys_wiped, before.keys_wiped, "a guard may see them");
    drop(guard);
    pair.domain.synchronize(Duration::from_secs(10)).unwrap();
    assert_eq!(pair.domain.stats().keys_wiped, before.keys_wiped + 2);
}

#[test]
fn a_batch_is_judged_by_whosever_keys_they_are() {
    let pair = Pair::new(PROFILE);
    give(&pair, SSRC, 1);
    let packets: Vec<_> = (0..40).map(|n| rtp([SSRC, OTHER][n % 2], u16::try_from(n).unwrap())).collect();
    let mut buffers: Vec<_> = packets.iter().map(|packet| [&packet[..], &[0; 10]].concat()).collect();
    let mut guard = pair.domain.pin();
    let mut sent: Vec<_> =
        buffers.iter_mut().map(|buffer| Outgoing::rtp(pair.outbound(), buffer, packets[0].len())).collect();
    keyflip::protect_batch(&mut guard, &mut sent);
    drop(sent);
    for (n, buffer) in buffers.iter().enumerate() {
        assert_eq!(*buffer, sent_under([1, 0][n % 2], Protocol::Rtp, [SSRC, OTHER][n % 2], u16::try_from(n).unwrap()));
    }
    let mut forged = buffers[0].clone();
    *forged.last_mut().unwrap() ^= 1;
    buffers.push(forged);
    let mut received: Vec<_> = buffers.iter_mut().map(|packet| Received::rtp(pair.inbound(), packet)).collect();
    keyflip::unprotect_batch(&mut guard, &mut received);
    for (received, plain) in received.iter().zip(&packets) {
        assert_eq!(received.plain(), Ok(&plain[..]));
    }
    assert_eq!(received[40].plain(), Err(Error::Replayed));
    assert_eq!(pair.refusals(), 1);
}

/// What was accepted, by SSRC and sequence number.
fn accept_all(inbound: &Inbound, packets: &[(u16, Vec<u8>)], done: &AtomicBool, seen: &Mutex<Vec<u16>>) {
    while !done.load(Ordering::Relaxed) {
        for (number, packet) in packets {
            match open(inbound, Protocol::Rtp, packet) {
                Ok(plain) => {
                    assert_eq!(plain, rtp(SSRC, *number));
                    seen.lock().unwrap().push(*number);
                }
                Err(Error::Replayed) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn p01_p05_each_index_is_accepted_once_while_keys_are_given_and_taken() {
    // The session and the slot have one master key, so that packets are good under either.
    let pair = Pair::new(PROFILE);
    let packets: Vec<_> = (0..64).map(|number| (number, sent_under(0, Protocol::Rtp, SSRC, number))).collect();
    let (done, seen) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| accept_all(pair.inbound(), &packets, &done, &seen));
        }
        for _ in 0..200 {
            let keys = pair.inbound().give_ssrc_keys(SSRC, own(0)).unwrap();
            std::thread::yield_now();
            keys.take_away().unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
        done.store(true, Ordering::Relaxed);
    });
    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    assert_eq!(seen, (0..64).collect::<Vec<_>>());
    pair.domain.synchronize(Duration::from_secs(10)).unwrap();
    let stats = pair.domain.stats();
    assert_eq!(stats.keys_created, stats.keys_wiped + 4, "two sessions of two keys are left");
}
