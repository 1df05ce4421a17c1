//! What Keyflip costs: what the benches share, and the comparison with its peers.
//!
//! ```text
//!   benches/   one path at a time, under Criterion
//!   compare    Keyflip and its peers, interleaved in one process (feature `peers`)
//! ```
//!
//! How to run both, and how to read what they print, is in `docs/benchmarking.md`.

#![deny(unsafe_code)]

pub mod cli;
#[cfg(feature = "peers")]
mod compare;
pub mod scenario;

use keyflip::{Domain, Error, MasterKey, Profile, Session};

/// The profiles the benches run: one of each kind of suite, and both key lengths of GCM.
pub const PROFILES: [Profile; 3] = [Profile::Aes128CmSha1_80, Profile::AeadAes128Gcm, Profile::AeadAes256Gcm];

/// Payload octets: a voice packet of 20 ms, and a full video packet.
pub const SIZES: [usize; 2] = [160, 1200];

/// Octets of an RTP header without CSRCs and extension.
pub const HEADER: usize = 12;

/// Room for every trailer.
pub const TAILROOM: usize = 32;

/// Master key and master salt that differ with `number`, of the profile's lengths.
#[must_use]
pub fn key_material(profile: Profile, number: u64) -> Vec<u8> {
    let mut material: Vec<u8> = (0u8..).take(profile.key_len() + profile.salt_len()).collect();
    for (octet, part) in material.iter_mut().zip(number.to_be_bytes()) {
        *octet ^= part;
    }
    material
}

/// The key of [`key_material`].
#[must_use]
pub fn key(profile: Profile, number: u64) -> MasterKey {
    MasterKey::take(&mut key_material(profile, number))
}

/// A session whose directions share a key, so that it can unprotect what it protects.
///
/// # Errors
///
/// Whatever building a session says.
pub fn session(domain: &Domain, profile: Profile) -> Result<Session, Error> {
    Session::builder(profile).inbound(key(profile, 0)).outbound(key(profile, 0)).build(domain)
}

/// An RTP packet of `payload` octets, with room for a trailer behind it; and its length.
#[must_use]
pub fn packet(ssrc: u32, payload: usize) -> (Vec<u8>, usize) {
    let len = HEADER + payload;
    let mut packet = vec![0x5a; len + TAILROOM];
    let header = [&[0x80, 0x60, 0, 0, 0, 0, 0, 0][..], &ssrc.to_be_bytes()].concat();
    for (to, from) in packet.iter_mut().zip(header) {
        *to = from;
    }
    (packet, len)
}

/// Numbers a packet.
pub fn set_seq(packet: &mut [u8], seq: u16) {
    if let Some(field) = packet.get_mut(2..4) {
        field.copy_from_slice(&seq.to_be_bytes());
    }
}

/// Says whose packet it is.
pub fn set_ssrc(packet: &mut [u8], ssrc: u32) {
    if let Some(field) = packet.get_mut(8..12) {
        field.copy_from_slice(&ssrc.to_be_bytes());
    }
}
