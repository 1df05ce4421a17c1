//! The crate `rtc-srtp` as a peer: pure Rust, with ring for GCM and HMAC.
//!
//! # Where it departs from the RFCs
//!
//! Its packets are right for the profiles that [`support`] names, SRTCP's 80-bit tags under the `_32` profiles included.
//! As a judge it has blind spots; `tests/peer_limits.rs` proves those marked with a star.
//!
//! 1. \* The first SRTCP index it sends is 1; RFC 3711 section 3.4 starts at 0. Receivers do not mind.
//! 2. \* In counter mode it accepts an SRTCP packet whose E flag is clear *without looking at the tag*: any octets pass.
//!    Under GCM it treats the flag as set whatever the packet says, so the flag is not authenticated, and an honest
//!    unencrypted packet is refused.
//! 3. \* It moves the highest sequence number (RFC 3711's `s_l`) *back* when a packet arrives late, so that a following
//!    jump of nearly 2^15 packets is placed in the wrong rollover.
//! 4. \* The first packet of a source positions the replay window before its tag is checked: a forgery can do it. The
//!    window knows 16-bit sequence numbers only, not packet indices.
//! 5. It sends the same packet index twice if asked to, which libsrtp refuses, and after SRTCP index 2^31 - 1 it goes on
//!    with index 0 under the same key, which RFC 3711 section 9.2 forbids.
//! 6. \* It finds the end of a 0xBEDE or 0x1000 header extension by adding up the elements inside, not by the length
//!    field. The two differ when an element has the one-byte ID 15 or overruns the extension: then the wrong octets are
//!    encrypted. [`crate::packets`] makes no such elements.
//! 7. Its replay window drops bits when its size is not a multiple of 64, which is why
//!    [`PeerConfig::window`](crate::PeerConfig::window) must be one.

use rtc_srtp::context::Context;
use rtc_srtp::crypto;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

use crate::{Direction, Peer, PeerConfig, PeerProfile, Protocol};

/// The name of this peer.
pub const NAME: &str = "rtc-srtp";

const NO_MKI: &str = "rtc-srtp knows no MKI";

const NO_REKEY: &str = "rtc-srtp keeps the key that a context was made with";

const NO_ROC: &str = "rtc-srtp keeps its rollover counter private";

/// Whether `rtc-srtp` handles `protocol` under `profile` as the RFCs say.
///
/// # Errors
///
/// The reason why it does not.
pub fn support(profile: PeerProfile, _protocol: Protocol) -> Result<(), &'static str> {
    // Both protocols are right wherever the profile exists: the crate's `rtcp_auth_tag_len` is 80 bits also for `_32`.
    native(profile).map(|_| ())
}

/// Whether `rtc-srtp` handles packets with an MKI.
///
/// # Errors
///
/// The reason why it does not, in every case.
pub fn mki_support(_profile: PeerProfile, _protocol: Protocol, _direction: Direction) -> Result<(), &'static str> {
    Err(NO_MKI)
}

/// Whether [`Peer::rekey`] works.
///
/// # Errors
///
/// The reason why it does not.
pub fn rekey_support() -> Result<(), &'static str> {
    Err(NO_REKEY)
}

/// Whether [`Peer::set_roc`] works.
///
/// # Errors
///
/// The reason why it does not, in every case.
pub fn roc_support(_profile: PeerProfile) -> Result<(), &'static str> {
    Err(NO_ROC)
}

fn native(profile: PeerProfile) -> Result<ProtectionProfile, &'static str> {
    match profile {
        PeerProfile::Aes128CmSha1_80 => Ok(ProtectionProfile::Aes128CmHmacSha1_80),
        PeerProfile::Aes128CmSha1_32 => Ok(ProtectionProfile::Aes128CmHmacSha1_32),
        PeerProfile::Aes256CmSha1_80 => Ok(ProtectionProfile::Aes256CmHmacSha1_80),
        PeerProfile::Aes256CmSha1_32 => Ok(ProtectionProfile::Aes256CmHmacSha1_32),
        PeerProfile::AeadAes128Gcm => Ok(ProtectionProfile::AeadAes128Gcm),
        PeerProfile::AeadAes256Gcm => Ok(ProtectionProfile::AeadAes256Gcm),
        PeerProfile::Aes192CmSha1_80 | PeerProfile::Aes192CmSha1_32 => Err("rtc-srtp has no AES-192 profile"),
        PeerProfile::AeadAes128Gcm8 | PeerProfile::AeadAes256Gcm8 => Err("rtc-srtp has no GCM tags of 8 octets"),
        PeerProfile::NullSha1_80 | PeerProfile::NullSha1_32 => Err("rtc-srtp has no NULL cipher profile"),
    }
}

/// One direction of an `rtc-srtp` session.
pub struct RtcPeer {
    context: Context,
}

impl RtcPeer {
    /// Opens a session.
    ///
    /// # Errors
    ///
    /// If a length in `config` is wrong, the profile unsupported, or an MKI given.
    pub fn new(config: &PeerConfig) -> Result<Self, String> {
        config.check()?;
        let profile = native(config.profile)?;
        if !config.mki.is_empty() {
            return Err(NO_MKI.to_owned());
        }
        if !config.encrypted_ids.is_empty() {
            return Err("rtc-srtp encrypts no header extensions".to_owned());
        }
        if config.in_the_clear.is_some() {
            return Err("rtc-srtp leaves no bodies in the clear".to_owned());
        }
        let provider = crypto::default_provider().map_err(|e| e.to_string())?;
        let context = Context::new(
            &config.key,
            &config.salt,
            profile,
            Some(srtp_replay_protection(config.window)),
            Some(srtcp_replay_protection(config.window)),
            provider.crypto(),
        )
        .map_err(|e| e.to_string())?;
        Ok(Self { context })
    }
}

impl Peer for RtcPeer {
    fn name(&self) -> &str {
        NAME
    }

    fn protect_rtp(&mut self, plain: &[u8]) -> Result<Vec<u8>, String> {
        self.context.encrypt_rtp(plain).map(Vec::from).map_err(|e| e.to_string())
    }

    fn unprotect_rtp(&mut self, wire: &[u8]) -> Result<Vec<u8>, String> {
        self.context.decrypt_rtp(wire).map(Vec::from).map_err(|e| e.to_string())
    }

    fn protect_rtcp(&mut self, plain: &[u8]) -> Result<Vec<u8>, String> {
        self.context.encrypt_rtcp(plain).map(Vec::from).map_err(|e| e.to_string())
    }

    fn unprotect_rtcp(&mut self, wire: &[u8]) -> Result<Vec<u8>, String> {
        self.context.decrypt_rtcp(wire).map(Vec::from).map_err(|e| e.to_string())
    }

    fn rekey(&mut self, _key: &[u8], _salt: &[u8], _mki: &[u8]) -> Result<(), String> {
        Err(NO_REKEY.to_owned())
    }

    fn set_roc(&mut self, _ssrc: u32, _roc: u32) -> Result<(), String> {
        Err(NO_ROC.to_owned())
    }
}
