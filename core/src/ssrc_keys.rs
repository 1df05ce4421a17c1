//! Keys and a policy for one SSRC, beside the session's, as users hold them (P2).

use crate::context::Direction;
use crate::error::Result;
use crate::id::KeyId;
use crate::inbound::Inbound;
use crate::index::Ssrc;
use crate::info::{self, KeyInfo};
use crate::keys::{KeyLifetime, Rekeyed};
use crate::outbound::Outbound;
use crate::policy::{Policy, RocOnRekey};
use crate::secret::MasterKey;
use crate::session::SessionBuilder;
use crate::wire::Protocol;
use core::fmt;
use std::sync::Arc;

/// The keys that one SSRC of a direction has to itself: made by [`Inbound::give_ssrc_keys`] or [`Outbound::give_ssrc_keys`].
///
/// Packets of the SSRC are judged by them and by the policy that came with them alone. A rekey of the session leaves them as they are, and theirs the
/// session's (P2). Rollover counters, SRTCP indices and replay lists go on at every change of these keys, and when the SSRC gets or loses them
/// ([`RocOnRekey::Keep`], whatever the policy says): they are those of the session's first index space.
///
/// A handle, cheap to clone, that names the SSRC: once its keys are taken from it, every call answers
/// [`Error::NoKeysForSsrc`](crate::Error::NoKeysForSsrc) until it has keys again.
#[derive(Clone)]
pub struct SsrcKeys {
    direction: Arc<Direction>,
    ssrc: Ssrc,
}

impl Inbound {
    /// Gives `ssrc` keys and a policy of its own, those that `builder` has for the receiving direction (libsrtp's policy for a specific SSRC). Its
    /// profile
    /// and windows may be others than the session's. [`Self::builder`] is one with the session's policy.
    ///
    /// The SSRC has a stream from here on, whether or not streams are added by themselves; what it has accepted before is not accepted again. With
    /// other
    /// windows than its own that stream begins anew, above all it had. A session without a key of its own refuses every other SSRC with
    /// [`Error::UnknownSsrc`](crate::Error::UnknownSsrc).
    ///
    /// # Errors
    ///
    /// [`Error::SsrcHasKeys`](crate::Error::SsrcHasKeys); [`Error::NoKey`](crate::Error::NoKey) if `builder` has none;
    /// [`Error::TooManyStreams`](crate::Error::TooManyStreams); [`Error::TooManyRetired`](crate::Error::TooManyRetired); those of
    /// [`SessionBuilder::build`]. Where the session's keys were rekeyed by [`RocOnRekey::Reset`] or [`RocOnRekey::Probe`],
    /// [`Error::KeyUsedBefore`](crate::Error::KeyUsedBefore) and
    /// [`Error::KeyHistoryFull`](crate::Error::KeyHistoryFull) for a key that was the session's: its indices would be accepted again.
    ///
    /// # Performance
    ///
    /// Copies a table of all SSRCs with keys of their own. Packets of a session that has any cost a look-up in it more.
    pub fn give_ssrc_keys(&self, ssrc: impl Into<Ssrc>, builder: SessionBuilder) -> Result<SsrcKeys> {
        let (policy, keys) = builder.into_inbound();
        SsrcKeys::give(&self.0, ssrc.into(), policy, &keys)
    }

    /// The keys that `ssrc` has to itself.
    pub fn ssrc_keys(&self, ssrc: impl Into<Ssrc>) -> Option<SsrcKeys> {
        SsrcKeys::find(&self.0, ssrc.into())
    }

    /// The SSRCs that have keys of their own, in no order.
    #[must_use]
    pub fn ssrcs_with_keys(&self) -> Vec<Ssrc> {
        self.0.ssrcs_with_slots()
    }

    /// A builder with the policy of this direction, and without keys.
    pub fn builder(&self) -> SessionBuilder {
        SessionBuilder::of(*self.0.policy())
    }
}

impl Outbound {
    /// Gives `ssrc` a key and a policy of its own, those that `builder` has for the sending direction (libsrtp's policy for a specific SSRC). Its
    /// profile
    /// and window may be others than the session's. [`Self::builder`] is one with the session's policy.
    ///
    /// The SSRC has a stream from here on, whether or not streams are added by themselves; what it has sent before is not sent again. With another
    /// window than its own that stream begins anew, above all it had. A session without a key of its own refuses every other SSRC with
    /// [`Error::UnknownSsrc`](crate::Error::UnknownSsrc).
    ///
    /// # Errors
    ///
    /// As [`Inbound::give_ssrc_keys`].
    ///
    /// # Performance
    ///
    /// As [`Inbound::give_ssrc_keys`].
    pub fn give_ssrc_keys(&self, ssrc: impl Into<Ssrc>, builder: SessionBuilder) -> Result<SsrcKeys> {
        let (policy, key) = builder.into_outbound();
        SsrcKeys::give(&self.0, ssrc.into(), policy, key.as_slice())
    }

    /// The keys that `ssrc` has to itself.
    pub fn ssrc_keys(&self, ssrc: impl Into<Ssrc>) -> Option<SsrcKeys> {
        SsrcKeys::find(&self.0, ssrc.into())
    }

