//! A reader's record: what it notes of its pins, and what others ask of it. `readers` says what for.

use super::readers::PinnedReader;
use crate::kernels::fork::forks;
use crate::primitive::PlainU64;
use crate::primitive::atomic::{AtomicBool, AtomicU64, Ordering};
use crossbeam_utils::CachePadded;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What a domain knows of a reader.
pub(super) struct Record {
    words: CachePadded<Words>,
    lane: usize,
    /// Belongs to a thread.
    taken: AtomicBool,
    /// The clock of the answers begins here.
    epoch: Instant,
    card: Mutex<Card>,
    /// When pins were over that were asked: the last few, by turns. Written by the thread alone.
    ends: [End; ENDS],
}

/// What a reader touches at each pin.
struct Words {
    /// Odd while pinned. Written by the thread alone.
    sequence: AtomicU64,
    /// Guards the thread holds, and flags. Written by the thread alone, and hardly read by others.
    depth: PlainU64,
    /// The number of the pin that is to answer.
    asked: AtomicU64,
    /// Pins that have answered. Written by the thread alone.
    answers: PlainU64,
    /// The fork after which the record was made.
    forks: u64,
}

/// A control operation retired something under the pin.
const REPLACED: u64 = 1 << 63;
/// A packet did.
const GROWN: u64 = 1 << 62;
/// The record goes with the pin.
const PASSING: u64 = 1 << 61;
const GUARDS: u64 = PASSING - 1;

/// What those who look need to know, and readers do not.
#[derive(Default)]
struct Card {
    thread: String,
    /// Its number, as of `fork`.
    number: u64,
    left: bool,
    /// The last odd sequence number that a look saw, and when it first did.
    seen: Option<(u64, Instant)>,
}

/// When a pin was over.
#[derive(Default)]
struct End {
    /// 0 while it is written.
    number: PlainU64,
    nanos: PlainU64,
}

/// So many pins of a thread may be asked, and over, before the first of them is forgotten.
const ENDS: usize = if cfg!(crossbeam_loom) { 1 } else { 32 };

/// A pin, and the record in which it is noted.
pub(super) struct Pin {
    pub(super) lane: usize,
    pub(super) number: u64,
}

/// How the last guard of a pin went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// Nobody waits for it, as far as it knows; or other guards are left.
    Quiet,
    /// Somebody waits for it.
    Asked,
    /// It has retired something itself, where a packet made a table grow.
    Grown,
    /// It has retired something itself, in a control operation.
    Replaced,
}

impl Leave {
    /// How a pin went, if `flags` say what was done under it.
    const fn or_retired(self, flags: u64) -> Self {
        match flags {
            flags if flags & REPLACED != 0 => Self::Replaced,
            flags if flags & GROWN != 0 => Self::Grown,
            _ => self,
        }
    }
}

impl Record {
    pub(super) fn new(lane: usize, epoch: Instant) -> Self {
        Self {
            words: CachePadded::new(Words {
                sequence: AtomicU64::new(0),
                depth: PlainU64::new(0),
                asked: AtomicU64::new(0),
                answers: PlainU64::new(0),
                forks: forks(),
            }),
            lane,
            taken: AtomicBool::new(false),
            epoch,
            card: Mutex::default(),
            ends: Default::default(),
        }
    }

    /// A small number that no other reader of the domain has now.
    pub(super) const fn lane(&self) -> usize {
        self.lane
    }

    // ---- By its thread.

    /// Notes one more guard.
    #[inline]
    pub(super) fn enter(&self) {
        // Relaxed: written by one thread.
        let depth = self.words.depth.load(Ordering::Relaxed);
        self.words.depth.store(depth + 1, Ordering::Relaxed);
        if depth == 0 {
            let sequence = self.words.sequence.load(Ordering::Relaxed);
            // Release: pairs with the Acquire in `number`: whoever sees this pin knows that the one before is over. That nobody misses it is due to
            // the fence that follows (invariant 1).
            self.words.sequence.store(sequence.wrapping_add(1), Ordering::Release);
        }
    }

