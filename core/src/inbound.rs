//! The receiving direction, as users hold it.

use crate::buffer::Buffer;
use crate::context::Direction;
use crate::counters::RefusedCounts;
use crate::epoch::{Domain, Guard};
use crate::error::Result;
use crate::id::{ContextId, KeyId};
use crate::index::{Roc, Ssrc};
use crate::info::{self, ContextStats, KeyInfo, StreamInfo};
use crate::keys::{KeyLifetime, Rekeyed};
use crate::moving::{self, SealingKey};
use crate::policy::{RocOnRekey, StreamOptions};
use crate::secret::MasterKey;
use crate::unprotect::{authenticate, unprotect};
use crate::wire::Protocol;
use core::fmt;
use core::time::Duration;
use std::sync::Arc;

/// Unprotects what a peer sends: its keys, its streams, and what was accepted of them.
///
/// A handle, cheap to clone: clones name the same context. Every method may be called from any thread at any time. The context goes, and its keys
/// are wiped, with the last handle.
#[derive(Clone)]
pub struct Inbound(pub(crate) Arc<Direction>);

impl Inbound {
    /// Unprotects an SRTP packet in place; returns the plain packet, which is its beginning (RFC 3711 3.3).
    ///
    /// # Errors
    ///
    /// Any of [`Fault::Packet`](crate::Fault::Packet), [`Fault::Peer`](crate::Fault::Peer) and [`Fault::Key`](crate::Fault::Key);
    /// [`Error::ForeignGuard`](crate::Error::ForeignGuard); [`Error::TooManyStreams`](crate::Error::TooManyStreams). The packet is untouched
    /// then, and so is all state but counters.
    ///
    /// # Performance
    ///
    /// No lock, no reference count, no copy; three locked operations on lines that only threads of the same stream share. It allocates at
    /// a stream's first packet only. While a sender switches keys without MKI, a packet may cost a tag check for each key held.
    pub fn unprotect_rtp<'p>(&self, guard: &Guard<'_>, packet: &'p mut [u8]) -> Result<&'p mut [u8]> {
        self.in_place(guard, Protocol::Rtp, packet)
    }

    /// Unprotects an SRTCP packet in place; returns the plain packet, which is its beginning (RFC 3711 3.4).
    ///
    /// # Errors
    ///
    /// As [`Self::unprotect_rtp`].
    pub fn unprotect_rtcp<'p>(&self, guard: &Guard<'_>, packet: &'p mut [u8]) -> Result<&'p mut [u8]> {
        self.in_place(guard, Protocol::Rtcp, packet)
    }

    /// [`Self::unprotect_rtp`] from one buffer to another, of at least the plain packet's length (that of `packet` is always enough). Returns
    /// the number of octets written.
    ///
    /// # Errors
    ///
    /// As [`Self::unprotect_rtp`]; [`Error::OutputTooSmall`](crate::Error::OutputTooSmall).
    pub fn unprotect_rtp_to(&self, guard: &Guard<'_>, packet: &[u8], output: &mut [u8]) -> Result<usize> {
        unprotect(&self.0, guard, Protocol::Rtp, Buffer::between(packet, output))
    }

    /// [`Self::unprotect_rtcp`] from one buffer to another, as [`Self::unprotect_rtp_to`].
    ///
    /// # Errors
    ///
    /// As [`Self::unprotect_rtp_to`].
    pub fn unprotect_rtcp_to(&self, guard: &Guard<'_>, packet: &[u8], output: &mut [u8]) -> Result<usize> {
        unprotect(&self.0, guard, Protocol::Rtcp, Buffer::between(packet, output))
    }

