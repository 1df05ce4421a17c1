//! Whether a packet could be sent: for who sends it through another context before.

use crate::context::Context;
use crate::epoch::Guard;
use crate::error::{Error, Result};
use crate::index::Counter;
use crate::space::until_settled;
use crate::wire::{MAX_PACKET_LEN, Plain, Protocol};

/// Whether [`ready`](super::ready) would make an RTP packet ready now. It takes no index, but adds the stream if there is none; what it says may be
/// overtaken by another thread.
///
/// # Errors
///
/// Those of [`ready`](super::ready), counted.
pub(crate) fn check(context: &Context, guard: &Guard<'_>, head: &[u8], len: usize, room: usize) -> Result<()> {
    until_settled!(check_once(context, guard, head, len, room))
        .inspect_err(|error| context.count_refusal(*error, guard, Protocol::Rtp, head))
}

fn check_once(context: &Context, guard: &Guard<'_>, head: &[u8], len: usize, room: usize) -> Result<()> {
    if len > MAX_PACKET_LEN {
        return Err(Error::PacketTooLong);
    }
    let context = context.route(guard, Protocol::Rtp, head)?;
    let packet = Plain::parse(Protocol::Rtp, head)?;
    let policy = context.policy();
    let len = if policy.changes_headers { policy.plan_header(head, packet.head, len)?.2 } else { len };
    let ring = context.ring(guard)?;
    if len + policy.shape(ring.shape(policy.spec, Protocol::Rtp), packet.seq).overhead() > room {
        return Err(Error::OutputTooSmall);
    }
    let held = ring.current()?;
    held.key.budget(Protocol::Rtp).check()?;
    let seat = held.space.seat(packet.ssrc, guard)?;
    let mark = seat.mark(Protocol::Rtp);
    let index = mark.estimate(Counter::SRTP, packet.seq);
    match seat.peek(Protocol::Rtp, index, mark).map_err(Error::to_sender) {
        Err(Error::IndexReused) if policy.retransmission => {}
        peeked => peeked?,
    }
    context.admit(held, packet.ssrc, &seat, guard).map(drop)
}
