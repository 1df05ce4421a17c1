//! What becomes of rollover counters, SRTCP indices and replay lists at a rekey: P4, and P5 and P6 across index spaces.

mod common;

use common::*;
use keyflip::{Domain, Error, Grace, NewStreams, Profile, Rekeyed, Roc, RocOnRekey, Session, SessionBuilder};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};

use RocOnRekey::{Keep, Probe, Reset};

/// A pair whose streams stand at ROC 2, sequence number 100, and SRTCP index 6.
fn at_roc_2(profile: Profile, configure: impl Fn(SessionBuilder) -> SessionBuilder) -> Pair {
    let pair = Pair::with(profile, 0, configure);
    pair.announce(SSRC);
    for seq in [0, 0x7000, 0xe000, 0x5000, 0xc000, 0x3000] {
        pair.send(Protocol::Rtp, SSRC, seq);
        pair.send(Protocol::Rtcp, SSRC, seq);
    }
    assert_eq!((pair.inbound().roc(SSRC), pair.outbound().roc(SSRC)), (Ok(Roc(2)), Ok(Roc(2))));
    pair
}

fn plainly(builder: SessionBuilder) -> SessionBuilder {
    builder
}

fn rekey_sender(pair: &Pair, n: u8, roc: RocOnRekey) {
    assert!(matches!(pair.outbound().rekey_with(pair.key(n).master(), roc), Ok(Rekeyed::Switched(_))));
}

fn rekey_receiver(pair: &Pair, n: u8, roc: RocOnRekey) {
    assert!(matches!(pair.inbound().rekey_with(pair.key(n).master(), roc), Ok(Rekeyed::Switched(_))));
}

fn spaces(pair: &Pair) -> Vec<keyflip::SpaceId> {
    pair.inbound().keys().iter().map(|key| key.space).collect()
}

/// Delivered again, each is refused.
fn replays_are_refused(pair: &Pair, packets: &[(Protocol, Vec<u8>)]) {
    for (protocol, packet) in packets {
        let error = pair.open(*protocol, packet).expect_err("a replay");
        assert!(matches!(error, Error::Replayed | Error::TooOld), "{error:?}");
    }
}

#[test]
fn p04_under_keep_indices_go_on_in_the_space_they_are_in() {
    for profile in authenticated() {
        let pair = at_roc_2(profile, plainly);
        pair.send(Protocol::Rtp, SSRC, 0x9000);
        pair.send(Protocol::Rtp, SSRC, 0xffff);
        rekey_receiver(&pair, 1, Keep);
        rekey_sender(&pair, 1, Keep);
        pair.send(Protocol::Rtp, SSRC, 0);
        assert_eq!((pair.inbound().roc(SSRC), pair.outbound().roc(SSRC)), (Ok(Roc(3)), Ok(Roc(3))));
        let [one, other] = spaces(&pair)[..] else { panic!("two keys") };
        assert_eq!(one, other);
        assert_eq!(srtcp_word(profile, 0, &pair.sealed(Protocol::Rtcp, SSRC, 0)).1, 6);
    }
}

