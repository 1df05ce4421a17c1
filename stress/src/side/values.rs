//! The small values of side files: RTP or RTCP, verdicts, SSRCs, digests.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};

/// RTP or RTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// RTP.
    Rtp,
    /// RTCP.
    Rtcp,
}

/// What a receiver says about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Accepted and decrypted.
    Ok,
    /// Not a packet of the profile, by its length or header.
    Malformed,
    /// The authentication tag does not verify.
    AuthFailed,
    /// Accepted before.
    Replayed,
    /// Left of the replay window.
    TooOld,
    /// Something that no side file expects, by the name it is to be reported with.
    Other(&'static str),
}

/// An SSRC; in JSON eight hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Ssrc(pub u32);

/// A SHA-256 digest; in JSON 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Sha256Sum(#[serde(with = "hex::serde")] pub [u8; 32]);

impl Kind {
    /// The SSRC of a packet (an RTCP packet's first one), unless it is shorter than the fixed header.
    pub fn ssrc(self, packet: &[u8]) -> Option<Ssrc> {
        let ssrc = match self {
            Kind::Rtp => packet.get(8..12),
            Kind::Rtcp => packet.get(4..8),
        };
        ssrc.and_then(|ssrc| ssrc.try_into().ok()).map(|ssrc| Ssrc(u32::from_be_bytes(ssrc)))
    }
}

impl Sha256Sum {
    /// The digest of `octets`.
    pub fn of(octets: &[u8]) -> Self {
        Sha256Sum(Sha256::digest(octets).into())
    }
}

impl Verdict {
    /// The verdicts that side files know.
    const KNOWN: [Verdict; 5] =
        [Verdict::Ok, Verdict::Malformed, Verdict::AuthFailed, Verdict::Replayed, Verdict::TooOld];

    /// The verdict's name in side files.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Malformed => "malformed",
            Verdict::AuthFailed => "auth_failed",
            Verdict::Replayed => "replayed",
            Verdict::TooOld => "too_old",
            Verdict::Other(name) => name,
        }
    }
}

// By hand: the derived form would want a `'static` input for the sake of `Other`, which is never read.
impl<'de> Deserialize<'de> for Verdict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = Self::KNOWN.into_iter().find(|verdict| verdict.name() == name);
        known.ok_or_else(|| {
            D::Error::custom(format!("{name:?} is not one of {}", Self::KNOWN.map(Self::name).join(", ")))
        })
    }
}

impl TryFrom<String> for Ssrc {
    type Error = String;

    fn try_from(digits: String) -> Result<Self, String> {
        let mut ssrc = [0; 4];
        hex::decode_to_slice(&digits, &mut ssrc).map_err(|_| format!("SSRC {digits:?} is not eight hex digits"))?;
        Ok(Ssrc(u32::from_be_bytes(ssrc)))
    }
}

impl fmt::Display for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Display for Sha256Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

// In hex too, as in the side file: the derived forms would print numbers that nobody can look up there.
impl fmt::Debug for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Sha256Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Rtp => "RTP",
            Kind::Rtcp => "RTCP",
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
