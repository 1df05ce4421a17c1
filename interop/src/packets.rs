//! Random but well-formed RTP and RTCP packets, the same ones for the same seed.
//!
//! The packets vary in all that a protection library has to find its way around: CSRC lists, header extensions, padding,
//! empty payloads, compound and reduced-size RTCP. What identifies a packet (SSRC, sequence number, timestamp) is the
//! caller's. Extensions in the formats of RFC 8285 contain whole elements and no ID 15, because not every peer measures
//! them by their length field.

use std::ops::RangeInclusive;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Direction, PeerConfig, PeerProfile};

/// The longest RTP payload made, padding included, in octets.
pub const MAX_PAYLOAD: usize = 1500;

/// The longest header extension made, its header not counted, in 32-bit words.
pub const MAX_EXTENSION_WORDS: usize = 32;

/// The longest RTCP packet made, in octets.
pub const MAX_RTCP: usize = 1500;

/// The formats of an RTP header extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Extension {
    /// No extension.
    Absent,
    /// RFC 8285 section 4.2: one-octet element headers, profile 0xBEDE.
    OneByte,
    /// RFC 8285 section 4.3: two-octet element headers, profile 0x1000 and its "appbits".
    TwoByte,
    /// RFC 3550 section 5.3.1: any other profile, any contents.
    Opaque,
}

impl Extension {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Absent, Self::OneByte, Self::TwoByte, Self::Opaque];
}

/// What an RTCP packet consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rtcp {
    /// A compound packet: sender report and source description.
    SenderReport,
    /// A receiver report, from none to 31 report blocks, perhaps with a profile-specific extension.
    ReceiverReport,
    /// A BYE for up to 31 sources, perhaps with a reason.
    Bye,
    /// RFC 5506: one feedback packet (RTPFB or PSFB) alone, without a report before it.
    Feedback,
    /// An application-defined packet.
    App,
}

impl Rtcp {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::SenderReport, Self::ReceiverReport, Self::Bye, Self::Feedback, Self::App];
}

/// A source of random packets and keys, determined by its seed.
pub struct PacketGen {
    rng: ChaCha8Rng,
}

