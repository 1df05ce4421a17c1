//! The state of one SSRC in one direction: its indices, and what was counted of it (RFC 3711 3.2.3).
//!
//! For each protocol a stream has a [`Track`]: the highest index and the replay list of the index space its keys share. Rekeying does not
//! touch it (P4). Everything here is atomic: any number of threads use a stream at once.
//!
//! 1. The highest index only grows, and only by a claim or by a caller who sets it.
//! 2. A claim sets its bit in the replay list, then raises the highest index. If that finds the track closed, the claim is void: the stream
//!    was removed, and its floor may not include this index.
//! 3. So the floor of a removed stream is at least every index that was accepted in it.

use crate::crypto::Authenticated;
use crate::error::{Error, Result};
use crate::index::{Counter, Roc, SrtcpIndex, Ssrc};
use crate::keys::{KeyId, SessionKeys};
use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::replay::ReplayList;
use crate::wire::Protocol;

/// Where a track stands: the highest index, or the cycle to start in.
///
/// One word, ordered so that a maximum is always the later state: closed above open, an index above a mere cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(u64);

impl Mark {
    const SEEN: u64 = 1 << 63;
    const CLOSED: u64 = 1 << 62;

    /// No packet yet; the first one is expected in this cycle.
    pub(crate) const fn cycle(cycle: u32) -> Self {
        Self(cycle as u64)
    }

    /// This index is the highest so far.
    pub(crate) const fn index(index: u64) -> Self {
        Self(Self::SEEN | index)
    }

    pub(crate) const fn highest(self) -> Option<u64> {
        if self.0 & Self::SEEN == 0 { None } else { Some(self.0 & !(Self::SEEN | Self::CLOSED)) }
    }

    const fn is_closed(self) -> bool {
        self.0 & Self::CLOSED != 0
    }

    const fn opened(self) -> Self {
        Self(self.0 & !Self::CLOSED)
    }

    /// The cycle in which this mark stands.
    pub(crate) const fn current_cycle(self, counter: Counter) -> u64 {
        match self.highest() {
            Some(highest) => counter.cycle(highest),
            None => self.opened().0,
        }
    }

    /// The index of a packet that carries `wire` of it.
    pub(crate) const fn estimate(self, counter: Counter, wire: u32) -> u64 {
        match self.highest() {
            Some(highest) => counter.estimate(highest, wire),
            None => counter.first(self.opened().0, wire),
        }
    }
}

/// Where a new stream starts: afresh, at a ROC the caller knows, or above the floor that a removed one left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) srtp: Mark,
    pub(crate) srtcp: Mark,
    /// Outbound.
    pub(crate) next_srtcp: NextSrtcp,
}

impl Origin {
    pub(crate) const START: Self =
        Self { srtp: Mark::cycle(0), srtcp: Mark::cycle(0), next_srtcp: NextSrtcp::starting_at(0) };

    /// This origin, if it does not fall below the floor that an earlier life of the stream left.
    ///
    /// # Errors
    ///
    /// [`Error::IndexBackward`].
    pub(crate) const fn above(&self, floor: &Self) -> Result<Self> {
        let (ours, least) = (self.srtp.current_cycle(Counter::SRTP), floor.srtp.current_cycle(Counter::SRTP));
        if ours < least || self.next_srtcp.index() > 0 && self.next_srtcp.index() != floor.next_srtcp.index() {
            return Err(Error::IndexBackward);
        }
        let srtp = match floor.srtp.highest() {
            #[expect(clippy::cast_possible_truncation)] // A cycle of SRTP has 32 bits.
            Some(highest) => Mark::index(Counter::SRTP.in_cycle(highest, ours as u32)),
            None => self.srtp,
        };
        Ok(Self { srtp, srtcp: floor.srtcp, next_srtcp: floor.next_srtcp })
    }

    pub(crate) const fn mark(&self, protocol: Protocol) -> Mark {
        match protocol {
            Protocol::Rtp => self.srtp,
            Protocol::Rtcp => self.srtcp,
        }
    }
}

/// The replay windows of a stream, in packets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    pub(crate) srtp: u32,
    /// `None` outbound: SRTCP indices are given out here, not claimed.
    pub(crate) srtcp: Option<u32>,
}

