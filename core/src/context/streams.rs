//! The streams of a direction, as its owner controls them. An SSRC with keys of its own is found by those.

use super::direction::Control;
use super::slots::Slots;
use super::{Context, Direction};
use crate::epoch::Guard;
use crate::error::{Error, Result};
use crate::index::{Roc, Ssrc};
use crate::policy::{StreamOptions, Windows};
use crate::space::Space;
use crate::stream::{Mark, NextSrtcp, Origin, Stream, Totals};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Direction {
    /// Calls `visit` with the spaces of the keys that `ssrc` has, that of the current one first.
    fn in_spaces<R>(
        &self,
        ssrc: Ssrc,
        visit: impl FnOnce(&[&Arc<Space>], Windows, &Guard<'_>) -> Result<R>,
    ) -> Result<R> {
        let control = self.lock();
        let guard = self.domain().pin();
        let context = self.context_for(ssrc, &guard)?;
        visit(&self.spaces_of(context, &control, &guard)?, context.windows(), &guard)
    }

    /// The same for who ends the life of a stream, and so adds to the packets of those that are gone, and to what waits for readers.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyRetired`].
    fn change_spaces<R>(
        &self,
        ssrc: Ssrc,
        visit: impl FnOnce(&[&Arc<Space>], &mut Totals, &Guard<'_>) -> Result<R>,
    ) -> Result<R> {
        let mut control = self.lock();
        let guard = self.domain().pin();
        let context = self.context_for(ssrc, &guard)?;
        let mut gone = control.gone;
        let outcome = visit(&self.spaces_of(context, &control, &guard)?, &mut gone, &guard)?;
        control.gone = gone;
        Ok(outcome)
    }

    fn spaces_of<'g>(
        &'g self,
        context: &'g Context,
        control: &'g Control,
        guard: &'g Guard<'_>,
    ) -> Result<Vec<&'g Arc<Space>>> {
        let ring = context.ring(guard)?;
        ring.check_not_moved()?;
        let mut spaces = ring.spaces();
        if ring.current().is_err() {
            spaces.retain(|space| !Arc::ptr_eq(space, &control.first_space));
            spaces.insert(0, &control.first_space);
        }
        Ok(spaces)
    }

    /// Adds a stream to the space of the current key.
    ///
    /// # Errors
    ///
    /// [`Error::StreamExists`], [`Error::TooManyStreams`], [`Error::IndexBackward`] below the floor of an earlier life; [`Error::BadReplayWindow`].
    pub(crate) fn add_stream(&self, ssrc: Ssrc, options: &StreamOptions) -> Result<()> {
        let next_srtcp = NextSrtcp::starting_at(options.srtcp_index);
        let origin = Origin { srtp: Mark::cycle(options.roc.0), next_srtcp, ..Origin::START };
        self.in_spaces(ssrc, |spaces, windows, guard| {
            let windows = options.windows(windows)?;
            spaces.first().ok_or(Error::NoKey)?.add(ssrc, &origin, windows, guard)
        })
    }

    /// Removes a stream from all spaces.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchStream`], [`Error::TooManyRetired`].
    pub(crate) fn remove_stream(&self, ssrc: Ssrc) -> Result<()> {
        self.domain().check_backlog()?;
        let removed = self.change_spaces(ssrc, |spaces, gone, guard| {
            spaces.iter().try_fold(false, |removed, space| Ok(removed | space.remove(ssrc, gone, guard)?))
        })?;
        if removed { Ok(()) } else { Err(Error::NoSuchStream) }
    }

    /// Removes a stream and its floor from all spaces.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchStream`] if there is neither; [`Error::TooManyRetired`].
    pub(crate) fn forget_stream(&self, ssrc: Ssrc) -> Result<()> {
        let mut control = self.lock();
        self.domain().check_backlog()?;
        let guard = self.domain().pin();
        let mut gone = control.gone;
        let spaces = self.spaces_of(self, &control, &guard)?;
        // The first is that of slots, too, and may have been left by the session's keys.
        let others = spaces.into_iter().filter(|space| !Arc::ptr_eq(space, &control.first_space));
        let mut forgotten = false;
        for space in others.chain([&control.first_space]) {
            forgotten |= space.forget(ssrc, &mut gone, &guard)?;
        }
        control.gone = gone;
        if forgotten { Ok(()) } else { Err(Error::NoSuchStream) }
    }

    /// Has a stream begin again in cycle `roc`, in the space of the current key.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchStream`], [`Error::TooManyRetired`].
    pub(crate) fn force_roc(&self, ssrc: Ssrc, roc: Roc) -> Result<()> {
        self.domain().check_backlog()?;
        let restarted = self.change_spaces(ssrc, |spaces, gone, guard| {
            spaces.first().map_or(Ok(false), |space| space.restart(ssrc, roc, gone, guard))
        })?;
        if restarted { Ok(()) } else { Err(Error::NoSuchStream) }
    }

    /// The rollover counter of a stream, in the newest space that knows it.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchStream`].
    pub(crate) fn roc(&self, ssrc: Ssrc) -> Result<Roc> {
        let mut known = None;
        self.in_spaces(ssrc, |spaces, _, guard| {
            for space in spaces {
                let Some(stream) = space.seat(ssrc, guard)?.stream() else { continue };
                let (rtp, _) = stream.counts();
                known = known.or(Some(rtp.cycle));
                if rtp.highest_index.is_some() || rtp.cycle > 0 {
                    return Ok(Some(rtp.cycle));
                }
            }
            Ok(known)
        })?
        .map(Roc)
        .ok_or(Error::NoSuchStream)
    }

    /// Moves a stream on to cycle `roc`, in the space of the current key. If it has sent nothing in that yet, it starts there.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchStream`], [`Error::IndexBackward`], [`Error::TooManyStreams`].
    pub(crate) fn set_roc(&self, ssrc: Ssrc, roc: Roc) -> Result<()> {
        self.in_spaces(ssrc, |spaces, windows, guard| {
            let (current, others) = spaces.split_first().ok_or(Error::NoKey)?;
            if let Some(stream) = current.seat(ssrc, guard)?.stream() {
                return stream.set_roc(roc);
            }
            let mut lives = others.iter().map(|space| space.seat(ssrc, guard));
            if !lives.any(|seat| seat.is_ok_and(|seat| seat.stream().is_some())) {
                return Err(Error::NoSuchStream);
            }
            let origin = Origin { srtp: Mark::cycle(roc.0), ..Origin::START };
            current.place(ssrc, &origin, windows, guard)?.set_roc(roc)
        })
    }

    /// Calls `visit` with every stream, under the control mutex: those in the space of the current key first. The second argument is the time, on
    /// the clock of [`Self::since`].
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Stream, u64)) -> Result<()> {
        let control = self.lock();
        let guard = self.domain().pin();
        let now = u64::try_from(self.made.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let slots = self.slot_table(&guard)?;
        for space in self.spaces_of(self, &control, &guard)? {
            let of_session = |stream: &&Stream| slots.is_none_or(|slots| slots.get(stream.ssrc()).is_none());
            space.live(&guard)?.filter(of_session).for_each(|stream| visit(stream, now));
        }
        for ssrc in slots.into_iter().flat_map(Slots::ssrcs) {
            if let Some(stream) = control.first_space.seat(ssrc, &guard)?.stream() {
                visit(stream, now);
            }
        }
        Ok(())
    }

    /// Packets of all streams, those that are gone included, and how many SSRCs have one.
    pub(crate) fn totals(&self) -> Result<(Totals, usize)> {
        let mut ssrcs = HashSet::new();
        self.for_each(|stream, _| {
            ssrcs.insert(stream.ssrc());
        })?;
        let control = self.lock();
        let guard = self.domain().pin();
        let mut totals = control.gone;
        let spaces = self.ring(&guard)?.spaces();
        // The first is kept for slots, whether or not the session's keys are in it.
        let others = spaces.into_iter().filter(|space| !Arc::ptr_eq(space, &control.first_space));
        for space in others.chain([&control.first_space]) {
            space.live(&guard)?.for_each(|stream| totals.add(stream));
        }
        Ok((totals, ssrcs.len()))
    }

    /// A time of [`Self::for_each`]'s clock.
    pub(crate) fn since(&self, nanos: u64) -> Instant {
        self.made + Duration::from_nanos(nanos)
    }
}
