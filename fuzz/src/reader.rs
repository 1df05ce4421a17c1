//! Where the parts of a packet lie, read from the RFCs once more, as plainly as can be and without a look at the library.
//!
//! RFC 3550 5.1 and 5.3.1 (RTP), 6.4 (RTCP); RFC 3711 3.1 and 3.4; RFC 7714 8.2 and 9.2. A packet with several faults has the first of: too short,
//! version, CSRC list, extension.

use crate::input::Protocol;
use crate::plant;
use keyflip::{Error, Profile};
use std::ops::Range;

/// What stays in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The source.
    pub ssrc: u32,
    /// RTP's sequence number; 0 for RTCP.
    pub seq: u16,
    /// Octets.
    pub len: usize,
}

/// A protected packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// What stays in the clear.
    pub head: Head,
    /// The plain packet: header and body.
    pub plain: Range<usize>,
    /// The authentication tag.
    pub tag: Range<usize>,
    /// SRTCP's E flag and index; nowhere in SRTP.
    pub word: Range<usize>,
    /// The MKI.
    pub mki: Range<usize>,
    /// Whether the body is encrypted: SRTCP's E flag; in SRTP always.
    pub encrypted: bool,
    /// The index as far as the packet says it.
    pub low: u32,
}

fn number(octets: &[u8]) -> u32 {
    octets.iter().fold(0, |number, octet| number << 8 | u32::from(*octet))
}

/// Whether packets of the profile leave encrypted.
#[must_use]
pub fn encrypts(profile: Profile) -> bool {
    !profile.name().starts_with("NULL")
}

/// Whether the tag follows the body, before word and MKI (RFC 7714).
#[must_use]
pub fn is_aead(profile: Profile) -> bool {
    profile.name().starts_with("AEAD")
}

fn tag_len(profile: Profile, protocol: Protocol) -> usize {
    match protocol {
        Protocol::Rtp => profile.srtp_tag_len(),
        Protocol::Rtcp => profile.srtcp_tag_len(),
    }
}

/// How much longer protection makes a packet.
#[must_use]
pub fn overhead(profile: Profile, protocol: Protocol, mki_len: usize) -> usize {
    let word_len = if protocol == Protocol::Rtcp { 4 } else { 0 };
    tag_len(profile, protocol) + word_len + mki_len
}

/// Reads the head of a plain packet.
///
/// # Errors
///
/// That which Keyflip must give.
pub fn head(protocol: Protocol, packet: &[u8]) -> Result<Head, Error> {
    let fixed = if protocol == Protocol::Rtp { 12 } else { 8 };
    if packet.len() < fixed {
        return Err(Error::PacketTooShort);
    }
    if packet[0] >> 6 != 2 {
        return Err(Error::UnsupportedVersion);
    }
    if protocol == Protocol::Rtcp {
        return Ok(Head { ssrc: number(&packet[4..8]), seq: 0, len: 8 });
    }
    let mut len = 12 + 4 * usize::from(packet[0] % 16);
    if packet.len() < len {
        return Err(Error::CsrcOverrun);
    }
    if packet[0] & 0b0001_0000 != 0 {
        if packet.len() < len + 4 {
            return Err(Error::ExtensionOverrun);
        }
        let words = number(&packet[len + 2..len + 4]) as usize;
        len += 4 * words + if plant::is_on() { 0 } else { 4 };
        if packet.len() < len {
            return Err(Error::ExtensionOverrun);
        }
    }
    Ok(Head { ssrc: number(&packet[8..12]), seq: u16::from_be_bytes([packet[2], packet[3]]), len })
}

