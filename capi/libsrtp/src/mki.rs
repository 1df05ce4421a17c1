//! Packets of policies with MKIs or several keys: by calls that use them, or not.
//!
//! The core puts an MKI into every packet of a key that has one. libsrtp2 lets each call choose. MKIs are not authenticated (RFC 3711 3.1), so one may be taken
//! out of a packet, or put in, without a difference to anything else. This costs a copy and the client's book; clients as a rule do not do it.

use crate::abi::Status;
use crate::packets::{Mki, send, ssrc};
use crate::sessions::{Bound, Client, Session};
use keyflip::{Guard, Protocol};
use zeroize::Zeroizing;

/// Protects the first `len` octets of `buffer` by the key that the call asks for.
pub(crate) fn protect(
    client: &Client,
    session: &Session,
    guard: &Guard<'_>,
    protocol: Protocol,
    buffer: &mut [u8],
    len: usize,
    mki: Mki,
) -> Result<usize, Status> {
    let outbound = &session.outbound;
    let ssrc = ssrc(protocol, buffer.get(..len).unwrap_or_default()).ok_or(Status::BadParam)?;
    // Held until the packet is protected: nobody else chooses another key meanwhile.
    let mut book = client.policies()?;
    let bound = book.of(ssrc).ok_or(Status::NoCtx)?;
    let index = if mki.is_used { usize::try_from(mki.index).unwrap_or(usize::MAX) } else { 0 };
    let key = *bound.sending.get(index).ok_or(Status::BadMki)?;
    if bound.sends_under != index {
        match outbound.ssrc_keys(ssrc) {
            Some(keys) => keys.switch_to(key)?,
            None => outbound.send_under(key)?,
        }
        bound.sends_under = index;
    }
    if mki.is_used || bound.policy.mki_len() == 0 {
        return send(session, guard, protocol, buffer, len);
    }
    let mut with_mki = Zeroizing::new(buffer.to_vec());
    let sealed = send(session, guard, protocol, &mut with_mki, len)?;
    with_mki.truncate(sealed);
    let at = place(bound, protocol, sealed - bound.policy.mki_len()).ok_or(Status::Fail)?;
    let octets = with_mki.iter().take(at).chain(with_mki.iter().skip(at + bound.policy.mki_len()));
    for (to, from) in buffer.iter_mut().zip(octets) {
        *to = *from;
    }
    Ok(sealed - bound.policy.mki_len())
}

/// Unprotects a packet that has no MKI, by the first key of its policy.
pub(crate) fn unprotect(
    client: &Client,
    session: &Session,
    guard: &Guard<'_>,
    protocol: Protocol,
    packet: &mut [u8],
) -> Result<usize, Status> {
    let inbound = &session.inbound;
    let ssrc = ssrc(protocol, packet).ok_or(Status::BadParam)?;
    let with_mki = {
        let mut book = client.policies()?;
        let bound = book.of(ssrc).ok_or(Status::NoCtx)?;
        let mki = bound.policy.keys.first().map_or(&[][..], |key| &key.mki);
        if mki.is_empty() {
            None
        } else {
            let at = place(bound, protocol, packet.len()).ok_or(Status::ParseErr)?;
            let (before, after) = packet.split_at_checked(at).ok_or(Status::ParseErr)?;
            Some(Zeroizing::new([before, mki, after].concat()))
        }
    };
    let Some(mut with_mki) = with_mki else {
        return Ok(match protocol {
            Protocol::Rtp => inbound.unprotect_rtp(guard, packet),
            Protocol::Rtcp => inbound.unprotect_rtcp(guard, packet),
        }?
        .len());
    };
    let plain = match protocol {
        Protocol::Rtp => inbound.unprotect_rtp(guard, &mut with_mki),
        Protocol::Rtcp => inbound.unprotect_rtcp(guard, &mut with_mki),
    }?;
    for (to, from) in packet.iter_mut().zip(&*plain) {
        *to = *from;
    }
    Ok(plain.len())
}

/// Where the MKI stands in a packet that has `len` octets without it: before the tag, or behind that of AES-GCM.
fn place(bound: &Bound, protocol: Protocol, len: usize) -> Option<usize> {
    let shape = &bound.policy.shape;
    if shape.is_gcm() { Some(len) } else { len.checked_sub(shape.tag_len(protocol == Protocol::Rtcp)) }
}
