//! A group of received packets.

use super::items::Items;
use crate::crypto::many::{AT_ONCE, TagJob, tags};
use crate::epoch::Guard;
use crate::unprotect::{Accepted, Opened, unprotect_unscrubbed};
use arrayvec::ArrayVec;

/// Unprotects up to [`AT_ONCE`] packets.
pub(super) fn group<'c>(guard: &Guard<'_>, items: &mut impl Items<'c>) {
    let mut opened: ArrayVec<Option<Opened<'_>>, AT_ONCE> =
        (0..items.count()).take(AT_ONCE).map(|at| open(guard, items, at)).collect();
    let expected = {
        let mut jobs: ArrayVec<TagJob<'_>, AT_ONCE> = ArrayVec::new();
        for (at, packet) in opened.iter().enumerate() {
            if let Some(packet) = packet {
                jobs.push(packet.tag_job(items.received(at).unwrap_or_default().0));
            }
        }
        tags(&jobs)
    };
    let mut expected = expected.iter();
    let mut accepted: ArrayVec<(usize, Accepted<'_>), AT_ONCE> = ArrayVec::new();
    for (at, packet) in opened.drain(..).enumerate() {
        let claimed = match packet.and_then(|packet| Some((packet, expected.next()?))) {
            Some((packet, expected)) => packet.claim(guard, items.received(at).unwrap_or_default().0, expected),
            None => Err(None),
        };
        match claimed {
            Ok(packet) => accepted.push((at, packet)),
            Err(Some(refused)) => items.settle(at, Err(refused)),
            // Its turn: all before it have claimed.
            Err(None) => {
                let alone = items.owner(at).and_then(|(context, protocol)| {
                    unprotect_unscrubbed(context, guard, protocol, &mut items.buffer(at)?)
                });
                items.settle(at, alone);
            }
        }
    }
    for (at, packet) in &accepted {
        let at = *at;
        let plain = items.buffer(at).map(|mut buffer| packet.decrypt(&mut buffer));
        items.settle(at, plain);
    }
}

/// `None` if the packet is to be judged alone.
fn open<'c: 'g, 'g>(guard: &'g Guard<'_>, items: &impl Items<'c>, at: usize) -> Option<Opened<'g>> {
    let (context, protocol) = items.owner(at).ok()?;
    let (octets, room) = items.received(at).ok()?;
    Opened::new(context, guard, protocol, octets, room)
}