#[test]
fn p04_under_reset_indices_begin_afresh_and_what_is_in_flight_is_judged_where_it_was() {
    for profile in authenticated() {
        let pair = at_roc_2(profile, plainly);
        let mut flying: Vec<_> = [0x3001u16, 0x3002, 0x3003]
            .into_iter()
            .flat_map(|n| BOTH.map(|protocol| (protocol, pair.sealed(protocol, SSRC, n))))
            .collect();
        rekey_receiver(&pair, 1, Reset);
        rekey_sender(&pair, 1, Reset);
        assert_ne!(spaces(&pair)[0], spaces(&pair)[1]);
        let late = flying.split_off(2);
        for (protocol, packet) in &flying {
            assert!(pair.open(*protocol, packet).is_ok(), "{profile}: in flight");
        }
        replays_are_refused(&pair, &flying);
        // The same sequence numbers again, and one lower.
        let mut fresh = Vec::new();
        for seq in [0x3001u16, 0x3002, 0x2f00] {
            for protocol in BOTH {
                let packet = pair.sealed(protocol, SSRC, seq);
                assert_eq!(pair.open(protocol, &packet), Ok(plain(protocol, SSRC, seq)), "{profile} {seq:x}");
                fresh.push((protocol, packet));
            }
        }
        let newcomer = Session::builder(profile).inbound(pair.key(1).master()).build(&pair.domain).unwrap();
        assert!(open(newcomer.inbound(), Protocol::Rtp, &fresh[0].1).is_ok(), "the sender is at ROC 0");
        assert_eq!(srtcp_word(profile, 0, &fresh[1].1).1, 0, "and at SRTCP index 0");
        assert_eq!((pair.inbound().roc(SSRC), pair.outbound().roc(SSRC)), (Ok(Roc(0)), Ok(Roc(0))));
        for (protocol, packet) in &late {
            assert!(pair.open(*protocol, packet).is_ok(), "{profile}: later still");
        }
        replays_are_refused(&pair, &late);
        replays_are_refused(&pair, &fresh);
        pair.inbound().end_grace().unwrap();
        assert!(late.iter().all(|(protocol, packet)| pair.open(*protocol, packet).is_err()));
        assert_eq!(
            pair.accepted()[0].1.map(|(highest, cycle, packets)| (highest.is_some(), cycle, packets)),
            [(true, 0, 3), (true, 0, 3)]
        );
    }
}

#[test]
fn p04_a_probing_receiver_follows_senders_of_both_kinds() {
    for profile in authenticated() {
        for sender in [Keep, Reset] {
            // Which of the protocols comes first, and in which order.
            for (rtcp_first, order) in [(true, [0usize, 1, 2, 3]), (false, [2, 0, 3, 1]), (true, [1, 0, 3, 2])] {
                let pair = at_roc_2(profile, plainly);
                let flying = pair.sealed(Protocol::Rtp, SSRC, 0x3001);
                rekey_receiver(&pair, 1, Probe);
                rekey_sender(&pair, 1, sender);
                let rtp: Vec<_> =
                    (0x3002..0x3006).map(|seq| (Protocol::Rtp, pair.sealed(Protocol::Rtp, SSRC, seq))).collect();
                let rtcp: Vec<_> = (0..4).map(|n| (Protocol::Rtcp, pair.sealed(Protocol::Rtcp, SSRC, n))).collect();
                let lists = if rtcp_first { [&rtcp, &rtp] } else { [&rtp, &rtcp] };
                for list in lists {
                    for at in order {
                        let (protocol, packet) = &list[at];
                        assert!(pair.open(*protocol, packet).is_ok(), "{profile} {sender:?} {protocol:?} {at}");
                        replays_are_refused(&pair, &list[at..=at]);
                    }
                }
                let roc = if sender == Keep { 2 } else { 0 };
                assert_eq!(pair.inbound().roc(SSRC), Ok(Roc(roc)), "{profile}");
                assert!(pair.open(Protocol::Rtp, &flying).is_ok(), "in the space of its own key");
                replays_are_refused(&pair, &[rtp, rtcp, vec![(Protocol::Rtp, flying)]].concat());
                // The decision holds, over the next wrap.
                for seq in [0xa000, 0xfff0, 5] {
                    pair.send(Protocol::Rtp, SSRC, seq);
                }
                assert_eq!(pair.inbound().roc(SSRC), Ok(Roc(roc + 1)));
                assert_eq!(pair.outbound().roc(SSRC), Ok(Roc(roc + 1)));
            }
        }
    }
}

#[test]
fn p04_the_first_packet_under_a_probing_key_may_come_after_the_wrap() {
    for sender in [Keep, Reset] {
        let pair = at_roc_2(Profile::AeadAes128Gcm, plainly);
        for seq in [0xa000, 0xfffd] {
            pair.send(Protocol::Rtp, SSRC, seq);
        }
        rekey_receiver(&pair, 1, Probe);
        rekey_sender(&pair, 1, sender);
        let packets: Vec<_> =
            [0xfffe, 0xffff, 0, 1].into_iter().map(|seq| pair.sealed(Protocol::Rtp, SSRC, seq)).collect();
        // A sender that begins just before a wrap is found by what it sends before it, like any stream.
        let order = if sender == Keep { [2, 0, 3, 1] } else { [1, 2, 0, 3] };
        for at in order {
            assert!(pair.open(Protocol::Rtp, &packets[at]).is_ok(), "{sender:?} {at}");
        }
        assert_eq!(pair.inbound().roc(SSRC), Ok(Roc(if sender == Keep { 3 } else { 1 })));
    }
}

