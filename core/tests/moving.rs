//! Moving a live session: between two processes, under traffic, and beside a twin that stays.

mod common;

use common::{BOTH, Key, ONE_OF_EACH, Protocol, open, plain, rtcp, rtp, seal, srtcp_word};
use keyflip::moving::{Error as MovingError, Moved, SealingKey, VERSION};
use keyflip::{
    Cryptex, Domain, Error, Grace, Inbound, KeyLifetime, KeyRole, NewStreams, Outbound, Profile, Rekeyed, RocOnRekey,
    Session, SessionBuilder, StreamOptions, SynchronizeError,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(20);
const SSRC: u32 = 0x4d4f_5645;

fn sealing(n: u8) -> SealingKey {
    SealingKey::take(&mut [n; 32]).unwrap()
}

fn builder(profile: Profile) -> SessionBuilder {
    Session::builder(profile).movable()
}

/// A session of key number `tx` outbound and `rx` inbound.
fn session(domain: &Domain, profile: Profile, tx: u8, rx: u8) -> Session {
    let (tx, rx) = (Key::nth(profile, tx, 0), Key::nth(profile, rx, 0));
    builder(profile).outbound(tx.master()).inbound(rx.master()).build(domain).unwrap()
}

fn go_on(domain: &Domain, builder: SessionBuilder, blobs: &[&[u8]]) -> keyflip::Result<Session> {
    let open = |blob: &&[u8]| Moved::open(&sealing(7), blob).unwrap();
    blobs.iter().map(open).fold(builder, SessionBuilder::go_on_with).build(domain)
}

// ---- Between two processes.

const CHILD: &str = "KEYFLIP_MOVING_CHILD";

/// A node of its own process: goes on with two blobs, relays as it is told, and hands the session back.
#[test]
fn node_in_another_process() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let domain = Domain::new();
    let mut session = None;
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        let octets = |at: usize| hex::decode(words[at]).unwrap();
        let protocol = |at: usize| if words[at] == "rtp" { Protocol::Rtp } else { Protocol::Rtcp };
        let answer = match words[0] {
            "import" => {
                let profile = words[1].parse().unwrap();
                let (out, inb) = (octets(2), octets(3));
                session = Some(go_on(&domain, builder(profile), &[&out, &inb]).unwrap());
                "ok".to_owned()
            }
            "open" => {
                let opened = open(session.as_ref().unwrap().inbound(), protocol(1), &octets(2));
                opened.map_or_else(|error| format!("{error:?}"), hex::encode)
            }
            "seal" => hex::encode(seal(session.as_ref().unwrap().outbound(), protocol(1), &octets(2)).unwrap()),
            "export" => {
                let session = session.take().unwrap();
                let out = session.outbound().export(&sealing(7), WITHIN).unwrap();
                let inb = session.inbound().export(&sealing(7), WITHIN).unwrap();
                format!("{} {}", hex::encode(out), hex::encode(inb))
            }
            other => panic!("no such order: {other}"),
        };
        println!("@{answer}");
    }
}

struct Node {
    child: std::process::Child,
    answers: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Node {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "node_in_another_process", "--nocapture", "--test-threads=1"])
            .env(CHILD, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, answers }
    }

    fn ask(&mut self, order: &str) -> String {
        writeln!(self.child.stdin.as_mut().unwrap(), "{order}").unwrap();
        loop {
            let line = self.answers.next().expect("the node answers").unwrap();
            // The test harness may have begun the line.
            if let Some((_, answer)) = line.split_once('@') {
                return answer.to_owned();
            }
        }
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

fn name(protocol: Protocol) -> &'static str {
    if protocol == Protocol::Rtp { "rtp" } else { "rtcp" }
}

/// Where the session is, as its peer cannot see.
enum At {
    Here(Session),
    There(Node),
}

impl At {
    fn open(&mut self, protocol: Protocol, packet: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            Self::Here(session) => open(session.inbound(), protocol, packet).map_err(|error| format!("{error:?}")),
            Self::There(node) => {
                let answer = node.ask(&format!("open {} {}", name(protocol), hex::encode(packet)));
                hex::decode(&answer).map_err(|_| answer)
            }
        }
    }

    fn seal(&mut self, protocol: Protocol, plain: &[u8]) -> Vec<u8> {
        match self {
            Self::Here(session) => seal(session.outbound(), protocol, plain).unwrap(),
            Self::There(node) => {
                hex::decode(node.ask(&format!("seal {} {}", name(protocol), hex::encode(plain)))).unwrap()
            }
        }
    }
}