/// The index space of one protocol.
pub(crate) struct Track {
    mark: AtomicU64,
    /// Packets left of the lease from one key's budget: `key id << 16 | left`.
    lease: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    replay: ReplayList,
}

const LEASE_BITS: u32 = 16;

impl Track {
    fn new(mark: Mark, window: Option<u32>) -> Self {
        let base = mark.highest().map_or(0, |highest| highest + 1);
        Self {
            mark: AtomicU64::new(mark.0),
            lease: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            replay: window.map_or_else(ReplayList::closed, |window| ReplayList::new(window, base)),
        }
    }

    pub(crate) fn mark(&self) -> Mark {
        // Relaxed: an estimate may lag; the tag and the claim decide.
        Mark(self.mark.load(Ordering::Relaxed))
    }

    /// # Errors
    ///
    /// [`Error::Replayed`], [`Error::TooOld`]: as a claim would, without making one.
    pub(crate) fn peek(&self, index: u64, mark: Mark) -> Result<()> {
        self.replay.peek(index, mark.highest())
    }

    /// Takes the index of an authenticated packet, for good.
    ///
    /// # Errors
    ///
    /// [`Error::Replayed`], [`Error::TooOld`]; [`Error::NoSuchStream`] if the stream is being removed.
    pub(crate) fn claim(&self, proof: &Authenticated) -> Result<()> {
        self.take(proof.index())
    }

    /// # Errors
    ///
    /// As [`Self::reserve`], without taking anything.
    pub(crate) fn peek_for_sending(&self, index: u64) -> Result<()> {
        self.peek(index, self.mark()).map_err(sender)
    }

    /// Takes an index for sending, for good.
    ///
    /// # Errors
    ///
    /// [`Error::IndexReused`], [`Error::IndexTooOld`]; [`Error::NoSuchStream`] if the stream is being removed.
    pub(crate) fn reserve(&self, index: u64) -> Result<()> {
        self.take(index).map_err(sender)
    }

