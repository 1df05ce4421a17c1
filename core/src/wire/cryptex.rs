//! The layout of Cryptex packets (RFC 9335 5, 6): CSRCs and extension body are encrypted with the payload, the extension's own header is not.
//!
//! ```text
//!   on the wire:   fixed (12) | CSRCs | extension header (4) | body | payload
//!   gathered:      fixed (12) | extension header (4) | CSRCs | body | payload      in the clear: the first 16 octets
//! ```
//!
//! The extension header names another profile than in a plain packet, which is how a receiver tells.

use super::extension::{ONE_BYTE, TWO_BYTE, body_of};
use super::rtp::{FIXED_LEN, WORD};
use crate::error::{Error, Result};

/// Octets in the clear: those of the fixed header and of the extension's.
pub(crate) const CLEAR_LEN: usize = FIXED_LEN + WORD;
/// By how much a packet grows that has CSRCs and no extension.
pub(crate) const GROWTH: usize = WORD;

const HIDDEN_ONE_BYTE: u16 = 0xc0de;
const HIDDEN_TWO_BYTE: u16 = 0xc2de;
const X_FLAG: u8 = 0x10;

/// What RTP headers Cryptex (RFC 9335) is used for: it encrypts CSRCs and header extensions, and shows by a packet's own octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cryptex {
    /// For none. Received, its packets are like any others, with an extension of a form that nobody here knows.
    #[default]
    Off,
    /// Sent for all packets with CSRCs or a header extension. Received, packets are taken with it and without.
    Enabled,
    /// As [`Self::Enabled`]; and received packets with CSRCs or a header extension are refused without it.
    Required,
}

/// What is done to a plain packet with this header to send it by Cryptex: how many CSRCs it has, and by how many octets it grows. `None` if it has
/// nothing to hide.
///
/// # Errors
///
/// [`Error::UnknownExtensionForm`].
pub(crate) fn plan(header: &[u8]) -> Result<Option<(u8, usize)>> {
    let csrcs = csrcs(header);
    match body_of(header) {
        Some((ONE_BYTE | TWO_BYTE, _)) => Ok(Some((csrcs, 0))),
        Some(_) => Err(Error::UnknownExtensionForm),
        None if csrcs > 0 => Ok(Some((csrcs, GROWTH))),
        None => Ok(None),
    }
}

/// How many CSRCs a received Cryptex packet with this header has; `None` if it is none.
///
/// # Errors
///
/// [`Error::HeaderInTheClear`] if it should be one, and `required` says so.
pub(crate) fn detect(header: &[u8], required: bool) -> Result<Option<u8>> {
    let csrcs = csrcs(header);
    match body_of(header) {
        Some((HIDDEN_ONE_BYTE | HIDDEN_TWO_BYTE, _)) => Ok(Some(csrcs)),
        None if csrcs == 0 => Ok(None),
        _ if required => Err(Error::HeaderInTheClear),
        _ => Ok(None),
    }
}

/// Makes a plain packet one to be encrypted, gathered; if it has no extension, its last [`GROWTH`] octets are room.
pub(crate) fn hide(packet: &mut [u8]) {
    let at = FIXED_LEN + usize::from(csrcs(packet)) * WORD;
    match packet.first_mut() {
        Some(first) if *first & X_FLAG == 0 => {
            *first |= X_FLAG;
            let len = packet.len();
            if at + WORD <= len {
                packet.copy_within(at..len - GROWTH, at + GROWTH);
            }
            put(packet, at, [HIDDEN_ONE_BYTE.to_be_bytes(), [0; 2]].as_flattened());
        }
        _ => {
            let is_two_byte = packet.get(at..at + 2) == Some(&TWO_BYTE.to_be_bytes());
            let hidden = if is_two_byte { HIDDEN_TWO_BYTE } else { HIDDEN_ONE_BYTE };
            put(packet, at, &hidden.to_be_bytes());
        }
    }
    gather(packet);
}

