//! What a context is told when it is made, and keeps to.

mod headers;
mod roc;
mod state;
mod stream;

pub(crate) use roc::RocInPackets;
pub use roc::UnauthenticatedRoc;
pub(crate) use state::{NUMBERS, PolicyState};
pub use stream::StreamOptions;

use crate::crypto::profile::{CipherKind, Profile, Spec};
use crate::error::{Error, Result};
use crate::keys::{KeyLifetime, Limits, MAX_KEYS};
use crate::replay::WINDOWS;
use crate::wire::cryptex::Cryptex;
use crate::wire::extension::Selected;
use core::time::Duration;

/// How long packets in flight under replaced keys are still accepted (P3).
///
/// It ends by [`end_grace`](crate::Inbound::end_grace), by one rekey more than it holds keys, for each key by the deadline that
/// [`Self::until_elapsed`]
/// sets, and for a single stream after as many packets under the current key as [`Self::until_packets`] says, whichever is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grace {
    keys: usize,
    packets: Option<u16>,
    deadline: Option<Duration>,
}

impl Grace {
    /// None: a replaced key is refused from the rekey on. For a key that is known to others.
    pub const NONE: Self = Self { keys: 0, packets: None, deadline: None };

    /// The key replaced last.
    pub const LAST: Self = Self { keys: 1, packets: None, deadline: None };

    /// The two keys replaced last: a rekey that follows close upon another loses nothing.
    pub const DEFAULT: Self = Self { keys: 2, packets: None, deadline: None };

    /// Up to `keys` replaced keys, 15 at most; one more rekey retires the oldest.
    ///
    /// # Errors
    ///
    /// [`Error::BadGrace`].
    pub const fn keys(keys: usize) -> Result<Self> {
        if keys < MAX_KEYS { Ok(Self { keys, packets: None, deadline: None }) } else { Err(Error::BadGrace) }
    }

    /// Ends it for a stream once `packets` packets of it were accepted under the current key: its sender has switched, and what comes under an older
    /// key is late by more than the network delays.
    #[must_use]
    pub const fn until_packets(self, packets: u16) -> Self {
        Self { packets: Some(packets), ..self }
    }

    /// Ends it for each key when `time` has passed since it was replaced, or shortly after: the domain's reclaimer sees to it, or else
    /// [`Domain::reclaim`](crate::Domain::reclaim). The data path reads no clock.
    #[must_use]
    pub const fn until_elapsed(self, time: Duration) -> Self {
        Self { deadline: Some(time), ..self }
    }

    pub(crate) const fn deadline(self) -> Option<Duration> {
        self.deadline
    }

    pub(crate) const fn count(self) -> usize {
        self.keys
    }

    pub(crate) const fn packets(self) -> Option<u16> {
        self.packets
    }
}

impl Default for Grace {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What becomes of rollover counters, SRTCP indices and replay lists at a rekey (P4).
///
/// An *index space* of an SSRC is its highest index and its replay list, for SRTP and for SRTCP. Each key is in a space: in it, each index is
/// accepted, or sent, once. Packets in flight under a key in grace are judged in that key's space, whatever the current one does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RocOnRekey {
    /// The key joins the space of the current one: indices go on. This is what RFC 3711 asks (3.3.1: a rekey does not touch the rollover counter).
    #[default]
    Keep,
    /// The key opens a space of its own: each stream begins afresh, at rollover counter 0 and SRTCP index 0, as peers do that follow RFC 4568 7.1.4
    /// or make a new context for each key.
    Reset,
    /// Inbound only: each stream's first SRTP packet under the key that authenticates, with the counter that goes on or with 0, says what its sender
    /// does. Where both say the same, they are the same from there on.
    ///
    /// The key has a space of its own, whose streams start where the first packet is found. SRTCP packets carry their index: in that
    /// space they start wherever the peer does. Without authentication there is nothing to tell by, and the counter is kept.
    Probe,
}

/// What to do about SSRCs nobody announced: whether a session's keys are a template for all (libsrtp's any-SSRC policies), or for those that are
/// added.
/// An SSRC that was given keys of its own ([`give_ssrc_keys`](crate::Inbound::give_ssrc_keys)) is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewStreams {
    /// Add a stream at the first packet: inbound, only once its tag has verified.
    AtFirstPacket,
    /// Refuse them: streams are added by call.
    ByCall,
}

