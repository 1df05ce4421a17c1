//! Layouts and numbers of libsrtp2's headers, as of 2.8.

use core::ffi::{c_char, c_int, c_uchar, c_uint, c_ulong, c_void};
use keyflip::Error;

/// `srtp_err_status_t`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The call did what it was asked to.
    Ok = 0,
    /// It failed for no reason that has a number.
    Fail = 1,
    /// An argument is wrong.
    BadParam = 2,
    /// There is no room.
    AllocFail = 3,
    /// No key verified the tag.
    AuthFail = 7,
    /// The index was accepted or sent before.
    ReplayFail = 9,
    /// The index lies left of the window.
    ReplayOld = 10,
    /// Not supported here.
    NoSuchOp = 12,
    /// There is no stream, and no template to make one of.
    NoCtx = 13,
    /// The packet is not encrypted as the policy says.
    CantCheck = 14,
    /// The key is worn out.
    KeyExpired = 15,
    /// The packet is malformed.
    ParseErr = 21,
    /// The MKI names no key.
    BadMki = 25,
    /// The header is not as Cryptex wants it.
    CryptexErr = 28,
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::AuthenticationFailed => Self::AuthFail,
            Error::Replayed | Error::IndexReused => Self::ReplayFail,
            Error::TooOld | Error::IndexTooOld => Self::ReplayOld,
            Error::UnknownMki => Self::BadMki,
            Error::UnknownSsrc | Error::NoKey => Self::NoCtx,
            Error::UnencryptedSrtcp => Self::CantCheck,
            Error::KeyExpired | Error::SrtcpIndexExhausted => Self::KeyExpired,
            Error::TooManyStreams | Error::TooManyRetired => Self::AllocFail,
            Error::ElementOverrun => Self::ParseErr,
            Error::HeaderInTheClear | Error::UnknownExtensionForm => Self::CryptexErr,
            _ => Self::BadParam,
        }
    }
}

/// What protects one protocol (`srtp_crypto_policy_t`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct srtp_crypto_policy_t {
    /// [`NULL_CIPHER`], [`ICM_128`] ...
    pub cipher_type: u32,
    /// Octets of master key and master salt.
    pub cipher_key_len: c_int,
    /// [`NULL_AUTH`] or [`HMAC_SHA1`].
    pub auth_type: u32,
    /// Octets of the authentication key.
    pub auth_key_len: c_int,
    /// Octets of the tag.
    pub auth_tag_len: c_int,
    /// [`CONF`] and [`AUTH`], added up.
    pub sec_serv: c_uint,
}

/// No encryption.
pub const NULL_CIPHER: u32 = 0;
/// AES-CM with keys of 128 bits.
pub const ICM_128: u32 = 1;
/// AES-CM with keys of 192 bits.
pub const ICM_192: u32 = 4;
/// AES-CM with keys of 256 bits.
pub const ICM_256: u32 = 5;
/// AES-GCM with keys of 128 bits.
pub const GCM_128: u32 = 6;
/// AES-GCM with keys of 256 bits.
pub const GCM_256: u32 = 7;
/// No authentication, or that of AES-GCM.
pub const NULL_AUTH: u32 = 0;
/// HMAC-SHA1.
pub const HMAC_SHA1: u32 = 3;
/// Confidentiality.
pub const CONF: c_uint = 1;
/// Authentication.
pub const AUTH: c_uint = 2;

/// One SSRC, or all (`srtp_ssrc_t`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct srtp_ssrc_t {
    /// [`SPECIFIC`], [`ANY_INBOUND`] or [`ANY_OUTBOUND`].
    pub kind: u32,
    /// The SSRC, in host order.
    pub value: c_uint,
}

/// One SSRC.
pub const SPECIFIC: u32 = 1;
/// All that are received.
pub const ANY_INBOUND: u32 = 2;
/// All that are sent.
pub const ANY_OUTBOUND: u32 = 3;