#[test]
fn p04_each_stream_is_decided_by_itself_once() {
    let pair = at_roc_2(Profile::Aes128CmSha1_80, plainly);
    let (keeper, resetter) = (SSRC, SSRC + 1);
    for seq in [0, 0x7000, 0xe000, 0x5000] {
        pair.send(Protocol::Rtp, resetter, seq);
    }
    rekey_receiver(&pair, 1, Probe);
    // Two senders with one key: the one goes on, the other begins afresh.
    let fresh = Session::builder(pair.profile).outbound(pair.key(1).master()).build(&pair.domain).unwrap();
    rekey_sender(&pair, 1, Keep);
    let seal = |session: &Session, ssrc, seq| seal(session.outbound(), Protocol::Rtp, &rtp(ssrc, seq)).unwrap();
    assert!(pair.open(Protocol::Rtp, &seal(&pair.sender, keeper, 0x3001)).is_ok());
    assert!(pair.open(Protocol::Rtp, &seal(&fresh, resetter, 0x5001)).is_ok());
    for ahead in 2..5 {
        let other = seal(&fresh, keeper, 0x3000 + ahead);
        assert_eq!(pair.open(Protocol::Rtp, &other), Err(Error::AuthenticationFailed), "decided to keep");
        let other = seal(&pair.sender, resetter, 0x5000 + ahead);
        assert_eq!(pair.open(Protocol::Rtp, &other), Err(Error::AuthenticationFailed), "decided to begin afresh");
    }
    assert_eq!((pair.inbound().roc(keeper), pair.inbound().roc(resetter)), (Ok(Roc(2)), Ok(Roc(0))));
}

#[test]
fn p04_threads_that_race_for_the_first_packet_agree_on_one_decision() {
    const THREADS: usize = 4;
    for round in 0..60u32 {
        let kinds = [Keep, Reset];
        let sender = kinds[round as usize % 2];
        let pair = at_roc_2(Profile::NullSha1_80, plainly);
        rekey_receiver(&pair, 1, Probe);
        let fresh = Session::builder(pair.profile).outbound(pair.key(1).master()).build(&pair.domain).unwrap();
        rekey_sender(&pair, 1, sender);
        let packets: Vec<_> = (0x3001..0x3009).map(|seq| pair.sealed(Protocol::Rtp, SSRC, seq)).collect();
        // In every fourth round somebody with the same key contradicts the sender.
        let contradicts = round % 4 == 0;
        let contradiction = seal(fresh.outbound(), Protocol::Rtp, &rtp(SSRC, 0x3040)).unwrap();
        let (barrier, contradicted) = (Barrier::new(THREADS), AtomicU64::new(0));
        let accepted: Vec<_> = packets.iter().map(|_| AtomicU64::new(0)).collect();
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (pair, packets, accepted, barrier) = (&pair, &packets, &accepted, &barrier);
                let (contradiction, contradicted) = (&contradiction, &contradicted);
                scope.spawn(move || {
                    barrier.wait();
                    if contradicts && thread == 0 {
                        let opened = pair.open(Protocol::Rtp, contradiction).is_ok();
                        contradicted.fetch_add(opened.into(), Ordering::Relaxed);
                    }
                    for at in 0..packets.len() {
                        let at = (at + thread * 3) % packets.len();
                        let opened = pair.open(Protocol::Rtp, &packets[at]).is_ok();
                        accepted[at].fetch_add(opened.into(), Ordering::Relaxed);
                    }
                });
            }
        });
        let accepted: Vec<_> = accepted.into_iter().map(AtomicU64::into_inner).collect();
        let won = contradicted.into_inner() == 1 && sender == Keep;
        assert_eq!(accepted, vec![u64::from(!won); packets.len()], "round {round}, {sender:?}, contradicted: {won}");
        replays_are_refused(
            &pair,
            &packets.iter().filter(|_| !won).map(|packet| (Protocol::Rtp, packet.clone())).collect::<Vec<_>>(),
        );
    }
}

