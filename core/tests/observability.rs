//! What an owner can see: counters, and events.

mod common;

use common::{Key, Pair, Protocol, SSRC, mki_range, open, rtp, seal};
use core::time::Duration;
use keyflip::{
    ContextStats, Domain, Error, Event, EventKind, Grace, KeyId, NewStreams, Profile, Received, Rekeyed, Roc, Session,
    Ssrc,
};
use std::sync::{Mutex, mpsc};

const PROFILE: Profile = Profile::Aes128CmSha1_80;
const OTHER: u32 = 0x5eed_0002;

fn events(domain: &Domain) -> Vec<Event> {
    core::iter::from_fn(|| domain.next_event()).collect()
}

fn kinds(domain: &Domain) -> Vec<EventKind> {
    events(domain).iter().map(Event::kind).collect()
}

#[test]
fn nothing_is_raised_that_was_not_asked_for() {
    let pair = Pair::with(PROFILE, 4, |builder| builder.max_streams(1));
    pair.send(Protocol::Rtp, SSRC, 0);
    let mut packet = pair.sealed(Protocol::Rtp, SSRC, 1);
    let at = mki_range(PROFILE, Protocol::Rtp, 4, packet.len()).start;
    packet[at] ^= 1;
    assert_eq!(pair.open(Protocol::Rtp, &packet), Err(Error::UnknownMki));
    assert_eq!(seal(pair.outbound(), Protocol::Rtp, &rtp(OTHER, 0)), Err(Error::TooManyStreams));
    pair.inbound().rekey(pair.key(1).master()).unwrap();
    pair.inbound().end_grace().unwrap();
    pair.domain.synchronize(Duration::from_secs(10)).unwrap();
    assert!(events(&pair.domain).is_empty());
    assert_eq!(pair.domain.events_missed(), 0);
}

#[test]
fn a_flood_of_unknown_mkis_and_ssrcs_is_an_event_each_until_it_is_acknowledged() {
    let pair = Pair::differing(PROFILE, 4, |builder| builder, |builder| builder.new_streams(NewStreams::ByCall));
    pair.domain.watch_events(&[EventKind::UnknownMki, EventKind::UnknownSsrc]);
    let context = pair.inbound().id();
    for round in 1..=3u64 {
        for number in 0..1000u16 {
            let mut packet =
                pair.sealed(Protocol::Rtp, SSRC, number.wrapping_add(u16::try_from(round).unwrap() * 1000));
            assert_eq!(pair.open(Protocol::Rtp, &packet), Err(Error::UnknownSsrc));
            let at = mki_range(PROFILE, Protocol::Rtp, 4, packet.len()).start;
            packet[at] ^= 1;
            assert_eq!(pair.open(Protocol::Rtp, &packet), Err(Error::UnknownMki));
        }
        let raised = events(&pair.domain);
        assert_eq!(raised.len(), 2, "{raised:?}");
        for event in &raised {
            let (Event::UnknownMki { context: of, ssrc, protocol, .. }
            | Event::UnknownSsrc { context: of, ssrc, protocol, .. }) = event
            else {
                panic!("{event:?}")
            };
            assert_eq!((*of, *ssrc, *protocol), (context, Ssrc(SSRC), keyflip::Protocol::Rtp));
        }
        assert_eq!(pair.inbound().refused().unknown_mki, round * 1000);
        pair.inbound().acknowledge_events();
    }
    assert_eq!(pair.domain.events_missed(), 0);
}

#[test]
fn an_event_that_nobody_watches_is_not_spent() {
    let pair = Pair::with(PROFILE, 0, |builder| builder.new_streams(NewStreams::ByCall));
    pair.outbound().add_stream(SSRC, Roc(0), 0).unwrap();
    let packet = pair.sealed(Protocol::Rtp, SSRC, 0);
    assert!(pair.open(Protocol::Rtp, &packet).is_err());
    pair.domain.watch_events(&[EventKind::UnknownSsrc]);
    assert!(pair.open(Protocol::Rtp, &packet).is_err());
    assert_eq!(kinds(&pair.domain), [EventKind::UnknownSsrc]);
}

