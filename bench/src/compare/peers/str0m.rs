//! str0m: Rust, with AWS-LC.
//!
//! str0m keeps its SRTP context to itself; an application reaches it only through a whole WebRTC session, with its
//! handshake, its pacer and its clock. What is public are the parts: the ciphers of its crypto provider, its
//! initialisation vectors, its HMAC. The adapter puts them together as str0m's own context does, allocations included:
//! a packet that is sent gets a fresh zeroed vector, one that is received goes to a scratch buffer that stays. What
//! str0m does around that (parsing, streams, replay) is not public and left out, so its figures here are the least
//! that it can cost. SRTCP is left out, too.

use super::{Peer, locked};
use crate::compare::keys::Keys;
use anyhow::{Result, anyhow, bail, ensure};
use keyflip::Profile;
use keyflip_interop::{Direction, Protocol};
use str0m::crypto::{
    AeadAes128Gcm, AeadAes128GcmCipher, AeadAes256Gcm, AeadAes256GcmCipher, Aes128CmSha1_80, Aes128CmSha1_80Cipher,
    CryptoProvider, from_feature_flags,
};

/// Octets of the header of the packets that are compared.
const HEADER: usize = crate::HEADER;

/// Octets that str0m keeps free behind what a counter mode cipher writes.
const CTR_PADDING: usize = 15;

pub(crate) struct Str0m;

/// What str0m derives from a master key for SRTP, and the highest index so far.
pub(crate) struct Context {
    provider: CryptoProvider,
    suite: Suite,
    scratch: Vec<u8>,
    highest: u64,
}

enum Suite {
    Cm { cipher: Box<dyn Aes128CmSha1_80Cipher>, auth: [u8; 20], salt: [u8; 14] },
    Gcm128 { cipher: Box<dyn AeadAes128GcmCipher>, salt: [u8; 12] },
    Gcm256 { cipher: Box<dyn AeadAes256GcmCipher>, salt: [u8; 12] },
}

impl Context {
    fn new(keys: &Keys, sends: bool) -> Result<Self> {
        let provider = from_feature_flags();
        let ciphers = provider.srtp_provider;
        let suite = match keys.profile {
            Profile::Aes128CmSha1_80 => Suite::Cm {
                cipher: ciphers.aes_128_cm_sha1_80().create_cipher(derive(&provider, keys, 0)?, sends),
                auth: derive(&provider, keys, 1)?,
                salt: derive(&provider, keys, 2)?,
            },
            Profile::AeadAes128Gcm => Suite::Gcm128 {
                cipher: ciphers.aead_aes_128_gcm().create_cipher(derive(&provider, keys, 0)?, sends),
                salt: derive(&provider, keys, 2)?,
            },
            Profile::AeadAes256Gcm => Suite::Gcm256 {
                cipher: ciphers.aead_aes_256_gcm().create_cipher(derive(&provider, keys, 0)?, sends),
                salt: derive(&provider, keys, 2)?,
            },
            other => bail!("{other} is not compared"),
        };
        Ok(Self { provider, suite, scratch: Vec::with_capacity(2048), highest: 0 })
    }

