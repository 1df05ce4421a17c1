//! Policies by name.

use crate::abi::*;
use core::ffi::{c_int, c_uint};

const fn policy(
    cipher_type: u32,
    cipher_key_len: c_int,
    auth: bool,
    auth_tag_len: c_int,
    sec_serv: c_uint,
) -> srtp_crypto_policy_t {
    let (auth_type, auth_key_len) = if auth { (HMAC_SHA1, 20) } else { (NULL_AUTH, 0) };
    srtp_crypto_policy_t { cipher_type, cipher_key_len, auth_type, auth_key_len, auth_tag_len, sec_serv }
}

const BOTH: c_uint = CONF | AUTH;

fn set(place: *mut srtp_crypto_policy_t, policy: srtp_crypto_policy_t) {
    // SAFETY: null, or a place that the caller may write.
    if let Some(place) = unsafe { place.as_mut() } {
        *place = policy;
    }
}

macro_rules! setters {
    ($($name:ident: $policy:expr, $doc:literal;)+) => {
        $(
            #[doc = $doc]
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name(policy: *mut srtp_crypto_policy_t) {
                set(policy, $policy);
            }
        )+
    };
}

setters! {
    srtp_crypto_policy_set_rtp_default: policy(ICM_128, 30, true, 10, BOTH), "AES_CM_128_HMAC_SHA1_80.";
    srtp_crypto_policy_set_rtcp_default: policy(ICM_128, 30, true, 10, BOTH), "AES_CM_128_HMAC_SHA1_80.";
    srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32: policy(ICM_128, 30, true, 4, BOTH), "AES_CM_128_HMAC_SHA1_32: for SRTP only.";
    srtp_crypto_policy_set_aes_cm_128_null_auth: policy(ICM_128, 30, false, 0, CONF), "AES_CM_128 without authentication.";
    srtp_crypto_policy_set_null_cipher_hmac_sha1_80: policy(NULL_CIPHER, 30, true, 10, AUTH), "NULL_HMAC_SHA1_80.";
    srtp_crypto_policy_set_null_cipher_hmac_null: policy(NULL_CIPHER, 30, false, 0, 0), "Neither encrypted nor authenticated.";
    srtp_crypto_policy_set_aes_cm_192_hmac_sha1_80: policy(ICM_192, 38, true, 10, BOTH), "AES_192_CM_HMAC_SHA1_80.";
    srtp_crypto_policy_set_aes_cm_192_hmac_sha1_32: policy(ICM_192, 38, true, 4, BOTH), "AES_192_CM_HMAC_SHA1_32: for SRTP only.";
    srtp_crypto_policy_set_aes_cm_192_null_auth: policy(ICM_192, 38, false, 0, CONF), "AES_192_CM without authentication.";
    srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80: policy(ICM_256, 46, true, 10, BOTH), "AES_256_CM_HMAC_SHA1_80.";
    srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32: policy(ICM_256, 46, true, 4, BOTH), "AES_256_CM_HMAC_SHA1_32: for SRTP only.";
    srtp_crypto_policy_set_aes_cm_256_null_auth: policy(ICM_256, 46, false, 0, CONF), "AES_256_CM without authentication.";
    srtp_crypto_policy_set_aes_gcm_128_8_auth: policy(GCM_128, 28, false, 8, BOTH), "AES-GCM with a tag of 8 octets.";
    srtp_crypto_policy_set_aes_gcm_256_8_auth: policy(GCM_256, 44, false, 8, BOTH), "AES-GCM with a tag of 8 octets.";
    srtp_crypto_policy_set_aes_gcm_128_8_only_auth: policy(GCM_128, 28, false, 8, AUTH), "The same, unencrypted: for SRTCP.";
    srtp_crypto_policy_set_aes_gcm_256_8_only_auth: policy(GCM_256, 44, false, 8, AUTH), "The same, unencrypted: for SRTCP.";
    srtp_crypto_policy_set_aes_gcm_128_16_auth: policy(GCM_128, 28, false, 16, BOTH), "AEAD_AES_128_GCM.";
    srtp_crypto_policy_set_aes_gcm_256_16_auth: policy(GCM_256, 44, false, 16, BOTH), "AEAD_AES_256_GCM.";
}

/// The policies of a DTLS-SRTP profile, for SRTP and for SRTCP, and octets of its master key and salt.
fn of_profile(profile: u32) -> Option<(srtp_crypto_policy_t, srtp_crypto_policy_t, c_uint, c_uint)> {
    let sha1 = |tag| policy(ICM_128, 30, true, tag, BOTH);
    let (null, gcm_128, gcm_256) = (
        policy(NULL_CIPHER, 30, true, 10, AUTH),
        policy(GCM_128, 28, false, 16, BOTH),
        policy(GCM_256, 44, false, 16, BOTH),
    );
    match profile {
        1 => Some((sha1(10), sha1(10), 16, 14)),
        2 => Some((sha1(4), sha1(10), 16, 14)),
        5 => Some((null, null, 16, 14)),
        7 => Some((gcm_128, gcm_128, 16, 12)),
        8 => Some((gcm_256, gcm_256, 32, 12)),
        _ => None,
    }
}

/// The SRTP policy of a DTLS-SRTP profile; `bad_param` if there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn srtp_crypto_policy_set_from_profile_for_rtp(
    policy: *mut srtp_crypto_policy_t,
    profile: u32,
) -> Status {
    let Some((rtp, ..)) = of_profile(profile) else { return Status::BadParam };
    set(policy, rtp);
    Status::Ok
}

/// The SRTCP policy of a DTLS-SRTP profile; `bad_param` if there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn srtp_crypto_policy_set_from_profile_for_rtcp(
    policy: *mut srtp_crypto_policy_t,
    profile: u32,
) -> Status {
    let Some((_, rtcp, ..)) = of_profile(profile) else { return Status::BadParam };
    set(policy, rtcp);
    Status::Ok
}

/// Octets of a profile's master key; 0 if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn srtp_profile_get_master_key_length(profile: u32) -> c_uint {
    of_profile(profile).map_or(0, |(_, _, key, _)| key)
}

/// Octets of a profile's master salt; 0 if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn srtp_profile_get_master_salt_length(profile: u32) -> c_uint {
    of_profile(profile).map_or(0, |(_, _, _, salt)| salt)
}
