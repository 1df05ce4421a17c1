//! The suites: what turns a body into ciphertext and a packet into a tag, written once for RTP and RTCP.
//!
//! 1. A [`Suite`] is immutable. It knows no stream, no index and no wire format; a [`Frame`] tells it what it needs of a packet.
//! 2. Encryption and decryption are the same XOR with keystream ([`Suite::crypt`]), which cannot fail, and never checks: the tag over the
//!    protected octets ([`Suite::tag`], [`Suite::verify`]) is a step of its own, so that a receiver can claim the index between the two.
//! 3. Only [`Suite::verify`] makes an [`Authenticated`], and it is what a receiver must show to claim an index.

pub(crate) mod aes;
pub(crate) mod aes_cm;
pub(crate) mod gcm;
pub(crate) mod hmac;
pub(crate) mod kdf;
pub(crate) mod profile;

use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::index::{PacketIndex, SrtcpIndex, Ssrc};
use crate::kernels::{Engine, Kernels};
use crate::wire::Protocol;
use crate::wire::rtcp::{WORD_LEN, Word};
use aes_cm::AesCm;
use cipher::inout::InOutBuf;
use core::ops::Range;
use gcm::{AesGcm, TAG_LEN};
use hmac::HmacSha1;
use kdf::{Labels, Prf};
use profile::{CipherKind, Spec};
use subtle::{Choice, ConstantTimeEq};

/// What a suite needs to know of a packet beside its octets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) ssrc: Ssrc,
    /// The whole index; of SRTCP, with the bits above the 31 that are on the wire.
    pub(crate) index: u64,
    /// Octets in the clear at the start.
    pub(crate) head: usize,
    pub(crate) encrypted: bool,
    pub(crate) suffix: Suffix,
}

/// What is authenticated beside the packet up to the end of its body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Suffix {
    /// SRTP: the ROC, which is not on the wire (RFC 3711 4.2).
    Roc([u8; 4]),
    /// SRTCP: E flag and index, which are.
    Word([u8; WORD_LEN]),
}

impl Frame {
    pub(crate) const fn srtp(ssrc: Ssrc, index: PacketIndex, head: usize, encrypted: bool) -> Self {
        let suffix = Suffix::Roc(index.roc().0.to_be_bytes());
        Self { ssrc, index: index.get(), head, encrypted, suffix }
    }

    pub(crate) const fn srtcp(ssrc: Ssrc, index: SrtcpIndex, head: usize, encrypted: bool) -> Self {
        let suffix = Suffix::Word(Word::new(index, encrypted).to_octets());
        Self { ssrc, index: index.get(), head, encrypted, suffix }
    }

    /// SRTCP's word, as it is on the wire; nothing for SRTP.
    pub(crate) const fn word(&self) -> Option<[u8; WORD_LEN]> {
        match self.suffix {
            Suffix::Roc(_) => None,
            Suffix::Word(word) => Some(word),
        }
    }

    /// The index as it enters an initialization vector: 48 bits of SRTP, 31 of SRTCP.
    const fn iv_index(&self) -> u64 {
        match self.suffix {
            Suffix::Roc(_) => self.index,
            Suffix::Word(_) => SrtcpIndex::from_extended(self.index).wire() as u64,
        }
    }
}

/// Proof that a packet's tag verified at this index.
#[derive(Debug)]
#[must_use]
pub(crate) struct Authenticated {
    index: u64,
}

impl Authenticated {
    /// The index the tag was verified at, as the frame gave it.
    pub(crate) const fn index(&self) -> u64 {
        self.index
    }
}

/// The longest tag of any suite, before truncation.
const MAX_TAG_LEN: usize = 20;

/// The session keys of one protocol, made ready for use.
pub(crate) enum Suite {
    /// NULL or AES-CM, with HMAC-SHA1.
    Hmac { cipher: Option<AesCm>, mac: HmacSha1 },
    /// AES-GCM.
    Gcm(AesGcm),
    /// No cipher and no authentication.
    Unprotected,
}

impl Suite {
    /// A suite of the profile's kind, with room for its keys but without them, to be worked on by the kernels in use now.
    pub(crate) fn vacant(spec: Spec) -> Self {
        let engine = Engine::of(Kernels::active());
        match spec.cipher {
            CipherKind::Null if spec.srtp_tag_len == 0 => Self::Unprotected,
            CipherKind::Null => Self::Hmac { cipher: None, mac: HmacSha1::vacant() },
            CipherKind::AesCm => Self::Hmac { cipher: Some(AesCm::vacant(engine)), mac: HmacSha1::vacant() },
            CipherKind::AesGcm => Self::Gcm(AesGcm::vacant(engine)),
        }
    }

