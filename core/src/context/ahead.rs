//! Fetching ahead, for many packets of contexts that no cache holds all of: what the packets will read, line by line, is a chain of pointers. Followed for
//! many packets step by step, the processor waits for many lines at a time, and not for one.
//!
//! Nothing is decided by what is found here.

use super::Context;
use crate::crypto::many::AT_ONCE;
use crate::epoch::Guard;
use crate::index::Ssrc;
use crate::kernels::fetch;
use crate::keys::Held;
use crate::space::Space;
use crate::wire::Protocol;
use arrayvec::ArrayVec;

/// Packets of one call from which on fetching ahead is worth its while: as many contexts as fill a second-level cache.
pub(crate) const FROM: usize = 128;

/// Fetches what the next packets to be sent read: `packet` says by which context, and of which SSRC, as far as there are any.
pub(crate) fn fetch_ahead<'g>(
    guard: &'g Guard<'_>,
    protocol: Protocol,
    packet: impl Fn(usize) -> Option<(&'g Context, Ssrc)>,
) {
    let all = || (0..AT_ONCE).map_while(&packet);
    for (context, _) in all() {
        fetch(context, 2);
        fetch(context.policy(), 3);
    }
    for (context, _) in all() {
        if let Ok(ring) = context.ring(guard) {
            fetch(ring, 1);
        }
    }
    let held: ArrayVec<Option<(&Held<Space>, Ssrc)>, AT_ONCE> =
        all().map(|(context, ssrc)| Some((context.ring(guard).ok()?.current().ok()?, ssrc))).collect();
    let known = || held.iter().flatten();
    for (held, _) in known() {
        fetch(&*held.key, 2);
        fetch(&*held.space, 1);
    }
    for (held, _) in known() {
        held.key.fetch_suite(protocol);
        held.space.fetch_table(guard);
    }
    for (held, ssrc) in known() {
        held.space.fetch_slot(*ssrc, guard);
    }
    for (held, ssrc) in known() {
        held.space.fetch_stream(*ssrc, guard);
    }
}
