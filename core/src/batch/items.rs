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
    /// The packet, if it is to be unprotected into another buffer.
    from: Option<&'a [u8]>,
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
    /// The packet, if it is to be protected into another buffer.
    from: Option<&'a [u8]>,
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
        Self { entry: Entry::received(inbound, Protocol::Rtp), from: None, packet }
    }

    /// An SRTCP packet.
    pub fn rtcp(inbound: &'a Inbound, packet: &'a mut [u8]) -> Self {
        Self { entry: Entry::received(inbound, Protocol::Rtcp), from: None, packet }
    }

    /// An SRTP packet, to be unprotected into `output`, as [`Inbound::unprotect_rtp_to`] does.
    pub fn rtp_to(inbound: &'a Inbound, packet: &'a [u8], output: &'a mut [u8]) -> Self {
        Self { entry: Entry::received(inbound, Protocol::Rtp), from: Some(packet), packet: output }
    }

    /// An SRTCP packet, to be unprotected into `output`, as [`Inbound::unprotect_rtcp_to`] does.
    pub fn rtcp_to(inbound: &'a Inbound, packet: &'a [u8], output: &'a mut [u8]) -> Self {
        Self { entry: Entry::received(inbound, Protocol::Rtcp), from: Some(packet), packet: output }
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
        Self { entry: Entry::outgoing(outbound, Protocol::Rtp, len), from: None, buffer }
    }

    /// An RTCP packet in the first `len` octets of `buffer`, which needs [`Outbound::rtcp_overhead`] octets of room behind it.
    pub fn rtcp(outbound: &'a Outbound, buffer: &'a mut [u8], len: usize) -> Self {
        Self { entry: Entry::outgoing(outbound, Protocol::Rtcp, len), from: None, buffer }
    }

    /// An RTP packet, to be protected into `output`, as [`Outbound::protect_rtp_to`] does.
    pub fn rtp_to(outbound: &'a Outbound, packet: &'a [u8], output: &'a mut [u8]) -> Self {
        Self { entry: Entry::outgoing(outbound, Protocol::Rtp, packet.len()), from: Some(packet), buffer: output }
    }

    /// An RTCP packet, to be protected into `output`, as [`Outbound::protect_rtcp_to`] does.
    pub fn rtcp_to(outbound: &'a Outbound, packet: &'a [u8], output: &'a mut [u8]) -> Self {
        Self { entry: Entry::outgoing(outbound, Protocol::Rtcp, packet.len()), from: Some(packet), buffer: output }
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
    /// A received packet.
    fn packet(&self) -> &[u8];
    /// Where its successor goes.
    fn storage(&self) -> &[u8];
    fn buffer(&mut self) -> Result<Buffer<'_>>;
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
    fn packet(&self) -> &[u8] {
        self.from.unwrap_or(self.packet)
    }

    fn storage(&self) -> &[u8] {
        self.packet
    }

    fn buffer(&mut self) -> Result<Buffer<'_>> {
        match self.from {
            Some(from) => Ok(Buffer::between(from, self.packet)),
            None => in_place(self.packet, self.entry.len),
        }
    }
}

impl<'c> Held<'c> for Outgoing<'c> {
    fn packet(&self) -> &[u8] {
        self.from.unwrap_or(self.buffer)
    }

    fn storage(&self) -> &[u8] {
        self.buffer
    }

    fn buffer(&mut self) -> Result<Buffer<'_>> {
        match self.from {
            Some(from) => Ok(Buffer::between(from, self.buffer)),
            None => in_place(self.buffer, self.entry.len),
        }
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
    /// A received packet, and the octets of room for what becomes of it.
    fn received(&self, at: usize) -> Result<(&[u8], usize)>;
    /// The octets of the place where its successor goes.
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

    fn received(&self, at: usize) -> Result<(&[u8], usize)> {
        let item = self.0.get(at).ok_or(Error::LengthExceedsBuffer)?;
        Ok((item.packet(), item.storage().len()))
    }

    fn storage(&self, at: usize) -> Result<&[u8]> {
        self.0.get(at).map(Held::storage).ok_or(Error::LengthExceedsBuffer)
    }

    fn buffer(&mut self, at: usize) -> Result<Buffer<'_>> {
        self.0.get_mut(at).ok_or(Error::LengthExceedsBuffer)?.buffer()
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

    fn received(&self, at: usize) -> Result<(&[u8], usize)> {
        self.storage(at).map(|packet| (packet, packet.len()))
    }

    fn storage(&self, at: usize) -> Result<&[u8]> {
        self.1.get(at).and_then(|item| self.0.get(item.place())).ok_or(Error::LengthExceedsBuffer)
    }

    fn buffer(&mut self, at: usize) -> Result<Buffer<'_>> {
        let item = self.1.get(at).ok_or(Error::LengthExceedsBuffer)?;
        in_place(self.0.get_mut(item.place()).ok_or(Error::LengthExceedsBuffer)?, item.entry().len)
    }

    fn settle(&mut self, at: usize, result: Result<usize>) {
        if let Some(item) = self.1.get_mut(at) {
            item.settle(result);
        }
    }
}

fn in_place(storage: &mut [u8], len: Option<usize>) -> Result<Buffer<'_>> {
    let len = len.unwrap_or(storage.len());
    Buffer::in_place(storage, len)
}