    /// [`Self::unprotect_rtp`] under a guard of its own: for programs that handle one packet at a time.
    ///
    /// # Errors
    ///
    /// As [`Self::unprotect_rtp`].
    pub fn unprotect_rtp_autopin<'p>(&self, packet: &'p mut [u8]) -> Result<&'p mut [u8]> {
        self.unprotect_rtp(&self.domain().pin(), packet)
    }

    /// [`Self::unprotect_rtcp`] under a guard of its own.
    ///
    /// # Errors
    ///
    /// As [`Self::unprotect_rtp`].
    pub fn unprotect_rtcp_autopin<'p>(&self, packet: &'p mut [u8]) -> Result<&'p mut [u8]> {
        self.unprotect_rtcp(&self.domain().pin(), packet)
    }

    /// Authenticates an SRTP packet, and leaves it encrypted: the tag is verified and the index claimed, as by [`Self::unprotect_rtp`], after which
    /// the packet
    /// counts as received. Returns its length without the trailer. For who records or relays ciphertext, or only wants to know whether it is good.
    ///
    /// # Errors
    ///
    /// As [`Self::unprotect_rtp`].
    ///
    /// # Performance
    ///
    /// As [`Self::unprotect_rtp`], less the cipher.
    pub fn authenticate_rtp(&self, guard: &Guard<'_>, packet: &[u8]) -> Result<usize> {
        authenticate(&self.0, guard, Protocol::Rtp, packet)
    }

    /// Authenticates an SRTCP packet, and leaves it encrypted, as [`Self::authenticate_rtp`] does.
    ///
    /// # Errors
    ///
    /// As [`Self::unprotect_rtp`].
    pub fn authenticate_rtcp(&self, guard: &Guard<'_>, packet: &[u8]) -> Result<usize> {
        authenticate(&self.0, guard, Protocol::Rtcp, packet)
    }

    fn in_place<'p>(&self, guard: &Guard<'_>, protocol: Protocol, packet: &'p mut [u8]) -> Result<&'p mut [u8]> {
        let len = unprotect(&self.0, guard, protocol, Buffer::in_place(packet, packet.len())?)?;
        Ok(packet.get_mut(..len).unwrap_or_default())
    }

    /// Makes `key` the current one. The one before stays in grace: packets in flight under it are accepted still (P3).
    ///
    /// All streams switch at once, by one pointer swap; no reader waits, fails or loses a packet (P1). What becomes of rollover counters is what
    /// [`SessionBuilder::inbound_roc_on_rekey`](crate::SessionBuilder::inbound_roc_on_rekey) said: unless told otherwise they go on, with SRTCP
    /// indices
    /// and replay lists (P4, RFC 3711 3.3.1). The outbound direction is not touched (P2). A master key that the context holds already, in whatever
    /// role
    /// and under whatever MKI, changes nothing (P5), so a call that was refused may be made again with the same key: where both directions
    /// were to be rekeyed and one was refused, repeat both. An added key becomes the current one by [`Self::promote_key`]. Added keys take their
    /// room first:
    /// with 15 of them none is left for the grace.
    ///
    /// # Errors
    ///
    /// [`Error::WrongKeyLength`](crate::Error::WrongKeyLength), [`Error::WrongSaltLength`](crate::Error::WrongSaltLength),
    /// [`Error::WrongKeyAndSaltLength`](crate::Error::WrongKeyAndSaltLength); [`Error::MkiLengthMismatch`](crate::Error::MkiLengthMismatch),
    /// [`Error::DuplicateMki`](crate::Error::DuplicateMki); [`Error::TooManyRetired`](crate::Error::TooManyRetired) while a stalled reader holds up
    /// more than the domain's backlog; those of [`Self::rekey_with`]. The keys in use stay as they are then.
    #[expect(clippy::needless_pass_by_value)] // Consumed on purpose: wiped when this returns.
    pub fn rekey(&self, key: MasterKey) -> Result<Rekeyed> {
        self.0.rekey(None, &key, self.0.policy().inbound_roc)
    }

    /// [`Self::rekey`], and says what becomes of rollover counters this time. The first key of a context opens no other space, whatever is said.
    ///
    /// # Errors
    ///
    /// As [`Self::rekey`]; with [`RocOnRekey::Reset`] and [`RocOnRekey::Probe`], [`Error::KeyUsedBefore`](crate::Error::KeyUsedBefore) for a key
    /// that this
    /// context has had before (what was recorded under it would be accepted again), and [`Error::KeyHistoryFull`](crate::Error::KeyHistoryFull) if
    /// it has
    /// had more than 1024.
    ///
    /// # Performance
    ///
    /// An index space costs a stream table, and of each stream another that sends in it, until the keys of the old one are gone.
    #[expect(clippy::needless_pass_by_value)] // As in `rekey`.
    pub fn rekey_with(&self, key: MasterKey, roc: RocOnRekey) -> Result<Rekeyed> {
        self.0.rekey(None, &key, roc)
    }

    /// Makes a key that was added the current one, with the grace of a [`Self::rekey`] for the one before. It stays in its index space, that of the
    /// key which
    /// was the current one when it was added.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownKey`](crate::Error::UnknownKey) for a key in grace, too; [`Error::TooManyRetired`](crate::Error::TooManyRetired).
    pub fn promote_key(&self, key: KeyId) -> Result<()> {
        self.0.switch_to(None, key)
    }

    /// Adds a key beside the current one, up to 16 in all: found by its MKI, or, without MKIs, tried last.
    ///
    /// # Errors
    ///
    /// As [`Self::rekey`]; [`Error::TooManyKeys`](crate::Error::TooManyKeys).
    #[expect(clippy::needless_pass_by_value)] // As in `rekey`.
    pub fn add_key(&self, key: MasterKey) -> Result<KeyId> {
        self.0.add_key(None, &key)
    }

    /// Retires a key that was added or is in grace.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownKey`](crate::Error::UnknownKey); [`Error::KeyIsCurrent`](crate::Error::KeyIsCurrent).
    pub fn retire_key(&self, key: KeyId) -> Result<()> {
        self.0.retire_key(None, key)
    }

    /// Retires the keys in grace: what is still in flight under them is refused from here on.
    ///
    /// # Errors
    ///
    /// None today.
    pub fn end_grace(&self) -> Result<()> {
        self.0.end_grace(None)
    }

    /// Stops this direction, and seals all that it knows for another process, which goes on with it ([`moving`](crate::moving)).
    ///
    /// Packets that threads are at work on are finished, and what they claimed is in the blob. Later calls, of this handle and its clones, answer
    /// [`Error::Moved`](crate::Error::Moved). The keys are wiped here. Control operations of other threads wait for the outcome.
    ///
    /// # Errors
    ///
    /// [`moving::Error::Context`](crate::moving::Error::Context), [`moving::Error::NoRandomness`](crate::moving::Error::NoRandomness); [`moving::Error::Readers`](crate::moving::Error::Readers)
    /// if some reader is pinned for longer than `within`, or the caller is.
    pub fn export(&self, key: &SealingKey, within: Duration) -> core::result::Result<Vec<u8>, moving::Error> {
        moving::export(&self.0, key, within)
    }

    /// The keys in use, the current one first.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyInfo> {
        info::keys(&self.0, None)
    }

    /// How many packets a key may still protect, less those that streams have set aside: rekey before either count is 0.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownKey`](crate::Error::UnknownKey).
    pub fn packets_left(&self, key: KeyId) -> Result<KeyLifetime> {
        info::packets_left(&self.0, None, key)
    }

    /// Announces a stream, to start at rollover counter `roc`: for a late joiner that was told it, or where streams are added by call. It is added to
    /// the index space of the current key.
    ///
    /// # Errors
    ///
    /// [`Error::StreamExists`](crate::Error::StreamExists), [`Error::TooManyStreams`](crate::Error::TooManyStreams);
    /// [`Error::IndexBackward`](crate::Error::IndexBackward) below the floor that an earlier life of the stream left.
    pub fn add_stream(&self, ssrc: impl Into<Ssrc>, roc: Roc) -> Result<()> {
        self.0.add_stream(ssrc.into(), &StreamOptions::starting_at(roc))
    }

    /// [`Self::add_stream`] with replay windows of the stream's own. They are the stream's as long as it is there: one that is removed and comes
    /// back by a
    /// packet, or begins in another index space, has those of the context.
    ///
    /// # Errors
    ///
    /// As [`Self::add_stream`]; [`Error::BadReplayWindow`](crate::Error::BadReplayWindow).
    pub fn add_stream_with(&self, ssrc: impl Into<Ssrc>, options: StreamOptions) -> Result<()> {
        self.0.add_stream(ssrc.into(), &options)
    }

    /// Removes a stream. Its floor stays: indices up to its highest are never accepted again in their index space (P5).
    ///
    /// Where streams are added at their first packet, a later packet of the SSRC brings the stream back, above its floor.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchStream`](crate::Error::NoSuchStream); [`Error::TooManyRetired`](crate::Error::TooManyRetired), and then the stream stays.
    pub fn remove_stream(&self, ssrc: impl Into<Ssrc>) -> Result<()> {
        self.0.remove_stream(ssrc.into())
    }

    /// The rollover counter of a stream.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchStream`](crate::Error::NoSuchStream).
    pub fn roc(&self, ssrc: impl Into<Ssrc>) -> Result<Roc> {
        self.0.roc(ssrc.into())
    }

    /// Moves a stream on to rollover counter `roc`, in the index space of the current key. One that has not sent in that space starts there.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchStream`](crate::Error::NoSuchStream); [`Error::IndexBackward`](crate::Error::IndexBackward).
    pub fn set_roc(&self, ssrc: impl Into<Ssrc>, roc: Roc) -> Result<()> {
        self.0.set_roc(ssrc.into(), roc)
    }

    /// Removes a stream and forgets its floor, or that of one removed before: as if the SSRC had never been, and with its place in the table free.
    /// **This
    /// opens a hole**: every packet that was ever accepted of the SSRC, in all index spaces, is accepted once more while its key is held (P5). For a
    /// drop-in
    /// whose model forgets, and for SSRCs that do not come back before the keys are gone; else [`Self::remove_stream`].
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchStream`](crate::Error::NoSuchStream) if there is neither stream nor floor;
    /// [`Error::TooManyRetired`](crate::Error::TooManyRetired).
    pub fn forget_stream(&self, ssrc: impl Into<Ssrc>) -> Result<()> {
        self.0.forget_stream(ssrc.into())
    }

    /// Has a stream begin again at rollover counter `roc`, backward too: its next SRTP packet is taken in that cycle, whatever its sequence number.
    /// **This opens a hole**: the replay list starts empty, so that packets accepted before are accepted once more (P5). SRTCP indices go on. For a
    /// drop-in
    /// whose model has no floor, and where signalling knows better; else [`Self::set_roc`].
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchStream`](crate::Error::NoSuchStream) if there is no stream in the index space of the current key;
    /// [`Error::TooManyRetired`](crate::Error::TooManyRetired).
    pub fn force_roc(&self, ssrc: impl Into<Ssrc>, roc: Roc) -> Result<()> {
        self.0.force_roc(ssrc.into(), roc)
    }

    /// A snapshot of every stream.
    #[must_use]
    pub fn streams(&self) -> Vec<StreamInfo> {
        info::streams(&self.0)
    }

    /// What this context has counted so far.
    ///
    /// # Performance
    ///
    /// Looks at every stream, under the mutex of control operations. Packets do not wait for it.
    #[must_use]
    pub fn stats(&self) -> ContextStats {
        info::stats(&self.0)
    }

    /// Has [`Event`](crate::Event)s be raised again that are raised once for each context: those of unknown MKIs and SSRCs, and of a full table.
    pub fn acknowledge_events(&self) {
        self.0.acknowledge_events();
    }

    /// Packets refused by this context so far.
    #[must_use]
    pub fn refused(&self) -> RefusedCounts {
        self.0.refusals.snapshot()
    }

    /// Names this context: in events, and wherever else the program needs a name.
    #[must_use]
    pub fn id(&self) -> ContextId {
        self.0.id()
    }

    /// The domain whose guards this context takes.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        self.0.domain()
    }
}

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        info::debug(&self.0, f.debug_struct("Inbound"))
    }
}
