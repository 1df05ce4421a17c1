//! The packets of a batch, as callers hold them.

use crate::buffer::Buffer;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::inbound::Inbound;
use crate::outbound::Outbound;
use crate::wire::Protocol;
use core::fmt;
use core::ops::Range;

/// Whose a packet is, and what became of it.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    context: &'a Context,
    protocol: Protocol,
    /// Octets of the packet, if its place is longer.
    len: Option<usize>,
    result: Result<usize>,
}

impl<'a> Entry<'a> {
    fn received(inbound: &'a Inbound, protocol: Protocol) -> Self {
        Self { context: &inbound.0, protocol, len: None, result: Err(Error::NotProcessed) }
    }

    fn outgoing(outbound: &'a Outbound, protocol: Protocol, len: usize) -> Self {
        Self { context: &outbound.0, protocol, len: Some(len), result: Err(Error::NotProcessed) }
    }

    const fn owner(self) -> (&'a Context, Protocol) {
        (self.context, self.protocol)
    }
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("protocol", &self.protocol).field("result", &self.result).finish_non_exhaustive()
    }
}

/// A received packet of a batch: whose it is, and where.
#[derive(Debug)]
pub struct Received<'a> {
    entry: Entry<'a>,
    packet: &'a mut [u8],
}

/// A received packet of a batch that lies in an arena.
#[derive(Debug)]
pub struct ReceivedAt<'a> {
    entry: Entry<'a>,
    place: Range<usize>,
}

/// A packet of a batch, to be protected: by whom, and where.
#[derive(Debug)]
pub struct Outgoing<'a> {
    entry: Entry<'a>,
    buffer: &'a mut [u8],
}

/// A packet of a batch, to be protected, that lies in an arena.
#[derive(Debug)]
pub struct OutgoingAt<'a> {
    entry: Entry<'a>,
    place: Range<usize>,
}

impl<'a> Received<'a> {
    /// An SRTP packet.
    pub fn rtp(inbound: &'a Inbound, packet: &'a mut [u8]) -> Self {
        Self { entry: Entry::received(inbound, Protocol::Rtp), packet }
    }

    /// An SRTCP packet.
    pub fn rtcp(inbound: &'a Inbound, packet: &'a mut [u8]) -> Self {
        Self { entry: Entry::received(inbound, Protocol::Rtcp), packet }
    }

    /// The length of the plain packet, or why the packet was refused; it is untouched then.
    ///
    /// # Errors
    ///
    /// As [`Inbound::unprotect_rtp`]; [`Error::NotProcessed`] before the call.
    pub const fn result(&self) -> Result<usize> {
        self.entry.result
    }

    /// The plain packet.
    ///
    /// # Errors
    ///
    /// As [`Self::result`].
    pub fn plain(&self) -> Result<&[u8]> {
        self.entry.result.map(|len| self.packet.get(..len).unwrap_or_default())
    }
}

impl<'a> ReceivedAt<'a> {
    /// An SRTP packet, at `place` in the arena.
    pub fn rtp(inbound: &'a Inbound, place: Range<usize>) -> Self {
        Self { entry: Entry::received(inbound, Protocol::Rtp), place }
    }

    /// An SRTCP packet, at `place` in the arena.
    pub fn rtcp(inbound: &'a Inbound, place: Range<usize>) -> Self {
        Self { entry: Entry::received(inbound, Protocol::Rtcp), place }
    }

    /// Where it is in the arena, in octets.
    pub const fn place(&self) -> &Range<usize> {
        &self.place
    }

    /// The length of the plain packet, at the beginning of its place, or why the packet was refused; it is untouched then.
    ///
    /// # Errors
    ///
    /// As [`Received::result`]; [`Error::LengthExceedsBuffer`] if the place is not in the arena.
    pub const fn result(&self) -> Result<usize> {
        self.entry.result
    }
}

impl<'a> Outgoing<'a> {
    /// An RTP packet in the first `len` octets of `buffer`, which needs [`Outbound::rtp_overhead`] octets of room behind it.
    pub fn rtp(outbound: &'a Outbound, buffer: &'a mut [u8], len: usize) -> Self {
        Self { entry: Entry::outgoing(outbound, Protocol::Rtp, len), buffer }
    }

    /// An RTCP packet in the first `len` octets of `buffer`, which needs [`Outbound::rtcp_overhead`] octets of room behind it.
    pub fn rtcp(outbound: &'a Outbound, buffer: &'a mut [u8], len: usize) -> Self {
        Self { entry: Entry::outgoing(outbound, Protocol::Rtcp, len), buffer }
    }

    /// The length of the protected packet, or why it was refused; it is untouched then.
    ///
    /// # Errors
    ///
    /// As [`Outbound::protect_rtp`]; [`Error::NotProcessed`] before the call.
    pub const fn result(&self) -> Result<usize> {
        self.entry.result
    }

    /// The protected packet.
    ///
    /// # Errors
    ///
    /// As [`Self::result`].
    pub fn protected(&self) -> Result<&[u8]> {
        self.entry.result.map(|len| self.buffer.get(..len).unwrap_or_default())
    }
}

impl<'a> OutgoingAt<'a> {
    /// An RTP packet in the first `len` octets of `place` in the arena; the place holds its trailer, too.
    pub fn rtp(outbound: &'a Outbound, place: Range<usize>, len: usize) -> Self {
        Self { entry: Entry::outgoing(outbound, Protocol::Rtp, len), place }
    }