impl PacketGen {
    /// The generator for `seed`.
    pub fn new(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// `len` random octets.
    pub fn octets(&mut self, len: usize) -> Vec<u8> {
        let mut octets = vec![0; len];
        self.rng.fill_bytes(&mut octets);
        octets
    }

    /// A session under `profile` with random keys.
    pub fn config(&mut self, profile: PeerProfile, direction: Direction) -> PeerConfig {
        let key = self.octets(profile.key_len());
        let salt = self.octets(profile.salt_len());
        PeerConfig::new(profile, &key, &salt, direction)
    }

    /// A number in `range`.
    pub fn number(&mut self, range: RangeInclusive<usize>) -> usize {
        self.rng.random_range(range)
    }

    /// Whether a thing of probability one in `n` happens.
    pub fn one_in(&mut self, n: u32) -> bool {
        self.rng.random_ratio(1, n)
    }

    /// An RTP packet with any extension and a payload of up to [`MAX_PAYLOAD`] octets.
    pub fn rtp(&mut self, ssrc: u32, seq: u16, timestamp: u32) -> Vec<u8> {
        let extension = *self.pick(&Extension::ALL);
        // Short payloads are where block boundaries and empty inputs are; they get half of the packets.
        let payload = match self.number(0..=7) {
            0 => 0,
            1..=3 => self.number(0..=64),
            _ => self.number(0..=MAX_PAYLOAD),
        };
        self.rtp_with(ssrc, seq, timestamp, extension, payload)
    }

    /// An RTP packet with this kind of extension and a payload of `payload` octets, which sometimes end in padding.
    pub fn rtp_with(&mut self, ssrc: u32, seq: u16, timestamp: u32, extension: Extension, payload: usize) -> Vec<u8> {
        let csrcs = if self.one_in(2) { 0 } else { self.number(0..=15) };
        let padding = payload > 0 && self.one_in(4);
        let extended = extension != Extension::Absent;
        let marker = self.one_in(2);

        let mut packet = vec![0x80 | u8::from(padding) << 5 | u8::from(extended) << 4 | octet(csrcs)];
        packet.push(u8::from(marker) << 7 | self.payload_type());
        packet.extend(seq.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(ssrc.to_be_bytes());
        packet.extend(self.octets(4 * csrcs));
        self.extension(&mut packet, extension);
        packet.extend(self.octets(payload));
        if padding {
            let count = octet(self.number(1..=payload.min(255)));
            packet.pop();
            packet.push(count);
        }
        packet
    }

    /// An RTCP packet of any kind, of a multiple of 4 octets from 8 to [`MAX_RTCP`].
    pub fn rtcp(&mut self, ssrc: u32) -> Vec<u8> {
        let kind = *self.pick(&Rtcp::ALL);
        self.rtcp_of(kind, ssrc)
    }

    /// An RTCP packet of this kind, of a multiple of 4 octets from 8 to [`MAX_RTCP`].
    pub fn rtcp_of(&mut self, kind: Rtcp, ssrc: u32) -> Vec<u8> {
        let mut packet = Vec::new();
        match kind {
            Rtcp::SenderReport => {
                self.report(&mut packet, 200, ssrc);
                self.source_description(&mut packet, ssrc);
            }
            Rtcp::ReceiverReport => self.report(&mut packet, 201, ssrc),
            Rtcp::Bye => self.bye(&mut packet, ssrc),
            Rtcp::Feedback => {
                let packet_type = *self.pick(&[205, 206]);
                let format = self.number(1..=31);
                let mut body = ssrc.to_be_bytes().to_vec();
                body.extend(self.words(1..=372));
                append(&mut packet, format, packet_type, &body);
            }
            Rtcp::App => {
                let subtype = self.number(0..=31);
                let mut body = ssrc.to_be_bytes().to_vec();
                body.extend(b"test");
                body.extend(self.words(0..=372));
                append(&mut packet, subtype, 204, &body);
            }
        }
        packet
    }

    fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.number(0..=choices.len() - 1)]
    }

    /// Random octets of a number of 32-bit words: few as often as any.
    fn words(&mut self, range: RangeInclusive<usize>) -> Vec<u8> {
        let (least, most) = (*range.start(), *range.end());
        let words = if self.one_in(2) { self.number(least..=most.min(least + 8)) } else { self.number(range) };
        self.octets(4 * words)
    }

    /// Any payload type but 64 to 95, which a receiver of multiplexed RTP and RTCP takes for RTCP (RFC 5761 section 4).
    fn payload_type(&mut self) -> u8 {
        let n = octet(self.number(0..=95));
        if n < 64 { n } else { n + 32 }
    }

    /// Appends a header extension.
    fn extension(&mut self, packet: &mut Vec<u8>, kind: Extension) {
        let len = 4 * self.number(0..=MAX_EXTENSION_WORDS);
        let (profile, body) = match kind {
            Extension::Absent => return,
            Extension::OneByte => (0xBEDE, self.elements(len, 1)),
            Extension::TwoByte => (0x1000 | self.rng.random_range(0..=0xF), self.elements(len, 2)),
            Extension::Opaque => (self.opaque_profile(), self.octets(len)),
        };
        packet.extend(profile.to_be_bytes());
        packet.extend(u16::try_from(len / 4).expect("at most MAX_EXTENSION_WORDS").to_be_bytes());
        packet.extend(body);
    }

    /// A profile that is not one of RFC 8285's.
    fn opaque_profile(&mut self) -> u16 {
        loop {
            let profile = self.rng.random();
            if profile != 0xBEDE && profile & 0xFFF0 != 0x1000 {
                return profile;
            }
        }
    }

