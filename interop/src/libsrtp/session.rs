//! A session of libsrtp: its calls, in place. The invariants are those of the module above.

use std::ffi::{c_int, c_uint, c_void};
use std::ptr;
use std::sync::OnceLock;

use srtp2_sys as sys;

use super::library::{Library, Protect, Unprotect, library};
use super::{policy_setters, support};
use crate::{Direction, PeerConfig, Protocol};

/// What the library may append to a packet, in octets: `SRTP_MAX_TRAILER_LEN`, and SRTCP's index word.
pub const TRAILER: usize = sys::SRTP_MAX_TRAILER_LEN as usize + 4;

/// The alignment of a packet's first octet.
const ALIGNMENT: usize = align_of::<u32>();

/// A function of libsrtp that transforms a packet in place: session, packet, length in and out, whether there is an MKI.
enum Transform {
    /// `srtp_protect_mki` and `srtp_protect_rtcp_mki`, which also take the number of the key.
    Protect(Protect),
    /// `srtp_unprotect_mki` and `srtp_unprotect_rtcp_mki`.
    Unprotect(Unprotect),
}

/// One direction of a libsrtp session, whose sources come into being with their first packet: the library's calls, in
/// place, with nothing between.
pub struct Session {
    library: &'static Library,
    session: sys::srtp_t,
    /// The fewest octets that an SRTP packet has (invariant 4).
    least: usize,
    use_mki: bool,
}

// SAFETY: a session is heap memory that belongs to this value alone (invariant 2); the library keeps nothing of it in
// globals or thread-local storage, and OpenSSL's contexts may be used by one thread after another.
unsafe impl Send for Session {}

impl Session {
    /// Opens a session.
    ///
    /// # Errors
    ///
    /// If a length in `config` is wrong, the profile unsupported, or libsrtp refuses the policy.
    pub fn new(config: &PeerConfig) -> Result<Self, String> {
        config.check()?;
        support(config.profile, Protocol::Rtp)?;
        support(config.profile, Protocol::Rtcp)?;
        let library = initialise()?;
        let mut session: sys::srtp_t = ptr::null_mut();
        let status = with_policy(config, any_ssrc(config.direction), |policy| {
            // SAFETY: the library is initialised; `session` is a place for the new pointer; `policy` is valid during
            // this call, and the library copies or derives from it all that it keeps.
            unsafe { (library.create)(&raw mut session, policy) }
        })?;
        check("srtp_create", status)?;
        // The fixed header has 12 octets; the library itself checks what follows it.
        let least = 12 + config.profile.tag_len(Protocol::Rtp) + config.mki.len();
        Ok(Self { library, session, least, use_mki: !config.mki.is_empty() })
    }

    /// Protects the packet in the first `len` octets of `buffer`; returns its new length.
    ///
    /// # Errors
    ///
    /// What the library says. A buffer that is not aligned to 4 octets, or has less than [`TRAILER`] octets behind the
    /// packet.
    pub fn protect(&mut self, protocol: Protocol, buffer: &mut [u8], len: usize) -> Result<usize, String> {
        if buffer.len() < len.saturating_add(TRAILER) {
            return Err(format!("a packet to be protected needs {TRAILER} octets behind it"));
        }
        match protocol {
            Protocol::Rtp => self.in_place("srtp_protect", buffer, len, &Transform::Protect(self.library.protect)),
            Protocol::Rtcp => {
                self.in_place("srtp_protect_rtcp", buffer, len, &Transform::Protect(self.library.protect_rtcp))
            }
        }
    }

    /// Unprotects a packet; returns the length of the plain packet, which is its beginning.
    ///
    /// # Errors
    ///
    /// What the library says. A packet that is not aligned to 4 octets, or is too short.
    pub fn unprotect(&mut self, protocol: Protocol, packet: &mut [u8]) -> Result<usize, String> {
        let len = packet.len();
        match protocol {
            // Invariant 4.
            Protocol::Rtp if len < self.least => Err(format!("an SRTP packet has at least {} octets here", self.least)),
            Protocol::Rtp => {
                self.in_place("srtp_unprotect", packet, len, &Transform::Unprotect(self.library.unprotect))
            }
            Protocol::Rtcp => {
                self.in_place("srtp_unprotect_rtcp", packet, len, &Transform::Unprotect(self.library.unprotect_rtcp))
            }
        }
    }