/// A stream that crosses a rollover, out of order, both ways, while the session goes to another process and back, and a rekey beside it.
#[test]
fn p05_p06_a_live_stream_moves_between_two_processes_and_back() {
    for profile in ONE_OF_EACH {
        let domain = Domain::new();
        let peer = session(&domain, profile, 1, 2);
        let mut at = At::Here(session(&domain, profile, 2, 1));
        let mut sent: Vec<(Protocol, Vec<u8>)> = Vec::new();
        let mut held_back = Vec::new();
        let mut srtcp_indices = Vec::new();
        for n in 0..120u32 {
            match n {
                40 => {
                    let At::Here(here) = at else { unreachable!() };
                    let out = here.outbound().export(&sealing(7), WITHIN).unwrap();
                    let inb = here.inbound().export(&sealing(7), WITHIN).unwrap();
                    let mut node = Node::start();
                    let order = format!("import {profile} {} {}", hex::encode(out), hex::encode(inb));
                    assert_eq!(node.ask(&order), "ok");
                    for (protocol, packet) in sent.iter().take(2) {
                        let protocol = *protocol;
                        assert_eq!(open(here.inbound(), protocol, packet), Err(Error::Moved));
                        assert_eq!(seal(here.outbound(), protocol, &plain(protocol, SSRC, 9)), Err(Error::Moved));
                    }
                    at = At::There(node);
                }
                80 => {
                    let At::There(mut node) = at else { unreachable!() };
                    let answer = node.ask("export");
                    node.end();
                    let blobs: Vec<Vec<u8>> = answer.split(' ').map(|blob| hex::decode(blob).unwrap()).collect();
                    at = At::Here(go_on(&domain, builder(profile), &[&blobs[0], &blobs[1]]).unwrap());
                }
                _ => {}
            }
            for protocol in BOTH {
                // The rollover comes while the session is away.
                let number = 65_476u16.wrapping_add(u16::try_from(n).unwrap());
                let theirs = plain(protocol, SSRC, number);
                let packet = seal(peer.outbound(), protocol, &theirs).unwrap();
                // Every seventh is late by nine, across the moves.
                if n % 7 == 3 {
                    held_back.push((n + 9, protocol, packet.clone(), theirs));
                } else {
                    assert_eq!(at.open(protocol, &packet), Ok(theirs), "{profile} {protocol:?} {n}");
                }
                sent.push((protocol, packet));
                let ours = plain(protocol, SSRC + 1, number);
                let packet = at.seal(protocol, &ours);
                if protocol == Protocol::Rtcp {
                    srtcp_indices.push(srtcp_word(profile, 0, &packet).1);
                }
                assert_eq!(open(peer.inbound(), protocol, &packet), Ok(ours), "{profile} {protocol:?} {n}");
            }
            while let Some(late) = held_back.iter().position(|(due, ..)| *due <= n) {
                let (_, protocol, packet, theirs) = held_back.remove(late);
                assert_eq!(at.open(protocol, &packet), Ok(theirs), "late, {profile} {protocol:?} {n}");
            }
            // What was accepted anywhere is accepted nowhere again.
            if n % 10 == 5 {
                let old = sent.len().saturating_sub(13)..sent.len();
                for (protocol, packet) in &sent[old] {
                    if !held_back.iter().any(|(_, _, late, _)| late == packet) {
                        assert_eq!(at.open(*protocol, packet), Err("Replayed".to_owned()), "{profile} {n}");
                    }
                }
            }
        }
        assert_eq!(srtcp_indices, (0..120).collect::<Vec<u32>>(), "an SRTCP index was lost or sent twice");
        let At::Here(here) = &at else { unreachable!() };
        let streams = here.inbound().streams();
        let accepted = 240 - held_back.len() as u64;
        assert_eq!(streams[0].rtp.packets + streams[0].rtcp.packets, accepted);
        assert_eq!(streams[0].rtp.cycle, 1);
    }
}

// ---- Under threads.

/// Threads send and receive for as long as they can, while the session is exported: what they got in before is all in the blob.
#[test]
fn p05_p06_an_export_covers_what_racing_threads_took() {
    for round in 0..30u16 {
        let profile = ONE_OF_EACH[usize::from(round) % 3];
        let domain = Domain::new();
        let peer = session(&domain, profile, 1, 2);
        let here = session(&domain, profile, 2, 1);
        let incoming: Vec<Vec<u8>> =
            (0..4000).map(|n| seal(peer.outbound(), Protocol::Rtp, &rtp(SSRC, n)).unwrap()).collect();
        let next = AtomicU16::new(0);
        let (taken, sent) = (Mutex::new(BTreeMap::<usize, u32>::new()), Mutex::new(BTreeMap::<u32, u32>::new()));
        let start = Barrier::new(4);
        let blobs = thread::scope(|scope| {
            for worker in 0..3 {
                let (here, incoming, next, taken, sent, start) = (&here, &incoming, &next, &taken, &sent, &start);
                let domain = &domain;
                scope.spawn(move || {
                    start.wait();
                    loop {
                        let guard = domain.pin();
                        let n = usize::from(next.fetch_add(1, Ordering::Relaxed)) % incoming.len();
                        let mut packet = incoming[n].clone();
                        let opened = here.inbound().unprotect_rtp(&guard, &mut packet).map(drop);
                        let mut report = [rtcp(SSRC, worker), vec![0; 40]].concat();
                        let sealed = here.outbound().protect_rtcp(&guard, &mut report, 32);
                        drop(guard);
                        if opened.is_ok() {
                            *taken.lock().unwrap().entry(n).or_default() += 1;
                        }
                        if let Ok(len) = sealed {
                            let index = srtcp_word(profile, 0, &report[..len]).1;
                            *sent.lock().unwrap().entry(index).or_default() += 1;
                        }
                        if opened == Err(Error::Moved) && sealed == Err(Error::Moved) {
                            return;
                        }
                    }
                });
            }
            start.wait();
            thread::sleep(Duration::from_micros(u64::from(round) * 97));
            let inb = here.inbound().export(&sealing(7), WITHIN).unwrap();
            let out = here.outbound().export(&sealing(7), WITHIN).unwrap();
            [inb, out]
        });
        let there = go_on(&domain, builder(profile), &[&blobs[0], &blobs[1]]).unwrap();
        let (taken, mut sent) = (taken.into_inner().unwrap(), sent.into_inner().unwrap());
        for (n, packet) in incoming.iter().enumerate() {
            let accepted = open(there.inbound(), Protocol::Rtp, packet).is_ok();
            let before = taken.get(&n).copied().unwrap_or(0);
            assert!(before <= 1 && !(accepted && before == 1), "packet {n} was accepted twice");
            // Nothing is lost but what fell out of the window (1024).
            let highest = taken.keys().next_back().copied().unwrap_or(0);
            assert!(accepted || before == 1 || n + 1024 <= highest, "packet {n} was lost, highest {highest}");
        }
        for n in 0..5 {
            let report = seal(there.outbound(), Protocol::Rtcp, &rtcp(SSRC, n)).unwrap();
            *sent.entry(srtcp_word(profile, 0, &report).1).or_default() += 1;
        }
        assert!(sent.values().all(|times| *times == 1), "an SRTCP index was sent twice");
        let expected: BTreeSet<u32> = (0..u32::try_from(sent.len()).unwrap()).collect();
        assert_eq!(sent.keys().copied().collect::<BTreeSet<u32>>(), expected, "an SRTCP index was lost");
    }
}

