//! Where the threads of a scenario write down what they saw.
//!
//! Threads count for themselves and book their counts from time to time, each into a slot of its own: nothing here is
//! touched while a packet is received.

use std::fmt;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use hdrhistogram::Histogram;
use keyflip::DomainStats;

/// What the library promises, as far as it is put to the test here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// About readers during a rekey.
    P1,
    /// About the two directions.
    P2,
    /// About the rollover counter.
    P4,
    /// About replays.
    P5,
    /// About packets that do not authenticate.
    P8,
    /// About replaced keys.
    P9,
    /// About panics.
    P11,
    /// About what is dropped while it is in use.
    P12,
    /// None of the library's: the run itself went wrong, so that it proves nothing.
    Run,
}

/// A promise that did not hold, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which one.
    pub promise: Promise,
    /// What was seen instead.
    pub what: String,
}

/// Numbers that only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Genuine packets delivered.
    pub packets: u64,
    /// Key rings swapped.
    pub rekeys: u64,
    /// Packets accepted that were protected under a key that the receiver had replaced by then.
    pub delivered_in_grace: u64,
    /// Packets that two threads delivered at the same time.
    pub duplicates_raced: u64,
    /// Packets delivered again.
    pub replays_attempted: u64,
    /// Packets accepted again.
    pub replays_accepted: u64,
    /// Forged packets delivered.
    pub forged_attempted: u64,
    /// Forged packets accepted.
    pub forged_accepted: u64,
    /// Genuine packets that were accepted and decrypted to something else.
    pub mismatched_plaintexts: u64,
    /// Genuine packets that were refused.
    pub lost_to_rekey: u64,
}

/// One scenario's results in the making.
pub struct Board {
    /// One for each thread of the pool, and one for all others.
    slots: Vec<Mutex<Slot>>,
    broken: Mutex<Vec<Broken>>,
    /// The keys of domains that are not the run's own.
    elsewhere: Mutex<DomainStats>,
    /// Whether `broken` is full: the run can end.
    full: AtomicBool,
    /// Genuine packets so far, for the eye.
    packets: AtomicU64,
}

struct Slot {
    counts: Counts,
    unprotect: Histogram<u64>,
}

impl Board {
    /// More broken promises than this say nothing new.
    const ENOUGH: usize = 10;
    /// The longest call that is told from a longer one, in nanoseconds.
    const LONGEST: u64 = 60_000_000_000;

    /// A board for `threads` threads.
    ///
    /// # Errors
    ///
    /// None in practice: the bounds of the histograms are fixed.
    pub fn new(threads: usize) -> Result<Self> {
        let slot = || -> Result<Mutex<Slot>> {
            Ok(Mutex::new(Slot {
                counts: Counts::default(),
                unprotect: Histogram::new_with_bounds(1, Self::LONGEST, 2)?,
            }))
        };
        Ok(Self {
            slots: (0..=threads).map(|_| slot()).collect::<Result<_>>()?,
            broken: Mutex::default(),
            elsewhere: Mutex::default(),
            full: AtomicBool::new(false),
            packets: AtomicU64::new(0),
        })
    }

    /// Adds counts, and how long single unprotect calls took (nanoseconds).
    pub fn book(&self, counts: Counts, unprotect_ns: &[u64]) {
        // Relaxed: for the eye only.
        self.packets.fetch_add(counts.packets, Ordering::Relaxed);
        let others = self.slots.len() - 1;
        let slot = rayon::current_thread_index().filter(|&index| index < others).unwrap_or(others);
        let Some(slot) = self.slots.get(slot) else { return };
        let mut slot = lock(slot);
        slot.counts += counts;
        for &ns in unprotect_ns {
            slot.unprotect.saturating_record(ns.max(1));
        }
    }

    /// Adds the keys of a domain that is not the run's own.
    pub fn book_keys(&self, stats: DomainStats) {
        let mut sum = lock(&self.elsewhere);
        sum.keys_created += stats.keys_created;
        sum.keys_retired += stats.keys_retired;
        sum.keys_wiped += stats.keys_wiped;
    }

    /// The keys of all domains, if `own` are those of the run's own.
    pub fn keys(&self, own: DomainStats) -> DomainStats {
        let mut sum = *lock(&self.elsewhere);
        sum.keys_created += own.keys_created;
        sum.keys_retired += own.keys_retired;
        sum.keys_wiped += own.keys_wiped;
        sum.items_waiting = own.items_waiting;
        sum.latency = own.latency;
        sum
    }

    /// Notes that a promise did not hold.
    pub fn broke(&self, promise: Promise, what: impl fmt::Display) {
        let mut broken = lock(&self.broken);
        if broken.len() < Self::ENOUGH {
            broken.push(Broken { promise, what: what.to_string() });
        } else {
            // Relaxed: a hint to stop early.
            self.full.store(true, Ordering::Relaxed);
        }
    }

    /// Whether any promise is.
    pub fn is_broken(&self) -> bool {
        !lock(&self.broken).is_empty()
    }

    /// Whether so much is broken that going on would teach nothing.
    pub fn is_hopeless(&self) -> bool {
        // Relaxed: a hint.
        self.full.load(Ordering::Relaxed)
    }

    /// Genuine packets so far.
    pub fn packets(&self) -> u64 {
        // Relaxed: for the eye only.
        self.packets.load(Ordering::Relaxed)
    }

    /// All that was booked and broken.
    ///
    /// # Errors
    ///
    /// None in practice: histograms of the same bounds can be added.
    pub fn read(&self) -> Result<(Counts, Histogram<u64>, Vec<Broken>)> {
        let mut counts = Counts::default();
        let mut unprotect = Histogram::new_with_bounds(1, Self::LONGEST, 2)?;
        for slot in &self.slots {
            let slot = lock(slot);
            counts += slot.counts;
            unprotect.add(&slot.unprotect)?;
        }
        let broken = lock(&self.broken).clone();
        Ok((counts, unprotect, broken))
    }
}

/// A mutex whose contents no panic leaves half done: single additions and pushes.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        // Taken apart, so that no field is forgotten.
        let Self {
            packets,
            rekeys,
            delivered_in_grace,
            duplicates_raced,
            replays_attempted,
            replays_accepted,
            forged_attempted,
            forged_accepted,
            mismatched_plaintexts,
            lost_to_rekey,
        } = other;
        self.packets += packets;
        self.rekeys += rekeys;
        self.delivered_in_grace += delivered_in_grace;
        self.duplicates_raced += duplicates_raced;
        self.replays_attempted += replays_attempted;
        self.replays_accepted += replays_accepted;
        self.forged_attempted += forged_attempted;
        self.forged_accepted += forged_accepted;
        self.mismatched_plaintexts += mismatched_plaintexts;
        self.lost_to_rekey += lost_to_rekey;
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P1 => "P1: a rekey never makes a reader wait, fail or lose a packet",
            Self::P2 => "P2: the two directions are rekeyed independently",
            Self::P4 => "P4: the rollover counter survives a rekey",
            Self::P5 => "P5: each index is accepted at most once",
            Self::P8 => "P8: a packet that does not authenticate changes nothing",
            Self::P9 => "P9: replaced keys are wiped, and none is forgotten",
            Self::P11 => "P11: no input panics",
            Self::P12 => "P12: dropping a session while readers use it is as safe as rekeying it",
            Self::Run => "the run went wrong and proves nothing",
        })
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.what)
    }
}
