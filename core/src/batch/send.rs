//! A group of packets to be sent.

use super::items::Items;
use crate::crypto::many::{AT_ONCE, TagJob, tags};
use crate::epoch::Guard;
use crate::error::Result;
use crate::protect::{Ready, ready};
use crate::wire::Protocol;
use arrayvec::ArrayVec;

/// Protects up to [`AT_ONCE`] packets.
pub(super) fn group<'c>(guard: &Guard<'_>, items: &mut impl Items<'c>) {
    let mut encrypted: ArrayVec<(usize, Protocol, Ready<'_>), AT_ONCE> = ArrayVec::new();
    for at in 0..items.count().min(AT_ONCE) {
        match encrypt(guard, items, at) {
            Ok((protocol, packet, false)) => encrypted.push((at, protocol, packet)),
            Ok((_, packet, true)) => items.settle(at, Ok(packet.len())),
            Err(error) => items.settle(at, Err(error)),
        }
    }
    let tags = {
        let jobs: ArrayVec<TagJob<'_>, AT_ONCE> = (encrypted.iter())
            .map(|(at, protocol, packet)| packet.tag_job(*protocol, items.storage(*at).unwrap_or_default()))
            .collect();
        tags(&jobs)
    };
    for ((at, _, packet), tag) in encrypted.iter().zip(&tags) {
        let result = items.buffer(*at).map(|mut buffer| {
            tag.write(packet.split(buffer.output()).1);
            packet.len()
        });
        items.settle(*at, result);
    }
}

/// Takes the packet's index, encrypts it, and writes what of its trailer is in the clear; says whether its tag, too, is written.
fn encrypt<'c: 'g, 'g>(
    guard: &'g Guard<'_>,
    items: &mut impl Items<'c>,
    at: usize,
) -> Result<(Protocol, Ready<'g>, bool)> {
    let (context, protocol) = items.owner(at)?;
    let mut buffer = items.buffer(at)?;
    let ready = ready(context, guard, protocol, buffer.packet(), buffer.packet().len(), buffer.room())?;
    let sealed = ready.encrypt(protocol, &mut buffer);
    ready.put_clear(buffer.output());
    Ok((protocol, ready, sealed))
}
