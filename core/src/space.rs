//! Index spaces: in each, an SSRC has one stream, and each index is accepted or sent once (P5, P6).
//!
//! 1. A space is a stream table. The keys of a ring name it; it goes with the last ring that does, and every stream and floor in it goes along.
//! 2. A stream is added at its first good packet in the space. Other spaces may have streams of the same SSRC: nothing is shared between them.
//! 3. In a space that probes, a stream whose SRTP mark is undecided has seen no SRTP packet. The first one moves the mark to its index, by one
//!    compare-and-swap: from then on there is one answer to where the stream's indices are.

use crate::epoch::{Domain, Guard};
use crate::error::{Error, Result};
use crate::id::SpaceId;
use crate::index::{Roc, Ssrc};
use crate::keys::Held;
use crate::policy::Windows;
use crate::stream::{Mark, Origin, Seat, Stream, StreamState, Totals};
use crate::table::StreamTable;
use crate::wire::Protocol;
use std::sync::Arc;

/// An index space of a context: what a packet reads of it, in one cache line.
#[repr(align(64))]
pub(crate) struct Space {
    streams: StreamTable,
    id: SpaceId,
}

impl Space {
    /// # Errors
    ///
    /// [`Error::ForeignGuard`] never, as long as `domain` is the caller's.
    pub(crate) fn new(id: SpaceId, domain: &Domain, streams: usize) -> Result<Arc<Self>> {
        Ok(Arc::new(Self { streams: StreamTable::new(domain, streams)?, id }))
    }

    pub(crate) const fn id(&self) -> SpaceId {
        self.id
    }

    // ---- Data path.

