//! Packets that no sender made.
//!
//! A tag of 32 bits is right by chance once in 2^32 tries, which a long run would meet. So under short tags only the
//! tag itself is forged: it differs from the right one, and so fails for certain under the packet's own key.

use keyflip::Profile;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;

use crate::feed::Wire;
use crate::side::Kind;

/// The longest garbage, in octets.
const GARBAGE: usize = 1500;

/// Octets of a tag that is not guessed within any run.
const LONG_TAG: usize = 8;

/// A forgery of `genuine`: bits flipped somewhere, an end missing, another stream or number, or nothing but noise behind
/// a plausible first octet.
pub fn forged(genuine: Wire<'_>, profile: Profile, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let tag = match genuine.kind {
        Kind::Rtp => profile.srtp_tag_len(),
        Kind::Rtcp => profile.srtcp_tag_len(),
    };
    let len = genuine.octets.len();
    // With an HMAC the tag comes last, and all short tags are an HMAC's.
    let from = if tag < LONG_TAG { len.saturating_sub(tag) } else { 0 };
    let way = if from == 0 { rng.random_range(0..8) } else { 7 };
    if len == 0 || way < 2 {
        return garbage(genuine.kind, rng);
    }
    let mut packet = genuine.octets.to_vec();
    let ssrc = if genuine.kind == Kind::Rtp { 8..12 } else { 4..8 };
    match way {
        2 => packet.truncate(rng.random_range(0..len)),
        3 => packet.resize(len + rng.random_range(1..=64), 0),
        4 if let Some(ssrc) = packet.get_mut(ssrc) => differ(ssrc, rng),
        // The sequence number. (In RTCP, the length, which is authenticated too.)
        5 if let Some(number) = packet.get_mut(2..4) => differ(number, rng),
        _ => {
            if let Some(octet) = packet.get_mut(rng.random_range(from..len)) {
                *octet ^= 1 << rng.random_range(0..8);
            }
        }
    }
    packet
}

/// Makes them other octets.
fn differ(octets: &mut [u8], rng: &mut ChaCha8Rng) {
    let was = octets.to_vec();
    while octets == was {
        rng.fill_bytes(octets);
    }
}

fn garbage(kind: Kind, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut packet = vec![0; rng.random_range(0..=GARBAGE)];
    rng.fill_bytes(&mut packet);
    if let [first, second, ..] = &mut packet[..] {
        // Version 2, so that most of it gets past the parser; else the tag would never be asked.
        *first = 0x80 | *first & 0x3f;
        if kind == Kind::Rtcp {
            *second = 200 | *second & 7;
        }
    }
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn a_forgery_is_never_the_genuine_packet_and_spares_all_but_a_short_tag() {
        let octets = [0x80; 60];
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..1000 {
            let packet = forged(Wire { kind: Kind::Rtp, octets: &octets }, Profile::Aes128CmSha1_80, &mut rng);
            assert_ne!(packet, octets);
            let packet = forged(Wire { kind: Kind::Rtp, octets: &octets }, Profile::Aes128CmSha1_32, &mut rng);
            assert_eq!(packet[..56], octets[..56]);
            assert_ne!(packet[56..], octets[56..]);
        }
    }
}