#[test]
fn a_reader_that_stalls_stops_the_export_and_the_session_goes_on() {
    let domain = Domain::new();
    let here = session(&domain, Profile::Aes128CmSha1_80, 1, 2);
    let peer = session(&domain, Profile::Aes128CmSha1_80, 2, 1);
    let (pinned, go) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let reader = {
        let (domain, pinned, go) = (domain.clone(), Arc::clone(&pinned), Arc::clone(&go));
        thread::spawn(move || {
            let guard = domain.pin();
            pinned.wait();
            go.wait();
            drop(guard);
        })
    };
    pinned.wait();
    let stalled = here.outbound().export(&sealing(7), Duration::from_millis(20));
    assert!(matches!(stalled, Err(MovingError::Readers(SynchronizeError::Stalled { .. }))), "{stalled:?}");
    let packet = seal(here.outbound(), Protocol::Rtp, &rtp(SSRC, 1)).unwrap();
    assert_eq!(open(peer.inbound(), Protocol::Rtp, &packet), Ok(rtp(SSRC, 1)));
    here.outbound().rekey(Key::nth(Profile::Aes128CmSha1_80, 3, 0).master()).unwrap();

    let guard = domain.pin();
    let pinned = here.outbound().export(&sealing(7), WITHIN);
    assert_eq!(pinned, Err(MovingError::Readers(SynchronizeError::CallerPinned)));
    assert!(seal(here.outbound(), Protocol::Rtp, &rtp(SSRC, 2)).is_ok());
    drop(guard);
    go.wait();
    reader.join().unwrap();
    assert!(here.outbound().export(&sealing(7), WITHIN).is_ok());
}

// ---- What a spent context answers.

#[test]
fn a_spent_context_refuses_everything_by_one_name() {
    let domain = Domain::new();
    for (profile, mki_len) in [(Profile::Aes128CmSha1_80, 4), (Profile::AeadAes128Gcm, 0)] {
        let key = |n| Key::nth(profile, n, mki_len).master();
        let here = builder(profile).outbound(key(1)).inbound(key(1)).build(&domain).unwrap();
        let packets = BOTH.map(|protocol| seal(here.outbound(), protocol, &plain(protocol, SSRC, 1)).unwrap());
        here.outbound().stage_key(key(9)).unwrap();
        let before = domain.stats();
        let blob = here.outbound().export(&sealing(7), WITHIN).unwrap();
        here.inbound().export(&sealing(7), WITHIN).unwrap();
        assert_eq!(domain.stats().keys_wiped, before.keys_wiped + 3, "keys are wiped, the staged one too");

        for (protocol, packet) in BOTH.into_iter().zip(packets) {
            assert_eq!(open(here.inbound(), protocol, &packet), Err(Error::Moved), "{profile} {protocol:?}");
            assert_eq!(seal(here.outbound(), protocol, &plain(protocol, SSRC, 2)), Err(Error::Moved));
        }
        let (out, inb) = (here.outbound(), here.inbound());
        assert_eq!(out.rekey(key(2)), Err(Error::Moved));
        assert_eq!(out.activate_staged_key(), Err(Error::Moved));
        assert_eq!(out.add_key(key(3)), Err(Error::Moved));
        assert_eq!(out.set_roc(SSRC, keyflip::Roc(5)), Err(Error::Moved));
        assert_eq!(inb.add_stream(SSRC + 1, keyflip::Roc(0)), Err(Error::Moved));
        assert_eq!(inb.remove_stream(SSRC), Err(Error::Moved));
        assert_eq!(inb.roc(SSRC), Err(Error::Moved));
        assert_eq!(inb.end_grace(), Err(Error::Moved));
        assert!(inb.keys().is_empty() && inb.streams().is_empty());
        assert_eq!(out.export(&sealing(7), WITHIN), Err(MovingError::Context(Error::Moved)));
        assert_eq!(Error::Moved.fault(), keyflip::Fault::Caller);
        assert!(Moved::open(&sealing(7), &blob).is_ok());
    }
}

