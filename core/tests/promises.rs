//! The promises of the design, each by its number.

mod common;

use common::*;
use keyflip::{
    Domain, Error, Fault, Grace, Inbound, KeyLifetime, KeyRole, NewStreams, Profile, Rekeyed, Roc, Session,
    SessionBuilder, SynchronizeError,
};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

/// A sending session that holds key `n` of the pair's.
fn sender_under(pair: &Pair, n: u8) -> Session {
    Session::builder(pair.profile).outbound(pair.key(n).master()).build(&pair.domain).unwrap()
}

/// A receiving session that holds key `n` of the pair's and nothing else.
fn receiver_under(pair: &Pair, n: u8) -> Session {
    Session::builder(pair.profile).inbound(pair.key(n).master()).build(&pair.domain).unwrap()
}

fn rekey_both(pair: &Pair, n: u8) {
    pair.inbound().rekey(pair.key(n).master()).unwrap();
    pair.outbound().rekey(pair.key(n).master()).unwrap();
}

/// A packet at `seq` in cycle 0, under key `n`, from a sender that has sent nothing yet.
fn fresh(pair: &Pair, n: u8, protocol: Protocol, ssrc: u32, number: u16) -> Vec<u8> {
    let sender = sender_under(pair, n);
    sender.outbound().add_stream(ssrc, Roc(0), number.into()).unwrap();
    seal(sender.outbound(), protocol, &plain(protocol, ssrc, number)).unwrap()
}

fn roles(inbound: &Inbound) -> Vec<KeyRole> {
    inbound.keys().iter().map(|key| key.role).collect()
}

fn grace(keys: usize) -> impl Fn(SessionBuilder) -> SessionBuilder {
    move |builder| builder.grace(Grace::keys(keys).unwrap())
}

// ---- P1

type Sealed = (Protocol, Vec<u8>);

/// Delivers packets on `THREADS` threads while the control thread rekeys, and says what was refused.
///
/// A round's packets come under its key; some of them so late that they meet those of the next round. With a grace of two keys the
/// next rekey may run meanwhile; with a grace of one it waits for them.
fn refused_around_rekeys(profile: Profile, mki_len: usize, grace_keys: usize) -> Vec<String> {
    const THREADS: usize = 3;
    const ROUNDS: u8 = 14;
    const PACKETS: u16 = 24;
    let windows = |builder: SessionBuilder| builder.srtcp_replay_window(1024);
    let pair = Pair::with(profile, mki_len, |builder| windows(grace(grace_keys)(builder)));
    // For each round and thread: the packets that come in time, and those that come late. A stream for each thread, and one for all.
    let mut rounds: Vec<Vec<[Vec<Sealed>; 2]>> = Vec::new();
    let (mut own, mut shared) = (0u16, 60_000u16);
    for round in 0..ROUNDS {
        if round > 0 {
            pair.outbound().rekey(pair.key(round).master()).unwrap();
        }
        let mut lists: Vec<_> = (0..THREADS).map(|_| [Vec::new(), Vec::new()]).collect();
        for late in 0..2 {
            for _ in 0..PACKETS {
                for (ssrc, list) in (1u32..).zip(&mut lists) {
                    for protocol in BOTH {
                        list[late].push((protocol, pair.sealed(protocol, ssrc, own)));
                        list[late].push((protocol, pair.sealed(protocol, SSRC, shared)));
                    }
                    shared = shared.wrapping_add(1);
                }
                own += 1;
            }
        }
        rounds.push(lists);
    }
    let (barrier, failures) = (Barrier::new(THREADS + 1), Mutex::new(Vec::new()));
    let deliver = |round: usize, thread: usize, (protocol, packet): &Sealed| {
        let mut buffer = packet.clone();
        let result = unprotect(pair.inbound(), &pair.domain.pin(), *protocol, &mut buffer).map(|plain| plain.len());
        if let Err(error) = result {
            failures.lock().unwrap().push(format!("{profile} round {round} thread {thread} {protocol:?}: {error:?}"));
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (rounds, barrier, deliver) = (&rounds, &barrier, &deliver);
            scope.spawn(move || {
                for (round, lists) in rounds.iter().enumerate() {
                    let [in_time, _] = &lists[thread];
                    let (meeting, alone) = in_time.split_at(in_time.len() / 2);
                    barrier.wait();
                    for (at, packet) in meeting.iter().enumerate() {
                        deliver(round, thread, packet);
                        if let Some(before) = round.checked_sub(1) {
                            for late in &rounds[before][thread][1][2 * at..2 * at + 2] {
                                deliver(round, thread, late);
                            }
                        }
                    }
                    if grace_keys < 2 {
                        barrier.wait();
                    }
                    for packet in alone {
                        deliver(round, thread, packet);
                    }
                    barrier.wait();
                }
            });
        }
        for next in 1..=ROUNDS {
            barrier.wait();
            if grace_keys < 2 {
                barrier.wait();
            }
            for _ in 0..next % 4 {
                std::thread::yield_now();
            }
            let result = pair.inbound().rekey(pair.key(next).master());
            if !matches!(result, Ok(Rekeyed::Switched(_))) {
                failures.lock().unwrap().push(format!("{profile} rekey {next}: {result:?}"));
            }
            barrier.wait();
        }
    });
    failures.into_inner().unwrap()
}

#[test]
fn p01_no_packet_is_lost_around_a_rekey() {
    for profile in ONE_OF_EACH {
        for mki_len in [0, 2] {
            for grace_keys in [1, 2] {
                assert_eq!(refused_around_rekeys(profile, mki_len, grace_keys), [""; 0]);
            }
        }
    }
}

#[test]
fn p01_a_sender_is_never_refused_while_it_is_rekeyed_and_its_packets_change_keys_once() {
    const THREADS: u32 = 3;
    for profile in ONE_OF_EACH {
        let pair = Pair::with(profile, 1, |builder| builder);
        // The key that a rekey has made current for certain.
        let published = AtomicU8::new(0);
        let (sent, rekeys) = std::thread::scope(|scope| {
            let sender = |ssrc: u32| {
                let mut sent = Vec::new();
                for seq in 0..u16::MAX {
                    // Some packets after the last rekey, and some in any case.
                    let floor = published.load(Ordering::Acquire);
                    if floor == 15 && seq > 400 {
                        break;
                    }
                    let protocol = BOTH[usize::from(seq % 2)];
                    sent.push((floor, protocol, seq, seal(pair.outbound(), protocol, &plain(protocol, ssrc, seq))));
                }
                sent
            };
            let threads: Vec<_> = (0..THREADS).map(|ssrc| scope.spawn(move || sender(ssrc))).collect();
            let rekey = |n| {
                std::thread::yield_now();
                let rekeyed = pair.outbound().rekey(pair.key(n).master());
                // Looked at below: a panic here would leave the threads without an end.
                published.store(n, Ordering::Release);
                rekeyed
            };
            let rekeys: Vec<_> = (1..16).map(rekey).collect();
            (threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>(), rekeys)
        });
        assert!(rekeys.iter().all(|rekeyed| matches!(rekeyed, Ok(Rekeyed::Switched(_)))), "{rekeys:?}");
        for n in 1..16 {
            pair.inbound().add_key(pair.key(n).master()).unwrap();
        }
        for (ssrc, sent) in (0u32..).zip(sent) {
            let mut last = 0;
            for (floor, protocol, seq, packet) in sent {
                let packet = packet.unwrap();
                let mki = packet[mki_range(profile, protocol, 1, packet.len())][0];
                assert!(mki >= floor, "key {mki} after key {floor} was the current one");
                assert!(mki >= last, "back to key {mki} from key {last}");
                last = mki;
                assert_eq!(pair.open(protocol, &packet), Ok(plain(protocol, ssrc, seq)), "{profile} {ssrc} {seq}");
            }
        }
    }
}

// ---- P2

