//! Which measurements are made, and how long each takes.

use super::fanout::Payload;
use super::heap::Heap;
use super::keys::label;
use super::lane::{Common, Entrant};
use super::packets::{Contexts, Op, Packets};
use super::peers::{self, Peer, Visitor};
use super::row::{self, Row, Subject};
use super::sampler::{self, Measured};
use super::sfu::mix::Mix;
use super::sfu::{Config, Rooms};
use super::who::Who;
use super::{latency, machine, ours, per_packet};
use crate::cli::Options;
use crate::scenario::Scenario;
use crate::{PROFILES, SIZES};
use anyhow::{Result, ensure};
use core_affinity::CoreId;
use keyflip::{Domain, Profile};
use std::fmt;
use std::time::Duration;

/// Turned keys a second, in `sfu`.
const REKEYS: [u32; 3] = [0, 1000, 10_000];

/// Threads at once.
const THREADS: [usize; 2] = [1, 2];

/// Numbers of keys that a thread has for itself.
const KEYS_OF_A_THREAD: u64 = 1 << 32;

/// How much is measured.
pub(crate) struct Plan {
    scenarios: Vec<Scenario>,
    cores: Vec<CoreId>,
    /// Samples of each implementation in a turn; in `sfu`, where a sample is long, fewer.
    samples: usize,
    sfu_samples: usize,
    /// For each implementation and rate.
    latency: Duration,
}

impl Plan {
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let chosen = |scenario: &Scenario| options.only.is_empty() || options.only.contains(scenario);
        let scenarios = Scenario::ALL.into_iter().filter(chosen).collect();
        let cores = machine::cores();
        ensure!(!cores.is_empty(), "this system does not say which cores there are");
        let (samples, sfu_samples, latency) = if options.quick { (12, 6, 50) } else { (300, 60, 1000) };
        Ok(Self { scenarios, cores, samples, sfu_samples, latency: Duration::from_millis(latency) })
    }

    /// The measurements, in their order.
    pub(crate) fn courses(&self) -> Vec<Course> {
        let threads = || THREADS.into_iter().filter(|threads| *threads <= self.cores.len());
        let of_profile = |scenario: Scenario, profile: Profile| {
            let works: Vec<Task> = match scenario {
                Scenario::Sfu => REKEYS.into_iter().map(Task::Relay).collect(),
                Scenario::Fanout200 | Scenario::Fanout10000 => vec![Task::FanOut],
                _ => vec![Task::Packets(Op::Protect), Task::Packets(Op::Unprotect)],
            };
            works
                .into_iter()
                .flat_map(move |task| threads().map(move |threads| Course { scenario, profile, task, threads }))
        };
        let of_scenario = |scenario: &Scenario| {
            let scenario = *scenario;
            PROFILES.into_iter().flat_map(move |profile| of_profile(scenario, profile)).collect::<Vec<_>>()
        };
        self.scenarios.iter().flat_map(of_scenario).collect()
    }
}

/// What is done.
#[derive(Clone, Copy, Debug)]
enum Task {
    Packets(Op),
    FanOut,
    /// With so many turned keys a second.
    Relay(u32),
}

/// A measurement: of all sizes, on the same contexts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    scenario: Scenario,
    profile: Profile,
    task: Task,
    threads: usize,
}

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}, threads: {}", self.scenario.name(), self.op(), label(self.profile), self.threads)?;
        match self.task {
            Task::Relay(rekeys) => write!(f, ", rekeys a second: {rekeys}"),
            _ => Ok(()),
        }
    }
}

impl Course {
    const fn op(&self) -> &'static str {
        match self.task {
            Task::Packets(op) => op.name(),
            Task::FanOut => Op::Protect.name(),
            Task::Relay(_) => "relay",
        }
    }

    fn sizes(&self) -> Vec<usize> {
        match self.task {
            Task::Relay(_) => vec![Mix::new().mean_payload()],
            _ => SIZES.to_vec(),
        }
    }

    /// For each size, what each implementation needed.
    pub(crate) fn measure(&self, plan: &Plan) -> Result<Vec<Vec<Measured>>> {
        let domain = match self.task {
            Task::Relay(_) => Domain::without_reclaimer(),
            Task::Packets(_) | Task::FanOut => Domain::new(),
        };
        let (cores, sizes) = (&plan.cores[..self.threads], self.sizes());
        let first_key = |thread: usize| thread as u64 * KEYS_OF_A_THREAD;
        let count = self.scenario.contexts().unwrap_or_default();
        let contexts = |thread| Contexts { profile: self.profile, count, first_key: first_key(thread) };
        match self.task {
            Task::Packets(op) => {
                sampler::measure(cores, plan.samples, &sizes, |thread| packets_lane(op, contexts(thread), &domain))
            }
            Task::FanOut => {
                sampler::measure(cores, plan.samples, &sizes, |thread| fan_out_lane(contexts(thread), &domain))
            }
            Task::Relay(rekeys) => sampler::measure(cores, plan.sfu_samples, &sizes, |thread| {
                let rekeys_per_second = f64::from(rekeys) / f64::from(u32::try_from(self.threads)?);
                let config = Config { profile: self.profile, rekeys_per_second, first_key: first_key(thread) };
                Rooms::new(config, &domain)
            }),
        }
    }

    /// The rows of what was measured.
    pub(crate) fn rows(&self, plan: &Plan, measured: &[Vec<Measured>], heap: &Heap) -> Result<Vec<Row>> {
        let (rekeys_per_second, latencies) = match self.task {
            Task::Relay(rekeys) if self.threads == 1 && plan.cores.len() > 1 => {
                (rekeys, latency::measure(self.profile, rekeys, plan.latency, &plan.cores)?)
            }
            Task::Relay(rekeys) => (rekeys, Vec::new()),
            _ => (0, Vec::new()),
        };
        let of_size = |(size, measured): (usize, &Vec<Measured>)| {
            let subject = Subject {
                scenario: self.scenario,
                op: self.op(),
                profile: self.profile,
                size,
                threads: self.threads,
                rekeys_per_second,
            };
            row::rows(subject, measured, heap, &latencies)
        };
        Ok(self.sizes().into_iter().zip(measured).flat_map(of_size).collect())
    }
}

