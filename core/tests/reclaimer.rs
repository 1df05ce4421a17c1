//! The reclaimer as a thread of the process: it comes with the first retirement, sleeps when there is nothing to do, and goes with its domain.

#![cfg(target_os = "linux")]

#[path = "common/kernels.rs"]
mod kernels;

use keyflip::{Domain, MasterKey, Profile, Session};
use std::fs;
use std::time::{Duration, Instant};

/// Processor time of each reclaimer of this process, in ticks of 10 ms.
fn reclaimers() -> Vec<u64> {
    let ticks = |task: fs::DirEntry| -> Option<u64> {
        let stat = fs::read_to_string(task.path().join("stat")).ok()?;
        let (name, fields) = stat.split_once('(')?.1.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // User and system time are the 14th and 15th field; the two before the state are cut off here. The kernel keeps 15 octets of a name.
        let sum = fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?;
        (name == "keyflip-reclaim").then_some(sum)
    };
    fs::read_dir("/proc/self/task").unwrap().filter_map(|task| ticks(task.unwrap())).collect()
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn key(number: u8) -> MasterKey {
    MasterKey::take(&mut [number; 30])
}

#[test]
fn p09_the_reclaimer_wipes_without_help_sleeps_and_goes_with_its_domain() {
    /// More than a reader destroys as it unpins.
    const REKEYS: u64 = 200;
    kernels::use_kernels_asked_for();
    let domain = Domain::new();
    let session = Session::builder(Profile::Aes128CmSha1_80).outbound(key(0)).build(&domain).unwrap();
    session.outbound().rekey(key(1)).unwrap();
    assert_eq!(domain.stats().keys_wiped, 1, "whoever retires a key wipes it, if nobody reads");
    assert_eq!(reclaimers().len(), 0, "nothing was left to do");
    let reader = domain.pin();
    std::thread::scope(|scope| {
        let rekey = |number| session.outbound().rekey(key(u8::try_from(number).unwrap())).unwrap();
        scope.spawn(move || {
            for number in 2..2 + REKEYS {
                rekey(number);
            }
        });
    });
    assert_eq!(domain.stats().keys_wiped, 1);
    let before = reclaimers();
    assert_eq!(before.len(), 1);
    std::thread::sleep(Duration::from_millis(500));
    assert!(reclaimers()[0] <= before[0] + 3, "a reclaimer that waits for a reader uses little processor time");
    drop(reader);
    wait_until("wiped without help", || domain.stats().keys_wiped == 1 + REKEYS);
    wait_until("nothing waits", || domain.stats().items_waiting == 0);
    let before = reclaimers();
    std::thread::sleep(Duration::from_millis(500));
    assert!(reclaimers()[0] <= before[0] + 1, "an idle reclaimer uses no processor time");
    drop((session, domain));
    wait_until("it goes with its domain", || reclaimers().is_empty());
}
