//! Protect and unprotect.

use crate::abi::*;
use crate::control::call;
use crate::directions::Way;
use crate::events::{self, has_handler};
use crate::mki;
use crate::sessions::{self, Client, Session};
use core::ffi::{c_int, c_uint, c_void};
use core::slice;
use core::sync::atomic::Ordering;
use keyflip::{Error, Guard, Protocol};

/// Which MKI a call asks for.
#[derive(Clone, Copy)]
pub(crate) struct Mki {
    pub(crate) is_used: bool,
    /// Which of the policy's keys is to protect.
    pub(crate) index: c_uint,
}

const NONE: Mki = Mki { is_used: false, index: 0 };

/// Protects an RTP packet in place; `len` is its length, and becomes that of the SRTP packet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn srtp_protect(session: srtp_t, packet: *mut c_void, len: *mut c_int) -> Status {
    // SAFETY: the caller's packet.
    unsafe { protect(session, Protocol::Rtp, packet, len, NONE) }
}

/// Protects an RTP packet in place, with an MKI or by another key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn srtp_protect_mki(
    session: srtp_t,
    packet: *mut c_void,
    len: *mut c_int,
    use_mki: c_uint,
    mki_index: c_uint,
) -> Status {
    // SAFETY: the caller's packet.
    unsafe { protect(session, Protocol::Rtp, packet, len, Mki { is_used: use_mki != 0, index: mki_index }) }
}

/// Protects an RTCP packet in place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn srtp_protect_rtcp(session: srtp_t, packet: *mut c_void, len: *mut c_int) -> Status {
    // SAFETY: the caller's packet.
    unsafe { protect(session, Protocol::Rtcp, packet, len, NONE) }
}

/// Protects an RTCP packet in place, with an MKI or by another key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn srtp_protect_rtcp_mki(
    session: srtp_t,
    packet: *mut c_void,
    len: *mut c_int,
    use_mki: c_uint,
    mki_index: c_uint,
) -> Status {
    // SAFETY: the caller's packet.
    unsafe { protect(session, Protocol::Rtcp, packet, len, Mki { is_used: use_mki != 0, index: mki_index }) }
}

/// Unprotects an SRTP packet in place; `len` is its length, and becomes that of the RTP packet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn srtp_unprotect(session: srtp_t, packet: *mut c_void, len: *mut c_int) -> Status {
    // SAFETY: the caller's packet.
    unsafe { unprotect(session, Protocol::Rtp, packet, len, false) }
}

/// Unprotects an SRTP packet in place, which may have an MKI.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn srtp_unprotect_mki(
    session: srtp_t,
    packet: *mut c_void,
    len: *mut c_int,
    use_mki: c_uint,
) -> Status {
    // SAFETY: the caller's packet.
    unsafe { unprotect(session, Protocol::Rtp, packet, len, use_mki != 0) }
}

/// Unprotects an SRTCP packet in place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn srtp_unprotect_rtcp(session: srtp_t, packet: *mut c_void, len: *mut c_int) -> Status {
    // SAFETY: the caller's packet.
    unsafe { unprotect(session, Protocol::Rtcp, packet, len, false) }
}

/// Unprotects an SRTCP packet in place, which may have an MKI.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn srtp_unprotect_rtcp_mki(
    session: srtp_t,
    packet: *mut c_void,
    len: *mut c_int,
    use_mki: c_uint,
) -> Status {
    // SAFETY: the caller's packet.
    unsafe { unprotect(session, Protocol::Rtcp, packet, len, use_mki != 0) }
}

/// The SSRC of a packet, in host order.
pub(crate) fn ssrc(protocol: Protocol, packet: &[u8]) -> Option<u32> {
    let at = if protocol == Protocol::Rtp { 8 } else { 4 };
    packet.get(at..)?.first_chunk().map(|octets| u32::from_be_bytes(*octets))
}

