//! libsrtp: C, in place, with OpenSSL.

use super::Peer;
use crate::compare::keys::Keys;
use anyhow::{Error, Result};
use keyflip_interop::libsrtp::{Session, versions};
use keyflip_interop::{Direction, Protocol};

/// libsrtp, by the session of the interoperation tests, which adds no copy to the library's calls.
pub(crate) struct Libsrtp;

impl Peer for Libsrtp {
    const NAME: &'static str = "libsrtp";

    type Context = Session;

    fn version() -> Result<String> {
        let (libsrtp, openssl) = versions().map_err(Error::msg)?;
        Ok(format!("{libsrtp}, {}", openssl.as_deref().unwrap_or("not with OpenSSL")))
    }

    fn context(keys: &Keys, direction: Direction) -> Result<Session> {
        Session::new(&keys.config(direction)).map_err(Error::msg)
    }

    #[inline]
    fn protect(
        context: &mut Session,
        protocol: Protocol,
        buffer: &mut [u8],
        len: usize,
        then: impl FnOnce(&[u8]),
    ) -> Result<()> {
        let len = context.protect(protocol, buffer, len).map_err(Error::msg)?;
        then(&buffer[..len]);
        Ok(())
    }

    #[inline]
    fn protect_from(
        context: &mut Session,
        protocol: Protocol,
        plain: &[u8],
        room: &mut [u8],
        then: impl FnOnce(&[u8]),
    ) -> Result<()> {
        room[..plain.len()].copy_from_slice(plain);
        Self::protect(context, protocol, room, plain.len(), then)
    }

    #[inline]
    fn unprotect<R>(
        context: &mut Session,
        protocol: Protocol,
        packet: &mut [u8],
        then: impl FnOnce(&[u8]) -> R,
    ) -> Result<R> {
        let len = context.unprotect(protocol, packet).map_err(Error::msg)?;
        Ok(then(&packet[..len]))
    }

    fn rekey(context: &mut Session, keys: &Keys, direction: Direction) -> Result<()> {
        context.rekey(&keys.config(direction)).map_err(Error::msg)
    }
}
