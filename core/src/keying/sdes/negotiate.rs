//! Offer and answer (RFC 4568 5.1), and the session that comes of them.

use super::CryptoAttribute;
use super::error::{Error, Quoted};
use super::key::InlineKey;
use super::parse::tag_of;
use crate::crypto::profile::Profile;
use crate::policy::SrtcpEncryption;
use crate::session::{Session, SessionBuilder};

/// The largest replay window that a session takes, in packets.
const LARGEST_WINDOW: u32 = 32_768;

/// Picks what to answer from the lines of an offer's media description: the first crypto attribute, in the offerer's order of preference, that is valid,
/// and whose suite is among those `supported`. Lines that are not crypto attributes are passed over, invalid attributes too (RFC 4568 5.1.2).
///
/// # Errors
///
/// [`Error::NothingAcceptable`], with what was wrong with the first; [`Error::DuplicateTag`] if the answer could mean two attributes.
pub fn select<'l>(lines: impl IntoIterator<Item = &'l str>, supported: &[Profile]) -> Result<CryptoAttribute, Error> {
    let (mut tags, mut selected, mut refused) = (Vec::new(), None, None);
    for line in lines {
        tags.extend(tag_of(line));
        if selected.is_some() {
            continue;
        }
        match CryptoAttribute::parse(line) {
            Ok(attribute) if supported.contains(&attribute.profile) => selected = Some(attribute),
            Ok(attribute) => {
                refused.get_or_insert(Error::UnsupportedSuite(Quoted::known(attribute.profile.name())));
            }
            Err(Error::NotCrypto) => {}
            Err(error) => {
                refused.get_or_insert(error);
            }
        }
    }
    let selected = selected.ok_or_else(|| Error::NothingAcceptable(refused.map(Box::new)))?;
    match tags.iter().filter(|tag| **tag == selected.tag).count() {
        1 => Ok(selected),
        _ => Err(Error::DuplicateTag(selected.tag)),
    }
}

impl CryptoAttribute {
    /// The answer to this attribute, of an offer: its tag, its suite, what it leaves unencrypted, and a key of ours.
    ///
    /// # Errors
    ///
    /// [`Error::WrongKeyLength`].
    pub fn answer(&self, key: InlineKey) -> Result<Self, Error> {
        Self::with_keys(self.tag, self.profile, vec![key], self.params.negotiated())
    }

    /// Whether `other` is what answers this one, or is answered by it.
    fn check_pair(&self, other: &Self) -> Result<(), Error> {
        if self.tag != other.tag {
            Err(Error::UnknownTag(other.tag))
        } else if self.profile != other.profile {
            Err(Error::SuiteMismatch)
        } else if !self.params.agrees_with(&other.params) {
            Err(Error::EncryptionMismatch)
        } else {
            Ok(())
        }
    }
}

/// Finds which attribute of our offer was answered (RFC 4568 5.1.3).
///
/// # Errors
///
/// [`Error::UnknownTag`], [`Error::SuiteMismatch`], [`Error::EncryptionMismatch`]: the answer is not one to this offer.
pub fn accept<'o>(offer: &'o [CryptoAttribute], answer: &CryptoAttribute) -> Result<&'o CryptoAttribute, Error> {
    let offered = offer.iter().find(|offered| offered.tag == answer.tag).ok_or(Error::UnknownTag(answer.tag))?;
    offered.check_pair(answer).map(|()| offered)
}

/// Describes the session of two attributes that belong together: one of ours, and the peer's answer to it or the one we answer.
///
/// 1. We receive under all keys of `theirs`, and send under the first of `ours`; add others of `ours` by [`Outbound::add_key`](crate::Outbound::add_key).
///    MKIs and lifetimes go with their keys.
/// 2. `UNENCRYPTED_SRTP` and `UNENCRYPTED_SRTCP` hold for both directions.
/// 3. The replay window is as large as the larger of both hints (`WSH`), 32768 at most; the default if there is none.
///
/// All else is as [`Session::builder`] has it, and can be set on what is returned. For a later exchange of keys see [`CryptoAttribute::master_keys`].
///
/// # Errors
///
/// [`Error::UnknownTag`], [`Error::SuiteMismatch`], [`Error::EncryptionMismatch`]: the two do not belong together.
pub fn session_builder(ours: &CryptoAttribute, theirs: &CryptoAttribute) -> Result<SessionBuilder, Error> {
    ours.check_pair(theirs)?;
    let mut builder = theirs.master_keys().fold(Session::builder(ours.profile), SessionBuilder::inbound);
    if let Some(key) = ours.master_keys().next() {
        builder = builder.outbound(key);
    }
    if ours.params.unencrypted_srtp {
        builder = builder.unencrypted_srtp();
    }
    if ours.params.unencrypted_srtcp {
        builder = builder.srtcp_encryption(SrtcpEncryption::Off);
    }
    if let Some(hint) = ours.params.window_size_hint.max(theirs.params.window_size_hint) {
        builder = builder.replay_window(hint.min(LARGEST_WINDOW));
    }
    Ok(builder)
}
