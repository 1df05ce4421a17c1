//! An inline key: `inline:key-and-salt|lifetime|MKI:length` (RFC 4568 6.1).

use super::decimal;
use super::error::{Error, Quoted};
use crate::kernels::{scrub_after_derivation, scrubbed};
use crate::secret::{MAX_LIFETIME, MAX_MKI_LEN, MasterKey};
use base64ct::{Base64, Base64Unpadded, Encoding};
use core::fmt::{self, Write};
use zeroize::Zeroizing;

/// The one key method there is.
const METHOD: &str = "inline";
/// Characters of base64 that are read at most: more than any suite takes, so that a length can be told.
const LONGEST_TEXT: usize = 128;
/// Three octets are four characters.
const LONGEST_MATERIAL: usize = LONGEST_TEXT / 4 * 3;

/// A master key and master salt as SDES carries it, with its lifetime and its MKI if it has them.
///
/// Unlike a [`MasterKey`] it can be written out, into the attribute that tells it to the peer. Like one it is wiped when dropped, redacted in `Debug`, and
/// no `Clone`.
pub struct InlineKey(MasterKey);

impl InlineKey {
    /// Takes `master key || master salt`, and wipes `source`. The octets must come from a cryptographic random number generator.
    pub fn take(source: &mut [u8]) -> Self {
        scrubbed(scrub_after_derivation, || Self(MasterKey::take(source)))
    }

    /// Limits the key to `packets` SRTP and as many SRTCP packets: 1 to 2^48.
    ///
    /// # Errors
    ///
    /// [`Error::BadLifetime`].
    pub fn with_lifetime(self, packets: u64) -> Result<Self, Error> {
        let bad = |_| Error::BadLifetime(Quoted::known(packets.to_string()));
        self.0.with_lifetime(packets).map(Self).map_err(bad)
    }

    /// Names the key by an MKI of 1 to 128 octets, which are a number above 0, most significant octet first.
    ///
    /// # Errors
    ///
    /// [`Error::BadMki`].
    pub fn with_mki(self, mki: &[u8]) -> Result<Self, Error> {
        let bad = || Error::BadMki(Quoted::known(format!("{}:{}", decimal::write(mki), mki.len())));
        // RFC 4568 6.1 wants it positive.
        if mki.iter().all(|octet| *octet == 0) {
            return Err(bad());
        }
        self.0.with_mki(mki).map(Self).map_err(|_| bad())
    }

    /// How many packets of each protocol the key may protect; `None` if nothing was said.
    #[must_use]
    pub const fn lifetime(&self) -> Option<u64> {
        self.0.lifetime()
    }

    /// The MKI as packets carry it; empty for none.
    #[must_use]
    pub fn mki(&self) -> &[u8] {
        self.0.mki()
    }

    /// The key as a session takes it, with lifetime and MKI.
    #[must_use]
    pub fn master_key(&self) -> MasterKey {
        scrubbed(scrub_after_derivation, || self.0.duplicate())
    }

    /// Octets of key and salt together.
    pub(super) fn len(&self) -> usize {
        self.0.material().len()
    }

    /// Reads one key parameter.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedKeyMethod`], [`Error::BadKey`], [`Error::BadLifetime`], [`Error::BadMki`].
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let (method, info) = text.split_once(':').ok_or(Error::BadKey)?;
        if !method.eq_ignore_ascii_case(METHOD) {
            return Err(Error::UnsupportedKeyMethod(Quoted::new(method)));
        }
        let mut fields = info.split('|');
        let mut key = Self::decode(fields.next().unwrap_or_default())?;
        // A lifetime never has a colon, an MKI always does.
        let (lifetime, mki) = match (fields.next(), fields.next(), fields.next()) {
            (Some(mki), None, _) if mki.contains(':') => (None, Some(mki)),
            (lifetime, mki, None) => (lifetime, mki),
            _ => return Err(Error::BadKey),
        };
        if let Some(lifetime) = lifetime {
            key = key.with_lifetime(read_lifetime(lifetime)?)?;
        }
        if let Some(mki) = mki {
            key = key.with_mki(&read_mki(mki)?)?;
        }
        Ok(key)
    }

    /// Decodes in constant time, into memory that is wiped.
    fn decode(text: &str) -> Result<Self, Error> {
        let unpadded = text.trim_end_matches('=');
        let padding = text.len() - unpadded.len();
        // RFC 4568 6.1 has receivers discard the padding, and some senders never write it. Where there is some, it must be right.
        let well_padded = padding == 0 || padding <= 2 && text.len().is_multiple_of(4);
        if unpadded.is_empty() || !well_padded {
            return Err(Error::BadKey);
        }
        scrubbed(scrub_after_derivation, || {
            let mut material = Zeroizing::new([0; LONGEST_MATERIAL]);
            let len = Base64Unpadded::decode(unpadded, &mut *material).map_err(|_| Error::BadKey)?.len();
            Ok(Self(MasterKey::take(material.get_mut(..len).unwrap_or_default())))
        })
    }

    /// Writes the key parameter.
    pub(super) fn write(&self, out: &mut dyn Write) -> fmt::Result {
        write!(out, "{METHOD}:")?;
        scrubbed(scrub_after_derivation, || {
            let mut text = Zeroizing::new([0; LONGEST_TEXT]);
            out.write_str(Base64::encode(self.0.material(), &mut *text).map_err(|_| fmt::Error)?)
        })?;
        match self.lifetime() {
            Some(packets) if packets > 1 && packets.is_power_of_two() => write!(out, "|2^{}", packets.ilog2())?,
            Some(packets) => write!(out, "|{packets}")?,
            None => {}
        }
        match self.mki() {
            [] => Ok(()),
            mki => write!(out, "|{}:{}", decimal::write(mki), mki.len()),
        }
    }
}

/// Reads a lifetime, in packets: a number, or a power of 2.
fn read_lifetime(text: &str) -> Result<u64, Error> {
    let packets = match text.strip_prefix("2^") {
        Some(exponent) => {
            decimal::number(exponent).and_then(|exponent| 1u64.checked_shl(u32::try_from(exponent).ok()?))
        }
        None => decimal::number(text),
    };
    packets.filter(|packets| (1..=MAX_LIFETIME).contains(packets)).ok_or_else(|| Error::BadLifetime(Quoted::new(text)))
}

/// Reads `value:length` into as many octets.
fn read_mki(text: &str) -> Result<Vec<u8>, Error> {
    let read = || {
        let (value, len) = text.split_once(':')?;
        let len = usize::try_from(decimal::number(len)?).ok().filter(|len| (1..=MAX_MKI_LEN).contains(len))?;
        decimal::read(value, len)
    };
    read().ok_or_else(|| Error::BadMki(Quoted::new(text)))
}

impl fmt::Debug for InlineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("InlineKey");
        f.field("material", &"[redacted]").field("lifetime", &self.lifetime()).field("mki", &self.mki()).finish()
    }
}
