//! The inside, as far as `tests/loom.rs` models it: thin wrappers, built for a model checker alone.

use crate::epoch::{Domain, Guard};
use crate::error::{Error, Result};
use crate::id::{KeyId, SpaceId};
use crate::index::{Counter, Ssrc};
use crate::policy::Windows;
use crate::space::{Space, until_settled};
use crate::stream::{Mark, NextSrtcp, Origin, Seat, Taken, Totals};
use crate::wire::Protocol;
use crate::{epoch, kernels, replay, stream, table};
use std::sync::Arc;

pub use crate::epoch::Flaw;

/// A domain that is broken on purpose: models of it must fail.
#[must_use]
pub fn domain_with(flaw: Flaw) -> Domain {
    Domain::with_flaw(flaw)
}

pub struct Published<T: Send + Sync + 'static>(epoch::Published<T>);

impl<T: Send + Sync + 'static> Published<T> {
    pub fn new(domain: &Domain, value: T) -> Self {
        Self(epoch::Published::new(domain, value))
    }

    pub fn load<'g>(&'g self, guard: &'g Guard<'_>) -> Result<&'g T> {
        self.0.load(guard)
    }

    pub fn replace(&self, value: T, guard: &Guard<'_>) -> Result<()> {
        self.0.replace(value, epoch::Bulk::Small, guard)
    }
}

pub struct ReplayList(replay::ReplayList);

impl ReplayList {
    #[must_use]
    pub fn new(window: u32) -> Self {
        Self(replay::ReplayList::new(window, 0))
    }

    pub fn claim(&self, index: u64, highest: Option<u64>) -> Result<()> {
        self.0.claim(index, highest)
    }
}

/// A stream that somebody owns.
pub struct Stream(Arc<stream::Stream>);

/// A stream, wherever it is.
#[derive(Clone, Copy)]
pub struct Held<'g>(&'g stream::Stream);

const WINDOWS: Windows = Windows { srtp: 64, srtcp: None };

impl Stream {
    #[must_use]
    pub fn new(ssrc: u32) -> Self {
        Self(Arc::new(stream::Stream::new(Ssrc(ssrc), &Origin::START, WINDOWS)))
    }

    /// A stream whose next SRTCP index is `next`.
    #[must_use]
    pub fn sending_srtcp_from(next: u32) -> Self {
        let origin = Origin { next_srtcp: NextSrtcp::starting_at(next), ..Origin::START };
        Self(Arc::new(stream::Stream::new(Ssrc(0), &origin, WINDOWS)))
    }

    #[must_use]
    pub fn held(&self) -> Held<'_> {
        Held(&self.0)
    }
}

impl Held<'_> {
    /// Takes an SRTP index for good.
    pub fn claim(self, index: u64) -> Result<()> {
        self.0.track(Protocol::Rtp).reserve(index)
    }

    /// Closes the stream; the SRTP floor, and the SRTCP index that would have been next.
    #[must_use]
    pub fn close(self) -> (Option<u64>, u64) {
        let floor = self.0.close();
        (floor.srtp.highest(), floor.next_srtcp.index())
    }

    /// The next SRTCP index under `key`. `None` if a newer key has sent.
    pub fn take_srtcp_index(self, key: u64) -> Result<Option<u64>> {
        self.0.take_srtcp_index(KeyId(key), false).map(|taken| match taken {
            Taken::Index(index) => Some(index.get()),
            Taken::KeyReplaced => None,
        })
    }

    #[must_use]
    pub const fn ssrc(self) -> u32 {
        self.0.ssrc().0
    }

    #[must_use]
    pub fn is(self, other: Held<'_>) -> bool {
        core::ptr::eq(self.0, other.0)
    }

    #[must_use]
    pub fn address(self) -> usize {
        core::ptr::from_ref(self.0).addr()
    }
}

pub struct Table(table::StreamTable);

impl Table {
    pub fn new(domain: &Domain, bound: usize) -> Result<Self> {
        table::StreamTable::new(domain, bound).map(Self)
    }

