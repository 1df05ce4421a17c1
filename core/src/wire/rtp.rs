//! The RTP header (RFC 3550 5.1, 5.3.1).

use crate::error::{Error, Result};
use crate::index::{SeqNum, Ssrc};

/// Octets before the CSRC list.
pub(crate) const FIXED_LEN: usize = 12;
/// Where the SSRC is.
pub(crate) const SSRC_AT: usize = 8;
/// Octets of a CSRC, and of the header of a header extension.
pub(crate) const WORD: usize = 4;
const VERSION: u8 = 2;

/// What protection needs to know of an RTP header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) seq: SeqNum,
    pub(crate) ssrc: Ssrc,
    /// Octets of fixed header, CSRC list and header extension.
    pub(crate) len: usize,
}

/// Reads a header that must lie within `packet`, the trailer excluded.
///
/// # Errors
///
/// [`Error::PacketTooShort`], [`Error::UnsupportedVersion`], [`Error::CsrcOverrun`], [`Error::ExtensionOverrun`].
#[inline(always)]
pub(crate) fn parse(packet: &[u8]) -> Result<Header> {
    let (fixed, rest) = packet.split_first_chunk::<FIXED_LEN>().ok_or(Error::PacketTooShort)?;
    let [first, _, seq_high, seq_low, _, _, _, _, ssrc @ ..] = *fixed;
    if first >> 6 != VERSION {
        return Err(Error::UnsupportedVersion);
    }
    let has_extension = first & 0x10 != 0;
    let csrcs = usize::from(first & 0x0f) * WORD;
    let after_csrcs = rest.get(csrcs..).ok_or(Error::CsrcOverrun)?;
    let extension = if has_extension { extension_len(after_csrcs)? } else { 0 };
    Ok(Header {
        seq: SeqNum(u16::from_be_bytes([seq_high, seq_low])),
        ssrc: Ssrc(u32::from_be_bytes(ssrc)),
        len: FIXED_LEN + csrcs + extension,
    })
}

/// Octets of the header extension at the start of `rest`, its own four-octet header included.
fn extension_len(rest: &[u8]) -> Result<usize> {
    let (&[_, _, high, low], body) = rest.split_first_chunk::<WORD>().ok_or(Error::ExtensionOverrun)?;
    let len = usize::from(u16::from_be_bytes([high, low])) * WORD;
    if len > body.len() {
        return Err(Error::ExtensionOverrun);
    }
    Ok(WORD + len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(first: u8, rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![first, 0x60, 0xab, 0xcd, 0, 0, 0, 1, 0xca, 0xfe, 0xba, 0xbe];
        packet.extend_from_slice(rest);
        packet
    }

    #[test]
    fn a_plain_header_is_read() {
        let header = parse(&packet(0x80, b"payload")).unwrap();
        assert_eq!(header, Header { seq: SeqNum(0xabcd), ssrc: Ssrc(0xcafe_babe), len: 12 });
    }

    #[test]
    fn csrcs_and_extension_are_counted_and_must_fit() {
        let rest = [&[0u8; 8][..], &[0xbe, 0xde, 0, 1], &[9; 4], b"p"].concat();
        assert_eq!(parse(&packet(0x92, &rest)).unwrap().len, 12 + 8 + 8);
        assert_eq!(parse(&packet(0x82, &[0; 7])), Err(Error::CsrcOverrun));
        assert_eq!(parse(&packet(0x92, &rest[..11])), Err(Error::ExtensionOverrun));
        assert_eq!(parse(&packet(0x92, &rest[..15])), Err(Error::ExtensionOverrun));
        assert_eq!(parse(&packet(0x90, &[0, 0, 0xff, 0xff, 1])), Err(Error::ExtensionOverrun));
        assert!(parse(&packet(0x92, &rest[..16])).is_ok());
    }

    #[test]
    fn short_packets_and_other_versions_are_refused() {
        for len in 0..FIXED_LEN {
            assert_eq!(parse(&packet(0x80, &[])[..len]), Err(Error::PacketTooShort));
        }
        for version in [0u8, 1, 3] {
            assert_eq!(parse(&packet(version << 6, &[])), Err(Error::UnsupportedVersion));
        }
    }
}
