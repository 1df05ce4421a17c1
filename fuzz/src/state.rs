//! All that a direction shows of its state.

use keyflip::{Inbound, KeyId, KeyInfo, KeyRole, Outbound, RefusedCounts, Result, StreamInfo, TrackInfo};

/// One protocol of a stream: highest index, cycle, packets, refused packets.
pub type Track = (Option<u64>, u32, u64, u64);

/// A direction, seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// SSRC, RTP and RTCP of each stream, by SSRC.
    pub streams: Vec<(u32, [Track; 2])>,
    /// Each key with its role and what it may still protect: SRTP and SRTCP packets.
    pub keys: Vec<(KeyId, KeyRole, u64, u64)>,
    /// Packets refused.
    pub refused: RefusedCounts,
}

/// What both directions show.
pub trait Shown {
    /// The state as it is now.
    fn state(&self) -> State;
}

impl Shown for Inbound {
    fn state(&self) -> State {
        State::of(&self.streams(), &self.keys(), self.refused(), |id| self.packets_left(id))
    }
}

impl Shown for Outbound {
    fn state(&self) -> State {
        State::of(&self.streams(), &self.keys(), self.refused(), |id| self.packets_left(id))
    }
}

impl State {
    fn of(
        streams: &[StreamInfo],
        keys: &[KeyInfo],
        refused: RefusedCounts,
        left: impl Fn(KeyId) -> Result<keyflip::KeyLifetime>,
    ) -> Self {
        let track = |track: TrackInfo| (track.highest_index, track.cycle, track.packets, track.refused);
        let mut streams: Vec<_> =
            streams.iter().map(|info| (info.ssrc.0, [track(info.rtp), track(info.rtcp)])).collect();
        streams.sort_unstable();
        let key = |info: &KeyInfo| {
            let left = left(info.id).expect("a key that was just listed");
            (info.id, info.role, left.srtp_packets, left.srtcp_packets)
        };
        Self { streams, keys: keys.iter().map(key).collect(), refused }
    }

    /// The state but for the counters of refused packets.
    #[must_use]
    pub fn but_refusals(&self) -> Self {
        let mut state = self.clone();
        state.refused = RefusedCounts::default();
        state.streams.iter_mut().flat_map(|(_, tracks)| tracks).for_each(|track| track.3 = 0);
        state
    }

    /// The state but for what keys may still protect, which says how many packets streams have set aside.
    #[must_use]
    pub fn but_leases(mut self) -> Self {
        self.keys.iter_mut().for_each(|key| (key.2, key.3) = (0, 0));
        self
    }

    /// All refusals that are counted: by reason, and by stream.
    #[must_use]
    pub fn refusals(&self) -> (u64, u64) {
        let counts = self.refused;
        let by_reason = counts.malformed
            + counts.authentication_failed
            + counts.unknown_mki
            + counts.unknown_ssrc
            + counts.replayed
            + counts.no_key
            + counts.other;
        (by_reason, self.streams.iter().flat_map(|(_, tracks)| tracks).map(|track| track.3).sum())
    }

    /// A stream's track: 0 for RTP, 1 for RTCP.
    #[must_use]
    pub fn track(&self, ssrc: u32, protocol: crate::input::Protocol) -> Option<Track> {
        self.streams.iter().find(|stream| stream.0 == ssrc).map(|stream| stream.1[protocol as usize])
    }

    /// Compares with the state before a packet that was refused: nothing may have changed but the counters, and those by one.
    ///
    /// # Panics
    ///
    /// If something has.
    pub fn check_refused(&self, before: &Self, why: &str) {
        assert_eq!(self.but_refusals(), before.but_refusals(), "{why} changed the state");
        let ((reasons, streams), (reasons_before, streams_before)) = (self.refusals(), before.refusals());
        assert_eq!(reasons, reasons_before + 1, "{why} is counted once by its reason");
        assert!(streams - streams_before <= 1, "{why} is counted for one stream at most");
    }
}
