//! The protection profiles: one table of lengths.

use crate::wire::rtcp::WORD_LEN;
use core::fmt;
use core::str::FromStr;

/// What protects the packets of a context, by the names of RFC 4568, 6188 and 7714, and by libsrtp's where no RFC has one.
///
/// | profile | cipher | master key | master salt | SRTP tag | SRTCP tag |
/// |---|---|---|---|---|---|
/// | `AES_CM_128_HMAC_SHA1_80` | AES-CM, 128 bits | 16 | 14 | 10 | 10 |
/// | `AES_CM_128_HMAC_SHA1_32` | AES-CM, 128 bits | 16 | 14 | 4 | 10 |
/// | `AES_192_CM_HMAC_SHA1_80` | AES-CM, 192 bits | 24 | 14 | 10 | 10 |
/// | `AES_192_CM_HMAC_SHA1_32` | AES-CM, 192 bits | 24 | 14 | 4 | 10 |
/// | `AES_256_CM_HMAC_SHA1_80` | AES-CM, 256 bits | 32 | 14 | 10 | 10 |
/// | `AES_256_CM_HMAC_SHA1_32` | AES-CM, 256 bits | 32 | 14 | 4 | 10 |
/// | `AEAD_AES_128_GCM` | AES-GCM, 128 bits | 16 | 12 | 16 | 16 |
/// | `AEAD_AES_256_GCM` | AES-GCM, 256 bits | 32 | 12 | 16 | 16 |
/// | `AEAD_AES_128_GCM_8` | AES-GCM, 128 bits | 16 | 12 | 8 | 8 |
/// | `AEAD_AES_256_GCM_8` | AES-GCM, 256 bits | 32 | 12 | 8 | 8 |
/// | `NULL_HMAC_SHA1_80` | none | 16 | 14 | 10 | 10 |
/// | `NULL_HMAC_SHA1_32` | none | 16 | 14 | 4 | 10 |
/// | `NULL_NULL` | none | 16 | 14 | 0 | 0 |
///
/// Lengths in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// `AES_CM_128_HMAC_SHA1_80`: mandatory to implement (RFC 3711 5, RFC 4568 6.2.1).
    Aes128CmSha1_80,
    /// `AES_CM_128_HMAC_SHA1_32` (RFC 4568 6.2.2): the SRTCP tag has 80 bits.
    Aes128CmSha1_32,
    /// `AES_192_CM_HMAC_SHA1_80` (RFC 6188): key derivation with AES-192 too.
    Aes192CmSha1_80,
    /// `AES_192_CM_HMAC_SHA1_32` (RFC 6188).
    Aes192CmSha1_32,
    /// `AES_256_CM_HMAC_SHA1_80` (RFC 6188): key derivation with AES-256 too.
    Aes256CmSha1_80,
    /// `AES_256_CM_HMAC_SHA1_32` (RFC 6188).
    Aes256CmSha1_32,
    /// `AEAD_AES_128_GCM` (RFC 7714).
    AeadAes128Gcm,
    /// `AEAD_AES_256_GCM` (RFC 7714).
    AeadAes256Gcm,
    /// `AEAD_AES_128_GCM_8`: [`Self::AeadAes128Gcm`] with the first 8 octets of its tag, in SRTP and SRTCP.
    ///
    /// libsrtp has it; RFC 7714 does not, since short tags of GCM are weaker than their length (NIST SP 800-38D C). No registry
    /// names it, so neither SDES nor DTLS can negotiate it: both ends must be told.
    AeadAes128Gcm8,
    /// `AEAD_AES_256_GCM_8`: [`Self::AeadAes256Gcm`] with the first 8 octets of its tag; as [`Self::AeadAes128Gcm8`].
    AeadAes256Gcm8,
    /// `NULL_HMAC_SHA1_80` (RFC 5764 4.1.2): authenticated, not encrypted.
    NullSha1_80,
    /// `NULL_HMAC_SHA1_32` (RFC 5764 4.1.2): authenticated, not encrypted.
    NullSha1_32,
    /// `NULL_NULL`: neither encrypted nor **authenticated**. Anybody on the path can forge packets, and replay protection only
    /// holds off honest duplicates. An inbound context of this profile adds no stream by itself.
    NullWithoutAuthentication,
}

/// How the body is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CipherKind {
    Null,
    AesCm,
    AesGcm,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) cipher: CipherKind,
    pub(crate) key_len: usize,
    pub(crate) salt_len: usize,
    pub(crate) srtp_tag_len: u8,
    pub(crate) srtcp_tag_len: u8,
}

const fn cm(name: &'static str, key_len: usize, srtp_tag_len: u8) -> Spec {
    Spec { name, cipher: CipherKind::AesCm, key_len, salt_len: 14, srtp_tag_len, srtcp_tag_len: 10 }
}

