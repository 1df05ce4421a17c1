//! A group of received packets.

use super::items::Items;
use crate::crypto::many::{AT_ONCE, tags};
use crate::epoch::Guard;
use crate::kernels::{scrub_after_packet, scrubbed};
use crate::unprotect::{Opened, unprotect};
use arrayvec::ArrayVec;

/// Unprotects up to [`AT_ONCE`] packets.
pub(super) fn group<'c>(guard: &Guard<'_>, items: &mut impl Items<'c>) {
    let mut opened: ArrayVec<Option<Opened<'_>>, AT_ONCE> = ArrayVec::new();
    for at in 0..items.count().min(AT_ONCE) {
        opened.push(open(guard, items, at));
    }
    let expected = tags(opened.len(), |at| {
        let packet = opened.get(at)?.as_ref()?;
        Some(packet.tag_job(items.received(at).ok()?.0))
    });
    for (at, place) in opened.iter_mut().enumerate() {
        let claimed = match (&*place, expected.get(at)) {
            (Some(packet), Some(expected)) => packet.claim(guard, items.received(at).unwrap_or_default().0, expected),
            _ => Err(None),
        };
        if let Err(refused) = claimed {
            *place = None;
            let result = match refused {
                Some(refused) => Err(refused),
                // Its turn: all before it have claimed.
                None => items
                    .owner(at)
                    .and_then(|(context, protocol)| unprotect(context, guard, protocol, items.buffer(at)?)),
            };
            items.settle(at, result);
        }
    }
    scrubbed(scrub_after_packet, || {
        for (at, packet) in opened.iter().enumerate() {
            if let Some(packet) = packet {
                let plain = items.buffer(at).map(|mut buffer| packet.decrypt(&mut buffer));
                items.settle(at, plain);
            }
        }
    });
}

/// `None` if the packet is to be judged alone.
#[inline(always)]
fn open<'c: 'g, 'g>(guard: &'g Guard<'_>, items: &impl Items<'c>, at: usize) -> Option<Opened<'g>> {
    let (context, protocol) = items.owner(at).ok()?;
    let (octets, room) = items.received(at).ok()?;
    Opened::new(context, guard, protocol, octets, room)
}
