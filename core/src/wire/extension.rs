//! The elements of an RTP header extension (RFC 8285 4.2, 4.3), and which of them are encrypted (RFC 6904).
//!
//! Ids and lengths of elements stay in the clear, so sender and receiver find the same elements, before and after encryption.

use super::rtp::{FIXED_LEN, WORD};
use crate::error::{Error, Result};
use core::ops::Range;

/// The `defined by profile` field of extensions with one-octet element headers.
pub(crate) const ONE_BYTE: u16 = 0xbede;
/// That of extensions with two-octet element headers; its last 4 bits are the application's.
pub(crate) const TWO_BYTE: u16 = 0x1000;

/// Which keystream octets meet the octets of encrypted header extension elements.
///
/// The two differ for extensions with padding before or between elements. Both ends must do the same: nothing on the wire tells them apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeaderKeystream {
    /// The n-th octet of the extension's body meets the n-th octet of the keystream, padding or not (RFC 6904 3).
    #[default]
    Rfc6904,
    /// The keystream does not go on over padding: what libsrtp does (as of 2.8).
    Libsrtp,
}

/// Which elements are encrypted, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Selected {
    ids: [u64; 4],
    pub(crate) keystream: HeaderKeystream,
}

impl Selected {
    pub(crate) const NONE: Self = Self { ids: [0; 4], keystream: HeaderKeystream::Rfc6904 };

    /// # Errors
    ///
    /// [`Error::BadExtensionId`] if 0 is among them, which is padding.
    pub(crate) fn check(&self) -> Result<()> {
        if self.contains(0) { Err(Error::BadExtensionId) } else { Ok(()) }
    }

    pub(crate) fn add(&mut self, id: u8) {
        if let Some(word) = self.ids.get_mut(usize::from(id / 64)) {
            *word |= 1 << (id % 64);
        }
    }

    pub(crate) fn contains(&self, id: u8) -> bool {
        self.ids.get(usize::from(id / 64)).is_some_and(|word| word >> (id % 64) & 1 == 1)
    }

    /// The ids, a bit for each.
    pub(crate) const fn ids(&self) -> [u64; 4] {
        self.ids
    }

    pub(crate) const fn of_ids(ids: [u64; 4], keystream: HeaderKeystream) -> Self {
        Self { ids, keystream }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        matches!(self.ids, [0, 0, 0, 0])
    }
}

/// An element of an extension.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) id: u8,
    /// Its octets, in the body of the extension.
    pub(crate) data: Range<usize>,
    /// The keystream octet that meets the first of them.
    pub(crate) keystream: usize,
}

/// How elements begin.
#[derive(Clone, Copy)]
enum Form {
    /// `id: 4 bits || length - 1: 4 bits`
    OneByte,
    /// `id: 8 bits || length: 8 bits`
    TwoByte,
}

/// Goes from element to element.
pub(crate) struct Walk {
    form: Form,
    keystream: HeaderKeystream,
    at: usize,
    /// Octets of the elements passed, their headers included.
    passed: usize,
}

/// The octets of a header extension behind its own header, and what they are: of an RTP header that was parsed.
pub(crate) fn body_of(header: &[u8]) -> Option<(u16, Range<usize>)> {
    let first = *header.first()?;
    if first & 0x10 == 0 {
        return None;
    }
    let at = FIXED_LEN + usize::from(first & 0x0f) * WORD;
    let &[high, low, ..] = header.get(at..)?.first_chunk::<WORD>()?;
    Some((u16::from_be_bytes([high, low]), at + WORD..header.len()))
}

/// Checks that the elements of a header's extension lie within it.
///
/// # Errors
///
/// [`Error::ElementOverrun`].
pub(crate) fn check(header: &[u8], keystream: HeaderKeystream) -> Result<()> {
    let Some((form, body)) = body_of(header) else { return Ok(()) };
    let body = header.get(body).unwrap_or_default();
    let Some(mut walk) = Walk::new(form, keystream) else { return Ok(()) };
    while walk.next(body)?.is_some() {}
    Ok(())
}

impl Walk {
    /// `None` if the extension has no elements: it is of another form.
    pub(crate) const fn new(form: u16, keystream: HeaderKeystream) -> Option<Self> {
        let form = match form {
            ONE_BYTE => Form::OneByte,
            _ if form & 0xfff0 == TWO_BYTE => Form::TwoByte,
            _ => return None,
        };
        Some(Self { form, keystream, at: 0, passed: 0 })
    }

