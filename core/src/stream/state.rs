//! A stream as it is taken out of one process and put into another.

use super::{Life, NextSrtcp, Origin, Stream, TrackState};
use crate::index::Ssrc;
use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::stream::track::Track;

/// What a stream knows, or its floor, when nobody uses it any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamState {
    pub(crate) ssrc: Ssrc,
    /// It is a floor.
    pub(crate) removed: bool,
    /// Which key last authenticated a packet, and how far it has settled under the current one: as the words that say so.
    pub(crate) last_key: u64,
    pub(crate) settling: u64,
    pub(crate) srtp: TrackState,
    pub(crate) srtcp: TrackState,
    /// The word that says which SRTCP index is sent next, and under which key.
    pub(crate) next_srtcp: u64,
}

impl Stream {
    pub(crate) fn state(&self) -> StreamState {
        StreamState {
            ssrc: self.ssrc,
            removed: self.gone().is_some(),
            // Relaxed: whoever used the stream is gone (`Context::export`).
            last_key: self.last_key.load(Ordering::Relaxed),
            settling: self.settling.load(Ordering::Relaxed),
            srtp: self.srtp.state(),
            srtcp: self.srtcp.state(),
            next_srtcp: self.next_srtcp.state().word(),
        }
    }

    pub(crate) fn restored(state: &StreamState) -> Self {
        let life = if state.removed { Life::Floor } else { Life::Stream };
        let next_srtcp = NextSrtcp::of_word(state.next_srtcp);
        Self {
            last_key: AtomicU64::new(state.last_key),
            settling: AtomicU64::new(state.settling),
            srtp: Track::restored(&state.srtp),
            srtcp: Track::restored(&state.srtcp),
            ..Self::with(state.ssrc, &Origin { next_srtcp, ..Origin::START }, None, life)
        }
    }
}
