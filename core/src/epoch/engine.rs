//! What a domain's threads work with: a collector, the records of readers, what waits, and who sees to it.
//!
//! An engine serves one process. A child makes one of its own when it first needs it (`docs/reclamation.md`, "Fork"):
//!
//! 1. It inherits the values that waited. Their readers are gone, but for the thread that forked.
//! 2. That thread may hold a guard across the fork. Until that is dropped, nothing is destroyed in the child.
//! 3. Every pin that is made in the child is one of the new engine's, and every retirement goes to its shelf.

use super::readers::{PinnedReader, Readers};
use super::reclaimer::Bell;
use super::shelf::{Bulk, Fit, Shelf};
use super::tally::Tally;
use super::timers::Timers;
use crate::kernels::fork::{self, Whole};
use crate::kernels::{leaving_slabs, unmap_what_was_left};
use crate::primitive::atomic::{AtomicBool, Ordering, fence};
use crate::primitive::per_thread;
use core::cell::Cell;
use crossbeam_epoch::{Collector, Guard};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

pub(super) struct Engine {
    /// The fork after which it was made.
    forks: u64,
    /// A thread does the work. Else the program does, by `Domain::reclaim`.
    pub(super) reclaims: bool,
    pub(super) collector: Collector,
    pub(super) tally: Arc<Tally>,
    pub(super) readers: Arc<Readers>,
    shelf: Shelf,
    pub(super) timers: Timers,
    pub(super) bell: Bell,
    /// One thread at a time turns the tally's phase.
    pub(super) synchronizing: Mutex<()>,
    inherited: Vec<Inherited>,
    /// Nothing inherited holds anything up any more.
    clear: AtomicBool,
    /// The engine of a child.
    next: OnceLock<Arc<Engine>>,
}

/// A pin that a child's first thread brought along.
struct Inherited {
    readers: Arc<Readers>,
    lane: usize,
    number: u64,
}

/// What a thread destroys at one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// Of a thread that has packets to see to: some microseconds' worth, without a lock.
    Reader,
    /// Of a thread that has replaced a value itself: more than it adds.
    Replacer,
    /// Of a thread that has nothing else to do: as much as a fork may have to wait for.
    Idle,
}

