//! SDES (RFC 4568): crypto attributes of SDP, from and to sessions.

use crate::boundary::{Outcome, call, can_put, put, reference, slice, slice_mut, text};
use crate::error::keyflip_err;
use crate::handles::{self, Direction};
use crate::key::{direction, keyflip_key};
use crate::profile::{number, profile};
use crate::session::{configure, keyflip_session, keyflip_session_config};
use crate::sized::{self, Grows};
use core::ffi::c_char;
use keyflip::sdes::{CryptoAttribute, InlineKey, session_builder};
use zeroize::Zeroizing;

/// What a crypto attribute says, but for its keys.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct keyflip_sdes_info {
    /// sizeof(keyflip_sdes_info): set it before the call.
    pub size: usize,
    /// Its tag.
    pub tag: u32,
    /// One of enum keyflip_profile.
    pub profile: u32,
    /// KEYFLIP_SESSION_UNENCRYPTED_SRTP and KEYFLIP_SESSION_UNENCRYPTED_SRTCP, as far as it says so.
    pub flags: u32,
    /// How many keys it has.
    pub keys: u32,
}

// SAFETY: integers without padding, the first of which is the size.
unsafe impl Grows for keyflip_sdes_info {}

/// # Safety
///
/// As [`text`].
unsafe fn attribute(line: *const c_char) -> Outcome<CryptoAttribute> {
    // SAFETY: the caller's word.
    Ok(CryptoAttribute::parse(unsafe { text(line) }?)?)
}

/// Reads a crypto attribute ("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:..."), to see whether it is acceptable. line is zero-terminated.
///
/// Returns KEYFLIP_OK; any of KEYFLIP_ERR_SDES_...; KEYFLIP_ERR_NULL_POINTER, KEYFLIP_ERR_BAD_TEXT, KEYFLIP_ERR_BAD_SIZE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_sdes_read(line: *const c_char, info: *mut keyflip_sdes_info) -> i32 {
    call(|| {
        // SAFETY: the caller's word.
        let attribute = unsafe { attribute(line) }?;
        let params = attribute.params();
        let report = keyflip_sdes_info {
            size: 0,
            tag: attribute.tag(),
            profile: number(attribute.profile()),
            flags: u32::from(params.unencrypted_srtp) | u32::from(params.unencrypted_srtcp) << 1,
            keys: u32::try_from(attribute.keys().len()).unwrap_or(u32::MAX),
        };
        // SAFETY: the caller's word.
        unsafe { sized::write(info, &report) }?;
        Ok(0)
    })
}

/// Writes a crypto attribute with one key, to be offered or, with the tag and the profile of an offer, to answer it. The key's octets must come from a
/// cryptographic random number generator. It has key || salt at key, and no salt apart.
///
/// line has room for capacity octets; a zero ends what is written. Returns the octets before that; KEYFLIP_ERR_OUTPUT_TOO_SMALL (256 are always enough without an
/// MKI); KEYFLIP_ERR_UNKNOWN_PROFILE, any of KEYFLIP_ERR_SDES_..., KEYFLIP_ERR_NULL_POINTER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_sdes_write(
    tag: u32,
    profile: u32,
    key: *const keyflip_key,
    line: *mut c_char,
    capacity: usize,
) -> i32 {
    call(|| {
        can_put(line)?;
        // SAFETY: the caller's word.
        let key = unsafe { reference(key) }?;
        if key.salt_len != 0 {
            return Err(keyflip_err::WrongSaltLength);
        }
        // SAFETY: the caller's word.
        let mut octets = Zeroizing::new(unsafe { slice(key.key, key.key_len) }?.to_vec());
        // SAFETY: the caller's word.
        let mki = unsafe { slice(key.mki, key.mki_len) }?;
        let mut inline = InlineKey::take(&mut octets);
        if !mki.is_empty() {
            inline = inline.with_mki(mki)?;
        }
        if key.lifetime != 0 {
            inline = inline.with_lifetime(key.lifetime)?;
        }
        let attribute = CryptoAttribute::new(tag, self::profile(profile)?, inline)?;
        // SAFETY: the caller's word.
        let room = unsafe { slice_mut(line.cast::<u8>(), capacity) }?;
        let len = attribute.formatted_len();
        let Some((end, room)) = room.get_mut(..=len).and_then(<[u8]>::split_last_mut) else {
            return Err(keyflip_err::OutputTooSmall);
        };
        attribute.format_to(room)?;
        *end = 0;
        i32::try_from(len).map_err(|_| keyflip_err::Internal)
    })
}

/// Makes a session of two crypto attributes: ours, whose key protects, and theirs, whose keys unprotect. One is the offer, the other the answer to it; they agree in
/// tag, suite and what is encrypted.
///
/// config may be NULL; its profile, inbound, inbound_count and outbound are to be 0. Returns as keyflip_session_new; any of KEYFLIP_ERR_SDES_...
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_sdes_session(
    ours: *const c_char,
    theirs: *const c_char,
    config: *const keyflip_session_config,
    session: *mut keyflip_session,
) -> i32 {
    call(|| {
        can_put(session)?;
        // SAFETY: the caller's word.
        let (ours, theirs) = (unsafe { attribute(ours) }?, unsafe { attribute(theirs) }?);
        let mut builder = session_builder(&ours, &theirs)?;
        let mut domain = handles::DEFAULT;
        if !config.is_null() {
            // SAFETY: the caller's word.
            let config = unsafe { sized::read(config) }?;
            let keyed = !config.inbound.is_null() || !config.outbound.is_null() || config.inbound_count != 0;
            if config.profile != 0 || keyed {
                return Err(keyflip_err::BadArgument);
            }
            builder = configure(&config, builder)?;
            domain = config.domain;
        }
        let made = builder.build(&handles::domain(domain)?)?;
        // SAFETY: the caller's word.
        unsafe { put(session, handles::add_session(made, domain)?) }?;
        Ok(0)
    })
}

/// Replaces the key of a direction by the first key of a crypto attribute, as keyflip_rekey does with what the session was told of counters.
///
/// The attribute's profile must be the session's: KEYFLIP_ERR_WRONG_KEY_AND_SALT_LENGTH is all that can be seen of another. Returns as keyflip_rekey; any of
/// KEYFLIP_ERR_SDES_...
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_sdes_rekey(session: keyflip_session, direction: u32, line: *const c_char) -> i32 {
    call(|| {
        let direction = self::direction(direction)?;
        // SAFETY: the caller's word.
        let attribute = unsafe { attribute(line) }?;
        let key = attribute.master_keys().next().ok_or(keyflip_err::NoKey)?;
        let rekeyed = match direction {
            Direction::Inbound => handles::inbound(session)?.rekey(key)?,
            Direction::Outbound => handles::outbound(session)?.rekey(key)?,
        };
        Ok(i32::from(matches!(rekeyed, keyflip::Rekeyed::Unchanged(_))))
    })
}