    /// The next element of `body`.
    ///
    /// # Errors
    ///
    /// [`Error::ElementOverrun`].
    pub(crate) fn next(&mut self, body: &[u8]) -> Result<Option<Element>> {
        let is_rfc = matches!(self.keystream, HeaderKeystream::Rfc6904);
        // libsrtp takes padding for an element where no element is before it.
        if is_rfc || self.passed > 0 {
            let rest = body.get(self.at..).unwrap_or_default();
            self.at += rest.iter().take_while(|octet| **octet == 0).count();
        }
        let Some(&first) = body.get(self.at) else { return Ok(None) };
        let (id, header, len) = match self.form {
            Form::OneByte => (first >> 4, 1, usize::from(first & 0x0f) + 1),
            Form::TwoByte => match body.get(self.at + 1) {
                Some(len) => (first, 2, usize::from(*len)),
                // A last octet of padding, as libsrtp sees it.
                None if first == 0 => return Ok(None),
                None => return Err(Error::ElementOverrun),
            },
        };
        let one_byte = matches!(self.form, Form::OneByte);
        // Where an id of 0 has a length, nothing behind it counts; nor behind an id of 15 (RFC 8285 4.2).
        if one_byte && is_rfc && (id == 0 || id == 15) {
            return Ok(None);
        }
        let data = self.at + header..self.at + header + len;
        if data.end > body.len() {
            return Err(Error::ElementOverrun);
        }
        if one_byte && id == 15 {
            return Ok(None);
        }
        let keystream = if is_rfc { data.start } else { self.passed + header };
        self.at = data.end;
        self.passed += header + len;
        Ok(Some(Element { id, data, keystream }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(form: u16, keystream: HeaderKeystream, body: &[u8]) -> Result<Vec<(u8, Range<usize>, usize)>> {
        let mut walk = Walk::new(form, keystream).unwrap();
        let mut elements = Vec::new();
        while let Some(Element { id, data, keystream }) = walk.next(body)? {
            elements.push((id, data, keystream));
        }
        Ok(elements)
    }

    fn rfc(form: u16, body: &[u8]) -> Result<Vec<(u8, Range<usize>, usize)>> {
        walk(form, HeaderKeystream::Rfc6904, body)
    }

    #[test]
    fn rfc8285_elements_of_both_forms_are_found_between_padding() {
        assert_eq!(rfc(ONE_BYTE, &[0, 0x10, 9, 0, 0, 0x31, 9, 9]), Ok(vec![(1, 2..3, 2), (3, 6..8, 6)]));
        let two = [7, 0, 0, 200, 2, 9, 9, 0];
        for form in [0x1000, 0x100f] {
            assert_eq!(rfc(form, &two), Ok(vec![(7, 2..2, 2), (200, 5..7, 5)]));
        }
        assert!(Walk::new(0x1010, HeaderKeystream::Rfc6904).is_none());
        assert!(Walk::new(0xc0de, HeaderKeystream::Rfc6904).is_none());
        assert_eq!(rfc(ONE_BYTE, &[]), Ok(vec![]));
    }

    #[test]
    fn rfc8285_nothing_counts_behind_id_15_or_id_0_with_a_length() {
        for stop in [0xf0, 0xff, 0x03] {
            assert_eq!(rfc(ONE_BYTE, &[0x10, 9, stop, 0x3f]), Ok(vec![(1, 1..2, 1)]), "{stop:#x}");
        }
        assert_eq!(rfc(TWO_BYTE, &[15, 1, 9, 0]), Ok(vec![(15, 2..3, 2)]), "an id like any other there");
    }

    #[test]
    fn an_element_that_reaches_past_the_end_is_found() {
        assert_eq!(rfc(ONE_BYTE, &[0x13, 1, 2, 3]), Err(Error::ElementOverrun));
        assert!(rfc(ONE_BYTE, &[0x12, 1, 2, 3]).is_ok());
        assert_eq!(rfc(TWO_BYTE, &[1, 3, 1, 2]), Err(Error::ElementOverrun));
        assert!(rfc(TWO_BYTE, &[1, 2, 1, 2]).is_ok());
        assert_eq!(rfc(TWO_BYTE, &[1, 1, 1, 2]), Err(Error::ElementOverrun), "an id without a length");
    }

    #[test]
    fn libsrtps_keystream_stands_still_over_padding() {
        let libsrtp = |body: &[u8]| walk(ONE_BYTE, HeaderKeystream::Libsrtp, body);
        assert_eq!(libsrtp(&[0x10, 9, 0, 0, 0x31, 9, 9, 0]), Ok(vec![(1, 1..2, 1), (3, 5..7, 3)]));
        assert_eq!(libsrtp(&[0, 0, 0, 0x30, 9, 0, 0, 0]), Ok(vec![(0, 1..2, 1), (3, 4..5, 3)]), "padding at the start");
    }

    #[test]
    fn a_set_of_ids_holds_what_was_added() {
        let mut selected = Selected::NONE;
        assert!(selected.is_empty());
        let ids = [1, 63, 64, 255];
        ids.iter().for_each(|id| selected.add(*id));
        assert!((0..=255).all(|id| selected.contains(id) == ids.contains(&id)) && !selected.is_empty());
        assert_eq!(selected.check(), Ok(()));
        selected.add(0);
        assert_eq!(selected.check(), Err(Error::BadExtensionId));
    }
}
