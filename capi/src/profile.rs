//! Protection profiles by number.

use crate::boundary::{Outcome, call, text};
use crate::error::keyflip_err;
use crate::sized::{self, Grows};
use core::ffi::{CStr, c_char};
use keyflip::Profile;

/// What protects the packets of a session. Numbers are never reused.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum keyflip_profile {
    /// AES_CM_128_HMAC_SHA1_80: what every implementation has (RFC 3711, 4568).
    Aes128CmSha1_80 = 1,
    /// AES_CM_128_HMAC_SHA1_32: the SRTCP tag has 80 bits still (RFC 4568).
    Aes128CmSha1_32 = 2,
    /// AES_192_CM_HMAC_SHA1_80 (RFC 6188).
    Aes192CmSha1_80 = 3,
    /// AES_192_CM_HMAC_SHA1_32 (RFC 6188).
    Aes192CmSha1_32 = 4,
    /// AES_256_CM_HMAC_SHA1_80 (RFC 6188).
    Aes256CmSha1_80 = 5,
    /// AES_256_CM_HMAC_SHA1_32 (RFC 6188).
    Aes256CmSha1_32 = 6,
    /// AEAD_AES_128_GCM (RFC 7714).
    AeadAes128Gcm = 7,
    /// AEAD_AES_256_GCM (RFC 7714).
    AeadAes256Gcm = 8,
    /// AEAD_AES_128_GCM with tags of 8 octets, as libsrtp has it. Nothing can negotiate it.
    AeadAes128Gcm8 = 9,
    /// AEAD_AES_256_GCM with tags of 8 octets, as libsrtp has it. Nothing can negotiate it.
    AeadAes256Gcm8 = 10,
    /// NULL_HMAC_SHA1_80: authenticated, not encrypted (RFC 5764).
    NullSha1_80 = 11,
    /// NULL_HMAC_SHA1_32: authenticated, not encrypted (RFC 5764).
    NullSha1_32 = 12,
    /// Neither encrypted nor authenticated: anybody can forge packets.
    NullWithoutAuthentication = 13,
}

/// Number, name, profile.
const TABLE: [(u32, &CStr, Profile); 13] = [
    (1, c"AES_CM_128_HMAC_SHA1_80", Profile::Aes128CmSha1_80),
    (2, c"AES_CM_128_HMAC_SHA1_32", Profile::Aes128CmSha1_32),
    (3, c"AES_192_CM_HMAC_SHA1_80", Profile::Aes192CmSha1_80),
    (4, c"AES_192_CM_HMAC_SHA1_32", Profile::Aes192CmSha1_32),
    (5, c"AES_256_CM_HMAC_SHA1_80", Profile::Aes256CmSha1_80),
    (6, c"AES_256_CM_HMAC_SHA1_32", Profile::Aes256CmSha1_32),
    (7, c"AEAD_AES_128_GCM", Profile::AeadAes128Gcm),
    (8, c"AEAD_AES_256_GCM", Profile::AeadAes256Gcm),
    (9, c"AEAD_AES_128_GCM_8", Profile::AeadAes128Gcm8),
    (10, c"AEAD_AES_256_GCM_8", Profile::AeadAes256Gcm8),
    (11, c"NULL_HMAC_SHA1_80", Profile::NullSha1_80),
    (12, c"NULL_HMAC_SHA1_32", Profile::NullSha1_32),
    (13, c"NULL_NULL", Profile::NullWithoutAuthentication),
];

/// # Errors
///
/// [`keyflip_err::UnknownProfile`].
pub(crate) fn profile(number: u32) -> Outcome<Profile> {
    TABLE.iter().find(|(of, ..)| *of == number).map(|(.., profile)| *profile).ok_or(keyflip_err::UnknownProfile)
}

/// 0 if this interface has no number for it.
pub(crate) fn number(profile: Profile) -> u32 {
    TABLE.iter().find(|(.., of)| *of == profile).map_or(0, |(number, ..)| *number)
}

/// Lengths of a profile, in octets.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct keyflip_profile_info {
    /// sizeof(keyflip_profile_info): set it before the call.
    pub size: usize,
    /// Octets of the master key.
    pub key_len: usize,
    /// Octets of the master salt.
    pub salt_len: usize,
    /// Octets of the authentication tag of SRTP packets.
    pub srtp_tag_len: usize,
    /// Octets of the authentication tag of SRTCP packets. Not always that of SRTP.
    pub srtcp_tag_len: usize,
}

// SAFETY: integers, the first of which is the size.
unsafe impl Grows for keyflip_profile_info {}

/// The lengths of a profile, one of enum keyflip_profile.
///
/// Returns KEYFLIP_OK; KEYFLIP_ERR_UNKNOWN_PROFILE, KEYFLIP_ERR_NULL_POINTER, KEYFLIP_ERR_BAD_SIZE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_profile_lengths(profile: u32, info: *mut keyflip_profile_info) -> i32 {
    call(|| {
        let of = self::profile(profile)?;
        let info_of = keyflip_profile_info {
            size: 0,
            key_len: of.key_len(),
            salt_len: of.salt_len(),
            srtp_tag_len: of.srtp_tag_len(),
            srtcp_tag_len: of.srtcp_tag_len(),
        };
        // SAFETY: the caller's word.
        unsafe { sized::write(info, &info_of) }?;
        Ok(0)
    })
}

/// The registered name of a profile, such as "AES_CM_128_HMAC_SHA1_80"; NULL if there is no such profile. The text is constant and needs no freeing.
#[unsafe(no_mangle)]
pub extern "C" fn keyflip_profile_name(profile: u32) -> *const c_char {
    TABLE.iter().find(|(of, ..)| *of == profile).map_or(core::ptr::null(), |(_, name, _)| name.as_ptr())
}

/// The profile of a name, as SDES has it (RFC 4568 6.2, 6188, 7714). Names are compared octet for octet.
///
/// Returns one of enum keyflip_profile; KEYFLIP_ERR_UNKNOWN_PROFILE, KEYFLIP_ERR_NULL_POINTER, KEYFLIP_ERR_BAD_TEXT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_profile_of_name(name: *const c_char) -> i32 {
    call(|| {
        // SAFETY: the caller's word.
        let name = unsafe { text(name) }?;
        let profile = name.parse().map_err(|_| keyflip_err::UnknownProfile)?;
        i32::try_from(number(profile)).map_err(|_| keyflip_err::Internal)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_has_one_number_and_its_name() {
        for profile in Profile::ALL {
            assert_eq!(self::profile(number(profile)), Ok(profile));
        }
        for (place, (number, name, profile)) in TABLE.iter().enumerate() {
            assert_eq!((*number as usize, name.to_str()), (place + 1, Ok(profile.name())));
        }
        assert_eq!(profile(0), Err(keyflip_err::UnknownProfile));
        assert_eq!(profile(14), Err(keyflip_err::UnknownProfile));
    }
}
