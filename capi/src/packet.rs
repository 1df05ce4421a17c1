//! One packet at a time.

use crate::boundary::{Outcome, call, check, length, overlap, slice, slice_mut};
use crate::error::keyflip_err;
use crate::handles::{self, with_session};
use crate::info::choose;
use crate::session::keyflip_session;
use keyflip::Protocol;

/// The two protocols of a session.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum keyflip_protocol {
    /// RTP and SRTP.
    Rtp = 1,
    /// RTCP and SRTCP.
    Rtcp = 2,
}

const PROTOCOLS: [(u32, Protocol); 2] = [(1, Protocol::Rtp), (2, Protocol::Rtcp)];

/// # Errors
///
/// [`keyflip_err::BadArgument`].
pub(crate) fn protocol(number: u32) -> Outcome<Protocol> {
    choose(number, &PROTOCOLS)
}

pub(crate) const fn protocol_number(protocol: Protocol) -> u32 {
    match protocol {
        Protocol::Rtp => 1,
        Protocol::Rtcp => 2,
    }
}

/// # Errors
///
/// [`keyflip_err::NullPointer`], [`keyflip_err::BadLength`], [`keyflip_err::LengthExceedsBuffer`].
#[inline]
pub(crate) fn check_buffer(packet: *const u8, len: usize, capacity: usize) -> Outcome<()> {
    if len > capacity { Err(keyflip_err::LengthExceedsBuffer) } else { check(packet, capacity) }
}

/// A buffer of `capacity` octets that begins with a packet of `len`.
///
/// # Errors
///
/// As [`check_buffer`].
///
/// # Safety
///
/// As [`slice_mut`].
#[inline]
pub(crate) unsafe fn buffer<'a>(packet: *mut u8, len: usize, capacity: usize) -> Outcome<&'a mut [u8]> {
    check_buffer(packet, len, capacity)?;
    // SAFETY: the caller's word.
    unsafe { slice_mut(packet, capacity) }
}

/// A packet, and another place for what becomes of it.
///
/// # Errors
///
/// [`keyflip_err::NullPointer`], [`keyflip_err::BadLength`], [`keyflip_err::Overlap`].
///
/// # Safety
///
/// As [`slice`] and [`slice_mut`].
unsafe fn apart<'a>(
    packet: *const u8,
    len: usize,
    output: *mut u8,
    capacity: usize,
) -> Outcome<(&'a [u8], &'a mut [u8])> {
    if packet.is_null() || output.is_null() {
        return Err(keyflip_err::NullPointer);
    }
    if overlap(packet, len, output, capacity) {
        return Err(keyflip_err::Overlap);
    }
    // SAFETY: the caller's word.
    let output = unsafe { slice_mut(output, capacity) }?;
    // SAFETY: the caller's word; and they are apart.
    Ok((unsafe { slice(packet, len) }?, output))
}

/// Protects an RTP packet in place (RFC 3711 3.3): encrypts its payload and puts MKI and tag behind it.
///
/// packet is the RTP packet, of len octets, in a buffer of capacity octets; behind the packet there must be room for keyflip_overhead octets, and nothing is
/// written beyond them.
///
/// Returns the length of the SRTP packet. Errors: KEYFLIP_ERR_OUTPUT_TOO_SMALL, KEYFLIP_ERR_LENGTH_EXCEEDS_BUFFER; KEYFLIP_ERR_INDEX_REUSED for a sequence number
/// that was sent before; KEYFLIP_ERR_INDEX_TOO_OLD for one too far behind; KEYFLIP_ERR_NO_KEY, KEYFLIP_ERR_KEY_EXPIRED: rekey; any of KEYFLIP_FAULT_PACKET;
/// KEYFLIP_ERR_TOO_MANY_STREAMS, KEYFLIP_ERR_UNKNOWN_SSRC; KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_NULL_POINTER, KEYFLIP_ERR_BAD_LENGTH. The buffer is untouched
/// then.
///
/// Any thread, any number at once, while others rekey or free the session. No lock; allocates at a stream's first packet only.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_protect_rtp(
    session: keyflip_session,
    packet: *mut u8,
    len: usize,
    capacity: usize,
) -> i32 {
    call(|| {
        // SAFETY: the caller's word.
        let buffer = unsafe { buffer(packet, len, capacity) }?;
        with_session(session, |session, guard| length(session.outbound().protect_rtp(guard, buffer, len)))
    })
}

/// Protects an RTCP packet in place (RFC 3711 3.4): encrypts it behind its first 8 octets, and puts index, MKI and tag behind it.
///
/// As keyflip_protect_rtp. The SRTCP index is given out here; KEYFLIP_ERR_SRTCP_INDEX_EXHAUSTED when the key has used up the last: rekey.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_protect_rtcp(
    session: keyflip_session,
    packet: *mut u8,
    len: usize,
    capacity: usize,
) -> i32 {
    call(|| {
        // SAFETY: the caller's word.
        let buffer = unsafe { buffer(packet, len, capacity) }?;
        with_session(session, |session, guard| length(session.outbound().protect_rtcp(guard, buffer, len)))
    })
}