#[test]
fn a_session_that_was_not_built_for_it_is_not_exported() {
    let domain = Domain::new();
    let profile = Profile::AeadAes256Gcm;
    let key = Key::nth(profile, 1, 0);
    let here = Session::builder(profile).outbound(key.master()).build(&domain).unwrap();
    assert_eq!(here.outbound().export(&sealing(7), WITHIN), Err(MovingError::Context(Error::NotMovable)));
    assert!(seal(here.outbound(), Protocol::Rtp, &rtp(SSRC, 1)).is_ok());
    assert_eq!(SealingKey::take(&mut [0; 31]).unwrap_err(), MovingError::WrongKeyLength(31));
}

// ---- The blob.

fn a_blob(domain: &Domain) -> (Vec<u8>, Session) {
    let profile = Profile::Aes128CmSha1_80;
    let here = session(domain, profile, 1, 2);
    seal(here.outbound(), Protocol::Rtp, &rtp(SSRC, 1)).unwrap();
    (here.outbound().export(&sealing(7), WITHIN).unwrap(), here)
}

#[test]
fn tampered_truncated_and_foreign_blobs_are_refused() {
    let domain = Domain::new();
    let (blob, _) = a_blob(&domain);
    assert_eq!(Moved::open(&sealing(7), &blob).map(|moved| (moved.is_inbound(), moved.streams())).unwrap(), (false, 1));
    for at in 0..blob.len() {
        for bit in [1, 0x80] {
            let mut changed = blob.clone();
            changed[at] ^= bit;
            let expected = match at {
                0..4 => MovingError::NotABlob,
                4 => MovingError::UnknownVersion(VERSION ^ bit),
                _ => MovingError::NotAuthentic,
            };
            assert_eq!(Moved::open(&sealing(7), &changed).map(drop), Err(expected), "octet {at}");
        }
    }
    for len in 0..blob.len() {
        let expected = if len < 48 { MovingError::NotABlob } else { MovingError::NotAuthentic };
        assert_eq!(Moved::open(&sealing(7), &blob[..len]).map(drop), Err(expected), "{len}");
    }
    let longer = [&blob[..], &[0]].concat();
    assert_eq!(Moved::open(&sealing(7), &longer).map(drop), Err(MovingError::NotAuthentic));
    assert_eq!(Moved::open(&sealing(8), &blob).map(drop), Err(MovingError::NotAuthentic));
}

#[test]
fn two_blobs_of_one_state_have_nothing_in_common() {
    let domain = Domain::new();
    let (one, other) = (a_blob(&domain).0, a_blob(&domain).0);
    assert_eq!(one.len(), other.len());
    let same = one[8..].iter().zip(&other[8..]).filter(|(one, other)| one == other).count();
    assert!(same < one.len() / 16, "{same} of {} octets", one.len());
    // Nor is anything of the key in it.
    let key = Key::nth(Profile::Aes128CmSha1_80, 1, 0);
    assert!(one.windows(8).all(|eight| key.key.windows(8).all(|secret| secret != eight)));
}

#[test]
fn nothing_shows_a_key() {
    let domain = Domain::new();
    let (blob, _) = a_blob(&domain);
    let text = format!("{:?} {:?}", Moved::open(&sealing(7), &blob).unwrap(), sealing(7));
    assert!(text.contains("Outbound") && text.contains("redacted"), "{text}");
    assert!(!text.contains("7, 7") && !text.contains("master"), "{text}");
}

#[test]
fn a_session_of_other_rules_does_not_go_on_with_it() {
    let domain = Domain::new();
    let (blob, _) = a_blob(&domain);
    for other in [
        builder(Profile::Aes128CmSha1_32),
        builder(Profile::Aes128CmSha1_80).unencrypted_srtp(),
        builder(Profile::Aes128CmSha1_80).srtcp_encryption(keyflip::SrtcpEncryption::Off),
        builder(Profile::Aes128CmSha1_80).encrypted_header_extensions(&[1]),
        builder(Profile::Aes128CmSha1_80).cryptex(Cryptex::Enabled),
        builder(Profile::Aes128CmSha1_80).roc_in_packets(2),
    ] {
        assert_eq!(go_on(&domain, other, &[&blob]).map(drop), Err(Error::MovedDiffers));
    }
    // Not movable itself: it goes on, and stays.
    let there = go_on(&domain, Session::builder(Profile::Aes128CmSha1_80), &[&blob]).unwrap();
    assert_eq!(there.outbound().export(&sealing(7), WITHIN), Err(MovingError::Context(Error::NotMovable)));
    assert_eq!(seal(there.outbound(), Protocol::Rtp, &rtp(SSRC, 1)), Err(Error::IndexReused));
    assert!(seal(there.outbound(), Protocol::Rtp, &rtp(SSRC, 2)).is_ok());
}

#[test]
fn a_table_too_small_for_the_streams_refuses_them() {
    let domain = Domain::new();
    let profile = Profile::AeadAes128Gcm;
    let here = session(&domain, profile, 1, 2);
    for n in 0..50 {
        seal(here.outbound(), Protocol::Rtp, &rtp(SSRC + n, 1)).unwrap();
    }
    let blob = here.outbound().export(&sealing(7), WITHIN).unwrap();
    assert_eq!(go_on(&domain, builder(profile).max_streams(49), &[&blob]).map(drop), Err(Error::TooManyStreams));
    let there = go_on(&domain, builder(profile).max_streams(50), &[&blob]).unwrap();
    assert_eq!(there.outbound().streams().len(), 50);
    assert_eq!(seal(there.outbound(), Protocol::Rtp, &rtp(SSRC + 50, 1)), Err(Error::TooManyStreams));
}