#[test]
fn p02_a_rekey_of_one_direction_does_not_touch_the_other() {
    for profile in authenticated() {
        let pair = Pair::new(profile);
        let (here, there) = (&pair.receiver, &pair.sender);
        let exchange = |number| {
            for protocol in BOTH {
                pair.send(protocol, SSRC, number);
                let back = seal(here.outbound(), protocol, &plain(protocol, SSRC, number)).unwrap();
                assert_eq!(open(there.inbound(), protocol, &back), Ok(plain(protocol, SSRC, number)));
            }
        };
        exchange(1);
        let inbound = (here.inbound().keys(), accepted(&here.inbound().streams()));
        here.outbound().rekey(pair.key(1).master()).unwrap();
        assert_eq!((here.inbound().keys(), accepted(&here.inbound().streams())), inbound);
        there.inbound().rekey(pair.key(1).master()).unwrap();
        there.inbound().end_grace().unwrap();
        exchange(2);
        let outbound = (here.outbound().keys(), accepted(&here.outbound().streams()));
        here.inbound().rekey(pair.key(2).master()).unwrap();
        here.inbound().end_grace().unwrap();
        assert_eq!((here.outbound().keys(), accepted(&here.outbound().streams())), outbound);
        there.outbound().rekey(pair.key(2).master()).unwrap();
        exchange(3);
    }
}

#[test]
fn p02_all_streams_of_a_direction_switch_at_once() {
    for profile in authenticated() {
        let pair = Pair::new(profile);
        let ssrcs = || (0..200).map(|n| SSRC + n);
        ssrcs().for_each(|ssrc| pair.send(Protocol::Rtp, ssrc, 1));
        let stale: Vec<_> = ssrcs().map(|ssrc| pair.sealed(Protocol::Rtp, ssrc, 2)).collect();
        pair.outbound().rekey(pair.key(1).master()).unwrap();
        let new = receiver_under(&pair, 1);
        for ssrc in ssrcs() {
            let packet = pair.sealed(Protocol::Rtp, ssrc, 3);
            assert_eq!(open(new.inbound(), Protocol::Rtp, &packet), Ok(rtp(ssrc, 3)), "{profile}");
        }
        pair.inbound().rekey(pair.key(1).master()).unwrap();
        pair.inbound().end_grace().unwrap();
        for packet in stale {
            assert_eq!(pair.open(Protocol::Rtp, &packet), Err(Error::AuthenticationFailed));
        }
    }
}

// ---- P3

#[test]
fn p03_packets_in_flight_under_the_previous_key_are_accepted_until_grace_ends() {
    for profile in authenticated() {
        for mki_len in [0, 4] {
            for second_rekey in [false, true] {
                let pair = Pair::with(profile, mki_len, grace(1));
                pair.send(Protocol::Rtp, SSRC, 1);
                let flying: Vec<_> = BOTH
                    .into_iter()
                    .flat_map(|protocol| [(protocol, 2), (protocol, 3), (protocol, 4)])
                    .map(|(protocol, number)| (protocol, number, pair.sealed(protocol, SSRC, number)))
                    .collect();
                rekey_both(&pair, 1);
                assert_eq!(roles(pair.inbound()), [KeyRole::Current, KeyRole::InGrace]);
                pair.send(Protocol::Rtp, SSRC, 5);
                for (protocol, number, packet) in flying.iter().filter(|(_, number, _)| *number != 4) {
                    assert_eq!(pair.open(*protocol, packet), Ok(plain(*protocol, SSRC, *number)));
                    // To and fro between the keys.
                    pair.send(*protocol, SSRC, 10 * number);
                }
                if second_rekey {
                    pair.inbound().rekey(pair.key(2).master()).unwrap();
                } else {
                    pair.inbound().end_grace().unwrap();
                }
                let error = if mki_len == 0 { Error::AuthenticationFailed } else { Error::UnknownMki };
                for (protocol, _, packet) in flying.iter().filter(|(_, number, _)| *number == 4) {
                    assert_eq!(pair.open(*protocol, packet), Err(error), "{profile} {mki_len} {second_rekey}");
                }
                // The keys that are left are still of use.
                pair.send(Protocol::Rtp, SSRC, 100);
                assert_eq!(roles(pair.inbound()).len(), if second_rekey { 2 } else { 1 });
            }
        }
    }
}

#[test]
fn p03_the_last_two_keys_are_in_grace_unless_said() {
    let pair = Pair::new(Profile::AeadAes128Gcm);
    let flying: Vec<_> = (0..4u8)
        .map(|n| {
            let packet = pair.sealed(Protocol::Rtp, SSRC, n.into());
            rekey_both(&pair, n + 1);
            packet
        })
        .collect();
    assert_eq!(roles(pair.inbound()), [KeyRole::Current, KeyRole::InGrace, KeyRole::InGrace]);
    let opened = |n: usize| pair.open(Protocol::Rtp, &flying[n]).map(drop);
    assert_eq!((opened(0), opened(1)), (Err(Error::AuthenticationFailed), Err(Error::AuthenticationFailed)));
    assert_eq!((opened(2), opened(3)), (Ok(()), Ok(())));
    assert_eq!(Grace::default(), Grace::keys(2).unwrap());
}

#[test]
fn p03_without_grace_a_replaced_key_is_refused_from_the_rekey_on() {
    for profile in authenticated() {
        let pair = Pair::with(profile, 0, |builder| builder.grace(Grace::NONE));
        pair.send(Protocol::Rtp, SSRC, 1);
        let flying = BOTH.map(|protocol| (protocol, pair.sealed(protocol, SSRC, 2)));
        rekey_both(&pair, 1);
        assert_eq!(roles(pair.inbound()), [KeyRole::Current]);
        for (protocol, packet) in flying {
            assert_eq!(pair.open(protocol, &packet), Err(Error::AuthenticationFailed), "{profile}");
            pair.send(protocol, SSRC, 3);
        }
    }
}

#[test]
fn p03_one_more_rekey_than_the_grace_holds_retires_the_oldest() {
    for grace_keys in [1u8, 2, 5, 15] {
        let pair = Pair::with(Profile::Aes128CmSha1_80, 0, grace(grace_keys.into()));
        let mut flying = Vec::new();
        for n in 0..=grace_keys {
            flying.push(pair.sealed(Protocol::Rtp, SSRC + u32::from(n), 1));
            flying.push(pair.sealed(Protocol::Rtp, SSRC + u32::from(n), 2));
            rekey_both(&pair, n + 1);
        }
        assert_eq!(pair.inbound().keys().len(), usize::from(grace_keys) + 1);
        assert_eq!(pair.open(Protocol::Rtp, &flying[0]), Err(Error::AuthenticationFailed), "of {grace_keys}");
        for packet in flying[2..].iter().step_by(2) {
            assert!(pair.open(Protocol::Rtp, packet).is_ok(), "of {grace_keys}");
        }
        pair.inbound().end_grace().unwrap();
        assert_eq!(roles(pair.inbound()), [KeyRole::Current]);
        for packet in flying[2..].iter().skip(1).step_by(2) {
            assert_eq!(pair.open(Protocol::Rtp, packet), Err(Error::AuthenticationFailed));
        }
        pair.inbound().end_grace().unwrap();
        pair.send(Protocol::Rtp, SSRC, 3);
    }
}

#[test]
fn p03_added_keys_are_no_grace_and_no_rekey_touches_them() {
    for mki_len in [0, 1] {
        let pair = Pair::with(Profile::AeadAes128Gcm, mki_len, grace(1));
        let added: Vec<_> = (100..105).map(|n| pair.inbound().add_key(pair.key(n).master()).unwrap()).collect();
        for n in 1..10 {
            pair.inbound().rekey(pair.key(n).master()).unwrap();
            let keys = pair.inbound().keys();
            let kept: Vec<_> = keys.iter().filter(|key| key.role == KeyRole::Added).map(|key| key.id).collect();
            assert_eq!(kept, added);
            assert_eq!(keys.len(), 7, "current, one in grace, five added");
            if n % 3 == 0 {
                pair.inbound().end_grace().unwrap();
            }
            for by in 100..105 {
                let packet = fresh(&pair, by, Protocol::Rtp, u32::from(by) << 8 | u32::from(n), 1);
                assert!(pair.open(Protocol::Rtp, &packet).is_ok());
            }
        }
        pair.inbound().retire_key(added[0]).unwrap();
        let error = if mki_len == 0 { Error::AuthenticationFailed } else { Error::UnknownMki };
        assert_eq!(pair.open(Protocol::Rtp, &fresh(&pair, 100, Protocol::Rtp, SSRC, 1)), Err(error));
    }
}