    /// The stream of `ssrc`, if there is one that is not gone.
    #[inline(always)]
    pub(crate) fn stream_of<'g>(&'g self, ssrc: Ssrc, guard: &'g Guard<'_>) -> Result<Option<&'g Stream>> {
        Ok(self.streams.find(ssrc, guard)?.filter(|stream| !stream.is_gone()))
    }

    /// Has what a look-up reads fetched from memory: step by step, each when the one before is there.
    pub(crate) fn fetch_table(&self, guard: &Guard<'_>) {
        self.streams.fetch_array(guard);
    }

    pub(crate) fn fetch_slot(&self, ssrc: Ssrc, guard: &Guard<'_>) {
        self.streams.fetch_slot(ssrc, guard);
    }

    pub(crate) fn fetch_stream(&self, ssrc: Ssrc, guard: &Guard<'_>) {
        self.streams.fetch_stream(ssrc, guard);
    }

    /// What `ssrc` has here.
    pub(crate) fn seat<'g>(&'g self, ssrc: Ssrc, guard: &'g Guard<'_>) -> Result<Seat<'g>> {
        Ok(Seat::of(self.streams.find(ssrc, guard)?))
    }

    /// The stream that `ssrc` has from here on: a new one of these windows that starts at `origin`, or the one that is there, whoever made it.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyStreams`].
    pub(crate) fn place<'g>(
        &'g self,
        ssrc: Ssrc,
        origin: &Origin,
        windows: Windows,
        guard: &'g Guard<'_>,
    ) -> Result<&'g Stream> {
        self.place_or_find(ssrc, origin, windows, guard).map(|(stream, _)| stream)
    }

    /// The same, and whether this call made it.
    ///
    /// # Errors
    ///
    /// As [`Self::place`].
    pub(crate) fn place_or_find<'g>(
        &'g self,
        ssrc: Ssrc,
        origin: &Origin,
        windows: Windows,
        guard: &'g Guard<'_>,
    ) -> Result<(&'g Stream, bool)> {
        let mut added = false;
        loop {
            let held = match self.streams.find(ssrc, guard)? {
                Some(held) => held,
                None => {
                    let new = stream(ssrc, origin, windows);
                    let made = Arc::as_ptr(&new);
                    let held = self.streams.insert(new, guard)?;
                    added = core::ptr::eq(held, made);
                    held
                }
            };
            let Some(floor) = held.gone() else { return Ok((held, added)) };
            // The new stream starts above the floor, whatever `origin` says. Somebody else may be first, and somebody may remove that one again.
            added = self.streams.replace(held, stream(ssrc, &floor, windows), guard)?;
        }
    }

    // ---- Control side. One caller at a time, beside any number of readers.

    /// Adds a stream that starts at `origin`.
    ///
    /// # Errors
    ///
    /// [`Error::StreamExists`], [`Error::TooManyStreams`]; [`Error::IndexBackward`] below the floor of an earlier life.
    pub(crate) fn add(&self, ssrc: Ssrc, origin: &Origin, windows: Windows, guard: &Guard<'_>) -> Result<()> {
        let Some(held) = self.streams.find(ssrc, guard)? else {
            return self.place(ssrc, origin, windows, guard).map(drop);
        };
        let gone = held.gone().ok_or(Error::StreamExists)?;
        // One that was forgotten has left no floor.
        let origin = if held.counts_in_table() { origin.above(&gone)? } else { *origin };
        if self.streams.replace(held, stream(ssrc, &origin, windows), guard)? {
            Ok(())
        } else {
            Err(Error::StreamExists)
        }
    }

    /// Removes a stream, and leaves its floor; its packets are added to `gone`. False if there is none.
    pub(crate) fn remove(&self, ssrc: Ssrc, gone: &mut Totals, guard: &Guard<'_>) -> Result<bool> {
        let Some(held) = self.seat(ssrc, guard)?.stream() else { return Ok(false) };
        // Closed first: nothing is claimed from here on, so the floor holds all that was accepted. If a packet has brought the stream back by
        // then, above its floor, it stays.
        let floor = Stream::floor(ssrc, &held.close());
        gone.add(held);
        self.streams.replace(held, Arc::new(floor), guard)?;
        Ok(true)
    }

    /// Removes a stream and its floor, or the floor alone: as if it had never been. False if there is neither.
    pub(crate) fn forget(&self, ssrc: Ssrc, gone: &mut Totals, guard: &Guard<'_>) -> Result<bool> {
        while let Some(held) = self.streams.find(ssrc, guard)?.filter(|held| held.counts_in_table()) {
            // Closed first: what is claimed in the stream that a packet may bring back is forgotten in the next round.
            held.close();
            if self.streams.replace(held, Arc::new(Stream::blank(ssrc)), guard)? {
                gone.add(held);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Has the SRTP indices of a stream begin again in cycle `roc`, whatever was accepted before; those of SRTCP go on. False if there is no stream.
    pub(crate) fn restart(&self, ssrc: Ssrc, roc: Roc, gone: &mut Totals, guard: &Guard<'_>) -> Result<bool> {
        while let Some(held) = self.seat(ssrc, guard)?.stream() {
            let windows = held.windows();
            let origin = Origin { srtp: Mark::cycle(roc.0), ..held.close() };
            if self.streams.replace(held, stream(ssrc, &origin, windows), guard)? {
                gone.add(held);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The streams, without floors, in no order. One that comes or goes meanwhile may be missed.
    pub(crate) fn live<'g>(&'g self, guard: &'g Guard<'_>) -> Result<impl Iterator<Item = &'g Stream>> {
        Ok(self.streams.iter(guard)?.filter(|stream| stream.gone().is_none()))
    }

    /// Every stream and floor, where no other thread uses the space any more.
    pub(crate) fn every(&self, guard: &Guard<'_>) -> Result<Vec<StreamState>> {
        Ok(self.streams.iter(guard)?.filter(|stream| stream.counts_in_table()).map(Stream::state).collect())
    }

    /// Calls `visit` with every stream and floor.
    pub(crate) fn visit(&self, guard: &Guard<'_>, visit: impl FnMut(&Stream)) -> Result<()> {
        self.streams.iter(guard)?.for_each(visit);
        Ok(())
    }

    /// Puts in a stream, or a floor, that was taken out elsewhere. False if its SSRC is there already.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyStreams`].
    pub(crate) fn restore(&self, state: &StreamState, guard: &Guard<'_>) -> Result<bool> {
        let stream = Arc::new(Stream::restored(state));
        let ours = Arc::as_ptr(&stream);
        Ok(core::ptr::eq(self.streams.insert(stream, guard)?, ours))
    }

    /// Takes over where the streams of an older space stand that have sent nothing in this one. No key is in either any more.
    pub(crate) fn inherit(&self, older: &Self, guard: &Guard<'_>) -> Result<()> {
        for stream in older.live(guard)? {
            let mark = |protocol| stream.track(protocol).mark();
            let origin = Origin { srtp: mark(Protocol::Rtp), srtcp: mark(Protocol::Rtcp), ..Origin::START };
            match self.place(stream.ssrc(), &origin, stream.windows(), guard) {
                Ok(placed) => {
                    for protocol in [Protocol::Rtp, Protocol::Rtcp] {
                        // Unless it knows better.
                        let _ = placed.track(protocol).decide(mark(protocol));
                    }
                }
                // It begins afresh, like a stream that nobody knows.
                Err(Error::TooManyStreams) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn stream(ssrc: Ssrc, origin: &Origin, windows: Windows) -> Arc<Stream> {
    Arc::new(Stream::new(ssrc, origin, windows))
}

impl Held<Space> {
    /// Where the SRTP indices of `ssrc` would go on from, if they were kept at the rekey with this key. `None` if that is not known.
    pub(crate) fn kept(&self, ssrc: Ssrc, guard: &Guard<'_>) -> Result<Option<Mark>> {
        for space in self.probed() {
            let mark = space.seat(ssrc, guard)?.mark(Protocol::Rtp);
            if !mark.is_undecided() {
                return Ok(Some(mark));
            }
        }
        Ok(None)
    }

    /// Whether a space that the key probes has a stream of `ssrc`.
    pub(crate) fn has_probed(&self, ssrc: Ssrc, guard: &Guard<'_>) -> Result<bool> {
        for space in self.probed() {
            if space.seat(ssrc, guard)?.stream().is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The streams in the key's space and in those that it probes; some of them twice.
    pub(crate) fn known(&self, guard: &Guard<'_>) -> Result<Vec<Ssrc>> {
        let mut known = Vec::new();
        for space in self.lineage() {
            known.extend(space.live(guard)?.map(Stream::ssrc));
        }
        Ok(known)
    }
}

/// Tries `attempt` again if the stream was removed between look-up and claim. Removed again and again, it is as if it had never been there.
///
/// A macro, for the sake of what is put in the place of `attempt`: the data path, once.
macro_rules! until_settled {
    ($attempt:expr) => {{
        // Two that add and remove in step can keep that up for some rounds.
        const ATTEMPTS: usize = if cfg!(crossbeam_loom) { 16 } else { 1024 };
        let mut attempts = 0..ATTEMPTS;
        loop {
            if attempts.next().is_none() {
                break Err($crate::error::Error::UnknownSsrc);
            }
            match $attempt {
                Err($crate::error::Error::NoSuchStream) => {}
                settled => break settled,
            }
        }
    }};
}
pub(crate) use until_settled;
