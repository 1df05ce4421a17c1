//! libsrtp 2.3, the C library, as a peer; built from the sources in `srtp2-sys`, with OpenSSL underneath.
//!
//! All of this package's `unsafe` is here. It rests on these invariants:
//!
//! 1. The library is initialised once, by `initialise`, before any session exists, and never shut down. Its globals
//!    (lists of algorithms, debug switches, handlers) are written by that call only, so that sessions on different
//!    threads do not meet.
//! 2. [`LibsrtpPeer`] owns its session: the pointer came from `srtp_create`, nobody else has it, calls on it need
//!    `&mut self`, and `srtp_dealloc` gets it once, in `Drop`. The type is neither `Send` nor `Sync`.
//! 3. Packets are processed in a `Buffer`, aligned for the 32-bit words as which the library reads headers, with room
//!    behind the packet for the longest trailer that the library may write, which is `TRAILER` octets.
//! 4. The library subtracts tag and MKI from an SRTP packet's length before it knows that they fit, and then runs
//!    past the packet; [`LibsrtpPeer::unprotect_rtp`] refuses such packets first.
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

use std::ffi::{c_int, c_uint, c_void};
use std::ptr;
use std::sync::OnceLock;

use srtp2_sys as sys;

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
        (PeerProfile::NullSha1_32, Protocol::Rtp) => PolicySource::null(4),
        (PeerProfile::NullSha1_80, _) | (PeerProfile::NullSha1_32, Protocol::Rtcp) => PolicySource::null(10),
        (PeerProfile::Aes192CmSha1_80 | PeerProfile::Aes192CmSha1_32, _) => {
            return Err("libsrtp 2.3 derives AES-192 keys with AES-256");
        }
    })
}

/// The names of libsrtp's status codes, by their numbers in `srtp.h`.
const STATUS_NAMES: [&str; 28] = [
    "ok",
    "fail",
    "bad_param",
    "alloc_fail",
    "dealloc_fail",
    "init_fail",
    "terminus",
    "auth_fail",
    "cipher_fail",
    "replay_fail",
    "replay_old",
    "algo_fail",
    "no_such_op",
    "no_ctx",
    "cant_check",
    "key_expired",
    "socket_err",
    "signal_err",
    "nonce_bad",
    "read_fail",
    "write_fail",
    "parse_err",
    "encode_err",
    "semaphore_err",
    "pfkey_err",
    "bad_mki",
    "pkt_idx_old",
    "pkt_idx_adv",
];

fn check(call: &str, status: sys::srtp_err_status_t) -> Result<(), String> {
    if status == sys::srtp_err_status_t_srtp_err_status_ok {
        return Ok(());
    }
    let name = usize::try_from(status).ok().and_then(|code| STATUS_NAMES.get(code));
    Err(format!("{call}: {} ({status})", name.copied().unwrap_or("unknown status")))
}

/// Initialises the library, the first time it is called.
fn initialise() -> Result<(), String> {
    static STATUS: OnceLock<sys::srtp_err_status_t> = OnceLock::new();
    // SAFETY: `srtp_init` takes no arguments and writes the library's globals; `OnceLock` lets one thread run it once,
    // and whoever wants a session waits here until it is done (invariant 1).
    let status = STATUS.get_or_init(|| unsafe { sys::srtp_init() });
    check("srtp_init", *status)
}

/// What the library may append to a packet: `SRTP_MAX_TRAILER_LEN`, and SRTCP's index word.
const TRAILER: usize = sys::SRTP_MAX_TRAILER_LEN as usize + 4;

/// The longest packet that is accepted for processing.
const MAX_PACKET: usize = 1 << 16;

/// Room for one packet and its trailer (invariant 3).
#[repr(C, align(16))]
struct Buffer([u8; MAX_PACKET + TRAILER]);

/// A function of libsrtp that transforms a packet in place: session, packet, length in and out, whether there is an MKI.
enum Transform {
    /// `srtp_protect_mki` and `srtp_protect_rtcp_mki`, which also take the number of the key.
    Protect(unsafe extern "C" fn(sys::srtp_t, *mut c_void, *mut c_int, c_uint, c_uint) -> sys::srtp_err_status_t),
    /// `srtp_unprotect_mki` and `srtp_unprotect_rtcp_mki`.
    Unprotect(unsafe extern "C" fn(sys::srtp_t, *mut c_void, *mut c_int, c_uint) -> sys::srtp_err_status_t),
}

