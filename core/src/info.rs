//! Snapshots of a context for its owner: keys, streams, lengths. Nothing secret is in them.

use crate::context::Direction;
use crate::counters::RefusedCounts;
use crate::crypto::profile::Profile;
use crate::error::{Error, Result};
use crate::id::{KeyId, SpaceId};
use crate::index::Ssrc;
use crate::keys::{Held, KeyLifetime, KeyRole};
use crate::secret::MAX_MKI_LEN;
use crate::space::Space;
use crate::stream::TrackInfo;
use crate::wire::Protocol;
use core::fmt;
use std::collections::HashMap;
use std::time::Instant;

/// The longest trailer of any packet, in octets: the longest tag, SRTCP's E flag and index, and the longest MKI. A buffer with so much room behind a
/// packet is always enough, but for the 4 octets that [`Cryptex`](crate::Cryptex) may add to a header.
pub const MAX_TRAILER_LEN: usize = Profile::AeadAes256Gcm.srtcp_trailer_len(MAX_MKI_LEN);

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

/// What a direction of a session has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContextStats {
    /// SRTP packets accepted or sent, those of streams that are gone included.
    pub rtp_packets: u64,
    /// SRTCP packets accepted or sent, those of streams that are gone included.
    pub rtcp_packets: u64,
    /// Packets refused, by reason.
    pub refused: RefusedCounts,
    /// Streams: SSRCs that have one.
    pub streams: usize,
    /// Keys of the session, those in grace and those added included.
    pub keys: usize,
    /// SSRCs with keys of their own.
    pub ssrcs_with_keys: usize,
}

pub(crate) fn stats(context: &Direction) -> ContextStats {
    // A guard of the context's own domain is never refused.
    let (totals, streams) = context.totals().unwrap_or_default();
    ContextStats {
        rtp_packets: totals.rtp,
        rtcp_packets: totals.rtcp,
        refused: context.refusals.snapshot(),
        streams,
        keys: keys(context, None).len(),
        ssrcs_with_keys: context.ssrcs_with_slots().len(),
    }
}

pub(crate) fn keys(context: &Direction, whose: Option<Ssrc>) -> Vec<KeyInfo> {
    let info = |(Held { key, space, .. }, role): (&Held<Space>, KeyRole)| KeyInfo {
        id: key.id(),
        mki: key.mki().into(),
        role,
        space: space.id(),
    };
    let guard = context.domain().pin();
    let ring = context.context_of(whose, &guard).and_then(|context| context.ring(&guard));
    ring.map(|ring| ring.list().map(info).collect()).unwrap_or_default()
}

/// # Errors
///
/// [`Error::UnknownKey`].
pub(crate) fn packets_left(context: &Direction, whose: Option<Ssrc>, id: KeyId) -> Result<KeyLifetime> {
    let guard = context.domain().pin();
    let ring = context.context_of(whose, &guard)?.ring(&guard)?;
    let held = ring.iter().find(|held| held.key.id() == id).ok_or(Error::UnknownKey)?;
    let left = |protocol| held.key.budget(protocol).left();
    Ok(KeyLifetime { srtp_packets: left(Protocol::Rtp), srtcp_packets: left(Protocol::Rtcp) })
}

pub(crate) fn streams(context: &Direction) -> Vec<StreamInfo> {
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

pub(crate) fn overhead(context: &Direction, whose: Option<Ssrc>, protocol: Protocol) -> usize {
    let guard = context.domain().pin();
    context.context_of(whose, &guard).and_then(|context| context.overhead(&guard, protocol)).unwrap_or_default()
}

pub(crate) fn debug(context: &Direction, mut f: fmt::DebugStruct<'_, '_>) -> fmt::Result {
    f.field("profile", &context.policy().spec.name).field("keys", &keys(context, None)).finish_non_exhaustive()
}
