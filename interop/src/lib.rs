//! Independent SRTP implementations as oracles, behind one trait, and random packets to feed them.
//!
//! ```text
//!   packets ──► sender: dyn Peer ──► wire octets ──► receiver: dyn Peer ──► the same packet
//!                    │                                    │
//!                    └── rtc (always)                     └── libsrtp (feature `libsrtp`)
//! ```
//!
//! A test that only pairs a library with itself cannot see a mistake made twice. The peers here share no code: [`rtc`]
//! wraps the pure Rust crate `rtc-srtp`, `libsrtp` wraps the C library, and this package's own tests first hold the two
//! against each other, octet for octet, so that an adapter's mistake is not taken for somebody else's.
//!
//! # What each peer can judge
//!
//! The table is [`PeerKind::support`]; each "no" there carries its reason.
//!
//! | profile                                  | rtc SRTP | rtc SRTCP | libsrtp SRTP | libsrtp SRTCP |
//! |------------------------------------------|----------|-----------|--------------|---------------|
//! | `AES_CM_128_HMAC_SHA1_80`, `_32`         | yes      | yes       | yes          | yes           |
//! | `AES_192_CM_HMAC_SHA1_80`, `_32`         | no       | no        | no           | no            |
//! | `AES_256_CM_HMAC_SHA1_80`, `_32`         | yes      | yes       | yes          | yes           |
//! | `AEAD_AES_128_GCM`, `AEAD_AES_256_GCM`   | yes      | yes       | yes          | yes           |
//! | `AEAD_AES_128_GCM_8`, `AEAD_AES_256_GCM_8` | no     | no        | yes          | yes           |
//! | `NULL_HMAC_SHA1_80`, `_32`               | no       | no        | yes          | yes           |
//! | with an MKI ([`PeerKind::mki_support`])  | no       | no        | yes          | but for `_32` receivers |
//! | rekeyed ([`PeerKind::rekey_support`])    | no       | no        | yes          | yes           |
//! | with a set ROC ([`PeerKind::roc_support`]) | no     | -         | not for GCM  | -             |
//!
//! Where a peer itself departs from the RFCs, its module's documentation says so, and `tests/peer_limits.rs` proves it:
//! such a peer's verdict is no evidence on that point.
//!
//! # Reading order
//!
//! This file is the vocabulary, [`packets`] the input, [`traffic`] what is made of it, [`rtc`] and `libsrtp` the
//! adapters. `tests/peers_agree.rs` holds the peers against each other, `tests/keyflip_peers.rs` Keyflip against them
//! (`tests/policies.rs`: in what policies say of single sources),
//! and `gstreamer.sh` Keyflip's examples against GStreamer. `tests/dtls_keys.rs` keys both ends from one DTLS export;
//! `sdes/` wrote the vectors of SDES.

pub mod packets;
pub mod rtc;
pub mod traffic;

#[cfg(feature = "libsrtp")]
pub mod libsrtp;

use std::fmt;

/// One direction of an SRTP session in somebody else's implementation.
///
/// Errors are text for a test's failure message; no caller is meant to branch on them.
pub trait Peer {
    /// The name of the implementation, for failure messages.
    fn name(&self) -> &str;

    /// Turns an RTP packet into an SRTP packet.
    ///
    /// # Errors
    ///
    /// What the implementation says: a malformed packet, a packet index used before.
    fn protect_rtp(&mut self, plain: &[u8]) -> Result<Vec<u8>, String>;

    /// Turns an SRTP packet back into the RTP packet.
    ///
    /// # Errors
    ///
    /// What the implementation says: a malformed packet, a wrong tag, a replay, an unknown MKI.
    fn unprotect_rtp(&mut self, wire: &[u8]) -> Result<Vec<u8>, String>;

    /// Turns an RTCP packet, compound or reduced-size, into an SRTCP packet.
    ///
    /// # Errors
    ///
    /// What the implementation says: a malformed packet, an exhausted SRTCP index.
    fn protect_rtcp(&mut self, plain: &[u8]) -> Result<Vec<u8>, String>;

    /// Turns an SRTCP packet back into the RTCP packet.
    ///
    /// # Errors
    ///
    /// What the implementation says: a malformed packet, a wrong tag, a replay, an unknown MKI.
    fn unprotect_rtcp(&mut self, wire: &[u8]) -> Result<Vec<u8>, String>;

