//! Sessions: how they are made, and how they go.

use crate::boundary::{Outcome, call, can_put, optional, put, slice};
use crate::domain::keyflip_domain;
use crate::error::keyflip_err;
use crate::handles;
use crate::info::choose;
use crate::key::{ROCS, keyflip_key, master_key};
use crate::profile::profile;
use crate::sized::{self, Grows};
use core::time::Duration;
use keyflip::{Cryptex, Grace, HeaderKeystream, KeyLifetime, NewStreams, Session, SessionBuilder, SrtcpEncryption};

/// Names a session: both directions with one peer. A number, never a pointer: one that names nothing (any more) is an error.
pub type keyflip_session = u64;

/// SRTP payloads stay in the clear, both ways (UNENCRYPTED_SRTP, RFC 4568 6.3.2). They are authenticated still.
pub const KEYFLIP_SESSION_UNENCRYPTED_SRTP: u32 = 1;
/// SRTCP is sent unencrypted and accepted either way (UNENCRYPTED_SRTCP, RFC 4568 6.3.2). It is authenticated still.
pub const KEYFLIP_SESSION_UNENCRYPTED_SRTCP: u32 = 2;
/// Packets of SSRCs that keyflip_stream_add has not announced are refused.
pub const KEYFLIP_SESSION_STREAMS_BY_CALL: u32 = 4;
/// Replaced receiving keys are refused at once.
pub const KEYFLIP_SESSION_NO_GRACE: u32 = 8;
/// The keystream of encrypted header extensions does not go on over padding, as in libsrtp.
pub const KEYFLIP_SESSION_LIBSRTP_HEADER_KEYSTREAM: u32 = 16;
/// An index may be protected again: for retransmission of packets that are identical, octet for octet. The caller vouches for that: two different packets under
/// one index give away their payloads and, under AES-GCM, the key of authentication.
pub const KEYFLIP_SESSION_DANGEROUSLY_ALLOW_IDENTICAL_RETRANSMISSION: u32 = 32;

const FLAGS: u32 = 63;

/// What RTP headers Cryptex (RFC 9335) is used for.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum keyflip_cryptex {
    /// For none.
    Off = 0,
    /// Sent for all packets with CSRCs or a header extension; packets are taken with it and without.
    Enabled = 1,
    /// As KEYFLIP_CRYPTEX_ENABLED, and packets with CSRCs or a header extension are refused without it.
    Required = 2,
}

/// What a session is to be. Zero in any field means what is usual, so set what you need and leave the rest zero:
/// keyflip_session_config config = {.size = sizeof config, .profile = KEYFLIP_PROFILE_AES128_CM_SHA1_80, ...}.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct keyflip_session_config {
    /// sizeof(keyflip_session_config).
    pub size: usize,
    /// Whose it is; 0 is KEYFLIP_DEFAULT_DOMAIN.
    pub domain: keyflip_domain,
    /// One of enum keyflip_profile. There is no default.
    pub profile: u32,
    /// KEYFLIP_SESSION_... added up.
    pub flags: u32,
    /// Receiving keys: the first is the current one, others are added beside it. NULL for none: all packets are refused until a rekey.
    pub inbound: *const keyflip_key,
    /// How many keys there are at inbound: 0 to 16.
    pub inbound_count: usize,
    /// The sending key. NULL for none: all packets are refused until a rekey.
    pub outbound: *const keyflip_key,
    /// The SRTP replay window, in packets: 64 to 32768; 0 for 1024. Outbound, it bounds how far out of order packets may be given.
    pub replay_window: u32,
    /// The SRTCP replay window, in packets: 64 to 32768; 0 for 128.
    pub srtcp_replay_window: u32,
    /// Streams each direction holds at most, removed ones included: 1 to 2^24; 0 for 4096. A full table refuses, and never evicts.
    pub max_streams: usize,
    /// One of enum keyflip_roc, for receiving keys.
    pub inbound_roc_on_rekey: u32,
    /// KEYFLIP_ROC_DEFAULT, KEYFLIP_ROC_KEEP or KEYFLIP_ROC_RESET, for sending keys.
    pub outbound_roc_on_rekey: u32,
    /// How many replaced receiving keys are accepted for packets in flight: 1 to 15; 0 for 2. None with KEYFLIP_SESSION_NO_GRACE.
    pub grace_keys: u32,
    /// Ends the grace for a stream after so many packets of it under the new key, up to 65535; 0 for never.
    pub grace_packets: u32,
    /// Ends the grace of a key so many milliseconds after it was replaced; 0 for never.
    pub grace_ms: u64,
    /// SRTP packets a key may protect: up to 2^48; 0 for that (RFC 3711 9.2).
    pub srtp_lifetime: u64,
    /// SRTCP packets a key may protect: up to 2^31; 0 for that (RFC 3711 9.2).
    pub srtcp_lifetime: u64,
    /// Raises KEYFLIP_EVENT_KIND_KEY_NEAR_LIMIT when no more SRTP packets than these are left; 0 for never.
    pub srtp_soft_limit: u64,
    /// Raises KEYFLIP_EVENT_KIND_KEY_NEAR_LIMIT when no more SRTCP packets than these are left; 0 for never.
    pub srtcp_soft_limit: u64,
    /// Ids of header extension elements that are encrypted (RFC 6904), or NULL.
    pub encrypted_header_ids: *const u8,
    /// How many ids there are.
    pub encrypted_header_count: usize,
    /// One of enum keyflip_cryptex. Not together with encrypted_header_ids.
    pub cryptex: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: integers and pointers without padding, the first the size; any octets are valid, and null pointers say that nothing is there.