/// Protects by the core, in whose sender a stream begins at its first packet.
pub(crate) fn send(
    session: &Session,
    guard: &Guard<'_>,
    protocol: Protocol,
    buffer: &mut [u8],
    len: usize,
) -> Result<usize, Status> {
    let mut protect = || match protocol {
        Protocol::Rtp => session.outbound.protect_rtp(guard, buffer, len),
        Protocol::Rtcp => session.outbound.protect_rtcp(guard, buffer, len),
    };
    let outcome = protect();
    if outcome != Err(Error::UnknownSsrc) || !session.has_template {
        return Ok(outcome?);
    }
    let ssrc = ssrc(protocol, buffer).ok_or(Status::BadParam)?;
    session.begin_sending(ssrc)?;
    Ok(match protocol {
        Protocol::Rtp => session.outbound.protect_rtp(guard, buffer, len),
        Protocol::Rtcp => session.outbound.protect_rtcp(guard, buffer, len),
    }?)
}

/// # Safety
///
/// `packet` has `*len` octets and room for the trailer behind them; both are null or the caller's alone during the call.
unsafe fn protect(session: srtp_t, protocol: Protocol, packet: *mut c_void, len: *mut c_int, mki: Mki) -> Status {
    let work = |client: &Client, session: &Session, guard: &Guard<'_>, packet: *mut u8, len: usize| {
        let trailer = client.trailer(protocol);
        // SAFETY: as this function's. Nothing beyond the trailer is touched.
        let buffer = unsafe { slice::from_raw_parts_mut(packet, len + trailer) };
        // Relaxed: whoever sees it takes the book.
        if client.has_mkis.load(Ordering::Relaxed) {
            return mki::protect(client, session, guard, protocol, buffer, len, mki);
        }
        if mki.is_used && mki.index > 0 {
            return Err(Status::BadMki);
        }
        send(session, guard, protocol, buffer, len)
    };
    // SAFETY: as this function's.
    unsafe { run(session, protocol, Way::Sent, (packet, len), work) }
}

/// # Safety
///
/// `packet` has `*len` octets; both are null or the caller's alone during the call.
unsafe fn unprotect(
    session: srtp_t,
    protocol: Protocol,
    packet: *mut c_void,
    len: *mut c_int,
    use_mki: bool,
) -> Status {
    let work = |client: &Client, session: &Session, guard: &Guard<'_>, packet: *mut u8, len: usize| {
        // SAFETY: as this function's.
        let packet = unsafe { slice::from_raw_parts_mut(packet, len) };
        // Relaxed: whoever sees it takes the book.
        if !use_mki && client.has_mkis.load(Ordering::Relaxed) {
            return mki::unprotect(client, session, guard, protocol, packet);
        }
        let plain = match protocol {
            Protocol::Rtp => session.inbound.unprotect_rtp(guard, packet),
            Protocol::Rtcp => session.inbound.unprotect_rtcp(guard, packet),
        }?;
        Ok(plain.len())
    };
    // SAFETY: as this function's.
    unsafe { run(session, protocol, Way::Received, (packet, len), work) }
}

/// Does `work` on a packet, under a guard; tells of events when that is gone.
///
/// # Safety
///
/// As [`protect`].
#[inline]
unsafe fn run(
    name: srtp_t,
    protocol: Protocol,
    way: Way,
    (packet, len): (*mut c_void, *mut c_int),
    work: impl FnOnce(&Client, &Session, &Guard<'_>, *mut u8, usize) -> Result<usize, Status>,
) -> Status {
    // SAFETY: null, or as this function's.
    let Some(place) = (unsafe { len.as_mut() }) else { return Status::BadParam };
    let Ok(octets) = usize::try_from(*place) else { return Status::BadParam };
    if packet.is_null() {
        return Status::BadParam;
    }
    let (packet, mut event) = (packet.cast::<u8>(), None);
    let status = call(|| {
        sessions::with(name, |client, guard| {
            // Before it is changed. SAFETY: as this function's.
            let ssrc = ssrc(protocol, unsafe { slice::from_raw_parts(packet, octets) });
            let done = work(client, client.session(guard), guard, packet, octets);
            if let Some(ssrc) = ssrc.filter(|_| has_handler()) {
                let is_collision = done.is_ok() && client.directions.note(ssrc, way);
                event = match &done {
                    Ok(_) => is_collision.then_some((ssrc, COLLISION)),
                    Err(Status::KeyExpired) => Some((ssrc, HARD_LIMIT)),
                    Err(_) => None,
                };
            }
            *place = c_int::try_from(done?).map_err(|_| Status::Fail)?;
            Ok(())
        })
    });
    if let Some((ssrc, event)) = event {
        events::raise(name, ssrc, event);
    }
    status
}
