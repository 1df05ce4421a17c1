//! Many packets at a time, as `recvmmsg`, GRO or a loop over subscribers deliver them.
//!
//! A packet alone waits for its hash: SHA-1 is a chain of dependent steps. Packets of one call are hashed side by side, in the lanes of vector
//! registers, whatever their sessions, streams and keys. Nothing else changes: each is judged as if it had come alone, in the order given.
//!
//! 1. Packets are worked on by [`AT_ONCE`]. Of these, first all are judged but for their tags, then all tags are computed, then all indices are
//!    claimed, in the caller's order, then all bodies are decrypted.
//! 2. A packet that is refused may have been judged by what another of the call has changed since, or other keys may fit it. So it is judged once
//!    more, alone, when it is its turn to claim: those before it have claimed, and those after it have not.
//! 3. A packet that verified claims only if it would be judged so once more: by its turn, others can have moved the estimate of its index, taken that,
//!    or ended its stream's grace. Else it is judged alone, too. So each packet is answered as it would have been alone, reasons included.
//! 4. What is scrubbed after a packet alone is scrubbed after each group: what computes tags, and what encrypts or decrypts, works in calls of its own. What
//!    is kept of a group meanwhile holds no key but references, and tags, which are wiped.

mod items;
mod receive;
mod send;

pub use items::{Outgoing, OutgoingAt, Received, ReceivedAt};

use crate::crypto::many::AT_ONCE;
use crate::epoch::Guard;
use crate::error::{Error, Result};
use core::ops::Range;
use items::{Arena, Slices};

/// Groups after which a guard is pinned afresh, so that a long batch does not hold up the wipe of keys.
const GROUPS_PER_PIN: usize = 4;

/// Unprotects packets of any sessions, streams, profiles and lengths, each in place; their results are in the items.
///
/// It is as if [`unprotect_rtp`](crate::Inbound::unprotect_rtp) or [`unprotect_rtcp`](crate::Inbound::unprotect_rtcp) were called for one after the other,
/// and quicker. A packet that fails harms no other. The guard is pinned afresh every 256 packets.
///
/// # Performance
///
/// Best with 16 packets or more. It does not allocate.
///
/// ```
/// # use keyflip::{Domain, MasterKey, Outgoing, Profile, Received, Session};
/// # fn main() -> Result<(), keyflip::Error> {
/// # let domain = Domain::new();
/// # let key = |octet| MasterKey::take(&mut [octet; 30]);
/// let session = Session::builder(Profile::Aes128CmSha1_80).outbound(key(7)).inbound(key(7)).build(&domain)?;
/// let mut packets = [[0u8; 60]; 3];
/// for (packet, seq) in packets.iter_mut().zip(1..) {
///     packet[..4].copy_from_slice(&[0x80, 0, 0, seq]);
/// }
/// let mut guard = domain.pin();
/// let mut sent = packets.each_mut().map(|packet| Outgoing::rtp(session.outbound(), packet, 50));
/// keyflip::protect_batch(&mut guard, &mut sent);
/// assert!(sent.iter().all(|packet| packet.result() == Ok(60)));
///
/// let mut received = packets.each_mut().map(|packet| Received::rtp(session.inbound(), packet));
/// keyflip::unprotect_batch(&mut guard, &mut received);
/// for packet in &received {
///     assert_eq!(packet.plain()?.len(), 50);
/// }
/// # Ok(())
/// # }
/// ```
pub fn unprotect_batch(guard: &mut Guard<'_>, packets: &mut [Received<'_>]) {
    for (turn, group) in packets.chunks_mut(AT_ONCE).enumerate() {
        repin(guard, turn);
        receive::group(guard, &mut Slices(group));
    }
}

/// [`unprotect_batch`] of packets that lie in one arena, each at its range.
///
/// # Errors
///
/// [`Error::OverlappingPackets`] if two ranges overlap: nothing has been done then. A range that reaches past the arena is that item's
/// [`Error::LengthExceedsBuffer`].
pub fn unprotect_batch_in(guard: &mut Guard<'_>, arena: &mut [u8], packets: &mut [ReceivedAt<'_>]) -> Result<()> {
    check_apart(packets.iter().map(ReceivedAt::place))?;
    for (turn, group) in packets.chunks_mut(AT_ONCE).enumerate() {
        repin(guard, turn);
        receive::group(guard, &mut Arena(arena, group));
    }
    Ok(())
}

/// Protects packets of any sessions, streams, profiles and lengths, each in place; their results are in the items.
///
/// It is as if [`protect_rtp`](crate::Outbound::protect_rtp) or [`protect_rtcp`](crate::Outbound::protect_rtcp) were called for one after the other.
///
/// # Performance
///
/// As [`unprotect_batch`].
pub fn protect_batch(guard: &mut Guard<'_>, packets: &mut [Outgoing<'_>]) {
    for (turn, group) in packets.chunks_mut(AT_ONCE).enumerate() {
        repin(guard, turn);
        send::group(guard, &mut Slices(group));
    }
}

/// [`protect_batch`] of packets that lie in one arena, each at the beginning of its range.
///
/// # Errors
///
/// As [`unprotect_batch_in`].
pub fn protect_batch_in(guard: &mut Guard<'_>, arena: &mut [u8], packets: &mut [OutgoingAt<'_>]) -> Result<()> {
    check_apart(packets.iter().map(OutgoingAt::place))?;
    for (turn, group) in packets.chunks_mut(AT_ONCE).enumerate() {
        repin(guard, turn);
        send::group(guard, &mut Arena(arena, group));
    }
    Ok(())
}

fn repin(guard: &mut Guard<'_>, turn: usize) {
    if turn > 0 && turn.is_multiple_of(GROUPS_PER_PIN) {
        guard.repin();
    }
}

/// # Errors
///
/// [`Error::OverlappingPackets`].
fn check_apart<'p>(places: impl Iterator<Item = &'p Range<usize>> + Clone) -> Result<()> {
    let apart = |before: &Range<usize>, after: &Range<usize>| {
        before.end <= after.start || before.is_empty() || after.is_empty()
    };
    // As they come from the network: one after the other.
    let ascending =
        places.clone().zip(places.clone().skip(1)).all(|(one, next)| one.start <= one.end && one.end <= next.start);
    if ascending {
        return Ok(());
    }
    let mut sorted: Vec<&Range<usize>> = places.filter(|place| !place.is_empty()).collect();
    sorted.sort_unstable_by_key(|place| place.start);
    let all_apart = sorted.windows(2).all(|pair| matches!(pair, [one, next] if apart(one, next)));
    if all_apart { Ok(()) } else { Err(Error::OverlappingPackets) }
}
