//! What a domain's threads work with: a collector, the records of readers, what waits, and who sees to it.
//!
//! An engine serves one process. A child makes one of its own when it first needs it (`docs/reclamation.md`, "Fork"):
//!
//! 1. It inherits the values that waited. Their readers are gone, but for the thread that forked.
//! 2. That thread may hold a guard across the fork. Until that is dropped, nothing is destroyed in the child.
//! 3. Every pin that is made in the child is one of the new engine's, and every retirement goes to its collector.

use super::fork::{self, Whole};
use super::readers::{PinnedReader, Readers};
use super::reclaimer::Bell;
use super::shelf::Shelf;
use super::tally::Tally;
use super::timers::Timers;
use crate::primitive::atomic::{AtomicBool, Ordering, fence};
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
    pub(super) fn retire(&self, value: Box<dyn Send>, pin: &Guard) {
        if pin.collector() == Some(&self.collector) {
            self.retire_under(value, pin);
        } else {
            // A guard from before the fork. It holds everything up by itself (invariant 2).
            self.retire_under(value, &self.collector.register().pin());
        }
    }

    fn retire_under(&self, value: Box<dyn Send>, pin: &Guard) {
        let token = self.shelf.put(value, self.tally.item_retired(), self.readers.pins(), pin);
        // SAFETY: the closure may run on any thread, and only after this call's thread unpinned, perhaps never. It owns all it touches
        // (`'static`), which is `Send`. It borrows nothing.
        unsafe { pin.defer_unchecked(move || token.fire()) };
        pin.flush();
    }

    // ---- Destruction.

    /// Tries to move the epoch on, so that tokens fire and nodes are freed. `pin` makes a pin, as below.
    pub(super) fn drive(pin: impl Fn() -> Guard) {
        /// Both take two epochs; one round advances the epoch by one at most.
        const ROUNDS: usize = if cfg!(crossbeam_loom) { 1 } else { 2 };
        (0..ROUNDS).for_each(|_| pin().flush());
    }

    /// Destroys what may go, up to `most` values. Returns how many it did.
    pub(super) fn destroy(&self, most: usize, pin: impl Fn() -> Guard) -> usize {
        // Of two threads that unpin and then look whether the other has, one sees the other.
        fence(Ordering::SeqCst);
        if !self.is_clear() {
            return 0;
        }
        let destroy_one = |_: &usize| self.shelf.destroy_one(false, &self.tally, &self.readers, &pin);
        (0..most).take_while(destroy_one).count()
    }

    /// Destroys all that waits: for when no guard can be left in the process.
    pub(super) fn destroy_all(&self) {
        let _whole = Whole::begin();
        let handle = self.collector.register();
        while self.shelf.destroy_one(true, &self.tally, &self.readers, || handle.pin()) {}
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