    pub fn find<'g>(&'g self, ssrc: u32, guard: &'g Guard<'_>) -> Result<Option<Held<'g>>> {
        Ok(self.0.find(Ssrc(ssrc), guard)?.map(Held))
    }

    /// The stream that has the SSRC now: a new one, or one that was there.
    pub fn insert<'g>(&'g self, ssrc: u32, guard: &'g Guard<'_>) -> Result<Held<'g>> {
        self.0.insert(Stream::new(ssrc).0, guard).map(Held)
    }
}

/// An index space: what packets do to its streams once their tags have verified.
pub struct Direction(Arc<Space>);

impl Direction {
    pub fn new(domain: &Domain) -> Result<Self> {
        Self::bounded(domain, 16)
    }

    /// A space with room for so many streams.
    pub fn bounded(domain: &Domain, streams: usize) -> Result<Self> {
        Space::new(SpaceId(0), domain, streams).map(Self)
    }

    /// Claims an SRTP index, in the stream that is there or in a new one.
    pub fn claim(&self, ssrc: u32, index: u64, guard: &Guard<'_>) -> Result<()> {
        let attempt = || {
            let seat = self.0.seat(Ssrc(ssrc), guard)?;
            let mark = seat.mark(Protocol::Rtp);
            seat.peek(Protocol::Rtp, index, mark)?;
            let stream = match seat {
                Seat::Stream(stream) => stream,
                Seat::Empty(origin) => self.0.place(Ssrc(ssrc), &origin, WINDOWS, guard)?,
            };
            stream.track(Protocol::Rtp).reserve(index)
        };
        // Called, not put in its place: what it returns early is to be tried again.
        until_settled!(attempt())
    }

    /// Claims the index of a packet that carries `seq`, and that its sender protected in cycle `cycle`, as a probing key does: what authenticates with the
    /// cycle that is `kept`, or afresh, decides. Unless it does so `once`, it is broken on purpose.
    pub fn probe(&self, seq: u16, cycle: u32, kept: u64, once: bool, guard: &Guard<'_>) -> Result<()> {
        let ssrc = 1;
        let attempt = || {
            let seat = self.0.seat(Ssrc(ssrc), guard)?;
            let mark = seat.mark(Protocol::Rtp);
            let decides = mark.is_undecided();
            let marks = decides.then_some(Mark::index(kept)).into_iter().chain([mark]);
            let sent = Counter::SRTP.first(cycle.into(), seq.into());
            let mut indices = marks.map(|mark| mark.estimate(Counter::SRTP, seq.into()));
            let index = indices.find(|index| *index == sent).ok_or(Error::AuthenticationFailed)?;
            seat.peek(Protocol::Rtp, index, mark)?;
            let stream = match seat {
                Seat::Stream(stream) => stream,
                Seat::Empty(origin) => self.0.place(Ssrc(ssrc), &origin, WINDOWS, guard)?,
            };
            if decides && once {
                stream.track(Protocol::Rtp).decide(Mark::index(index))?;
            }
            stream.track(Protocol::Rtp).reserve(index)
        };
        // Called, not put in its place: what it returns early is to be tried again.
        until_settled!(attempt())
    }

    pub fn remove_stream(&self, ssrc: u32, guard: &Guard<'_>) -> Result<bool> {
        self.0.remove(Ssrc(ssrc), &mut Totals::default(), guard)
    }

    pub fn forget_stream(&self, ssrc: u32, guard: &Guard<'_>) -> Result<bool> {
        self.0.forget(Ssrc(ssrc), &mut Totals::default(), guard)
    }
}

/// Which slots of a slab are free.
pub struct FreeSlots(kernels::FreeSlots);

impl FreeSlots {
    #[must_use]
    pub fn all(slots: usize) -> Self {
        Self(kernels::FreeSlots::all(slots))
    }

    pub fn take(&self) -> Option<usize> {
        self.0.take()
    }

    pub fn give_back(&self, slot: usize) -> bool {
        self.0.give_back(slot)
    }
}
