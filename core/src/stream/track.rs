//! The index space of one protocol of a stream: the highest index, the replay list, the lease on the key's lifetime.

mod state;

pub(crate) use state::TrackState;

use super::mark::Mark;
use crate::crypto::Authenticated;
use crate::error::{Error, Result};
use crate::index::Counter;
use crate::keys::SessionKeys;
use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::replay::ReplayList;
use crate::wire::Protocol;

/// The index space of one protocol.
///
/// Packets accepted are not counted one by one: they are those leased, less those left of the lease.
pub(crate) struct Track {
    mark: AtomicU64,
    /// Packets left of the lease from one key's budget: `key id (48) | not yet in leased (1) | left (15)`.
    lease: AtomicU64,
    replay: ReplayList,
    /// Packets that were leased, and not given up unused.
    leased: AtomicU64,
    refused: AtomicU64,
}

const LEASE_BITS: u32 = 16;
/// The lease is not added to what was leased yet.
const FRESH: u64 = 1 << (LEASE_BITS - 1);
const LEFT: u64 = FRESH - 1;

impl Track {
    pub(super) fn new(mark: Mark, window: Option<u32>) -> Self {
        let base = mark.highest().map_or(0, |highest| highest + 1);
        Self {
            mark: AtomicU64::new(mark.0),
            lease: AtomicU64::new(0),
            leased: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            replay: window.map_or_else(ReplayList::closed, |window| ReplayList::new(window, base)),
        }
    }

    /// Packets of its replay window, if it has one.
    pub(super) fn window(&self) -> Option<u32> {
        self.replay.window()
    }

    pub(crate) fn mark(&self) -> Mark {
        // Relaxed: an estimate may lag; the tag and the claim decide.
        Mark(self.mark.load(Ordering::Relaxed))
    }

    /// # Errors
    ///
    /// [`Error::Replayed`], [`Error::TooOld`]: as a claim would, without making one.
    #[inline(always)]
    pub(crate) fn peek(&self, index: u64, mark: Mark) -> Result<()> {
        self.replay.peek(index, mark.highest())
    }

    /// Takes the index of an authenticated packet, for good.
    ///
    /// # Errors
    ///
    /// [`Error::Replayed`], [`Error::TooOld`]; [`Error::NoSuchStream`] if the stream is being removed.
    #[inline(always)]
    pub(crate) fn claim(&self, proof: &Authenticated) -> Result<()> {
        self.take(proof.index())
    }

    /// Takes an index for sending, for good.
    ///
    /// # Errors
    ///
    /// [`Error::IndexReused`], [`Error::IndexTooOld`]; [`Error::NoSuchStream`] if the stream is being removed.
    #[inline(always)]
    pub(crate) fn reserve(&self, index: u64) -> Result<()> {
        self.take(index).map_err(Error::to_sender)
    }

    #[inline(always)]
    fn take(&self, index: u64) -> Result<()> {
        // The mark first: by the time a bit of the list says that this index is taken, every estimate can know of it.
        // AcqRel: pairs with the `close` of a removal, in the one order there is on this word: either the floor includes this index, or this
        // sees the track closed (invariant 2 of the stream).
        let before = Mark(self.mark.fetch_max(Mark::index(index).0, Ordering::AcqRel));
        if before.is_closed() {
            return Err(Error::NoSuchStream);
        }
        self.replay.claim(index, before.highest())
    }

    /// Says where the indices of an undecided track are: at `mark`, that of a packet which was authenticated and is about to be claimed.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchStream`] if somebody else has said so, or the stream is being removed: it is to be looked at once more.
    pub(crate) fn decide(&self, mark: Mark) -> Result<()> {
        // AcqRel: as in `take`. Relaxed on failure: nothing is done then.
        let decided = self.mark.compare_exchange(Mark::cycle(0).0, mark.0, Ordering::AcqRel, Ordering::Relaxed);
        decided.map(drop).map_err(|_| Error::NoSuchStream)
    }

    /// Moves on to cycle `cycle`, keeping the low bits of the highest index.
    pub(super) fn set_cycle(&self, counter: Counter, cycle: u32) -> Result<()> {
        let mut seen = self.mark();
        loop {
            if u64::from(cycle) < seen.current_cycle(counter) {
                return Err(Error::IndexBackward);
            }
            let next = match seen.highest() {
                Some(highest) => Mark::index(counter.in_cycle(highest, u64::from(cycle))),
                None => Mark::cycle(cycle),
            };
            if seen.is_closed() {
                return Err(Error::NoSuchStream);
            }
            // AcqRel on success: as in `take`. Relaxed on failure: tried again.
            match self.mark.compare_exchange_weak(seen.0, next.0, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => seen = Mark(now),
            }
        }
    }

    /// Closes the track to claims, and returns where it stood.
    pub(super) fn close(&self) -> Mark {
        // AcqRel: pairs with `take`.
        Mark(self.mark.fetch_or(Mark::CLOSED, Ordering::AcqRel)).opened()
    }

