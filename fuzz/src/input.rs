//! What cases are made of.

use arbitrary::{Arbitrary, Result, Unstructured};
use keyflip::{MAX_MKI_LEN, MasterKey, Profile};
use std::fmt;

/// As many octets as a 16-bit length before them says, or as there are. At the end of an input, all that are left.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Octets<'a>(pub &'a [u8]);

impl<'a> Arbitrary<'a> for Octets<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let len = usize::from(u16::arbitrary(u)?);
        u.bytes(len.min(u.len())).map(Self)
    }

    fn arbitrary_take_rest(u: Unstructured<'a>) -> Result<Self> {
        Ok(Self(u.take_rest()))
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (2, None)
    }
}

impl fmt::Debug for Octets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} octets ", self.0.len())?;
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// Any profile.
#[derive(Clone, Copy, Debug)]
pub struct AnyProfile(pub Profile);

impl<'a> Arbitrary<'a> for AnyProfile {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self(Profile::ALL[usize::from(u8::arbitrary(u)?) % Profile::ALL.len()]))
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (1, Some(1))
    }
}

/// RTP and SRTP, or RTCP and SRTCP.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// RTP, protected as SRTP.
    Rtp,
    /// RTCP, protected as SRTCP.
    Rtcp,
}

/// Which of the calls that do the same.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In the packet's own buffer.
    InPlace,
    /// As that, under a guard of the call's own. Fewer octets of room behind it.
    Autopin,
    /// From one buffer to another.
    Between,
}

/// Profile, first key and MKI.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// The profile.
    pub profile: AnyProfile,
    /// Master key and salt, filled up or cut to the profile's lengths.
    pub key: Octets<'a>,
    /// The MKI, cut to 128 octets; empty for none.
    pub mki: Octets<'a>,
}

impl Setup<'_> {
    /// Key number `n` of this setup: number 0 is as given. Each has another MKI.
    #[must_use]
    pub fn key(&self, n: u8) -> Key {
        let profile = self.profile.0;
        let len = profile.key_len() + profile.salt_len();
        let filler = (0..=u8::MAX).map(|at| at.wrapping_mul(37));
        let mut key: Vec<u8> = self.key.0.iter().copied().chain(filler).take(len).collect();
        key.iter_mut().for_each(|octet| *octet ^= n);
        let mut mki = self.mki.0[..self.mki_len()].to_vec();
        if let Some(last) = mki.last_mut() {
            *last ^= n;
        }
        let salt = key.split_off(profile.key_len());
        Key { key, salt, mki }
    }

    /// Octets of the MKI.
    #[must_use]
    pub fn mki_len(&self) -> usize {
        self.mki.0.len().min(MAX_MKI_LEN)
    }
}

/// The octets of a master key. They are no secret here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Master key.
    pub key: Vec<u8>,
    /// Master salt.
    pub salt: Vec<u8>,
    /// MKI, empty for none.
    pub mki: Vec<u8>,
}

impl Key {
    /// For Keyflip.
    #[must_use]
    pub fn master(&self) -> MasterKey {
        let key = MasterKey::take_parts(&mut self.key.clone(), &mut self.salt.clone());
        key.with_mki(&self.mki).expect("at most 128 octets")
    }
}