// ---- What goes along.

fn moved_inbound(domain: &Domain, builder: SessionBuilder, inbound: &Inbound) -> Session {
    let blob = inbound.export(&sealing(7), WITHIN).unwrap();
    go_on(domain, builder, &[&blob]).unwrap()
}

fn moved_outbound(domain: &Domain, builder: SessionBuilder, outbound: &Outbound) -> Session {
    let blob = outbound.export(&sealing(7), WITHIN).unwrap();
    go_on(domain, builder, &[&blob]).unwrap()
}

#[test]
fn p05_a_stream_keeps_its_windows_whatever_those_of_new_ones_are() {
    let domain = Domain::new();
    let profile = Profile::Aes128CmSha1_80;
    let peer = session(&domain, profile, 1, 2);
    let key = Key::nth(profile, 1, 0);
    let here = builder(profile).replay_window(64).inbound(key.master()).build(&domain).unwrap();
    let packets: Vec<Vec<u8>> =
        (0..500).map(|n| seal(peer.outbound(), Protocol::Rtp, &rtp(SSRC, n)).unwrap()).collect();
    for packet in &packets[..400] {
        open(here.inbound(), Protocol::Rtp, packet).unwrap();
    }
    here.inbound().add_stream_with(SSRC + 1, StreamOptions::default().replay_window(2048)).unwrap();
    let wide: Vec<Vec<u8>> =
        (0..2000).map(|n| seal(peer.outbound(), Protocol::Rtp, &rtp(SSRC + 1, n)).unwrap()).collect();
    open(here.inbound(), Protocol::Rtp, &wide[1999]).unwrap();
    let there = moved_inbound(&domain, builder(profile).replay_window(1024), here.inbound());
    for packet in &packets[..400] {
        assert!(open(there.inbound(), Protocol::Rtp, packet).is_err());
    }
    open(there.inbound(), Protocol::Rtp, &packets[499]).unwrap();
    assert_eq!(open(there.inbound(), Protocol::Rtp, &packets[435]), Err(Error::TooOld));
    assert!(open(there.inbound(), Protocol::Rtp, &packets[436]).is_ok());
    assert!(open(there.inbound(), Protocol::Rtp, &wide[0]).is_ok(), "a window of its own");
    let fresh: Vec<Vec<u8>> =
        (0..500).map(|n| seal(peer.outbound(), Protocol::Rtp, &rtp(SSRC + 2, n)).unwrap()).collect();
    assert!(open(there.inbound(), Protocol::Rtp, &fresh[499]).is_ok());
    assert!(open(there.inbound(), Protocol::Rtp, &fresh[0]).is_ok(), "that of the new policy");
}

/// As [`seal`], where the overhead that is stated is that of another SSRC's keys.
fn grown(outbound: &Outbound, protocol: Protocol, plain: &[u8]) -> keyflip::Result<Vec<u8>> {
    let mut packet = plain.to_vec();
    let guard = outbound.domain().pin();
    match protocol {
        Protocol::Rtp => outbound.protect_rtp_in(&guard, &mut packet)?,
        Protocol::Rtcp => outbound.protect_rtcp_in(&guard, &mut packet)?,
    }
    Ok(packet)
}