    /// Counts one packet against the key's lifetime, from this stream's lease.
    ///
    /// A lease is kept for the newest key seen only; packets under older ones (in grace) are counted one by one. True for the one packet with which
    /// the key passes its soft limit.
    ///
    /// # Errors
    ///
    /// [`Error::KeyExpired`].
    #[inline(always)]
    pub(crate) fn spend(&self, key: &SessionKeys, protocol: Protocol) -> Result<bool> {
        // Relaxed, here and in what follows: a count of its own.
        let seen = self.lease.load(Ordering::Relaxed);
        if seen >> LEASE_BITS == key.id().0
            && seen & LEFT > 0
            && self.lease.compare_exchange(seen, seen - 1, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            return Ok(false);
        }
        self.spend_at_length(key, protocol)
    }

    /// The same where the lease is used up, is another key's, or was changed just now.
    #[cold]
    #[inline(never)]
    fn spend_at_length(&self, key: &SessionKeys, protocol: Protocol) -> Result<bool> {
        let id = key.id().0;
        let budget = key.budget(protocol);
        let mut seen = self.lease.load(Ordering::Relaxed);
        let mut passes_soft_limit = false;
        loop {
            let (holder, left) = (seen >> LEASE_BITS, seen & LEFT);
            if holder > id {
                passes_soft_limit |= budget.take_one()?.passes_soft_limit;
                self.leased.fetch_add(1, Ordering::Relaxed);
                return Ok(passes_soft_limit);
            }
            if holder == id && left > 0 {
                match self.lease.compare_exchange_weak(seen, seen - 1, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => return Ok(passes_soft_limit),
                    Err(now) => seen = now,
                }
                continue;
            }
            let lease = budget.lease()?;
            passes_soft_limit |= lease.passes_soft_limit;
            // What is left of an older key's lease lapses. It is taken off before, and the new one added after, so that `packets` never counts too many.
            self.leased.fetch_sub(left, Ordering::Relaxed);
            let next = id << LEASE_BITS | FRESH | (lease.packets - 1);
            // Release, on success, and Acquire in `packets`: who sees the new lease sees the old one taken off.
            match self.lease.compare_exchange(seen, next, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => {
                    self.leased.fetch_add(lease.packets, Ordering::Relaxed);
                    // Release: who sees it known in `packets` sees it added.
                    self.lease.fetch_and(!FRESH, Ordering::Release);
                    return Ok(passes_soft_limit);
                }
                Err(now) => seen = now,
            }
            self.leased.fetch_add(left, Ordering::Relaxed);
            budget.give_back(lease.packets);
        }
    }

    /// Keeps the books of an index that was given out, not claimed.
    pub(super) fn note_sent(&self, index: u64) {
        // Relaxed: the mark only tells the control side.
        self.mark.fetch_max(Mark::index(index).0, Ordering::Relaxed);
    }

    pub(crate) fn count_refused(&self) {
        // Relaxed: a counter.
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a packet as neither sent nor refused for which [`Self::spend`] has counted one.
    #[cold]
    pub(crate) fn count_not_spent(&self) {
        // Relaxed: a counter.
        self.leased.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts a packet as refused for which [`Self::spend`] has counted one as accepted.
    #[cold]
    pub(crate) fn count_spent_in_vain(&self) {
        self.count_not_spent();
        self.count_refused();
    }

    /// Packets accepted or sent: exactly, when no other thread is at work here.
    pub(super) fn packets(&self) -> u64 {
        // A lease is being added for some nanoseconds, unless the thread that does it is put to sleep just then.
        const LOOKS: usize = 64;
        let mut accepted = 0;
        for _ in 0..LOOKS {
            // Acquire, twice: pairs with the Release stores of `spend_at_length`. Relaxed: counts.
            let before = self.lease.load(Ordering::Acquire);
            let leased = self.leased.load(Ordering::Relaxed);
            let after = self.lease.load(Ordering::Acquire);
            accepted = leased.saturating_sub(after & LEFT);
            if before >> LEASE_BITS == after >> LEASE_BITS && before & LEFT >= after & LEFT && after & FRESH == 0 {
                break;
            }
            core::hint::spin_loop();
        }
        accepted
    }

    pub(super) fn info(&self, counter: Counter) -> TrackInfo {
        let mark = self.mark();
        TrackInfo {
            highest_index: mark.highest(),
            cycle: u32::try_from(mark.current_cycle(counter)).unwrap_or(u32::MAX),
            packets: self.packets(),
            // Relaxed: a counter.
            refused: self.refused.load(Ordering::Relaxed),
        }
    }
}

impl Error {
    /// The receiver's word for an index that cannot be had, in the sender's.
    pub(crate) const fn to_sender(self) -> Self {
        match self {
            Self::Replayed => Self::IndexReused,
            Self::TooOld => Self::IndexTooOld,
            other => other,
        }
    }
}

/// A snapshot of one protocol of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrackInfo {
    /// The highest index accepted or sent, `None` before the first packet. SRTCP counts on past 2^31.
    pub highest_index: Option<u64>,
    /// The cycle of that index: SRTP's ROC.
    pub cycle: u32,
    /// Packets accepted or sent.
    pub packets: u64,
    /// Packets refused after the stream was found.
    pub refused: u64,
}
