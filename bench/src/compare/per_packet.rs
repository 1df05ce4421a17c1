//! The peers' side: a call for each packet, in the same order and on the same buffers.

use super::fanout::Payload;
use super::lane::Work;
use super::packets::{Contexts, Op, Packets};
use super::peers::Peer;
use super::slots::Slots;
use anyhow::Result;
use keyflip_interop::{Direction, Protocol};

fn contexts<P: Peer>(contexts: Contexts, direction: Direction) -> Result<Vec<P::Context>> {
    contexts.keys().map(|keys| P::context(&keys, direction)).collect()
}

/// Protects packets, in place if the peer can.
pub(crate) struct Protect<P: Peer>(Vec<P::Context>);

impl<P: Peer> Protect<P> {
    pub(crate) fn new(of: Contexts) -> Result<Self> {
        Ok(Self(contexts::<P>(of, Op::Protect.direction())?))
    }
}

impl<P: Peer> Work<Packets> for Protect<P> {
    #[inline]
    fn each(&mut self, source: &Packets, slots: &mut Slots, mut sink: impl FnMut(&[u8])) -> Result<()> {
        for batch in source.batches() {
            for (n, context) in batch.zip(&mut self.0) {
                let (buffer, len) = slots.slot(n);
                P::protect(context, Protocol::Rtp, buffer, len, &mut sink)?;
            }
        }
        Ok(())
    }
}

/// Unprotects packets, in place if the peer can.
pub(crate) struct Unprotect<P: Peer>(Vec<P::Context>);

impl<P: Peer> Unprotect<P> {
    pub(crate) fn new(of: Contexts) -> Result<Self> {
        Ok(Self(contexts::<P>(of, Op::Unprotect.direction())?))
    }
}

impl<P: Peer> Work<Packets> for Unprotect<P> {
    const LEAVES_OUT: usize = P::LEAVES_OUT;

    #[inline]
    fn each(&mut self, source: &Packets, slots: &mut Slots, mut sink: impl FnMut(&[u8])) -> Result<()> {
        for batch in source.batches() {
            for (n, context) in batch.zip(&mut self.0) {
                P::unprotect(context, Protocol::Rtp, slots.packet(n), &mut sink)?;
            }
        }
        Ok(())
    }
}

/// Protects one payload for many. A peer that works in place gets a copy of it each time, the others read the same buffer.
pub(crate) struct FanOut<P: Peer> {
    contexts: Vec<P::Context>,
    packet: Vec<u8>,
}

impl<P: Peer> FanOut<P> {
    pub(crate) fn new(of: Contexts) -> Result<Self> {
        Ok(Self { contexts: contexts::<P>(of, Op::Protect.direction())?, packet: Vec::new() })
    }
}

impl<P: Peer> Work<Payload> for FanOut<P> {
    #[inline]
    fn each(&mut self, source: &Payload, slots: &mut Slots, mut sink: impl FnMut(&[u8])) -> Result<()> {
        self.packet.clone_from(&source.packet);
        for (place, context) in source.places() {
            Payload::address(&mut self.packet, context, source.seq);
            let room = slots.room(place);
            P::protect_from(&mut self.contexts[context], Protocol::Rtp, &self.packet, room, &mut sink)?;
        }
        Ok(())
    }
}