#[test]
fn p03_a_key_in_grace_can_be_retired_by_its_id() {
    let pair = Pair::with(Profile::Aes128CmSha1_80, 0, grace(3));
    let first = pair.inbound().keys()[0].id;
    let second = pair.inbound().rekey(pair.key(1).master()).unwrap().key();
    let third = pair.inbound().rekey(pair.key(2).master()).unwrap().key();
    assert_eq!(pair.inbound().keys().iter().map(|key| key.id).collect::<Vec<_>>(), [third, second, first]);
    pair.inbound().retire_key(second).unwrap();
    assert_eq!(pair.inbound().retire_key(third), Err(Error::KeyIsCurrent));
    let [by_first, by_second, by_third] = [0, 1, 2].map(|n| fresh(&pair, n, Protocol::Rtp, SSRC + u32::from(n), 1));
    assert!(pair.open(Protocol::Rtp, &by_first).is_ok());
    assert_eq!(pair.open(Protocol::Rtp, &by_second), Err(Error::AuthenticationFailed));
    assert!(pair.open(Protocol::Rtp, &by_third).is_ok());
}

// ---- P4

#[test]
fn p04_the_rollover_counter_survives_a_rekey() {
    for profile in authenticated() {
        let pair = Pair::new(profile);
        for step in 0..6u32 {
            // Three wraps, by half cycles.
            pair.send(Protocol::Rtp, SSRC, u16::try_from(step % 2 * 0x7fff).unwrap());
            if step % 2 == 1 {
                pair.send(Protocol::Rtp, SSRC, 0xfffe);
            }
        }
        assert_eq!(pair.inbound().roc(SSRC), Ok(Roc(2)));
        let before = (pair.accepted(), accepted(&pair.outbound().streams()));
        rekey_both(&pair, 1);
        assert_eq!((pair.accepted(), accepted(&pair.outbound().streams())), before);
        let first = pair.sealed(Protocol::Rtp, SSRC, 0xffff);
        let newcomer = receiver_under(&pair, 1);
        assert_eq!(open(newcomer.inbound(), Protocol::Rtp, &first), Err(Error::AuthenticationFailed), "ROC is not 0");
        assert_eq!(pair.open(Protocol::Rtp, &first), Ok(rtp(SSRC, 0xffff)));
        pair.send(Protocol::Rtp, SSRC, 0);
        assert_eq!((pair.inbound().roc(SSRC), pair.outbound().roc(SSRC)), (Ok(Roc(3)), Ok(Roc(3))));
        newcomer.inbound().add_stream(SSRC, Roc(2)).unwrap();
        assert_eq!(open(newcomer.inbound(), Protocol::Rtp, &first), Ok(rtp(SSRC, 0xffff)));
    }
}

#[test]
fn p04_the_srtcp_index_survives_a_rekey() {
    for profile in authenticated() {
        let pair = Pair::new(profile);
        for number in 0..9u16 {
            if number % 3 == 2 {
                rekey_both(&pair, u8::try_from(number).unwrap());
            }
            let packet = pair.sealed(Protocol::Rtcp, SSRC, number);
            assert_eq!(srtcp_word(profile, 0, &packet).1, u32::from(number), "{profile}");
            assert!(pair.open(Protocol::Rtcp, &packet).is_ok());
        }
        assert_eq!(pair.accepted()[0].1[1], (Some(8), 0, 9));
    }
}

#[test]
fn p04_packets_around_the_wrap_may_meet_a_rekey() {
    for profile in authenticated() {
        let pair = Pair::new(profile);
        let before: Vec<_> =
            [65_532u16, 65_533, 65_534].into_iter().map(|seq| pair.sealed(Protocol::Rtp, SSRC, seq)).collect();
        pair.outbound().rekey(pair.key(1).master()).unwrap();
        let after: Vec<_> = [65_535u16, 0, 1].into_iter().map(|seq| pair.sealed(Protocol::Rtp, SSRC, seq)).collect();
        assert!(pair.open(Protocol::Rtp, &before[0]).is_ok());
        pair.inbound().rekey(pair.key(1).master()).unwrap();
        // The new key and the new cycle first, then what the old key sent in the old one.
        for packet in [&after[1], &before[2], &after[2], &before[1], &after[0]] {
            assert!(pair.open(Protocol::Rtp, packet).is_ok(), "{profile}");
        }
        assert_eq!(pair.accepted()[0].1[0], (Some(65_537), 1, 6));
    }
}

// ---- P5

#[test]
fn p05_an_index_that_was_accepted_is_refused_under_a_new_key_too() {
    for profile in authenticated() {
        for protocol in BOTH {
            let pair = Pair::new(profile);
            let old = fresh(&pair, 0, protocol, SSRC, 5);
            assert_eq!(pair.open(protocol, &old), Ok(plain(protocol, SSRC, 5)));
            pair.inbound().rekey(pair.key(1).master()).unwrap();
            assert_eq!(pair.open(protocol, &old), Err(Error::Replayed));
            assert_eq!(pair.open(protocol, &fresh(&pair, 1, protocol, SSRC, 5)), Err(Error::Replayed), "{profile}");
            for number in [4, 6] {
                let packet = fresh(&pair, 1, protocol, SSRC, number);
                assert_eq!(pair.open(protocol, &packet), Ok(plain(protocol, SSRC, number)), "{profile}");
            }
            pair.inbound().end_grace().unwrap();
            assert_eq!(pair.open(protocol, &old), Err(Error::Replayed), "the index was seen, whatever the key");
        }
    }
}

#[test]
fn p05_a_key_that_comes_back_brings_no_replay_with_it() {
    for profile in authenticated() {
        let pair = Pair::with(profile, 0, |builder| builder.grace(Grace::NONE));
        let recorded: Vec<_> = BOTH.iter().map(|&protocol| (protocol, pair.sealed(protocol, SSRC, 5))).collect();
        for (protocol, packet) in &recorded {
            pair.open(*protocol, packet).unwrap();
        }
        rekey_both(&pair, 1);
        assert!(matches!(pair.inbound().rekey(pair.key(0).master()), Ok(Rekeyed::Switched(_))));
        for (protocol, packet) in &recorded {
            assert_eq!(pair.open(*protocol, packet), Err(Error::Replayed), "{profile}");
        }
    }
}

#[test]
fn p05_a_rekey_with_a_key_that_is_held_changes_nothing() {
    for profile in authenticated() {
        for mki_len in [0, 3] {
            let pair = Pair::with(profile, mki_len, |builder| builder);
            pair.send(Protocol::Rtp, SSRC, 1);
            pair.inbound().add_key(pair.key(7).master()).unwrap();
            pair.inbound().rekey(pair.key(1).master()).unwrap();
            let (keys, streams) = (pair.inbound().keys(), pair.accepted());
            for (n, role) in [(1, KeyRole::Current), (0, KeyRole::InGrace), (7, KeyRole::Added)] {
                let id = keys.iter().find(|key| key.role == role).unwrap().id;
                assert_eq!(
                    pair.inbound().rekey(pair.key(n).master()),
                    Ok(Rekeyed::Unchanged(id)),
                    "{profile} {role:?}"
                );
                assert_eq!(pair.inbound().keys(), keys);
            }
            assert_eq!(pair.accepted(), streams);
            let [current] = &pair.outbound().keys()[..] else { panic!("one outbound key") };
            assert_eq!(pair.outbound().rekey(pair.key(0).master()), Ok(Rekeyed::Unchanged(current.id)));
            // In grace still: nothing took it out.
            pair.send(Protocol::Rtp, SSRC, 2);
        }
    }
}

#[test]
fn p05_a_key_that_is_held_is_not_added_a_second_time() {
    let pair = Pair::new(Profile::Aes128CmSha1_80);
    let id = pair.inbound().add_key(pair.key(1).master()).unwrap();
    let keys = pair.inbound().keys();
    for (n, id) in [(0, keys[0].id), (1, id)] {
        assert_eq!(pair.inbound().add_key(pair.key(n).master()), Ok(id));
        assert_eq!(pair.inbound().keys(), keys);
    }
}

