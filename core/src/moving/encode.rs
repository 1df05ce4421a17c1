//! What a context knows, as octets.

use super::wire::Writer;
use crate::context::{DirectionState, KeyState};
use crate::keys::KeyRole;
use crate::policy::PolicyState;
use crate::stream::{StreamState, TrackState};

/// Writes all but the direction, which is in the blob's header.
pub(super) fn encode(state: &DirectionState, to: &mut Writer<'_>) {
    policy(&state.policy, to);
    to.u64(state.next_key);
    to.u64(state.next_space);
    for of in [&state.history, &state.history_of_slots] {
        to.flag(of.overflowed);
        to.count(of.traces.len());
        of.traces.iter().for_each(|trace| to.octets(trace));
    }
    to.count(state.spaces.len());
    for space in &state.spaces {
        to.u64(space.id.0);
        to.count(space.streams.len());
        space.streams.iter().for_each(|of| stream(of, to));
    }
    to.count(state.first_space);
    keys(&state.keys, to);
    to.count(state.slots.len());
    for slot in &state.slots {
        to.u32(slot.ssrc.0);
        policy(&slot.policy, to);
        keys(&slot.keys, to);
    }
    to.flag(state.staged.is_some());
    if let Some(staged) = &state.staged {
        key(staged, to);
    }
    to.u64(state.gone.rtp);
    to.u64(state.gone.rtcp);
}

fn policy(of: &PolicyState, to: &mut Writer<'_>) {
    to.count(of.profile.len());
    to.octets(of.profile.as_bytes());
    of.numbers.iter().for_each(|number| to.u64(*number));
}

fn keys(of: &[KeyState], to: &mut Writer<'_>) {
    to.count(of.len());
    of.iter().for_each(|of| key(of, to));
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
