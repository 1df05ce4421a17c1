//! The sending direction, as users hold it.

use crate::buffer::Buffer;
use crate::context::Direction;
use crate::counters::RefusedCounts;
use crate::epoch::{Domain, Guard};
use crate::error::{Error, Result};
use crate::id::{ContextId, KeyId};
use crate::index::{Roc, Ssrc};
use crate::info::{self, ContextStats, KeyInfo, StreamInfo};
use crate::keys::{KeyLifetime, Rekeyed};
use crate::moving::{self, SealingKey};
use crate::policy::{RocOnRekey, StreamOptions};
use crate::protect::protect;
use crate::secret::MasterKey;
use crate::wire::Protocol;
use core::fmt;
use core::time::Duration;
use std::sync::Arc;

/// Protects what is sent to a peer: its key, its streams, and what was sent of them.
///
/// A handle, cheap to clone: clones name the same context. Every method may be called from any thread at any time. The context goes, and its key
/// is wiped, with the last handle.
#[derive(Clone)]
pub struct Outbound(pub(crate) Arc<Direction>);

impl Outbound {
    /// Protects the RTP packet in the first `len` octets of `buffer`, in place; returns the length of the SRTP packet (RFC 3711 3.3).
    ///
    /// The buffer needs [`Self::rtp_overhead`] octets of room behind the packet, and nothing is written beyond them.
    ///
    /// An index is sent once (P6). Packets of a stream may be given out of order, within the replay window. The first packet of a stream starts
    /// it at rollover counter 0, unless [`Self::add_stream`] said otherwise.
    ///
    /// # Errors
    ///
    /// Any of [`Fault::Packet`](crate::Fault::Packet) and [`Fault::Key`](crate::Fault::Key); [`Error::OutputTooSmall`],
    /// [`Error::LengthExceedsBuffer`], [`Error::IndexReused`], [`Error::IndexTooOld`], [`Error::ForeignGuard`], [`Error::UnknownSsrc`],
    /// [`Error::TooManyStreams`]; with Cryptex, [`Error::UnknownExtensionForm`]. The buffer is untouched then.
    ///
    /// # Performance
    ///
    /// As [`Inbound::unprotect_rtp`](crate::Inbound::unprotect_rtp); one key, so one tag.
    pub fn protect_rtp(&self, guard: &Guard<'_>, buffer: &mut [u8], len: usize) -> Result<usize> {
        protect(&self.0, guard, Protocol::Rtp, Buffer::in_place(buffer, len)?)
    }

    /// Protects the RTCP packet in the first `len` octets of `buffer`, in place; returns the length of the SRTCP packet (RFC 3711 3.4).
    ///
    /// The buffer needs [`Self::rtcp_overhead`] octets of room behind the packet. The SRTCP index is given out here.
    ///
    /// # Errors
    ///
    /// As [`Self::protect_rtp`]; [`Error::SrtcpIndexExhausted`].
    pub fn protect_rtcp(&self, guard: &Guard<'_>, buffer: &mut [u8], len: usize) -> Result<usize> {
        protect(&self.0, guard, Protocol::Rtcp, Buffer::in_place(buffer, len)?)
    }

    /// [`Self::protect_rtp`] from one buffer to another, of at least `packet.len() +` [`Self::rtp_overhead`] octets.
    ///
    /// # Errors
    ///
    /// As [`Self::protect_rtp`].
    pub fn protect_rtp_to(&self, guard: &Guard<'_>, packet: &[u8], output: &mut [u8]) -> Result<usize> {
        protect(&self.0, guard, Protocol::Rtp, Buffer::between(packet, output))
    }

    /// [`Self::protect_rtcp`] from one buffer to another, of at least `packet.len() +` [`Self::rtcp_overhead`] octets.
    ///
    /// # Errors
    ///
    /// As [`Self::protect_rtcp`].
    pub fn protect_rtcp_to(&self, guard: &Guard<'_>, packet: &[u8], output: &mut [u8]) -> Result<usize> {
        protect(&self.0, guard, Protocol::Rtcp, Buffer::between(packet, output))
    }

    /// [`Self::protect_rtp`] under a guard of its own: for programs that handle one packet at a time.
    ///
    /// # Errors
    ///
    /// As [`Self::protect_rtp`].
    pub fn protect_rtp_autopin(&self, buffer: &mut [u8], len: usize) -> Result<usize> {
        self.protect_rtp(&self.domain().pin(), buffer, len)
    }

    /// [`Self::protect_rtcp`] under a guard of its own.
    ///
    /// # Errors
    ///
    /// As [`Self::protect_rtcp`].
    pub fn protect_rtcp_autopin(&self, buffer: &mut [u8], len: usize) -> Result<usize> {
        self.protect_rtcp(&self.domain().pin(), buffer, len)
    }