#[test]
fn p05_a_rollover_counter_cannot_go_back() {
    let pair = Pair::new(Profile::AeadAes128Gcm);
    assert_eq!(pair.inbound().set_roc(SSRC, Roc(1)), Err(Error::NoSuchStream));
    assert_eq!(pair.outbound().roc(SSRC), Err(Error::NoSuchStream));
    pair.send(Protocol::Rtp, SSRC, 40_000);
    for set in [5, 6] {
        pair.inbound().set_roc(SSRC, Roc(set)).unwrap();
        pair.outbound().set_roc(SSRC, Roc(set)).unwrap();
        for back in [0, 4] {
            assert_eq!(pair.inbound().set_roc(SSRC, Roc(back)), Err(Error::IndexBackward));
            assert_eq!(pair.outbound().set_roc(SSRC, Roc(back)), Err(Error::IndexBackward));
        }
        assert_eq!((pair.inbound().roc(SSRC), pair.outbound().roc(SSRC)), (Ok(Roc(set)), Ok(Roc(set))));
        pair.send(Protocol::Rtp, SSRC, 40_001);
    }
    assert_eq!(pair.inbound().add_stream(SSRC, Roc(9)), Err(Error::StreamExists));
    assert_eq!(pair.outbound().add_stream(SSRC, Roc(9), 9), Err(Error::StreamExists));
}

#[test]
fn p05_a_removed_stream_leaves_its_floor() {
    for profile in authenticated() {
        let pair = Pair::new(profile);
        let recorded: Vec<_> = (0..40u16)
            .flat_map(|n| BOTH.map(|protocol| (protocol, pair.sealed(protocol, SSRC, 65_516u16.wrapping_add(n)))))
            .collect();
        // Every other packet is accepted, up to the wrap and past it.
        for (protocol, packet) in recorded.chunks(2).step_by(2).flatten() {
            pair.open(*protocol, packet).unwrap();
        }
        pair.inbound().remove_stream(SSRC).unwrap();
        assert_eq!(pair.inbound().remove_stream(SSRC), Err(Error::NoSuchStream));
        assert_eq!(pair.inbound().roc(SSRC), Err(Error::NoSuchStream));
        assert_eq!(pair.inbound().streams(), []);
        // The highest one accepted is number 38; those below it are gone for good, seen or not.
        for (protocol, packet) in &recorded[..2 * 39] {
            let error = pair.open(*protocol, packet).expect_err("below the floor");
            assert!(matches!(error, Error::Replayed | Error::TooOld), "{profile} {error:?}");
        }
        assert_eq!(pair.inbound().streams(), []);
        assert_eq!(pair.inbound().add_stream(SSRC, Roc(0)), Err(Error::IndexBackward), "ROC is 1 by now");
        for (protocol, packet) in &recorded[2 * 39..] {
            assert_eq!(pair.open(*protocol, packet).map(|_| ()), Ok(()), "{profile} {protocol:?}");
        }
        assert_eq!(pair.inbound().roc(SSRC), Ok(Roc(1)), "the floor holds the cycle, too");
        for (protocol, packet) in &recorded {
            assert!(pair.open(*protocol, packet).is_err());
        }
    }
}

#[test]
fn p05_a_removed_stream_that_is_added_again_starts_above_its_floor() {
    let pair = Pair::new(Profile::Aes128CmSha1_80);
    let recorded: Vec<_> = (100..110u16).map(|seq| pair.sealed(Protocol::Rtp, SSRC, seq)).collect();
    pair.open(Protocol::Rtp, &recorded[5]).unwrap();
    pair.inbound().remove_stream(SSRC).unwrap();
    pair.inbound().add_stream(SSRC, Roc(0)).unwrap();
    for (n, packet) in recorded.iter().enumerate() {
        assert_eq!(pair.open(Protocol::Rtp, packet).is_ok(), n > 5, "number {n}");
    }
    pair.inbound().remove_stream(SSRC).unwrap();
    pair.inbound().add_stream(SSRC, Roc(3)).unwrap();
    for packet in &recorded {
        assert!(pair.open(Protocol::Rtp, packet).is_err());
    }
}

#[test]
fn p05_a_floor_survives_a_rekey() {
    let pair = Pair::new(Profile::Aes128CmSha1_80);
    pair.send(Protocol::Rtp, SSRC, 9);
    pair.inbound().remove_stream(SSRC).unwrap();
    pair.inbound().rekey(pair.key(1).master()).unwrap();
    pair.inbound().end_grace().unwrap();
    for (seq, good) in [(8, false), (9, false), (10, true)] {
        let packet = fresh(&pair, 1, Protocol::Rtp, SSRC, seq);
        assert_eq!(pair.open(Protocol::Rtp, &packet).is_ok(), good, "{seq}");
    }
}

#[test]
fn p05_a_full_table_refuses_and_never_evicts() {
    for protocol in BOTH {
        let pair = Pair::differing(Profile::AeadAes128Gcm, 0, |sender| sender, |receiver| receiver.max_streams(3));
        for ssrc in 0..3 {
            pair.send(protocol, ssrc, 1);
        }
        let before = pair.accepted();
        for ssrc in 3..100 {
            let packet = pair.sealed(protocol, ssrc, 1);
            assert_eq!(pair.open(protocol, &packet), Err(Error::TooManyStreams));
        }
        assert_eq!(pair.inbound().add_stream(77, Roc(0)), Err(Error::TooManyStreams));
        assert_eq!(pair.accepted(), before);
        for ssrc in 0..3 {
            pair.send(protocol, ssrc, 2);
        }
        // A floor needs its place as well: with it gone, replays would be welcome.
        pair.inbound().remove_stream(1).unwrap();
        let packet = pair.sealed(protocol, 3, 2);
        assert_eq!(pair.open(protocol, &packet), Err(Error::TooManyStreams));
        pair.send(protocol, 1, 3);
    }
}

#[test]
fn p05_a_sender_with_a_full_table_refuses_too() {
    let pair = Pair::differing(Profile::AeadAes128Gcm, 0, |sender| sender.max_streams(2), |receiver| receiver);
    pair.send(Protocol::Rtp, 1, 1);
    pair.send(Protocol::Rtcp, 2, 1);
    for protocol in BOTH {
        assert_eq!(seal(pair.outbound(), protocol, &plain(protocol, 3, 1)), Err(Error::TooManyStreams));
    }
    assert_eq!(pair.outbound().add_stream(3, Roc(0), 0), Err(Error::TooManyStreams));
    pair.send(Protocol::Rtp, 2, 1);
}

#[test]
fn p05_where_streams_are_added_by_call_unknown_ones_are_refused() {
    let pair = Pair::with(Profile::AeadAes128Gcm, 0, |builder| builder.new_streams(NewStreams::ByCall));
    for protocol in BOTH {
        assert_eq!(seal(pair.outbound(), protocol, &plain(protocol, SSRC, 1)), Err(Error::UnknownSsrc));
    }
    pair.outbound().add_stream(SSRC, Roc(0), 0).unwrap();
    for protocol in BOTH {
        let packet = pair.sealed(protocol, SSRC, 1);
        assert_eq!(pair.open(protocol, &packet), Err(Error::UnknownSsrc));
    }
    assert_eq!(pair.inbound().streams(), []);
    pair.inbound().add_stream(SSRC, Roc(0)).unwrap();
    for protocol in BOTH {
        pair.send(protocol, SSRC, 2);
    }
}

// ---- P6

#[test]
fn p06_an_index_is_sent_once_under_any_key() {
    for profile in Profile::ALL {
        let pair = Pair::new(profile);
        let outbound = pair.outbound();
        for seq in [10, 12, 11] {
            assert!(seal(outbound, Protocol::Rtp, &rtp(SSRC, seq)).is_ok());
        }
        for key in [0, 1, 0] {
            outbound.rekey(pair.key(key).master()).unwrap();
            for seq in 10..13 {
                assert_eq!(seal(outbound, Protocol::Rtp, &rtp(SSRC, seq)), Err(Error::IndexReused), "{profile} {seq}");
            }
        }
        for (added, next) in [(false, 13), (true, 14)] {
            outbound.remove_stream(SSRC).unwrap();
            if added {
                outbound.add_stream(SSRC, Roc(0), 0).unwrap();
            }
            for seq in 0..next {
                let error = seal(outbound, Protocol::Rtp, &rtp(SSRC, seq)).expect_err("below the floor");
                assert!(matches!(error, Error::IndexReused | Error::IndexTooOld), "{error:?}");
            }
            assert!(seal(outbound, Protocol::Rtp, &rtp(SSRC, next)).is_ok());
        }
    }
}

