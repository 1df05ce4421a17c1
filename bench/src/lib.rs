//! What the benches share: sessions, and packets for them.

use keyflip::{Domain, Error, MasterKey, Profile, Session};

/// The profiles the benches run: one of each kind of suite, and both key lengths of GCM.
pub const PROFILES: [Profile; 3] = [Profile::Aes128CmSha1_80, Profile::AeadAes128Gcm, Profile::AeadAes256Gcm];

/// Payload octets: a voice packet of 20 ms, and a full video packet.
pub const SIZES: [usize; 2] = [160, 1200];

/// Octets of an RTP header without CSRCs and extension.
pub const HEADER: usize = 12;

/// Room for every trailer.
pub const TAILROOM: usize = 32;

/// A key that differs with `number`, of the profile's length.
#[must_use]
pub fn key(profile: Profile, number: u64) -> MasterKey {
    let mut material: Vec<u8> = (0u8..).take(profile.key_len() + profile.salt_len()).collect();
    for (octet, part) in material.iter_mut().zip(number.to_be_bytes()) {
        *octet ^= part;
    }
    MasterKey::take(&mut material)
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
