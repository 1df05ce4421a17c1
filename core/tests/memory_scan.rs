//! P10: once a key is gone, no eight consecutive octets of it, or of anything made of it, are anywhere in the process.
//!
//! The test starts itself once more as the process under test, and searches that process's memory from outside, all of it that can be read: heap, stacks
//! of threads that sleep, static data, mapped files. It knows what to look for from computations of its own (`needles.rs`). Each scan also has
//! to find what is there: the master key before the library took it, all that lives with a key while it is in use, the key that replaced it.
//!
//! As long as they live, from when the library has taken them, keys lie in mappings that the system keeps out of core dumps, and in no other.
#![cfg(target_os = "linux")]

#[path = "memory_scan/child.rs"]
mod child;
#[path = "common/kernels.rs"]
mod kernels;
#[path = "memory_scan/needles.rs"]
mod needles;
#[path = "memory_scan/scan.rs"]
mod scan;

use child::{Masked, Scenario, plain_packets};
use keyflip::{Domain, MasterKey, Profile};
use needles::{Lives, Needle};
use rand::{Rng, SeedableRng};
use scan::{Findings, Windows};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Set in the process under test.
const UNDER_TEST: &str = "KEYFLIP_MEMORY_SCAN_CHILD";

#[test]
fn process_under_test() {
    if std::env::var_os(UNDER_TEST).is_some() {
        child::run();
    }
}

/// The process under test, seen by the searcher.
struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// An address in the uppermost frame of each of its threads, and what the thread does.
    stacks: Vec<(u64, String)>,
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
        Self { child, input, output, stacks: Vec::new() }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// Waits until it says that it reached a phase.
    fn await_phase(&mut self, phase: &str) {
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "it ended before it was {phase}");
            if let Some(stack) = line.trim_end().split_once("@stack ").map(|(_, stack)| stack) {
                let (address, name) = stack.split_once(' ').unwrap();
                self.stacks.push((u64::from_str_radix(address, 16).unwrap(), name.to_owned()));
            } else if line.trim_end().ends_with(&format!("@reached {phase}")) {
                return;
            }
        }
    }

    fn scan(&self, windows: &Windows) -> Findings {
        let (findings, read) = scan::scan(self.child.id(), windows);
        assert!(read > 1 << 20, "{read} octets are no process");
        findings
    }

    /// One line for each needle that was found.
    fn describe(&self, findings: &Findings, needles: &[Needle]) -> Vec<String> {
        let place = |place: &scan::Place| {
            let depth = |(top, name): &(u64, String)| Some((top.checked_sub(place.address)?, name.clone()));
            match self.stacks.iter().filter_map(depth).min() {
                Some((depth, name)) if depth < 512 * 1024 => format!("{depth} octets down the stack of '{name}'"),
                _ => format!("{:#x} in {}", place.address, place.mapping),
            }
        };
        let line = |(number, places): (&usize, &Vec<scan::Place>)| {
            format!("{}: {} windows, the first {}", needles[*number].name, places.len(), place(&places[0]))
        };
        findings.iter().map(line).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the searcher knows of one profile's keys.
struct Keys {
    profile: Profile,
    /// As the process under test has them: two that are replaced, two that replace them.
    keys: [Vec<u8>; 4],
}

impl Keys {
    fn random(profile: Profile, random: &mut impl Rng) -> Self {
        let mut key = || {
            let mut key = vec![0; profile.key_len() + profile.salt_len()];
            random.fill_bytes(&mut key);
            key
        };
        Self { profile, keys: std::array::from_fn(|_| key()) }
    }

    fn needles(&self, which: [usize; 2]) -> Vec<Needle> {
        let of = |which: usize| {
            let (key, name) = (&self.keys[which], format!("key {which}"));
            let mut all = needles::of(self.profile, key, &name);
            if child::encrypts_headers(self.profile) {
                all.extend(needles::of_headers(self.profile, key, &name));
            }
            all
        };
        which.into_iter().flat_map(of).collect()
    }

    /// What a peer sends under the receiving key.
    fn protected_packets(&self) -> Vec<String> {
        let domain = Domain::new();
        let key = MasterKey::take(&mut self.keys[1].clone());
        let peer = child::builder(self.profile).outbound(key).build(&domain).unwrap();
        let protect = |mut packet: child::Packet| {
            let len = packet.octets.len();
            packet.octets.resize(len + 64, 0);
            let len = if packet.rtcp {
                peer.outbound().protect_rtcp_autopin(&mut packet.octets, len)
            } else {
                peer.outbound().protect_rtp_autopin(&mut packet.octets, len)
            };
            hex::encode(&packet.octets[..len.unwrap()])
        };
        plain_packets().into_iter().map(protect).collect()
    }
}

fn missing<'n>(findings: &Findings, needles: &'n [Needle], lives: Lives) -> Vec<&'n str> {
    let expected = needles.iter().enumerate().filter(|(_, needle)| needle.lives == lives);
    expected.filter(|(number, _)| !findings.contains_key(number)).map(|(_, needle)| needle.name.as_str()).collect()
}