#[test]
fn p04_rekeys_in_quick_succession_lose_no_packet_of_a_sender_that_follows_later() {
    for sender in [Keep, Reset] {
        for receiver in [Probe, sender] {
            let pair = at_roc_2(Profile::Aes128CmSha1_80, plainly);
            rekey_receiver(&pair, 1, receiver);
            rekey_receiver(&pair, 2, receiver);
            // The sender takes its time: each packet comes under another key.
            pair.send(Protocol::Rtp, SSRC, 0x3001);
            rekey_sender(&pair, 1, sender);
            let late = pair.sealed(Protocol::Rtp, SSRC, 0x3002);
            pair.send(Protocol::Rtp, SSRC, 0x3003);
            rekey_sender(&pair, 2, sender);
            pair.send(Protocol::Rtp, SSRC, 0x3004);
            assert!(pair.open(Protocol::Rtp, &late).is_ok(), "{sender:?} {receiver:?}");
            replays_are_refused(&pair, &[(Protocol::Rtp, late)]);
            assert_eq!(pair.inbound().roc(SSRC), Ok(Roc(if sender == Keep { 2 } else { 0 })));
        }
    }
}

#[test]
fn p04_a_stream_that_was_silent_for_many_rekeys_is_found_again() {
    for sender in [Keep, Reset] {
        let pair = at_roc_2(Profile::Aes128CmSha1_80, plainly);
        for n in 1..40 {
            rekey_receiver(&pair, n, Probe);
            rekey_sender(&pair, n, sender);
            // Others go on.
            pair.send(Protocol::Rtp, SSRC + 1, n.into());
            if n % 7 == 0 {
                pair.inbound().end_grace().unwrap();
            }
        }
        pair.send(Protocol::Rtp, SSRC, 0x3001);
        assert_eq!(pair.inbound().roc(SSRC), Ok(Roc(if sender == Keep { 2 } else { 0 })), "{sender:?}");
    }
}

#[test]
fn p04_without_tags_there_is_nothing_to_probe_by_and_the_counter_is_kept() {
    let pair = at_roc_2(Profile::NullWithoutAuthentication, plainly);
    rekey_receiver(&pair, 1, Probe);
    pair.inbound().end_grace().unwrap();
    rekey_sender(&pair, 1, Keep);
    pair.send(Protocol::Rtp, SSRC, 0x9000);
    assert_eq!(pair.inbound().roc(SSRC), Ok(Roc(2)));
}

#[test]
fn p04_the_builder_says_what_a_rekey_does() {
    let profile = Profile::AeadAes128Gcm;
    let set = |builder: SessionBuilder| builder.outbound_roc_on_rekey(Reset).inbound_roc_on_rekey(Probe);
    let pair = at_roc_2(profile, set);
    pair.inbound().rekey(pair.key(1).master()).unwrap();
    pair.outbound().rekey(pair.key(1).master()).unwrap();
    pair.send(Protocol::Rtp, SSRC, 0x3001);
    assert_eq!((pair.inbound().roc(SSRC), pair.outbound().roc(SSRC)), (Ok(Roc(0)), Ok(Roc(0))));
    pair.inbound().rekey(pair.key(2).master()).unwrap();
    pair.outbound().stage_key(pair.key(2).master()).unwrap();
    pair.outbound().activate_staged_key_with(Keep).unwrap();
    assert_eq!(srtcp_word(profile, 0, &pair.sealed(Protocol::Rtcp, SSRC, 1)).1, 0);
    assert_eq!(srtcp_word(profile, 0, &pair.sealed(Protocol::Rtcp, SSRC, 1)).1, 1);
    pair.send(Protocol::Rtp, SSRC, 0xa000);
    pair.outbound().stage_key(pair.key(3).master()).unwrap();
    pair.outbound().activate_staged_key().unwrap();
    assert_eq!(srtcp_word(profile, 0, &pair.sealed(Protocol::Rtcp, SSRC, 1)).1, 0, "staged, and begins afresh");
    let refused = set(Session::builder(profile)).outbound_roc_on_rekey(Probe).build(&pair.domain);
    assert_eq!(refused.err(), Some(Error::CannotProbe));
    assert_eq!(pair.outbound().rekey_with(pair.key(4).master(), Probe), Err(Error::CannotProbe));
}

