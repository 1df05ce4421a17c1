//! P10, of keys that come by SDES and by DTLS-SRTP: once they are gone, no eight consecutive octets of them are anywhere in the process, nor of the text
//! that they were written as.
//!
//! As in `memory_scan.rs`, the test starts itself as the process under test and searches that from outside. What a step leaves on its stack stays
//! there: each runs on a thread of its own, which is then parked for good.
#![cfg(target_os = "linux")]

#[path = "memory_scan/needles.rs"]
mod needles;
#[path = "memory_scan/scan.rs"]
mod scan;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyflip::dtls::{Keys, Role};
use keyflip::sdes::{CryptoAttribute, SUITES, session_builder};
use keyflip::{Domain, Session};
use needles::{Lives, Needle};
use rand::{Rng, SeedableRng};
use scan::{Findings, Windows};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Set in the process under test.
const UNDER_TEST: &str = "KEYFLIP_KEYING_MEMORY_CHILD";

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

fn wipe(octets: &mut [u8]) {
    octets.iter_mut().for_each(|octet| *std::hint::black_box(octet) = 0);
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

/// Reads the line of a peer, makes one of it that says the same (as an offerer has it), and writes that once.
fn read_attribute(mut line: Vec<u8>) -> CryptoAttribute {
    let attribute = CryptoAttribute::parse(std::str::from_utf8(&line).unwrap()).unwrap();
    wipe(&mut line);
    assert_eq!(attribute.format().len(), line.len());
    let mut buffer = line;
    attribute.format_to(&mut buffer).unwrap();
    wipe(&mut buffer);
    attribute
}

/// A packet there and back, so that the keys have been used.
fn use_session(session: &Session, own: bool) {
    let plain = b"\x80\x60\0\x01\0\0\0\xa0\xca\xfe\xba\xbepayload".to_vec();
    let (mut packet, guard) = (plain.clone(), session.outbound().domain().pin());
    session.outbound().protect_rtp_in(&guard, &mut packet).unwrap();
    assert_eq!(session.inbound().unprotect_rtp_in(&guard, &mut packet).is_ok(), own);
}

fn under_test() {
    let domain = Domain::new();
    let (mut lines, mut materials) = (Vec::new(), Vec::new());
    for _ in SUITES {
        lines.push(unmask(&read_line()));
        materials.push(unmask(&read_line()));
    }
    reached("given");
    let attributes: Vec<_> = lines.into_iter().map(|line| on_its_own_thread(|| read_attribute(line))).collect();
    let take = |(profile, mut material): (_, Vec<u8>)| {
        on_its_own_thread(move || (profile, Keys::take(profile, Role::Client, &mut material).unwrap()))
    };
    let keys: Vec<_> = SUITES.into_iter().zip(materials).map(take).collect();
    reached("taken");
    for attribute in attributes {
        let domain = domain.clone();
        on_its_own_thread(move || {
            // With itself for an answer, both directions have one key.
            let session = session_builder(&attribute, &attribute).unwrap().build(&domain).unwrap();
            drop(attribute);
            use_session(&session, true);
        });
    }
    for (profile, keys) in keys {
        let domain = domain.clone();
        on_its_own_thread(move || {
            let builder = Session::builder(profile).outbound(keys.outbound).inbound(keys.inbound);
            use_session(&builder.build(&domain).unwrap(), false);
        });
    }
    domain.synchronize(Duration::from_secs(10)).unwrap();
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
fn p10_nothing_is_left_of_keys_from_sdes_and_dtls() {
    let mut random = rand_chacha::ChaCha12Rng::seed_from_u64(4568);
    let mut process = Process::start();
    let mut all = Vec::new();
    for profile in SUITES {
        let mut part = |len| {
            let mut octets = vec![0; len];
            random.fill_bytes(&mut octets);
            octets
        };
        let (key_len, salt_len) = (profile.key_len(), profile.salt_len());
        let key = part(key_len + salt_len);
        let (keys, salts) = ([part(key_len), part(key_len)], [part(salt_len), part(salt_len)]);
        let text = STANDARD.encode(&key);
        process.say(&masked(format!("a=crypto:1 {profile} inline:{text}").as_bytes(), &mut random));
        process.say(&masked(&[keys.concat(), salts.concat()].concat(), &mut random));
        let name = format!("{profile} SDES: base64");
        all.push(Needle { name, octets: text.trim_end_matches('=').as_bytes().to_vec(), lives: Lives::UntilUsed });
        all.extend(needles::of(profile, &key, "SDES"));
        for (key, salt) in keys.into_iter().zip(salts) {
            all.extend(needles::of(profile, &[key, salt].concat(), "DTLS"));
        }
    }
    let windows = Windows::of(&all);
    let is_text = |needle: &Needle| needle.name.ends_with("base64");
    let is_master = |needle: &Needle| needle.lives == Lives::UntilUsed && !is_text(needle);

    let given = process.scan_at("given", &windows);
    let in_sources = |needle: &Needle| is_text(needle) || is_master(needle) && needle.name.contains("DTLS");
    assert_eq!(missing(&all, &given, in_sources), [""; 0], "the scan finds what was given");
    let taken = process.scan_at("taken", &windows);
    assert_eq!(missing(&all, &taken, is_master), [""; 0], "the scan finds keys that are held");
    assert_eq!(found(&all, &taken, |needle| !is_master(needle)), [""; 0], "beside the keys that are held");
    let gone = process.scan_at("gone", &windows);
    assert_eq!(found(&all, &gone, |_| true), [""; 0], "left behind");
    assert!(process.child.wait().unwrap().success());
}
