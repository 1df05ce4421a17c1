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

#[test]
fn p09_the_reclaimer_wipes_without_help_sleeps_and_goes_with_its_domain() {
    kernels::use_kernels_asked_for();
    let domain = Domain::new();
    let session =
        Session::builder(Profile::Aes128CmSha1_80).outbound(MasterKey::take(&mut [1; 30])).build(&domain).unwrap();
    assert_eq!(reclaimers().len(), 0, "nothing was retired yet");
    session.outbound().rekey(MasterKey::take(&mut [2; 30])).unwrap();
    wait_until("wiped without help", || domain.stats().keys_wiped == 1);
    wait_until("nothing waits", || domain.stats().items_waiting == 0);
    let before = reclaimers();
    assert_eq!(before.len(), 1);
    std::thread::sleep(Duration::from_millis(500));
    assert!(reclaimers()[0] <= before[0] + 1, "an idle reclaimer uses no processor time");
    drop((session, domain));
    wait_until("it goes with its domain", || reclaimers().is_empty());
}
