//! `rtc-srtp`: Rust, with ring. It reads from one buffer and allocates the other.

use super::{Peer, SRTCP_WINDOW, SRTP_WINDOW, locked};
use crate::compare::keys::Keys;
use anyhow::{Result, anyhow};
use keyflip::Profile;
use keyflip_interop::{Direction, Protocol};
use rtc_srtp::context::Context;
use rtc_srtp::crypto;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

pub(crate) struct Rtc;

impl Peer for Rtc {
    const NAME: &'static str = "rtc-srtp";

    const NO_REKEY: Option<&'static str> = Some("keeps the key that a context was made with");

    type Context = Context;

    fn version() -> Result<String> {
        Ok(format!("rtc-srtp {}, ring {}", locked("rtc-srtp")?, locked("ring")?))
    }

    fn context(keys: &Keys, _direction: Direction) -> Result<Context> {
        let profile = match keys.profile {
            Profile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
            Profile::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
            _ => ProtectionProfile::Aes128CmHmacSha1_80,
        };
        let windows = (srtp_replay_protection(SRTP_WINDOW), srtcp_replay_protection(SRTCP_WINDOW));
        let provider = crypto::default_provider().map_err(|e| anyhow!("{e}"))?;
        Context::new(keys.key(), keys.salt(), profile, Some(windows.0), Some(windows.1), provider.crypto())
            .map_err(|e| anyhow!("{e}"))
    }

    #[inline]
    fn protect_from(
        context: &mut Context,
        protocol: Protocol,
        plain: &[u8],
        _room: &mut [u8],
        then: impl FnOnce(&[u8]),
    ) -> Result<()> {
        let protected = match protocol {
            Protocol::Rtp => context.encrypt_rtp(plain),
            Protocol::Rtcp => context.encrypt_rtcp(plain),
        };
        then(&protected.map_err(|e| anyhow!("{e}"))?);
        Ok(())
    }

    #[inline]
    fn unprotect<R>(
        context: &mut Context,
        protocol: Protocol,
        packet: &mut [u8],
        then: impl FnOnce(&[u8]) -> R,
    ) -> Result<R> {
        let plain = match protocol {
            Protocol::Rtp => context.decrypt_rtp(packet),
            Protocol::Rtcp => context.decrypt_rtcp(packet),
        };
        Ok(then(&plain.map_err(|e| anyhow!("{e}"))?))
    }
}
