//! What keys lie in: pages that are locked and kept out of core dumps, as the system says; less where it allows less, and it is reported.
//!
//! Limits are a process's own: so each test starts this program once more as the process under test.
#![cfg(all(target_os = "linux", not(keyflip_keys_on_heap)))]

use keyflip::{Domain, KeyMemory, MasterKey, Profile, Roc, Session};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use std::fs;
use std::process::Command;
use std::time::Duration;

/// Set in the process under test: what it does.
const UNDER_TEST: &str = "KEYFLIP_KEY_MEMORY_CHILD";

const SCENARIOS: [(&str, fn()); 6] = [
    ("roomy", roomy),
    ("peak", peak),
    ("little may be locked", || limited(8 * 1024)),
    ("nothing may be locked", || limited(0)),
    ("no pages", no_pages),
    ("fork", fork),
];

#[test]
fn process_under_test() {
    if let Ok(scenario) = std::env::var(UNDER_TEST) {
        SCENARIOS.iter().find(|(name, _)| *name == scenario).unwrap().1();
        println!("@done {scenario}");
    }
}

fn run(scenario: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["process_under_test", "--exact", "--nocapture"])
        .env(UNDER_TEST, scenario)
        .output()
        .unwrap();
    let said = |octets| String::from_utf8_lossy(octets).into_owned();
    assert!(output.status.success(), "{}{}", said(&output.stdout), said(&output.stderr));
    assert!(said(&output.stdout).contains(&format!("@done {scenario}")), "it did what it should");
}

#[test]
fn keys_lie_in_pages_that_are_locked_and_kept_out_of_dumps() {
    run("roomy");
}

#[test]
fn what_many_keys_needed_is_given_back() {
    run("peak");
}

#[test]
fn a_small_limit_is_survived_and_reported() {
    run("little may be locked");
}

#[test]
fn a_limit_of_nothing_is_survived_and_reported() {
    run("nothing may be locked");
}

#[test]
fn keys_lie_on_the_heap_when_there_are_no_pages() {
    run("no pages");
}

#[test]
fn a_child_has_the_keys_and_knows_that_they_are_not_locked() {
    run("fork");
}

// ---- In the process under test.

/// What the system says of this process's mappings that are kept out of dumps: octets, and of these, octets that are locked.
fn mapped() -> (u64, u64) {
    let (mut undumped, mut locked, mut size) = (0, 0, 0);
    for line in fs::read_to_string("/proc/self/smaps").unwrap().lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // What the kernel maps into every process is kept out of dumps, too.
        if fields[0].contains('-') {
            size = 0;
        }
        match fields[0] {
            "Size:" => size = fields[1].parse::<u64>().unwrap() * 1024,
            "VmFlags:" if fields.contains(&"dd") && !fields.contains(&"io") && !fields.contains(&"pf") => {
                undumped += size;
                locked += if fields.contains(&"lo") { size } else { 0 };
            }
            _ => {}
        }
    }
    (undumped, locked)
}

/// What is reported is what the system says.
fn reported() -> KeyMemory {
    let memory = KeyMemory::now();
    assert_eq!((memory.undumped, memory.locked), mapped(), "{memory:?}");
    assert!(memory.used <= memory.total && memory.undumped <= memory.total && memory.locked <= memory.total);
    memory
}

fn key(profile: Profile, fill: u8) -> MasterKey {
    MasterKey::take(&mut vec![fill; profile.key_len() + profile.salt_len()])
}

/// Both directions under one key, so that it can talk to itself.
fn session(domain: &Domain, profile: Profile) -> Session {
    let builder = Session::builder(profile).inbound(key(profile, 1)).outbound(key(profile, 1));
    let session = builder.build(domain).unwrap();
    session.inbound().add_stream(7, Roc(0)).unwrap();
    session
}

fn sealed(session: &Session, seq: u8) -> Vec<u8> {
    let mut packet = vec![0x80, 96, 0, seq, 0, 0, 0, 0, 0, 0, 0, 7, 1, 2, 3, 4];
    packet.resize(64, 0);
    let len = session.outbound().protect_rtp_autopin(&mut packet, 16).unwrap();
    packet.truncate(len);
    packet
}

fn opens(session: &Session, mut packet: Vec<u8>) -> bool {
    let plain = session.inbound().unprotect_rtp_autopin(&mut packet);
    plain.is_ok_and(|plain| plain[12..] == [1, 2, 3, 4])
}

/// Packets travel, before and after a rekey, and the old keys go.
fn works(domain: &Domain, profile: Profile) -> Session {
    let session = session(domain, profile);
    assert!(opens(&session, sealed(&session, 1)));
    session.outbound().rekey(key(profile, 2)).unwrap();
    session.inbound().rekey(key(profile, 2)).unwrap();
    session.inbound().end_grace().unwrap();
    assert!(opens(&session, sealed(&session, 2)));
    domain.synchronize(Duration::from_secs(10)).unwrap();
    session
}

fn all_work(domain: &Domain) -> Vec<Session> {
    Profile::ALL.into_iter().map(|profile| works(domain, profile)).collect()
}

