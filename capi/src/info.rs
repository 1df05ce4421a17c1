//! Versions, and what numbers mean.

use crate::boundary::{Outcome, call, slice};
use crate::error::{fault, keyflip_err};
use crate::error_table::describe;
use crate::sized::{self, Grows};
use core::ffi::{CStr, c_char};
use keyflip::{Kernels, KeyMemory, Kind};

/// Major version of this header: it changes when a program has to.
pub const KEYFLIP_VERSION_MAJOR: u32 = 0;
/// Minor version of this header: it changes when something is added.
pub const KEYFLIP_VERSION_MINOR: u32 = 1;
/// Patch version of this header.
pub const KEYFLIP_VERSION_PATCH: u32 = 0;

/// The version of the library in use, for example "0.1.0". The text is constant and needs no freeing.
#[unsafe(no_mangle)]
pub extern "C" fn keyflip_version() -> *const c_char {
    const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => c"",
    };
    VERSION.as_ptr()
}

/// The set of machine instructions in use: "portable", "avx2", "sha-ni", "avx512vl" or "avx512". The environment variable KEYFLIP_KERNELS forces one; it is
/// read once. The text is constant and needs no freeing.
#[unsafe(no_mangle)]
pub extern "C" fn keyflip_kernels() -> *const c_char {
    let name = match Kernels::active() {
        Kernels::Avx2 => c"avx2",
        Kernels::ShaNi => c"sha-ni",
        Kernels::Avx512Vl => c"avx512vl",
        Kernels::Avx512 => c"avx512",
        _ => c"portable",
    };
    name.as_ptr()
}

/// The name of an error, for logs: "KEYFLIP_ERR_REPLAYED" and so on; "KEYFLIP_OK" for 0; "KEYFLIP_ERR_UNKNOWN" for a number that is none. The text is
/// constant and needs no freeing.
#[unsafe(no_mangle)]
pub extern "C" fn keyflip_error_name(code: i32) -> *const c_char {
    describe(code.min(0)).0.as_ptr()
}

/// What an error means, in English, without a full stop. The text is constant and needs no freeing.
#[unsafe(no_mangle)]
pub extern "C" fn keyflip_error_text(code: i32) -> *const c_char {
    describe(code.min(0)).1.as_ptr()
}

/// Whose fault an error is: one of enum keyflip_fault. A number that is no error, such as a length, has KEYFLIP_FAULT_NONE.
#[unsafe(no_mangle)]
pub extern "C" fn keyflip_error_fault(code: i32) -> u32 {
    fault(code) as u32
}

/// What a datagram is, on a port that several protocols share.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum keyflip_kind {
    /// None of the others.
    Unknown = 0,
    /// SRTP or RTP.
    Rtp = 1,
    /// SRTCP or RTCP.
    Rtcp = 2,
    /// STUN.
    Stun = 3,
    /// ZRTP.
    Zrtp = 4,
    /// DTLS.
    Dtls = 5,
    /// A TURN channel.
    TurnChannel = 6,
    /// QUIC.
    Quic = 7,
}

/// Tells SRTP and SRTCP from what else may come to the same port (RFC 5761, 7983, 9443), by the first octets; nothing is verified.
///
/// Returns one of enum keyflip_kind, or an error. No lock, no allocation.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_classify(datagram: *const u8, len: usize) -> i32 {
    call(|| {
        // SAFETY: the caller's word.
        let datagram = unsafe { slice(datagram, len) }?;
        let kind = match keyflip::classify(datagram) {
            Kind::Rtp => keyflip_kind::Rtp,
            Kind::Rtcp => keyflip_kind::Rtcp,
            Kind::Stun => keyflip_kind::Stun,
            Kind::Zrtp => keyflip_kind::Zrtp,
            Kind::Dtls => keyflip_kind::Dtls,
            Kind::TurnChannel => keyflip_kind::TurnChannel,
            Kind::Quic => keyflip_kind::Quic,
            _ => keyflip_kind::Unknown,
        };
        Ok(kind as i32)
    })
}

/// How much memory the keys of this process lie in, in octets.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct keyflip_key_memory {
    /// sizeof(keyflip_key_memory): set it before the call.
    pub size: usize,
    /// Octets that hold keys now.
    pub used: u64,
    /// Octets set aside for keys.
    pub total: u64,
    /// Of the total, octets that are locked: kept from swap space. Fewer than the total if RLIMIT_MEMLOCK is too low.
    pub locked: u64,
    /// Of the total, octets that core dumps leave out.
    pub undumped: u64,
}

// SAFETY: integers, the first of which is the size.
unsafe impl Grows for keyflip_key_memory {}

/// Reports the memory that keys lie in. Returns KEYFLIP_OK or an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_key_memory_now(memory: *mut keyflip_key_memory) -> i32 {
    call(|| {
        let KeyMemory { used, total, locked, undumped, .. } = KeyMemory::now();
        // SAFETY: the caller's word.
        unsafe { sized::write(memory, &keyflip_key_memory { size: 0, used, total, locked, undumped }) }?;
        Ok(0)
    })
}

/// A number of an enumeration of C.
///
/// # Errors
///
/// [`keyflip_err::BadArgument`].
pub(crate) fn choose<T: Copy>(number: u32, choices: &[(u32, T)]) -> Outcome<T> {
    choices.iter().find(|(of, _)| *of == number).map(|(_, choice)| *choice).ok_or(keyflip_err::BadArgument)
}
