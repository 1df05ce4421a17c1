//! Which libsrtp is called: the one built in, or one of the system's, loaded before the first session.

use std::error::Error;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::path::Path;
use std::sync::OnceLock;

use libloading::os::unix;
use srtp2_sys as sys;

type Session = sys::srtp_t;
type Status = sys::srtp_err_status_t;
type Text = *const c_char;

pub(super) type Protect = unsafe extern "C" fn(Session, *mut c_void, *mut c_int, c_uint, c_uint) -> Status;
pub(super) type Unprotect = unsafe extern "C" fn(Session, *mut c_void, *mut c_int, c_uint) -> Status;

/// Declares the functions, and how each is found: built in, and by its name.
macro_rules! functions {
    ($($name:ident = $symbol:ident: $type:ty),+ $(,)?) => {
        /// The functions that are called, all of one library.
        pub(super) struct Library {
            $(pub(super) $name: $type,)+
            /// That of the OpenSSL which the library was linked with; `None` if it was linked with something else.
            openssl_version: Option<unsafe extern "C" fn(c_int) -> Text>,
        }

        impl Library {
            fn built_in() -> Self {
                Self { $($name: sys::$symbol,)+ openssl_version: Some(openssl_sys::OpenSSL_version) }
            }

            fn of(loaded: &'static libloading::Library) -> Result<Self, libloading::Error> {
                Ok(Self {
                    $(
                        // SAFETY: libsrtp 2 declares the function with this type, which is that of the bindings.
                        $name: *unsafe { loaded.get::<$type>(concat!(stringify!($symbol), "\0").as_bytes()) }?,
                    )+
                    // SAFETY: OpenSSL declares the function with this type since version 1.1.
                    openssl_version: unsafe { loaded.get(b"OpenSSL_version\0") }.ok().map(|symbol| *symbol),
                })
            }
        }
    };
}

functions! {
    init = srtp_init: unsafe extern "C" fn() -> Status,
    version = srtp_get_version_string: unsafe extern "C" fn() -> Text,
    create = srtp_create: unsafe extern "C" fn(*mut Session, *const sys::srtp_policy_t) -> Status,
    dealloc = srtp_dealloc: unsafe extern "C" fn(Session) -> Status,
    update = srtp_update: unsafe extern "C" fn(Session, *const sys::srtp_policy_t) -> Status,
    add_stream = srtp_add_stream: unsafe extern "C" fn(Session, *const sys::srtp_policy_t) -> Status,
    stream_roc = srtp_get_stream_roc: unsafe extern "C" fn(Session, u32, *mut u32) -> Status,
    set_stream_roc = srtp_set_stream_roc: unsafe extern "C" fn(Session, u32, u32) -> Status,
    protect = srtp_protect_mki: Protect,
    unprotect = srtp_unprotect_mki: Unprotect,
    protect_rtcp = srtp_protect_rtcp_mki: Protect,
    unprotect_rtcp = srtp_unprotect_rtcp_mki: Unprotect,
}

/// The library finds its own OpenSSL before the one that this program is linked with.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const OWN_FIRST: c_int = libc::RTLD_DEEPBIND;
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
const OWN_FIRST: c_int = 0;

static LIBRARY: OnceLock<Library> = OnceLock::new();

/// The library that is called.
pub(super) fn library() -> &'static Library {
    LIBRARY.get_or_init(Library::built_in)
}

/// Calls the shared library `file` from now on, in place of the one built in: to compare with another version.
///
/// # Errors
///
/// If it cannot be loaded, is not libsrtp 2, or comes too late: a library has been called already.
pub fn load(file: &Path) -> Result<(), String> {
    let refused = |reason: &str| Err(format!("{}: {reason}", file.display()));
    // SAFETY: what it does when it is loaded is the caller's choice of a file; libsrtp and OpenSSL initialise themselves.
    let loaded = match unsafe { unix::Library::open(Some(file), unix::RTLD_LAZY | unix::RTLD_LOCAL | OWN_FIRST) } {
        Ok(loaded) => libloading::Library::from(loaded),
        Err(error) => return refused(&cause(&error)),
    };
    // It stays loaded for as long as the process runs, as the one built in does.
    let library = match Library::of(Box::leak(Box::new(loaded))) {
        Ok(library) => library,
        Err(error) => return refused(&cause(&error)),
    };
    let version = text(&library)?;
    // Bindings and policies are those of version 2, which has kept them from 2.0 on.
    if !version.starts_with("libsrtp2 ") {
        return refused(&format!("{version} is not libsrtp 2"));
    }
    LIBRARY.set(library).or_else(|_| refused("another libsrtp has been called already"))
}

/// What the system says went wrong.
fn cause(error: &libloading::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// The version of libsrtp, and that of the OpenSSL underneath it, as each says it.
///
/// # Errors
///
/// A version that is not text.
pub fn versions() -> Result<(String, Option<String>), String> {
    let library = library();
    let openssl = library.openssl_version.map(|version| {
        // SAFETY: takes the number of the string that is wanted, and reads constants.
        owned(unsafe { version(openssl_sys::OPENSSL_VERSION) })
    });
    Ok((text(library)?, openssl.transpose()?))
}

fn text(library: &Library) -> Result<String, String> {
    // SAFETY: takes no arguments, and reads constants.
    owned(unsafe { (library.version)() })
}

fn owned(version: Text) -> Result<String, String> {
    // SAFETY: both libraries return a constant string of theirs, closed by a zero.
    let version = unsafe { CStr::from_ptr(version) };
    version.to_str().map(str::to_owned).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_libraries_say_their_versions() {
        let (libsrtp, openssl) = versions().unwrap();
        assert!(libsrtp.starts_with("libsrtp2 2."), "{libsrtp}");
        assert!(openssl.unwrap().starts_with("OpenSSL"));
    }

    #[test]
    fn what_is_no_libsrtp_or_comes_too_late_is_refused() {
        library();
        assert!(load(Path::new("/no/such/library.so")).unwrap_err().contains("/no/such/library.so"));
        assert!(load(Path::new("libc.so.6")).unwrap_err().contains("srtp_init"));
    }
}
