//! What a context knows, from octets. They are authentic by then, and are believed no more than they must be.

use super::Error;
use super::wire::Reader;
use crate::context::{DirectionState, KeyState, SlotState, SpaceState};
use crate::id::{KeyId, SpaceId};
use crate::index::Ssrc;
use crate::keys::{HistoryState, KeyLifetime, KeyRole, MAX_KEYS};
use crate::policy::{NUMBERS, PolicyState};
use crate::replay::ListState;
use crate::secret::MasterKey;
use crate::stream::{StreamState, Totals, TrackState};
use core::time::Duration;
use std::collections::HashSet;
use zeroize::Zeroizing;

/// The highest index of a track, by the width of a replay list's blocks.
const MOST_INDEX: u64 = (1 << 48) - 1;
const SEEN: u64 = 1 << 62;

/// The fewest octets that each of these takes.
const LEAST_TRACE: usize = 8;
const LEAST_SPACE: usize = 12;
const LEAST_STREAM: usize = 117;
const LEAST_KEY: usize = 45;
const LEAST_SLOT: usize = 12 + 8 * NUMBERS;
const LEAST_WORD: usize = 8;

/// Reads what [`encode`](super::encode::encode) wrote. Keys are wiped from `octets` as they are read; the rest is the caller's to wipe.
pub(super) fn decode(inbound: bool, octets: &mut [u8]) -> Result<DirectionState, Error> {
    let mut from = Reader::of(octets);
    let state = DirectionState {
        inbound,
        policy: policy(&mut from)?,
        next_key: from.u64()?,
        next_space: from.u64()?,
        history: history(&mut from)?,
        history_of_slots: history(&mut from)?,
        spaces: from.many(LEAST_SPACE, |from| {
            Ok(SpaceState { id: SpaceId(from.u64()?), streams: from.many(LEAST_STREAM, stream)? })
        })?,
        first_space: place(&mut from)?,
        keys: from.many(LEAST_KEY, key)?,
        slots: from.many(LEAST_SLOT, |from| {
            Ok(SlotState { ssrc: Ssrc(from.u32()?), policy: policy(from)?, keys: from.many(LEAST_KEY, key)? })
        })?,
        staged: if from.flag()? { Some(key(&mut from)?) } else { None },
        gone: Totals { rtp: from.u64()?, rtcp: from.u64()? },
    };
    from.end()?;
    if is_sound(&state) { Ok(state) } else { Err(Error::Malformed) }
}

fn history(from: &mut Reader<'_>) -> Result<HistoryState, Error> {
    let overflowed = from.flag()?;
    let trace = |from: &mut Reader<'_>| from.octets(LEAST_TRACE)?.first_chunk().copied().ok_or(Error::Malformed);
    Ok(HistoryState { overflowed, traces: Zeroizing::new(from.many(LEAST_TRACE, trace)?) })
}

/// Ids are given out once, roles stand in their order, and places are there.
fn is_sound(state: &DirectionState) -> bool {
    let rings = || [&state.keys].into_iter().chain(state.slots.iter().map(|slot| &slot.keys));
    let ids: HashSet<u64> = rings().flatten().chain(&state.staged).map(|key| key.id.0).collect();
    let keys = rings().flatten().chain(&state.staged).count();
    let spaces: HashSet<u64> = state.spaces.iter().map(|space| space.id.0).collect();
    let slots: HashSet<u32> = state.slots.iter().map(|slot| slot.ssrc.0).collect();
    let place = |at: &usize| *at < state.spaces.len();
    ids.len() == keys
        && ids.iter().all(|id| *id < state.next_key)
        && spaces.len() == state.spaces.len()
        && spaces.iter().all(|id| *id < state.next_space)
        && slots.len() == state.slots.len()
        && place(&state.first_space)
        && rings().flatten().all(|key| place(&key.space) && key.probes.iter().flatten().all(place))
        && rings().all(|keys| is_sound_ring(keys))
        && state.slots.iter().all(|slot| !slot.keys.is_empty())
}

fn is_sound_ring(keys: &[KeyState]) -> bool {
    let order = |key: &KeyState| match key.role {
        KeyRole::Current => 0,
        KeyRole::InGrace => 1,
        KeyRole::Added => 2,
    };
    let mkis = || keys.iter().map(|key| key.master.mki());
    keys.len() <= MAX_KEYS
        && keys.is_sorted_by_key(order)
        && keys.iter().filter(|key| key.role == KeyRole::Current).count() <= 1
        && mkis().zip(mkis().skip(1)).all(|(one, other)| one.len() == other.len())
        && mkis().all(|mki| mki.is_empty() || mkis().filter(|other| *other == mki).count() == 1)
}

fn policy(from: &mut Reader<'_>) -> Result<PolicyState, Error> {
    let name = from.many(1, Reader::octet)?;
    let mut state =
        PolicyState { profile: String::from_utf8(name).map_err(|_| Error::Malformed)?, numbers: [0; NUMBERS] };
    for number in &mut state.numbers {
        *number = from.u64()?;
    }
    Ok(state)
}

fn stream(from: &mut Reader<'_>) -> Result<StreamState, Error> {
    Ok(StreamState {
        ssrc: Ssrc(from.u32()?),
        removed: from.flag()?,
        last_key: from.u64()?,
        settling: from.u64()?,
        next_srtcp: from.u64()?,
        srtp: track(from)?,
        srtcp: track(from)?,
    })
}

fn track(from: &mut Reader<'_>) -> Result<TrackState, Error> {
    let mark = from.u64()?;
    // A cycle of 32 bits, or an index.
    if mark > u64::from(u32::MAX) && !(SEEN..=SEEN | MOST_INDEX).contains(&mark) {
        return Err(Error::Malformed);
    }
    Ok(TrackState {
        mark,
        accepted: from.u64()?,
        refused: from.u64()?,
        list: ListState { window: from.u64()?, base: from.u64()?, words: from.many(LEAST_WORD, Reader::u64)? },
    })
}

fn key(from: &mut Reader<'_>) -> Result<KeyState, Error> {
    let id = KeyId(from.u64()?);
    let role = match from.octet()? {
        0 => KeyRole::Current,
        1 => KeyRole::InGrace,
        2 => KeyRole::Added,
        _ => return Err(Error::Malformed),
    };
    let left = KeyLifetime { srtp_packets: from.u64()?, srtcp_packets: from.u64()? };
    let told = [from.flag()?, from.flag()?];
    let space = place(from)?;
    let probes = if from.flag()? { Some(from.many(4, place)?) } else { None };
    let grace_left = if from.flag()? { Some(Duration::from_nanos(from.u64()?)) } else { None };
    let (key_len, key) = part(from)?;
    let (salt_len, salt) = part(from)?;
    if key_len == 0 || salt_len == 0 {
        return Err(Error::Malformed);
    }
    let (_, mki) = part(from)?;
    let master = MasterKey::take_parts(key, salt).with_mki(mki).map_err(|_| Error::Malformed)?;
    Ok(KeyState { id, role, master, left, told, space, probes, grace_left })
}

/// As many octets as a count before them says.
fn part<'a>(from: &mut Reader<'a>) -> Result<(usize, &'a mut [u8]), Error> {
    let len = place(from)?;
    Ok((len, from.octets(len)?))
}

fn place(from: &mut Reader<'_>) -> Result<usize, Error> {
    usize::try_from(from.u32()?).map_err(|_| Error::Malformed)
}
