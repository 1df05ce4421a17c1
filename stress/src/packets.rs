//! Random RTP and RTCP packets (RFC 3550 5.1, 6.1) of every size and shape.

use crate::headers::Headers;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;

/// The longest payload, in octets.
const PAYLOAD: usize = 1400;

/// An RTP packet: some have CSRCs, some a header extension, some no payload.
///
/// Its extension is noise, unless its sender encrypts elements and so must find them. Under Cryptex CSRCs come with an extension: without one, the packet
/// would come out with an empty one.
pub(crate) fn rtp(ssrc: u32, seq: u16, headers: Headers, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let csrcs = if rng.random_ratio(1, 8) { rng.random_range(1..=15) } else { 0_u8 };
    let has_extension = rng.random_ratio(1, 4) || csrcs > 0 && !matches!(headers, Headers::Clear | Headers::Elements);
    let extension = has_extension.then(|| rng.random_range(0..=8_u16));
    let mut packet = vec![0x80 | u8::from(extension.is_some()) << 4 | csrcs, rng.random_range(96..=127)];
    packet.extend_from_slice(&seq.to_be_bytes());
    packet.extend_from_slice(&rng.random::<u32>().to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    noise(&mut packet, usize::from(csrcs) * 4, rng);
    if let Some(words) = extension {
        packet.extend_from_slice(&[0xbe, 0xde]);
        packet.extend_from_slice(&words.to_be_bytes());
        let from = packet.len();
        noise(&mut packet, usize::from(words) * 4, rng);
        if headers == Headers::Elements {
            lay_out_elements(&mut packet[from..]);
        }
    }
    let payload = rng.random_range(0..=PAYLOAD);
    noise(&mut packet, payload, rng);
    packet
}

/// Makes one-byte elements of noise (RFC 8285 4.2): as long as the noise says where they fit, and else padding.
fn lay_out_elements(mut body: &mut [u8]) {
    while let [head, rest @ ..] = body {
        let len = usize::from(*head & 0x0f) + 1;
        // Id 15 would end the elements.
        let fits = len <= rest.len() && *head >> 4 != 15;
        if !fits {
            *head = 0;
        }
        // Behind an id of 0 comes no data, whatever the length says.
        let data = if fits && *head >> 4 != 0 { len } else { 0 };
        if data == 0 {
            *head = 0;
        }
        body = &mut rest[data..];
    }
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
