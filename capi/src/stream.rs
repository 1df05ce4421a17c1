//! Streams of a session, and what was refused.

use crate::boundary::{Outcome, call, can_put, put, slice_mut};
use crate::handles::{self, Direction};
use crate::key::direction;
use crate::session::keyflip_session;
use crate::sized::{self, Grows};
use keyflip::{RefusedCounts, Roc, StreamInfo, TrackInfo};

/// Announces a stream, to start at rollover counter roc and, outbound, at SRTCP index srtcp_index (of 31 bits; inbound, give 0). Streams appear by
/// themselves at their first packet, so this is for late joiners that were told a counter, and for sessions with KEYFLIP_SESSION_STREAMS_BY_CALL.
///
/// ssrc is in host order. Returns KEYFLIP_OK; KEYFLIP_ERR_STREAM_EXISTS, KEYFLIP_ERR_TOO_MANY_STREAMS; KEYFLIP_ERR_INDEX_BACKWARD below what an earlier life of
/// the stream reached; KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_BAD_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn keyflip_stream_add(
    session: keyflip_session,
    direction: u32,
    ssrc: u32,
    roc: u32,
    srtcp_index: u32,
) -> i32 {
    call(|| {
        match self::direction(direction)? {
            Direction::Inbound if srtcp_index != 0 => return Err(crate::error::keyflip_err::BadArgument),
            Direction::Inbound => handles::inbound(session)?.add_stream(ssrc, Roc(roc))?,
            Direction::Outbound => handles::outbound(session)?.add_stream(ssrc, Roc(roc), srtcp_index)?,
        }
        Ok(0)
    })
}

/// Removes a stream. Indices up to its highest stay refused. Where streams appear by themselves, a later packet brings it back, above them.
///
/// ssrc is in host order. Returns KEYFLIP_OK; KEYFLIP_ERR_NO_SUCH_STREAM, KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_BAD_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn keyflip_stream_remove(session: keyflip_session, direction: u32, ssrc: u32) -> i32 {
    call(|| {
        match self::direction(direction)? {
            Direction::Inbound => handles::inbound(session)?.remove_stream(ssrc)?,
            Direction::Outbound => handles::outbound(session)?.remove_stream(ssrc)?,
        }
        Ok(0)
    })
}

/// Writes the rollover counter of a stream to roc. ssrc is in host order.
///
/// Returns KEYFLIP_OK; KEYFLIP_ERR_NO_SUCH_STREAM, KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_BAD_ARGUMENT, KEYFLIP_ERR_NULL_POINTER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_stream_roc(session: keyflip_session, direction: u32, ssrc: u32, roc: *mut u32) -> i32 {
    call(|| {
        let Roc(found) = match self::direction(direction)? {
            Direction::Inbound => handles::inbound(session)?.roc(ssrc)?,
            Direction::Outbound => handles::outbound(session)?.roc(ssrc)?,
        };
        // SAFETY: the caller's word.
        unsafe { put(roc, found) }?;
        Ok(0)
    })
}

/// Moves a stream on to rollover counter roc: for one that has missed a wrap. ssrc is in host order.
///
/// Returns KEYFLIP_OK; KEYFLIP_ERR_INDEX_BACKWARD below the counter in use; KEYFLIP_ERR_NO_SUCH_STREAM, KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_BAD_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn keyflip_stream_set_roc(session: keyflip_session, direction: u32, ssrc: u32, roc: u32) -> i32 {
    call(|| {
        match self::direction(direction)? {
            Direction::Inbound => handles::inbound(session)?.set_roc(ssrc, Roc(roc))?,
            Direction::Outbound => handles::outbound(session)?.set_roc(ssrc, Roc(roc))?,
        }
        Ok(0)
    })
}

/// One protocol of a stream.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct keyflip_track {
    /// One above the highest index accepted or sent; 0 before the first packet. SRTCP counts on past 2^31.
    pub next_index: u64,
    /// Packets accepted or sent.
    pub packets: u64,
    /// Packets refused after the stream was found.
    pub refused: u64,
}