    /// Turns a packet of either protocol into its protected form.
    ///
    /// # Errors
    ///
    /// As [`protect_rtp`](Self::protect_rtp) and [`protect_rtcp`](Self::protect_rtcp).
    fn protect(&mut self, protocol: Protocol, plain: &[u8]) -> Result<Vec<u8>, String> {
        match protocol {
            Protocol::Rtp => self.protect_rtp(plain),
            Protocol::Rtcp => self.protect_rtcp(plain),
        }
    }

    /// Turns a protected packet of either protocol back into the plain one.
    ///
    /// # Errors
    ///
    /// As [`unprotect_rtp`](Self::unprotect_rtp) and [`unprotect_rtcp`](Self::unprotect_rtcp).
    fn unprotect(&mut self, protocol: Protocol, wire: &[u8]) -> Result<Vec<u8>, String> {
        match protocol {
            Protocol::Rtp => self.unprotect_rtp(wire),
            Protocol::Rtcp => self.unprotect_rtcp(wire),
        }
    }

    /// Replaces the master key, salt and MKI; indices and rollover counters go on (RFC 3711 section 3.3.1).
    ///
    /// # Errors
    ///
    /// If the peer cannot do this ([`PeerKind::rekey_support`]), or the lengths are not the session's.
    fn rekey(&mut self, key: &[u8], salt: &[u8], mki: &[u8]) -> Result<(), String>;

    /// Sets the rollover counter of a source from which this peer has not yet seen a packet, as a late joiner does.
    ///
    /// # Errors
    ///
    /// If the peer cannot do this for its profile ([`PeerKind::roc_support`]), or not any more for this source.
    fn set_roc(&mut self, ssrc: u32, roc: u32) -> Result<(), String>;
}

/// An SRTP protection profile: cipher, authentication and tag lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PeerProfile {
    /// RFC 3711's default: AES-128 counter mode, 80-bit HMAC-SHA1 tags.
    Aes128CmSha1_80,
    /// RFC 4568: AES-128 counter mode, 32-bit tags on SRTP, 80-bit tags on SRTCP.
    Aes128CmSha1_32,
    /// RFC 6188: AES-192 counter mode, 80-bit tags.
    Aes192CmSha1_80,
    /// RFC 6188: AES-192 counter mode, 32-bit tags on SRTP, 80-bit tags on SRTCP.
    Aes192CmSha1_32,
    /// RFC 6188: AES-256 counter mode, 80-bit tags.
    Aes256CmSha1_80,
    /// RFC 6188: AES-256 counter mode, 32-bit tags on SRTP, 80-bit tags on SRTCP.
    Aes256CmSha1_32,
    /// RFC 7714: AES-128 in GCM, 128-bit tags.
    AeadAes128Gcm,
    /// RFC 7714: AES-256 in GCM, 128-bit tags.
    AeadAes256Gcm,
    /// libsrtp's own: AES-128 in GCM, 64-bit tags.
    AeadAes128Gcm8,
    /// libsrtp's own: AES-256 in GCM, 64-bit tags.
    AeadAes256Gcm8,
    /// RFC 5764: no encryption, 80-bit tags. Keyed like AES-128 counter mode.
    NullSha1_80,
    /// RFC 5764: no encryption, 32-bit tags on SRTP, 80-bit tags on SRTCP. Keyed like AES-128 counter mode.
    NullSha1_32,
}

impl PeerProfile {
    /// Every profile, whether or not a peer supports it.
    pub const ALL: [Self; 12] = [
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
    ];