    /// The index of a packet that comes in order.
    fn index(&mut self, packet: &[u8]) -> Result<(u32, u64)> {
        ensure!(packet.len() >= HEADER, "a packet without a header");
        let seq = u64::from(u16::from_be_bytes([packet[2], packet[3]]));
        let mut index = self.highest & !0xffff | seq;
        if index < self.highest {
            index += 1 << 16;
        }
        self.highest = index;
        Ok((u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]), index))
    }

    fn protect(&mut self, plain: &[u8]) -> Result<Vec<u8>> {
        let (ssrc, index) = self.index(plain)?;
        let (header, payload) = plain.split_at(HEADER);
        match &mut self.suite {
            Suite::Cm { cipher, auth, salt } => {
                let end = plain.len();
                let mut output = vec![0; end + CTR_PADDING.max(Aes128CmSha1_80::HMAC_TAG_LEN)];
                let iv = Aes128CmSha1_80::rtp_iv(*salt, ssrc, index);
                cipher.encrypt(&iv, payload, &mut output[HEADER..]).map_err(|e| anyhow!("{e}"))?;
                output[..HEADER].copy_from_slice(header);
                let hmac = |key: &[u8], parts: &[&[u8]]| self.provider.sha1_hmac_provider.sha1_hmac(key, parts);
                Aes128CmSha1_80::rtp_hmac(hmac, auth, &mut output, index, end);
                output.truncate(end + Aes128CmSha1_80::HMAC_TAG_LEN);
                Ok(output)
            }
            Suite::Gcm128 { cipher, salt } => {
                let mut output = vec![0; plain.len() + AeadAes128Gcm::TAG_LEN];
                let (roc, seq) = split(index);
                let iv = AeadAes128Gcm::rtp_iv(*salt, ssrc, roc, seq);
                cipher.encrypt(&iv, header, payload, &mut output[HEADER..]).map_err(|e| anyhow!("{e}"))?;
                output[..HEADER].copy_from_slice(header);
                Ok(output)
            }
            Suite::Gcm256 { cipher, salt } => {
                let mut output = vec![0; plain.len() + AeadAes256Gcm::TAG_LEN];
                let (roc, seq) = split(index);
                let iv = AeadAes256Gcm::rtp_iv(*salt, ssrc, roc, seq);
                cipher.encrypt(&iv, header, payload, &mut output[HEADER..]).map_err(|e| anyhow!("{e}"))?;
                output[..HEADER].copy_from_slice(header);
                Ok(output)
            }
        }
    }

    /// Decrypts into the scratch buffer; returns the number of octets there.
    fn unprotect(&mut self, packet: &[u8]) -> Result<usize> {
        let (ssrc, index) = self.index(packet)?;
        let (roc, seq) = split(index);
        match &mut self.suite {
            Suite::Cm { cipher, auth, salt } => {
                let end = packet.len().saturating_sub(Aes128CmSha1_80::HMAC_TAG_LEN);
                ensure!(end >= HEADER, "too short");
                let hmac = |key: &[u8], parts: &[&[u8]]| self.provider.sha1_hmac_provider.sha1_hmac(key, parts);
                let (protected, tag) = packet.split_at(end);
                ensure!(Aes128CmSha1_80::rtp_verify(hmac, auth, protected, index, tag), "a wrong tag");
                let payload = &protected[HEADER..];
                self.scratch.resize(payload.len() + CTR_PADDING, 0);
                let iv = Aes128CmSha1_80::rtp_iv(*salt, ssrc, index);
                cipher.decrypt(&iv, payload, &mut self.scratch).map_err(|e| anyhow!("{e}"))?;
                Ok(payload.len())
            }
            Suite::Gcm128 { cipher, salt } => {
                let (header, payload) = packet.split_at(HEADER);
                ensure!(payload.len() >= AeadAes128Gcm::TAG_LEN, "too short");
                self.scratch.resize(payload.len() - AeadAes128Gcm::TAG_LEN, 0);
                let iv = AeadAes128Gcm::rtp_iv(*salt, ssrc, roc, seq);
                cipher.decrypt(&iv, &[header], payload, &mut self.scratch).map_err(|e| anyhow!("{e}"))
            }
            Suite::Gcm256 { cipher, salt } => {
                let (header, payload) = packet.split_at(HEADER);
                ensure!(payload.len() >= AeadAes256Gcm::TAG_LEN, "too short");
                self.scratch.resize(payload.len() - AeadAes256Gcm::TAG_LEN, 0);
                let iv = AeadAes256Gcm::rtp_iv(*salt, ssrc, roc, seq);
                cipher.decrypt(&iv, &[header], payload, &mut self.scratch).map_err(|e| anyhow!("{e}"))
            }
        }
    }
}

/// The rollover counter and the sequence number of an index.
#[expect(clippy::cast_possible_truncation)] // On purpose: the low 16 bits, and the 32 above.
fn split(index: u64) -> (u32, u16) {
    ((index >> 16) as u32, index as u16)
}

/// RFC 3711 4.3: the session key with this label, by str0m's AES.
fn derive<const LEN: usize>(provider: &CryptoProvider, keys: &Keys, label: u8) -> Result<[u8; LEN]> {
    let mut key = [0; LEN];
    let mut block = [0; 16];
    block[..keys.salt().len()].copy_from_slice(keys.salt());
    block[7] ^= label;
    for (number, part) in (0u8..).zip(key.chunks_mut(16)) {
        block[15] = number;
        // AWS-LC's ECB adds a block of padding.
        let mut output = [0; 32];
        match keys.key().len() {
            16 => provider.srtp_provider.srtp_aes_128_ecb_round(keys.key(), &block, &mut output),
            32 => provider.srtp_provider.srtp_aes_256_ecb_round(keys.key(), &block, &mut output),
            other => bail!("no key has {other} octets"),
        }
        part.copy_from_slice(&output[..part.len()]);
    }
    Ok(key)
}

impl Peer for Str0m {
    const NAME: &'static str = "str0m";

    const NO_SFU: Option<&'static str> = Some("keeps its SRTCP to itself");

    const LEAVES_OUT: usize = HEADER;

    const NO_REKEY: Option<&'static str> = Some("keeps the key that a session was made with");

    type Context = Context;

    fn version() -> Result<String> {
        let (str0m, aws) = (locked("str0m")?, locked("aws-lc-rs")?);
        Ok(format!("str0m {str0m}, aws-lc-rs {aws}; its public parts, without parsing and replay list"))
    }

    fn context(keys: &Keys, direction: Direction) -> Result<Context> {
        Context::new(keys, direction == Direction::Send)
    }

    #[inline]
    fn protect_from(
        context: &mut Context,
        _protocol: Protocol,
        plain: &[u8],
        _room: &mut [u8],
        then: impl FnOnce(&[u8]),
    ) -> Result<()> {
        then(&context.protect(plain)?);
        Ok(())
    }

    #[inline]
    fn unprotect<R>(
        context: &mut Context,
        _protocol: Protocol,
        packet: &mut [u8],
        then: impl FnOnce(&[u8]) -> R,
    ) -> Result<R> {
        let len = context.unprotect(packet)?;
        Ok(then(&context.scratch[..len]))
    }
}
