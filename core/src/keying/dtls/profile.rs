//! The profiles that DTLS negotiates, by their registered numbers.

use super::Error;
use crate::crypto::profile::Profile;
use crate::double;
use core::fmt;

/// A protection profile as DTLS names it (RFC 5764 4.1.2 and its registry), whether this crate implements it or not.
///
/// | | | [`Profile`] |
/// |---|---|---|
/// | 0x0001 | `SRTP_AES128_CM_HMAC_SHA1_80` | [`Profile::Aes128CmSha1_80`] |
/// | 0x0002 | `SRTP_AES128_CM_HMAC_SHA1_32` | [`Profile::Aes128CmSha1_32`] |
/// | 0x0005 | `SRTP_NULL_HMAC_SHA1_80` | [`Profile::NullSha1_80`] |
/// | 0x0006 | `SRTP_NULL_HMAC_SHA1_32` | [`Profile::NullSha1_32`] |
/// | 0x0007 | `SRTP_AEAD_AES_128_GCM` (RFC 7714) | [`Profile::AeadAes128Gcm`] |
/// | 0x0008 | `SRTP_AEAD_AES_256_GCM` (RFC 7714) | [`Profile::AeadAes256Gcm`] |
/// | 0x0009 | `DOUBLE_AEAD_AES_128_GCM_AEAD_AES_128_GCM` (RFC 8723) | [`double::Profile::Aes128Gcm`](double::Profile) |
/// | 0x000a | `DOUBLE_AEAD_AES_256_GCM_AEAD_AES_256_GCM` (RFC 8723) | [`double::Profile::Aes256Gcm`](double::Profile) |
/// | 0x000b to 0x0010 | `SRTP_ARIA_...`, `SRTP_AEAD_ARIA_...` (RFC 8269) | not supported |
///
/// The double ones are no [`Profile`] but two sessions: they are negotiated by [`select_id`] and [`UseSrtp::chosen`](super::UseSrtp::chosen).
/// AES-192 and AES-256 in counter mode have no numbers, nor have the profiles with GCM tags of 8 octets: DTLS cannot negotiate them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProtectionProfile(pub u16);

/// The registry: number, name, and what implements it here.
const REGISTRY: [(u16, &str, Option<Profile>); 14] = [
    (0x0001, "SRTP_AES128_CM_HMAC_SHA1_80", Some(Profile::Aes128CmSha1_80)),
    (0x0002, "SRTP_AES128_CM_HMAC_SHA1_32", Some(Profile::Aes128CmSha1_32)),
    (0x0005, "SRTP_NULL_HMAC_SHA1_80", Some(Profile::NullSha1_80)),
    (0x0006, "SRTP_NULL_HMAC_SHA1_32", Some(Profile::NullSha1_32)),
    (0x0007, "SRTP_AEAD_AES_128_GCM", Some(Profile::AeadAes128Gcm)),
    (0x0008, "SRTP_AEAD_AES_256_GCM", Some(Profile::AeadAes256Gcm)),
    (0x0009, "DOUBLE_AEAD_AES_128_GCM_AEAD_AES_128_GCM", None),
    (0x000a, "DOUBLE_AEAD_AES_256_GCM_AEAD_AES_256_GCM", None),
    (0x000b, "SRTP_ARIA_128_CTR_HMAC_SHA1_80", None),
    (0x000c, "SRTP_ARIA_128_CTR_HMAC_SHA1_32", None),
    (0x000d, "SRTP_ARIA_256_CTR_HMAC_SHA1_80", None),
    (0x000e, "SRTP_ARIA_256_CTR_HMAC_SHA1_32", None),
    (0x000f, "SRTP_AEAD_ARIA_128_GCM", None),
    (0x0010, "SRTP_AEAD_ARIA_256_GCM", None),
];

/// An order of preference for [`select`]: long tags first, and nothing unencrypted (RFC 8827 6.5 forbids that in WebRTC).
pub const PREFERENCE: [Profile; 4] =
    [Profile::AeadAes256Gcm, Profile::AeadAes128Gcm, Profile::Aes128CmSha1_80, Profile::Aes128CmSha1_32];

impl ProtectionProfile {
    /// The registered name; `None` if the number is not registered.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        REGISTRY.iter().find(|(id, ..)| *id == self.0).map(|(_, name, _)| *name)
    }

    /// What DTLS calls a profile; `None` if it has no number there.
    #[must_use]
    pub fn of(profile: Profile) -> Option<Self> {
        REGISTRY.iter().find(|(.., of)| *of == Some(profile)).map(|(id, ..)| Self(*id))
    }
}

impl TryFrom<ProtectionProfile> for Profile {
    type Error = Error;

    /// # Errors
    ///
    /// [`Error::UnsupportedProfile`].
    fn try_from(id: ProtectionProfile) -> Result<Self, Error> {
        let row = REGISTRY.iter().find(|(of, ..)| *of == id.0);
        row.and_then(|(.., profile)| *profile).ok_or(Error::UnsupportedProfile(id))
    }
}

impl From<double::Profile> for ProtectionProfile {
    fn from(profile: double::Profile) -> Self {
        Self(match profile {
            double::Profile::Aes128Gcm => 0x0009,
            double::Profile::Aes256Gcm => 0x000a,
        })
    }
}

impl TryFrom<ProtectionProfile> for double::Profile {
    type Error = Error;

    /// # Errors
    ///
    /// [`Error::UnsupportedProfile`].
    fn try_from(id: ProtectionProfile) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|profile| id == (*profile).into()).ok_or(Error::UnsupportedProfile(id))
    }
}

impl fmt::Display for ProtectionProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)?;
        self.name().map_or(Ok(()), |name| write!(f, " ({name})"))
    }
}

impl fmt::Debug for ProtectionProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProtectionProfile({self})")
    }
}

/// The first of `preferred` that is among those `offered`: what a server picks (RFC 5764 4.1.1). `None` if they have none in common.
///
/// The order of the offer, which is the client's preference, does not count; give it as `preferred` where it should.
#[must_use]
pub fn select(offered: &[ProtectionProfile], preferred: &[Profile]) -> Option<Profile> {
    let is_offered = |profile: &Profile| ProtectionProfile::of(*profile).is_some_and(|id| offered.contains(&id));
    preferred.iter().copied().find(is_offered)
}

/// As [`select`], by number: for offers with double profiles among them, or others that are implemented elsewhere.
#[must_use]
pub fn select_id(offered: &[ProtectionProfile], preferred: &[ProtectionProfile]) -> Option<ProtectionProfile> {
    preferred.iter().copied().find(|id| offered.contains(id))
}
