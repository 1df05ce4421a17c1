//! libsrtp 2.3, the C library, as a peer; built from the sources in `srtp2-sys`, with OpenSSL underneath. ([`load`] puts
//! another libsrtp 2 in its place, to measure it; the tests judge by 2.3.)
//!
//! All of this package's `unsafe` is here and in the modules below. It rests on these invariants:
//!
//! 1. The library is initialised once, by `initialise`, before any session exists, and never shut down. Its globals
//!    (lists of algorithms, debug switches, handlers) are written by that call only, so that sessions on different
//!    threads do not meet.
//! 2. [`Session`] owns what it points to: the pointer came from `srtp_create`, nobody else has it, calls on it need
//!    `&mut self`, and `srtp_dealloc` gets it once, in `Drop`. Sessions share nothing that changes, and neither the
//!    library nor OpenSSL ties them to a thread, so they are `Send`.
//! 3. Packets are processed in buffers aligned for the 32-bit words as which the library reads headers, with room
//!    behind the packet for the longest trailer that the library may write, which is [`TRAILER`] octets;
//!    [`Session`] checks both.
//!    Library functions are called by the table of `libsrtp/library.rs`, which is of one library and filled once.
//! 4. The library subtracts tag and MKI from an SRTP packet's length before it knows that they fit, and then runs
//!    past the packet; [`Session::unprotect`] refuses such packets first.
//!
//! # Where it departs from the RFCs
//!
//! `tests/peer_limits.rs` proves those marked with a star.
//!
//! 1. \* The first SRTCP index it sends is 1; RFC 3711 section 3.4 starts at 0. Receivers do not mind.
//! 2. AES-192: it derives session keys as for AES-256 from a master key padded with zeros, so the AES-192 profiles are
//!    declared unsupported.
//! 3. Its NULL cipher policy states a key length of zero, which derives the authentication key from an all-zero master
//!    key. The adapter states the length of an AES-128 key and salt, which gives RFC 3711's derivation, and adds
//!    the `_32` profile, which the library lacks.
//! 4. \* An MKI in an SRTCP packet is looked for in front of a tag of SRTP's length, so it is never found under the
//!    `_32` profiles; [`mki_support`] says so.
//! 5. \* `srtp_set_stream_roc` has no effect on GCM packets sent, and sticks for ever on those received; on streams that
//!    already run it may stick in counter mode, too. [`roc_support`] excludes GCM, and
//!    [`set_roc`](crate::Peer::set_roc) sources already seen.
//! 6. \* The replay window of SRTCP is 128 packets, whatever the configuration.
//! 7. \* In counter mode it refuses an SRTCP packet whose E flag is clear, authentic or not; under the NULL profiles it
//!    sends the flag clear and refuses it set. Under GCM it goes by the flag.
//! 8. \* While the highest index of a source is at most 2^15 it places every sequence number in rollover 0, where
//!    RFC 3711's estimate can also be rollover -1: it accepts a jump of more than 2^15 then.
//! 9. \* It does not look at the version of a packet, and protects and unprotects any.
//! 10. \* A rekey forgets which RTP packets of a source were sent or accepted, and remembers the highest alone.
//! 11. It encrypts elements of header extensions of the one-byte form alone, and refuses packets with any other
//!     extension where it is to encrypt some; over padding between elements its keystream stands still, where
//!     RFC 6904's goes on. `tests/keyflip_peers.rs` proves it.

mod library;
mod session;

use std::ffi::c_int;

use srtp2_sys as sys;

pub use library::{load, versions};
pub use session::{Session, TRAILER};

use crate::{Direction, Peer, PeerConfig, PeerProfile, Protocol};

/// The name of this peer.
pub const NAME: &str = "libsrtp";

/// Whether libsrtp handles `protocol` under `profile` as the RFCs say.
///
/// # Errors
///
/// The reason why it does not.
pub fn support(profile: PeerProfile, protocol: Protocol) -> Result<(), &'static str> {
    policy_setters(profile, protocol).map(|_| ())
}

/// Whether libsrtp handles `protocol` under `profile` when packets carry an MKI.
///
/// # Errors
///
/// The reason why it does not.
pub fn mki_support(profile: PeerProfile, protocol: Protocol, direction: Direction) -> Result<(), &'static str> {
    let same_tag = profile.tag_len(Protocol::Rtp) == profile.tag_len(Protocol::Rtcp);
    if protocol == Protocol::Rtcp && direction == Direction::Receive && !same_tag {
        return Err("libsrtp looks for SRTCP's MKI in front of a tag of SRTP's length");
    }
    Ok(())
}