    fn take(&self, index: u64) -> Result<()> {
        let mark = self.mark();
        if mark.is_closed() {
            return Err(Error::NoSuchStream);
        }
        self.replay.claim(index, mark.highest())?;
        // AcqRel: pairs with the `close` of a removal, in the one order there is on this word: either the floor includes this index, or this
        // sees the track closed (invariant 2).
        let before = Mark(self.mark.fetch_max(Mark::index(index).0, Ordering::AcqRel));
        if before.is_closed() {
            return Err(Error::NoSuchStream);
        }
        // Relaxed: a counter.
        self.accepted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Moves on to cycle `cycle`, keeping the low bits of the highest index.
    fn set_cycle(&self, counter: Counter, cycle: u32) -> Result<()> {
        let mut seen = self.mark();
        loop {
            if u64::from(cycle) < seen.current_cycle(counter) {
                return Err(Error::IndexBackward);
            }
            let next = match seen.highest() {
                Some(highest) => Mark::index(counter.in_cycle(highest, cycle)),
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
    fn close(&self) -> Mark {
        // AcqRel: pairs with `take`.
        Mark(self.mark.fetch_or(Mark::CLOSED, Ordering::AcqRel)).opened()
    }

    /// Counts one packet against the key's lifetime, from this stream's lease.
    ///
    /// A lease is kept for the newest key seen only; packets under older ones (in grace) are counted one by one.
    ///
    /// # Errors
    ///
    /// [`Error::KeyExpired`].
    pub(crate) fn spend(&self, key: &SessionKeys, protocol: Protocol) -> Result<()> {
        let id = key.id().0;
        // Relaxed throughout: a count of its own.
        let mut seen = self.lease.load(Ordering::Relaxed);
        loop {
            let (holder, left) = (seen >> LEASE_BITS, seen & ((1 << LEASE_BITS) - 1));
            let budget = key.budget(protocol);
            if holder > id {
                return budget.take_one().map(drop);
            }
            let fresh = if holder == id && left > 0 { 0 } else { budget.lease()? };
            let next = if fresh > 0 { id << LEASE_BITS | (fresh - 1) } else { seen - 1 };
            match self.lease.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => seen = now,
            }
            budget.give_back(fresh);
        }
    }

    pub(crate) fn count_refused(&self) {
        // Relaxed: a counter.
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    fn info(&self, counter: Counter) -> TrackInfo {
        let mark = self.mark();
        TrackInfo {
            highest_index: mark.highest(),
            cycle: u32::try_from(mark.current_cycle(counter)).unwrap_or(u32::MAX),
            // Relaxed: counters.
            packets: self.accepted.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }
}

/// The receiver's word for an index that cannot be had, in the sender's.
const fn sender(error: Error) -> Error {
    match error {
        Error::Replayed => Error::IndexReused,
        Error::TooOld => Error::IndexTooOld,
        other => other,
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

/// One SSRC in one direction.
pub(crate) struct Stream {
    ssrc: Ssrc,
    /// What is left of a removed stream: its marks. It accepts nothing.
    removed: bool,
    /// The key that last authenticated a packet.
    last_key: AtomicU64,
    srtp: Track,
    srtcp: Track,
    /// Outbound: what SRTCP index to send next, and under which key the last one went.
    next_srtcp: AtomicU64,
    /// Packets accepted when the control side last looked, and when it first saw that number.
    looked: AtomicU64,
    looked_at: AtomicU64,
}

/// The SRTCP index to send next, in one word: `closed (1) | index (40) | key (23)`.
///
/// The key's id, modulo 2^23, says which of two keys is newer while fewer than 2^22 rekeys lie between them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NextSrtcp(u64);

impl NextSrtcp {
    const CLOSED: u64 = 1 << 63;
    const KEY_BITS: u32 = 23;
    const INDEX_BITS: u32 = 40;

    /// Stands for "no key yet". (A key whose id ends in these bits is taken for it: it may then wrap the index, once.)
    const NO_KEY: u64 = (1 << Self::KEY_BITS) - 1;

    pub(crate) const fn starting_at(index: u32) -> Self {
        Self::new(index as u64, Self::NO_KEY)
    }

    const fn new(index: u64, key: u64) -> Self {
        Self(index << Self::KEY_BITS | key & ((1 << Self::KEY_BITS) - 1))
    }

    const fn index(self) -> u64 {
        self.0 >> Self::KEY_BITS
    }

    const fn key(self) -> u64 {
        self.0 & ((1 << Self::KEY_BITS) - 1)
    }

    /// How the key of id `id` stands to the one that sent last.
    const fn compare(self, id: u64) -> core::cmp::Ordering {
        let ahead = id.wrapping_sub(self.key()) & ((1 << Self::KEY_BITS) - 1);
        if ahead == 0 {
            core::cmp::Ordering::Equal
        } else if ahead < 1 << (Self::KEY_BITS - 1) {
            core::cmp::Ordering::Greater
        } else {
            core::cmp::Ordering::Less
        }
    }
}

impl Stream {
    pub(crate) fn new(ssrc: Ssrc, origin: &Origin, windows: Windows) -> Self {
        Self::with(ssrc, origin, Some(windows))
    }

    /// What remains of a removed stream.
    pub(crate) fn floor(ssrc: Ssrc, origin: &Origin) -> Self {
        Self::with(ssrc, origin, None)
    }

    fn with(ssrc: Ssrc, origin: &Origin, windows: Option<Windows>) -> Self {
        Self {
            ssrc,
            removed: windows.is_none(),
            last_key: AtomicU64::new(KeyId::NONE.0),
            srtp: Track::new(origin.srtp, windows.map(|windows| windows.srtp)),
            srtcp: Track::new(origin.srtcp, windows.and_then(|windows| windows.srtcp)),
            next_srtcp: AtomicU64::new(origin.next_srtcp.0),
            looked: AtomicU64::new(0),
            looked_at: AtomicU64::new(0),
        }
    }

    pub(crate) const fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    pub(crate) const fn is_removed(&self) -> bool {
        self.removed
    }

    pub(crate) const fn track(&self, protocol: Protocol) -> &Track {
        match protocol {
            Protocol::Rtp => &self.srtp,
            Protocol::Rtcp => &self.srtcp,
        }
    }

    /// Where a stream that takes this one's place starts.
    pub(crate) fn origin(&self) -> Origin {
        // Acquire: as the marks.
        let next = NextSrtcp(self.next_srtcp.load(Ordering::Acquire) & !NextSrtcp::CLOSED);
        Origin { srtp: self.srtp.mark().opened(), srtcp: self.srtcp.mark().opened(), next_srtcp: next }
    }

    /// Closes the stream for good, and returns its floor (invariant 3).
    pub(crate) fn close(&self) -> Origin {
        // AcqRel: pairs with `next_srtcp`, as `Track::close` does with `take`.
        let next = NextSrtcp(self.next_srtcp.fetch_or(NextSrtcp::CLOSED, Ordering::AcqRel) & !NextSrtcp::CLOSED);
        Origin { srtp: self.srtp.close(), srtcp: self.srtcp.close(), next_srtcp: next }
    }

    /// The key to try first.
    pub(crate) fn last_key(&self) -> KeyId {
        // Relaxed: a hint.
        KeyId(self.last_key.load(Ordering::Relaxed))
    }

    pub(crate) fn note_key(&self, key: KeyId) {
        if self.last_key() != key {
            // Relaxed: a hint.
            self.last_key.store(key.0, Ordering::Relaxed);
        }
    }

    /// # Errors
    ///
    /// [`Error::IndexBackward`], [`Error::NoSuchStream`].
    pub(crate) fn set_roc(&self, roc: Roc) -> Result<()> {
        self.srtp.set_cycle(Counter::SRTP, roc.0)
    }

    /// Gives out the next SRTCP index, to be sent under `key`. `None` if a newer key has sent already: `key` was replaced meanwhile.
    ///
    /// The index counts modulo 2^31 on the wire, and passes 2^31 - 1 only under another key than the one that sent the index before
    /// (RFC 3711 9.1: no index twice under one key).
    ///
    /// # Errors
    ///
    /// [`Error::SrtcpIndexExhausted`]; [`Error::NoSuchStream`] if the stream is being removed.
    pub(crate) fn next_srtcp(&self, key: KeyId) -> Result<Option<SrtcpIndex>> {
        // Relaxed: tried again if it has changed.
        let mut seen = self.next_srtcp.load(Ordering::Relaxed);
        loop {
            let next = NextSrtcp(seen);
            if seen & NextSrtcp::CLOSED != 0 {
                return Err(Error::NoSuchStream);
            }
            let first = next.key() == NextSrtcp::NO_KEY;
            let order = next.compare(key.0);
            if !first && order.is_lt() {
                return Ok(None);
            }
            let index = SrtcpIndex::from_extended(next.index());
            let wraps = index.wire() == 0 && index.get() > 0;
            if wraps && !first && order.is_eq() || index.get() >> NextSrtcp::INDEX_BITS != 0 {
                return Err(Error::SrtcpIndexExhausted);
            }
            let after = NextSrtcp::new(index.get() + 1, key.0).0;
            // AcqRel on success: pairs with `close`. Relaxed on failure: tried again.
            match self.next_srtcp.compare_exchange_weak(seen, after, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    // Relaxed: the mark only tells the control side, and the counter counts.
                    self.srtcp.mark.fetch_max(Mark::index(index.get()).0, Ordering::Relaxed);
                    self.srtcp.accepted.fetch_add(1, Ordering::Relaxed);
                    return Ok(Some(index));
                }
                Err(now) => seen = now,
            }
        }
    }

    /// Snapshots of SRTP and SRTCP.
    pub(crate) fn counts(&self) -> (TrackInfo, TrackInfo) {
        (self.srtp.info(Counter::SRTP), self.srtcp.info(Counter::SRTCP))
    }

    /// Since when, on the caller's clock (nanoseconds), no packet has been accepted or sent, as far as these looks tell. `now` is the time.
    pub(crate) fn idle_since(&self, now: u64) -> u64 {
        let (srtp, srtcp) = self.counts();
        let packets = srtp.packets.wrapping_add(srtcp.packets).wrapping_add(1);
        // Relaxed: only the control side uses these two, under its mutex.
        if self.looked.swap(packets, Ordering::Relaxed) != packets {
            self.looked_at.store(now, Ordering::Relaxed);
        }
        self.looked_at.load(Ordering::Relaxed)
    }
}
