//! SDES (RFC 4568): keys that travel in SDP, in lines like
//!
//! ```text
//! a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4 FEC_ORDER=FEC_SRTP
//!          |          |                       |                                         |     |         |
//!         tag       suite          master key and salt, base64                  lifetime   MKI    session parameters
//! ```
//!
//! Each side tells the other the key that it *sends* with. An answer has tag and suite of the line it accepts, and a key of its own:
//!
//! ```
//! use keyflip::sdes::{self, CryptoAttribute, InlineKey};
//! use keyflip::{Domain, Profile};
//!
//! # fn random(octets: &mut [u8]) { octets.fill(7) }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let offer = "m=audio 49170 RTP/SAVP 0\r\n\
//!     a=crypto:1 F8_128_HMAC_SHA1_80 inline:MTIzNDU2Nzg5QUJDREUwMTIzNDU2Nzg5QUJjZGVm\r\n\
//!     a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4\r\n";
//!
//! let theirs = sdes::select(offer.lines(), &sdes::SUITES)?;
//! assert_eq!((theirs.tag(), theirs.profile()), (2, Profile::Aes128CmSha1_80));
//!
//! let mut material = [0; 30];
//! random(&mut material); // from the system's generator
//! let ours = theirs.answer(InlineKey::take(&mut material))?; // wipes `material`
//! let line = ours.format(); // wiped when dropped
//! assert!(line.starts_with("a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:"));
//!
//! let session = sdes::session_builder(&ours, &theirs)?.build(&Domain::new())?;
//! # let _ = session;
//! # Ok(())
//! # }
//! ```
//!
//! 1. What is not supported is refused, never passed over: an unknown suite, key method or session parameter makes the attribute invalid, unless the
//!    parameter says by a leading `-` that it may be ignored (RFC 4568 6.3.7).
//! 2. Key material is decoded in constant time, straight into memory that is wiped. Neither errors nor `Debug` show it. The line itself stays the
//!    caller's, and the SDP library's, to wipe; and whoever carries the SDP must encrypt it (RFC 4568 8.3).
//! 3. Names are read in any case, as ABNF has it, and written as RFC 4568 does.

mod decimal;
mod error;
mod format;
mod key;
mod negotiate;
mod params;
mod parse;

pub use error::{Error, Quoted};
pub use key::InlineKey;
pub use negotiate::{accept, select, session_builder};
pub use params::{FecOrder, SessionParams};

use crate::crypto::profile::Profile;
use crate::keys::MAX_KEYS;
use crate::secret::MasterKey;

/// The suites that SDES has names for here, strongest tag first: RFC 4568, 6188 and 7714.
///
/// `F8_128_HMAC_SHA1_80` (RFC 4568) and the suites of RFC 5669 and 8269 are refused.
pub const SUITES: [Profile; 8] = [
    Profile::AeadAes256Gcm,
    Profile::AeadAes128Gcm,
    Profile::Aes256CmSha1_80,
    Profile::Aes192CmSha1_80,
    Profile::Aes128CmSha1_80,
    Profile::Aes256CmSha1_32,
    Profile::Aes192CmSha1_32,
    Profile::Aes128CmSha1_32,
];

/// The most that a tag's nine digits can say.
const MAX_TAG: u32 = 999_999_999;

/// An `a=crypto` attribute: what one side sends with (RFC 4568 4).
#[derive(Debug)]
pub struct CryptoAttribute {
    tag: u32,
    profile: Profile,
    /// At least one.
    keys: Vec<InlineKey>,
    params: SessionParams,
}

impl CryptoAttribute {
    /// An attribute with one key, to be offered. The tags of one media description must differ.
    ///
    /// # Errors
    ///
    /// [`Error::BadTag`] for a tag of more than nine digits; [`Error::UnsupportedSuite`] for a profile without a name in SDES;
    /// [`Error::WrongKeyLength`].
    pub fn new(tag: u32, profile: Profile, key: InlineKey) -> Result<Self, Error> {
        Self::with_keys(tag, profile, vec![key], SessionParams::default())
    }

    /// Adds a key: the one to send under next, which the peer is told of already. Then all keys have MKIs, of one length.
    ///
    /// # Errors
    ///
    /// [`Error::WrongKeyLength`], [`Error::MkiMissing`], [`Error::MkiLengthMismatch`], [`Error::DuplicateMki`], [`Error::TooManyKeys`].
    pub fn with_key(mut self, key: InlineKey) -> Result<Self, Error> {
        self.keys.push(key);
        Self::with_keys(self.tag, self.profile, self.keys, self.params)
    }

    /// Sets the session parameters.
    ///
    /// # Errors
    ///
    /// [`Error::BadParameter`] for a window size hint below 64.
    pub fn with_params(self, params: SessionParams) -> Result<Self, Error> {
        params.check()?;
        Ok(Self { params, ..self })
    }

    /// All attributes are made here.
    fn with_keys(tag: u32, profile: Profile, keys: Vec<InlineKey>, params: SessionParams) -> Result<Self, Error> {
        if tag > MAX_TAG {
            return Err(Error::BadTag(Quoted::known(tag.to_string())));
        }
        if !SUITES.contains(&profile) {
            return Err(Error::UnsupportedSuite(Quoted::known(profile.name())));
        }
        check_keys(profile, &keys)?;
        Ok(Self { tag, profile, keys, params })
    }

    /// Names this attribute within its media description: 0 to 999999999.
    #[must_use]
    pub const fn tag(&self) -> u32 {
        self.tag
    }

    /// The crypto suite.
    #[must_use]
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// The keys, at least one; which of them a packet is under, its MKI says.
    #[must_use]
    pub fn keys(&self) -> &[InlineKey] {
        &self.keys
    }

    /// The session parameters.
    #[must_use]
    pub const fn params(&self) -> &SessionParams {
        &self.params
    }

    /// The keys as a session takes them, each with its MKI and lifetime: for [`Inbound::rekey`](crate::Inbound::rekey) and
    /// [`Outbound::rekey`](crate::Outbound::rekey), and `add_key` of both.
    pub fn master_keys(&self) -> impl Iterator<Item = MasterKey> {
        self.keys.iter().map(InlineKey::master_key)
    }
}

/// What RFC 4568 6.1 demands of the keys of one attribute.
fn check_keys(profile: Profile, keys: &[InlineKey]) -> Result<(), Error> {
    let expected = profile.key_len() + profile.salt_len();
    if keys.len() > MAX_KEYS {
        return Err(Error::TooManyKeys);
    }
    for (number, key) in keys.iter().enumerate() {
        if key.len() != expected {
            return Err(Error::WrongKeyLength { expected, found: key.len() });
        }
        let before = keys.get(..number).unwrap_or_default();
        if keys.len() > 1 && key.mki().is_empty() {
            return Err(Error::MkiMissing);
        }
        if before.iter().any(|other| other.mki().len() != key.mki().len()) {
            return Err(Error::MkiLengthMismatch);
        }
        if before.iter().any(|other| other.mki() == key.mki()) {
            return Err(Error::DuplicateMki);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