#[test]
fn p04_the_first_key_finds_the_streams_that_were_announced() {
    for roc in [Keep, Reset, Probe] {
        let pair = Pair::new(Profile::Aes128CmSha1_80);
        let late = Session::builder(pair.profile).build(&pair.domain).unwrap();
        late.inbound().add_stream(SSRC, Roc(0)).unwrap();
        late.inbound().set_roc(SSRC, Roc(7)).unwrap();
        late.inbound().rekey_with(pair.key(0).master(), roc).unwrap();
        pair.outbound().add_stream(SSRC, Roc(7), 0).unwrap();
        let packet = pair.sealed(Protocol::Rtp, SSRC, 5);
        assert_eq!(open(late.inbound(), Protocol::Rtp, &packet), Ok(rtp(SSRC, 5)), "{roc:?}");
    }
}

#[test]
fn p05_a_key_that_was_used_before_begins_no_space() {
    let pair = Pair::with(Profile::Aes128CmSha1_80, 0, |builder| builder.grace(Grace::NONE));
    let recorded = pair.sealed(Protocol::Rtp, SSRC, 5);
    pair.open(Protocol::Rtp, &recorded).unwrap();
    rekey_receiver(&pair, 1, Reset);
    rekey_sender(&pair, 1, Reset);
    let keys = (pair.inbound().keys(), pair.outbound().keys());
    for roc in [Reset, Probe] {
        assert_eq!(pair.inbound().rekey_with(pair.key(0).master(), roc), Err(Error::KeyUsedBefore));
    }
    assert_eq!(pair.outbound().rekey_with(pair.key(0).master(), Reset), Err(Error::KeyUsedBefore));
    pair.outbound().stage_key(pair.key(0).master()).unwrap();
    assert_eq!(pair.outbound().activate_staged_key_with(Reset), Err(Error::KeyUsedBefore));
    assert_eq!((pair.inbound().keys(), pair.outbound().keys()), keys, "refused, so nothing has changed");
    // An added key counts as used, promoted or not; one that was refused does not.
    pair.inbound().add_key(pair.key(2).master()).unwrap();
    let added = pair.inbound().keys()[1].id;
    pair.inbound().retire_key(added).unwrap();
    assert_eq!(pair.inbound().rekey_with(pair.key(2).master(), Reset), Err(Error::KeyUsedBefore));
    rekey_receiver(&pair, 3, Reset);
    assert!(pair.open(Protocol::Rtp, &recorded).is_err());
}

#[test]
fn p06_a_sender_that_begins_afresh_uses_each_key_in_one_space() {
    let pair = at_roc_2(Profile::AeadAes128Gcm, plainly);
    let before = pair.outbound().add_key(pair.key(9).master()).unwrap();
    rekey_sender(&pair, 1, Reset);
    pair.sealed(Protocol::Rtp, SSRC, 1);
    assert_eq!(pair.outbound().roc(SSRC), Ok(Roc(0)));
    // Back to a key of the old space: its indices go on there.
    pair.outbound().send_under(before).unwrap();
    for seq in [0x2fff, 0x3000] {
        let refused = seal(pair.outbound(), Protocol::Rtp, &rtp(SSRC, seq)).map(drop);
        assert_eq!(refused.is_ok(), seq == 0x2fff, "{seq:x}");
    }
    assert_eq!(pair.outbound().roc(SSRC), Ok(Roc(2)));
    assert_eq!(srtcp_word(pair.profile, 0, &pair.sealed(Protocol::Rtcp, SSRC, 1)).1, 6);
}