#[test]
fn in_a_batch_they_are_the_same() {
    let pair = Pair::differing(PROFILE, 0, |builder| builder, |builder| builder.new_streams(NewStreams::ByCall));
    pair.domain.watch_events(&[EventKind::UnknownSsrc]);
    let mut packets: Vec<_> = (0..20).map(|number| pair.sealed(Protocol::Rtp, SSRC, number)).collect();
    let mut received: Vec<_> = packets.iter_mut().map(|packet| Received::rtp(pair.inbound(), packet)).collect();
    keyflip::unprotect_batch(&mut pair.domain.pin(), &mut received);
    assert!(received.iter().all(|packet| packet.result() == Err(Error::UnknownSsrc)));
    assert_eq!(kinds(&pair.domain), [EventKind::UnknownSsrc]);
    assert_eq!(pair.inbound().refused().unknown_ssrc, 20);
}

#[test]
fn streams_that_packets_add_are_told_and_a_full_table_once() {
    let pair = Pair::differing(PROFILE, 0, |builder| builder, |builder| builder.max_streams(3));
    pair.domain.watch_events(&[EventKind::StreamAdded, EventKind::TooManyStreams]);
    pair.inbound().add_stream(1, Roc(0)).unwrap();
    let mut forged = pair.sealed(Protocol::Rtp, 77, 0);
    *forged.last_mut().unwrap() ^= 1;
    assert!(pair.open(Protocol::Rtp, &forged).is_err());
    for number in 0..3 {
        for ssrc in 1..=5 {
            let packet = pair.sealed(Protocol::Rtp, ssrc, number);
            assert_eq!(pair.open(Protocol::Rtp, &packet).is_ok(), ssrc <= 3);
        }
    }
    // A stream that a packet brings back is added once more.
    pair.inbound().remove_stream(2).unwrap();
    let packet = pair.sealed(Protocol::Rtp, 2, 9);
    pair.open(Protocol::Rtp, &packet).unwrap();
    let inbound: Vec<_> = events(&pair.domain)
        .into_iter()
        .filter_map(|event| match event {
            Event::StreamAdded { context, ssrc, .. } if context == pair.inbound().id() => {
                Some((EventKind::StreamAdded, ssrc.0))
            }
            Event::TooManyStreams { ssrc, .. } => Some((EventKind::TooManyStreams, ssrc.0)),
            _ => None,
        })
        .collect();
    let added = |ssrc| (EventKind::StreamAdded, ssrc);
    assert_eq!(inbound, [added(2), added(3), (EventKind::TooManyStreams, 4), added(2)]);
}

#[test]
fn p09_a_key_is_told_when_it_is_retired_and_again_when_it_is_wiped() {
    let pair = Pair::with(PROFILE, 0, |builder| builder.grace(Grace::LAST));
    pair.domain.watch_events(&[EventKind::KeyRetired, EventKind::KeyWiped]);
    let first = pair.inbound().keys()[0].id;
    let guard = pair.domain.pin();
    let Rekeyed::Switched(second) = pair.inbound().rekey(pair.key(1).master()).unwrap() else { panic!() };
    assert!(events(&pair.domain).is_empty(), "in grace");
    pair.inbound().end_grace().unwrap();
    let context = pair.inbound().id();
    let told = |wiped: bool, key: KeyId| {
        let event = pair.domain.next_event();
        match event {
            Some(Event::KeyRetired { context: of, key: told, .. }) if !wiped => assert_eq!((of, told), (context, key)),
            Some(Event::KeyWiped { context: of, key: told, .. }) if wiped => assert_eq!((of, told), (context, key)),
            other => panic!("{other:?}"),
        }
    };
    told(false, first);
    assert!(events(&pair.domain).is_empty(), "a guard may see it");
    drop(guard);
    pair.domain.synchronize(Duration::from_secs(10)).unwrap();
    told(true, first);
    assert_ne!(first, second);
    assert!(events(&pair.domain).is_empty());
}

#[test]
fn a_handler_is_told_of_the_wipe_without_help() {
    let (sender, receiver) = mpsc::channel();
    let sender = Mutex::new(sender);
    let domain = Domain::new().on_event(move |event| sender.lock().unwrap().send(event.kind()).unwrap());
    domain.watch_events(&EventKind::ALL);
    let key = |n| Key::nth(PROFILE, n, 0).master();
    let session = Session::builder(PROFILE).inbound(key(0)).grace(Grace::NONE).build(&domain).unwrap();
    for n in 1..20 {
        session.inbound().rekey(key(n)).unwrap();
        let next = || receiver.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!([next(), next()], [EventKind::KeyRetired, EventKind::KeyWiped]);
    }
}