#[test]
fn p02_keys_of_one_ssrc_and_their_policies_go_along() {
    let domain = Domain::new();
    let profile = Profile::Aes128CmSha1_80;
    let (own, own_key) = (Profile::AeadAes256Gcm, Key::nth(Profile::AeadAes256Gcm, 9, 3));
    let (ours, theirs) = (SSRC + 5, SSRC + 6);
    let peer = session(&domain, profile, 1, 2);
    let here = session(&domain, profile, 2, 1);
    let policy = || builder(own).grace(Grace::LAST).replay_window(64);
    peer.outbound().give_ssrc_keys(theirs, policy().outbound(own_key.master())).unwrap();
    here.inbound().give_ssrc_keys(theirs, policy().inbound(own_key.master())).unwrap();
    peer.inbound().give_ssrc_keys(ours, policy().inbound(own_key.master())).unwrap();
    here.outbound().give_ssrc_keys(ours, policy().outbound(own_key.master())).unwrap();
    let sent: Vec<(Protocol, u32, Vec<u8>)> =
        [(Protocol::Rtp, theirs), (Protocol::Rtcp, theirs), (Protocol::Rtp, SSRC)]
            .map(|(protocol, ssrc)| {
                (protocol, ssrc, grown(peer.outbound(), protocol, &plain(protocol, ssrc, 1)).unwrap())
            })
            .into();
    for (protocol, ssrc, packet) in &sent {
        assert_eq!(open(here.inbound(), *protocol, packet), Ok(plain(*protocol, *ssrc, 1)));
    }
    let late = grown(peer.outbound(), Protocol::Rtp, &rtp(theirs, 2)).unwrap();
    let next = Key::nth(own, 10, 3);
    peer.outbound().ssrc_keys(theirs).unwrap().rekey(next.master()).unwrap();
    here.inbound().ssrc_keys(theirs).unwrap().rekey(next.master()).unwrap();
    for protocol in BOTH {
        grown(here.outbound(), protocol, &plain(protocol, ours, 1)).unwrap();
    }
    let there = {
        let blobs =
            [here.inbound().export(&sealing(7), WITHIN).unwrap(), here.outbound().export(&sealing(7), WITHIN).unwrap()];
        go_on(&domain, builder(profile), &[&blobs[0], &blobs[1]]).unwrap()
    };
    let key = |n: u8| Key::nth(own, n, 3);
    assert_eq!(open(here.inbound(), Protocol::Rtp, &late), Err(Error::Moved));
    assert_eq!(here.inbound().give_ssrc_keys(7, policy().inbound(key(1).master())).map(drop), Err(Error::Moved));
    assert_eq!(here.inbound().ssrc_keys(theirs).unwrap().rekey(key(1).master()), Err(Error::Moved));

    for (protocol, _, packet) in &sent {
        assert_eq!(open(there.inbound(), *protocol, packet), Err(Error::Replayed));
    }
    assert!(open(there.inbound(), Protocol::Rtp, &late).is_ok(), "its key is in grace");
    for protocol in BOTH {
        let packet = grown(peer.outbound(), protocol, &plain(protocol, theirs, 3)).unwrap();
        assert_eq!(open(there.inbound(), protocol, &packet), Ok(plain(protocol, theirs, 3)));
        let packet = grown(there.outbound(), protocol, &plain(protocol, ours, 2)).unwrap();
        assert_eq!(open(peer.inbound(), protocol, &packet), Ok(plain(protocol, ours, 2)));
    }
    assert_eq!(grown(there.outbound(), Protocol::Rtp, &rtp(ours, 1)), Err(Error::IndexReused));
    assert_eq!(there.inbound().ssrcs_with_keys(), [keyflip::Ssrc(theirs)]);
    assert_eq!(there.inbound().ssrc_keys(theirs).unwrap().keys().len(), 2);
    assert_eq!(there.inbound().keys().len(), 1);

    // One that is not to be moved holds the others back, and nothing has happened.
    there.inbound().give_ssrc_keys(7, Session::builder(own).inbound(key(1).master())).unwrap();
    let refused = there.inbound().export(&sealing(7), WITHIN);
    assert_eq!(refused, Err(MovingError::Context(Error::NotMovable)));
    let packet = grown(peer.outbound(), Protocol::Rtp, &rtp(SSRC, 4)).unwrap();
    assert!(open(there.inbound(), Protocol::Rtp, &packet).is_ok());
}

#[test]
fn a_forgotten_stream_leaves_nothing_to_move() {
    let domain = Domain::new();
    let profile = Profile::AeadAes128Gcm;
    let peer = session(&domain, profile, 1, 2);
    let here = session(&domain, profile, 2, 1);
    let packet = seal(peer.outbound(), Protocol::Rtp, &rtp(SSRC, 1)).unwrap();
    open(here.inbound(), Protocol::Rtp, &packet).unwrap();
    here.inbound().forget_stream(SSRC).unwrap();
    let blob = here.inbound().export(&sealing(7), WITHIN).unwrap();
    assert_eq!(Moved::open(&sealing(7), &blob).unwrap().streams(), 0);
    let there = go_on(&domain, builder(profile), &[&blob]).unwrap();
    assert!(open(there.inbound(), Protocol::Rtp, &packet).is_ok(), "what it was forgotten for");
}

#[test]
fn p05_the_floors_of_removed_streams_go_along() {
    let domain = Domain::new();
    let profile = Profile::AeadAes128Gcm;
    let peer = session(&domain, profile, 1, 2);
    let here = session(&domain, profile, 2, 1);
    let packets: Vec<Vec<u8>> = (0..9).map(|n| seal(peer.outbound(), Protocol::Rtp, &rtp(SSRC, n)).unwrap()).collect();
    for packet in &packets[..5] {
        open(here.inbound(), Protocol::Rtp, packet).unwrap();
    }
    here.inbound().remove_stream(SSRC).unwrap();
    let there = moved_inbound(&domain, builder(profile), here.inbound());
    assert!(there.inbound().streams().is_empty());
    for packet in &packets[..5] {
        assert_eq!(open(there.inbound(), Protocol::Rtp, packet), Err(Error::TooOld));
    }
    assert!(open(there.inbound(), Protocol::Rtp, &packets[5]).is_ok());
}

#[test]
fn p03_grace_and_added_and_staged_keys_go_along() {
    let domain = Domain::new();
    let profile = Profile::Aes128CmSha1_80;
    let key = |n| Key::nth(profile, n, 2);
    let policy = || builder(profile).grace(Grace::DEFAULT.until_elapsed(Duration::from_millis(400)));
    let here = policy().inbound(key(1).master()).inbound(key(2).master()).outbound(key(1).master());
    let here = here.build(&domain).unwrap();
    here.inbound().rekey(key(3).master()).unwrap();
    here.outbound().stage_key(key(4).master()).unwrap();
    let roles = |inbound: &Inbound| inbound.keys().into_iter().map(|key| (key.mki, key.role)).collect::<Vec<_>>();
    let before = here.inbound().keys();
    let there = moved_inbound(&domain, policy(), here.inbound());
    assert_eq!(there.inbound().keys(), before, "ids, MKIs, roles and spaces");
    let named = |n: u8, role| (key(n).mki, role);
    let all = [named(3, KeyRole::Current), named(1, KeyRole::InGrace), named(2, KeyRole::Added)];
    assert_eq!(roles(there.inbound()), all);
    for n in 1..=3 {
        let sender = Session::builder(profile).outbound(key(n).master()).build(&domain).unwrap();
        let packet = seal(sender.outbound(), Protocol::Rtp, &rtp(SSRC + u32::from(n), 1)).unwrap();
        assert!(open(there.inbound(), Protocol::Rtp, &packet).is_ok(), "{n}");
    }
    // The grace ends there, when it would have ended here.
    let started = std::time::Instant::now();
    while roles(there.inbound()).len() == 3 {
        assert!(started.elapsed() < WITHIN, "the deadline has not come along");
        thread::sleep(Duration::from_millis(5));
    }
    let out = moved_outbound(&domain, policy(), here.outbound());
    let staged = out.outbound().activate_staged_key().unwrap();
    assert!(matches!(staged, Rekeyed::Switched(_)));
    assert_eq!(out.outbound().keys()[0].mki, key(4).mki);
}