#[test]
fn p08_a_refused_packet_does_not_bring_a_removed_stream_back_inbound() {
    for profile in authenticated() {
        let few = |builder: SessionBuilder| builder.key_lifetime(KeyLifetime { srtp_packets: 2, srtcp_packets: 2 });
        let pair = Pair::differing(profile, 0, |sender| sender, few);
        for protocol in BOTH {
            let packets: Vec<_> = (1..5).map(|number| pair.sealed(protocol, SSRC, number)).collect();
            for packet in &packets[1..3] {
                pair.open(protocol, packet).unwrap();
            }
            pair.inbound().remove_stream(SSRC).unwrap();
            let mut forged = packets[3].clone();
            *forged.last_mut().unwrap() ^= 1;
            for packet in [&packets[0], &packets[1], &packets[2], &packets[3], &forged] {
                let error = pair.open(protocol, packet).expect_err("old, seen, expired or forged");
                assert_eq!(pair.inbound().streams(), [], "{profile} {protocol:?}: {error:?} brought the stream back");
            }
            rekey_both(&pair, u8::from(protocol == Protocol::Rtp) + 1);
        }
    }
}

#[test]
fn p08_a_refused_packet_does_not_bring_a_removed_stream_back_outbound() {
    for profile in Profile::ALL {
        let pair = Pair::new(profile);
        pair.sealed(Protocol::Rtp, SSRC, 10);
        pair.outbound().remove_stream(SSRC).unwrap();
        for seq in [9, 10] {
            let error = seal(pair.outbound(), Protocol::Rtp, &rtp(SSRC, seq)).expect_err("below the floor");
            assert_eq!(pair.outbound().streams(), [], "{profile} {seq}: {error:?} brought the stream back");
        }
        pair.outbound().add_stream(SSRC, Roc(0), 0).unwrap();
    }
}

#[test]
fn p08_an_exhausted_srtcp_index_does_not_bring_a_removed_stream_back() {
    let pair = Pair::new(Profile::Aes128CmSha1_80);
    pair.outbound().add_stream(SSRC, Roc(0), 0x7fff_ffff).unwrap();
    pair.sealed(Protocol::Rtcp, SSRC, 1);
    pair.outbound().remove_stream(SSRC).unwrap();
    assert_eq!(seal(pair.outbound(), Protocol::Rtcp, &rtcp(SSRC, 2)), Err(Error::SrtcpIndexExhausted));
    assert_eq!(pair.outbound().streams(), []);
}

#[test]
fn p08_refusals_of_a_stream_are_counted_with_it_and_nowhere_else() {
    for profile in authenticated() {
        let pair = Pair::new(profile);
        pair.send(Protocol::Rtp, SSRC + 1, 1);
        for protocol in BOTH {
            let packet = pair.sealed(protocol, SSRC, 1);
            pair.open(protocol, &packet).unwrap();
            for _ in 0..3 {
                assert_eq!(pair.open(protocol, &packet), Err(Error::Replayed));
            }
        }
        for info in pair.inbound().streams() {
            let expected = if info.ssrc.0 == SSRC { 3 } else { 0 };
            assert_eq!((info.rtp.refused, info.rtcp.refused), (expected, expected), "{profile} {}", info.ssrc);
        }
        let counts = pair.inbound().refused();
        assert_eq!((counts.replayed, counts.authentication_failed), (6, 0));
    }
}

#[test]
fn p06_an_index_too_far_behind_is_not_sent() {
    let pair = Pair::with(Profile::Aes128CmSha1_80, 0, |builder| builder.replay_window(64));
    pair.send(Protocol::Rtp, SSRC, 1000);
    assert_eq!(seal(pair.outbound(), Protocol::Rtp, &rtp(SSRC, 936)), Err(Error::IndexTooOld));
    pair.send(Protocol::Rtp, SSRC, 937);
    assert_eq!(seal(pair.outbound(), Protocol::Rtp, &rtp(SSRC, 937)), Err(Error::IndexReused));
}

#[test]
fn p06_a_removed_stream_goes_on_with_its_srtcp_index() {
    for profile in authenticated() {
        let pair = Pair::new(profile);
        for number in 0..5 {
            pair.send(Protocol::Rtcp, SSRC, number);
        }
        pair.outbound().remove_stream(SSRC).unwrap();
        let packet = pair.sealed(Protocol::Rtcp, SSRC, 5);
        assert_eq!(srtcp_word(profile, 0, &packet).1, 5, "{profile}");
        pair.outbound().remove_stream(SSRC).unwrap();
        pair.outbound().add_stream(SSRC, Roc(0), 0).unwrap();
        let packet = pair.sealed(Protocol::Rtcp, SSRC, 6);
        assert_eq!(srtcp_word(profile, 0, &packet).1, 6, "{profile}");
    }
}

#[test]
fn p06_of_many_threads_that_send_one_index_exactly_one_succeeds() {
    const THREADS: usize = 4;
    const PACKETS: u16 = 1500;
    let pair = Pair::new(Profile::AeadAes128Gcm);
    let barrier = Barrier::new(THREADS);
    let send = |thread: usize| {
        let mut sent = Vec::new();
        barrier.wait();
        for n in 0..PACKETS {
            // Around the wrap; neighbours change places, so that windows move under the others.
            let seq = (n ^ 1).wrapping_sub(700);
            if thread == 0 && n % 100 == 50 {
                pair.outbound().rekey(pair.key(u8::try_from(n / 100 + 1).unwrap()).master()).unwrap();
            }
            let mut plain = rtp(SSRC, seq);
            // Each has something else to say: that is what makes sending an index twice so bad.
            plain[12] = u8::try_from(thread).unwrap();
            sent.push((seq, plain.clone(), seal(pair.outbound(), Protocol::Rtp, &plain)));
        }
        sent
    };
    let sent: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || send(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut winners = std::collections::HashMap::new();
    for (seq, _, result) in sent {
        match result {
            Ok(packet) => assert!(winners.insert(seq, packet).is_none(), "{seq} was sent twice"),
            Err(error) => assert!(matches!(error, Error::IndexReused | Error::IndexTooOld), "{error:?}"),
        }
    }
    assert_eq!(winners.len(), usize::from(PACKETS), "an index was never sent");
    assert_eq!(accepted(&pair.outbound().streams())[0].1[0].2, u64::from(PACKETS));
}

#[test]
fn p06_srtcp_indices_of_many_threads_are_all_distinct() {
    const THREADS: u32 = 4;
    const PACKETS: u32 = 1500;
    let profile = Profile::NullSha1_80;
    let pair = Pair::new(profile);
    let send = |thread: u32| {
        let send = |n: u32| {
            if thread == 0 && n.is_multiple_of(200) {
                pair.outbound().rekey(pair.key(u8::try_from(n / 200 + 1).unwrap()).master()).unwrap();
            }
            let packet = seal(pair.outbound(), Protocol::Rtcp, &rtcp(SSRC, n)).unwrap();
            srtcp_word(profile, 0, &packet).1
        };
        (0..PACKETS).map(send).collect::<Vec<_>>()
    };
    let mut indices: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || send(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    indices.sort_unstable();
    assert_eq!(indices, (0..THREADS * PACKETS).collect::<Vec<_>>());
}

// ---- P7

#[test]
fn p07_streams_share_a_keys_lifetime_and_never_exceed_it() {
    for (limit, streams) in [(1u64, 3u32), (50, 7), (1000, 10), (5000, 3)] {
        for protocol in BOTH {
            let lifetime = match protocol {
                Protocol::Rtp => KeyLifetime { srtp_packets: limit, ..KeyLifetime::MAX },
                Protocol::Rtcp => KeyLifetime { srtcp_packets: limit, ..KeyLifetime::MAX },
            };
            let set = |builder: SessionBuilder| builder.key_lifetime(lifetime);
            let pair = Pair::differing(Profile::NullSha1_80, 0, set, |receiver| receiver);
            let strict = Pair::differing(Profile::NullSha1_80, 0, |sender| sender, set);
            let (mut sent, mut received) = (0, 0);
            for number in 0..u16::try_from(limit).unwrap() + 2 {
                for ssrc in 0..streams {
                    match seal(pair.outbound(), protocol, &plain(protocol, ssrc, number)) {
                        Ok(_) => sent += 1,
                        Err(error) => assert_eq!(error, Error::KeyExpired),
                    }
                    match strict.open(protocol, &strict.sealed(protocol, ssrc, number)) {
                        Ok(_) => received += 1,
                        Err(error) => assert_eq!((error, error.fault()), (Error::KeyExpired, Fault::Key)),
                    }
                }
                if number > 0 && u64::from(number) * u64::from(streams) > limit + u64::from(streams) * 600 {
                    break;
                }
            }
            assert!(sent <= limit && received <= limit, "{sent} sent, {received} received of {limit}");
            assert!(sent > 0 && received > 0);
        }
    }
}

#[test]
fn p07_threads_together_never_exceed_a_keys_lifetime() {
    const LIMIT: u64 = 2000;
    let lifetime = KeyLifetime { srtp_packets: LIMIT, srtcp_packets: LIMIT };
    // Two threads share a stream: neither must leave the other a window behind.
    let set = |builder: SessionBuilder| builder.key_lifetime(lifetime).replay_window(32_768);
    let pair = Pair::differing(Profile::NullSha1_80, 0, set, |receiver| receiver);
    for protocol in BOTH {
        let sent = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4u16 {
                let (pair, sent) = (&pair, &sent);
                scope.spawn(move || {
                    for n in 0..900 {
                        let packet = plain(protocol, u32::from(thread / 2), n * 4 + thread);
                        match seal(pair.outbound(), protocol, &packet) {
                            Ok(_) => drop(sent.fetch_add(1, Ordering::Relaxed)),
                            Err(error) => assert_eq!(error, Error::KeyExpired),
                        }
                    }
                });
            }
        });
        let sent = sent.into_inner();
        assert!(sent <= LIMIT && sent > 0, "{sent} {protocol:?}");
    }
}