    /// `len` octets of RFC 8285 elements whose headers have `header` octets, with padding between them.
    fn elements(&mut self, len: usize, header: usize) -> Vec<u8> {
        let mut body = Vec::with_capacity(len);
        loop {
            let left = len - body.len();
            if left == 0 {
                return body;
            }
            if left < 2 || self.one_in(4) {
                body.push(0);
            } else if header == 1 {
                let data = self.number(1..=16.min(left - 1));
                let id = self.number(1..=14);
                body.push(octet(id << 4 | (data - 1)));
                body.extend(self.octets(data));
            } else {
                let data = self.number(0..=255.min(left - 2));
                body.push(octet(self.number(1..=255)));
                body.push(octet(data));
                body.extend(self.octets(data));
            }
        }
    }

    /// Appends a sender report (200) or a receiver report (201).
    fn report(&mut self, packet: &mut Vec<u8>, packet_type: u8, ssrc: u32) {
        let sender = packet_type == 200;
        let blocks = if self.one_in(2) { self.number(0..=2) } else { self.number(0..=31) };
        let mut body = ssrc.to_be_bytes().to_vec();
        // Sender information, and report blocks.
        body.extend(self.octets(if sender { 20 } else { 0 } + 24 * blocks));
        if !sender && self.one_in(4) {
            // A profile-specific extension.
            body.extend(self.words(1..=180));
        }
        append(packet, blocks, packet_type, &body);
    }

    /// Appends a source description of up to two sources, the first of them `ssrc`, with a CNAME each.
    fn source_description(&mut self, packet: &mut Vec<u8>, ssrc: u32) {
        let sources = self.number(1..=2);
        let mut body = Vec::new();
        for source in 0..sources {
            body.extend(if source == 0 { ssrc } else { self.rng.random() }.to_be_bytes());
            let name = self.number(0..=255);
            body.extend([1, octet(name)]);
            body.extend(std::iter::repeat_n(b'n', name));
            // The list of items ends in one null octet or more, up to the word boundary.
            body.push(0);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        append(packet, sources, 202, &body);
    }

    /// Appends a BYE of `ssrc` and others.
    fn bye(&mut self, packet: &mut Vec<u8>, ssrc: u32) {
        let sources = if self.one_in(2) { 1 } else { self.number(1..=31) };
        let mut body = ssrc.to_be_bytes().to_vec();
        body.extend(self.octets(4 * (sources - 1)));
        if self.one_in(2) {
            let reason = self.number(0..=255);
            body.push(octet(reason));
            body.extend(std::iter::repeat_n(b'r', reason));
            body.resize(body.len().next_multiple_of(4), 0);
        }
        append(packet, sources, 203, &body);
    }
}

/// Appends one RTCP packet to a compound: version 2, no padding, its count field, its type, its length, its body.
fn append(compound: &mut Vec<u8>, count: usize, packet_type: u8, body: &[u8]) {
    // The length field counts 32-bit words, the header's own not included.
    let words = u16::try_from(body.len() / 4).expect("an RTCP packet fits its length field");
    compound.extend([0x80 | octet(count), packet_type]);
    compound.extend(words.to_be_bytes());
    compound.extend(body);
}

fn octet(n: usize) -> u8 {
    u8::try_from(n).expect("the caller chose at most 255")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of an RTP packet, read as RFC 3550 says.
    struct Parsed<'a> {
        payload_type: u8,
        csrcs: usize,
        extension: Option<(u16, &'a [u8])>,
        payload: &'a [u8],
        padding: Option<u8>,
    }

    fn parse(packet: &[u8]) -> Parsed<'_> {
        assert_eq!(packet[0] >> 6, 2, "the version");
        let csrcs = usize::from(packet[0] & 0xF);
        let mut rest = &packet[12 + 4 * csrcs..];
        let extension = (packet[0] & 0x10 != 0).then(|| {
            let words = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
            let extension = (u16::from_be_bytes([rest[0], rest[1]]), &rest[4..4 + 4 * words]);
            rest = &rest[4 + 4 * words..];
            extension
        });
        let padding = (packet[0] & 0x20 != 0).then(|| *rest.last().expect("padding is in the payload"));
        Parsed { payload_type: packet[1] & 0x7F, csrcs, extension, payload: rest, padding }
    }

