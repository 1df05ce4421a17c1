//! What a context is told when it is made, and keeps to.

use crate::crypto::profile::{CipherKind, Profile, Spec};
use crate::error::{Error, Result};
use crate::keys::{KeyLifetime, MAX_KEYS};
use crate::replay::WINDOWS;

/// How long packets in flight under replaced keys are still accepted (P3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grace {
    keys: usize,
}

impl Grace {
    /// None: a replaced key is refused from the rekey on. For a key that is known to others.
    pub const NONE: Self = Self { keys: 0 };

    /// The key replaced last, until [`end_grace`](crate::Inbound::end_grace) or the next rekey. The default.
    pub const LAST: Self = Self { keys: 1 };

    /// Up to `keys` replaced keys, 15 at most, until [`end_grace`](crate::Inbound::end_grace); one more rekey retires the oldest.
    ///
    /// # Errors
    ///
    /// [`Error::BadGrace`].
    pub const fn keys(keys: usize) -> Result<Self> {
        if keys < MAX_KEYS { Ok(Self { keys }) } else { Err(Error::BadGrace) }
    }

    pub(crate) const fn count(self) -> usize {
        self.keys
    }
}

impl Default for Grace {
    fn default() -> Self {
        Self::LAST
    }
}

/// What to do about SSRCs nobody announced.
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
    /// Send it unencrypted (E flag 0); accept either.
    Off,
}

/// The replay windows of a stream, in packets.
#[derive(Clone, Copy, Debug)]
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
    pub(crate) lifetime: KeyLifetime,
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
            grace: Grace::LAST,
            lifetime: KeyLifetime::MAX,
        }
    }

    /// # Errors
    ///
    /// [`Error::BadReplayWindow`], [`Error::BadStreamBound`], [`Error::BadKeyLifetime`].
    pub(crate) fn check(self) -> Result<Self> {
        const MOST_STREAMS: usize = 1 << 24;
        if !WINDOWS.contains(&self.srtp_window) || !WINDOWS.contains(&self.srtcp_window) {
            return Err(Error::BadReplayWindow);
        }
        if !(1..=MOST_STREAMS).contains(&self.max_streams) {
            return Err(Error::BadStreamBound);
        }
        self.lifetime.check()?;
        Ok(self)
    }

    pub(crate) const fn is_authenticated(&self) -> bool {
        self.spec.srtp_tag_len > 0
    }

    /// Whether SRTCP leaves encrypted. Without a cipher it does not, and says so by its E flag.
    pub(crate) const fn encrypts_srtcp(&self) -> bool {
        matches!(self.srtcp_encryption, SrtcpEncryption::Required) && !matches!(self.spec.cipher, CipherKind::Null)
    }

    /// An inbound context keeps a replay list for SRTCP; an outbound one gives the indices out.
    pub(crate) const fn windows(&self, inbound: bool) -> Windows {
        Windows { srtp: self.srtp_window, srtcp: if inbound { Some(self.srtcp_window) } else { None } }
    }
}
