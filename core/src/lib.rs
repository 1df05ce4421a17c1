//! SRTP and SRTCP (RFC 3711, 6188, 7714) for servers that renew keys while packets fly.
//!
//! A [`Session`] has two directions, [`Inbound`] and [`Outbound`], each a cryptographic context: a key ring, streams, a policy. Any number of
//! threads use one at once, without a lock. A rekey swaps one pointer; the keys it replaces are wiped from memory once no reader
//! is left that could have seen them. Nobody waits, no packet is lost, nothing is left behind.
//!
//! ```
//! use keyflip::{Domain, MasterKey, Profile, Session};
//!
//! # fn main() -> Result<(), keyflip::Error> {
//! let domain = Domain::new(); // one per process
//! # let (mut tx, mut rx, mut next) = ([1u8; 30], [1u8; 30], [2u8; 30]);
//! let session = Session::builder(Profile::Aes128CmSha1_80)
//!     .outbound(MasterKey::take(&mut tx)) // master key || master salt; wiped here
//!     .inbound(MasterKey::take(&mut rx))
//!     .build(&domain)?;
//!
//! let mut packet = [0u8; 64];
//! packet[..16].copy_from_slice(&[0x80, 0, 0, 1, 0, 0, 0, 160, 0xca, 0xfe, 0xba, 0xbe, 1, 2, 3, 4]);
//! let guard = domain.pin(); // once per batch, on any thread
//! let len = session.outbound().protect_rtp(&guard, &mut packet, 16)?;
//! let plain = session.inbound().unprotect_rtp(&guard, &mut packet[..len])?;
//! assert_eq!(plain[12..], [1, 2, 3, 4]);
//! drop(guard);
//!
//! session.inbound().rekey(MasterKey::take(&mut next))?; // from another thread, at any time
//! session.inbound().end_grace()?;
//! domain.synchronize(std::time::Duration::from_secs(1)).expect("no reader stalls"); // the old key is gone
//! # Ok(())
//! # }
//! ```
//!
//! # Reading order
//!
//! The path of a received packet is `unprotect.rs`, that of a sent one `protect.rs`; each reads top-down and serves both protocols and all suites.
//! The modules stand on floors, and import from floors below only (`tests/house.rs` checks it):
//!
//! ```text
//!   model  internals                             what model checking sees, what benches of kernels see: each built for it alone
//!   session  inbound  outbound  info             what users hold
//!   protect  unprotect                           the two paths
//!   context                                      one direction: keys, streams, policy
//!   table                                        SSRC -> stream
//!   stream                                       indices and replay lists of one SSRC
//!   policy  counters
//!   keys                                         session keys, key rings
//!   crypto/ (profile aes kdf aes_cm hmac gcm)    epoch/ (domain readers reclaimer published slots)
//!   wire/ (rtp rtcp)  buffer  replay             kernels/ (choice cpu aes gcm scrub wiped)
//!   index  secret
//!   error  primitive
//! ```
//!
//! # Errors
//!
//! One flat [`Error`] that says whose [`Fault`] it was. A call that fails has changed nothing.

#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable)
)]

mod buffer;
mod context;
mod counters;
mod crypto;
#[allow(unsafe_code)]
mod epoch;
mod error;
mod inbound;
mod index;
mod info;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
#[allow(unsafe_code)]
mod kernels;
mod keys;
#[cfg(crossbeam_loom)]
#[doc(hidden)]
pub mod model;
mod outbound;
mod policy;
mod primitive;
mod protect;
mod replay;
mod secret;
mod session;
mod stream;
mod table;
mod unprotect;
mod wire;

pub use context::Rekeyed;
pub use counters::RefusedCounts;
pub use crypto::profile::{Profile, UnknownProfile};
pub use epoch::{Domain, DomainStats, Guard, LatencyHistogram, PinnedReader, SynchronizeError};
pub use error::{Error, Fault, Result};
pub use inbound::Inbound;
pub use index::{Roc, Ssrc};
pub use info::{KeyInfo, StreamInfo};
pub use kernels::{Kernels, KernelsUnavailable, UnknownKernels};
pub use keys::{KeyId, KeyLifetime, KeyRole, MAX_KEYS};
pub use outbound::Outbound;
pub use policy::{Grace, NewStreams, SrtcpEncryption};
pub use secret::{MAX_MKI_LEN, MasterKey};
pub use session::{Session, SessionBuilder};
pub use stream::TrackInfo;
pub use wire::MAX_PACKET_LEN;

/// The README's code runs as it stands there.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
