//! Moving a live session from one process to another: how a room goes from node to node while its packets fly.
//!
//! A direction of a session is *exported* to a blob: its keys, rollover counters, indices, replay lists, floors of removed streams, index spaces, and what is
//! left of its keys' lifetimes. The blob is sealed under a key of the caller's, and opened by the process that is to go on. The exporter is spent from
//! then on: every call answers [`Error::Moved`](crate::Error::Moved).
//!
//! ```
//! use keyflip::moving::{Moved, SealingKey};
//! use keyflip::{Domain, MasterKey, Profile, Session};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let domain = Domain::new();
//! # let (mut tx, mut rx) = ([1u8; 30], [2u8; 30]);
//! let here = Session::builder(Profile::Aes128CmSha1_80)
//!     .movable() // keys keep what they were derived from
//!     .outbound(MasterKey::take(&mut tx))
//!     .inbound(MasterKey::take(&mut rx))
//!     .build(&domain)?;
//! # let (mut sealing, mut opening) = ([7u8; 32], [7u8; 32]);
//! let key = SealingKey::take(&mut sealing)?;
//! let within = Duration::from_secs(1);
//! let (outbound, inbound) = (here.outbound().export(&key, within)?, here.inbound().export(&key, within)?);
//!
//! // In the other process, built as the session was.
//! let key = SealingKey::take(&mut opening)?;
//! let there = Session::builder(Profile::Aes128CmSha1_80)
//!     .movable()
//!     .go_on_with(Moved::open(&key, &outbound)?)
//!     .go_on_with(Moved::open(&key, &inbound)?)
//!     .build(&domain)?;
//! assert!(here.outbound().protect_rtp_autopin(&mut [0x80; 40], 20).is_err());
//! # let mut packet = *b"\x80\x60\0\x01\0\0\0\xa0\xca\xfe\xba\xbe..........";
//! there.outbound().protect_rtp_autopin(&mut packet, 12)?;
//! # Ok(())
//! # }
//! ```
//!
//! # What the caller must see to
//!
//! - **A blob is imported once.** Two processes that go on with one blob send the same indices under the same keys (P6), and accept the same packets twice (P5):
//!   what AES-GCM must never see, and what replay protection is for. A blob is spent when it was opened, like the exporter when it was made; nothing here can
//!   tell that another process has opened it too. Delete it.
//! - A blob that is lost takes the session along: rekey it by signalling. The exporter cannot be revived, since the blob may turn up.
//! - Packets follow the session: those that reach the exporter after the export are refused there, and accepted by who goes on, if they are handed to it.
//! - The sealing key is 32 octets from a good generator. It may seal any number of blobs: nonces are random, and 24 octets long.
//!
//! # What is not moved
//!
//! The session's policies, which its builder is told: those that shape packets must be the same, and are compared. (Those of SSRCs with keys of their own go along;
//! and each stream keeps its replay windows.) Counts of refusals that belong to no
//! stream, and times of idleness, begin anew. A grace that ends at a time has as much of it left as it had.
//!
//! # The blob
//!
//! ```text
//!   "KFMV" | version (1) | direction (1) | 0 0 | nonce (24) | sealed state | tag (16)
//! ```
//!
//! XChaCha20-Poly1305; the eight octets before the nonce are authenticated with it. A process opens blobs of its own version only: [`VERSION`].

mod decode;
mod encode;
mod seal;
mod wire;

pub use seal::{SEALING_KEY_LEN, SealingKey};

use crate::context::{Direction, DirectionState};
use crate::epoch::SynchronizeError;
use core::fmt;
use core::time::Duration;

/// The version of the blobs that this crate makes and opens. It changes with what is in them.
pub const VERSION: u8 = 1;

/// Why a direction was not exported, or a blob not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A sealing key is 32 octets.
    #[error("sealing key has {0} octets instead of 32")]
    WrongKeyLength(usize),
    /// The system's generator of random numbers failed: there is no nonce. The exporter goes on.
    #[error("no random numbers from the system")]
    NoRandomness,
    /// The octets do not begin as a blob does, or are too few.
    #[error("not an exported session")]
    NotABlob,
    /// A blob of another version of this crate.
    #[error("blob has version {0} instead of 1")]
    UnknownVersion(u8),
    /// The blob was sealed under another key, or changed since.
    #[error("blob does not verify under this key")]
    NotAuthentic,
    /// The blob verifies, and contradicts itself: whoever has the key made it, and not by this crate.
    #[error("blob contradicts itself")]
    Malformed,
    /// Readers kept their guards longer than the caller would wait, or the caller holds one himself. The exporter goes on; packets were refused
    /// in between with [`Error::Moved`](crate::Error::Moved), unless the caller is at fault.
    #[error(transparent)]
    Readers(#[from] SynchronizeError),
    /// The context refused: [`NotMovable`](crate::Error::NotMovable), [`Moved`](crate::Error::Moved).
    #[error(transparent)]
    Context(#[from] crate::error::Error),
}

/// A direction of a session, on its way into one: authentic, complete, and not in use yet.
///
/// It has the keys, in memory of their own ([`KeyMemory`](crate::KeyMemory)), and wipes them when it is dropped. For
/// [`SessionBuilder::go_on_with`](crate::SessionBuilder::go_on_with).
pub struct Moved(pub(crate) DirectionState);

impl Moved {
    /// Opens a blob: verifies it, and takes it apart.
    ///
    /// # Errors
    ///
    /// [`Error::NotABlob`], [`Error::UnknownVersion`], [`Error::NotAuthentic`], [`Error::Malformed`].
    ///
    /// # Performance
    ///
    /// Allocates as much as the blob is long, and wipes it.
    pub fn open(key: &SealingKey, blob: &[u8]) -> Result<Self, Error> {
        seal::open(key, blob, |inbound, plain| decode::decode(inbound, plain).map(Self))
    }

    /// Whether it is a receiving direction.
    #[must_use]
    pub const fn is_inbound(&self) -> bool {
        self.0.inbound
    }

    /// How many streams it has, those included of which only the floor is left.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.0.spaces.iter().map(|space| space.streams.len()).sum()
    }
}

impl fmt::Debug for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.0.inbound { "Inbound" } else { "Outbound" };
        f.debug_struct("Moved")
            .field("direction", &direction)
            .field("profile", &self.0.policy.profile)
            .field("keys", &self.0.keys.len())
            .field("streams", &self.streams())
            .finish_non_exhaustive()
    }
}

/// Exports a direction: stops it, and seals what it knows.
pub(crate) fn export(direction: &Direction, key: &SealingKey, within: Duration) -> Result<Vec<u8>, Error> {
    // Before anything is stopped.
    let nonce = seal::nonce()?;
    let state = direction.export::<Error>(within)?;
    Ok(seal::seal(key, &nonce, &state))
}
