//! Keyflip's calls, each with what holds for every one of them: who refuses changes nothing, who accepts stays within his bounds.

use crate::input::{Form, Protocol};
use crate::plant;
use crate::seen;
use keyflip::{Error, Guard, Inbound, Outbound, Result};

/// What stands where nothing was written.
const UNTOUCHED: u8 = 0xee;

/// Room behind a packet that is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// What the trailer takes, and so many octets more.
    Spare(usize),
    /// So many octets less: the call must refuse.
    Short(usize),
}

fn protect(outbound: &Outbound, guard: &Guard<'_>, protocol: Protocol, buffer: &mut [u8], len: usize) -> Result<usize> {
    match protocol {
        Protocol::Rtp => outbound.protect_rtp(guard, buffer, len),
        Protocol::Rtcp => outbound.protect_rtcp(guard, buffer, len),
    }
}

/// Protects `plain`.
///
/// # Errors
///
/// Keyflip's.
///
/// # Panics
///
/// If a refusal has changed the buffer, or octets beyond the packet were written, or the length is not what it must be.
pub fn seal(outbound: &Outbound, protocol: Protocol, form: Form, room: Room, plain: &[u8]) -> Result<Vec<u8>> {
    let overhead = match protocol {
        Protocol::Rtp => outbound.rtp_overhead(),
        Protocol::Rtcp => outbound.rtcp_overhead(),
    };
    let sealed_len = plain.len() + overhead;
    let len = match room {
        Room::Spare(octets) => sealed_len + octets,
        // In place the packet itself must fit.
        Room::Short(octets) => sealed_len - octets.min(overhead),
    };
    let guard = outbound.domain().pin();
    let mut buffer = vec![UNTOUCHED; len];
    if form != Form::Between {
        buffer[..plain.len()].copy_from_slice(plain);
    }
    let before = buffer.clone();
    let sealed = match (form, protocol) {
        (Form::InPlace, _) => protect(outbound, &guard, protocol, &mut buffer, plain.len()),
        (Form::Autopin, Protocol::Rtp) => outbound.protect_rtp_autopin(&mut buffer, plain.len()),
        (Form::Autopin, Protocol::Rtcp) => outbound.protect_rtcp_autopin(&mut buffer, plain.len()),
        (Form::Between, Protocol::Rtp) => outbound.protect_rtp_to(&guard, plain, &mut buffer),
        (Form::Between, Protocol::Rtcp) => outbound.protect_rtcp_to(&guard, plain, &mut buffer),
    };
    seen::note(&sealed);
    match sealed {
        Ok(written) => {
            assert_eq!(written, sealed_len, "length of the protected packet");
            assert!(buffer[written..].iter().all(|octet| *octet == UNTOUCHED), "octets beyond the packet were written");
            buffer.truncate(written);
            Ok(buffer)
        }
        Err(error) => {
            assert!(buffer == before, "{error:?} left traces in the buffer");
            Err(error)
        }
    }
}

/// A length beyond the buffer must be refused.
///
/// # Panics
///
/// If it is not, or the buffer has changed.
pub fn seal_beyond(outbound: &Outbound, protocol: Protocol, plain: &[u8], beyond: usize) {
    let mut buffer = plain.to_vec();
    let result = protect(outbound, &outbound.domain().pin(), protocol, &mut buffer, plain.len() + beyond);
    assert_eq!(result, Err(Error::LengthExceedsBuffer));
    assert!(buffer == plain, "a refusal left traces in the buffer");
}

/// Unprotects `packet`. Between buffers, the output has `spare` octets beyond the packet's own length.
///
/// # Errors
///
/// Keyflip's.
///
/// # Panics
///
/// As [`seal`].
pub fn open(inbound: &Inbound, protocol: Protocol, form: Form, packet: &[u8], spare: usize) -> Result<Vec<u8>> {
    let guard = inbound.domain().pin();
    if form == Form::Between {
        let mut output = vec![UNTOUCHED; packet.len() + spare];
        let len = match protocol {
            Protocol::Rtp => inbound.unprotect_rtp_to(&guard, packet, &mut output),
            Protocol::Rtcp => inbound.unprotect_rtcp_to(&guard, packet, &mut output),
        };
        let written = len.unwrap_or(0);
        assert!(
            output[written..].iter().all(|octet| *octet == UNTOUCHED),
            "{len:?}: octets beyond the packet were written"
        );
        return len.map(|len| output[..len].to_vec());
    }
    let mut buffer = packet.to_vec();
    let opened = match (form, protocol) {
        (Form::Autopin, Protocol::Rtp) => inbound.unprotect_rtp_autopin(&mut buffer),
        (Form::Autopin, Protocol::Rtcp) => inbound.unprotect_rtcp_autopin(&mut buffer),
        (_, Protocol::Rtp) => inbound.unprotect_rtp(&guard, &mut buffer),
        (_, Protocol::Rtcp) => inbound.unprotect_rtcp(&guard, &mut buffer),
    };
    let opened = opened.map(|plain| plain.to_vec());
    seen::note(&opened);
    if let (true, Err(Error::Replayed), Some(last)) = (plant::is_on(), &opened, buffer.last_mut()) {
        *last ^= 1;
    }
    match opened {
        Ok(plain) => {
            assert!(buffer.starts_with(&plain), "the plain packet is not the beginning of the buffer");
            Ok(plain)
        }
        Err(error) => {
            assert!(buffer == packet, "{error:?} left traces in the buffer");
            Err(error)
        }
    }
}

/// An output that cannot hold the plain packet must be refused, and stay as it is.
///
/// # Panics
///
/// If it does not.
pub fn open_into_less(inbound: &Inbound, protocol: Protocol, packet: &[u8], room: usize) {
    let guard = inbound.domain().pin();
    let mut output = vec![UNTOUCHED; room];
    let result = match protocol {
        Protocol::Rtp => inbound.unprotect_rtp_to(&guard, packet, &mut output),
        Protocol::Rtcp => inbound.unprotect_rtcp_to(&guard, packet, &mut output),
    };
    assert_eq!(result, Err(Error::OutputTooSmall));
    assert!(output.iter().all(|octet| *octet == UNTOUCHED), "a refusal left traces in the output");
}