#[test]
fn p07_what_is_left_of_a_key_goes_along_and_what_streams_had_leased_is_not_lost() {
    let domain = Domain::new();
    let profile = Profile::AeadAes128Gcm;
    let lifetime = KeyLifetime { srtp_packets: 1000, srtcp_packets: 40 };
    let policy = || builder(profile).key_lifetime(lifetime);
    let mut here = policy().outbound(Key::nth(profile, 1, 0).master()).build(&domain).unwrap();
    let mut sent = [0u32; 2];
    for n in 0..3000u32 {
        for (protocol, sent) in BOTH.into_iter().zip(&mut sent) {
            let number = u16::try_from(n).unwrap();
            match seal(here.outbound(), protocol, &plain(protocol, SSRC + n % 3, number)) {
                Ok(_) => *sent += 1,
                Err(error) => assert_eq!(error, Error::KeyExpired, "{protocol:?} {n}"),
            }
        }
        if n % 97 == 96 {
            here = moved_outbound(&domain, policy(), here.outbound());
        }
    }
    // Never late; early by what is leased when it ends, at most.
    assert!((990..=1000).contains(&sent[0]) && (36..=40).contains(&sent[1]), "{sent:?}");
    let tighter = builder(profile).key_lifetime(KeyLifetime { srtp_packets: 1, srtcp_packets: 1 });
    let domain = Domain::new();
    let here = policy().outbound(Key::nth(profile, 1, 0).master()).build(&domain).unwrap();
    let there = moved_outbound(&domain, tighter, here.outbound());
    let left = there.outbound().packets_left(there.outbound().keys()[0].id).unwrap();
    assert_eq!((left.srtp_packets, left.srtcp_packets), (1, 1), "the lower limit counts");
}

#[test]
fn p04_spaces_and_the_history_of_keys_go_along() {
    let domain = Domain::new();
    let profile = Profile::Aes128CmSha1_80;
    let key = |n| Key::nth(profile, n, 0);
    let peer = session(&domain, profile, 1, 99);
    let here = session(&domain, profile, 99, 1);
    // Far on, so that counters that are kept and such as begin afresh differ.
    peer.outbound().add_stream(SSRC, keyflip::Roc(3), 0).unwrap();
    here.inbound().add_stream(SSRC, keyflip::Roc(3)).unwrap();
    let old = seal(peer.outbound(), Protocol::Rtp, &rtp(SSRC, 10)).unwrap();
    let late = seal(peer.outbound(), Protocol::Rtp, &rtp(SSRC, 11)).unwrap();
    open(here.inbound(), Protocol::Rtp, &old).unwrap();
    peer.outbound().rekey_with(key(2).master(), RocOnRekey::Keep).unwrap();
    here.inbound().rekey_with(key(2).master(), RocOnRekey::Probe).unwrap();
    let there = moved_inbound(&domain, builder(profile), here.inbound());
    // Which of the two the peer does shows after the move.
    let first = seal(peer.outbound(), Protocol::Rtp, &rtp(SSRC, 12)).unwrap();
    assert!(open(there.inbound(), Protocol::Rtp, &first).is_ok());
    assert!(open(there.inbound(), Protocol::Rtp, &late).is_ok(), "in flight, in the space of its key");
    assert_eq!(open(there.inbound(), Protocol::Rtp, &old), Err(Error::Replayed));
    let reset = there.inbound().rekey_with(key(1).master(), RocOnRekey::Reset);
    assert!(matches!(reset, Ok(Rekeyed::Unchanged(_))), "still in grace");
    there.inbound().end_grace().unwrap();
    assert_eq!(there.inbound().rekey_with(key(1).master(), RocOnRekey::Reset), Err(Error::KeyUsedBefore));
    let fresh = there.inbound().rekey_with(key(3).master(), RocOnRekey::Reset).unwrap();
    assert!(fresh.key() > there.inbound().keys()[1].id, "ids go on");
}

#[test]
fn a_context_without_keys_or_with_streams_by_call_goes_along() {
    let domain = Domain::new();
    let profile = Profile::NullWithoutAuthentication;
    let policy = || builder(profile).new_streams(NewStreams::ByCall);
    let here = policy().build(&domain).unwrap();
    here.inbound().add_stream(SSRC, keyflip::Roc(5)).unwrap();
    let there = moved_inbound(&domain, policy(), here.inbound());
    assert_eq!(there.inbound().roc(SSRC), Ok(keyflip::Roc(5)));
    there.inbound().rekey(Key::nth(profile, 1, 0).master()).unwrap();
    assert_eq!(open(there.inbound(), Protocol::Rtp, &rtp(SSRC, 1)), Ok(rtp(SSRC, 1)));
    assert_eq!(open(there.inbound(), Protocol::Rtp, &rtp(SSRC + 1, 1)), Err(Error::UnknownSsrc));
}

