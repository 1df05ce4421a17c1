//! Where the parts of a packet lie. Lengths only: nothing here reads a key or changes an octet.
//!
//! Both protocols, protected by either kind of suite (RFC 3711 3.1 and 3.4; RFC 7714 8.2 and 9.2):
//!
//! ```text
//!             HMAC:  head | body |        MKI | tag          AEAD:  head | body | tag |        MKI      (SRTP)
//!             HMAC:  head | body | word | MKI | tag          AEAD:  head | body | tag | word | MKI      (SRTCP)
//!             HMAC:  head | body |  MKI | ROC | tag          AEAD:  head | body | tag |  MKI | ROC      (SRTP that carries its ROC, RFC 4771)
//! ```
//!
//! `head` stays in the clear (but for what `extension` and `cryptex` say), `body` is encrypted, `word` is SRTCP's E flag and index.

pub(crate) mod cryptex;
pub(crate) mod extension;
pub(crate) mod rtcp;
pub(crate) mod rtp;

use crate::error::{Error, Result};
use crate::index::{Roc, Ssrc};
use core::ops::Range;

/// The longest plain packet, in octets (a protected one is longer by its trailer): AES-CM numbers the 16-octet blocks of one packet with 16 bits (RFC 3711 4.1.1).
pub const MAX_PACKET_LEN: usize = 1 << 20;

/// RTP and SRTP, or RTCP and SRTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// RTP, protected as SRTP.
    Rtp,
    /// RTCP, protected as SRTCP.
    Rtcp,
}

/// The lengths (octets) and the order of what follows a protected body in one context and protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) protocol: Protocol,
    pub(crate) tag: u8,
    pub(crate) mki: u8,
    /// 4 octets in a packet that carries its rollover counter, else 0.
    pub(crate) roc: u8,
    /// AEAD: the tag follows the body. Else it comes last.
    pub(crate) tag_first: bool,
}

/// Where the trailer's parts lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub(crate) tag: Range<usize>,
    pub(crate) word: Range<usize>,
    pub(crate) mki: Range<usize>,
    pub(crate) roc: Range<usize>,
}

/// Octets of a rollover counter in a packet (RFC 4771).
pub(crate) const ROC_LEN: u8 = 4;

impl Shape {
    const fn word(self) -> usize {
        match self.protocol {
            Protocol::Rtp => 0,
            Protocol::Rtcp => rtcp::WORD_LEN,
        }
    }

    /// How much longer protection makes a packet.
    pub(crate) const fn overhead(self) -> usize {
        self.tag as usize + self.word() + self.mki as usize + self.roc as usize
    }

    /// The trailer of a body that ends at `body_end`.
    #[inline(always)]
    pub(crate) const fn trailer(self, body_end: usize) -> Trailer {
        let (tag_len, mki_len, roc_len) = (self.tag as usize, self.mki as usize, self.roc as usize);
        let word = if self.tag_first { body_end + tag_len } else { body_end };
        let mki = word + self.word();
        let roc = mki + mki_len;
        let tag = if self.tag_first { body_end } else { roc + roc_len };
        let (word, mki) = (word..word + self.word(), mki..roc);
        Trailer { tag: tag..tag + tag_len, word, mki, roc: roc..roc + roc_len }
    }
}

/// What is done to the header of a packet, beside its being authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderForm {
    /// Nothing: it is in the clear.
    Clear,
    /// Elements of its extension are encrypted (RFC 6904).
    Elements,
    /// Its CSRCs, so many, and its extension are encrypted with its payload (RFC 9335).
    Cryptex { csrcs: u8 },
}

/// A plain packet, ready to be protected.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plain {
    pub(crate) ssrc: Ssrc,
    /// RTP: the sequence number. RTCP has none before protection: 0.
    pub(crate) seq: u32,
    /// Octets that stay in the clear.
    pub(crate) head: usize,
    pub(crate) form: HeaderForm,
}

/// A protected packet, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Protected {
    pub(crate) ssrc: Ssrc,
    /// The index as far as the packet carries it: 16 bits in SRTP, 31 in SRTCP.
    pub(crate) index: u32,
    /// The body is encrypted. Always so in SRTP; in SRTCP it is the E flag.
    pub(crate) encrypted: bool,
    /// The rollover counter, if the packet carries it.
    pub(crate) roc: Option<Roc>,
    pub(crate) head: usize,
    pub(crate) form: HeaderForm,
    /// Where the body, and with it the plain packet, ends.
    pub(crate) body_end: usize,
    pub(crate) trailer: Trailer,
}

/// The SSRC that a packet is routed by: nothing else of it has been looked at. `None` if it is too short to have one.
pub(crate) fn ssrc_of(protocol: Protocol, packet: &[u8]) -> Option<Ssrc> {
    let at = match protocol {
        Protocol::Rtp => rtp::SSRC_AT,
        Protocol::Rtcp => rtcp::SSRC_AT,
    };
    packet.get(at..)?.first_chunk().map(|ssrc| Ssrc(u32::from_be_bytes(*ssrc)))
}

