//! Packets in buffers that own their octets and know their length: `Vec<u8>`, and `BytesMut` with the feature `bytes`.
//!
//! The calls here are those of [`Inbound`] and [`Outbound`] on slices, with the room for the trailer made and taken away.

use crate::context::Context;
use crate::epoch::Guard;
use crate::error::{Error, Result};
use crate::inbound::Inbound;
use crate::outbound::Outbound;
use crate::wire::Protocol;

/// A buffer that holds one packet and nothing else: its length is the packet's. `Vec<u8>`, and with the feature `bytes` also `bytes::BytesMut`.
pub trait PacketBuf: sealed::Growing {}

impl<T: sealed::Growing> PacketBuf for T {}

mod sealed {
    /// What a buffer must be able to do.
    pub trait Growing {
        fn octets(&mut self) -> &mut [u8];
        /// Appends zeros.
        fn grow(&mut self, by: usize);
        /// Keeps the first `len` octets.
        fn cut(&mut self, len: usize);
    }

    impl Growing for Vec<u8> {
        fn octets(&mut self) -> &mut [u8] {
            self
        }

        fn grow(&mut self, by: usize) {
            // No more than is needed: `resize` alone might double the capacity.
            self.reserve_exact(by);
            self.resize(self.len() + by, 0);
        }

        fn cut(&mut self, len: usize) {
            self.truncate(len);
        }
    }

    #[cfg(feature = "bytes")]
    impl Growing for bytes::BytesMut {
        fn octets(&mut self) -> &mut [u8] {
            self
        }

        fn grow(&mut self, by: usize) {
            self.resize(self.len() + by, 0);
        }

        fn cut(&mut self, len: usize) {
            self.truncate(len);
        }
    }
}

impl Outbound {
    /// [`Self::protect_rtp`] of a packet in a buffer that grows by the trailer, tag and MKI, and by what Cryptex adds.
    ///
    /// ```
    /// # use keyflip::{Domain, MasterKey, Profile, Session};
    /// # fn main() -> Result<(), keyflip::Error> {
    /// # let domain = Domain::new();
    /// # let session = Session::builder(Profile::AeadAes128Gcm)
    /// #     .outbound(MasterKey::take(&mut [7; 28])).inbound(MasterKey::take(&mut [7; 28])).build(&domain)?;
    /// let mut packet = b"\x80\x60\0\x01\0\0\0\xa0\xca\xfe\xba\xbehi!".to_vec();
    /// let guard = domain.pin();
    /// session.outbound().protect_rtp_in(&guard, &mut packet)?;
    /// assert_eq!(packet.len(), 15 + session.outbound().rtp_overhead());
    /// session.inbound().unprotect_rtp_in(&guard, &mut packet)?;
    /// assert_eq!(packet[12..], *b"hi!");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Self::protect_rtp`]. The packet is as it was then; only its capacity may have grown.
    ///
    /// # Performance
    ///
    /// Allocates, and copies the packet, if the buffer has less spare capacity than [`Self::rtp_overhead`]. Buffers that are made with that room,
    /// or used again, do not.
    pub fn protect_rtp_in(&self, guard: &Guard<'_>, packet: &mut impl PacketBuf) -> Result<()> {
        protect(packet, || overhead(&self.0, guard, Protocol::Rtp), |buffer, len| self.protect_rtp(guard, buffer, len))
    }

    /// [`Self::protect_rtcp`] of a packet in a buffer that grows by the trailer: tag, index and MKI.
    ///
    /// # Errors
    ///
    /// As [`Self::protect_rtcp`]. The packet is as it was then; only its capacity may have grown.
    ///
    /// # Performance
    ///
    /// As [`Self::protect_rtp_in`], with [`Self::rtcp_overhead`].
    pub fn protect_rtcp_in(&self, guard: &Guard<'_>, packet: &mut impl PacketBuf) -> Result<()> {
        protect(
            packet,
            || overhead(&self.0, guard, Protocol::Rtcp),
            |buffer, len| self.protect_rtcp(guard, buffer, len),
        )
    }
}

impl Inbound {
    /// [`Self::unprotect_rtp`] of a packet in a buffer that shrinks to the plain packet. Its capacity stays.
    ///
    /// # Errors
    ///
    /// As [`Self::unprotect_rtp`]. The packet is as it was then.
    pub fn unprotect_rtp_in(&self, guard: &Guard<'_>, packet: &mut impl PacketBuf) -> Result<()> {
        let len = self.unprotect_rtp(guard, packet.octets())?.len();
        packet.cut(len);
        Ok(())
    }

    /// [`Self::unprotect_rtcp`] of a packet in a buffer that shrinks to the plain packet. Its capacity stays.
    ///
    /// # Errors
    ///
    /// As [`Self::unprotect_rtcp`]. The packet is as it was then.
    pub fn unprotect_rtcp_in(&self, guard: &Guard<'_>, packet: &mut impl PacketBuf) -> Result<()> {
        let len = self.unprotect_rtcp(guard, packet.octets())?.len();
        packet.cut(len);
        Ok(())
    }
}

/// By how many octets protection makes a packet longer. Unlike [`Outbound::rtp_overhead`] it needs no guard of its own.
fn overhead(context: &Context, guard: &Guard<'_>, protocol: Protocol) -> Result<usize> {
    context.overhead(guard, protocol)
}

/// Makes room for the trailer, and takes it away again if the packet is refused.
fn protect(
    packet: &mut impl PacketBuf,
    overhead: impl Fn() -> Result<usize>,
    protect: impl Fn(&mut [u8], usize) -> Result<usize>,
) -> Result<()> {
    let len = packet.octets().len();
    let mut room = overhead()?;
    loop {
        packet.grow(room);
        let outcome = protect(packet.octets(), len);
        packet.cut(outcome.unwrap_or(len));
        match outcome {
            // A context's first key, and with it the length of its MKIs, may have come between the two calls. It does so once.
            Err(Error::OutputTooSmall) if overhead()? > room => room = overhead()?,
            outcome => return outcome.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_first_key_between_the_two_calls_is_followed() {
        // An MKI of 4 octets turns up after the room was made.
        let asked = Cell::new(0);
        let overhead = || Ok(if asked.replace(asked.get() + 1) == 0 { 10 } else { 14 });
        let sealed = |buffer: &mut [u8], len: usize| {
            if buffer.len() < len + 14 {
                return Err(Error::OutputTooSmall);
            }
            buffer[len..len + 14].fill(0xaa);
            Ok(len + 14)
        };
        let mut packet = b"packet".to_vec();
        protect(&mut packet, overhead, sealed).unwrap();
        assert_eq!(packet, [&b"packet"[..], &[0xaa; 14]].concat());
    }

    #[test]
    fn a_refusal_for_want_of_room_ends() {
        let mut packet = b"packet".to_vec();
        assert_eq!(protect(&mut packet, || Ok(10), |_, _| Err(Error::OutputTooSmall)), Err(Error::OutputTooSmall));
        assert_eq!(packet, b"packet");
    }
}