#[test]
fn p06_threads_that_send_across_resets_repeat_no_index_under_any_key() {
    const THREADS: u32 = 3;
    let profile = Profile::NullSha1_80;
    let pair = Pair::with(profile, 1, plainly);
    let send = |thread: u32| {
        let mut sent = Vec::new();
        for n in 0..1200u16 {
            if thread == 0 && n % 100 == 99 {
                rekey_sender(&pair, u8::try_from(n / 100 + 1).unwrap(), if n % 200 == 99 { Reset } else { Keep });
            }
            let packet = seal(pair.outbound(), Protocol::Rtcp, &rtcp(SSRC, thread)).unwrap();
            let mki = packet[mki_range(profile, Protocol::Rtcp, 1, packet.len())][0];
            sent.push((mki, srtcp_word(profile, 1, &packet).1));
        }
        sent
    };
    let mut sent: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || send(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let count = sent.len();
    sent.sort_unstable();
    assert!(sent.iter().any(|&(key, index)| key > 0 && index == 0), "some began afresh");
    sent.dedup();
    assert_eq!(sent.len(), count);
}

#[test]
fn p05_a_floor_goes_with_its_space() {
    for (roc, survives) in [(Keep, true), (Reset, false)] {
        let pair = at_roc_2(Profile::Aes128CmSha1_80, plainly);
        let old = pair.sealed(Protocol::Rtp, SSRC, 0x3000 - 5);
        pair.inbound().remove_stream(SSRC).unwrap();
        rekey_receiver(&pair, 1, roc);
        assert!(matches!(pair.open(Protocol::Rtp, &old), Err(Error::TooOld | Error::Replayed)), "its space lives");
        let added = pair.inbound().add_stream(SSRC, Roc(1));
        assert_eq!(added, if survives { Err(Error::IndexBackward) } else { Ok(()) }, "{roc:?}");
        if !survives {
            // Removed from all spaces at once.
            pair.inbound().remove_stream(SSRC).unwrap();
            assert_eq!(pair.inbound().remove_stream(SSRC), Err(Error::NoSuchStream));
        }
    }
}

#[test]
fn p05_a_rollover_counter_cannot_go_back_in_a_space_and_can_be_set_in_a_new_one() {
    let pair = at_roc_2(Profile::Aes128CmSha1_80, plainly);
    rekey_receiver(&pair, 1, Reset);
    rekey_sender(&pair, 1, Reset);
    assert_eq!(pair.inbound().roc(SSRC), Ok(Roc(2)), "of the space that knows it");
    assert_eq!(pair.inbound().set_roc(SSRC + 1, Roc(5)), Err(Error::NoSuchStream));
    for end in [&pair.sender, &pair.receiver] {
        let ((inbound, outbound), roc) = ((end.inbound(), end.outbound()), Roc(1));
        if end.inbound().keys().len() > 1 {
            inbound.set_roc(SSRC, roc).unwrap();
            assert_eq!(inbound.set_roc(SSRC, Roc(0)), Err(Error::IndexBackward));
        } else {
            outbound.add_stream(SSRC, roc, 0).unwrap();
            assert_eq!(outbound.set_roc(SSRC, Roc(0)), Err(Error::IndexBackward));
        }
    }
    pair.send(Protocol::Rtp, SSRC, 7);
    assert_eq!(pair.inbound().roc(SSRC), Ok(Roc(1)));
}

#[test]
fn p05_streams_that_are_added_by_call_are_known_in_every_space() {
    for roc in [Reset, Probe] {
        for profile in [Profile::Aes128CmSha1_80, Profile::NullWithoutAuthentication] {
            let pair = Pair::with(profile, 0, |builder| builder.new_streams(NewStreams::ByCall));
            pair.outbound().add_stream(SSRC, Roc(0), 0).unwrap();
            pair.outbound().add_stream(SSRC + 1, Roc(0), 0).unwrap();
            pair.inbound().add_stream(SSRC, Roc(0)).unwrap();
            pair.send(Protocol::Rtp, SSRC, 1);
            for n in 1..6 {
                rekey_receiver(&pair, n, roc);
                rekey_sender(&pair, n, Reset);
                if n % 2 == 0 {
                    pair.inbound().end_grace().unwrap();
                }
            }
            for protocol in BOTH {
                pair.send(protocol, SSRC, 2);
                let packet = pair.sealed(protocol, SSRC + 1, 2);
                assert_eq!(pair.open(protocol, &packet), Err(Error::UnknownSsrc), "{profile} {roc:?}");
            }
            pair.inbound().remove_stream(SSRC).unwrap();
            assert_eq!(pair.open(Protocol::Rtp, &pair.sealed(Protocol::Rtp, SSRC, 3)), Err(Error::UnknownSsrc));
        }
    }
}

#[test]
fn p05_a_forgery_under_a_probing_key_decides_nothing() {
    let pair = at_roc_2(Profile::AeadAes128Gcm, plainly);
    rekey_receiver(&pair, 1, Probe);
    rekey_sender(&pair, 1, Keep);
    let packet = pair.sealed(Protocol::Rtp, SSRC, 0x3001);
    let before = (pair.accepted(), pair.inbound().roc(SSRC));
    let mut forged = packet.clone();
    for bit in 0..packet.len() * 8 {
        if !(64..96).contains(&bit) {
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(pair.open(Protocol::Rtp, &forged).is_err(), "bit {bit}");
            forged[bit / 8] ^= 1 << (bit % 8);
        }
    }
    assert_eq!((pair.accepted(), pair.inbound().roc(SSRC)), before);
    assert!(pair.open(Protocol::Rtp, &packet).is_ok());
}

#[test]
fn p03_an_added_key_can_be_promoted() {
    let pair = Pair::new(Profile::Aes128CmSha1_80);
    let flying = pair.sealed(Protocol::Rtp, SSRC, 1);
    let added = pair.inbound().add_key(pair.key(1).master()).unwrap();
    let old = pair.inbound().keys()[0].id;
    assert_eq!(pair.inbound().rekey(pair.key(1).master()), Ok(Rekeyed::Unchanged(added)));
    pair.inbound().promote_key(added).unwrap();
    let keys: Vec<_> = pair.inbound().keys().iter().map(|key| (key.id, key.role)).collect();
    assert_eq!(keys, [(added, keyflip::KeyRole::Current), (old, keyflip::KeyRole::InGrace)]);
    pair.inbound().promote_key(added).unwrap();
    assert_eq!(pair.inbound().promote_key(old), Err(Error::UnknownKey));
    assert!(pair.open(Protocol::Rtp, &flying).is_ok(), "in grace");
    pair.outbound().rekey(pair.key(1).master()).unwrap();
    pair.send(Protocol::Rtp, SSRC, 2);
    pair.inbound().end_grace().unwrap();
    assert_eq!(pair.domain.synchronize(std::time::Duration::from_secs(20)), Ok(()));
    assert_eq!(pair.domain.stats().keys_wiped, 3, "sent under before, replaced, and derived for nothing");
}

#[test]
fn p09_spaces_go_with_their_keys() {
    let domain = Domain::without_reclaimer();
    let profile = Profile::NullSha1_80;
    let (mut held, key) = (Vec::new(), |n: u8| Key::nth(profile, n, 0).master());
    let receiver = Session::builder(profile).inbound(key(0)).build(&domain).unwrap();
    let sender = Session::builder(profile).outbound(key(0)).build(&domain).unwrap();
    for n in 1..60u8 {
        let roc = [Reset, Probe, Keep][usize::from(n) % 3];
        receiver.inbound().rekey_with(key(n), roc).unwrap();
        sender.outbound().rekey_with(key(n), if roc == Reset { Reset } else { Keep }).unwrap();
        let packet = seal(sender.outbound(), Protocol::Rtp, &rtp(SSRC, n.into())).unwrap();
        open(receiver.inbound(), Protocol::Rtp, &packet).unwrap();
        domain.reclaim();
        let mut spaces: Vec<_> = receiver.inbound().keys().iter().map(|key| key.space).collect();
        spaces.dedup();
        held.push(spaces.len());
    }
    assert!(held.iter().all(|spaces| *spaces <= 3), "{held:?}");
    assert_eq!(domain.stats().items_waiting, 0);
}
