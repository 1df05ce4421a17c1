//! The RTCP header and SRTCP's index word (RFC 3550 6.4, RFC 3711 3.4).
//!
//! Compound and reduced-size (RFC 5506) packets are the same here: the first eight octets stay in the clear.

use crate::error::{Error, Result};
use crate::index::{SrtcpIndex, Ssrc};

/// Octets that stay in the clear: the first header and the sender's SSRC.
pub(crate) const HEAD_LEN: usize = 8;
/// Where the sender's SSRC is.
pub(crate) const SSRC_AT: usize = 4;
/// Octets of the E flag and the index.
pub(crate) const WORD_LEN: usize = 4;
const VERSION: u8 = 2;
const E_FLAG: u32 = 1 << 31;

/// The SSRC of the sender.
///
/// # Errors
///
/// [`Error::PacketTooShort`], [`Error::UnsupportedVersion`].
#[inline(always)]
pub(crate) fn parse(packet: &[u8]) -> Result<Ssrc> {
    let [first, _, _, _, ssrc @ ..] = *packet.first_chunk::<HEAD_LEN>().ok_or(Error::PacketTooShort)?;
    if first >> 6 != VERSION {
        return Err(Error::UnsupportedVersion);
    }
    Ok(Ssrc(u32::from_be_bytes(ssrc)))
}

/// The E flag and the 31-bit index, as they are on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(u32);

impl Word {
    pub(crate) const fn new(index: SrtcpIndex, encrypted: bool) -> Self {
        Self(index.wire() | if encrypted { E_FLAG } else { 0 })
    }

    pub(crate) fn read(octets: &[u8]) -> Result<Self> {
        octets.first_chunk().map(|word| Self(u32::from_be_bytes(*word))).ok_or(Error::PacketTooShort)
    }

    pub(crate) const fn to_octets(self) -> [u8; WORD_LEN] {
        self.0.to_be_bytes()
    }

    pub(crate) const fn is_encrypted(self) -> bool {
        self.0 & E_FLAG != 0
    }

    pub(crate) const fn index(self) -> u32 {
        self.0 & !E_FLAG
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_holds_flag_and_index() {
        let word = Word::new(SrtcpIndex::from_extended((1 << 31) + 5), true);
        assert_eq!(word.to_octets(), [0x80, 0, 0, 5]);
        assert_eq!(Word::read(&word.to_octets()).unwrap(), word);
        assert!(word.is_encrypted() && !Word::new(SrtcpIndex::from_extended(5), false).is_encrypted());
        assert_eq!(word.index(), 5);
    }

    #[test]
    fn short_packets_and_other_versions_are_refused() {
        let packet = [0x80, 200, 0, 1, 1, 2, 3, 4];
        assert_eq!(parse(&packet), Ok(Ssrc(0x0102_0304)));
        assert_eq!(parse(&packet[..7]), Err(Error::PacketTooShort));
        assert_eq!(parse(&[0x40, 200, 0, 1, 1, 2, 3, 4]), Err(Error::UnsupportedVersion));
    }
}