    /// By how many octets protection makes an RTP packet longer: tag and MKI; with [`Cryptex`](crate::Cryptex) at most, since a packet with CSRCs
    /// and without
    /// a header extension is given an empty one of 4 octets. Of a direction with keys for single SSRCs it is the most of any
    /// ([`SsrcKeys::rtp_overhead`](crate::SsrcKeys::rtp_overhead)).
    #[must_use]
    pub fn rtp_overhead(&self) -> usize {
        info::overhead(&self.0, None, Protocol::Rtp)
    }

    /// By how many octets protection makes an RTCP packet longer: tag, index and MKI.
    #[must_use]
    pub fn rtcp_overhead(&self) -> usize {
        info::overhead(&self.0, None, Protocol::Rtcp)
    }

    /// Makes `key` the current one, at once and for all streams, by one pointer swap. The one before is retired.
    ///
    /// What becomes of rollover counters and SRTCP indices is what
    /// [`SessionBuilder::outbound_roc_on_rekey`](crate::SessionBuilder::outbound_roc_on_rekey) said: unless told otherwise they go on (P4, RFC 3711
    /// 3.3.1).
    /// The inbound direction is not touched (P2). The current master key given again changes nothing (P5), so a call that was refused may be made
    /// again with the same key: where both directions were to be rekeyed and one was refused, repeat both.
    ///
    /// # Errors
    ///
    /// [`Error::WrongKeyLength`], [`Error::WrongSaltLength`], [`Error::WrongKeyAndSaltLength`]; [`Error::MkiLengthMismatch`],
    /// [`Error::DuplicateMki`]; [`Error::TooManyRetired`] while a stalled reader holds up more than the domain's backlog; those of
    /// [`Self::rekey_with`]. The key in use stays then.
    #[expect(clippy::needless_pass_by_value)] // Consumed on purpose: wiped when this returns.
    pub fn rekey(&self, key: MasterKey) -> Result<Rekeyed> {
        self.0.rekey(None, &key, self.0.policy().outbound_roc)
    }

    /// [`Self::rekey`], and says what becomes of rollover counters and SRTCP indices this time: [`RocOnRekey::Keep`], or [`RocOnRekey::Reset`] for a
    /// receiver that starts afresh with each key (RFC 4568 7.1.4). The first key of a context opens no other space, whatever is said.
    ///
    /// # Errors
    ///
    /// As [`Self::rekey`]; [`Error::CannotProbe`]; with [`RocOnRekey::Reset`], [`Error::KeyUsedBefore`] for a key that this context has had before
    /// (its
    /// indices would be sent again, P6), and [`Error::KeyHistoryFull`] if it has had more than 1024.
    #[expect(clippy::needless_pass_by_value)] // As in `rekey`.
    pub fn rekey_with(&self, key: MasterKey, roc: RocOnRekey) -> Result<Rekeyed> {
        self.0.rekey(None, &key, roc)
    }

    /// Derives a key now, to be made the current one by [`Self::activate_staged_key`] later, without the cost of derivation: for a switch that both
    /// sides time. It takes the place of a key staged before. [`Rekeyed::Unchanged`] says that the context holds this master key already, and that
    /// nothing was staged.
    ///
    /// # Errors
    ///
    /// As [`Self::rekey`].
    #[expect(clippy::needless_pass_by_value)] // As in `rekey`.
    pub fn stage_key(&self, key: MasterKey) -> Result<Rekeyed> {
        self.0.stage_key(&key)
    }

    /// Makes the staged key the current one, as [`Self::rekey`] does.
    ///
    /// # Errors
    ///
    /// [`Error::NoStagedKey`]; [`Error::TooManyRetired`]; [`Error::DuplicateMki`] or [`Error::MkiLengthMismatch`] if keys added since it was staged
    /// exclude it; those of [`Self::rekey_with`]. The key stays staged then.
    pub fn activate_staged_key(&self) -> Result<Rekeyed> {
        self.0.activate_staged(self.0.policy().outbound_roc)
    }

    /// Makes the staged key the current one, as [`Self::rekey_with`] does.
    ///
    /// # Errors
    ///
    /// As [`Self::activate_staged_key`].
    pub fn activate_staged_key_with(&self, roc: RocOnRekey) -> Result<Rekeyed> {
        self.0.activate_staged(roc)
    }

    /// Adds a key beside the current one, up to 16 in all, to be chosen by [`Self::send_under`]: for peers that were given several master keys and
    /// tell them apart by MKI.
    ///
    /// # Errors
    ///
    /// As [`Self::rekey`]; [`Error::TooManyKeys`].
    #[expect(clippy::needless_pass_by_value)] // As in `rekey`.
    pub fn add_key(&self, key: MasterKey) -> Result<KeyId> {
        self.0.add_key(None, &key)
    }

    /// Sends under another key of this context from here on. The one before stays, to be chosen again.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownKey`]; [`Error::TooManyRetired`].
    pub fn send_under(&self, key: KeyId) -> Result<()> {
        self.0.switch_to(None, key)
    }