#[test]
fn p07_the_srtcp_index_passes_its_end_under_a_fresh_key_only() {
    const LAST: u32 = 0x7fff_ffff;
    for profile in authenticated() {
        let pair = Pair::new(profile);
        pair.outbound().add_stream(SSRC, Roc(0), LAST).unwrap();
        let last = pair.sealed(Protocol::Rtcp, SSRC, 1);
        assert_eq!(srtcp_word(profile, 0, &last).1, LAST);
        assert_eq!(pair.open(Protocol::Rtcp, &last), Ok(rtcp(SSRC, 1)));
        for _ in 0..3 {
            let refused = seal(pair.outbound(), Protocol::Rtcp, &rtcp(SSRC, 2));
            assert_eq!(refused, Err(Error::SrtcpIndexExhausted), "{profile}");
        }
        assert_eq!(Error::SrtcpIndexExhausted.fault(), Fault::Key);
        // The same key given again is no fresh one.
        assert!(matches!(pair.outbound().rekey(pair.key(0).master()), Ok(Rekeyed::Unchanged(_))));
        let refused = seal(pair.outbound(), Protocol::Rtcp, &rtcp(SSRC, 2));
        assert_eq!(refused, Err(Error::SrtcpIndexExhausted));
        rekey_both(&pair, 1);
        let mut packets = vec![last];
        for n in 0..5 {
            let packet = pair.sealed(Protocol::Rtcp, SSRC, n);
            assert_eq!(srtcp_word(profile, 0, &packet).1, u32::from(n), "{profile}");
            assert_eq!(pair.open(Protocol::Rtcp, &packet), Ok(rtcp(SSRC, n.into())), "{profile}");
            packets.push(packet);
        }
        assert_eq!(pair.accepted()[0].1[1], (Some((1 << 31) + 4), 1, 6));
        for packet in packets {
            assert_eq!(pair.open(Protocol::Rtcp, &packet), Err(Error::Replayed), "{profile}");
        }
    }
}

#[test]
fn p07_a_refused_srtcp_packet_costs_the_key_nothing() {
    // Few enough that a stream leases them one by one.
    const PACKETS: u64 = 5;
    let lifetime = KeyLifetime { srtcp_packets: PACKETS, ..KeyLifetime::MAX };
    let pair = Pair::with(Profile::AeadAes128Gcm, 0, |builder| builder.key_lifetime(lifetime));
    pair.outbound().add_stream(SSRC, Roc(0), 0x7fff_ffff).unwrap();
    pair.send(Protocol::Rtcp, SSRC, 1);
    let left = || pair.outbound().packets_left(pair.outbound().keys()[0].id).unwrap().srtcp_packets;
    assert_eq!(left(), PACKETS - 1);
    for _ in 0..PACKETS {
        assert_eq!(seal(pair.outbound(), Protocol::Rtcp, &rtcp(SSRC, 2)), Err(Error::SrtcpIndexExhausted));
        assert_eq!(left(), PACKETS - 1);
    }
    // Other streams have it still.
    for number in 1..5 {
        pair.send(Protocol::Rtcp, SSRC + 1, number);
    }
    assert_eq!(seal(pair.outbound(), Protocol::Rtcp, &rtcp(SSRC + 1, 5)), Err(Error::KeyExpired));
}

#[test]
fn p07_a_receiver_takes_srtcp_around_the_end_of_the_index_in_any_order() {
    let pair = Pair::new(Profile::AeadAes128Gcm);
    pair.outbound().add_stream(SSRC, Roc(0), 0x7fff_fffd).unwrap();
    let mut packets: Vec<_> = (0..3).map(|n| pair.sealed(Protocol::Rtcp, SSRC, n)).collect();
    rekey_both(&pair, 1);
    packets.extend((3..6).map(|n| pair.sealed(Protocol::Rtcp, SSRC, n)));
    for n in [1, 3, 0, 5, 2, 4] {
        assert_eq!(pair.open(Protocol::Rtcp, &packets[n]), Ok(rtcp(SSRC, u32::try_from(n).unwrap())));
        assert_eq!(pair.open(Protocol::Rtcp, &packets[n]), Err(Error::Replayed));
    }
}

#[test]
fn p08_only_accepted_packets_end_the_idleness_of_a_stream() {
    let pair = Pair::new(Profile::Aes128CmSha1_80);
    let idle_since = || pair.inbound().streams()[0].idle_since;
    let begun = Instant::now();
    pair.send(Protocol::Rtp, SSRC, 1);
    let first = idle_since();
    assert!(begun <= first && first <= Instant::now());
    for protocol in BOTH {
        let packet = pair.sealed(protocol, SSRC, 2);
        let mut forged = packet.clone();
        *forged.last_mut().unwrap() ^= 1;
        let before = idle_since();
        std::thread::sleep(Duration::from_millis(2));
        assert!(pair.open(protocol, &forged).is_err());
        assert_eq!(idle_since(), before, "a forgery");
        let sent = Instant::now();
        pair.open(protocol, &packet).unwrap();
        let after = idle_since();
        assert!(sent <= after && after <= Instant::now(), "{protocol:?}");
        assert!(pair.open(protocol, &packet).is_err());
        assert_eq!(idle_since(), after, "a replay");
    }
}

// ---- P9

/// `created == live + waiting + wiped`.
fn check_the_books(domain: &Domain, live: u64) {
    let stats = domain.stats();
    assert_eq!(stats.keys_created, live + (stats.keys_retired - stats.keys_wiped) + stats.keys_wiped, "{stats:?}");
}