#[test]
fn a_stall_is_told_once_and_again_when_there_is_another() {
    let pair = Pair::with(PROFILE, 0, |builder| builder.grace(Grace::NONE));
    let watch = pair.domain.watch_stalls(Duration::from_millis(10));
    for n in 1..3 {
        let guard = pair.domain.pin();
        pair.inbound().rekey(pair.key(n).master()).unwrap();
        let begun = std::time::Instant::now();
        let event = loop {
            assert!(begun.elapsed() < Duration::from_secs(20), "no stall was told");
            match pair.domain.next_event() {
                Some(event) => break event,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        let Event::Stall { waiting, pinned_readers, .. } = event else { panic!("{event:?}") };
        assert!(waiting > 0 && pinned_readers == 1, "{event:?}");
        std::thread::sleep(Duration::from_millis(50));
        assert!(events(&pair.domain).is_empty(), "it was told");
        drop(guard);
        pair.domain.synchronize(Duration::from_secs(10)).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert!(events(&pair.domain).is_empty(), "nothing waits");
    }
    drop(watch);
    let _guard = pair.domain.pin();
    pair.inbound().rekey(pair.key(9).master()).unwrap();
    std::thread::sleep(Duration::from_millis(60));
    assert!(events(&pair.domain).is_empty(), "nobody watches");
}

#[test]
fn a_domain_goes_although_it_is_watched() {
    let domain = Domain::new();
    let watch = domain.watch_stalls(Duration::from_millis(1));
    let session =
        Session::builder(PROFILE).inbound(Key::nth(PROFILE, 0, 0).master()).grace(Grace::NONE).build(&domain).unwrap();
    drop((domain, session));
    std::thread::sleep(Duration::from_millis(10));
    drop(watch);
}

/// Counters of packets, streams and keys.
fn counted(stats: ContextStats) -> [u64; 4] {
    [stats.rtp_packets, stats.rtcp_packets, stats.streams as u64, stats.keys as u64]
}

#[test]
fn a_snapshot_counts_what_was_sent_and_accepted_streams_that_are_gone_included() {
    let pair = Pair::new(PROFILE);
    for number in 0..5 {
        pair.send(Protocol::Rtp, SSRC, number);
        pair.send(Protocol::Rtp, OTHER, number);
        pair.send(Protocol::Rtcp, OTHER, number);
    }
    for stats in [pair.inbound().stats(), pair.outbound().stats()] {
        assert_eq!(counted(stats), [10, 5, 2, 1]);
        assert_eq!(stats.refused, keyflip::RefusedCounts::default());
    }
    pair.inbound().remove_stream(SSRC).unwrap();
    assert_eq!(counted(pair.inbound().stats()), [10, 5, 1, 1]);
    pair.inbound().forget_stream(OTHER).unwrap();
    assert_eq!(counted(pair.inbound().stats()), [10, 5, 0, 1]);
    for number in 5..8 {
        pair.send(Protocol::Rtp, SSRC, number);
    }
    pair.inbound().force_roc(SSRC, Roc(0)).unwrap();
    pair.send(Protocol::Rtp, SSRC, 8);
    assert_eq!(counted(pair.inbound().stats()), [14, 5, 1, 1]);
    pair.inbound().remove_stream(SSRC).unwrap();
    pair.inbound().forget_stream(SSRC).unwrap();
    assert_eq!(counted(pair.inbound().stats()), [14, 5, 0, 1], "a floor is not counted again");
    // Streams of an index space that goes.
    pair.send(Protocol::Rtp, SSRC, 9);
    for direction in [1, 2] {
        pair.inbound().rekey_with(pair.key(direction).master(), keyflip::RocOnRekey::Reset).unwrap();
        pair.outbound().rekey_with(pair.key(direction).master(), keyflip::RocOnRekey::Reset).unwrap();
        pair.send(Protocol::Rtp, SSRC, 0);
    }
    pair.inbound().end_grace().unwrap();
    assert_eq!(counted(pair.inbound().stats()), [17, 5, 1, 1]);
    assert_eq!(open(pair.inbound(), Protocol::Rtp, &[0; 3]), Err(Error::PacketTooShort));
    assert_eq!(pair.inbound().stats().refused.malformed, 1);
}