    /// The SSRCs that have keys of their own, in no order.
    #[must_use]
    pub fn ssrcs_with_keys(&self) -> Vec<Ssrc> {
        self.0.ssrcs_with_slots()
    }

    /// A builder with the policy of this direction, and without keys.
    pub fn builder(&self) -> SessionBuilder {
        SessionBuilder::of(*self.0.policy())
    }
}

impl SsrcKeys {
    fn give(direction: &Arc<Direction>, ssrc: Ssrc, policy: Policy, keys: &[MasterKey]) -> Result<Self> {
        direction.give_keys(ssrc, policy, keys)?;
        Ok(Self { direction: Arc::clone(direction), ssrc })
    }

    fn find(direction: &Arc<Direction>, ssrc: Ssrc) -> Option<Self> {
        direction.has_slot(ssrc).then(|| Self { direction: Arc::clone(direction), ssrc })
    }

    /// Whose keys they are.
    #[must_use]
    pub const fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// Makes `key` the current one of this SSRC, as [`Inbound::rekey`] and [`Outbound::rekey`] do for the session; indices go on.
    ///
    /// # Errors
    ///
    /// [`Error::NoKeysForSsrc`](crate::Error::NoKeysForSsrc); as [`Inbound::rekey`]; [`Error::KeyUsedBefore`](crate::Error::KeyUsedBefore) and
    /// [`Error::KeyHistoryFull`](crate::Error::KeyHistoryFull) as [`Inbound::give_ssrc_keys`].
    #[expect(clippy::needless_pass_by_value)] // Consumed on purpose: wiped when this returns.
    pub fn rekey(&self, key: MasterKey) -> Result<Rekeyed> {
        self.direction.rekey(Some(self.ssrc), &key, RocOnRekey::Keep)
    }

    /// Adds a key beside the current one, as [`Inbound::add_key`] and [`Outbound::add_key`] do.
    ///
    /// # Errors
    ///
    /// As [`Self::rekey`]; [`Error::TooManyKeys`](crate::Error::TooManyKeys).
    #[expect(clippy::needless_pass_by_value)] // As in `rekey`.
    pub fn add_key(&self, key: MasterKey) -> Result<KeyId> {
        self.direction.add_key(Some(self.ssrc), &key)
    }

    /// Makes a key that was added the current one: [`Inbound::promote_key`], or [`Outbound::send_under`].
    ///
    /// # Errors
    ///
    /// [`Error::NoKeysForSsrc`](crate::Error::NoKeysForSsrc); [`Error::UnknownKey`](crate::Error::UnknownKey);
    /// [`Error::TooManyRetired`](crate::Error::TooManyRetired).
    pub fn switch_to(&self, key: KeyId) -> Result<()> {
        self.direction.switch_to(Some(self.ssrc), key)
    }

    /// Retires a key that was added or is in grace.
    ///
    /// # Errors
    ///
    /// [`Error::NoKeysForSsrc`](crate::Error::NoKeysForSsrc); [`Error::UnknownKey`](crate::Error::UnknownKey);
    /// [`Error::KeyIsCurrent`](crate::Error::KeyIsCurrent).
    pub fn retire_key(&self, key: KeyId) -> Result<()> {
        self.direction.retire_key(Some(self.ssrc), key)
    }

    /// Retires the keys in grace.
    ///
    /// # Errors
    ///
    /// [`Error::NoKeysForSsrc`](crate::Error::NoKeysForSsrc).
    pub fn end_grace(&self) -> Result<()> {
        self.direction.end_grace(Some(self.ssrc))
    }

    /// The keys in use, the current one first; none once they are taken from the SSRC. Their ids are those of the session's keys continued.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyInfo> {
        info::keys(&self.direction, Some(self.ssrc))
    }

    /// How many packets a key may still protect. A master key that several SSRCs were given is counted for each.
    ///
    /// # Errors
    ///
    /// [`Error::NoKeysForSsrc`](crate::Error::NoKeysForSsrc); [`Error::UnknownKey`](crate::Error::UnknownKey).
    pub fn packets_left(&self, key: KeyId) -> Result<KeyLifetime> {
        info::packets_left(&self.direction, Some(self.ssrc), key)
    }

    /// By how many octets protection makes an RTP packet of the SSRC longer, as [`Outbound::rtp_overhead`]; 0 without keys.
    #[must_use]
    pub fn rtp_overhead(&self) -> usize {
        info::overhead(&self.direction, Some(self.ssrc), Protocol::Rtp)
    }

    /// By how many octets protection makes an RTCP packet of the SSRC longer, as [`Outbound::rtcp_overhead`]; 0 without keys.
    #[must_use]
    pub fn rtcp_overhead(&self) -> usize {
        info::overhead(&self.direction, Some(self.ssrc), Protocol::Rtcp)
    }

    /// Takes its keys from the SSRC, without a grace: they are retired, and its packets are judged by the session's. Its stream stays.
    ///
    /// # Errors
    ///
    /// [`Error::NoKeysForSsrc`](crate::Error::NoKeysForSsrc).
    pub fn take_away(&self) -> Result<()> {
        self.direction.take_keys(self.ssrc)
    }
}

impl fmt::Debug for SsrcKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SsrcKeys").field("ssrc", &self.ssrc).field("keys", &self.keys()).finish_non_exhaustive()
    }
}