#[test]
fn p09_every_key_is_counted_from_its_making_to_its_wiping() {
    let pair = Pair::with(Profile::Aes128CmSha1_80, 0, grace(1));
    let domain = &pair.domain;
    let books = || {
        let left = domain.reclaim();
        let stats = domain.stats();
        assert_eq!((left, stats.items_waiting), (0, 0), "{stats:?}");
        (stats.keys_created, stats.keys_retired, stats.keys_wiped)
    };
    assert_eq!(books(), (4, 0, 0), "two sessions, two directions");
    pair.inbound().rekey(pair.key(1).master()).unwrap();
    assert_eq!(books(), (5, 0, 0), "in grace");
    pair.inbound().end_grace().unwrap();
    assert_eq!(books(), (5, 1, 1));
    let added = pair.inbound().add_key(pair.key(2).master()).unwrap();
    assert_eq!(books(), (6, 1, 1));
    pair.inbound().retire_key(added).unwrap();
    assert_eq!(books(), (6, 2, 2));
    pair.inbound().rekey(pair.key(1).master()).unwrap();
    let (created, retired, wiped) = books();
    assert_eq!(retired, wiped);
    assert_eq!(created - retired, 4, "unchanged: what was derived for it is not live");
    pair.inbound().rekey(pair.key(3).master()).unwrap();
    pair.inbound().rekey(pair.key(4).master()).unwrap();
    check_the_books(domain, 5);
    let Pair { domain, sender, receiver, .. } = pair;
    drop(sender);
    domain.reclaim();
    check_the_books(&domain, 3);
    drop(receiver);
    assert_eq!(domain.reclaim(), 0);
    check_the_books(&domain, 0);
    let stats = domain.stats();
    assert_eq!((stats.keys_retired, stats.keys_wiped), (stats.keys_created, stats.keys_created));
}

#[test]
fn p09_a_replaced_outbound_key_is_retired_at_once() {
    let pair = Pair::new(Profile::Aes128CmSha1_80);
    for n in 1..5u8 {
        pair.outbound().rekey(pair.key(n).master()).unwrap();
        let keys = pair.outbound().keys();
        assert_eq!(keys.iter().map(|key| key.role).collect::<Vec<_>>(), [KeyRole::Current], "after rekey {n}");
        assert_eq!(pair.domain.reclaim(), 0);
        assert_eq!(pair.domain.stats().keys_wiped, n.into());
    }
}

#[test]
fn p02_a_sender_goes_back_to_its_previous_key_when_told_to() {
    for profile in authenticated() {
        let pair = Pair::new(profile);
        pair.outbound().rekey(pair.key(1).master()).unwrap();
        let back = pair.outbound().rekey(pair.key(0).master());
        assert!(matches!(back, Ok(Rekeyed::Switched(_))), "{profile}: not the current key, and {back:?}");
        // The receiver has held key 0 all along.
        pair.send(Protocol::Rtp, SSRC, 1);
    }
}

#[test]
fn p09_a_guard_holds_a_retired_key_back_until_it_goes() {
    let pair = Pair::with(Profile::Aes128CmSha1_80, 0, |builder| builder.grace(Grace::NONE));
    let (pinned, release) = (Barrier::new(2), Barrier::new(2));
    let domain = &pair.domain;
    let (held, retired, wiped_early) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let guard = domain.pin();
            pinned.wait();
            release.wait();
            drop(guard);
            pinned.wait();
        });
        pinned.wait();
        let rekeyed = pair.inbound().rekey(pair.key(1).master());
        let (held, stats) = (domain.reclaim(), domain.stats());
        release.wait();
        pinned.wait();
        assert!(rekeyed.is_ok());
        (held, stats.keys_retired, stats.keys_wiped)
    });
    assert_eq!((retired, wiped_early), (1, 0), "wiped under a guard");
    assert!(held > 0, "nothing waits");
    assert_eq!(domain.reclaim(), 0);
    let stats = domain.stats();
    assert_eq!((stats.keys_retired, stats.keys_wiped, stats.items_waiting), (1, 1, 0));
}

#[test]
fn p09_a_guard_that_is_pinned_afresh_between_packets_holds_nothing_back() {
    let pair = Pair::with(Profile::Aes128CmSha1_80, 0, |builder| builder.grace(Grace::NONE));
    let domain = &pair.domain;
    let (pinned, release) = (Barrier::new(2), Barrier::new(2));
    let (rekeyed, held, wiped) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut guard = domain.pin();
            pinned.wait();
            // A few batches later; the guard is never gone. (Epochs may need more than one of them.)
            for _ in 0..3 {
                release.wait();
                guard.repin();
                pinned.wait();
            }
        });
        pinned.wait();
        let rekeyed = pair.inbound().rekey(pair.key(1).master());
        let held = domain.reclaim();
        for _ in 0..3 {
            release.wait();
            pinned.wait();
            domain.reclaim();
        }
        (rekeyed, held, domain.stats().keys_wiped)
    });
    assert!(rekeyed.is_ok() && held > 0);
    assert_eq!(wiped, 1);
}

#[test]
fn p09_threads_that_are_idle_hold_nothing() {
    let pair = Pair::with(Profile::Aes128CmSha1_80, 0, |builder| builder.grace(Grace::NONE));
    let (idle, done) = (Barrier::new(5), Barrier::new(5));
    let packets: Vec<_> = (0..4).map(|ssrc| pair.sealed(Protocol::Rtp, ssrc, 1)).collect();
    let (rekeys, left, wiped) = std::thread::scope(|scope| {
        for packet in &packets {
            let (pair, idle, done) = (&pair, &idle, &done);
            scope.spawn(move || {
                let opened = pair.inbound().unprotect_rtp_autopin(&mut packet.clone()).is_ok();
                idle.wait();
                done.wait();
                assert!(opened);
            });
        }
        idle.wait();
        let rekeys: Vec<_> = (1..20).map(|n| pair.inbound().rekey(pair.key(n).master())).collect();
        let (left, wiped) = (pair.domain.reclaim(), pair.domain.stats().keys_wiped);
        done.wait();
        (rekeys, left, wiped)
    });
    assert!(rekeys.iter().all(Result::is_ok));
    assert_eq!((left, wiped), (0, 19));
}

/// Long enough for any machine: a test that needs it all has failed.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn p09_replaced_keys_are_wiped_without_help_from_anyone() {
    for grace_keys in [0, 1] {
        let pair = Pair::with(Profile::Aes128CmSha1_80, 0, grace(grace_keys));
        pair.send(Protocol::Rtp, SSRC, 1);
        for n in 1..6u8 {
            pair.inbound().rekey(pair.key(n).master()).unwrap();
        }
        pair.inbound().end_grace().unwrap();
        pair.outbound().rekey(pair.key(1).master()).unwrap();
        // No packet, no guard, no call: only looking.
        let begun = Instant::now();
        while pair.domain.stats().keys_wiped < 6 && begun.elapsed() < LONG {
            std::thread::sleep(Duration::from_millis(1));
        }
        let stats = pair.domain.stats();
        assert_eq!((stats.keys_retired, stats.keys_wiped), (6, 6), "{stats:?}");
    }
}

#[test]
fn p09_synchronize_says_that_the_old_key_is_gone_while_readers_go_on() {
    let pair = Pair::new(Profile::NullSha1_80);
    let (packet, stop) = (pair.sealed(Protocol::Rtp, SSRC, 1), AtomicBool::new(false));
    let verdicts = std::thread::scope(|scope| {
        let at_end = AtEnd(|| stop.store(true, Ordering::Release));
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Acquire) {
                    let _ = pair.open(Protocol::Rtp, &packet);
                }
            });
        }
        let turn = |n: u8| {
            pair.inbound().rekey(pair.key(n).master()).unwrap();
            pair.inbound().end_grace().unwrap();
            let said = pair.domain.synchronize(LONG);
            (said, pair.domain.stats().keys_wiped)
        };
        let verdicts: Vec<_> = (1..30).map(turn).collect();
        drop(at_end);
        verdicts
    });
    for (n, verdict) in (1..).zip(verdicts) {
        assert_eq!(verdict, (Ok(()), n));
    }
}