unsafe impl Grows for keyflip_session_config {}

const CRYPTEX: [(u32, Cryptex); 3] = [(0, Cryptex::Off), (1, Cryptex::Enabled), (2, Cryptex::Required)];

/// All of a configuration but its domain, profile and keys.
///
/// # Errors
///
/// [`keyflip_err::BadFlags`], [`keyflip_err::BadArgument`], [`keyflip_err::BadGrace`]; pointers.
pub(crate) fn configure(config: &keyflip_session_config, mut builder: SessionBuilder) -> Outcome<SessionBuilder> {
    let has = |flag| config.flags & flag != 0;
    if config.flags & !FLAGS != 0 {
        return Err(keyflip_err::BadFlags);
    }
    if config.reserved != 0 {
        return Err(keyflip_err::BadArgument);
    }
    if config.replay_window != 0 {
        builder = builder.replay_window(config.replay_window);
    }
    if config.srtcp_replay_window != 0 {
        builder = builder.srtcp_replay_window(config.srtcp_replay_window);
    }
    if config.max_streams != 0 {
        builder = builder.max_streams(config.max_streams);
    }
    if let Some(roc) = choose(config.inbound_roc_on_rekey, &ROCS)? {
        builder = builder.inbound_roc_on_rekey(roc);
    }
    if let Some(roc) = choose(config.outbound_roc_on_rekey, &ROCS)? {
        builder = builder.outbound_roc_on_rekey(roc);
    }
    if has(KEYFLIP_SESSION_UNENCRYPTED_SRTP) {
        builder = builder.unencrypted_srtp();
    }
    if has(KEYFLIP_SESSION_UNENCRYPTED_SRTCP) {
        builder = builder.srtcp_encryption(SrtcpEncryption::Off);
    }
    if has(KEYFLIP_SESSION_STREAMS_BY_CALL) {
        builder = builder.new_streams(NewStreams::ByCall);
    }
    if has(KEYFLIP_SESSION_LIBSRTP_HEADER_KEYSTREAM) {
        builder = builder.header_extension_keystream(HeaderKeystream::Libsrtp);
    }
    if has(KEYFLIP_SESSION_DANGEROUSLY_ALLOW_IDENTICAL_RETRANSMISSION) {
        builder = builder.dangerously_allow_identical_retransmission();
    }
    // SAFETY: the caller's word.
    let ids = unsafe { slice(config.encrypted_header_ids, config.encrypted_header_count) }?;
    if !ids.is_empty() {
        builder = builder.encrypted_header_extensions(ids);
    }
    let or = |given: u64, usual| if given == 0 { usual } else { given };
    let lifetime = KeyLifetime {
        srtp_packets: or(config.srtp_lifetime, KeyLifetime::MAX.srtp_packets),
        srtcp_packets: or(config.srtcp_lifetime, KeyLifetime::MAX.srtcp_packets),
    };
    let soft = KeyLifetime { srtp_packets: config.srtp_soft_limit, srtcp_packets: config.srtcp_soft_limit };
    let builder = builder.key_lifetime(lifetime).key_soft_limit(soft).grace(grace(config)?);
    Ok(builder.cryptex(choose(config.cryptex, &CRYPTEX)?))
}

