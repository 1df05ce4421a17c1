//! The body of the DTLS extension `use_srtp` (RFC 5764 4.1.1):
//!
//! ```text
//!   octets of the list (16 bits) | profiles, 16 bits each | octets of the MKI (8 bits) | MKI
//! ```

use super::{Error, ProtectionProfile, select};
use crate::crypto::profile::Profile;
use crate::secret::MAX_MKI_LEN;

/// Octets of a profile's number.
const ID_LEN: usize = 2;

/// The body of a `use_srtp` extension: of a client's offer, or of a server's answer, which names one profile.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UseSrtp {
    /// In a client's offer, most preferred first.
    pub profiles: Vec<ProtectionProfile>,
    /// The MKI that packets will carry; empty for none. 255 octets at most.
    pub mki: Vec<u8>,
}

/// What an answer settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Protects the packets of both directions.
    pub profile: Profile,
    /// For [`Keys::with_mki`](super::Keys::with_mki): empty if the server declined the MKI, or none was offered.
    pub mki: Vec<u8>,
}

impl UseSrtp {
    /// An offer of profiles, most preferred first, without an MKI.
    ///
    /// Profiles without a number in DTLS are left out: with [`Profile::ALL`], everything there is gets offered, the unencrypted ones included.
    #[must_use]
    pub fn offer(profiles: &[Profile]) -> Self {
        let profiles = profiles.iter().copied().filter_map(ProtectionProfile::of).collect();
        Self { profiles, mki: Vec::new() }
    }

    /// Reads the extension's body, which must fill `body`.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`], [`Error::TrailingOctets`], [`Error::BadProfileList`].
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let (len, rest) = body.split_first_chunk::<ID_LEN>().ok_or(Error::Truncated)?;
        let (list, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len))).ok_or(Error::Truncated)?;
        let (ids, []) = list.as_chunks::<ID_LEN>() else { return Err(Error::BadProfileList) };
        if ids.is_empty() {
            return Err(Error::BadProfileList);
        }
        let (len, rest) = rest.split_first().ok_or(Error::Truncated)?;
        let (mki, rest) = rest.split_at_checked(usize::from(*len)).ok_or(Error::Truncated)?;
        if !rest.is_empty() {
            return Err(Error::TrailingOctets);
        }
        let profiles = ids.iter().map(|id| ProtectionProfile(u16::from_be_bytes(*id))).collect();
        Ok(Self { profiles, mki: mki.into() })
    }

    /// Writes the extension's body.
    ///
    /// # Errors
    ///
    /// [`Error::BadProfileList`] without a profile, [`Error::TooManyProfiles`], [`Error::MkiTooLong`].
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        if self.profiles.is_empty() {
            return Err(Error::BadProfileList);
        }
        let list_len = u16::try_from(ID_LEN * self.profiles.len()).map_err(|_| Error::TooManyProfiles)?;
        let mki_len = u8::try_from(self.mki.len()).map_err(|_| Error::MkiTooLong)?;
        let ids = self.profiles.iter().flat_map(|id| id.0.to_be_bytes());
        let mut body: Vec<u8> = list_len.to_be_bytes().into_iter().chain(ids).collect();
        body.push(mki_len);
        body.extend_from_slice(&self.mki);
        Ok(body)
    }

    /// Answers an offer as a server: by the first of `preferred` that was offered, and the offered MKI, if this crate takes one of its length. `None` if
    /// there is no profile in common: the extension stays away from the answer then, and no SRTP comes of this handshake.
    #[must_use]
    pub fn answer(&self, preferred: &[Profile]) -> Option<(Self, Accepted)> {
        let profile = select(&self.profiles, preferred)?;
        let mki = if self.mki.len() <= MAX_MKI_LEN { self.mki.clone() } else { Vec::new() };
        Some((Self { mki: mki.clone(), ..Self::offer(&[profile]) }, Accepted { profile, mki }))
    }

    /// Checks a server's answer to this offer, as a client must (RFC 5764 4.1.1). After an error the handshake ends with the alert `illegal_parameter`.
    ///
    /// # Errors
    ///
    /// [`Error::NotOneProfile`], [`Error::ProfileNotOffered`], [`Error::MkiNotOffered`]; [`Error::UnsupportedProfile`] if something was offered that this
    /// crate does not implement, and chosen.
    pub fn accept(&self, answer: &Self) -> Result<Accepted, Error> {
        Ok(Accepted { profile: self.chosen(answer)?.try_into()?, mki: answer.mki.clone() })
    }

    /// As [`Self::accept`], for offers with double profiles among them: the chosen profile's number, whatever implements it. The MKI is the answer's.
    ///
    /// # Errors
    ///
    /// [`Error::NotOneProfile`], [`Error::ProfileNotOffered`], [`Error::MkiNotOffered`].
    pub fn chosen(&self, answer: &Self) -> Result<ProtectionProfile, Error> {
        let [id] = *answer.profiles.as_slice() else { return Err(Error::NotOneProfile(answer.profiles.len())) };
        if !self.profiles.contains(&id) {
            return Err(Error::ProfileNotOffered(id));
        }
        if !answer.mki.is_empty() && answer.mki != self.mki {
            return Err(Error::MkiNotOffered);
        }
        Ok(id)
    }
}
