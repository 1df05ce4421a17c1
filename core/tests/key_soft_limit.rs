//! P7: the owner of a key is told in time that it wears out.

mod common;

use common::*;
use keyflip::{Domain, Event, KeyLifetime, Outbound, Profile, Session, SessionBuilder};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

const PROFILE: Profile = Profile::NullSha1_80;

fn packets(srtp: u64, srtcp: u64) -> KeyLifetime {
    KeyLifetime { srtp_packets: srtp, srtcp_packets: srtcp }
}

fn limits(hard: KeyLifetime, soft: KeyLifetime) -> impl Fn(SessionBuilder) -> SessionBuilder {
    move |builder| builder.key_lifetime(hard).key_soft_limit(soft)
}

fn events(domain: &Domain) -> Vec<Event> {
    std::iter::from_fn(|| domain.next_event()).collect()
}

fn left(event: &Event) -> u64 {
    let Event::KeyNearLimit { packets_left, .. } = event else { panic!("{event:?}") };
    *packets_left
}

fn said(event: &Event, protocol: Protocol) -> bool {
    let Event::KeyNearLimit { protocol: of, .. } = event else { panic!("{event:?}") };
    (*of == keyflip::Protocol::Rtp) == (protocol == Protocol::Rtp)
}

#[test]
fn p07_an_owner_is_told_once_for_each_key_and_protocol_before_the_lifetime_ends() {
    const HARD: u64 = 2000;
    const SOFT: u64 = 300;
    for protocol in BOTH {
        for sends in [true, false] {
            let set = limits(packets(HARD, HARD), packets(SOFT, SOFT));
            let plainly = |builder: SessionBuilder| builder;
            let pair = if sends {
                Pair::differing(PROFILE, 0, set, plainly)
            } else {
                Pair::differing(PROFILE, 0, plainly, set)
            };
            let id = if sends { pair.outbound().id() } else { pair.inbound().id() };
            for n in 0..2u8 {
                let (mut told, mut sent) = (None, 0);
                for number in 0..u16::try_from(HARD).unwrap() + 5 {
                    let packet = seal(pair.outbound(), protocol, &plain(protocol, SSRC, number + u16::from(n) * 3000));
                    sent += u64::from(packet.is_ok() && pair.open(protocol, &packet.unwrap()).is_ok());
                    for event in events(&pair.domain) {
                        let keys = if sends { pair.outbound().keys() } else { pair.inbound().keys() };
                        let Event::KeyNearLimit { context, key, .. } = event else { panic!("{event:?}") };
                        assert_eq!((context, key), (id, keys[0].id));
                        assert!(said(&event, protocol) && left(&event) <= SOFT);
                        assert!(told.replace(sent).is_none(), "told twice");
                    }
                }
                let told = told.expect("told");
                // A stream sets aside a 64th of what is left.
                assert!((HARD - SOFT - HARD / 32..=HARD - SOFT).contains(&told), "{protocol:?} after {told}");
                assert!(sent > told + SOFT / 2 && sent <= HARD, "time enough for a rekey: {told}, {sent}");
                pair.inbound().rekey(pair.key(n + 1).master()).unwrap();
                pair.outbound().rekey(pair.key(n + 1).master()).unwrap();
            }
        }
    }
}

#[test]
fn p07_of_many_threads_that_wear_out_a_key_one_tells() {
    const THREADS: u32 = 4;
    for round in 0..20u8 {
        let pair = Pair::with(PROFILE, 0, limits(packets(4000, 4000), packets(2000, 2000)));
        std::thread::scope(|scope| {
            for ssrc in 0..THREADS {
                let pair = &pair;
                scope.spawn(move || {
                    for number in 0..900 {
                        let _ = seal(pair.outbound(), Protocol::Rtp, &rtp(ssrc, number));
                    }
                });
            }
        });
        let events = events(&pair.domain);
        assert!(events.len() == 1 && left(&events[0]) <= 2000, "round {round}: {events:?}");
    }
}

#[test]
fn p07_without_a_soft_limit_nobody_is_told() {
    for soft in [KeyLifetime::NONE, packets(0, 50)] {
        let pair = Pair::with(PROFILE, 0, limits(packets(100, 100), soft));
        for number in 0..110 {
            for protocol in BOTH {
                let _ = seal(pair.outbound(), protocol, &plain(protocol, SSRC, number));
            }
        }
        let events = events(&pair.domain);
        assert!(events.len() == usize::from(soft != KeyLifetime::NONE), "{events:?}");
        assert!(events.iter().all(|event| said(event, Protocol::Rtcp)));
    }
}

#[test]
fn p07_a_limit_that_is_passed_at_once_is_told_at_once() {
    let pair = Pair::with(PROFILE, 0, limits(packets(100, 100), packets(1 << 48, 1 << 31)));
    pair.send(Protocol::Rtp, SSRC, 1);
    // Of either end.
    assert_eq!(events(&pair.domain).len(), 2);
    pair.send(Protocol::Rtp, SSRC, 2);
    assert_eq!(events(&pair.domain).len(), 0);
}

#[test]
fn p07_a_handler_may_rekey() {
    let (outbound, (sender, rekeyed)) = (Arc::new(Mutex::new(None::<Outbound>)), mpsc::channel());
    let (theirs, sender) = (Arc::clone(&outbound), Mutex::new(sender));
    let domain = Domain::new().on_event(move |event| {
        let outbound = theirs.lock().unwrap();
        let outbound = outbound.as_ref().unwrap();
        let Event::KeyNearLimit { context, .. } = event else { return };
        assert_eq!(context, outbound.id());
        let n = u8::try_from(outbound.domain().stats().keys_created).unwrap();
        let done = outbound.rekey(Key::nth(PROFILE, n, 0).master()).is_ok()
            && outbound.domain().synchronize(Duration::from_secs(20)).is_ok();
        sender.lock().unwrap().send(done).unwrap();
    });
    let builder = Session::builder(PROFILE).outbound(Key::nth(PROFILE, 0, 0).master());
    let session = limits(packets(1000, 1000), packets(500, 500))(builder).build(&domain).unwrap();
    *outbound.lock().unwrap() = Some(session.outbound().clone());
    let mut under_this_key = 0;
    for number in 0..5000 {
        assert!(seal(session.outbound(), Protocol::Rtp, &rtp(SSRC, number)).is_ok(), "{number}");
        under_this_key += 1;
        if under_this_key == 600 {
            // Past the soft limit, and well before the end.
            assert_eq!(rekeyed.recv_timeout(Duration::from_secs(60)), Ok(true));
            under_this_key = 0;
        }
    }
    outbound.lock().unwrap().take();
}
