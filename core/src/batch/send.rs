//! A group of packets to be sent.

use super::items::Items;
use crate::crypto::many::{AT_ONCE, tags};
use crate::epoch::Guard;
use crate::error::Result;
use crate::kernels::{scrub_after_packet, scrubbed};
use crate::protect::{Ready, ready};
use crate::wire::Protocol;
use arrayvec::ArrayVec;

/// Protects up to [`AT_ONCE`] packets.
pub(super) fn group<'c>(guard: &Guard<'_>, items: &mut impl Items<'c>) {
    let mut encrypted: ArrayVec<(u8, Ready<'_>), AT_ONCE> = ArrayVec::new();
    let count = u8::try_from(items.count().min(AT_ONCE)).unwrap_or_default();
    scrubbed(scrub_after_packet, || {
        for place in 0..count {
            let at = usize::from(place);
            match encrypt(guard, items, at) {
                Ok((packet, false)) => encrypted.push((place, packet)),
                Ok((packet, true)) => items.settle(at, Ok(packet.len())),
                Err(error) => items.settle(at, Err(error)),
            }
        }
    });
    if encrypted.is_empty() {
        return;
    }
    let tags = tags(encrypted.len(), |nth| {
        let (at, packet) = encrypted.get(nth)?;
        Some(packet.tag_job(items.storage(usize::from(*at)).ok()?))
    });
    for (nth, (at, packet)) in encrypted.iter().enumerate() {
        let (at, Some(tag)) = (usize::from(*at), tags.get(nth)) else { continue };
        let result = items.buffer(at).map(|mut buffer| {
            tag.write(packet.split(buffer.output()).1);
            packet.len()
        });
        items.settle(at, result);
    }
}

/// Takes the packet's index, encrypts it, and writes what of its trailer is in the clear; says whether its tag, too, is written.
#[inline(always)]
fn encrypt<'c: 'g, 'g>(guard: &'g Guard<'_>, items: &mut impl Items<'c>, at: usize) -> Result<(Ready<'g>, bool)> {
    let (context, protocol) = items.owner(at)?;
    let mut buffer = items.buffer(at)?;
    let (packet, room) = (buffer.packet(), buffer.room());
    // Each protocol in code of its own, as in `protect`.
    let ready = match protocol {
        Protocol::Rtp => ready(context, guard, Protocol::Rtp, packet, packet.len(), room)?,
        Protocol::Rtcp => ready(context, guard, Protocol::Rtcp, packet, packet.len(), room)?,
    };
    let sealed = ready.encrypt(&mut buffer);
    ready.put_clear(buffer.output());
    Ok((ready, sealed))
}