/// Whether SRTCP is encrypted. It is always authenticated (RFC 3711 3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SrtcpEncryption {
    /// Send it encrypted; refuse it unencrypted.
    Required,
    /// Send it encrypted; accept either.
    Preferred,
    /// Send it unencrypted (E flag 0); accept either.
    Off,
}

/// The replay windows of a stream, in packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Windows {
    pub(crate) srtp: u32,
    /// `None` outbound: SRTCP indices are given out here, not claimed.
    pub(crate) srtcp: Option<u32>,
}

/// A context's policy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) spec: Spec,
    pub(crate) srtp_window: u32,
    pub(crate) srtcp_window: u32,
    pub(crate) new_streams: NewStreams,
    pub(crate) max_streams: usize,
    pub(crate) srtp_encrypted: bool,
    pub(crate) srtcp_encryption: SrtcpEncryption,
    pub(crate) grace: Grace,
    pub(crate) inbound_roc: RocOnRekey,
    pub(crate) outbound_roc: RocOnRekey,
    pub(crate) retransmission: bool,
    pub(crate) limits: Limits,
    /// Something is done to headers. Made by [`Self::check`].
    pub(crate) changes_headers: bool,
    /// Elements of header extensions that are encrypted.
    pub(crate) elements: Selected,
    pub(crate) cryptex: Cryptex,
    /// Which SRTP packets carry their rollover counter.
    pub(crate) roc: RocInPackets,
    /// Keys keep what they were derived from, so that the context can be moved.
    pub(crate) movable: bool,
}

impl Policy {
    pub(crate) const fn new(profile: Profile) -> Self {
        Self {
            spec: profile.spec(),
            srtp_window: 1024,
            srtcp_window: 128,
            new_streams: NewStreams::AtFirstPacket,
            max_streams: 4096,
            srtp_encrypted: true,
            srtcp_encryption: SrtcpEncryption::Required,
            grace: Grace::DEFAULT,
            inbound_roc: RocOnRekey::Keep,
            outbound_roc: RocOnRekey::Keep,
            retransmission: false,
            limits: Limits { hard: KeyLifetime::MAX, soft: KeyLifetime::NONE },
            changes_headers: false,
            elements: Selected::NONE,
            cryptex: Cryptex::Off,
            roc: RocInPackets::OFF,
            movable: false,
        }
    }

    /// # Errors
    ///
    /// [`Error::BadReplayWindow`], [`Error::BadStreamBound`], [`Error::BadKeyLifetime`], [`Error::CannotProbe`]; [`Error::BadExtensionId`],
    /// [`Error::NoHeaderCipher`], [`Error::TwoHeaderCiphers`]; [`Error::BadRocRate`], [`Error::NoRocMode`].
    pub(crate) fn check(self) -> Result<Self> {
        const MOST_STREAMS: usize = 1 << 24;
        if !WINDOWS.contains(&self.srtp_window) || !WINDOWS.contains(&self.srtcp_window) {
            return Err(Error::BadReplayWindow);
        }
        if !(1..=MOST_STREAMS).contains(&self.max_streams) {
            return Err(Error::BadStreamBound);
        }
        if self.outbound_roc == RocOnRekey::Probe {
            return Err(Error::CannotProbe);
        }
        self.limits.hard.check()?;
        self.roc.check(self.spec)?;
        Ok(Self { changes_headers: self.check_headers()?, ..self })
    }

    pub(crate) const fn is_authenticated(&self) -> bool {
        self.spec.srtp_tag_len > 0 && self.roc.leaves_tags()
    }

    /// Whether SRTCP leaves encrypted. Without a cipher it does not, and says so by its E flag.
    pub(crate) const fn encrypts_srtcp(&self) -> bool {
        !matches!(self.srtcp_encryption, SrtcpEncryption::Off) && self.has_cipher()
    }

    /// Whether SRTCP must come encrypted.
    pub(crate) const fn demands_encrypted_srtcp(&self) -> bool {
        matches!(self.srtcp_encryption, SrtcpEncryption::Required) && self.has_cipher()
    }

    const fn has_cipher(&self) -> bool {
        !matches!(self.spec.cipher, CipherKind::Null)
    }

    /// An inbound context keeps a replay list for SRTCP; an outbound one gives the indices out.
    pub(crate) const fn windows(&self, inbound: bool) -> Windows {
        Windows { srtp: self.srtp_window, srtcp: if inbound { Some(self.srtcp_window) } else { None } }
    }
}
