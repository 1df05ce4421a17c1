//! The implementations that Keyflip is compared with, behind one trait. All of them are called once a packet.
//!
//! Each adapter makes the calls that its library's documentation shows, and the copies that they need, no others. Where
//! an API leaves a choice, the adapter takes what is faster.

mod libsrtp;
mod rtc;
mod str0m;
mod webrtc;

pub(crate) use libsrtp::Libsrtp;

use super::keys::Keys;
use anyhow::{Result, bail};
use keyflip_interop::{Direction, Protocol};

/// Replay windows of everybody, in packets: libsrtp has no other for SRTCP.
const SRTP_WINDOW: usize = keyflip_interop::PeerConfig::WINDOW;
const SRTCP_WINDOW: usize = 128;

/// An implementation.
pub(crate) trait Peer: 'static {
    /// Its name in results.
    const NAME: &'static str;

    /// Why it has no place in the scenario `sfu`; `None` where it has.
    const NO_SFU: Option<&'static str> = None;

    /// Why its contexts cannot be rekeyed; `None` where they can.
    const NO_REKEY: Option<&'static str> = None;

    /// Octets at the beginning of a plain packet that `unprotect` leaves out of what it returns, since its user has them.
    const LEAVES_OUT: usize = 0;

    /// One direction with one peer.
    type Context;

    /// Its version, and what it encrypts with.
    fn version() -> Result<String>;

    /// A context.
    fn context(keys: &Keys, direction: Direction) -> Result<Self::Context>;

    /// Protects the packet in the first `len` octets of `buffer`; `then` gets the protected packet, wherever that is.
    #[inline]
    fn protect(
        context: &mut Self::Context,
        protocol: Protocol,
        buffer: &mut [u8],
        len: usize,
        then: impl FnOnce(&[u8]),
    ) -> Result<()> {
        Self::protect_from(context, protocol, &buffer[..len], &mut [], then)
    }

    /// Protects a packet that is needed again. `room` is for implementations that write where they are told.
    fn protect_from(
        context: &mut Self::Context,
        protocol: Protocol,
        plain: &[u8],
        room: &mut [u8],
        then: impl FnOnce(&[u8]),
    ) -> Result<()>;

    /// Unprotects a packet; `then` gets the plain packet, wherever that is.
    fn unprotect<R>(
        context: &mut Self::Context,
        protocol: Protocol,
        packet: &mut [u8],
        then: impl FnOnce(&[u8]) -> R,
    ) -> Result<R>;

    /// Replaces the keys; indices and replay lists go on.
    fn rekey(_context: &mut Self::Context, _keys: &Keys, _direction: Direction) -> Result<()> {
        bail!("{} {}", Self::NAME, Self::NO_REKEY.unwrap_or("has no rekey"))
    }
}

/// Something that is done with each implementation.
pub(crate) trait Visitor {
    fn visit<P: Peer>(&mut self) -> Result<()>;
}

/// Shows every implementation to `visitor`.
pub(crate) fn visit(visitor: &mut impl Visitor) -> Result<()> {
    visitor.visit::<Libsrtp>()?;
    visitor.visit::<rtc::Rtc>()?;
    visitor.visit::<webrtc::Webrtc>()?;
    visitor.visit::<str0m::Str0m>()
}

/// The version of a crate that this build has.
fn locked(name: &str) -> Result<String> {
    const LOCK: &str = include_str!("../../../../Cargo.lock");
    let mut lines = LOCK.lines().skip_while(|line| *line != format!("name = \"{name}\"")).skip(1);
    let version = lines.next().and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    version.map(str::to_owned).ok_or_else(|| anyhow::anyhow!("no version of {name} is locked"))
}
