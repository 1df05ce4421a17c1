//! Well-formed packets, of any shape.

use arbitrary::Arbitrary;

/// What a packet looks like.
#[derive(Arbitrary, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Marker, padding flag, and for RTCP the packet type.
    pub bits: u8,
    /// CSRCs (RTP) or report blocks (RTCP): the low bits.
    pub count: u8,
    /// Profile-defined identifier and words of a header extension (RTP); a second packet of the compound (RTCP).
    pub more: Option<(u16, u8)>,
    /// Octets of payload, cut to what a datagram holds. With the highest bit clear, cut to 127.
    pub payload: u16,
    /// Told from other packets by this octet.
    pub fill: u8,
}

impl Shape {
    fn payload(self) -> impl Iterator<Item = u8> {
        let len = if self.payload >> 15 == 0 { self.payload % 128 } else { self.payload % 1400 };
        (0..len).map(move |at| (at as u8).wrapping_mul(31) ^ self.fill)
    }

    /// An RTP packet (RFC 3550 5.1).
    #[must_use]
    pub fn rtp(self, ssrc: u32, seq: u16) -> Vec<u8> {
        let csrcs = self.count % 16;
        let extended = u8::from(self.more.is_some());
        let mut packet = vec![0x80 | (self.bits & 1) << 5 | extended << 4 | csrcs, self.bits & 0x80 | 96];
        packet.extend(seq.to_be_bytes());
        packet.extend((u32::from(seq) * 160).to_be_bytes());
        packet.extend(ssrc.to_be_bytes());
        packet.extend((0..4 * csrcs).map(|at| at ^ self.fill));
        if let Some((identifier, words)) = self.more {
            packet.extend(identifier.to_be_bytes());
            packet.extend(u16::from(words).to_be_bytes());
            packet.extend((0..4 * usize::from(words)).map(|at| at as u8));
        }
        packet.extend(self.payload());
        packet
    }

    /// An RTCP packet: compound if there is more, of reduced size if it is feedback alone (RFC 3550 6, RFC 5506).
    #[must_use]
    pub fn rtcp(self, ssrc: u32) -> Vec<u8> {
        let first_type = [200, 201, 205, 206][usize::from(self.bits % 4)];
        let mut packet = vec![0x80 | (self.count % 32), first_type];
        let body: Vec<u8> = self.payload().collect();
        packet.extend(((4 + body.len()).div_ceil(4) as u16).to_be_bytes());
        packet.extend(ssrc.to_be_bytes());
        packet.extend(body);
        if let Some((name, words)) = self.more {
            packet.extend([0x81, 202]);
            packet.extend(u16::from(words).to_be_bytes());
            packet.extend(name.to_be_bytes().into_iter().cycle().take(4 * usize::from(words)));
        }
        packet
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Protocol;
    use crate::reader;

    #[test]
    fn every_shape_is_well_formed() {
        for bits in [0, 1, 0x80, 0xff] {
            for count in [0, 1, 15, 255] {
                for more in [None, Some((0xbede, 0)), Some((0x1000, 255))] {
                    for payload in [0, 5, 0xffff] {
                        let shape = Shape { bits, count, more, payload, fill: 9 };
                        let rtp = reader::head(Protocol::Rtp, &shape.rtp(7, 8)).unwrap();
                        assert_eq!((rtp.ssrc, rtp.seq), (7, 8));
                        assert_eq!(rtp.len, shape.rtp(7, 8).len() - shape.payload().count(), "{shape:?}");
                        assert_eq!(reader::head(Protocol::Rtcp, &shape.rtcp(7)).unwrap().ssrc, 7);
                    }
                }
            }
        }
    }
}