/// Makes a decrypted packet that is gathered a plain one.
pub(crate) fn reveal(packet: &mut [u8]) {
    scatter(packet);
    let at = FIXED_LEN + usize::from(csrcs(packet)) * WORD;
    let is_two_byte = packet.get(at..at + 2) == Some(&HIDDEN_TWO_BYTE.to_be_bytes());
    let plain = if is_two_byte { TWO_BYTE } else { ONE_BYTE };
    put(packet, at, &plain.to_be_bytes());
}

/// Moves the extension's header before the CSRCs.
pub(crate) fn gather(packet: &mut [u8]) {
    if let Some(moving) = moving(packet) {
        moving.rotate_right(WORD);
    }
}

/// Moves it back.
pub(crate) fn scatter(packet: &mut [u8]) {
    if let Some(moving) = moving(packet) {
        moving.rotate_left(WORD);
    }
}

/// The CSRCs and the extension's header.
fn moving(packet: &mut [u8]) -> Option<&mut [u8]> {
    let end = CLEAR_LEN + usize::from(csrcs(packet)) * WORD;
    packet.get_mut(FIXED_LEN..end)
}

fn csrcs(header: &[u8]) -> u8 {
    header.first().map_or(0, |first| first & 0x0f)
}

fn put(packet: &mut [u8], at: usize, octets: &[u8]) {
    for (to, from) in packet.iter_mut().skip(at).zip(octets) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with so many CSRCs, and what follows it.
    fn packet(first: u8, rest: &[u8]) -> Vec<u8> {
        let csrcs: Vec<u8> = (0..first & 0x0f).flat_map(|n| [n; 4]).collect();
        [&[first, 96, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4][..], &csrcs, rest].concat()
    }

    #[test]
    fn rfc9335_hidden_packets_are_revealed_as_they_were() {
        for csrcs in [0, 1, 2, 15] {
            for form in [ONE_BYTE, TWO_BYTE] {
                let extension = [&form.to_be_bytes()[..], &[0, 1, 9, 8, 7, 6], b"payload"].concat();
                let plain = packet(0x90 | csrcs, &extension);
                assert_eq!(plan(&plain[..plain.len() - 7]), Ok(Some((csrcs, 0))));
                let mut hidden = plain.clone();
                hide(&mut hidden);
                let id = if form == ONE_BYTE { [0xc0, 0xde] } else { [0xc2, 0xde] };
                assert_eq!(hidden[12..16], [id, [0, 1]].concat());
                scatter(&mut hidden);
                assert_eq!(detect(&hidden[..hidden.len() - 7], true), Ok(Some(csrcs)));
                gather(&mut hidden);
                reveal(&mut hidden);
                assert_eq!(hidden, plain);
            }
        }
    }

    #[test]
    fn rfc9335_csrcs_without_an_extension_get_an_empty_one() {
        for payload in [&b""[..], b"p", b"payload"] {
            let plain = packet(0x82, payload);
            assert_eq!(plan(&plain[..20]), Ok(Some((2, 4))));
            let mut hidden = [&plain[..], &[0xee; 4]].concat();
            hide(&mut hidden);
            assert_eq!(hidden[12..16], [0xc0, 0xde, 0, 0]);
            reveal(&mut hidden);
            assert_eq!(hidden, packet(0x92, &[&[0xbe, 0xde, 0, 0], payload].concat()));
        }
    }

    #[test]
    fn what_has_nothing_to_hide_is_left_alone_and_what_cannot_be_hidden_is_an_error() {
        assert_eq!(plan(&packet(0x80, b"")), Ok(None));
        assert_eq!(detect(&packet(0x80, b""), true), Ok(None));
        for form in [0x1001u16, 0xc0de, 0xc2de, 0] {
            let header = packet(0x90, &[&form.to_be_bytes()[..], &[0, 0]].concat());
            assert_eq!(plan(&header), Err(Error::UnknownExtensionForm), "{form:#x}");
        }
        for clear in [packet(0x81, b""), packet(0x90, &[0xbe, 0xde, 0, 0]), packet(0x90, &[1, 2, 0, 0])] {
            assert_eq!(detect(&clear, true), Err(Error::HeaderInTheClear));
            assert_eq!(detect(&clear, false), Ok(None));
        }
    }
}