    /// Replaces the master key, salt and MKI by those of `config`; indices and rollover counters go on.
    ///
    /// # Errors
    ///
    /// If a length in `config` is wrong, or the library refuses it.
    pub fn rekey(&mut self, config: &PeerConfig) -> Result<(), String> {
        config.check()?;
        let session = self.session;
        let status = with_policy(config, any_ssrc(config.direction), |policy| {
            // SAFETY: the session is live and ours alone (invariant 2); `policy` is valid during this call, and the
            // library copies or derives from it all that it keeps.
            unsafe { (self.library.update)(session, policy) }
        })?;
        check("srtp_update", status)?;
        self.least = 12 + config.profile.tag_len(Protocol::Rtp) + config.mki.len();
        self.use_mki = !config.mki.is_empty();
        Ok(())
    }

    /// Adds a source with keys and a policy of its own, beside those of all others.
    ///
    /// # Errors
    ///
    /// If a length in `config` is wrong, its profile unsupported, or the library refuses the policy.
    pub fn add_source(&mut self, ssrc: u32, config: &PeerConfig) -> Result<(), String> {
        config.check()?;
        if config.mki.is_empty() == self.use_mki {
            return Err("all sources of a session carry MKIs here, or none".to_owned());
        }
        let session = self.session;
        let source = sys::srtp_ssrc_t { type_: sys::srtp_ssrc_type_t_ssrc_specific, value: ssrc };
        let status = with_policy(config, source, |policy| {
            // SAFETY: the session is live and ours alone (invariant 2); `policy` is valid during this call, and the
            // library copies or derives from it all that it keeps.
            unsafe { (self.library.add_stream)(session, policy) }
        })?;
        check("srtp_add_stream", status)?;
        // Invariant 4, whichever source a packet is of.
        self.least = self.least.max(12 + config.profile.tag_len(Protocol::Rtp) + config.mki.len());
        Ok(())
    }

    fn in_place(&mut self, name: &str, buffer: &mut [u8], len: usize, call: &Transform) -> Result<usize, String> {
        if !buffer.as_ptr().addr().is_multiple_of(ALIGNMENT) {
            return Err(format!("{name}: a packet that is not aligned to {ALIGNMENT} octets"));
        }
        let mut octets = c_int::try_from(len).map_err(|e| e.to_string())?;
        let packet = buffer.as_mut_ptr().cast::<c_void>();
        let use_mki = c_uint::from(self.use_mki);
        let status = match call {
            // SAFETY: the session is live and ours alone (invariant 2), and has a key 0; the buffer is aligned, and
            // `protect` found `TRAILER` octets behind the `len` of the packet (invariant 3).
            Transform::Protect(call) => unsafe { call(self.session, packet, &raw mut octets, use_mki, 0) },
            // SAFETY: as above, but that nothing is written behind the packet; `unprotect` gives `srtp_unprotect_mki`
            // only packets that hold its tag and MKI (invariant 4).
            Transform::Unprotect(call) => unsafe { call(self.session, packet, &raw mut octets, use_mki) },
        };
        check(name, status)?;
        usize::try_from(octets).map_err(|e| e.to_string())
    }

    /// Whether the library has made a stream for `ssrc`.
    fn has_stream(&mut self, ssrc: u32) -> bool {
        let mut roc = 0;
        // SAFETY: the session is live and ours alone (invariant 2); `roc` is a place for the answer.
        let status = unsafe { (self.library.stream_roc)(self.session, ssrc, &raw mut roc) };
        status == sys::srtp_err_status_t_srtp_err_status_ok
    }

