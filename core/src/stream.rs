//! The state of one SSRC in one direction: its indices, and what was counted of it (RFC 3711 3.2.3).
//!
//! For each protocol a stream has a [`Track`]: the highest index and the replay list of the index space its keys share. Rekeying does not
//! touch it (P4). Everything here is atomic: any number of threads use a stream at once.
//!
//! 1. The highest index only grows, and only by a claim or by a caller who sets it.
//! 2. A claim raises the highest index, then sets its bit in the replay list. If the first finds the track closed, there is no second: the stream is
//!    being removed, and its floor may not include this index.
//! 3. So the floor of a removed stream is at least every index that was accepted in it, and a stream that takes its place starts above.
//!    (But for streams that their owner had forgotten, or restarted: `forget_stream` and `force_roc` say what that costs.)
//! 4. A stream is gone from the moment its first track is closed. Whoever finds it so closes the rest, and may put another in its place.

mod mark;
mod next_srtcp;
mod state;
mod track;

pub(crate) use mark::Mark;
use next_srtcp::SrtcpSender;
pub(crate) use next_srtcp::{NextSrtcp, Taken};
pub(crate) use state::StreamState;
use track::Track;
pub use track::TrackInfo;
pub(crate) use track::TrackState;

use crate::error::{Error, Result};
use crate::id::KeyId;
use crate::index::{Counter, Roc, Ssrc};
use crate::policy::Windows;
use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::wire::Protocol;

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
        let given = self.next_srtcp.index();
        if given > 0 && given != floor.next_srtcp.index() {
            return Err(Error::IndexBackward);
        }
        let srtp = match floor.srtp.highest() {
            None => self.srtp,
            Some(highest) => {
                let cycle = self.srtp.current_cycle(Counter::SRTP);
                if cycle < Counter::SRTP.cycle(highest) {
                    return Err(Error::IndexBackward);
                }
                Mark::index(Counter::SRTP.in_cycle(highest, cycle))
            }
        };
        Ok(Self { srtp, srtcp: floor.srtcp, next_srtcp: floor.next_srtcp })
    }

    const fn mark(&self, protocol: Protocol) -> Mark {
        match protocol {
            Protocol::Rtp => self.srtp,
            Protocol::Rtcp => self.srtcp,
        }
    }
}

/// What an SSRC has in a context.
#[derive(Clone, Copy)]
pub(crate) enum Seat<'g> {
    Stream(&'g Stream),
    /// None, or none any more: where one would start.
    Empty(Origin),
}

impl<'g> Seat<'g> {
    #[inline(always)]
    pub(crate) fn of(held: Option<&'g Stream>) -> Self {
        match held {
            None => Self::Empty(Origin::START),
            Some(stream) => stream.gone().map_or(Self::Stream(stream), Self::Empty),
        }
    }

    pub(crate) const fn stream(&self) -> Option<&'g Stream> {
        match self {
            Self::Stream(stream) => Some(stream),
            Self::Empty(_) => None,
        }
    }

    /// The key that last authenticated a packet of the stream.
    pub(crate) fn last_key(&self) -> KeyId {
        self.stream().map_or(KeyId::NONE, Stream::last_key)
    }

    pub(crate) fn mark(&self, protocol: Protocol) -> Mark {
        match self {
            Self::Stream(stream) => stream.track(protocol).mark(),
            Self::Empty(origin) => origin.mark(protocol),
        }
    }

    /// Whether `index` could be claimed, by the mark that was read before.
    ///
    /// # Errors
    ///
    /// [`Error::Replayed`], [`Error::TooOld`].
    #[inline(always)]
    pub(crate) fn peek(&self, protocol: Protocol, index: u64, mark: Mark) -> Result<()> {
        match self {
            Self::Stream(stream) => stream.track(protocol).peek(index, mark),
            // What a removed stream accepted stays below its floor.
            Self::Empty(_) if mark.highest().is_some_and(|floor| index <= floor) => Err(Error::TooOld),
            Self::Empty(_) => Ok(()),
        }
    }
}

/// Packets of several streams, of SRTP and SRTCP.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) rtp: u64,
    pub(crate) rtcp: u64,
}

impl Totals {
    pub(crate) fn add(&mut self, stream: &Stream) {
        let [rtp, rtcp] = stream.packets();
        self.rtp = self.rtp.wrapping_add(rtp);
        self.rtcp = self.rtcp.wrapping_add(rtcp);
    }
}

const SETTLING_BITS: u32 = 16;
const SETTLING_MASK: u64 = (1 << SETTLING_BITS) - 1;

/// What stands in the place of an SSRC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Stream,
    /// What is left of a removed stream: its marks.
    Floor,
    /// What is left of a forgotten one: nothing, in a place that the table has not used for another yet.
    Blank,
}

/// One SSRC in one direction.
pub(crate) struct Stream {
    ssrc: Ssrc,
    /// What it is: only one that lives accepts anything.
    life: Life,
    /// The key that last authenticated a packet.
    last_key: AtomicU64,
    /// The current key's id and how many packets it has authenticated, up to a bound: `id << 16 | packets`.
    settling: AtomicU64,
    srtp: Track,
    srtcp: Track,
    /// Outbound.
    next_srtcp: SrtcpSender,
    /// Packets accepted when the control side last looked, and when it first saw that number.
    looked: AtomicU64,
    looked_at: AtomicU64,
}