/// One direction of a libsrtp session, whose sources come into being with their first packet.
pub struct LibsrtpPeer {
    session: sys::srtp_t,
    config: PeerConfig,
    buffer: Box<Buffer>,
}

impl LibsrtpPeer {
    /// Opens a session.
    ///
    /// # Errors
    ///
    /// If a length in `config` is wrong, the profile unsupported, or libsrtp refuses the policy.
    pub fn new(config: &PeerConfig) -> Result<Self, String> {
        config.check()?;
        support(config.profile, Protocol::Rtp)?;
        support(config.profile, Protocol::Rtcp)?;
        initialise()?;
        let mut session: sys::srtp_t = ptr::null_mut();
        let status = with_policy(config, any_ssrc(config.direction), |policy| {
            // SAFETY: the library is initialised; `session` is a place for the new pointer; `policy` is valid during
            // this call, and the library copies or derives from it all that it keeps.
            unsafe { sys::srtp_create(&raw mut session, policy) }
        })?;
        check("srtp_create", status)?;
        let buffer = Box::new(Buffer([0; MAX_PACKET + TRAILER]));
        Ok(Self { session, config: config.clone(), buffer })
    }

    /// Runs `transform` over a copy of `packet`.
    fn in_place(&mut self, name: &str, packet: &[u8], transform: Transform) -> Result<Vec<u8>, String> {
        if packet.len() > MAX_PACKET {
            return Err(format!("{name}: a packet of more than {MAX_PACKET} octets"));
        }
        let mut len = c_int::try_from(packet.len()).map_err(|e| e.to_string())?;
        self.buffer.0[..packet.len()].copy_from_slice(packet);
        let octets = (&raw mut self.buffer.0).cast::<c_void>();
        let use_mki = c_uint::from(!self.config.mki.is_empty());
        let status = match transform {
            // SAFETY: the session is live and ours alone (invariant 2), and has a key 0; the buffer is aligned to 16,
            // holds the `len` octets and `TRAILER` more (invariant 3).
            Transform::Protect(call) => unsafe { call(self.session, octets, &raw mut len, use_mki, 0) },
            // SAFETY: as above; `srtp_unprotect_mki` gets only packets that hold its tag and MKI (invariant 4).
            Transform::Unprotect(call) => unsafe { call(self.session, octets, &raw mut len, use_mki) },
        };
        check(name, status)?;
        let len = usize::try_from(len).map_err(|e| e.to_string())?;
        self.buffer.0.get(..len).map(<[u8]>::to_vec).ok_or_else(|| format!("{name}: a length of {len} octets"))
    }

    /// Whether the library has made a stream for `ssrc`.
    fn has_stream(&mut self, ssrc: u32) -> bool {
        let mut roc = 0;
        // SAFETY: the session is live and ours alone (invariant 2); `roc` is a place for the answer.
        let status = unsafe { sys::srtp_get_stream_roc(self.session, ssrc, &raw mut roc) };
        status == sys::srtp_err_status_t_srtp_err_status_ok
    }
}

/// The sources that a policy for all of them names.
fn any_ssrc(direction: Direction) -> sys::srtp_ssrc_t {
    let type_ = match direction {
        Direction::Send => sys::srtp_ssrc_type_t_ssrc_any_outbound,
        Direction::Receive => sys::srtp_ssrc_type_t_ssrc_any_inbound,
    };
    sys::srtp_ssrc_t { type_, value: 0 }
}

/// Calls `use_policy` with a policy for `ssrc` made of `config`. The pointer is valid during the call only.
fn with_policy(
    config: &PeerConfig,
    ssrc: sys::srtp_ssrc_t,
    use_policy: impl FnOnce(*const sys::srtp_policy_t) -> sys::srtp_err_status_t,
) -> Result<sys::srtp_err_status_t, String> {
    let rtp = policy_setters(config.profile, Protocol::Rtp)?.policy();
    let rtcp = policy_setters(config.profile, Protocol::Rtcp)?.policy();
    // libsrtp reads master key and salt as one string, and takes mutable pointers without writing through them.
    let mut key_and_salt = [config.key.as_slice(), config.salt.as_slice()].concat();
    let mut mki = config.mki.clone();
    let mut master_key = sys::srtp_master_key_t {
        key: key_and_salt.as_mut_ptr(),
        mki_id: mki.as_mut_ptr(),
        mki_size: c_uint::try_from(mki.len()).map_err(|e| e.to_string())?,
    };
    let mut master_keys = [&raw mut master_key];
    let policy = sys::srtp_policy_t {
        ssrc,
        rtp,
        rtcp,
        key: ptr::null_mut(),
        keys: master_keys.as_mut_ptr(),
        num_master_keys: 1,
        ekt: ptr::null_mut(),
        window_size: config.window.try_into().map_err(|_| "the window is too large".to_owned())?,
        allow_repeat_tx: 0,
        enc_xtn_hdr: ptr::null_mut(),
        enc_xtn_hdr_count: 0,
        next: ptr::null_mut(),
    };
    Ok(use_policy(&raw const policy))
}