    /// The end of the elements, walked as RFC 8285 says.
    fn end_of_elements(body: &[u8], header: usize) -> usize {
        let mut at = 0;
        while at < body.len() {
            at += match (body[at], header) {
                (0, _) => 1,
                (octet, 1) => {
                    assert!((1..=14).contains(&(octet >> 4)), "an element's ID");
                    2 + usize::from(octet & 0xF)
                }
                _ => 2 + usize::from(body[at + 1]),
            };
        }
        at
    }

    #[test]
    fn rtp_packets_are_well_formed_and_cover_every_shape() {
        let mut packets = PacketGen::new(1);
        let (mut empty, mut longest, mut padded, mut kinds, mut most_csrcs) = (0, 0, 0, [0; 4], 0);
        for n in 0..4000_u16 {
            let packet = packets.rtp(0x1234_5678, n, 7);
            assert_eq!(packet[2..4], n.to_be_bytes());
            assert_eq!(packet[4..8], 7_u32.to_be_bytes());
            assert_eq!(packet[8..12], 0x1234_5678_u32.to_be_bytes());
            let parsed = parse(&packet);
            assert!(!(64..=95).contains(&parsed.payload_type));
            assert!(parsed.payload.len() <= MAX_PAYLOAD);
            if let Some(count) = parsed.padding {
                assert!(count > 0 && usize::from(count) <= parsed.payload.len());
                padded += 1;
            }
            let kind = match parsed.extension {
                None => 0,
                Some((0xBEDE, body)) => {
                    assert_eq!(end_of_elements(body, 1), body.len());
                    1
                }
                Some((profile, body)) if profile & 0xFFF0 == 0x1000 => {
                    assert_eq!(end_of_elements(body, 2), body.len());
                    2
                }
                Some((_, body)) => {
                    assert!(body.len() <= 4 * MAX_EXTENSION_WORDS);
                    3
                }
            };
            kinds[kind] += 1;
            empty += usize::from(parsed.payload.is_empty());
            longest = longest.max(parsed.payload.len());
            most_csrcs = most_csrcs.max(parsed.csrcs);
        }
        assert!(kinds.iter().all(|&count| count > 500), "{kinds:?}");
        assert!(empty > 100 && longest > 1400 && padded > 500 && most_csrcs == 15);
    }

    #[test]
    fn rtcp_packets_are_well_formed_compounds_of_the_source() {
        let mut packets = PacketGen::new(2);
        for kind in Rtcp::ALL {
            let (mut shortest, mut longest) = (usize::MAX, 0);
            for _ in 0..1000 {
                let packet = packets.rtcp_of(kind, 0xCAFE_F00D);
                assert!(packet.len() >= 8 && packet.len() <= MAX_RTCP && packet.len().is_multiple_of(4), "{kind:?}");
                assert_eq!(packet[4..8], 0xCAFE_F00D_u32.to_be_bytes());
                let (mut at, mut types) = (0, Vec::new());
                while at < packet.len() {
                    assert_eq!(packet[at] >> 5, 0b100, "version 2, no padding");
                    types.push(packet[at + 1]);
                    at += 4 + 4 * usize::from(u16::from_be_bytes([packet[at + 2], packet[at + 3]]));
                }
                assert_eq!(at, packet.len());
                assert!(
                    match kind {
                        Rtcp::SenderReport => types == [200, 202],
                        Rtcp::ReceiverReport => types == [201],
                        Rtcp::Bye => types == [203],
                        Rtcp::Feedback => types == [205] || types == [206],
                        Rtcp::App => types == [204],
                    },
                    "{types:?}"
                );
                shortest = shortest.min(packet.len());
                longest = longest.max(packet.len());
            }
            assert!(shortest <= 48 && longest >= 300, "{kind:?}: {shortest} to {longest}");
        }
    }

    #[test]
    fn a_seed_determines_the_packets() {
        let of = |seed| {
            let mut packets = PacketGen::new(seed);
            (packets.rtp(1, 2, 3), packets.rtcp(1), packets.octets(16))
        };
        assert_eq!(of(5), of(5));
        assert_ne!(of(5), of(6));
    }
}
