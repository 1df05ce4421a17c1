//! A line of SDP, read (RFC 4568 9.1, 9.2).

use super::decimal;
use super::error::{Error, Quoted};
use super::key::InlineKey;
use super::params::SessionParams;
use super::{CryptoAttribute, SUITES};
use crate::crypto::profile::Profile;
use core::str::FromStr;

/// Attribute names are case-sensitive (RFC 4566 5).
const NAME: &str = "crypto:";

impl CryptoAttribute {
    /// Reads an attribute: `a=crypto:...`, or without the `a=`, or its value alone, as SDP libraries hand it over; with or without a line end.
    ///
    /// # Errors
    ///
    /// [`Error`] but for those of offer and answer. By RFC 4568 such an attribute counts as not there: an offer may have others (see [`super::select`]).
    pub fn parse(line: &str) -> Result<Self, Error> {
        let value = value(line)?;
        if !value.bytes().all(|octet| matches!(octet, b' '..=b'~' | b'\t')) {
            return Err(Error::BadCharacter);
        }
        let (tag, rest) = read_tag(value)?;
        let mut words = rest.split([' ', '\t']).filter(|word| !word.is_empty());
        let mut word = || words.next().ok_or(Error::Incomplete);
        let profile = read_suite(word()?)?;
        let keys = word()?.split(';').map(InlineKey::parse).collect::<Result<_, _>>()?;
        let mut params = SessionParams::default();
        words.try_for_each(|word| params.read(word))?;
        Self::with_keys(tag, profile, keys, params)
    }
}

impl FromStr for CryptoAttribute {
    type Err = Error;

    fn from_str(line: &str) -> Result<Self, Error> {
        Self::parse(line)
    }
}

/// What follows the attribute's name, up to the line end.
fn value(line: &str) -> Result<&str, Error> {
    let line = line.strip_suffix('\n').map_or(line, |line| line.strip_suffix('\r').unwrap_or(line));
    match line.strip_prefix("a=").unwrap_or(line).strip_prefix(NAME) {
        Some(value) => Ok(value),
        None if line.starts_with(|first: char| first.is_ascii_digit()) => Ok(line),
        None => Err(Error::NotCrypto),
    }
}

/// Takes the tag off a value.
fn read_tag(value: &str) -> Result<(u32, &str), Error> {
    let (text, rest) = value.split_once([' ', '\t']).unwrap_or((value, ""));
    let bad = || Error::BadTag(Quoted::new(text));
    let tag = decimal::number(text).and_then(|tag| tag.try_into().ok()).filter(|tag| *tag <= super::MAX_TAG);
    Ok((tag.ok_or_else(bad)?, rest))
}

/// The tag of a line that may have anything else wrong with it.
pub(super) fn tag_of(line: &str) -> Option<u32> {
    value(line).and_then(read_tag).ok().map(|(tag, _)| tag)
}

fn read_suite(text: &str) -> Result<Profile, Error> {
    let suite = SUITES.into_iter().find(|suite| text.eq_ignore_ascii_case(suite.name()));
    suite.ok_or_else(|| Error::UnsupportedSuite(Quoted::new(text)))
}