    /// Notes one guard less.
    #[inline]
    pub(super) fn leave(&self) -> Leave {
        // Relaxed: as in `enter`.
        let depth = self.words.depth.load(Ordering::Relaxed);
        if depth == 1 {
            self.words.depth.store(0, Ordering::Relaxed);
            return self.end_pin();
        }
        self.leave_otherwise(depth)
    }

    fn leave_otherwise(&self, depth: u64) -> Leave {
        if depth & GUARDS > 1 {
            self.words.depth.store(depth - 1, Ordering::Relaxed);
            return Leave::Quiet;
        }
        self.words.depth.store(0, Ordering::Relaxed);
        let leave = self.end_pin();
        if depth & PASSING != 0 {
            self.give_up();
        }
        leave.or_retired(depth)
    }

    #[inline]
    fn end_pin(&self) -> Leave {
        let sequence = self.words.sequence.load(Ordering::Relaxed);
        // Relaxed: a question that comes now is missed, and that is allowed for (invariant 5).
        let asked = self.words.asked.load(Ordering::Relaxed) == sequence;
        if asked {
            self.answer(sequence);
        }
        // Release: pairs with the Acquire in `number`: all that was read under the pin comes before.
        self.words.sequence.store(sequence.wrapping_add(1), Ordering::Release);
        if asked { Leave::Asked } else { Leave::Quiet }
    }

    #[cold]
    fn answer(&self, number: u64) {
        let answers = self.words.answers.load(Ordering::Relaxed);
        self.words.answers.store(answers.wrapping_add(1), Ordering::Relaxed);
        let Some(end) = usize::try_from(answers).ok().and_then(|answers| self.ends.get(answers % ENDS)) else { return };
        // Release, each: pairs with the Acquires in `end_of`, which sees 0 or both of one pin, or else looks at another.
        end.number.store(0, Ordering::Release);
        end.nanos.store(nanos_since(self.epoch), Ordering::Release);
        end.number.store(number, Ordering::Release);
    }

    /// Notes that the thread pins afresh, if anybody waits for that, and says so. A fence has to follow then, as in a pin.
    ///
    /// Nothing happens while the thread holds another guard, nor if nobody asked: the pin goes on.
    #[inline]
    pub(super) fn again(&self) -> Leave {
        // Relaxed: as in `enter` and `end_pin`.
        let depth = self.words.depth.load(Ordering::Relaxed);
        let asked = self.words.asked.load(Ordering::Relaxed) == self.words.sequence.load(Ordering::Relaxed);
        if depth == 1 && !asked { Leave::Quiet } else { self.again_otherwise(depth) }
    }

    #[cold]
    fn again_otherwise(&self, depth: u64) -> Leave {
        let asked = self.words.asked.load(Ordering::Relaxed) == self.words.sequence.load(Ordering::Relaxed);
        if depth & GUARDS != 1 || depth & (REPLACED | GROWN) == 0 && !asked {
            return Leave::Quiet;
        }
        let leave = self.end_pin();
        let sequence = self.words.sequence.load(Ordering::Relaxed);
        self.words.sequence.store(sequence.wrapping_add(1), Ordering::Release);
        self.words.depth.store(depth & !(REPLACED | GROWN), Ordering::Relaxed);
        leave.or_retired(depth)
    }

    /// Notes that a control operation retired something under the pin.
    pub(super) fn note_replaced(&self) {
        self.flag(REPLACED);
    }

    /// Notes that something was retired under the pin for a packet's sake.
    pub(super) fn note_grown(&self) {
        self.flag(GROWN);
    }

    /// Has the thread, which has just unpinned, lend a hand after its next pin, too.
    pub(super) fn ask_for_next(&self) {
        // Relaxed: as in `ask`. If the thread is pinned again meanwhile, or the record another's, one is asked that has nothing to do.
        self.words.asked.fetch_max(self.words.sequence.load(Ordering::Relaxed) | 1, Ordering::Relaxed);
    }

    /// Has the record go with the pin.
    pub(super) fn note_passing(&self) {
        self.flag(PASSING);
    }

    fn flag(&self, flag: u64) {
        self.words.depth.store(self.words.depth.load(Ordering::Relaxed) | flag, Ordering::Relaxed);
    }