    /// The crypto-suite name used in SDP security descriptions.
    ///
    /// The NULL profiles are named after their DTLS-SRTP profiles, `SRTP_` dropped: RFC 4568 has no suite for them.
    pub fn sdes_name(self) -> &'static str {
        match self {
            Self::Aes128CmSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::Aes128CmSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Self::Aes192CmSha1_80 => "AES_192_CM_HMAC_SHA1_80",
            Self::Aes192CmSha1_32 => "AES_192_CM_HMAC_SHA1_32",
            Self::Aes256CmSha1_80 => "AES_256_CM_HMAC_SHA1_80",
            Self::Aes256CmSha1_32 => "AES_256_CM_HMAC_SHA1_32",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Self::AeadAes128Gcm8 => "AEAD_AES_128_GCM_8",
            Self::AeadAes256Gcm8 => "AEAD_AES_256_GCM_8",
            Self::NullSha1_80 => "NULL_HMAC_SHA1_80",
            Self::NullSha1_32 => "NULL_HMAC_SHA1_32",
        }
    }

    /// The length of the master key in octets.
    pub fn key_len(self) -> usize {
        match self {
            Self::Aes128CmSha1_80
            | Self::Aes128CmSha1_32
            | Self::AeadAes128Gcm
            | Self::AeadAes128Gcm8
            | Self::NullSha1_80
            | Self::NullSha1_32 => 16,
            Self::Aes192CmSha1_80 | Self::Aes192CmSha1_32 => 24,
            Self::Aes256CmSha1_80 | Self::Aes256CmSha1_32 | Self::AeadAes256Gcm | Self::AeadAes256Gcm8 => 32,
        }
    }

    /// The length of the master salt in octets.
    pub fn salt_len(self) -> usize {
        if self.is_aead() { 12 } else { 14 }
    }

    /// The length in octets of the tag that authenticates one packet of `protocol`.
    pub fn tag_len(self, protocol: Protocol) -> usize {
        match (self, protocol) {
            (Self::AeadAes128Gcm | Self::AeadAes256Gcm, _) => 16,
            (Self::AeadAes128Gcm8 | Self::AeadAes256Gcm8, _) => 8,
            // RFC 5764 section 4.1.2, RFC 6188 section 4: SRTCP keeps the 80-bit tag when SRTP has the short one.
            (
                Self::Aes128CmSha1_32 | Self::Aes192CmSha1_32 | Self::Aes256CmSha1_32 | Self::NullSha1_32,
                Protocol::Rtp,
            ) => 4,
            _ => 10,
        }
    }

    /// Whether the cipher authenticates by itself, which moves the tag before the SRTCP index and the MKI.
    pub fn is_aead(self) -> bool {
        matches!(self, Self::AeadAes128Gcm | Self::AeadAes256Gcm | Self::AeadAes128Gcm8 | Self::AeadAes256Gcm8)
    }
}

impl fmt::Display for PeerProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sdes_name())
    }
}

/// Which of the two protocols of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// RTP in the clear, SRTP when protected.
    Rtp,
    /// RTCP in the clear, SRTCP when protected.
    Rtcp,
}

/// What a peer's context is for. Implementations differ in whether one context may do both, so none here does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The peer protects.
    Send,
    /// The peer unprotects.
    Receive,
}

/// All that a peer needs to know about a session.
///
/// Keys of tests, so it may be cloned; it has no `Debug`, so that no failure message habitually prints keys.
#[derive(Clone)]
pub struct PeerConfig {
    /// The protection profile.
    pub profile: PeerProfile,
    /// The master key, [`PeerProfile::key_len`] octets.
    pub key: Vec<u8>,
    /// The master salt, [`PeerProfile::salt_len`] octets.
    pub salt: Vec<u8>,
    /// The master key identifier that every packet carries; empty for none. At most 128 octets.
    pub mki: Vec<u8>,
    /// Whether the peer protects or unprotects.
    pub direction: Direction,
    /// The replay window in packets: a multiple of 64, from 64 to 16384.
    pub window: usize,
    /// The ids of the header extension elements that are encrypted (RFC 6904).
    pub encrypted_ids: Vec<u8>,
    /// The protocol whose bodies stay in the clear; they are authenticated still.
    pub in_the_clear: Option<Protocol>,
}

impl PeerConfig {
    /// The replay window of [`PeerConfig::new`], in packets.
    pub const WINDOW: usize = 1024;

    /// A session with these keys, no MKI, and a replay window of [`PeerConfig::WINDOW`] packets.
    pub fn new(profile: PeerProfile, key: &[u8], salt: &[u8], direction: Direction) -> Self {
        let (key, salt, mki, encrypted_ids) = (key.to_vec(), salt.to_vec(), Vec::new(), Vec::new());
        Self { profile, key, salt, mki, direction, window: Self::WINDOW, encrypted_ids, in_the_clear: None }
    }

    /// The same session with an MKI.
    #[must_use]
    pub fn with_mki(self, mki: &[u8]) -> Self {
        Self { mki: mki.to_vec(), ..self }
    }

    /// The same session with encrypted header extension elements.
    #[must_use]
    pub fn with_encrypted_ids(self, ids: &[u8]) -> Self {
        Self { encrypted_ids: ids.to_vec(), ..self }
    }

    /// The same session with bodies of one protocol in the clear.
    #[must_use]
    pub fn with_in_the_clear(self, protocol: Protocol) -> Self {
        Self { in_the_clear: Some(protocol), ..self }
    }

    /// The same session from the other end.
    #[must_use]
    pub fn facing(&self, direction: Direction) -> Self {
        Self { direction, ..self.clone() }
    }