// ---- Beside a twin that stays.

#[derive(Clone, Debug)]
enum Step {
    Packet { protocol: bool, ssrc: u8, back: u8 },
    Jump(u16),
    Rekey(u8, u8),
    EndGrace,
    Remove(u8),
    Move,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (any::<bool>(), 0u8..3, 0u8..12).prop_map(|(protocol, ssrc, back)| Step::Packet { protocol, ssrc, back }),
        2 => (1000u16..30_000).prop_map(Step::Jump),
        1 => (0u8..6, 0u8..3).prop_map(|(key, roc)| Step::Rekey(key, roc)),
        1 => Just(Step::EndGrace),
        1 => (0u8..3).prop_map(Step::Remove),
        3 => Just(Step::Move),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// A receiver that is moved again and again says of every packet, rekey and removal what one says that stays.
    #[test]
    fn a_receiver_that_moves_answers_as_its_twin_that_stays(steps in prop::collection::vec(step(), 1..120), gcm: bool) {
        let profile = if gcm { Profile::AeadAes128Gcm } else { Profile::Aes128CmSha1_32 };
        let domain = Domain::without_reclaimer();
        let key = |n| Key::nth(profile, n, 0).master();
        let sender = builder(profile).outbound(key(0)).dangerously_allow_identical_retransmission().build(&domain).unwrap();
        let stays = builder(profile).inbound(key(0)).build(&domain).unwrap();
        let mut moves = builder(profile).inbound(key(0)).build(&domain).unwrap();
        let mut number = 60_000u16;
        let mut recent: Vec<(Protocol, Vec<u8>)> = Vec::new();
        for step in steps {
            match step {
                Step::Packet { protocol, ssrc, back } => {
                    let protocol = if protocol { Protocol::Rtp } else { Protocol::Rtcp };
                    if let Ok(packet) = seal(sender.outbound(), protocol, &plain(protocol, SSRC + u32::from(ssrc), number)) {
                        recent.push((protocol, packet));
                    }
                    number = number.wrapping_add(1);
                    // The newest, or one of those before once more.
                    if let Some((protocol, packet)) = recent.iter().rev().nth(usize::from(back)) {
                        prop_assert_eq!(open(moves.inbound(), *protocol, packet), open(stays.inbound(), *protocol, packet));
                    }
                }
                Step::Jump(by) => number = number.wrapping_add(by),
                Step::Rekey(n, roc) => {
                    let roc = [RocOnRekey::Keep, RocOnRekey::Reset, RocOnRekey::Probe][usize::from(roc)];
                    let theirs = if roc == RocOnRekey::Probe { RocOnRekey::Keep } else { roc };
                    let _ = sender.outbound().rekey_with(key(n), theirs);
                    prop_assert_eq!(moves.inbound().rekey_with(key(n), roc), stays.inbound().rekey_with(key(n), roc));
                }
                Step::EndGrace => {
                    prop_assert_eq!(moves.inbound().end_grace(), stays.inbound().end_grace());
                }
                Step::Remove(ssrc) => {
                    let ssrc = SSRC + u32::from(ssrc);
                    prop_assert_eq!(moves.inbound().remove_stream(ssrc), stays.inbound().remove_stream(ssrc));
                }
                Step::Move => moves = moved_inbound(&domain, builder(profile), moves.inbound()),
            }
            prop_assert_eq!(moves.inbound().keys(), stays.inbound().keys());
            let streams = |session: &Session| {
                let mut streams: Vec<_> = session.inbound().streams().into_iter().map(|of| (of.ssrc, of.rtp, of.rtcp)).collect();
                streams.sort_by_key(|(ssrc, ..)| *ssrc);
                streams
            };
            prop_assert_eq!(streams(&moves), streams(&stays));
            let left = |session: &Session| {
                let ids = session.inbound().keys().into_iter().map(|key| key.id);
                ids.map(|id| session.inbound().packets_left(id).unwrap()).collect::<Vec<_>>()
            };
            // A lease that was given back is at most one per stream and key.
            for (moved, stayed) in left(&moves).into_iter().zip(left(&stays)) {
                prop_assert!(moved.srtp_packets.abs_diff(stayed.srtp_packets) <= 64 * 1024);
            }
        }
    }
}

/// Nothing is moved by a flag that nobody reads: threads that never see the switch would send on.
#[test]
fn every_thread_sees_the_end() {
    let domain = Domain::new();
    let here = session(&domain, Profile::AeadAes128Gcm, 1, 2);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for worker in 0..2u32 {
            let (here, stop) = (&here, &stop);
            scope.spawn(move || {
                for n in 0u16.. {
                    let done = stop.load(Ordering::Acquire);
                    let sealed = seal(here.outbound(), Protocol::Rtp, &rtp(SSRC + worker, n));
                    if done {
                        assert_eq!(sealed, Err(Error::Moved), "sent after the export returned");
                        return;
                    }
                }
            });
        }
        here.outbound().export(&sealing(7), WITHIN).unwrap();
        stop.store(true, Ordering::Release);
    });
}