impl Stream {
    pub(crate) fn new(ssrc: Ssrc, origin: &Origin, windows: Windows) -> Self {
        Self::with(ssrc, origin, Some(windows), Life::Stream)
    }

    /// What remains of a removed stream.
    pub(crate) fn floor(ssrc: Ssrc, origin: &Origin) -> Self {
        Self::with(ssrc, origin, None, Life::Floor)
    }

    /// What remains of a forgotten stream.
    pub(crate) fn blank(ssrc: Ssrc) -> Self {
        Self::with(ssrc, &Origin::START, None, Life::Blank)
    }

    fn with(ssrc: Ssrc, origin: &Origin, windows: Option<Windows>, life: Life) -> Self {
        Self {
            ssrc,
            life,
            last_key: AtomicU64::new(KeyId::NONE.0),
            settling: AtomicU64::new(0),
            srtp: Track::new(origin.srtp, windows.map(|windows| windows.srtp)),
            srtcp: Track::new(origin.srtcp, windows.and_then(|windows| windows.srtcp)),
            next_srtcp: SrtcpSender::new(origin.next_srtcp),
            looked: AtomicU64::new(0),
            looked_at: AtomicU64::new(0),
        }
    }

    pub(crate) const fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// A stream and a floor count against the bound of their table.
    pub(crate) fn counts_in_table(&self) -> bool {
        self.life != Life::Blank
    }

    /// Its replay windows.
    pub(crate) fn windows(&self) -> Windows {
        Windows { srtp: self.srtp.window().unwrap_or_default(), srtcp: self.srtcp.window() }
    }

    pub(crate) const fn track(&self, protocol: Protocol) -> &Track {
        match protocol {
            Protocol::Rtp => &self.srtp,
            Protocol::Rtcp => &self.srtcp,
        }
    }

    /// Whether it is gone, as far as can be told without a look at its floor.
    #[inline(always)]
    pub(crate) fn is_gone(&self) -> bool {
        // The first track to be closed. Who sees it open may find the other closed by the time it claims, and looks again then.
        self.life != Life::Stream || self.srtp.mark().is_closed()
    }

    /// What is left of the stream if it is gone: its floor, which nothing raises any more.
    pub(crate) fn gone(&self) -> Option<Origin> {
        self.is_gone().then(|| self.close())
    }

    /// Closes the stream for good, and returns its floor (invariant 3).
    #[cold]
    #[inline(never)]
    pub(crate) fn close(&self) -> Origin {
        // The marks before the sender: whom the sender refuses finds the stream gone.
        let (srtp, srtcp) = (self.srtp.close(), self.srtcp.close());
        Origin { srtp, srtcp, next_srtcp: self.next_srtcp.close() }
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

    /// Whether `limit` packets of this stream were accepted under the key `current`.
    pub(crate) fn has_settled(&self, current: KeyId, limit: u16) -> bool {
        // Relaxed, in `settle` too: a count of its own.
        let seen = self.settling.load(Ordering::Relaxed);
        limit == 0 || seen >> SETTLING_BITS == current.0 && seen & SETTLING_MASK >= u64::from(limit)
    }

    /// Notes a packet that was accepted under the key `current`, until there are `limit`.
    pub(crate) fn settle(&self, current: KeyId, limit: u16) {
        if !self.has_settled(current, limit) {
            let count = |seen: u64| {
                let before = if seen >> SETTLING_BITS == current.0 { seen & SETTLING_MASK } else { 0 };
                (before < u64::from(limit)).then_some(current.0 << SETTLING_BITS | (before + 1))
            };
            // Refused where another thread was faster.
            let _ = self.settling.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
        }
    }

    /// # Errors
    ///
    /// [`Error::IndexBackward`], [`Error::NoSuchStream`].
    pub(crate) fn set_roc(&self, roc: Roc) -> Result<()> {
        self.srtp.set_cycle(Counter::SRTP, roc.0)
    }

    /// Whether [`Self::take_srtcp_index`] would give one out now; not if a newer key has sent. Another thread may be faster.
    ///
    /// # Errors
    ///
    /// As [`Self::take_srtcp_index`].
    pub(crate) fn may_take_srtcp_index(&self, key: KeyId, current: bool) -> Result<bool> {
        Ok(self.next_srtcp.peek(key, current)?.is_some())
    }

    /// Gives out the next SRTCP index, to be sent under `key`; `current` as [`SrtcpSender::take`] has it.
    ///
    /// # Errors
    ///
    /// [`Error::SrtcpIndexExhausted`]; [`Error::NoSuchStream`] if the stream is being removed.
    pub(crate) fn take_srtcp_index(&self, key: KeyId, current: bool) -> Result<Taken> {
        let taken = self.next_srtcp.take(key, current)?;
        if let Taken::Index(index) = taken {
            self.srtcp.note_sent(index.get());
        }
        Ok(taken)
    }

    /// Packets accepted or sent, of SRTP and SRTCP.
    fn packets(&self) -> [u64; 2] {
        [&self.srtp, &self.srtcp].map(Track::packets)
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