    pub(super) fn set_roc(&mut self, config: &PeerConfig, ssrc: u32, roc: u32) -> Result<(), String> {
        if self.has_stream(ssrc) {
            return Err("libsrtp sets the rollover counter reliably before a source's first packet only".to_owned());
        }
        // The library has no stream to set the counter of before the first packet, unless it is told of the source.
        let session = self.session;
        let source = sys::srtp_ssrc_t { type_: sys::srtp_ssrc_type_t_ssrc_specific, value: ssrc };
        let status = with_policy(config, source, |policy| {
            // SAFETY: the session is live and ours alone (invariant 2); `policy` is valid during this call, and the
            // library copies or derives from it all that it keeps.
            unsafe { (self.library.add_stream)(session, policy) }
        })?;
        check("srtp_add_stream", status)?;
        // SAFETY: the session is live and ours alone (invariant 2); the other arguments are numbers.
        let status = unsafe { (self.library.set_stream_roc)(self.session, ssrc, roc) };
        check("srtp_set_stream_roc", status)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: `srtp_create` made the session, nobody else has it, and it is not used after this (invariant 2).
        let status = unsafe { (self.library.dealloc)(self.session) };
        if let Err(error) = check("srtp_dealloc", status) {
            // There is no caller to tell, and a panic while another one unwinds would abort the test run.
            assert!(std::thread::panicking(), "{error}");
        }
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
    let policy_of = |protocol| -> Result<_, &'static str> {
        let mut policy = policy_setters(config.profile, protocol)?.policy();
        if config.in_the_clear == Some(protocol) {
            policy.sec_serv = sys::srtp_sec_serv_t_sec_serv_auth;
        }
        Ok(policy)
    };
    let (rtp, rtcp) = (policy_of(Protocol::Rtp)?, policy_of(Protocol::Rtcp)?);
    // libsrtp reads master key and salt as one string, and takes mutable pointers without writing through them.
    let mut key_and_salt = [config.key.as_slice(), config.salt.as_slice()].concat();
    let mut mki = config.mki.clone();
    let mut master_key = sys::srtp_master_key_t {
        key: key_and_salt.as_mut_ptr(),
        mki_id: mki.as_mut_ptr(),
        mki_size: c_uint::try_from(mki.len()).map_err(|e| e.to_string())?,
    };
    let mut master_keys = [&raw mut master_key];
    let mut ids: Vec<c_int> = config.encrypted_ids.iter().copied().map(c_int::from).collect();
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
        enc_xtn_hdr: if ids.is_empty() { ptr::null_mut() } else { ids.as_mut_ptr() },
        enc_xtn_hdr_count: c_int::try_from(ids.len()).map_err(|e| e.to_string())?,
        next: ptr::null_mut(),
    };
    Ok(use_policy(&raw const policy))
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

/// The library that is called, initialised the first time.
fn initialise() -> Result<&'static Library, String> {
    static STATUS: OnceLock<sys::srtp_err_status_t> = OnceLock::new();
    let library = library();
    // SAFETY: `srtp_init` takes no arguments and writes the library's globals; `OnceLock` lets one thread run it once,
    // and whoever wants a session waits here until it is done (invariant 1).
    let status = STATUS.get_or_init(|| unsafe { (library.init)() });
    check("srtp_init", *status)?;
    Ok(library)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PeerProfile;

    #[test]
    fn status_names_are_at_their_codes() {
        let named = |code: sys::srtp_err_status_t| STATUS_NAMES[usize::try_from(code).unwrap()];
        assert_eq!(named(sys::srtp_err_status_t_srtp_err_status_auth_fail), "auth_fail");
        assert_eq!(named(sys::srtp_err_status_t_srtp_err_status_replay_old), "replay_old");
        assert_eq!(named(sys::srtp_err_status_t_srtp_err_status_key_expired), "key_expired");
        assert_eq!(named(sys::srtp_err_status_t_srtp_err_status_pkt_idx_adv), "pkt_idx_adv");
    }

    #[repr(align(16))]
    struct Aligned([u8; 64 + TRAILER]);

    #[test]
    fn a_buffer_that_the_library_would_misread_or_overrun_is_refused() {
        let profile = PeerProfile::Aes128CmSha1_80;
        let config = PeerConfig::new(profile, &[1; 16], &[2; 14], Direction::Send);
        let mut session = Session::new(&config).unwrap();
        let mut buffer = Box::new(Aligned([0; 64 + TRAILER]));
        buffer.0[0] = 0x80;
        buffer.0[4] = 0x80;
        let mut protect = |buffer: &mut [u8]| session.protect(Protocol::Rtp, buffer, 20);
        assert!(protect(&mut buffer.0[2..]).unwrap_err().contains("aligned"));
        assert!(protect(&mut buffer.0[4..4 + 20 + TRAILER - 1]).unwrap_err().contains("behind"));
        assert_eq!(protect(&mut buffer.0[4..4 + 20 + TRAILER]), Ok(30));
    }
}
