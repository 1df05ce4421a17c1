//! DTLS-SRTP (RFC 5764): numbers of profiles, and how exported keying material is split.

use crate::boundary::{call, can_put, put, slice};
use crate::error::keyflip_err;
use crate::key::keyflip_key;
use crate::profile::{number, profile};
use keyflip::Profile;
use keyflip::dtls::{ProtectionProfile, keying_material_len};

/// Which end of a DTLS association this is.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum keyflip_dtls_role {
    /// The one that sent the ClientHello: a=setup:active (RFC 5763 5).
    Client = 1,
    /// The one that answered it.
    Server = 2,
}

/// The profile of a number that DTLS negotiated (the registry "DTLS-SRTP Protection Profiles").
///
/// Returns one of enum keyflip_profile, or KEYFLIP_ERR_UNKNOWN_PROFILE.
#[unsafe(no_mangle)]
pub extern "C" fn keyflip_dtls_profile(id: u16) -> i32 {
    call(|| {
        let profile = Profile::try_from(ProtectionProfile(id)).map_err(|_| keyflip_err::UnknownProfile)?;
        i32::try_from(number(profile)).map_err(|_| keyflip_err::Internal)
    })
}

/// What DTLS calls a profile. Returns its number; KEYFLIP_ERR_UNKNOWN_PROFILE if DTLS has none for it.
#[unsafe(no_mangle)]
pub extern "C" fn keyflip_dtls_profile_id(profile: u32) -> i32 {
    call(|| {
        let id = ProtectionProfile::of(self::profile(profile)?).ok_or(keyflip_err::UnknownProfile)?;
        Ok(i32::from(id.0))
    })
}

/// Octets of keying material to export for a profile under the label "EXTRACTOR-dtls_srtp" (RFC 5764 4.2). Export exactly so many.
///
/// Returns octets, or KEYFLIP_ERR_UNKNOWN_PROFILE.
#[unsafe(no_mangle)]
pub extern "C" fn keyflip_dtls_material_len(profile: u32) -> i32 {
    call(|| i32::try_from(keying_material_len(self::profile(profile)?)).map_err(|_| keyflip_err::Internal))
}

/// Splits exported keying material into the keys of both directions (RFC 5764 4.2), for keyflip_session_new or keyflip_rekey.
///
/// The keys point into material, which must stay until they are used; wipe it then. They have no MKI: if use_srtp settled one, set mki and mki_len.
///
/// role is one of enum keyflip_dtls_role. Returns KEYFLIP_OK; KEYFLIP_ERR_UNKNOWN_PROFILE, KEYFLIP_ERR_BAD_ARGUMENT, KEYFLIP_ERR_NULL_POINTER,
/// KEYFLIP_ERR_WRONG_MATERIAL_LENGTH.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_dtls_keys(
    profile: u32,
    role: u32,
    material: *const u8,
    len: usize,
    inbound: *mut keyflip_key,
    outbound: *mut keyflip_key,
) -> i32 {
    call(|| {
        let profile = self::profile(profile)?;
        can_put(inbound)?;
        can_put(outbound)?;
        // SAFETY: the caller's word.
        let material = unsafe { slice(material, len) }?;
        if len != keying_material_len(profile) {
            return Err(keyflip_err::WrongMaterialLength);
        }
        // Client key, server key, client salt, server salt.
        let (keys, salts) = material.split_at(2 * profile.key_len());
        let (client_key, server_key) = keys.split_at(profile.key_len());
        let (client_salt, server_salt) = salts.split_at(profile.salt_len());
        let (client, server) = (key(client_key, client_salt), key(server_key, server_salt));
        let (ours, theirs) = match role {
            1 => (client, server),
            2 => (server, client),
            _ => return Err(keyflip_err::BadArgument),
        };
        // SAFETY: the caller's word.
        unsafe { put(inbound, theirs) }?;
        // SAFETY: the caller's word.
        unsafe { put(outbound, ours) }?;
        Ok(0)
    })
}

fn key(key: &[u8], salt: &[u8]) -> keyflip_key {
    let (mki, mki_len, lifetime) = (core::ptr::null(), 0, 0);
    keyflip_key {
        key: key.as_ptr(),
        key_len: key.len(),
        salt: salt.as_ptr(),
        salt_len: salt.len(),
        mki,
        mki_len,
        lifetime,
    }
}