/// Unprotects an SRTP packet of len octets in place (RFC 3711 3.3): verifies its tag, and decrypts its payload.
///
/// Returns the length of the RTP packet, which begins where the SRTP packet did. Errors: KEYFLIP_ERR_AUTHENTICATION_FAILED, KEYFLIP_ERR_REPLAYED,
/// KEYFLIP_ERR_TOO_OLD and others of KEYFLIP_FAULT_PEER: drop the packet; any of KEYFLIP_FAULT_PACKET and KEYFLIP_FAULT_KEY; KEYFLIP_ERR_TOO_MANY_STREAMS;
/// KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_NULL_POINTER, KEYFLIP_ERR_BAD_LENGTH. The packet is untouched then, and no state has changed but counters.
///
/// Any thread, any number at once, while others rekey or free the session. No lock; allocates at a stream's first good packet only.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_unprotect_rtp(session: keyflip_session, packet: *mut u8, len: usize) -> i32 {
    call(|| {
        // SAFETY: the caller's word.
        let buffer = unsafe { buffer(packet, len, len) }?;
        with_session(session, |session, guard| {
            length(session.inbound().unprotect_rtp(guard, buffer).map(|plain| plain.len()))
        })
    })
}

/// Unprotects an SRTCP packet of len octets in place (RFC 3711 3.4). As keyflip_unprotect_rtp; KEYFLIP_ERR_UNENCRYPTED_SRTCP if it is not encrypted and
/// the session does not allow that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_unprotect_rtcp(session: keyflip_session, packet: *mut u8, len: usize) -> i32 {
    call(|| {
        // SAFETY: the caller's word.
        let buffer = unsafe { buffer(packet, len, len) }?;
        with_session(session, |session, guard| {
            length(session.inbound().unprotect_rtcp(guard, buffer).map(|plain| plain.len()))
        })
    })
}

/// keyflip_protect_rtp from one buffer to another, of at least len and keyflip_overhead octets. They must lie apart: KEYFLIP_ERR_OVERLAP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_protect_rtp_to(
    session: keyflip_session,
    packet: *const u8,
    len: usize,
    output: *mut u8,
    capacity: usize,
) -> i32 {
    call(|| {
        // SAFETY: the caller's word.
        let (packet, output) = unsafe { apart(packet, len, output, capacity) }?;
        with_session(session, |session, guard| length(session.outbound().protect_rtp_to(guard, packet, output)))
    })
}

/// keyflip_protect_rtcp from one buffer to another, as keyflip_protect_rtp_to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_protect_rtcp_to(
    session: keyflip_session,
    packet: *const u8,
    len: usize,
    output: *mut u8,
    capacity: usize,
) -> i32 {
    call(|| {
        // SAFETY: the caller's word.
        let (packet, output) = unsafe { apart(packet, len, output, capacity) }?;
        with_session(session, |session, guard| length(session.outbound().protect_rtcp_to(guard, packet, output)))
    })
}

/// keyflip_unprotect_rtp from one buffer to another, of at least the plain packet's length: len is always enough. They must lie apart: KEYFLIP_ERR_OVERLAP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_unprotect_rtp_to(
    session: keyflip_session,
    packet: *const u8,
    len: usize,
    output: *mut u8,
    capacity: usize,
) -> i32 {
    call(|| {
        // SAFETY: the caller's word.
        let (packet, output) = unsafe { apart(packet, len, output, capacity) }?;
        with_session(session, |session, guard| length(session.inbound().unprotect_rtp_to(guard, packet, output)))
    })
}

/// keyflip_unprotect_rtcp from one buffer to another, as keyflip_unprotect_rtp_to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_unprotect_rtcp_to(
    session: keyflip_session,
    packet: *const u8,
    len: usize,
    output: *mut u8,
    capacity: usize,
) -> i32 {
    call(|| {
        // SAFETY: the caller's word.
        let (packet, output) = unsafe { apart(packet, len, output, capacity) }?;
        with_session(session, |session, guard| length(session.inbound().unprotect_rtcp_to(guard, packet, output)))
    })
}

/// By how many octets protection makes a packet of a protocol (one of enum keyflip_protocol) longer at most: tag and MKI, index for RTCP, 4 more with
/// Cryptex. It changes with the length of MKIs only.
///
/// Returns octets; KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_BAD_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn keyflip_overhead(session: keyflip_session, protocol: u32) -> i32 {
    call(|| {
        let outbound = handles::outbound(session)?;
        length(Ok(match self::protocol(protocol)? {
            Protocol::Rtp => outbound.rtp_overhead(),
            Protocol::Rtcp => outbound.rtcp_overhead(),
        }))
    })
}