const fn gcm(name: &'static str, key_len: usize, tag_len: u8) -> Spec {
    Spec { name, cipher: CipherKind::AesGcm, key_len, salt_len: 12, srtp_tag_len: tag_len, srtcp_tag_len: tag_len }
}

const fn null(name: &'static str, srtp_tag_len: u8, srtcp_tag_len: u8) -> Spec {
    Spec { name, cipher: CipherKind::Null, key_len: 16, salt_len: 14, srtp_tag_len, srtcp_tag_len }
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 13] = [
        Self::Aes128CmSha1_80,
        Self::Aes128CmSha1_32,
        Self::Aes192CmSha1_80,
        Self::Aes192CmSha1_32,
        Self::Aes256CmSha1_80,
        Self::Aes256CmSha1_32,
        Self::AeadAes128Gcm,
        Self::AeadAes256Gcm,
        Self::AeadAes128Gcm8,
        Self::AeadAes256Gcm8,
        Self::NullSha1_80,
        Self::NullSha1_32,
        Self::NullWithoutAuthentication,
    ];

    pub(crate) const fn spec(self) -> Spec {
        match self {
            Self::Aes128CmSha1_80 => cm("AES_CM_128_HMAC_SHA1_80", 16, 10),
            Self::Aes128CmSha1_32 => cm("AES_CM_128_HMAC_SHA1_32", 16, 4),
            Self::Aes192CmSha1_80 => cm("AES_192_CM_HMAC_SHA1_80", 24, 10),
            Self::Aes192CmSha1_32 => cm("AES_192_CM_HMAC_SHA1_32", 24, 4),
            Self::Aes256CmSha1_80 => cm("AES_256_CM_HMAC_SHA1_80", 32, 10),
            Self::Aes256CmSha1_32 => cm("AES_256_CM_HMAC_SHA1_32", 32, 4),
            Self::AeadAes128Gcm => gcm("AEAD_AES_128_GCM", 16, 16),
            Self::AeadAes256Gcm => gcm("AEAD_AES_256_GCM", 32, 16),
            Self::AeadAes128Gcm8 => gcm("AEAD_AES_128_GCM_8", 16, 8),
            Self::AeadAes256Gcm8 => gcm("AEAD_AES_256_GCM_8", 32, 8),
            Self::NullSha1_80 => null("NULL_HMAC_SHA1_80", 10, 10),
            Self::NullSha1_32 => null("NULL_HMAC_SHA1_32", 4, 10),
            Self::NullWithoutAuthentication => null("NULL_NULL", 0, 0),
        }
    }

    /// The registered name; of a profile that no registry has, the one that is in use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.spec().name
    }

    /// Octets of the master key.
    #[must_use]
    pub const fn key_len(self) -> usize {
        self.spec().key_len
    }

    /// Octets of the master salt.
    #[must_use]
    pub const fn salt_len(self) -> usize {
        self.spec().salt_len
    }

    /// Octets of the authentication tag of SRTP packets.
    #[must_use]
    pub const fn srtp_tag_len(self) -> usize {
        self.spec().srtp_tag_len as usize
    }

    /// Octets of the authentication tag of SRTCP packets. Not always that of SRTP.
    #[must_use]
    pub const fn srtcp_tag_len(self) -> usize {
        self.spec().srtcp_tag_len as usize
    }

    /// By how many octets protection makes an RTP packet longer whose key has an MKI of `mki_len` octets: tag and MKI (RFC 3711 3.1). Not what
    /// [`Cryptex`](crate::Cryptex) adds; [`Outbound::rtp_overhead`](crate::Outbound::rtp_overhead) has that, too.
    #[must_use]
    pub const fn srtp_trailer_len(self, mki_len: usize) -> usize {
        self.srtp_tag_len() + mki_len
    }

    /// By how many octets protection makes an RTCP packet longer whose key has an MKI of `mki_len` octets: tag, E flag and index, MKI (RFC 3711 3.4).
    #[must_use]
    pub const fn srtcp_trailer_len(self, mki_len: usize) -> usize {
        self.srtcp_tag_len() + WORD_LEN + mki_len
    }

    /// Whether packets are authenticated at all.
    #[must_use]
    pub const fn is_authenticated(self) -> bool {
        self.srtp_tag_len() > 0
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A profile name that is not in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such profile: expected a name like AES_CM_128_HMAC_SHA1_80 or AEAD_AES_128_GCM")]
pub struct UnknownProfile;

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Self, UnknownProfile> {
        Self::ALL.into_iter().find(|profile| profile.name() == name).ok_or(UnknownProfile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for profile in Profile::ALL {
            assert_eq!(profile.to_string().parse(), Ok(profile));
        }
        assert_eq!("AES_CM_128".parse::<Profile>(), Err(UnknownProfile));
    }

    #[test]
    fn the_short_tag_is_srtps_alone() {
        assert_eq!((Profile::Aes128CmSha1_32.srtp_tag_len(), Profile::Aes128CmSha1_32.srtcp_tag_len()), (4, 10));
    }
}