fn roomy() {
    assert_eq!((KeyMemory::now(), mapped()), (KeyMemory::default(), (0, 0)), "nothing before the first key");
    let waiting = key(Profile::Aes128CmSha1_80, 3);
    let with_a_master_key = reported();
    assert!(with_a_master_key.used > 0);
    let domain = Domain::new();
    let sessions = all_work(&domain);
    let memory = reported();
    assert!(memory.used > with_a_master_key.used);
    assert_eq!(memory.undumped, memory.total);
    let may_lock = capabilities(None).unwrap().effective.contains(CapabilitySet::IPC_LOCK);
    if may_lock || getrlimit(Resource::Memlock).current.is_none_or(|limit| limit >= 1 << 20) {
        assert_eq!(memory.locked, memory.total);
    }
    drop((sessions, domain));
    assert_eq!(reported().used, with_a_master_key.used);
    drop(waiting);
    assert_eq!(reported().used, 0);
}

fn peak() {
    let domain = Domain::without_reclaimer();
    let few: Vec<_> = (0..10).map(|_| session(&domain, Profile::AeadAes256Gcm)).collect();
    let before = reported();
    let many: Vec<_> = (0..2_000).map(|_| session(&domain, Profile::AeadAes256Gcm)).collect();
    let memory = reported();
    let a_session = memory.used / (few.len() + many.len()) as u64;
    assert!(before.used.abs_diff(few.len() as u64 * a_session) < a_session, "{before:?} {memory:?}");
    // Packed: not a page a key. A slab that is not full yet, one for master keys, and what is left over at the ends of slabs.
    assert!(memory.total < memory.used + memory.used / 8 + (2 << 20), "{memory:?}");
    drop(many);
    let after = reported();
    assert_eq!(after.used, before.used);
    assert!(after.total <= before.total + (1 << 20), "{before:?} {after:?}");
    drop(few);
}

fn limited(octets: u64) {
    setrlimit(Resource::Memlock, Rlimit { current: Some(octets), maximum: Some(octets) }).unwrap();
    // The limit is not for those who have this.
    let mut sets = capabilities(None).unwrap();
    sets.effective.remove(CapabilitySet::IPC_LOCK);
    set_capabilities(None, sets).unwrap();
    let domain = Domain::new();
    let sessions = all_work(&domain);
    let many: Vec<_> = (0..500).map(|_| session(&domain, Profile::Aes128CmSha1_80)).collect();
    assert!(many.iter().all(|session| opens(session, sealed(session, 1))));
    let memory = reported();
    assert!(memory.locked <= octets && memory.locked < memory.total, "{memory:?}");
    // As much as a page allows.
    assert!(memory.locked > 0 || octets < rustix::param::page_size() as u64, "{memory:?}");
    assert_eq!(memory.undumped, memory.total);
    drop((sessions, many));
}

fn no_pages() {
    // This thread's part of the heap has room still when the process may map nothing more.
    drop(vec![0u8; 64]);
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let size = size.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024;
    setrlimit(Resource::As, Rlimit { current: Some(size), maximum: None }).unwrap();
    let domain = Domain::without_reclaimer();
    let session = session(&domain, Profile::AeadAes128Gcm);
    assert!(opens(&session, sealed(&session, 1)));
    session.outbound().rekey(key(Profile::AeadAes128Gcm, 2)).unwrap();
    session.inbound().rekey(key(Profile::AeadAes128Gcm, 2)).unwrap();
    assert!(opens(&session, sealed(&session, 2)));
    let memory = KeyMemory::now();
    assert!(memory.used > 0 && memory.total == memory.used, "{memory:?}");
    assert_eq!((memory.locked, memory.undumped), (0, 0));
    drop((session, domain));
    assert_eq!(KeyMemory::now(), KeyMemory::default());
    // With pages to be had again, keys lie in them.
    setrlimit(Resource::As, Rlimit { current: None, maximum: None }).unwrap();
    let waiting = key(Profile::AeadAes128Gcm, 3);
    assert!(reported().undumped > 0);
    drop(waiting);
}

fn fork() {
    use std::os::unix::process::CommandExt;
    let domain = Domain::new();
    let session = session(&domain, Profile::Aes128CmSha1_80);
    let packet = sealed(&session, 1);
    let before = reported();
    let (inherited, expected) = (session.clone(), packet.clone());
    let mut command = Command::new("true");
    let in_child = move || {
        let memory = KeyMemory::now();
        let inherits = (memory.used, memory.total, memory.undumped) == (before.used, before.total, before.undumped);
        let same = inherits && memory.locked == 0 && mapped() == (memory.undumped, 0);
        let opens_what_the_parent_sealed = opens(&inherited, expected.clone());
        let own = Domain::without_reclaimer();
        let makes_its_own = opens(&self::session(&own, Profile::AeadAes256Gcm), {
            let peer = self::session(&own, Profile::AeadAes256Gcm);
            sealed(&peer, 1)
        });
        // What it says comes back as the error of the start.
        let says = [same, opens_what_the_parent_sealed, makes_its_own].map(i32::from);
        Err(std::io::Error::from_raw_os_error(1000 + says[0] + 2 * says[1] + 4 * says[2]))
    };
    // SAFETY: between fork and exec the child has this thread alone. It takes no lock that another thread could have held: those of the session and of
    // this test are this thread's, and the heap of glibc is made fit for use by its fork.
    unsafe { command.pre_exec(in_child) };
    assert_eq!(command.spawn().unwrap_err().raw_os_error(), Some(1007));
    // The child's end is not the parent's.
    assert_eq!(reported(), before);
    assert!(opens(&session, packet));
}
