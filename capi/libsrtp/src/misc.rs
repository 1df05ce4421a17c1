//! The rest.

use crate::abi::*;
use crate::sessions;
use core::ffi::{c_char, c_uchar, c_uint, c_void};
use core::sync::atomic::Ordering;

/// The version whose interface this is.
const VERSION: c_uint = 2 << 24 | 8 << 16;

/// Nothing has to be initialized.
#[unsafe(no_mangle)]
pub extern "C" fn srtp_init() -> Status {
    Status::Ok
}

/// Nothing has to be shut down. Sessions that are there go on.
#[unsafe(no_mangle)]
pub extern "C" fn srtp_shutdown() -> Status {
    Status::Ok
}

/// The version, for humans. It begins as libsrtp2's does, for clients that look.
#[unsafe(no_mangle)]
pub extern "C" fn srtp_get_version_string() -> *const c_char {
    c"libsrtp2 2.8.0 (keyflip)".as_ptr()
}

/// The version: major, minor and patch, in 8, 8 and 16 bits.
#[unsafe(no_mangle)]
pub extern "C" fn srtp_get_version() -> c_uint {
    VERSION
}

/// Keeps a pointer with a session.
#[unsafe(no_mangle)]
pub extern "C" fn srtp_set_user_data(session: srtp_t, data: *mut c_void) {
    let _ = sessions::with(session, |client, _| {
        // Release: pairs with the Acquire in `srtp_get_user_data`.
        client.user.store(data, Ordering::Release);
        Ok(())
    });
}

/// The pointer that was kept with a session; null if none was, or the session is gone.
#[unsafe(no_mangle)]
pub extern "C" fn srtp_get_user_data(session: srtp_t) -> *mut c_void {
    // Acquire: pairs with the Release in `srtp_set_user_data`.
    sessions::with(session, |client, _| Ok(client.user.load(Ordering::Acquire))).unwrap_or(core::ptr::null_mut())
}

/// Copies a salt behind a key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn srtp_append_salt_to_key(
    key: *mut c_uchar,
    key_len: c_uint,
    salt: *const c_uchar,
    salt_len: c_uint,
) {
    let (Ok(key_len), Ok(salt_len)) = (usize::try_from(key_len), usize::try_from(salt_len)) else { return };
    if key.is_null() || salt.is_null() {
        return;
    }
    // SAFETY: the caller's buffer has room for both; they do not overlap.
    let end = unsafe { key.add(key_len) };
    // SAFETY: as above.
    unsafe { core::ptr::copy_nonoverlapping(salt, end, salt_len) };
}

/// Not supported: tags are computed by the core's own HMAC-SHA1.
#[unsafe(no_mangle)]
pub extern "C" fn srtp_replace_auth_type(_auth: *const c_void, _id: u32) -> Status {
    Status::NoSuchOp
}