impl Plain {
    /// # Errors
    ///
    /// The header's, and [`Error::PacketTooLong`].
    #[inline(always)]
    pub(crate) fn parse(protocol: Protocol, packet: &[u8]) -> Result<Self> {
        if packet.len() > MAX_PACKET_LEN {
            return Err(Error::PacketTooLong);
        }
        match protocol {
            Protocol::Rtp => {
                let rtp::Header { seq, ssrc, len } = rtp::parse(packet)?;
                Ok(Self { ssrc, seq: u32::from(seq.0), head: len, form: HeaderForm::Clear })
            }
            Protocol::Rtcp => {
                rtcp::parse(packet).map(|ssrc| Self { ssrc, seq: 0, head: rtcp::HEAD_LEN, form: HeaderForm::Clear })
            }
        }
    }
}

impl Protected {
    /// # Errors
    ///
    /// The header's; [`Error::PacketTooShort`] if the trailer does not fit behind it; [`Error::PacketTooLong`].
    #[inline(always)]
    pub(crate) fn parse(shape: Shape, packet: &[u8]) -> Result<Self> {
        let body_end = packet.len().checked_sub(shape.overhead()).ok_or(Error::PacketTooShort)?;
        let trailer = shape.trailer(body_end);
        let plain = packet.get(..body_end).ok_or(Error::PacketTooShort)?;
        let Plain { ssrc, seq, head, form } = Plain::parse(shape.protocol, plain)?;
        let (index, encrypted) = match shape.protocol {
            Protocol::Rtp => (seq, true),
            Protocol::Rtcp => {
                let word = rtcp::Word::read(packet.get(trailer.word.clone()).ok_or(Error::PacketTooShort)?)?;
                (word.index(), word.is_encrypted())
            }
        };
        let roc = packet.get(trailer.roc.clone()).and_then(<[u8]>::first_chunk);
        let roc = roc.map(|octets| Roc(u32::from_be_bytes(*octets)));
        Ok(Self { ssrc, index, encrypted, roc, head, form, body_end, trailer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_trailers_lie_as_the_rfcs_say() {
        let shape = |protocol, tag, tag_first| Shape { protocol, tag, mki: 3, roc: 0, tag_first };
        let at = |tag: Range<usize>, word, mki: Range<usize>| {
            let roc = mki.end..mki.end;
            Trailer { tag, word, mki, roc }
        };
        assert_eq!(shape(Protocol::Rtp, 10, false).trailer(100), at(103..113, 100..100, 100..103));
        assert_eq!(shape(Protocol::Rtcp, 10, false).trailer(100), at(107..117, 100..104, 104..107));
        assert_eq!(shape(Protocol::Rtp, 16, true).trailer(100), at(100..116, 116..116, 116..119));
        assert_eq!(shape(Protocol::Rtcp, 16, true).trailer(100), at(100..116, 116..120, 120..123));
    }

    #[test]
    fn rfc4771_the_counter_is_before_an_hmac_and_behind_all_else_of_an_aead() {
        let shape = |tag, tag_first| Shape { protocol: Protocol::Rtp, tag, mki: 3, roc: 4, tag_first };
        let hmac = Trailer { tag: 107..113, word: 100..100, mki: 100..103, roc: 103..107 };
        let aead = Trailer { tag: 100..116, word: 116..116, mki: 116..119, roc: 119..123 };
        assert_eq!((shape(6, false).trailer(100), shape(6, false).overhead()), (hmac, 13));
        assert_eq!((shape(16, true).trailer(100), shape(16, true).overhead()), (aead, 23));
    }

    #[test]
    fn a_trailer_may_not_reach_into_the_header() {
        let shape = Shape { protocol: Protocol::Rtp, tag: 10, mki: 0, roc: 0, tag_first: false };
        let mut packet = [0u8; 40];
        packet[0] = 0x80;
        assert_eq!(Protected::parse(shape, &packet[..21]), Err(Error::PacketTooShort));
        assert_eq!(Protected::parse(shape, &packet[..22]).unwrap().body_end, 12);
        packet[0] = 0x83;
        assert_eq!(Protected::parse(shape, &packet[..33]), Err(Error::CsrcOverrun));
        assert_eq!(Protected::parse(shape, &packet[..34]).unwrap().head, 24);
    }

    #[test]
    fn one_keystream_segment_is_the_limit() {
        let mut packet = vec![0u8; MAX_PACKET_LEN + 1];
        packet[0] = 0x80;
        assert_eq!(Plain::parse(Protocol::Rtp, &packet), Err(Error::PacketTooLong));
        assert!(Plain::parse(Protocol::Rtp, &packet[1..]).is_err());
        assert!(Plain::parse(Protocol::Rtp, &packet[..MAX_PACKET_LEN]).is_ok());
    }
}