    /// Derives the session keys into their places (RFC 3711 4.3).
    ///
    /// # Errors
    ///
    /// [`Error::WrongKeyLength`] if no AES has keys of `key_len` octets.
    pub(crate) fn derive(&mut self, prf: &Prf, labels: Labels, key_len: usize) -> Result<()> {
        match self {
            Self::Hmac { cipher, mac } => {
                mac.derive(prf, labels);
                cipher.as_mut().map_or(Ok(()), |cipher| cipher.derive(prf, labels, key_len))
            }
            Self::Gcm(gcm) => gcm.derive(prf, labels, key_len),
            Self::Unprotected => Ok(()),
        }
    }

    /// Encrypts or decrypts a body.
    pub(crate) fn crypt(&self, frame: &Frame, body: InOutBuf<'_, '_, u8>) {
        match self {
            Self::Hmac { cipher: Some(cipher), .. } if frame.encrypted => cipher.crypt(frame, body),
            Self::Gcm(gcm) if frame.encrypted => gcm.crypt(frame, body),
            _ => copy(body),
        }
    }

    /// Encrypts the body of a packet that ends at `body_end`, and writes its tag, as long as its place is.
    pub(crate) fn seal(&self, frame: &Frame, buffer: &mut Buffer<'_>, body_end: usize, tag: Range<usize>) {
        let place = tag.start.saturating_sub(body_end)..tag.end.saturating_sub(body_end);
        if let Self::Gcm(gcm) = self
            && frame.encrypted
        {
            let (head, body, room) = buffer.parts(frame.head..body_end);
            if let Some(Ok(tag)) = room.get_mut(place).map(<&mut [u8; TAG_LEN]>::try_from) {
                *tag = gcm.seal(frame, head, body);
            }
            return;
        }
        self.crypt(frame, buffer.body(frame.head..body_end));
        let (protected, room) = buffer.output().split_at_mut_checked(body_end).unwrap_or_default();
        self.tag(frame, protected, room.get_mut(place).unwrap_or_default());
    }

    /// Writes the tag over the protected octets, `head || body`, truncated to the length of `tag`.
    pub(crate) fn tag(&self, frame: &Frame, protected: &[u8], tag: &mut [u8]) {
        let full = self.full_tag(frame, protected);
        for (to, from) in tag.iter_mut().zip(full.iter()) {
            *to = *from;
        }
    }

    /// Compares a tag, in constant time.
    ///
    /// # Errors
    ///
    /// [`Error::AuthenticationFailed`].
    pub(crate) fn verify(&self, frame: &Frame, protected: &[u8], tag: &[u8]) -> Result<Authenticated> {
        let full = self.full_tag(frame, protected);
        let expected = full.get(..tag.len()).ok_or(Error::AuthenticationFailed)?;
        if bool::from(same(expected, tag)) {
            Ok(Authenticated { index: frame.index })
        } else {
            Err(Error::AuthenticationFailed)
        }
    }

    /// An expected tag is a secret: whoever finds it can forge the packet it was computed for. The scrub after a packet covers it.
    fn full_tag(&self, frame: &Frame, protected: &[u8]) -> [u8; MAX_TAG_LEN] {
        let mut tag = [0; MAX_TAG_LEN];
        match self {
            Self::Hmac { mac, .. } => mac.compute(protected, frame.suffix, &mut tag),
            Self::Gcm(gcm) => {
                if let Some(tag) = tag.first_chunk_mut() {
                    *tag = gcm.tag(frame, protected);
                }
            }
            Self::Unprotected => {}
        }
        tag
    }
}

/// Whether tags of one length are the same, in constant time: by words that overlap, since octet by octet takes as long as hashing a short packet.
fn same(expected: &[u8], tag: &[u8]) -> Choice {
    let ends =
        |octets: &[u8]| Some((u64::from_ne_bytes(*octets.first_chunk()?), u64::from_ne_bytes(*octets.last_chunk()?)));
    match (ends(expected), ends(tag)) {
        (Some((a, b)), Some((c, d))) if expected.len() == tag.len() && tag.len() <= 2 * size_of::<u64>() => {
            a.ct_eq(&c) & b.ct_eq(&d)
        }
        _ => expected.ct_eq(tag),
    }
}

/// Carries an unencrypted body to the output, if that is another buffer.
fn copy(body: InOutBuf<'_, '_, u8>) {
    for mut octet in body {
        *octet.get_out() = *octet.get_in();
    }
}

impl Protocol {
    /// The key derivation labels of this protocol's session keys.
    pub(crate) const fn labels(self) -> Labels {
        match self {
            Self::Rtp => Labels::SRTP,
            Self::Rtcp => Labels::SRTCP,
        }
    }
}

#[cfg(test)]
mod tests;