/// Whether [`Peer::set_roc`] works under `profile`.
///
/// # Errors
///
/// The reason why it does not.
pub fn roc_support(profile: PeerProfile) -> Result<(), &'static str> {
    if profile.is_aead() { Err("libsrtp does not apply a set rollover counter to GCM") } else { Ok(()) }
}

/// A function of libsrtp that fills in a policy.
type PolicySetter = unsafe extern "C" fn(*mut sys::srtp_crypto_policy_t);

/// libsrtp's own policy for a protocol, and what it needs to be changed in.
struct PolicySource {
    setter: PolicySetter,
    /// Replaces the policy's key length, which includes the salt.
    key_len: Option<c_int>,
    /// Replaces the policy's tag length.
    tag_len: Option<c_int>,
}

impl PolicySource {
    fn of(setter: PolicySetter) -> Self {
        Self { setter, key_len: None, tag_len: None }
    }

    /// The NULL cipher with what it takes to derive the authentication key as RFC 3711 says.
    fn null(tag_len: c_int) -> Self {
        // An AES-128 key and its salt: 16 + 14 octets.
        Self { setter: sys::srtp_crypto_policy_set_null_cipher_hmac_sha1_80, key_len: Some(30), tag_len: Some(tag_len) }
    }

    fn policy(&self) -> sys::srtp_crypto_policy_t {
        let mut policy = sys::srtp_crypto_policy_t {
            cipher_type: 0,
            cipher_key_len: 0,
            auth_type: 0,
            auth_key_len: 0,
            auth_tag_len: 0,
            sec_serv: sys::srtp_sec_serv_t_sec_serv_none,
        };
        // SAFETY: `setter` is one of libsrtp's `srtp_crypto_policy_set_*` functions, as `policy_setters` and `null`
        // alone make this type; each writes the fields of the policy that it is given a pointer to, and nothing else.
        unsafe { (self.setter)(&raw mut policy) };
        policy.cipher_key_len = self.key_len.unwrap_or(policy.cipher_key_len);
        policy.auth_tag_len = self.tag_len.unwrap_or(policy.auth_tag_len);
        policy
    }
}

/// Where the policy for `protocol` under `profile` comes from.
fn policy_setters(profile: PeerProfile, protocol: Protocol) -> Result<PolicySource, &'static str> {
    Ok(match (profile, protocol) {
        (PeerProfile::Aes128CmSha1_32, Protocol::Rtp) => {
            PolicySource::of(sys::srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32)
        }
        (PeerProfile::Aes128CmSha1_80, Protocol::Rtp) => PolicySource::of(sys::srtp_crypto_policy_set_rtp_default),
        (PeerProfile::Aes128CmSha1_80 | PeerProfile::Aes128CmSha1_32, Protocol::Rtcp) => {
            PolicySource::of(sys::srtp_crypto_policy_set_rtcp_default)
        }
        (PeerProfile::Aes256CmSha1_32, Protocol::Rtp) => {
            PolicySource::of(sys::srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32)
        }
        (PeerProfile::Aes256CmSha1_80, _) | (PeerProfile::Aes256CmSha1_32, Protocol::Rtcp) => {
            PolicySource::of(sys::srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80)
        }
        (PeerProfile::AeadAes128Gcm, _) => PolicySource::of(sys::srtp_crypto_policy_set_aes_gcm_128_16_auth),
        (PeerProfile::AeadAes256Gcm, _) => PolicySource::of(sys::srtp_crypto_policy_set_aes_gcm_256_16_auth),
        (PeerProfile::AeadAes128Gcm8, _) => PolicySource::of(sys::srtp_crypto_policy_set_aes_gcm_128_8_auth),
        (PeerProfile::AeadAes256Gcm8, _) => PolicySource::of(sys::srtp_crypto_policy_set_aes_gcm_256_8_auth),
        (PeerProfile::NullSha1_32, Protocol::Rtp) => PolicySource::null(4),
        (PeerProfile::NullSha1_80, _) | (PeerProfile::NullSha1_32, Protocol::Rtcp) => PolicySource::null(10),
        (PeerProfile::Aes192CmSha1_80 | PeerProfile::Aes192CmSha1_32, _) => {
            return Err("libsrtp 2.3 derives AES-192 keys with AES-256");
        }
    })
}

