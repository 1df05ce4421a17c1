//! Random RTP and RTCP packets (RFC 3550 5.1, 6.1) of every size and shape.

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;

/// The longest payload, in octets.
const PAYLOAD: usize = 1400;

/// An RTP packet: some have CSRCs, some a header extension, some no payload.
pub(crate) fn rtp(ssrc: u32, seq: u16, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let csrcs = if rng.random_ratio(1, 8) { rng.random_range(1..=15) } else { 0_u8 };
    let extension = rng.random_ratio(1, 4).then(|| rng.random_range(0..=8_u16));
    let mut packet = vec![0x80 | u8::from(extension.is_some()) << 4 | csrcs, rng.random_range(96..=127)];
    packet.extend_from_slice(&seq.to_be_bytes());
    packet.extend_from_slice(&rng.random::<u32>().to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    noise(&mut packet, usize::from(csrcs) * 4, rng);
    if let Some(words) = extension {
        packet.extend_from_slice(&[0xbe, 0xde]);
        packet.extend_from_slice(&words.to_be_bytes());
        noise(&mut packet, usize::from(words) * 4, rng);
    }
    let payload = rng.random_range(0..=PAYLOAD);
    noise(&mut packet, payload, rng);
    packet
}

/// An RTCP packet: the header of a sender report and noise.
pub(crate) fn rtcp(ssrc: u32, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let words = rng.random_range(0..=PAYLOAD / 4);
    // The length field counts the SSRC too; 16 bits hold it by far.
    let length = u16::try_from(words + 1).unwrap_or(u16::MAX);
    let mut packet = vec![0x80, 200];
    packet.extend_from_slice(&length.to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    noise(&mut packet, words * 4, rng);
    packet
}

fn noise(packet: &mut Vec<u8>, len: usize, rng: &mut ChaCha8Rng) {
    let from = packet.len();
    packet.resize(from + len, 0);
    rng.fill_bytes(&mut packet[from..]);
}