    /// By how many octets protection makes a packet of `protocol` longer: tag, MKI, and the index of SRTCP.
    pub fn trailer_len(&self, protocol: Protocol) -> usize {
        let index = if protocol == Protocol::Rtcp { 4 } else { 0 };
        index + self.mki.len() + self.profile.tag_len(protocol)
    }

    /// Checks the lengths that both adapters rely on.
    fn check(&self) -> Result<(), String> {
        let (key, salt) = (self.profile.key_len(), self.profile.salt_len());
        if self.key.len() != key || self.salt.len() != salt {
            return Err(format!("{} takes a {key}-octet key and a {salt}-octet salt", self.profile));
        }
        if self.mki.len() > 128 {
            return Err("an MKI has at most 128 octets".to_owned());
        }
        if !self.window.is_multiple_of(64) || !(64..=16384).contains(&self.window) {
            return Err("the window must be a multiple of 64 from 64 to 16384".to_owned());
        }
        Ok(())
    }
}

/// The implementations that can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerKind {
    /// The crate `rtc-srtp`: Rust, with ring for GCM and HMAC.
    Rtc,
    /// libsrtp 2.3: C, with OpenSSL.
    #[cfg(feature = "libsrtp")]
    Libsrtp,
}

impl PeerKind {
    /// Every implementation that this build has.
    pub const ALL: &'static [Self] = &[
        Self::Rtc,
        #[cfg(feature = "libsrtp")]
        Self::Libsrtp,
    ];

    /// The name of the implementation, for failure messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rtc => rtc::NAME,
            #[cfg(feature = "libsrtp")]
            Self::Libsrtp => libsrtp::NAME,
        }
    }

    /// Whether the peer handles both protocols of `profile` as the RFCs say.
    pub fn supports(self, profile: PeerProfile) -> bool {
        self.support(profile, Protocol::Rtp).is_ok() && self.support(profile, Protocol::Rtcp).is_ok()
    }

    /// Whether the peer handles `protocol` under `profile` as the RFCs say.
    ///
    /// # Errors
    ///
    /// The reason why it does not.
    pub fn support(self, profile: PeerProfile, protocol: Protocol) -> Result<(), &'static str> {
        match self {
            Self::Rtc => rtc::support(profile, protocol),
            #[cfg(feature = "libsrtp")]
            Self::Libsrtp => libsrtp::support(profile, protocol),
        }
    }

    /// Whether the peer handles `protocol` under `profile` when packets carry an MKI.
    ///
    /// # Errors
    ///
    /// The reason why it does not.
    pub fn mki_support(
        self,
        profile: PeerProfile,
        protocol: Protocol,
        direction: Direction,
    ) -> Result<(), &'static str> {
        self.support(profile, protocol)?;
        match self {
            Self::Rtc => rtc::mki_support(profile, protocol, direction),
            #[cfg(feature = "libsrtp")]
            Self::Libsrtp => libsrtp::mki_support(profile, protocol, direction),
        }
    }

    /// Whether [`Peer::rekey`] works. Where it does not, a test replaces the peer by a new one.
    ///
    /// # Errors
    ///
    /// The reason why it does not.
    pub fn rekey_support(self) -> Result<(), &'static str> {
        match self {
            Self::Rtc => rtc::rekey_support(),
            #[cfg(feature = "libsrtp")]
            Self::Libsrtp => Ok(()),
        }
    }

    /// Whether [`Peer::set_roc`] works under `profile`.
    ///
    /// # Errors
    ///
    /// The reason why it does not.
    pub fn roc_support(self, profile: PeerProfile) -> Result<(), &'static str> {
        self.support(profile, Protocol::Rtp)?;
        match self {
            Self::Rtc => rtc::roc_support(profile),
            #[cfg(feature = "libsrtp")]
            Self::Libsrtp => libsrtp::roc_support(profile),
        }
    }

    /// Opens one direction of a session in this implementation.
    ///
    /// # Errors
    ///
    /// If key, salt, MKI or window have a wrong length, or if the peer does not support the profile or an MKI.
    pub fn open(self, config: &PeerConfig) -> Result<Box<dyn Peer>, String> {
        Ok(match self {
            Self::Rtc => Box::new(rtc::RtcPeer::new(config)?),
            #[cfg(feature = "libsrtp")]
            Self::Libsrtp => Box::new(libsrtp::LibsrtpPeer::new(config)?),
        })
    }
}

impl fmt::Display for PeerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