/// # Errors
///
/// [`keyflip_err::BadGrace`]; [`keyflip_err::BadArgument`] if a grace is described that there is not to be, or for too many packets.
fn grace(config: &keyflip_session_config) -> Outcome<Grace> {
    if config.flags & KEYFLIP_SESSION_NO_GRACE != 0 {
        let described = config.grace_keys != 0 || config.grace_packets != 0 || config.grace_ms != 0;
        return if described { Err(keyflip_err::BadArgument) } else { Ok(Grace::NONE) };
    }
    let mut grace = match config.grace_keys {
        0 => Grace::DEFAULT,
        keys => Grace::keys(usize::try_from(keys).unwrap_or(usize::MAX))?,
    };
    if config.grace_packets != 0 {
        grace = grace.until_packets(u16::try_from(config.grace_packets).map_err(|_| keyflip_err::BadArgument)?);
    }
    if config.grace_ms != 0 {
        grace = grace.until_elapsed(Duration::from_millis(config.grace_ms));
    }
    Ok(grace)
}

/// Makes a session, and writes its handle to session.
///
/// The library copies what it needs of config: nothing it points to has to stay. It must be freed by keyflip_session_free.
///
/// Returns KEYFLIP_OK. Errors: KEYFLIP_ERR_NULL_POINTER, KEYFLIP_ERR_BAD_SIZE, KEYFLIP_ERR_UNKNOWN_FIELDS, KEYFLIP_ERR_BAD_FLAGS, KEYFLIP_ERR_BAD_ARGUMENT;
/// KEYFLIP_ERR_BAD_HANDLE for the domain; KEYFLIP_ERR_UNKNOWN_PROFILE; KEYFLIP_ERR_BAD_REPLAY_WINDOW, KEYFLIP_ERR_BAD_STREAM_BOUND, KEYFLIP_ERR_BAD_GRACE,
/// KEYFLIP_ERR_BAD_KEY_LIFETIME, KEYFLIP_ERR_CANNOT_PROBE, KEYFLIP_ERR_BAD_EXTENSION_ID, KEYFLIP_ERR_NO_HEADER_CIPHER, KEYFLIP_ERR_TWO_HEADER_CIPHERS; what
/// keyflip_rekey and keyflip_add_key say of keys; KEYFLIP_ERR_TOO_MANY_HANDLES.
///
/// Any thread. Some microseconds for each key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_session_new(
    config: *const keyflip_session_config,
    session: *mut keyflip_session,
) -> i32 {
    call(|| {
        can_put(session)?;
        // SAFETY: the caller's word.
        let config = unsafe { sized::read(config) }?;
        let mut builder = configure(&config, Session::builder(profile(config.profile)?))?;
        // SAFETY: the caller's word.
        for key in unsafe { slice(config.inbound, config.inbound_count) }? {
            builder = builder.inbound(master_key(key)?);
        }
        // SAFETY: the caller's word.
        if let Some(key) = unsafe { optional(config.outbound) }? {
            builder = builder.outbound(master_key(key)?);
        }
        let made = builder.build(&handles::domain(config.domain)?)?;
        // SAFETY: the caller's word.
        unsafe { put(session, handles::add_session(made, config.domain)?) }?;
        Ok(0)
    })
}

/// Frees a session. Calls that other threads are inside of end as if it were still there; later ones return KEYFLIP_ERR_BAD_HANDLE. Its keys are wiped as soon
/// as the last thread has left it.
///
/// Returns KEYFLIP_OK; KEYFLIP_ERR_BAD_HANDLE if it was freed before, or never was. Any thread; does not wait.
#[unsafe(no_mangle)]
pub extern "C" fn keyflip_session_free(session: keyflip_session) -> i32 {
    call(|| handles::remove_session(session).map(|()| 0))
}