/// The lane of `one` and `batch`.
fn packets_lane(op: Op, contexts: Contexts, domain: &Domain) -> Result<Common<Packets>> {
    let mut entrants: Vec<Entrant<Packets>> = Vec::new();
    for kernel in ours::kernels() {
        let who = Who::Ours(kernel);
        entrants.push(match op {
            Op::Protect => (who, Box::new(ours::Protect::new(domain, contexts, kernel)?)),
            Op::Unprotect => (who, Box::new(ours::Unprotect::new(domain, contexts, kernel)?)),
        });
    }
    let mut peers = PacketPeers { op, contexts, entrants };
    peers::visit(&mut peers)?;
    Ok(Common::new(Packets::new(op, contexts, domain)?, peers.entrants))
}

struct PacketPeers {
    op: Op,
    contexts: Contexts,
    entrants: Vec<Entrant<Packets>>,
}

impl Visitor for PacketPeers {
    fn visit<P: Peer>(&mut self) -> Result<()> {
        let who = Who::Peer(P::NAME);
        self.entrants.push(match self.op {
            Op::Protect => (who, Box::new(per_packet::Protect::<P>::new(self.contexts)?)),
            Op::Unprotect => (who, Box::new(per_packet::Unprotect::<P>::new(self.contexts)?)),
        });
        Ok(())
    }
}

/// The lane of `fanout`.
fn fan_out_lane(contexts: Contexts, domain: &Domain) -> Result<Common<Payload>> {
    let mut entrants: Vec<Entrant<Payload>> = Vec::new();
    for kernel in ours::kernels() {
        entrants.push((Who::Ours(kernel), Box::new(ours::FanOut::new(domain, contexts, kernel)?)));
    }
    let mut peers = FanOutPeers { contexts, entrants };
    peers::visit(&mut peers)?;
    Ok(Common::new(Payload::new(contexts.count), peers.entrants))
}

struct FanOutPeers {
    contexts: Contexts,
    entrants: Vec<Entrant<Payload>>,
}

impl Visitor for FanOutPeers {
    fn visit<P: Peer>(&mut self) -> Result<()> {
        self.entrants.push((Who::Peer(P::NAME), Box::new(per_packet::FanOut::<P>::new(self.contexts)?)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::lane::Lane;

    /// Everybody protects what the others protect, over a rollover, and unprotects it again.
    #[test]
    fn all_implementations_agree_on_packets_of_all_profiles_and_sizes() {
        for profile in PROFILES {
            let (domain, contexts) = (Domain::new(), Contexts { profile, count: 1, first_key: 7 });
            for op in [Op::Protect, Op::Unprotect] {
                let mut lane = packets_lane(op, contexts, &domain).unwrap();
                assert_eq!(lane.entrants().len(), ours::kernels().count() + 4);
                // 256 packets each.
                for n in 0..260 {
                    lane.begin(if n % 2 == 0 { 33 } else { 1200 }).unwrap_or_else(|e| panic!("{profile} {op:?}: {e}"));
                }
            }
        }
    }

    #[test]
    fn all_implementations_agree_on_fan_outs() {
        for profile in PROFILES {
            let contexts = Contexts { profile, count: 1000, first_key: 7 };
            let mut lane = fan_out_lane(contexts, &Domain::new()).unwrap();
            for size in SIZES {
                lane.begin(size).unwrap_or_else(|e| panic!("{profile}: {e}"));
            }
        }
    }

    #[test]
    fn every_scenario_is_planned_for_every_profile_and_only_those_chosen() {
        let courses = |options: &Options| Plan::new(options).unwrap().courses();
        let all = courses(&Options::default());
        for scenario in Scenario::ALL {
            for profile in PROFILES {
                assert!(all.iter().any(|course| course.scenario == scenario && course.profile == profile));
            }
        }
        let chosen = courses(&Options { only: vec![Scenario::Sfu], ..Options::default() });
        assert!(chosen.iter().all(|course| course.scenario == Scenario::Sfu && course.op() == "relay"));
    }
}