/// Takes a protected packet apart.
///
/// # Errors
///
/// That which Keyflip must give.
pub fn parts(profile: Profile, protocol: Protocol, mki_len: usize, packet: &[u8]) -> Result<Parts, Error> {
    let overhead = overhead(profile, protocol, mki_len);
    if packet.len() < overhead {
        return Err(Error::PacketTooShort);
    }
    let end = packet.len() - overhead;
    let head = head(protocol, &packet[..end])?;
    // Each part starts where the one before it ends.
    let mut at = end;
    let mut next = |len: usize| {
        at += len;
        at - len..at
    };
    let word_len = if protocol == Protocol::Rtcp { 4 } else { 0 };
    let (tag, word, mki);
    if is_aead(profile) {
        tag = next(tag_len(profile, protocol));
        word = next(word_len);
        mki = next(mki_len);
    } else {
        word = next(word_len);
        mki = next(mki_len);
        tag = next(tag_len(profile, protocol));
    }
    let (encrypted, low) = match protocol {
        Protocol::Rtp => (true, u32::from(head.seq)),
        Protocol::Rtcp => (packet[word.start] >= 0x80, number(&packet[word.clone()]) & 0x7fff_ffff),
    };
    Ok(Parts { head, plain: 0..end, tag, word, mki, encrypted, low })
}

/// The index with the low bits `low` that is nearest to `highest`; of two, the one in its cycle (RFC 3711 3.3.1). Before a first packet, the one in
/// the cycle `start`. None lies below 0 or beyond the last rollover.
#[must_use]
pub fn nearest(protocol: Protocol, highest: Option<u64>, start: u64, low: u64) -> u64 {
    let (bits, last_cycle) = match protocol {
        Protocol::Rtp => (16, u64::from(u32::MAX)),
        Protocol::Rtcp => (31, u64::MAX >> 32),
    };
    let Some(highest) = highest else { return (start << bits) + low };
    let own = highest >> bits;
    let cycles = [Some(own), own.checked_sub(1), Some(own + 1).filter(|next| *next <= last_cycle)];
    let candidates = cycles.into_iter().flatten().map(|cycle| (cycle << bits) + low);
    candidates.min_by_key(|candidate| candidate.abs_diff(highest)).unwrap_or(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_measured_as_it_was_built() {
        let packet =
            [&[0x92, 0, 0xab, 0xcd, 0, 0, 0, 0, 1, 2, 3, 4][..], &[0; 8], &[0, 0, 0, 1], &[0; 4], b"body"].concat();
        let head = head(Protocol::Rtp, &packet).unwrap();
        assert_eq!(head, Head { ssrc: 0x0102_0304, seq: 0xabcd, len: 28 });
        assert_eq!(self::head(Protocol::Rtp, &packet[..27]), Err(Error::ExtensionOverrun));
        assert_eq!(self::head(Protocol::Rtp, &packet[..19]), Err(Error::CsrcOverrun));
    }

    #[test]
    fn the_trailers_lie_as_the_rfcs_draw_them() {
        let packet = [&[0x80, 200, 0, 1, 1, 2, 3, 4][..], &[0x80, 0, 0, 7], &[0; 20]].concat();
        let cm = parts(Profile::Aes128CmSha1_32, Protocol::Rtcp, 10, &packet).unwrap();
        assert_eq!((cm.plain, cm.word, cm.mki, cm.tag), (0..8, 8..12, 12..22, 22..32));
        assert_eq!((cm.encrypted, cm.low), (true, 7));
        let gcm = parts(Profile::AeadAes128Gcm, Protocol::Rtcp, 3, &packet).unwrap();
        assert_eq!((gcm.plain, gcm.tag, gcm.word, gcm.mki), (0..9, 9..25, 25..29, 29..32));
        assert!(parts(Profile::AeadAes128Gcm, Protocol::Rtcp, 5, &packet).is_err());
    }

    #[test]
    fn the_nearest_index_stays_within_the_space() {
        let at = |highest, low| nearest(Protocol::Rtp, Some(highest), 0, low);
        assert_eq!((at(65_534, 0), at(65_536, 65_535), at(0, 65_535)), (65_536, 65_535, 65_535));
        assert_eq!(at((1 << 48) - 1, 0), (1 << 48) - (1 << 16));
        assert_eq!(nearest(Protocol::Rtp, None, 3, 5), (3 << 16) + 5);
    }
}
