//! Sending through both layers.

use super::synthetic::Head;
use super::{EMPTY_BLOCK, INNER_GROWTH, check_layers};
use crate::buffer::Buffer;
use crate::context::Context;
use crate::crypto::gcm::TAG_LEN;
use crate::epoch::Guard;
use crate::error::{Error, Result};
use crate::kernels::{scrub_after_packet, scrubbed};
use crate::outbound::Outbound as Layer;
use crate::protect::{check, ready};
use crate::wire::Protocol;

/// Protects what an endpoint sends, end to end and hop by hop. A handle, cheap to clone.
#[derive(Clone, Debug)]
pub struct Outbound {
    inner: Layer,
    outer: Layer,
}

impl Outbound {
    /// Puts two layers together, as [`Endpoint::new`](super::Endpoint::new) does for both directions.
    ///
    /// # Errors
    ///
    /// [`Error::BadLayer`], [`Error::ForeignGuard`].
    pub fn new(inner: &Layer, outer: &Layer) -> Result<Self> {
        check_layers(&inner.0, &outer.0)?;
        Ok(Self { inner: inner.clone(), outer: outer.clone() })
    }

    /// Protects the RTP packet in the first `len` octets of `buffer` by both layers, in place; returns the new length (RFC 8723 5.1).
    ///
    /// The buffer needs [`Self::rtp_overhead`] octets of room behind the packet. Header extensions are authenticated, and where the outer session says
    /// so encrypted (RFC 6904), hop by hop only.
    ///
    /// # Errors
    ///
    /// As [`keyflip::Outbound::protect_rtp`](crate::Outbound::protect_rtp), by either layer; [`Error::BadLayer`] if the inner layer's keys have MKIs. The buffer
    /// is untouched then. Where both layers would take the packet, and another thread is first with the outer one (it sends the same index, or the last packet of a key), the inner
    /// index is used up.
    ///
    /// # Performance
    ///
    /// Two passes of AES-GCM. A header extension is moved out of the way and back.
    pub fn protect_rtp(&self, guard: &Guard<'_>, buffer: &mut [u8], len: usize) -> Result<usize> {
        scrubbed(scrub_after_packet, || self.protect(guard, buffer, len))
    }

    /// By how many octets protection makes an RTP packet longer, as it leaves the sender: two tags, an empty original header block, and the MKI.
    #[must_use]
    pub fn rtp_overhead(&self) -> usize {
        INNER_GROWTH + self.outer.rtp_overhead()
    }

    /// The end-to-end layer: to rekey it, or to look at its streams. Packets that pass through it alone are not what a receiver expects.
    #[must_use]
    pub const fn inner(&self) -> &Layer {
        &self.inner
    }

    /// The hop-by-hop layer. RTCP, and packets that repair others, pass through it alone (RFC 8723 6, 7).
    #[must_use]
    pub const fn outer(&self) -> &Layer {
        &self.outer
    }

    fn protect(&self, guard: &Guard<'_>, buffer: &mut [u8], len: usize) -> Result<usize> {
        let (inner, outer): (&Context, &Context) = (&self.inner.0, &self.outer.0);
        let packet = buffer.get(..len).ok_or(Error::LengthExceedsBuffer)?;
        let head = Head::of(packet).inspect_err(|error| outer.count_refusal(*error, guard, Protocol::Rtp, packet))?;
        if inner.route(guard, Protocol::Rtp, packet)?.overhead(guard, Protocol::Rtp)? != TAG_LEN {
            return Err(Error::BadLayer);
        }
        // The outer layer is asked first, and takes its index last: what it refuses costs the inner layer nothing.
        let header = packet.get(..head.len()).unwrap_or_default();
        let grown = len + INNER_GROWTH;
        check(outer, guard, header, grown, buffer.len())?;
        let synthetic = head.synthetic(packet);
        let synthetic = synthetic.get(..head.base).unwrap_or_default();
        let sealing =
            ready(inner, guard, Protocol::Rtp, synthetic, len - head.extension, buffer.len() - head.extension)?;
        let closing = ready(outer, guard, Protocol::Rtp, header, grown, buffer.len())?;

        head.without_extension(
            buffer,
            |packet| Ok(sealing.seal(&mut Buffer::in_place(packet, len - head.extension)?)),
        )?;
        if let Some(block) = buffer.get_mut(grown - 1) {
            *block = EMPTY_BLOCK;
        }
        Ok(closing.seal(&mut Buffer::in_place(buffer, grown)?))
    }
}
