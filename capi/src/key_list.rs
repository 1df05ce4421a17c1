//! The keys of a session, listed.

use crate::boundary::{call, can_put, put, slice_mut};
use crate::handles::{self, Direction};
use crate::key::id_number;
use crate::session::keyflip_session;
use keyflip::{KeyInfo, KeyRole, MAX_KEYS};

/// What a key is to its session.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum keyflip_key_role {
    /// Outbound: protects. Inbound: tried first.
    Current = 1,
    /// Replaced; packets in flight under it are accepted still.
    InGrace = 2,
    /// Added beside the current key.
    Added = 3,
}

/// A key of a session. Nothing secret is in it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct keyflip_key_info {
    /// Names it within its direction. Never 0, never reused.
    pub id: u64,
    /// One of enum keyflip_key_role.
    pub role: u32,
    /// Octets of its MKI.
    pub mki_len: u32,
    /// Its MKI.
    pub mki: [u8; 128],
    /// SRTP packets that it may still protect, less those that streams have set aside.
    pub srtp_packets_left: u64,
    /// SRTCP packets that it may still protect, less those that streams have set aside.
    pub srtcp_packets_left: u64,
}

/// Lists the keys of a direction, the current one first. A staged key is not among them.
///
/// keys has room for capacity of them, and count receives how many there are, 16 at most: more than capacity if some had no room. keys may be NULL if
/// capacity is 0.
///
/// Returns KEYFLIP_OK; KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_BAD_ARGUMENT, KEYFLIP_ERR_NULL_POINTER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_keys(
    session: keyflip_session,
    direction: u32,
    keys: *mut keyflip_key_info,
    capacity: usize,
    count: *mut usize,
) -> i32 {
    call(|| {
        can_put(count)?;
        // SAFETY: the caller's word.
        let places = unsafe { slice_mut(keys, capacity.min(MAX_KEYS)) }?;
        let list = match crate::key::direction(direction)? {
            Direction::Inbound => {
                let inbound = handles::inbound(session)?;
                inbound.keys().iter().map(|key| describe(key, inbound.packets_left(key.id))).collect::<Vec<_>>()
            }
            Direction::Outbound => {
                let outbound = handles::outbound(session)?;
                outbound.keys().iter().map(|key| describe(key, outbound.packets_left(key.id))).collect()
            }
        };
        for (place, key) in places.iter_mut().zip(&list) {
            *place = *key;
        }
        // SAFETY: the caller's word.
        unsafe { put(count, list.len()) }?;
        Ok(0)
    })
}

/// A key that was retired between the two questions has nothing left.
fn describe(key: &KeyInfo, left: keyflip::Result<keyflip::KeyLifetime>) -> keyflip_key_info {
    let mut mki = [0; 128];
    for (to, from) in mki.iter_mut().zip(&key.mki) {
        *to = *from;
    }
    let role = match key.role {
        KeyRole::InGrace => keyflip_key_role::InGrace,
        KeyRole::Added => keyflip_key_role::Added,
        _ => keyflip_key_role::Current,
    };
    let left = left.unwrap_or(keyflip::KeyLifetime::NONE);
    keyflip_key_info {
        id: id_number(key.id),
        role: role as u32,
        mki_len: u32::try_from(key.mki.len()).unwrap_or_default(),
        mki,
        srtp_packets_left: left.srtp_packets,
        srtcp_packets_left: left.srtcp_packets,
    }
}
