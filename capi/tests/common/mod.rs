//! Sessions and packets for tests of the C interface.
#![allow(dead_code)] // Each test uses some.

use core::ptr;
use keyflip_c::*;

pub(crate) const PLAIN: usize = 172;
pub(crate) const SEALED: usize = PLAIN + 10;

pub(crate) fn key(octets: &[u8]) -> keyflip_key {
    let (salt, mki) = (ptr::null(), ptr::null());
    keyflip_key { key: octets.as_ptr(), key_len: octets.len(), salt, salt_len: 0, mki, mki_len: 0, lifetime: 0 }
}

/// All zero but for its size.
pub(crate) fn config() -> keyflip_session_config {
    // SAFETY: integers and pointers, for which zero is a value.
    let config = unsafe { core::mem::zeroed::<keyflip_session_config>() };
    keyflip_session_config { size: size_of::<keyflip_session_config>(), profile: 1, ..config }
}

/// A session that sends and receives under the key of thirty times `octet`.
pub(crate) fn session(octet: u8) -> keyflip_session {
    session_in(KEYFLIP_DEFAULT_DOMAIN, octet)
}

pub(crate) fn session_in(domain: keyflip_domain, octet: u8) -> keyflip_session {
    let octets = [octet; 30];
    let key = key(&octets);
    let config = keyflip_session_config { domain, inbound: &key, inbound_count: 1, outbound: &key, ..config() };
    let mut session = 0;
    // SAFETY: all of it lives during the call.
    assert_eq!(unsafe { keyflip_session_new(&config, &mut session) }, 0);
    session
}

/// An RTP packet of `PLAIN` octets, with room for its trailer.
pub(crate) fn packet(seq: u16) -> [u8; 200] {
    let mut packet = [seq.to_be_bytes()[1]; 200];
    packet[..12].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 160, 0xca, 0xfe, 0xba, 0xbe]);
    packet[2..4].copy_from_slice(&seq.to_be_bytes());
    packet
}

pub(crate) fn protect(session: keyflip_session, packet: &mut [u8], len: usize) -> i32 {
    // SAFETY: a slice.
    unsafe { keyflip_protect_rtp(session, packet.as_mut_ptr(), len, packet.len()) }
}

pub(crate) fn unprotect(session: keyflip_session, packet: &mut [u8]) -> i32 {
    // SAFETY: a slice.
    unsafe { keyflip_unprotect_rtp(session, packet.as_mut_ptr(), packet.len()) }
}

pub(crate) fn rekey(session: keyflip_session, direction: keyflip_direction, octet: u8) -> i32 {
    let octets = [octet; 30];
    // SAFETY: all of it lives during the call.
    unsafe { keyflip_rekey(session, direction as u32, &key(&octets), ptr::null(), ptr::null_mut()) }
}

pub(crate) fn batch(session: keyflip_session, buffer: &mut [u8], len: usize) -> keyflip_packet {
    keyflip_packet { session, data: buffer.as_mut_ptr(), len, capacity: buffer.len(), protocol: 1, status: 1 }
}
