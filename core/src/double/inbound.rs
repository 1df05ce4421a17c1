//! Receiving through both layers.

use super::block::{Block, Fields};
use super::check_layers;
use super::synthetic::Head;
use crate::buffer::Buffer;
use crate::epoch::Guard;
use crate::error::{Error, Result};
use crate::inbound::Inbound as Layer;
use crate::kernels::{scrub_after_packet, scrubbed};
use crate::unprotect::accepted;
use crate::wire::Protocol;

/// Unprotects what an endpoint receives, hop by hop and end to end. A handle, cheap to clone.
#[derive(Clone, Debug)]
pub struct Inbound {
    inner: Layer,
    outer: Layer,
}

/// A packet that verified in both layers.
#[derive(Debug, PartialEq, Eq)]
pub struct Packet<'p> {
    /// The plain packet: payload type and sequence number as the last hop sent them, by which codecs are chosen and packets are put in order; marker and
    /// all else but the extension as the sender sent it (RFC 8723 5.3). The extension is the last hop's word, and nobody else's.
    pub octets: &'p mut [u8],
    /// What the sender sent: for statistics.
    pub original: Fields,
}

impl Inbound {
    /// Puts two layers together, as [`Endpoint::new`](super::Endpoint::new) does for both directions.
    ///
    /// # Errors
    ///
    /// [`Error::BadLayer`], [`Error::ForeignGuard`].
    pub fn new(inner: &Layer, outer: &Layer) -> Result<Self> {
        check_layers(&inner.0, &outer.0)?;
        Ok(Self { inner: inner.clone(), outer: outer.clone() })
    }

    /// Unprotects a packet by both layers, in place (RFC 8723 5.3).
    ///
    /// Each layer has its own rollover counter and replay list: the outer one by the sequence number in the header, the inner one by that which the sender
    /// gave it.
    ///
    /// # Errors
    ///
    /// As [`keyflip::Inbound::unprotect_rtp`](crate::Inbound::unprotect_rtp) by the outer layer; all state is as it was then. By the inner layer as well, where a tag that does not verify
    /// is an [`Error::InnerAuthenticationFailed`]; and [`Error::BadHeaderBlock`]. The last hop vouched for such a packet: its outer index is used up. The
    /// packet is untouched in any case.
    ///
    /// # Performance
    ///
    /// Two passes of AES-GCM, and a third over what the inner layer refuses. A header extension is moved out of the way and back.
    pub fn unprotect_rtp<'p>(&self, guard: &Guard<'_>, packet: &'p mut [u8]) -> Result<Packet<'p>> {
        let (len, original) = scrubbed(scrub_after_packet, || self.open(guard, packet))?;
        Ok(Packet { octets: packet.get_mut(..len).unwrap_or_default(), original })
    }

    /// The end-to-end layer: to rekey it, or to look at its streams.
    #[must_use]
    pub const fn inner(&self) -> &Layer {
        &self.inner
    }

    /// The hop-by-hop layer. RTCP, and packets that repair others, pass through it alone (RFC 8723 6, 7).
    #[must_use]
    pub const fn outer(&self) -> &Layer {
        &self.outer
    }

    fn open(&self, guard: &Guard<'_>, packet: &mut [u8]) -> Result<(usize, Fields)> {
        let len = packet.len();
        let outer = accepted(&self.outer.0, guard, Protocol::Rtp, packet, len)?;
        let plain = outer.decrypt(&mut Buffer::in_place(packet, len)?);
        let opened = self.open_inner(guard, packet.get_mut(..plain).unwrap_or_default());
        if opened.is_err() {
            // What decrypts, encrypts: the packet is as it came.
            outer.decrypt(&mut Buffer::in_place(packet, len)?);
        }
        opened
    }

    /// Opens what the outer layer leaves, and leaves that as it is if it cannot.
    fn open_inner(&self, guard: &Guard<'_>, packet: &mut [u8]) -> Result<(usize, Fields)> {
        let head = Head::of(packet)?;
        let block = Block::read(packet.get(head.len()..).unwrap_or_default())?;
        let received = Fields::of(packet);
        let original = block.original(received);
        let len = packet.len() - head.extension - block.len();
        let opened = head.without_extension(packet, |packet| {
            let packet = packet.get_mut(..len).unwrap_or_default();
            original.write(packet);
            let opened = accepted(&self.inner.0, guard, Protocol::Rtp, packet, len)
                .map_err(
                    |error| if error == Error::AuthenticationFailed { Error::InnerAuthenticationFailed } else { error },
                )
                .and_then(|inner| Ok(inner.decrypt(&mut Buffer::in_place(packet, len)?)));
            let marker = if opened.is_ok() { original.marker } else { received.marker };
            Fields { marker, ..received }.write(packet);
            opened
        })?;
        Ok((opened + head.extension, original))
    }
}
