//! P10, of sessions that are exported and of those that go on with them: once they are gone, no eight consecutive octets of a key are anywhere in the process, nor
//! of the key that the blob was sealed under.
//!
//! As in `keying_memory.rs`: the test starts itself as the process under test and searches that from outside, and each step runs on a thread of its own,
//! which is then parked for good.
#![cfg(target_os = "linux")]

#[path = "memory_scan/needles.rs"]
mod needles;
#[path = "memory_scan/scan.rs"]
mod scan;

use keyflip::moving::{Moved, SealingKey};
use keyflip::{Domain, MasterKey, Profile, Session};
use needles::{Lives, Needle};
use rand::{Rng, SeedableRng};
use scan::{Findings, Windows};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Set in the process under test.
const UNDER_TEST: &str = "KEYFLIP_MOVING_MEMORY_CHILD";

const PROFILES: [Profile; 3] = [Profile::Aes128CmSha1_80, Profile::AeadAes256Gcm, Profile::Aes192CmSha1_32];

#[test]
fn process_under_test() {
    if std::env::var_os(UNDER_TEST).is_some() {
        under_test();
    }
}

// ---- The process under test.

fn read_line() -> String {
    let mut line = String::new();
    assert_ne!(std::io::stdin().lock().read_line(&mut line).unwrap(), 0, "the searcher is there");
    line.trim_end().to_owned()
}

/// Says that a phase is reached, and waits to be told to go on.
fn reached(phase: &str) {
    println!("@reached {phase}");
    std::io::stdout().flush().unwrap();
    assert_eq!(read_line(), "go on");
}

/// What is given XORed with what else is given: neither a pipe's buffer nor a string has held it.
fn unmask(line: &str) -> Vec<u8> {
    let (mask, masked) = line.split_once(' ').unwrap();
    let pairs = hex::decode(mask).unwrap().into_iter().zip(hex::decode(masked).unwrap());
    let mut octets = Vec::with_capacity(masked.len() / 2);
    // One by one: in vector registers the whole might be spilled.
    pairs.for_each(|(mask, masked)| octets.push(std::hint::black_box(mask ^ masked)));
    octets
}

fn on_its_own_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || {
        done.send(work()).unwrap();
        loop {
            std::thread::park();
        }
    });
    result.recv().unwrap()
}

/// A packet there and back, so that the keys have been used.
fn use_session(session: &Session) {
    let plain = b"\x80\x60\0\x01\0\0\0\xa0\xca\xfe\xba\xbepayload".to_vec();
    let (mut packet, guard) = (plain, session.outbound().domain().pin());
    session.outbound().protect_rtp_in(&guard, &mut packet).unwrap();
    session.inbound().unprotect_rtp_in(&guard, &mut packet).unwrap();
}

fn under_test() {
    let within = Duration::from_secs(10);
    let domain = Domain::new();
    let mut sealing = unmask(&read_line());
    let mut materials: Vec<_> = PROFILES.iter().map(|_| unmask(&read_line())).collect();
    reached("given");
    // Opened in the same process: there as here nothing may be left.
    let key = std::sync::Arc::new(on_its_own_thread(move || SealingKey::take(&mut sealing).unwrap()));
    let sessions: Vec<_> = PROFILES
        .into_iter()
        .map(|profile| {
            let (domain, mut material) = (domain.clone(), materials.remove(0));
            on_its_own_thread(move || {
                let mut again = material.clone();
                let builder = Session::builder(profile).movable();
                let builder = builder.outbound(MasterKey::take(&mut material)).inbound(MasterKey::take(&mut again));
                let session = builder.build(&domain).unwrap();
                use_session(&session);
                (profile, session)
            })
        })
        .collect();
    reached("held");
    let blobs: Vec<_> = sessions
        .into_iter()
        .map(|(profile, session)| {
            let key = std::sync::Arc::clone(&key);
            on_its_own_thread(move || {
                let blobs = [session.inbound().export(&key, within), session.outbound().export(&key, within)];
                (profile, blobs.map(Result::unwrap))
            })
        })
        .collect();
    domain.synchronize(within).unwrap();
    reached("exported");
    let sessions: Vec<_> = blobs
        .into_iter()
        .map(|(profile, blobs)| {
            let (domain, key) = (domain.clone(), std::sync::Arc::clone(&key));
            on_its_own_thread(move || {
                let moved = blobs.each_ref().map(|blob| Moved::open(&key, blob).unwrap());
                let builder = moved.into_iter().fold(Session::builder(profile), |to, moved| to.go_on_with(moved));
                let session = builder.build(&domain).unwrap();
                let plain = b"\x80\x60\0\x02\0\0\0\xa0\xca\xfe\xba\xbepayload".to_vec();
                let mut packet = plain;
                session.outbound().protect_rtp_in(&domain.pin(), &mut packet).unwrap();
                session.inbound().unprotect_rtp_in(&domain.pin(), &mut packet).unwrap();
                session
            })
        })
        .collect();
    drop(key);
    reached("imported");
    drop(sessions);
    domain.synchronize(within).unwrap();
    reached("gone");
}