impl Peer for LibsrtpPeer {
    fn name(&self) -> &str {
        NAME
    }

    fn protect_rtp(&mut self, plain: &[u8]) -> Result<Vec<u8>, String> {
        self.in_place("srtp_protect", plain, Transform::Protect(sys::srtp_protect_mki))
    }

    fn unprotect_rtp(&mut self, wire: &[u8]) -> Result<Vec<u8>, String> {
        // Invariant 4. The fixed header has 12 octets; the library itself checks what follows it.
        let least = 12 + self.config.profile.tag_len(Protocol::Rtp) + self.config.mki.len();
        if wire.len() < least {
            return Err(format!("an SRTP packet has at least {least} octets here"));
        }
        self.in_place("srtp_unprotect", wire, Transform::Unprotect(sys::srtp_unprotect_mki))
    }

    fn protect_rtcp(&mut self, plain: &[u8]) -> Result<Vec<u8>, String> {
        self.in_place("srtp_protect_rtcp", plain, Transform::Protect(sys::srtp_protect_rtcp_mki))
    }

    fn unprotect_rtcp(&mut self, wire: &[u8]) -> Result<Vec<u8>, String> {
        self.in_place("srtp_unprotect_rtcp", wire, Transform::Unprotect(sys::srtp_unprotect_rtcp_mki))
    }

    fn rekey(&mut self, key: &[u8], salt: &[u8], mki: &[u8]) -> Result<(), String> {
        let config = PeerConfig { key: key.to_vec(), salt: salt.to_vec(), mki: mki.to_vec(), ..self.config.clone() };
        config.check()?;
        let session = self.session;
        let status = with_policy(&config, any_ssrc(config.direction), |policy| {
            // SAFETY: the session is live and ours alone (invariant 2); `policy` is valid during this call, and the
            // library copies or derives from it all that it keeps.
            unsafe { sys::srtp_update(session, policy) }
        })?;
        check("srtp_update", status)?;
        self.config = config;
        Ok(())
    }

    fn set_roc(&mut self, ssrc: u32, roc: u32) -> Result<(), String> {
        roc_support(self.config.profile)?;
        if self.has_stream(ssrc) {
            return Err("libsrtp sets the rollover counter reliably before a source's first packet only".to_owned());
        }
        // The library has no stream to set the counter of before the first packet, unless it is told of the source.
        let session = self.session;
        let source = sys::srtp_ssrc_t { type_: sys::srtp_ssrc_type_t_ssrc_specific, value: ssrc };
        let status = with_policy(&self.config, source, |policy| {
            // SAFETY: the session is live and ours alone (invariant 2); `policy` is valid during this call, and the
            // library copies or derives from it all that it keeps.
            unsafe { sys::srtp_add_stream(session, policy) }
        })?;
        check("srtp_add_stream", status)?;
        // SAFETY: the session is live and ours alone (invariant 2); the other arguments are numbers.
        let status = unsafe { sys::srtp_set_stream_roc(self.session, ssrc, roc) };
        check("srtp_set_stream_roc", status)
    }
}

impl Drop for LibsrtpPeer {
    fn drop(&mut self) {
        // SAFETY: `srtp_create` made the session, nobody else has it, and it is not used after this (invariant 2).
        let status = unsafe { sys::srtp_dealloc(self.session) };
        if let Err(error) = check("srtp_dealloc", status) {
            // There is no caller to tell, and a panic while another one unwinds would abort the test run.
            assert!(std::thread::panicking(), "{error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_names_are_at_their_codes() {
        let named = |code: sys::srtp_err_status_t| STATUS_NAMES[usize::try_from(code).unwrap()];
        assert_eq!(named(sys::srtp_err_status_t_srtp_err_status_auth_fail), "auth_fail");
        assert_eq!(named(sys::srtp_err_status_t_srtp_err_status_replay_old), "replay_old");
        assert_eq!(named(sys::srtp_err_status_t_srtp_err_status_key_expired), "key_expired");
        assert_eq!(named(sys::srtp_err_status_t_srtp_err_status_pkt_idx_adv), "pkt_idx_adv");
    }

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
