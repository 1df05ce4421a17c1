//! A track as it is taken out of one process and put into another.

use super::{LEASE_BITS, LEFT, Mark, Track};
use crate::id::KeyId;
use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::replay::{ListState, ReplayList};

/// What a track knows, when nobody uses it any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TrackState {
    /// The word of its mark.
    pub(crate) mark: u64,
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) list: ListState,
}

impl Track {
    pub(in crate::stream) fn state(&self) -> TrackState {
        TrackState {
            mark: self.mark().opened().word(),
            // Relaxed, here and below: whoever used the track is gone (`Context::export`).
            accepted: self.packets(),
            refused: self.refused.load(Ordering::Relaxed),
            list: self.replay.state(),
        }
    }

    /// What is left of the lease that the track holds, and of which key it is.
    pub(crate) fn lease(&self) -> (KeyId, u64) {
        let lease = self.lease.load(Ordering::Relaxed);
        (KeyId(lease >> LEASE_BITS), lease & LEFT)
    }

    pub(in crate::stream) fn restored(state: &TrackState) -> Self {
        Self {
            leased: AtomicU64::new(state.accepted),
            refused: AtomicU64::new(state.refused),
            replay: ReplayList::restored(&state.list),
            ..Self::new(Mark(state.mark).opened(), None)
        }
    }
}
