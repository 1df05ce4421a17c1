//! The suites: what turns a body into ciphertext and a packet into a tag, written once for RTP and RTCP.
//!
//! 1. A [`Suite`] is immutable, a view of [`Suites`]. It knows no stream, no index and no wire format; a [`Frame`] tells it what it needs of a packet.
//! 2. Encryption and decryption are the same XOR with keystream ([`Suite::crypt`]), which cannot fail, and never checks: the tag over the
//!    protected octets ([`Suite::tag`], [`Suite::verify`]) is a step of its own, so that a receiver can claim the index between the two.
//! 3. Only [`Suite::verify`], and its like for a tag computed before, [`tag::FullTag::verify`], make an [`Authenticated`], which a receiver must show to claim an index.

pub(crate) mod aes;
pub(crate) mod aes_cm;
pub(crate) mod gcm;
pub(crate) mod header;
pub(crate) mod hmac;
pub(crate) mod kdf;
pub(crate) mod many;
pub(crate) mod profile;
mod suites;
pub(crate) mod tag;

use crate::error::Result;
use crate::index::{PacketIndex, SrtcpIndex, Ssrc};
use crate::wire::rtcp::{WORD_LEN, Word};
use crate::wire::{HeaderForm, Protocol};
use aes_cm::AesCm;
use cipher::inout::InOutBuf;
use gcm::AesGcm;
use hmac::HmacSha1;
use kdf::Labels;
pub(crate) use suites::Suites;
use tag::{FullTag, MAX_TAG_LEN};

/// What a suite needs to know of a packet beside its octets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// The whole index; of SRTCP, with the bits above the 31 that are on the wire.
    pub(crate) index: u64,
    /// Octets in the clear at the start.
    pub(crate) head: usize,
    pub(crate) ssrc: Ssrc,
    pub(crate) encrypted: bool,
    pub(crate) form: HeaderForm,
    pub(crate) protocol: Protocol,
}

impl Frame {
    pub(crate) const fn srtp(ssrc: Ssrc, index: PacketIndex, head: usize, encrypted: bool) -> Self {
        Self { ssrc, index: index.get(), head, encrypted, form: HeaderForm::Clear, protocol: Protocol::Rtp }
    }

    pub(crate) const fn with_form(self, form: HeaderForm) -> Self {
        Self { form, ..self }
    }

    pub(crate) const fn srtcp(ssrc: Ssrc, index: SrtcpIndex, head: usize, encrypted: bool) -> Self {
        Self { ssrc, index: index.get(), head, encrypted, form: HeaderForm::Clear, protocol: Protocol::Rtcp }
    }

    /// What is authenticated after the packet up to the end of its body: SRTP's ROC, which is not on the wire (RFC 3711 4.2), or SRTCP's word, which is.
    #[inline]
    pub(crate) const fn suffix(&self) -> [u8; WORD_LEN] {
        match self.protocol {
            Protocol::Rtp => PacketIndex::from_estimate(self.index).roc().0.to_be_bytes(),
            Protocol::Rtcp => Word::new(SrtcpIndex::from_extended(self.index), self.encrypted).to_octets(),
        }
    }

    /// SRTCP's word, as it is on the wire; nothing for SRTP.
    #[inline]
    pub(crate) const fn word(&self) -> Option<[u8; WORD_LEN]> {
        match self.protocol {
            Protocol::Rtp => None,
            Protocol::Rtcp => Some(self.suffix()),
        }
    }

    /// The index as it enters an initialization vector: 48 bits of SRTP, 31 of SRTCP.
    #[inline]
    const fn iv_index(&self) -> u64 {
        match self.protocol {
            Protocol::Rtp => self.index,
            Protocol::Rtcp => SrtcpIndex::from_extended(self.index).wire() as u64,
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

/// The session keys of one protocol, made ready for use: a view into the slot that keeps them.
#[derive(Clone, Copy)]
pub(crate) enum Suite<'k> {
    /// NULL or AES-CM, with HMAC-SHA1.
    Hmac { cipher: Option<&'k AesCm>, mac: &'k HmacSha1 },
    /// AES-GCM.
    Gcm(&'k AesGcm),
    /// No cipher and no authentication.
    Unprotected,
}

impl Suite<'_> {
    /// Encrypts or decrypts a body.
    #[inline(always)]
    pub(crate) fn crypt(&self, frame: &Frame, body: InOutBuf<'_, '_, u8>) {
        self.crypt_from(frame, 0, body);
    }

    /// Encrypts or decrypts a body from its block `first` on.
    #[inline(always)]
    pub(crate) fn crypt_from(&self, frame: &Frame, first: u16, body: InOutBuf<'_, '_, u8>) {
        match self {
            Self::Hmac { cipher: Some(cipher), .. } if frame.encrypted => cipher.crypt(frame, first, body),
            Self::Gcm(gcm) if frame.encrypted => gcm.crypt(frame, first, body),
            _ => copy(body),
        }
    }

    /// Encrypts a body behind `head` and computes its tag in one pass. `None`, and nothing is done, by a suite that takes two.
    #[inline(always)]
    pub(crate) fn seal(&self, frame: &Frame, head: &[u8], body: InOutBuf<'_, '_, u8>) -> Option<FullTag> {
        match self {
            Self::Gcm(gcm) if frame.encrypted => Some(FullTag::of(&gcm.seal(frame, head, body))),
            _ => None,
        }
    }

    /// Writes the tag over the protected octets, `head || body`, truncated to the length of `tag`.
    #[inline(always)]
    pub(crate) fn tag(&self, frame: &Frame, protected: &[u8], tag: &mut [u8]) {
        self.full_tag(frame, protected).write(tag);
    }

    /// Compares a tag, in constant time.
    ///
    /// # Errors
    ///
    /// [`Error::AuthenticationFailed`](crate::error::Error::AuthenticationFailed).
    #[inline(always)]
    pub(crate) fn verify(&self, frame: &Frame, protected: &[u8], tag: &[u8]) -> Result<Authenticated> {
        self.full_tag(frame, protected).verify(frame, tag)
    }

    #[inline(always)]
    fn full_tag(&self, frame: &Frame, protected: &[u8]) -> FullTag {
        match self {
            Self::Hmac { mac, .. } => {
                let mut tag = [0; MAX_TAG_LEN];
                mac.compute(protected, frame.suffix(), &mut tag);
                FullTag(tag)
            }
            Self::Gcm(gcm) => FullTag::of(&gcm.tag(frame, protected)),
            Self::Unprotected => FullTag::of(&[]),
        }
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