/// What lies in a mapping that would be in a core dump.
fn in_dumps(findings: &Findings) -> Findings {
    let dumped = |places: &Vec<scan::Place>| places.iter().filter(|place| !place.undumped).cloned().collect();
    let places = findings.iter().map(|(number, places)| (*number, dumped(places)));
    places.filter(|(_, places): &(_, Vec<_>)| !places.is_empty()).collect()
}

fn check(scenario: Scenario) {
    // The process under test does the same: what there is to be found depends on it.
    kernels::use_kernels_asked_for();
    let mut random = rand_chacha::ChaCha12Rng::seed_from_u64(scenario as u64);
    let all: Vec<Keys> = Profile::ALL.into_iter().map(|profile| Keys::random(profile, &mut random)).collect();
    let mut process = Process::start();
    process.say(&scenario.name());
    for keys in &all {
        process.say(&format!("profile {}", keys.profile));
        for key in &keys.keys {
            let mut mask = vec![0; key.len()];
            random.fill_bytes(&mut mask);
            process.say(&Masked::new(key, mask).to_line());
        }
        keys.protected_packets().iter().for_each(|packet| process.say(packet));
    }
    process.say("that is all");
    let old: Vec<Needle> = all.iter().flat_map(|keys| keys.needles([0, 1])).collect();
    let old_windows = Windows::of(&old);

    process.await_phase("given");
    let given = process.scan(&old_windows);
    assert_eq!(missing(&given, &old, Lives::UntilUsed), [""; 0], "the scan finds master keys");
    assert!(!in_dumps(&given).is_empty(), "the scan tells what is in dumps");
    process.say("go on");

    process.await_phase("taken");
    let taken = process.scan(&old_windows);
    assert_eq!(missing(&taken, &old, Lives::UntilUsed), [""; 0], "the scan finds master keys that the library took");
    let report = process.describe(&in_dumps(&taken), &old).join("\n");
    assert!(report.is_empty(), "{scenario:?}: in core dumps, of keys that wait to be used:\n{report}");
    process.say("go on");

    process.await_phase("in use");
    if scenario != Scenario::FailedConstruction {
        let in_use = process.scan(&old_windows);
        assert_eq!(missing(&in_use, &old, Lives::WithTheKey), [""; 0], "the scan finds keys in use");
        let report = process.describe(&in_dumps(&in_use), &old).join("\n");
        assert!(report.is_empty(), "{scenario:?}: in core dumps, of keys in use:\n{report}");
        let spread = in_use.into_iter().filter(|(number, _)| old[*number].lives != Lives::WithTheKey).collect();
        let report = process.describe(&spread, &old).join("\n");
        assert!(report.is_empty(), "{scenario:?}: beside what is needed while the key is in use:\n{report}");
    }
    process.say("go on");

    process.await_phase("gone");
    let left = process.scan(&old_windows);
    let report = process.describe(&left, &old).join("\n");
    assert!(report.is_empty(), "{scenario:?}: left behind:\n{report}");
    if ![Scenario::Drop, Scenario::FailedConstruction].contains(&scenario) {
        let new: Vec<Needle> = all.iter().flat_map(|keys| keys.needles([2, 3])).collect();
        let found = process.scan(&Windows::of(&new));
        assert_eq!(missing(&found, &new, Lives::WithTheKey), [""; 0], "the scan finds the keys that came after");
        let report = process.describe(&in_dumps(&found), &new).join("\n");
        assert!(report.is_empty(), "{scenario:?}: in core dumps, of the keys that came after:\n{report}");
    }
    process.say("go on");
    assert!(process.child.wait().unwrap().success());
}

#[test]
fn p10_nothing_is_left_after_a_rekey() {
    check(Scenario::Rekey);
}

#[test]
fn p10_nothing_is_left_of_a_key_that_grace_had_no_room_for() {
    check(Scenario::RekeyTwice);
}

#[test]
fn p10_nothing_is_left_by_a_reader_that_wipes_as_the_last_one_out() {
    check(Scenario::LastOut);
}

#[test]
fn p10_nothing_is_left_of_a_session_that_is_dropped() {
    check(Scenario::Drop);
}

#[test]
fn p10_nothing_is_left_of_keys_that_were_refused() {
    check(Scenario::FailedConstruction);
}

#[test]
fn p10_nothing_is_left_by_packets_that_were_refused() {
    check(Scenario::Forgery);
}

#[test]
fn p10_nothing_is_left_after_a_panic_under_a_guard() {
    check(Scenario::Panic);
}
