//! What the server does: decrypts each packet once, encrypts it for those who get it, and turns keys in between.

use super::feed::{Feed, Turn};
use super::mix::{Arrival, PARTICIPANTS};
use crate::compare::keys::Keys;
use crate::compare::lane::Laps;
use crate::compare::peers::Peer;
use crate::compare::slots::Slots;
use anyhow::Result;
use keyflip::Profile;
use keyflip_interop::Direction;

/// An implementation at the server's work.
pub(crate) trait Relay {
    /// Relays a batch, whose first packet is in buffer `first` of `input`; each packet that goes out has a buffer of `output`.
    fn relay(&mut self, batch: &[Arrival], input: &mut Slots, first: usize, output: &mut Slots) -> Result<()>;

    /// The same, and copies the packets that go out.
    fn record(
        &mut self,
        batch: &[Arrival],
        input: &mut Slots,
        first: usize,
        output: &mut Slots,
        record: &mut Vec<Vec<u8>>,
    ) -> Result<()>;

    /// Turns a key.
    fn turn(&mut self, turn: &Turn) -> Result<()>;
}

/// The work of a batch, written once for the clock and for the check.
pub(crate) trait Batch {
    fn batch(
        &mut self,
        batch: &[Arrival],
        input: &mut Slots,
        first: usize,
        output: &mut Slots,
        sink: impl FnMut(&[u8]),
    ) -> Result<()>;

    /// Turns a key.
    fn turn(&mut self, turn: &Turn) -> Result<()>;
}

impl<B: Batch> Relay for B {
    fn relay(&mut self, batch: &[Arrival], input: &mut Slots, first: usize, output: &mut Slots) -> Result<()> {
        self.batch(batch, input, first, output, |packet| {
            std::hint::black_box(packet);
        })
    }

    fn record(
        &mut self,
        batch: &[Arrival],
        input: &mut Slots,
        first: usize,
        output: &mut Slots,
        record: &mut Vec<Vec<u8>>,
    ) -> Result<()> {
        self.batch(batch, input, first, output, |packet| record.push(packet.to_vec()))
    }

    fn turn(&mut self, turn: &Turn) -> Result<()> {
        Batch::turn(self, turn)
    }
}

/// Relays a whole cycle: each batch is a piece of work, each turned key a turn.
pub(crate) fn cycle(relay: &mut dyn Relay, feed: &mut Feed, output: &mut Slots, laps: &mut Laps) -> Result<()> {
    let mix = feed.mix();
    let (input, turns) = feed.arrived();
    for ((first, batch), turns) in mix.batches().zip(turns) {
        relay.relay(batch, input, first, output)?;
        laps.piece();
        for turn in turns {
            relay.turn(turn)?;
            laps.turn(usize::from(turn.direction == Direction::Receive));
        }
    }
    Ok(())
}

/// The same, and copies what goes out.
pub(crate) fn record(
    relay: &mut dyn Relay,
    feed: &mut Feed,
    output: &mut Slots,
    record: &mut Vec<Vec<u8>>,
) -> Result<()> {
    let mix = feed.mix();
    let (input, turns) = feed.arrived();
    for ((first, batch), turns) in mix.batches().zip(turns) {
        relay.record(batch, input, first, output, record)?;
        turns.iter().try_for_each(|turn| relay.turn(turn))?;
    }
    Ok(())
}

/// A peer at the server's work, called once a packet: for each participant a context of either direction.
pub(crate) struct PerPacket<P: Peer> {
    inbound: Vec<P::Context>,
    outbound: Vec<P::Context>,
}

impl<P: Peer> PerPacket<P> {
    pub(crate) fn new(profile: Profile, first_key: u64) -> Result<Self> {
        let keys = || (first_key..).take(PARTICIPANTS).map(|number| Keys::new(profile, number));
        Ok(Self {
            inbound: keys().map(|keys| P::context(&keys, Direction::Receive)).collect::<Result<_>>()?,
            outbound: keys().map(|keys| P::context(&keys, Direction::Send)).collect::<Result<_>>()?,
        })
    }
}

impl<P: Peer> Batch for PerPacket<P> {
    #[inline]
    fn batch(
        &mut self,
        batch: &[Arrival],
        input: &mut Slots,
        first: usize,
        output: &mut Slots,
        mut sink: impl FnMut(&[u8]),
    ) -> Result<()> {
        let mut place = 0;
        for (n, arrival) in batch.iter().enumerate() {
            let (protocol, outbound) = (arrival.kind.protocol(), &mut self.outbound);
            P::unprotect(&mut self.inbound[arrival.sender], protocol, input.packet(first + n), |plain| {
                arrival.receivers().try_for_each(|receiver| {
                    let room = output.room(place);
                    place += 1;
                    P::protect_from(&mut outbound[receiver], protocol, plain, room, &mut sink)
                })
            })??;
        }
        Ok(())
    }

    fn turn(&mut self, turn: &Turn) -> Result<()> {
        let contexts = match turn.direction {
            Direction::Receive => &mut self.inbound,
            Direction::Send => &mut self.outbound,
        };
        P::rekey(&mut contexts[turn.participant], &turn.keys, turn.direction)
    }
}
