//! Snapshots of a context for its owner: keys, streams, lengths. Nothing secret is in them.

use crate::context::Context;
use crate::error::{Error, Result};
use crate::id::{KeyId, SpaceId};
use crate::index::Ssrc;
use crate::keys::{Held, KeyLifetime, KeyRole};
use crate::space::Space;
use crate::stream::TrackInfo;
use crate::wire::Protocol;
use core::fmt;
use std::collections::HashMap;
use std::time::Instant;

/// A key of a context.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyInfo {
    /// Names it within its context.
    pub id: KeyId,
    /// Its MKI; empty if it has none.
    pub mki: Vec<u8>,
    /// What it is to the context.
    pub role: KeyRole,
    /// The index space of its packets. Keys that share one share rollover counters, SRTCP indices and replay lists.
    pub space: SpaceId,
}

/// A stream of a context: SRTP and SRTCP each as in the newest index space in which it has packets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamInfo {
    /// Its SSRC.
    pub ssrc: Ssrc,
    /// Its SRTP packets.
    pub rtp: TrackInfo,
    /// Its SRTCP packets.
    pub rtcp: TrackInfo,
    /// No packet was accepted or sent since then, or longer. The data path reads no clock: this is when a snapshot first saw the packet counts as
    /// they are now, so it is as fine as snapshots are frequent.
    pub idle_since: Instant,
}

pub(crate) fn keys(context: &Context) -> Vec<KeyInfo> {
    let info = |(Held { key, space, .. }, role): (&Held<Space>, KeyRole)| KeyInfo {
        id: key.id(),
        mki: key.mki().into(),
        role,
        space: space.id(),
    };
    context.ring(&context.domain().pin()).map(|ring| ring.list().map(info).collect()).unwrap_or_default()
}

/// # Errors
///
/// [`Error::UnknownKey`].
pub(crate) fn packets_left(context: &Context, id: KeyId) -> Result<KeyLifetime> {
    let guard = context.domain().pin();
    let held = context.ring(&guard)?.iter().find(|held| held.key.id() == id).ok_or(Error::UnknownKey)?;
    let left = |protocol| held.key.budget(protocol).left();
    Ok(KeyLifetime { srtp_packets: left(Protocol::Rtp), srtcp_packets: left(Protocol::Rtcp) })
}

pub(crate) fn streams(context: &Context) -> Vec<StreamInfo> {
    let mut streams: Vec<StreamInfo> = Vec::new();
    let mut places: HashMap<Ssrc, usize> = HashMap::new();
    // A guard of the context's own domain is never refused.
    let _ = context.for_each(|stream, now| {
        let (rtp, rtcp) = stream.counts();
        let idle_since = context.since(stream.idle_since(now));
        let ssrc = stream.ssrc();
        let place = *places.entry(ssrc).or_insert(streams.len());
        match streams.get_mut(place) {
            None => streams.push(StreamInfo { ssrc, rtp, rtcp, idle_since }),
            Some(newer) => {
                newer.idle_since = newer.idle_since.max(idle_since);
                for (newer, older) in [(&mut newer.rtp, rtp), (&mut newer.rtcp, rtcp)] {
                    if newer.highest_index.is_none() && newer.cycle == 0 {
                        *newer = older;
                    }
                }
            }
        }
    });
    streams
}

pub(crate) fn overhead(context: &Context, protocol: Protocol) -> usize {
    let guard = context.domain().pin();
    context.ring(&guard).map(|ring| context.overhead(ring, protocol)).unwrap_or_default()
}

pub(crate) fn debug(context: &Context, mut f: fmt::DebugStruct<'_, '_>) -> fmt::Result {
    f.field("profile", &context.policy().spec.name).field("keys", &keys(context)).finish_non_exhaustive()
}
