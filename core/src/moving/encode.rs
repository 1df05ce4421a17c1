//! What a context knows, as octets.

use super::wire::Writer;
use crate::context::{ContextState, KeyState, PacketRules};
use crate::keys::KeyRole;
use crate::stream::{StreamState, TrackState};
use crate::wire::extension::HeaderKeystream;

/// Writes all but the direction, which is in the blob's header.
pub(super) fn encode(state: &ContextState, to: &mut Writer<'_>) {
    rules(&state.rules, to);
    to.u64(state.next_key);
    to.u64(state.next_space);
    to.flag(state.history.overflowed);
    to.count(state.history.traces.len());
    state.history.traces.iter().for_each(|trace| to.octets(trace));
    to.count(state.spaces.len());
    for space in &state.spaces {
        to.u64(space.id.0);
        to.count(space.streams.len());
        space.streams.iter().for_each(|of| stream(of, to));
    }
    to.count(state.keys.len());
    state.keys.iter().for_each(|of| key(of, to));
    to.flag(state.staged.is_some());
    if let Some(staged) = &state.staged {
        key(staged, to);
    }
}

fn rules(of: &PacketRules, to: &mut Writer<'_>) {
    to.count(of.profile.len());
    to.octets(of.profile.as_bytes());
    to.flag(of.srtp_encrypted);
    to.flag(of.srtcp_encrypted);
    to.octet(of.cryptex);
    to.flag(of.elements.keystream == HeaderKeystream::Libsrtp);
    of.elements.ids().into_iter().for_each(|ids| to.u64(ids));
    let (mode, rate) = of.roc;
    to.octet(mode);
    to.u32(u32::from(rate));
}

fn stream(of: &StreamState, to: &mut Writer<'_>) {
    to.u32(of.ssrc.0);
    to.flag(of.removed);
    to.u64(of.last_key);
    to.u64(of.settling);
    to.u64(of.next_srtcp);
    track(&of.srtp, to);
    track(&of.srtcp, to);
}

fn track(of: &TrackState, to: &mut Writer<'_>) {
    to.u64(of.mark);
    to.u64(of.accepted);
    to.u64(of.refused);
    to.u64(of.list.window);
    to.u64(of.list.base);
    to.count(of.list.words.len());
    of.list.words.iter().for_each(|word| to.u64(*word));
}

fn key(of: &KeyState, to: &mut Writer<'_>) {
    to.u64(of.id.0);
    to.octet(match of.role {
        KeyRole::Current => 0,
        KeyRole::InGrace => 1,
        KeyRole::Added => 2,
    });
    to.u64(of.left.srtp_packets);
    to.u64(of.left.srtcp_packets);
    of.told.into_iter().for_each(|told| to.flag(told));
    to.count(of.space);
    to.flag(of.probes.is_some());
    if let Some(probes) = &of.probes {
        to.count(probes.len());
        probes.iter().for_each(|space| to.count(*space));
    }
    to.flag(of.grace_left.is_some());
    if let Some(left) = of.grace_left {
        to.u64(u64::try_from(left.as_nanos()).unwrap_or(u64::MAX));
    }
    let (key, salt) = of.master.parts();
    to.count(key.len());
    to.octets(key);
    to.count(salt.len());
    to.octets(salt);
    to.count(of.master.mki().len());
    to.octets(of.master.mki());
}