impl Share {
    /// How many values. A small one takes a quarter of a microsecond to two, by where its memory is cached.
    const fn most(self) -> usize {
        match self {
            Self::Reader => 32,
            Self::Replacer => 256,
            Self::Idle => 1024,
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Destroyed {
    Nothing,
    Some,
    /// All of the share: there may be more.
    Share,
}

per_thread! {
    /// Whether the thread is just destroying something.
    static DESTROYS: Cell<bool> = const { Cell::new(false) };
}

impl Engine {
    pub(super) fn new(tally: Arc<Tally>, reclaims: bool) -> Self {
        Self::with(tally, reclaims, Timers::new(), Vec::new())
    }

    fn with(tally: Arc<Tally>, reclaims: bool, timers: Timers, inherited: Vec<Inherited>) -> Self {
        Self {
            forks: fork::forks(),
            reclaims,
            collector: Collector::new(),
            readers: Arc::new(Readers::new(tally.made())),
            tally,
            shelf: Shelf::new(),
            timers,
            bell: Bell::new(),
            synchronizing: Mutex::new(()),
            clear: AtomicBool::new(inherited.is_empty()),
            inherited,
            next: OnceLock::new(),
        }
    }

    // ---- After a fork.

    /// The engine of this process. `first` is that of the process in which the domain was made.
    #[inline]
    pub(super) fn of_this_process(first: &Arc<Self>) -> &Arc<Self> {
        if first.forks == fork::forks() { first } else { Self::renewed(first) }
    }

    #[cold]
    fn renewed(first: &Arc<Self>) -> &Arc<Self> {
        let mut engine = first;
        while engine.forks != fork::forks() {
            // So that a grandchild does not find it half made.
            let _whole = Whole::begin();
            engine = engine.next.get_or_init(|| Arc::new(engine.successor(first)));
            // For what it has inherited.
            engine.ring();
        }
        engine
    }

    /// The engine that takes this one's place in a child.
    fn successor(&self, first: &Self) -> Self {
        let new = Self::with(Arc::clone(&self.tally), self.reclaims, self.timers.take(), first.brought_along());
        self.shelf.empty_into(&new.shelf, &self.collector.register().pin(), &new.collector.register().pin());
        new
    }

    /// The pins of the thread that forked, in this engine and those after it.
    fn brought_along(&self) -> Vec<Inherited> {
        let engines = core::iter::successors(Some(self), |engine| engine.next.get().map(|next| &**next));
        let pins = |engine: &Self| {
            let readers = &engine.readers;
            let pinned = readers.iter().filter(|record| record.is_pin_of(fork::forker()));
            let inherited = |(lane, number)| Inherited { readers: Arc::clone(readers), lane, number };
            pinned.filter_map(|record| Some((record.lane(), record.number()?))).map(inherited).collect::<Vec<_>>()
        };
        engines.flat_map(pins).collect()
    }

    /// Whether no guard from before the fork is left.
    fn is_clear(&self) -> bool {
        // Acquire: pairs with the Release below: what was read under those guards is read.
        if self.clear.load(Ordering::Acquire) {
            return true;
        }
        let is_over = |pin: &Inherited| pin.readers.record(pin.lane).is_none_or(|record| record.is_over(pin.number));
        let clear = self.inherited.iter().all(is_over);
        if clear {
            self.clear.store(true, Ordering::Release);
        }
        clear
    }

    // ---- Retirement.

    /// Takes in a value that no reader can reach any more, under a pin of any engine of the domain.
    pub(super) fn retire(&self, value: Box<dyn Send>, bulk: Bulk, pin: &Guard) {
        if pin.collector() == Some(&self.collector) {
            self.retire_under(value, bulk, pin);
        } else {
            // A guard from before the fork. It holds everything up by itself (invariant 2).
            self.retire_under(value, bulk, &self.collector.register().pin());
        }
    }

    fn retire_under(&self, value: Box<dyn Send>, bulk: Bulk, pin: &Guard) {
        self.shelf.put(value, bulk, self.tally.item_retired(), self.readers.pins(), pin);
    }

    // ---- Destruction.

    /// Tries to move the epoch on, so that nodes of the shelf are freed. `pin` makes a pin, as below.
    pub(super) fn free_nodes(pin: impl Fn() -> Guard) {
        /// It takes two epochs; one round advances the epoch by one at most.
        const ROUNDS: usize = if cfg!(crossbeam_loom) { 1 } else { 2 };
        (0..ROUNDS).for_each(|_| pin().flush());
    }

    /// Destroys what may go, but no more than the thread's share. Says whether it has used that up, and whether it has done anything.
    pub(super) fn destroy(&self, share: Share, pin: impl Fn() -> Guard) -> Destroyed {
        // A value whose end retires others, and so on: those are for the outermost call.
        if DESTROYS.with(|destroys| destroys.replace(true)) {
            return Destroyed::Nothing;
        }
        let count = match share {
            Share::Reader => leaving_slabs(|| self.destroy_some(share.most(), Fit::Small, pin)),
            Share::Replacer | Share::Idle => self.destroy_some(share.most(), Fit::Any, pin),
        };
        DESTROYS.with(|destroys| destroys.set(false));
        if share != Share::Reader {
            unmap_what_was_left();
        }
        match count {
            0 => Destroyed::Nothing,
            count if count < share.most() => Destroyed::Some,
            _ => Destroyed::Share,
        }
    }

    fn destroy_some(&self, most: usize, fit: Fit, pin: impl Fn() -> Guard) -> usize {
        // Of two threads that unpin and then look whether the other has, one sees the other.
        fence(Ordering::SeqCst);
        if !self.is_clear() {
            return 0;
        }
        let destroy_one = |_: &usize| self.shelf.destroy_one(fit, &self.tally, &self.readers, &pin);
        (0..most).take_while(destroy_one).count()
    }

    /// Destroys all that waits: for when no guard can be left in the process.
    pub(super) fn destroy_all(&self) {
        let _whole = Whole::begin();
        let handle = self.collector.register();
        while self.shelf.destroy_one(Fit::Everything, &self.tally, &self.readers, || handle.pin()) {}
    }

    /// Asks whoever is pinned to lend a hand when they unpin.
    pub(super) fn ask(&self) {
        self.readers.ask();
    }

    /// Whether the calling thread holds a guard.
    pub(super) fn is_pinned_here(&self) -> bool {
        let _whole = Whole::begin();
        let thread = fork::this_thread();
        let brought = self.inherited.iter().filter_map(|pin| pin.readers.record(pin.lane));
        brought.chain(self.readers.iter()).any(|record| record.is_pin_of(thread))
    }

    /// Who is pinned, and since when at least.
    pub(super) fn look(&self) -> Vec<PinnedReader> {
        let _whole = Whole::begin();
        let now = Instant::now();
        let brought = self.inherited.iter().filter_map(|pin| {
            let record = pin.readers.record(pin.lane)?;
            if record.is_over(pin.number) { None } else { record.look(now) }
        });
        brought.chain(self.readers.look(now)).collect()
    }
}
