//! SRTP packets that carry their rollover counter (RFC 4771): for receivers that join late, or lost more packets than an estimate bridges.

use super::Policy;
use crate::crypto::profile::{CipherKind, Spec};
use crate::error::{Error, Result};
use crate::wire::{Protocol, ROC_LEN, Shape};

/// The shortest tag that a counter leaves enough of: the 80 bits of RFC 4771's modes 1 and 2.
const SHORTEST_TAG: u8 = 10;

/// The modes of RFC 4771 that leave packets unauthenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnauthenticatedRoc {
    /// RCCm1: packets that carry the counter are authenticated, by a tag of 48 bits; others have no tag at all.
    OnlyCarriersAuthenticated,
    /// RCCm3 without an AEAD: no packet is authenticated, nor is the counter.
    NothingAuthenticated,
}

/// Which SRTP packets carry their counter, and what becomes of their tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RocInPackets {
    /// Packets whose sequence number is a multiple of it; 0: none.
    rate: u16,
    /// It was asked for.
    on: bool,
    unauthenticated: Option<UnauthenticatedRoc>,
}

impl RocInPackets {
    pub(crate) const OFF: Self = Self { rate: 0, on: false, unauthenticated: None };

    pub(crate) const fn authenticated(rate: u16) -> Self {
        Self { rate, on: true, unauthenticated: None }
    }

    pub(crate) const fn unauthenticated(rate: u16, mode: UnauthenticatedRoc) -> Self {
        Self { rate, on: true, unauthenticated: Some(mode) }
    }

    /// Mode and rate, as numbers.
    pub(crate) const fn numbers(self) -> (u8, u16) {
        let mode = match self.unauthenticated {
            None => 0,
            Some(UnauthenticatedRoc::OnlyCarriersAuthenticated) => 1,
            Some(UnauthenticatedRoc::NothingAuthenticated) => 3,
        };
        (mode, self.rate)
    }

    /// That of these numbers; `None` if there is none.
    pub(crate) const fn of_numbers(mode: u8, rate: u16) -> Option<Self> {
        match (mode, rate) {
            (0, 0) => Some(Self::OFF),
            (0, _) => Some(Self::authenticated(rate)),
            (1, _) => Some(Self::unauthenticated(rate, UnauthenticatedRoc::OnlyCarriersAuthenticated)),
            (3, _) => Some(Self::unauthenticated(rate, UnauthenticatedRoc::NothingAuthenticated)),
            _ => None,
        }
    }

    /// Every packet has a tag.
    pub(super) const fn leaves_tags(self) -> bool {
        self.unauthenticated.is_none()
    }

    /// # Errors
    ///
    /// [`Error::BadRocRate`], [`Error::NoRocMode`].
    pub(super) fn check(self, spec: Spec) -> Result<()> {
        if self.on && self.rate == 0 {
            return Err(Error::BadRocRate);
        }
        let is_aead = spec.cipher == CipherKind::AesGcm;
        let has_mode = match self.unauthenticated {
            _ if !self.on => true,
            None => is_aead || spec.srtp_tag_len >= SHORTEST_TAG,
            Some(UnauthenticatedRoc::OnlyCarriersAuthenticated) => !is_aead && spec.srtp_tag_len >= SHORTEST_TAG,
            Some(UnauthenticatedRoc::NothingAuthenticated) => !is_aead,
        };
        if has_mode { Ok(()) } else { Err(Error::NoRocMode) }
    }

    /// The trailer of an SRTP packet that carries its counter or not.
    fn shape(self, shape: Shape, carries: bool) -> Shape {
        let roc = if carries { ROC_LEN } else { 0 };
        let tag = match self.unauthenticated {
            Some(UnauthenticatedRoc::NothingAuthenticated) => 0,
            Some(UnauthenticatedRoc::OnlyCarriersAuthenticated) if !carries => 0,
            // In the room of an HMAC, which is as much shorter; beside the tag of an AEAD.
            _ if shape.tag_first => shape.tag,
            _ => shape.tag.saturating_sub(roc),
        };
        Shape { tag, roc, ..shape }
    }
}

impl Policy {
    /// The trailer of a packet with this sequence number, of which `shape` is that of all others.
    #[inline]
    pub(crate) fn shape(&self, shape: Shape, seq: u32) -> Shape {
        if self.roc.on && shape.protocol == Protocol::Rtp { self.shape_with_roc(shape, seq) } else { shape }
    }

    #[cold]
    fn shape_with_roc(&self, shape: Shape, seq: u32) -> Shape {
        self.roc.shape(shape, seq.is_multiple_of(u32::from(self.roc.rate.max(1))))
    }

    /// The same for a protected packet that was not taken apart yet.
    #[inline]
    pub(crate) fn shape_received(&self, shape: Shape, octets: &[u8]) -> Shape {
        if !self.roc.on {
            return shape;
        }
        let seq = octets.get(2..4).and_then(<[u8]>::first_chunk).map_or(0, |seq| u16::from_be_bytes(*seq));
        self.shape(shape, u32::from(seq))
    }

    /// The longest trailer.
    pub(crate) fn longest_shape(&self, shape: Shape) -> Shape {
        self.shape(shape, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::profile::Profile;

    #[test]
    fn rfc4771_profiles_have_the_modes_that_leave_them_a_tag() {
        let none = |mode| {
            move |profile: Profile| {
                RocInPackets { unauthenticated: mode, ..RocInPackets::authenticated(1) }.check(profile.spec())
            }
        };
        for profile in Profile::ALL {
            let (aead, tag) = (profile.name().starts_with("AEAD"), profile.srtp_tag_len());
            let expected = |has: bool| if has { Ok(()) } else { Err(Error::NoRocMode) };
            assert_eq!(none(None)(profile), expected(aead || tag == 10), "{profile}");
            let carriers = Some(UnauthenticatedRoc::OnlyCarriersAuthenticated);
            assert_eq!(none(carriers)(profile), expected(!aead && tag == 10), "{profile}");
            let nothing = Some(UnauthenticatedRoc::NothingAuthenticated);
            assert_eq!(none(nothing)(profile), expected(!aead), "{profile}");
            assert_eq!(RocInPackets::OFF.check(profile.spec()), Ok(()));
            assert_eq!(RocInPackets::authenticated(0).check(profile.spec()), Err(Error::BadRocRate));
        }
    }
}