/// A stream of a session.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct keyflip_stream_info {
    /// Its SSRC, in host order.
    pub ssrc: u32,
    /// Its rollover counter.
    pub roc: u32,
    /// Its SRTP packets.
    pub rtp: keyflip_track,
    /// Its SRTCP packets.
    pub rtcp: keyflip_track,
    /// It has been idle for so many milliseconds at least: as finely as this is asked.
    pub idle_ms: u64,
}

fn track(track: TrackInfo) -> keyflip_track {
    let next_index = track.highest_index.map_or(0, |highest| highest + 1);
    keyflip_track { next_index, packets: track.packets, refused: track.refused }
}

fn describe(stream: &StreamInfo) -> keyflip_stream_info {
    keyflip_stream_info {
        ssrc: stream.ssrc.0,
        roc: stream.rtp.cycle,
        rtp: track(stream.rtp),
        rtcp: track(stream.rtcp),
        idle_ms: u64::try_from(stream.idle_since.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

/// Lists the streams of a direction, in no order.
///
/// streams has room for capacity of them, and count receives how many there are: more than capacity if some had no room. streams may be NULL if capacity
/// is 0.
///
/// Returns KEYFLIP_OK; KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_BAD_ARGUMENT, KEYFLIP_ERR_NULL_POINTER. Allocates; holds up nobody.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_streams(
    session: keyflip_session,
    direction: u32,
    streams: *mut keyflip_stream_info,
    capacity: usize,
    count: *mut usize,
) -> i32 {
    call(|| {
        can_put(count)?;
        // SAFETY: the caller's word.
        let places = unsafe { slice_mut(streams, capacity) }?;
        let list = match self::direction(direction)? {
            Direction::Inbound => handles::inbound(session)?.streams(),
            Direction::Outbound => handles::outbound(session)?.streams(),
        };
        for (place, stream) in places.iter_mut().zip(&list) {
            *place = describe(stream);
        }
        // SAFETY: the caller's word.
        unsafe { put(count, list.len()) }?;
        Ok(0)
    })
}

/// Packets that a direction refused, by reason.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct keyflip_refused {
    /// sizeof(keyflip_refused): set it before the call.
    pub size: usize,
    /// Not a packet of this protocol.
    pub malformed: u64,
    /// No key verified the tag.
    pub authentication_failed: u64,
    /// The MKI named no key.
    pub unknown_mki: u64,
    /// The SSRC had no stream and got none.
    pub unknown_ssrc: u64,
    /// Replayed, or left of the window.
    pub replayed: u64,
    /// No key, or one at the end of its lifetime.
    pub no_key: u64,
    /// Refused for another reason.
    pub other: u64,
}

// SAFETY: integers, the first of which is the size.
unsafe impl Grows for keyflip_refused {}

/// Reports how many packets a direction has refused so far. They cost no memory and no lock.
///
/// Returns KEYFLIP_OK; KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_BAD_ARGUMENT, KEYFLIP_ERR_NULL_POINTER, KEYFLIP_ERR_BAD_SIZE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_refused_counters(
    session: keyflip_session,
    direction: u32,
    refused: *mut keyflip_refused,
) -> i32 {
    call(|| {
        let counts = counts(session, direction)?;
        let report = keyflip_refused {
            size: 0,
            malformed: counts.malformed,
            authentication_failed: counts.authentication_failed,
            unknown_mki: counts.unknown_mki,
            unknown_ssrc: counts.unknown_ssrc,
            replayed: counts.replayed,
            no_key: counts.no_key,
            other: counts.other,
        };
        // SAFETY: the caller's word.
        unsafe { sized::write(refused, &report) }?;
        Ok(0)
    })
}

fn counts(session: keyflip_session, direction: u32) -> Outcome<RefusedCounts> {
    Ok(match self::direction(direction)? {
        Direction::Inbound => handles::inbound(session)?.refused(),
        Direction::Outbound => handles::outbound(session)?.refused(),
    })
}