// ---- The searcher.

struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["process_under_test", "--exact", "--nocapture"])
            .env(UNDER_TEST, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// Waits for a phase, and searches it.
    fn scan_at(&mut self, phase: &str, windows: &Windows) -> Findings {
        let mut line = String::new();
        while !line.trim_end().ends_with(&format!("@reached {phase}")) {
            line.clear();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "it ended before it had {phase}");
        }
        let (findings, read) = scan::scan(self.child.id(), windows);
        assert!(read > 1 << 20, "{read} octets are no process");
        self.say("go on");
        findings
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn masked(octets: &[u8], random: &mut impl Rng) -> String {
    let mut mask = vec![0; octets.len()];
    random.fill_bytes(&mut mask);
    let masked: Vec<u8> = octets.iter().zip(&mask).map(|(octet, mask)| octet ^ mask).collect();
    format!("{} {}", hex::encode(mask), hex::encode(masked))
}

/// Those of the needles that `wanted` picks which were not found.
fn missing<'n>(needles: &'n [Needle], findings: &Findings, wanted: impl Fn(&Needle) -> bool) -> Vec<&'n str> {
    let listed = needles.iter().enumerate().filter(|(number, needle)| wanted(needle) && !findings.contains_key(number));
    listed.map(|(_, needle)| needle.name.as_str()).collect()
}

/// Those of the needles that `unwanted` picks which were found, and where.
fn found(needles: &[Needle], findings: &Findings, unwanted: impl Fn(&Needle) -> bool) -> Vec<String> {
    let listed = findings.iter().filter(|(number, _)| unwanted(&needles[**number]));
    listed
        .map(|(number, places)| {
            format!("{} at {:#x} in {}", needles[*number].name, places[0].address, places[0].mapping)
        })
        .collect()
}

#[test]
fn p10_nothing_is_left_of_a_session_that_moved() {
    let mut random = rand_chacha::ChaCha12Rng::seed_from_u64(51);
    let mut process = Process::start();
    let mut part = |len| {
        let mut octets = vec![0; len];
        random.fill_bytes(&mut octets);
        octets
    };
    let sealing = part(32);
    let masters = PROFILES.map(|profile| part(profile.key_len() + profile.salt_len()));
    process.say(&masked(&sealing, &mut random));
    let mut all = vec![Needle { name: "sealing key".to_owned(), octets: sealing, lives: Lives::UntilUsed }];
    for (profile, master) in PROFILES.into_iter().zip(&masters) {
        process.say(&masked(master, &mut random));
        all.extend(needles::of(profile, master, profile.name()));
    }
    let windows = Windows::of(&all);
    let is_master = |needle: &Needle| needle.lives == Lives::UntilUsed;
    let is_sealing = |needle: &Needle| needle.name == "sealing key";
    let given = process.scan_at("given", &windows);
    assert_eq!(missing(&all, &given, is_master), [""; 0], "the scan finds what was given");
    let held = process.scan_at("held", &windows);
    assert_eq!(missing(&all, &held, is_master), [""; 0], "keys that may move are kept");
    let exported = process.scan_at("exported", &windows);
    assert_eq!(missing(&all, &exported, is_sealing), [""; 0], "the sealing key is held");
    assert_eq!(found(&all, &exported, |needle| !is_sealing(needle)), [""; 0], "left behind by the exporter");
    let imported = process.scan_at("imported", &windows);
    let with_key = |needle: &Needle| needle.lives == Lives::WithTheKey;
    assert!(missing(&all, &imported, with_key).len() < all.len() / 2, "the scan finds keys in use");
    assert_eq!(found(&all, &imported, |needle| !with_key(needle)), [""; 0], "beside keys in use, which do not move on");
    let gone = process.scan_at("gone", &windows);
    assert_eq!(found(&all, &gone, |_| true), [""; 0], "left behind");
    assert!(process.child.wait().unwrap().success());
}
