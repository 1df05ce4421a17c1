//! What a datagram is, on a port that several protocols share.

/// A protocol of a shared port, told by [`classify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// STUN (RFC 8489).
    Stun,
    /// ZRTP (RFC 6189).
    Zrtp,
    /// DTLS (RFC 9147): DTLS-SRTP's handshake, or data channels.
    Dtls,
    /// A TURN channel message (RFC 8656) if it came from a TURN server that this process uses. From anywhere else it is QUIC: short headers of QUIC share
    /// this range, and only the source address tells the two apart (RFC 9443 2).
    TurnChannel,
    /// QUIC (RFC 9000).
    Quic,
    /// RTP or SRTP.
    Rtp,
    /// RTCP or SRTCP.
    Rtcp,
    /// None of these: to be dropped.
    Unknown,
}

/// Tells what a datagram is by its first octets, where several protocols share a port (RFC 7983, with the ranges that RFC 9443 gave to QUIC).
///
/// | first octet | second octet | |
/// |---|---|---|
/// | 0 to 3 | | [`Kind::Stun`] |
/// | 16 to 19 | | [`Kind::Zrtp`] |
/// | 20 to 63 | | [`Kind::Dtls`] |
/// | 64 to 79 | | [`Kind::TurnChannel`] |
/// | 80 to 127, 192 to 255 | | [`Kind::Quic`] |
/// | 128 to 191 | 192 to 223 | [`Kind::Rtcp`] |
/// | 128 to 191 | any other | [`Kind::Rtp`] |
/// | 4 to 15 | | [`Kind::Unknown`] |
///
/// The empty datagram is unknown, and so is a lone octet in the range of RTP. RTP payload types 64 to 95 must not be in use, since with the marker bit
/// they look like RTCP (RFC 5761 4). Protection leaves these octets as they are, so what is told of an RTP packet holds for SRTP.
///
/// This is a way to sort, and not a check: whoever takes the datagram must expect anything in it.
///
/// ```
/// use keyflip::{Kind, classify};
///
/// assert_eq!(classify(&[0x80, 96, 0, 1]), Kind::Rtp);
/// assert_eq!(classify(&[0x80, 200, 0, 6]), Kind::Rtcp);
/// assert_eq!(classify(&[22, 254, 253]), Kind::Dtls);
/// ```
#[must_use]
pub const fn classify(datagram: &[u8]) -> Kind {
    match datagram {
        [0..=3, ..] => Kind::Stun,
        [16..=19, ..] => Kind::Zrtp,
        [20..=63, ..] => Kind::Dtls,
        [64..=79, ..] => Kind::TurnChannel,
        [80..=127 | 192..=255, ..] => Kind::Quic,
        [128..=191, 192..=223, ..] => Kind::Rtcp,
        [128..=191, _, ..] => Kind::Rtp,
        _ => Kind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ranges as RFC 9443 2 draws them, one line each.
    const RANGES: [(u8, u8, Kind); 10] = [
        (0, 3, Kind::Stun),
        (4, 15, Kind::Unknown),
        (16, 19, Kind::Zrtp),
        (20, 63, Kind::Dtls),
        (64, 79, Kind::TurnChannel),
        (80, 127, Kind::Quic),
        // Of a second octet of 0.
        (128, 191, Kind::Rtp),
        (192, 223, Kind::Quic),
        (224, 254, Kind::Quic),
        (255, 255, Kind::Quic),
    ];

    #[test]
    fn rfc9443_ranges_of_the_first_octet() {
        let mut seen = 0;
        for (low, high, kind) in RANGES {
            for first in low..=high {
                assert_eq!(classify(&[first, 0, 0]), kind, "{first}");
                let alone = if kind == Kind::Rtp { Kind::Unknown } else { kind };
                assert_eq!(classify(&[first]), alone, "{first} alone");
                seen += 1;
            }
        }
        assert_eq!((seen, classify(&[])), (256, Kind::Unknown));
    }

    #[test]
    fn rfc5761_rtcp_is_told_by_its_packet_type() {
        for second in 0..=255u8 {
            let rtcp = (192..=223).contains(&second);
            for first in 128..=191 {
                assert_eq!(classify(&[first, second]), if rtcp { Kind::Rtcp } else { Kind::Rtp }, "{first} {second}");
            }
        }
    }

    #[test]
    fn datagrams_as_protocols_send_them() {
        assert_eq!(classify(b"\x00\x01\x00\x08\x21\x12\xa4\x42"), Kind::Stun); // a binding request
        assert_eq!(classify(b"\x10\x00\x00\x01ZRTP"), Kind::Zrtp);
        assert_eq!(classify(b"\x16\xfe\xff\x00\x00"), Kind::Dtls); // a handshake record of DTLS 1.0
        assert_eq!(classify(b"\x2f\x11\x22"), Kind::Dtls); // a DTLS 1.3 record (RFC 9147 4)
        assert_eq!(classify(b"\x40\x00\x00\x04"), Kind::TurnChannel);
        assert_eq!(classify(b"\xc3\x00\x00\x00\x01"), Kind::Quic); // a long header
        assert_eq!(classify(b"\x80\xe0\x12\x34"), Kind::Rtp); // payload type 96, marked
        assert_eq!(classify(b"\x81\xc9\x00\x07"), Kind::Rtcp); // a receiver report
    }
}