    /// Retires a key that was added.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownKey`]; [`Error::KeyIsCurrent`].
    pub fn retire_key(&self, key: KeyId) -> Result<()> {
        self.0.retire_key(None, key)
    }

    /// Stops this direction, and seals all that it knows for another process, which goes on with it ([`moving`](crate::moving)).
    ///
    /// Packets that threads are at work on are finished, and leave under indices that nobody sends again. Later calls, of this handle and its clones, answer
    /// [`Error::Moved`]. The keys are wiped here. Control operations of other threads wait for the outcome.
    ///
    /// # Errors
    ///
    /// [`moving::Error::Context`](crate::moving::Error::Context), [`moving::Error::NoRandomness`](crate::moving::Error::NoRandomness); [`moving::Error::Readers`](crate::moving::Error::Readers)
    /// if some reader is pinned for longer than `within`, or the caller is.
    pub fn export(&self, key: &SealingKey, within: Duration) -> core::result::Result<Vec<u8>, moving::Error> {
        moving::export(&self.0, key, within)
    }

    /// The keys in use, the current one first. A staged key is not among them.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyInfo> {
        info::keys(&self.0, None)
    }

    /// How many packets a key may still protect, less those that streams have set aside: rekey before either count is 0.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownKey`].
    pub fn packets_left(&self, key: KeyId) -> Result<KeyLifetime> {
        info::packets_left(&self.0, None, key)
    }

    /// Adds a stream that starts at rollover counter `roc` and SRTCP index `srtcp_index`.
    ///
    /// # Errors
    ///
    /// [`Error::StreamExists`], [`Error::TooManyStreams`]; [`Error::IndexBackward`] below the floor that an earlier life of the stream left (its
    /// SRTCP index always goes on from there: give 0), or for an SRTCP index of more than 31 bits.
    pub fn add_stream(&self, ssrc: impl Into<Ssrc>, roc: Roc, srtcp_index: u32) -> Result<()> {
        self.add_stream_with(ssrc, StreamOptions::starting_at(roc).srtcp_index(srtcp_index))
    }

    /// [`Self::add_stream`] with a replay window of the stream's own: how far out of order packets may be given. It is the stream's as long as it is
    /// there, in the index space of the current key.
    ///
    /// # Errors
    ///
    /// As [`Self::add_stream`]; [`Error::BadReplayWindow`].
    pub fn add_stream_with(&self, ssrc: impl Into<Ssrc>, options: StreamOptions) -> Result<()> {
        if options.srtcp_index >> 31 != 0 {
            return Err(Error::IndexBackward);
        }
        self.0.add_stream(ssrc.into(), &options)
    }

    /// Removes a stream. Its floor stays: indices up to its highest are never sent again in their index space (P6).
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchStream`]; [`Error::TooManyRetired`], and then the stream stays.
    pub fn remove_stream(&self, ssrc: impl Into<Ssrc>) -> Result<()> {
        self.0.remove_stream(ssrc.into())
    }

    /// The rollover counter of a stream.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchStream`].
    pub fn roc(&self, ssrc: impl Into<Ssrc>) -> Result<Roc> {
        self.0.roc(ssrc.into())
    }

    /// Moves a stream on to rollover counter `roc`.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchStream`]; [`Error::IndexBackward`].
    pub fn set_roc(&self, ssrc: impl Into<Ssrc>, roc: Roc) -> Result<()> {
        self.0.set_roc(ssrc.into(), roc)
    }

    /// Removes a stream and forgets its floor, or that of one removed before: as if the SSRC had never been, and with its place in the table free.
    /// **This
    /// opens a hole**: the SSRC, if it is sent again under a key that is held still, repeats indices, and with them keystream (P6): two payloads
    /// under one
    /// give away their XOR, and under GCM the authentication key. For a drop-in whose model forgets, and for SSRCs that do not come back before the
    /// key is
    /// gone; else [`Self::remove_stream`].
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchStream`] if there is neither stream nor floor;
    /// [`Error::TooManyRetired`].
    pub fn forget_stream(&self, ssrc: impl Into<Ssrc>) -> Result<()> {
        self.0.forget_stream(ssrc.into())
    }

    /// Has a stream begin again at rollover counter `roc`, backward too: its next SRTP packet is sent in that cycle, whatever its sequence number.
    /// **This
    /// opens a hole**: an index that was sent under the current key may be sent again, with the same keystream (P6), as [`Self::forget_stream`]
    /// says. SRTCP
    /// indices go on. For a drop-in whose model has no floor, and where signalling knows better; else [`Self::set_roc`].
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchStream`] if there is no stream in the index space of the current key; [`Error::TooManyRetired`].
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

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        info::debug(&self.0, f.debug_struct("Outbound"))
    }
}
