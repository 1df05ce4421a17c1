//! Double encryption (RFC 8723): packets protected end to end by an inner layer, and hop by hop by an outer one, so that a media distributor
//! (an SFU) may change what it must of a header, and never has the key of the media.
//!
//! ```text
//!   endpoint                      SFU (outer keys only)                          endpoint
//!   Outbound::protect_rtp   -->   keyflip::Inbound::unprotect_rtp
//!                                 rewrite: PT, SEQ, M; the originals noted
//!                                 keyflip::Outbound::protect_rtp           -->   Inbound::unprotect_rtp
//!
//!   header | extension | inner ciphertext | inner tag | original header block | outer tag | MKI
//!                      '------------------ payload of the outer layer -------'
//! ```
//!
//! Each layer is an AES-GCM context like any other, with rollover counters, replay lists and rekeys of its own: the two are made apart, and put together
//! here. Between the layers lies the *original header block*, in which whoever changes a header says what was there before.
//!
//! - The inner layer protects header and payload, but for the header's extension: that may be changed on the way, and is not authenticated end to end.
//! - SRTCP has the outer layer alone ([`Inbound::outer`], [`Outbound::outer`]), as have packets that repair others (RTX, FEC; RFC 8723 7).
//! - The hops of an SFU must have keys of their own, each independent of the others: under one key and one index two packets would leave (RFC 8723 5.2).
//!
//! ```
//! use keyflip::double::{self, Endpoint, Key, Rewrite};
//! use keyflip::{Domain, MasterKey, Session};
//!
//! # fn main() -> Result<(), keyflip::Error> {
//! let domain = Domain::new();
//! let profile = double::Profile::Aes128Gcm;
//! // Key and salt of both layers: inner key, outer key, inner salt, outer salt. The second hop has another outer half.
//! let (mut first, mut second) = ([1u8; 56], [1u8; 56]);
//! second[16..32].fill(2);
//!
//! let key = Key::take(profile, &mut first.clone())?;
//! let inner = Session::builder(profile.layer()).outbound(key.inner).build(&domain)?;
//! let outer = Session::builder(profile.layer()).outbound(key.outer).build(&domain)?;
//! let sender = Endpoint::new(&inner, &outer)?;
//!
//! let (from, to) = (Key::take(profile, &mut first)?.outer, Key::take(profile, &mut second.clone())?.outer);
//! let sfu = Session::builder(profile.layer()).inbound(from).outbound(to).build(&domain)?;
//!
//! let key = Key::take(profile, &mut second)?;
//! let inner = Session::builder(profile.layer()).inbound(key.inner).build(&domain)?;
//! let outer = Session::builder(profile.layer()).inbound(key.outer).build(&domain)?;
//! let receiver = Endpoint::new(&inner, &outer)?;
//!
//! let guard = domain.pin();
//! let mut buffer = [0u8; 100];
//! buffer[..16].copy_from_slice(&[0x80, 96, 0, 1, 0, 0, 0, 160, 0xca, 0xfe, 0xba, 0xbe, 1, 2, 3, 4]);
//! let len = sender.outbound().protect_rtp(&guard, &mut buffer, 16)?;
//!
//! let len = sfu.inbound().unprotect_rtp(&guard, &mut buffer[..len])?.len();
//! let len = double::rewrite(&mut buffer, len, Rewrite { sequence_number: Some(700), ..Rewrite::default() })?;
//! let len = sfu.outbound().protect_rtp(&guard, &mut buffer, len)?;
//!
//! let packet = receiver.inbound().unprotect_rtp(&guard, &mut buffer[..len])?;
//! assert_eq!((packet.octets[2..4].to_vec(), packet.original.sequence_number), (vec![2, 188], 1));
//! assert_eq!(packet.octets[12..], [1, 2, 3, 4]);
//! # Ok(())
//! # }
//! ```

mod block;
mod inbound;
mod key;
mod outbound;
mod synthetic;

pub use block::{Fields, MAX_GROWTH, Rewrite, original, rewrite};
pub use inbound::{Inbound, Packet};
pub use key::{Key, Profile};
pub use outbound::Outbound;

use crate::context::Direction;
use crate::crypto::gcm::TAG_LEN;
use crate::crypto::profile::CipherKind;
use crate::error::{Error, Result};
use crate::session::Session;
use crate::wire::cryptex::Cryptex;

/// What both layers leave of a packet that nobody has changed: a block without a field.
const EMPTY_BLOCK: u8 = 0;
/// Octets that the inner layer adds to a packet: its tag, and an empty block behind it.
const INNER_GROWTH: usize = TAG_LEN + 1;

/// Both directions of a participant who has the keys of both layers.
#[derive(Clone, Debug)]
pub struct Endpoint {
    inbound: Inbound,
    outbound: Outbound,
}

impl Endpoint {
    /// Puts two sessions together: `inner` has the end-to-end keys, `outer` those of the hop to the media distributor.
    ///
    /// Both are of one profile, [`Profile::layer`]. The inner one has no MKIs, and does nothing to headers; what else they were built with is each
    /// layer's own. They may go on being used apart: to rekey one layer, or to look at its streams.
    ///
    /// # Errors
    ///
    /// [`Error::BadLayer`] if they are not so; [`Error::ForeignGuard`] if they are of two domains.
    pub fn new(inner: &Session, outer: &Session) -> Result<Self> {
        Ok(Self {
            inbound: Inbound::new(inner.inbound(), outer.inbound())?,
            outbound: Outbound::new(inner.outbound(), outer.outbound())?,
        })
    }

    /// The receiving direction.
    #[must_use]
    pub const fn inbound(&self) -> &Inbound {
        &self.inbound
    }

    /// The sending direction.
    #[must_use]
    pub const fn outbound(&self) -> &Outbound {
        &self.outbound
    }
}

/// # Errors
///
/// [`Error::BadLayer`], [`Error::ForeignGuard`].
fn check_layers(inner: &Direction, outer: &Direction) -> Result<()> {
    if inner.domain().id() != outer.domain().id() {
        return Err(Error::ForeignGuard);
    }
    let (hidden, open) = (inner.policy(), outer.policy());
    let is_layer = |spec: crate::crypto::profile::Spec| {
        spec.cipher == CipherKind::AesGcm && usize::from(spec.srtp_tag_len) == TAG_LEN
    };
    let same = hidden.spec.name == open.spec.name && is_layer(hidden.spec);
    let encrypted = hidden.srtp_encrypted && open.srtp_encrypted;
    let headers = hidden.changes_headers || open.cryptex != Cryptex::Off;
    if same && encrypted && !headers { Ok(()) } else { Err(Error::BadLayer) }
}
