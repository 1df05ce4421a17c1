//! All session keys of one master key, derived in the one slot of the vault that keeps them.

use super::Suite;
use super::aes_cm::AesCm;
use super::gcm::AesGcm;
use super::hmac::HmacSha1;
use super::kdf::{IDENTITY, Labels, Prf};
use super::profile::{CipherKind, Spec};
use crate::error::Result;
use crate::kernels::{Engine, Kernels, Vaulted, fetch, scrub_after_derivation, scrubbed};
use crate::wire::Protocol;
use subtle::ConstantTimeEq;

const IDENTITY_LEN: usize = 16;

/// The session keys of both protocols. A slot is as long as those of its kind need.
pub(crate) enum Suites {
    /// NULL, with HMAC-SHA1.
    Null(Vaulted<Both<HmacSha1>>),
    /// AES-CM, with HMAC-SHA1.
    Cm(Vaulted<Both<CmKeys>>),
    Gcm(Vaulted<Both<AesGcm>>),
    Unprotected(Vaulted<Both<()>>),
}

/// What lies in a slot. In this order: each begins with what SRTP packets need, where a cache line begins.
#[repr(C)]
pub(crate) struct Both<K> {
    srtp: K,
    srtcp: K,
    /// Tells master keys apart without keeping them: derived like a session key, under a label of its own.
    identity: [u8; IDENTITY_LEN],
}

pub(crate) struct CmKeys {
    mac: HmacSha1,
    cipher: AesCm,
}

impl Suites {
    /// A slot of the profile's kind, with room for its keys but without them, to be worked on by the kernels in use now.
    pub(crate) fn vacant(spec: Spec) -> Self {
        let engine = Engine::of(Kernels::active());
        match spec.cipher {
            CipherKind::Null if spec.srtp_tag_len == 0 => Self::Unprotected(Both::vacant(|| ())),
            CipherKind::Null => Self::Null(Both::vacant(HmacSha1::vacant)),
            CipherKind::AesCm => Self::Cm(Both::vacant(|| CmKeys::vacant(engine))),
            CipherKind::AesGcm => Self::Gcm(Both::vacant(|| AesGcm::vacant(engine))),
        }
    }

    /// Derives the session keys into their places (RFC 3711 4.3).
    ///
    /// # Errors
    ///
    /// [`Error::WrongKeyLength`](crate::error::Error::WrongKeyLength) if no AES has keys of `spec.key_len` octets.
    pub(crate) fn derive(&mut self, master_key: &[u8], master_salt: &[u8], spec: Spec) -> Result<()> {
        scrubbed(scrub_after_derivation, || {
            let mut prf = Prf::vacant();
            prf.set_key(master_key, master_salt)?;
            let prf = &prf;
            match self {
                Self::Null(both) => both.derive(prf, |mac, labels| {
                    mac.derive(prf, labels);
                    Ok(())
                }),
                Self::Cm(both) => both.derive(prf, |keys, labels| {
                    keys.mac.derive(prf, labels);
                    keys.cipher.derive(prf, labels, spec.key_len)
                }),
                Self::Gcm(both) => both.derive(prf, |gcm, labels| gcm.derive(prf, labels, spec.key_len)),
                Self::Unprotected(both) => both.derive(prf, |(), _| Ok(())),
            }
        })
    }

    /// The session keys of one protocol.
    #[inline]
    pub(crate) fn of(&self, protocol: Protocol) -> Suite<'_> {
        match self {
            Self::Null(both) => Suite::Hmac { cipher: None, mac: both.of(protocol) },
            Self::Cm(both) => {
                let keys = both.of(protocol);
                Suite::Hmac { cipher: Some(&keys.cipher), mac: &keys.mac }
            }
            Self::Gcm(both) => Suite::Gcm(both.of(protocol)),
            Self::Unprotected(_) => Suite::Unprotected,
        }
    }

    /// Has what [`Self::of`] gives a view of fetched from memory, as far as a packet reads it.
    pub(crate) fn fetch(&self, protocol: Protocol) {
        match self {
            Self::Null(both) => both.fetch(protocol),
            Self::Cm(both) => both.fetch(protocol),
            Self::Gcm(both) => both.fetch(protocol),
            Self::Unprotected(_) => {}
        }
    }

    /// Whether both come from the same master key and salt, in constant time.
    pub(crate) fn same_master(&self, other: &Self) -> bool {
        self.identity().ct_eq(other.identity()).into()
    }

    /// Tells master keys apart.
    pub(crate) fn identity(&self) -> &[u8; IDENTITY_LEN] {
        match self {
            Self::Null(both) => &both.identity,
            Self::Cm(both) => &both.identity,
            Self::Gcm(both) => &both.identity,
            Self::Unprotected(both) => &both.identity,
        }
    }
}

impl<K> Both<K> {
    /// Inlined, so that the few octets of a vacant value are written to the slot, and nothing large is moved there.
    #[inline(always)]
    fn vacant(keys: impl Fn() -> K) -> Vaulted<Self> {
        Vaulted::new(Self { srtp: keys(), srtcp: keys(), identity: [0; IDENTITY_LEN] })
    }

    fn derive(&mut self, prf: &Prf, derive: impl Fn(&mut K, Labels) -> Result<()>) -> Result<()> {
        derive(&mut self.srtp, Protocol::Rtp.labels())?;
        derive(&mut self.srtcp, Protocol::Rtcp.labels())?;
        prf.derive(IDENTITY, &mut self.identity);
        Ok(())
    }

    fn fetch(&self, protocol: Protocol) {
        fetch(self.of(protocol), size_of::<K>().div_ceil(64).min(8));
    }

    fn of(&self, protocol: Protocol) -> &K {
        match protocol {
            Protocol::Rtp => &self.srtp,
            Protocol::Rtcp => &self.srtcp,
        }
    }
}

impl CmKeys {
    fn vacant(engine: Option<Engine>) -> Self {
        Self { mac: HmacSha1::vacant(), cipher: AesCm::vacant(engine) }
    }
}
