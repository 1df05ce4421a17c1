//! SRTP and SRTCP (RFC 3711, 4771, 6188, 7714, 8723; headers by RFC 6904, 9335) for servers that renew keys while packets fly.
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
//!   facades/ (metrics tracing)                   what owners see, as others collect it
//!   keying/ (dtls sdes)                          where keys come from
//!   double/                                      two layers of protection
//!   parallel  batch  fanout                      many packets at a time
//!   ssrc_keys                                    keys of one SSRC, beside a session's
//!   session  held  inbound  outbound  info       what users hold
//!   protect  unprotect  moving/                  the two paths; and a context on its way to another process
//!   context/ (direction keying slots streams)    one direction: keys, streams, policy
//!   space                                        SSRC -> stream, in the index space of some keys
//!   table                                        the same, lock-free
//!   stream                                       indices and replay lists of one SSRC
//!   policy  counters  watch
//!   keys                                         session keys, key rings
//!   crypto/ (profile aes kdf aes_cm header hmac  epoch/ (domain readers reclaimer timers events published slots)
//!            gcm suites)                         secret  event
//!   wire/ (rtp rtcp extension cryptex)           kernels/ (choice cpu aes gcm sha1 scrub vault)
//!   classify  buffer  replay
//!   index  id
//!   error  primitive
//! ```
//!
//! # Features
//!
//! `metrics` and `tracing`: snapshots of counters, and events, through the facades of those names: `record_metrics`, `trace_event`.
//!
//! `bytes`: the calls that take a [`PacketBuf`] take `bytes::BytesMut` too, and not only `Vec<u8>`.
//!
//! # Errors
//!
//! One flat [`Error`] that says whose [`Fault`] it was. A call that fails has changed nothing. Parsers of signalling have errors of their own:
//! [`sdes::Error`], [`dtls::Error`].

#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable)
)]

mod batch;
mod buffer;
mod classify;
mod context;
mod counters;
mod crypto;
pub mod double;
#[allow(unsafe_code)]
mod epoch;
mod error;
mod event;
#[cfg(any(feature = "metrics", feature = "tracing"))]
mod facades;
mod fanout;
mod held;
mod id;
mod inbound;
mod index;
mod info;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
#[allow(unsafe_code)]
mod kernels;
mod keying;
mod keys;
#[cfg(crossbeam_loom)]
#[doc(hidden)]
pub mod model;
pub mod moving;
mod outbound;
#[cfg(feature = "rayon")]
mod parallel;
mod policy;
mod primitive;
mod protect;
mod replay;
mod secret;
mod session;
mod space;
mod ssrc_keys;
mod stream;
mod table;
mod unprotect;
mod watch;
mod wire;

pub use batch::{Outgoing, OutgoingAt, Received, ReceivedAt};
pub use batch::{protect_batch, protect_batch_in, unprotect_batch, unprotect_batch_in};
pub use classify::{Kind, classify};
pub use counters::RefusedCounts;
pub use crypto::profile::{Profile, UnknownProfile};
pub use epoch::{Domain, DomainStats, Guard, LatencyHistogram, PinnedReader, Registry, SynchronizeError};
pub use error::{Error, Fault, Result};
pub use event::{Event, EventKind};
#[cfg(feature = "tracing")]
pub use facades::trace_event;
pub use fanout::{Target, fanout};
pub use held::PacketBuf;
pub use id::{ContextId, KeyId, SpaceId};
pub use inbound::Inbound;
pub use index::{Roc, Ssrc};
pub use info::{ContextStats, KeyInfo, MAX_TRAILER_LEN, StreamInfo};
pub use kernels::{Kernels, KernelsUnavailable, KeyMemory, UnknownKernels};
pub use keying::{dtls, sdes};
pub use keys::{KeyLifetime, KeyRole, MAX_KEYS, Rekeyed};
pub use outbound::Outbound;
#[cfg(feature = "rayon")]
pub use parallel::{par_fanout, par_protect_batch, par_unprotect_batch};
pub use policy::{Grace, NewStreams, RocOnRekey, SrtcpEncryption, StreamOptions, UnauthenticatedRoc};
pub use secret::{MAX_MKI_LEN, MasterKey};
pub use session::{Session, SessionBuilder};
pub use ssrc_keys::SsrcKeys;
pub use stream::TrackInfo;
pub use watch::StallWatch;
pub use wire::cryptex::Cryptex;
pub use wire::extension::HeaderKeystream;
pub use wire::{MAX_PACKET_LEN, Protocol};

/// The README's code runs as it stands there.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