    /// An RTCP packet in the first `len` octets of `place` in the arena; the place holds its trailer, too.
    pub fn rtcp(outbound: &'a Outbound, place: Range<usize>, len: usize) -> Self {
        Self { entry: Entry::outgoing(outbound, Protocol::Rtcp, len), place }
    }

    /// Where it is in the arena, in octets, its room included.
    pub const fn place(&self) -> &Range<usize> {
        &self.place
    }

    /// The length of the protected packet, at the beginning of its place, or why it was refused; it is untouched then.
    ///
    /// # Errors
    ///
    /// As [`Outgoing::result`]; [`Error::LengthExceedsBuffer`] if the place is not in the arena.
    pub const fn result(&self) -> Result<usize> {
        self.entry.result
    }
}

/// A packet of a batch.
pub(super) trait Item<'c> {
    fn entry(&self) -> Entry<'c>;
    fn settle(&mut self, result: Result<usize>);
}

/// One in a slice of its own.
pub(super) trait Held<'c>: Item<'c> {
    fn storage(&self) -> &[u8];
    fn storage_mut(&mut self) -> &mut [u8];
}

/// One somewhere in an arena.
pub(super) trait Placed<'c>: Item<'c> {
    fn place(&self) -> Range<usize>;
}

macro_rules! items {
    ($($item:ident),+) => {
        $(impl<'c> Item<'c> for $item<'c> {
            fn entry(&self) -> Entry<'c> {
                self.entry
            }

            fn settle(&mut self, result: Result<usize>) {
                self.entry.result = result;
            }
        })+
    };
}

items!(Received, ReceivedAt, Outgoing, OutgoingAt);

impl<'c> Held<'c> for Received<'c> {
    fn storage(&self) -> &[u8] {
        self.packet
    }

    fn storage_mut(&mut self) -> &mut [u8] {
        self.packet
    }
}

impl<'c> Held<'c> for Outgoing<'c> {
    fn storage(&self) -> &[u8] {
        self.buffer
    }

    fn storage_mut(&mut self) -> &mut [u8] {
        self.buffer
    }
}

impl<'c> Placed<'c> for ReceivedAt<'c> {
    fn place(&self) -> Range<usize> {
        self.place.clone()
    }
}

impl<'c> Placed<'c> for OutgoingAt<'c> {
    fn place(&self) -> Range<usize> {
        self.place.clone()
    }
}

/// A group of packets, however they are held.
pub(super) trait Items<'c> {
    fn count(&self) -> usize;
    /// Whose the packet at `at` is.
    ///
    /// # Errors
    ///
    /// [`Error::LengthExceedsBuffer`] if there is none; so in all calls here.
    fn owner(&self, at: usize) -> Result<(&'c Context, Protocol)>;
    /// The octets of its place: of the packet, and of what room is behind it.
    fn storage(&self, at: usize) -> Result<&[u8]>;
    /// The packet, to be changed.
    fn buffer(&mut self, at: usize) -> Result<Buffer<'_>>;
    fn settle(&mut self, at: usize, result: Result<usize>);
}

/// Packets in slices of their own.
pub(super) struct Slices<'s, T>(pub(super) &'s mut [T]);

impl<'c, T: Held<'c>> Items<'c> for Slices<'_, T> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn owner(&self, at: usize) -> Result<(&'c Context, Protocol)> {
        self.0.get(at).map(|item| item.entry().owner()).ok_or(Error::LengthExceedsBuffer)
    }

    fn storage(&self, at: usize) -> Result<&[u8]> {
        self.0.get(at).map(Held::storage).ok_or(Error::LengthExceedsBuffer)
    }

    fn buffer(&mut self, at: usize) -> Result<Buffer<'_>> {
        let item = self.0.get_mut(at).ok_or(Error::LengthExceedsBuffer)?;
        let len = item.entry().len;
        buffer(item.storage_mut(), len)
    }

    fn settle(&mut self, at: usize, result: Result<usize>) {
        if let Some(item) = self.0.get_mut(at) {
            item.settle(result);
        }
    }
}

/// Packets in one arena.
pub(super) struct Arena<'s, T>(pub(super) &'s mut [u8], pub(super) &'s mut [T]);

impl<'c, T: Placed<'c>> Items<'c> for Arena<'_, T> {
    fn count(&self) -> usize {
        self.1.len()
    }

    fn owner(&self, at: usize) -> Result<(&'c Context, Protocol)> {
        self.1.get(at).map(|item| item.entry().owner()).ok_or(Error::LengthExceedsBuffer)
    }

    fn storage(&self, at: usize) -> Result<&[u8]> {
        self.1.get(at).and_then(|item| self.0.get(item.place())).ok_or(Error::LengthExceedsBuffer)
    }

    fn buffer(&mut self, at: usize) -> Result<Buffer<'_>> {
        let item = self.1.get(at).ok_or(Error::LengthExceedsBuffer)?;
        buffer(self.0.get_mut(item.place()).ok_or(Error::LengthExceedsBuffer)?, item.entry().len)
    }

    fn settle(&mut self, at: usize, result: Result<usize>) {
        if let Some(item) = self.1.get_mut(at) {
            item.settle(result);
        }
    }
}

fn buffer(storage: &mut [u8], len: Option<usize>) -> Result<Buffer<'_>> {
    let len = len.unwrap_or(storage.len());
    Buffer::in_place(storage, len)
}