    /// Whether its thread holds a guard.
    pub(super) fn is_held(&self) -> bool {
        self.words.depth.load(Ordering::Relaxed) & GUARDS > 0
    }

    /// Whether its thread holds one guard and no other.
    pub(super) fn is_held_once(&self) -> bool {
        self.words.depth.load(Ordering::Relaxed) & GUARDS == 1
    }

    /// Whether it was made before a fork that lies behind this process.
    #[inline]
    pub(super) fn is_stale(&self) -> bool {
        self.words.forks != forks()
    }

    /// Notes that its thread exits. The record stays while the thread holds a guard: for good, if it has forgotten that.
    pub(super) fn give_up(&self) {
        if self.is_held() {
            self.flag(PASSING);
            lock(&self.card).left = true;
        } else {
            // Release: pairs with the Acquire in `take`: whoever has the record next goes on from here.
            self.taken.store(false, Ordering::Release);
        }
    }

    // ---- By others.

    /// Makes it the calling thread's, which has that number, unless it is another's.
    pub(super) fn take(&self, thread: u64) -> bool {
        // Acquire: pairs with the Release in `give_up`. Relaxed on failure: it belongs to somebody.
        if self.taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return false;
        }
        let current = std::thread::current();
        let name = current.name().map_or_else(|| format!("{:?}", current.id()), str::to_owned);
        *lock(&self.card) = Card { thread: name, number: thread, left: false, seen: None };
        true
    }

    /// The number of the pin of now.
    pub(super) fn number(&self) -> Option<u64> {
        // Acquire: pairs with the Release in `enter` and `end_pin`: what was read under the pins before is read.
        Some(self.words.sequence.load(Ordering::Acquire)).filter(|sequence| !sequence.is_multiple_of(2))
    }

    /// Whether the pin of that number has ended. All that was read under it is read then.
    pub(super) fn is_over(&self, number: u64) -> bool {
        self.number() != Some(number)
    }

    /// The pin of now, asked to say when it is over, and to help then.
    pub(super) fn ask(&self) -> Option<Pin> {
        let number = self.number()?;
        // Relaxed: numbers only grow, so the latest question stands; nothing is ordered by it. Only written if it says something new.
        if self.words.asked.load(Ordering::Relaxed) != number {
            self.words.asked.fetch_max(number, Ordering::Relaxed);
        }
        Some(Pin { lane: self.lane, number })
    }

    /// When the pin of that number was over, as far as it is known.
    pub(super) fn end_of(&self, number: u64) -> Option<u64> {
        let nanos = |end: &End| {
            // Acquire: pairs with the Release in `answer`.
            let is_it = || end.number.load(Ordering::Acquire) == number;
            is_it().then(|| end.nanos.load(Ordering::Acquire)).filter(|_| is_it())
        };
        self.ends.iter().find_map(nanos)
    }

    /// Whether the thread of that number is pinned by it.
    pub(super) fn is_pin_of(&self, thread: u64) -> bool {
        // Relaxed: a thread that asks for itself knows, and a child's first thread is the only one whose pins are real.
        self.taken.load(Ordering::Relaxed) && lock(&self.card).number == thread && self.is_held()
    }

    /// Its thread, if that is pinned.
    pub(super) fn look(&self, now: Instant) -> Option<PinnedReader> {
        let mut card = lock(&self.card);
        let Some(sequence) = self.number() else {
            card.seen = None;
            return None;
        };
        // One that pins afresh from time to time shows it only if asked.
        self.ask();
        let since = match card.seen {
            Some((then, since)) if then == sequence => since,
            _ => now,
        };
        card.seen = Some((sequence, since));
        let gone = if card.left { " (exited, guard forgotten)" } else { "" };
        Some(PinnedReader { thread: format!("{}{gone}", card.thread), since })
    }
}

/// Nanoseconds since `then`. None pass in a model: each of its runs must take the same path again.
pub(super) fn nanos_since(then: Instant) -> u64 {
    if cfg!(crossbeam_loom) {
        return 0;
    }
    u64::try_from(then.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