#[test]
fn p09_synchronize_names_who_stalls() {
    let pair = Pair::with(Profile::Aes128CmSha1_80, 0, |builder| builder.grace(Grace::NONE));
    assert_eq!(pair.domain.synchronize(LONG), Ok(()));
    let (pinned, release) = (Barrier::new(2), Barrier::new(2));
    let stalled = std::thread::scope(|scope| {
        let sleeper = || {
            let guard = pair.domain.pin();
            pinned.wait();
            release.wait();
            drop(guard);
        };
        std::thread::Builder::new().name("sleeper".to_owned()).spawn_scoped(scope, sleeper).unwrap();
        pinned.wait();
        let rekeyed = pair.inbound().rekey(pair.key(1).master());
        let stalled = rekeyed.map(|_| pair.domain.synchronize(Duration::from_millis(20)));
        release.wait();
        stalled
    });
    let Ok(Err(SynchronizeError::Stalled { waiting, readers })) = stalled else { panic!("{stalled:?}") };
    assert!(waiting > 0);
    assert!(readers.iter().any(|reader| reader.thread.contains("sleeper")), "{readers:?}");
    assert_eq!(pair.domain.synchronize(LONG), Ok(()));
    assert_eq!(pair.domain.stats().keys_wiped, 1);
    assert!(pair.domain.pinned_readers().is_empty());
}

#[test]
fn p09_synchronize_under_a_guard_of_its_own_says_so() {
    let pair = Pair::with(Profile::Aes128CmSha1_80, 0, |builder| builder.grace(Grace::NONE));
    let guard = pair.domain.pin();
    assert_eq!(pair.domain.synchronize(LONG), Err(SynchronizeError::CallerPinned));
    pair.inbound().rekey(pair.key(1).master()).unwrap();
    assert_eq!(pair.domain.synchronize(LONG), Err(SynchronizeError::CallerPinned));
    assert_eq!(pair.domain.pinned_readers().len(), 1);
    drop(guard);
    assert_eq!(pair.domain.synchronize(LONG), Ok(()));
    assert_eq!(pair.domain.stats().keys_wiped, 1);
}

#[test]
fn p09_a_guard_that_was_forgotten_is_named_though_its_thread_is_gone() {
    let pair = Pair::with(Profile::Aes128CmSha1_80, 0, |builder| builder.grace(Grace::NONE));
    let forget = || std::mem::forget(pair.domain.pin());
    std::thread::scope(|scope| {
        std::thread::Builder::new().name("forgetful".to_owned()).spawn_scoped(scope, forget).unwrap();
    });
    pair.inbound().rekey(pair.key(1).master()).unwrap();
    let stalled = pair.domain.synchronize(Duration::from_millis(20));
    let Err(SynchronizeError::Stalled { readers, .. }) = stalled else { panic!("{stalled:?}") };
    assert!(readers.iter().any(|reader| reader.thread.contains("forgetful")), "{readers:?}");
    // Nothing else suffers from it.
    rekey_both(&pair, 2);
    pair.send(Protocol::Rtp, SSRC, 1);
}

#[test]
fn p09_a_rekey_beyond_the_backlog_is_refused_and_the_key_in_use_stays() {
    const BACKLOG: u64 = 20;
    let (domain, profile) = (Domain::with_backlog(BACKLOG), Profile::Aes128CmSha1_80);
    let key = |n: u8| Key::nth(profile, n, 0).master();
    let builder = Session::builder(profile).inbound(key(0)).outbound(key(0)).grace(Grace::NONE);
    let session = builder.build(&domain).unwrap();
    let (inbound, outbound) = (session.inbound(), session.outbound());
    let guard = domain.pin();
    let mut last = 0;
    let refused = (1..=255).find_map(|n| match inbound.rekey(key(n)) {
        Ok(_) => {
            last = n;
            None
        }
        Err(error) => Some(error),
    });
    assert_eq!(refused, Some(Error::TooManyRetired));
    assert!(u64::from(last) <= BACKLOG + 1, "{last} rekeys");
    assert_eq!(outbound.rekey(key(last)), Err(Error::TooManyRetired), "the bound is the domain's");
    let waiting = domain.stats().items_waiting;
    assert!(waiting <= BACKLOG + 3, "{waiting} values wait");
    drop(guard);
    assert_eq!(domain.synchronize(LONG), Ok(()));
    assert_eq!(domain.stats().keys_wiped, last.into());
    // What was refused has changed nothing, and a rekey is possible again.
    let by_last = Session::builder(profile).outbound(key(last)).build(&domain).unwrap();
    let packet = seal(by_last.outbound(), Protocol::Rtp, &rtp(SSRC, 1)).unwrap();
    assert_eq!(open(inbound, Protocol::Rtp, &packet), Ok(rtp(SSRC, 1)));
    assert!(matches!(inbound.rekey(key(0)), Ok(Rekeyed::Switched(_))));
    let packet = seal(outbound, Protocol::Rtp, &rtp(SSRC, 2)).unwrap();
    assert_eq!(open(inbound, Protocol::Rtp, &packet), Ok(rtp(SSRC, 2)));
}

// ---- P12

/// Sessions that go while threads are inside `unprotect`; with the domain's handle gone first, or last.
#[test]
fn p12_a_session_may_be_dropped_while_readers_use_it() {
    for round in 0..60u32 {
        let pair = Pair::new(ONE_OF_EACH[round as usize % 3]);
        let packets: Vec<_> = (0..60).map(|seq| pair.sealed(Protocol::Rtp, SSRC, seq)).collect();
        let (domain, started, gone) = (pair.domain.clone(), Barrier::new(3), AtomicBool::new(false));
        let (after_drop, opened) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let (inbound, outbound) = (pair.inbound().clone(), pair.receiver.outbound().clone());
                let (packets, started, gone, after_drop, opened) = (&packets, &started, &gone, &after_drop, &opened);
                scope.spawn(move || {
                    started.wait();
                    for (at, packet) in packets.iter().enumerate() {
                        if at % 2 == thread {
                            opened.fetch_add(open(&inbound, Protocol::Rtp, packet).is_ok().into(), Ordering::Relaxed);
                        }
                    }
                    while !gone.load(Ordering::Acquire) {
                        std::thread::yield_now();
                    }
                    // The clone is the last that is left of it, and works as ever.
                    let ssrc = SSRC + u32::try_from(thread).unwrap();
                    let sealed = seal(&outbound, Protocol::Rtp, &rtp(ssrc, 7));
                    let replayed = open(&inbound, Protocol::Rtp, &packets[thread]);
                    let works = sealed.is_ok() && replayed == Err(Error::Replayed);
                    after_drop.fetch_add(works.into(), Ordering::Relaxed);
                });
            }
            started.wait();
            for _ in 0..round {
                std::thread::yield_now();
            }
            drop(pair);
            gone.store(true, Ordering::Release);
        });
        assert_eq!((opened.into_inner(), after_drop.into_inner()), (60, 2));
        assert_eq!(domain.reclaim(), 0);
        let stats = domain.stats();
        assert_eq!((stats.keys_created, stats.keys_retired, stats.keys_wiped), (4, 4, 4));
    }
}

#[test]
fn p12_a_context_keeps_its_domain_alive() {
    let Pair { domain, sender, receiver, .. } = Pair::new(Profile::AeadAes128Gcm);
    drop(domain);
    let packet = seal(sender.outbound(), Protocol::Rtp, &rtp(SSRC, 1)).unwrap();
    drop(sender);
    assert_eq!(open(receiver.inbound(), Protocol::Rtp, &packet), Ok(rtp(SSRC, 1)));
    let clone = receiver.inbound().domain().clone();
    assert_eq!(clone.reclaim(), 0);
    assert_eq!(clone.stats().keys_wiped, 2, "those of the sender");
}

#[test]
fn p12_a_session_may_be_dropped_under_a_guard() {
    let Pair { domain, sender, receiver, .. } = Pair::new(Profile::AeadAes128Gcm);
    let guard = domain.pin();
    let mut packet = rtp(SSRC, 1);
    packet.resize(100, 0);
    let len = sender.outbound().protect_rtp(&guard, &mut packet, 32).unwrap();
    drop(sender);
    assert!(receiver.inbound().unprotect_rtp(&guard, &mut packet[..len]).is_ok());
    drop(receiver);
    drop(guard);
    assert_eq!(domain.reclaim(), 0);
    let stats = domain.stats();
    assert_eq!((stats.keys_created, stats.keys_wiped), (4, 4));
}