/// A master key with its salt behind it, and its MKI (`srtp_master_key_t`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct srtp_master_key_t {
    /// Key and salt.
    pub key: *mut c_uchar,
    /// The MKI.
    pub mki_id: *mut c_uchar,
    /// Octets of the MKI.
    pub mki_size: c_uint,
}

/// What a stream is to be, or all that have no policy of their own (`srtp_policy_t`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct srtp_policy_t {
    /// Whose it is.
    pub ssrc: srtp_ssrc_t,
    /// For SRTP.
    pub rtp: srtp_crypto_policy_t,
    /// For SRTCP.
    pub rtcp: srtp_crypto_policy_t,
    /// The master key with its salt, or null.
    pub key: *mut c_uchar,
    /// Master keys with MKIs, or null.
    pub keys: *mut *mut srtp_master_key_t,
    /// How many.
    pub num_master_keys: c_ulong,
    /// Of no account.
    pub deprecated_ekt: *mut c_void,
    /// The replay window, in packets; 0 for 128.
    pub window_size: c_ulong,
    /// An index may be sent again.
    pub allow_repeat_tx: c_int,
    /// Ids of header extension elements that are encrypted.
    pub enc_xtn_hdr: *mut c_int,
    /// How many.
    pub enc_xtn_hdr_count: c_int,
    /// The next policy of a list.
    pub next: *mut srtp_policy_t,
}

/// An opaque session (`srtp_ctx_t`).
#[repr(C)]
#[derive(Debug)]
pub struct srtp_ctx_t {
    opaque: [u8; 0],
}

/// A session, as clients hold it: a handle that looks like a pointer.
pub type srtp_t = *mut srtp_ctx_t;

/// What an event handler is told (`srtp_event_data_t`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct srtp_event_data_t {
    /// Whose it is.
    pub session: srtp_t,
    /// The SSRC, in host order.
    pub ssrc: u32,
    /// [`COLLISION`], [`SOFT_LIMIT`], [`HARD_LIMIT`] or [`INDEX_LIMIT`].
    pub event: u32,
}

/// An SSRC is sent and received.
pub const COLLISION: u32 = 0;
/// A key is soon worn out.
pub const SOFT_LIMIT: u32 = 1;
/// A key is worn out.
pub const HARD_LIMIT: u32 = 2;
/// The SRTCP index is used up.
pub const INDEX_LIMIT: u32 = 3;

/// `srtp_event_handler_func_t`.
pub type EventHandler = unsafe extern "C" fn(*mut srtp_event_data_t);
/// `srtp_log_handler_func_t`.
pub type LogHandler = unsafe extern "C" fn(c_int, *const c_char, *mut c_void);

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;
    use core::mem::offset_of;

    #[test]
    fn layouts_are_those_of_the_header() {
        assert_eq!((size_of::<srtp_crypto_policy_t>(), size_of::<srtp_master_key_t>()), (24, 24));
        assert_eq!((size_of::<srtp_event_data_t>(), size_of::<srtp_ssrc_t>(), size_of::<Status>()), (16, 8, 4));
        assert_eq!(size_of::<srtp_policy_t>(), 128);
        let offsets = [
            offset_of!(srtp_policy_t, ssrc),
            offset_of!(srtp_policy_t, rtp),
            offset_of!(srtp_policy_t, rtcp),
            offset_of!(srtp_policy_t, key),
            offset_of!(srtp_policy_t, keys),
            offset_of!(srtp_policy_t, num_master_keys),
            offset_of!(srtp_policy_t, deprecated_ekt),
            offset_of!(srtp_policy_t, window_size),
            offset_of!(srtp_policy_t, allow_repeat_tx),
            offset_of!(srtp_policy_t, enc_xtn_hdr),
            offset_of!(srtp_policy_t, enc_xtn_hdr_count),
            offset_of!(srtp_policy_t, next),
        ];
        assert_eq!(offsets, [0, 8, 32, 56, 64, 72, 80, 88, 96, 104, 112, 120]);
    }
}