/// The longest packet that a [`LibsrtpPeer`] accepts for processing.
const MAX_PACKET: usize = 1 << 16;

/// Room for one packet and its trailer (invariant 3).
#[repr(C, align(16))]
struct Buffer([u8; MAX_PACKET + TRAILER]);

/// A [`Session`] as a [`Peer`]: it copies packets in and out.
pub struct LibsrtpPeer {
    session: Session,
    config: PeerConfig,
    buffer: Box<Buffer>,
}

impl LibsrtpPeer {
    /// Opens a session.
    ///
    /// # Errors
    ///
    /// As [`Session::new`].
    pub fn new(config: &PeerConfig) -> Result<Self, String> {
        let session = Session::new(config)?;
        Ok(Self { session, config: config.clone(), buffer: Box::new(Buffer([0; MAX_PACKET + TRAILER])) })
    }

    /// Adds a source with keys and a policy of its own.
    ///
    /// # Errors
    ///
    /// As [`Session::add_source`].
    pub fn add_source(&mut self, ssrc: u32, config: &PeerConfig) -> Result<(), String> {
        self.session.add_source(ssrc, config)
    }

    /// Takes a copy of `packet` into the buffer.
    fn load(&mut self, packet: &[u8]) -> Result<(), String> {
        let place = self.buffer.0.get_mut(..packet.len()).filter(|place| place.len() <= MAX_PACKET);
        place.ok_or_else(|| format!("a packet of more than {MAX_PACKET} octets"))?.copy_from_slice(packet);
        Ok(())
    }

    fn protected(&mut self, protocol: Protocol, plain: &[u8]) -> Result<Vec<u8>, String> {
        self.load(plain)?;
        let len = self.session.protect(protocol, &mut self.buffer.0, plain.len())?;
        self.copy_of(len)
    }

    fn unprotected(&mut self, protocol: Protocol, wire: &[u8]) -> Result<Vec<u8>, String> {
        self.load(wire)?;
        let len = self.session.unprotect(protocol, &mut self.buffer.0[..wire.len()])?;
        self.copy_of(len)
    }

    fn copy_of(&self, len: usize) -> Result<Vec<u8>, String> {
        self.buffer.0.get(..len).map(<[u8]>::to_vec).ok_or_else(|| format!("a length of {len} octets"))
    }
}

impl Peer for LibsrtpPeer {
    fn name(&self) -> &str {
        NAME
    }

    fn protect_rtp(&mut self, plain: &[u8]) -> Result<Vec<u8>, String> {
        self.protected(Protocol::Rtp, plain)
    }

    fn unprotect_rtp(&mut self, wire: &[u8]) -> Result<Vec<u8>, String> {
        self.unprotected(Protocol::Rtp, wire)
    }

    fn protect_rtcp(&mut self, plain: &[u8]) -> Result<Vec<u8>, String> {
        self.protected(Protocol::Rtcp, plain)
    }

    fn unprotect_rtcp(&mut self, wire: &[u8]) -> Result<Vec<u8>, String> {
        self.unprotected(Protocol::Rtcp, wire)
    }

    fn rekey(&mut self, key: &[u8], salt: &[u8], mki: &[u8]) -> Result<(), String> {
        let config = PeerConfig { key: key.to_vec(), salt: salt.to_vec(), mki: mki.to_vec(), ..self.config.clone() };
        self.session.rekey(&config)?;
        self.config = config;
        Ok(())
    }

    fn set_roc(&mut self, ssrc: u32, roc: u32) -> Result<(), String> {
        roc_support(self.config.profile)?;
        self.session.set_roc(&self.config, ssrc, roc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policys_tags_and_keys_have_the_profiles_lengths() {
        for profile in PeerProfile::ALL {
            for protocol in [Protocol::Rtp, Protocol::Rtcp] {
                let Ok(source) = policy_setters(profile, protocol) else { continue };
                let policy = source.policy();
                assert_eq!(usize::try_from(policy.auth_tag_len), Ok(profile.tag_len(protocol)), "{profile}");
                let key_and_salt = profile.key_len() + profile.salt_len();
                assert_eq!(usize::try_from(policy.cipher_key_len), Ok(key_and_salt), "{profile}");
            }
        }
    }
}
