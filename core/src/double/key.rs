//! The profiles of RFC 8723, and their keys, which are two keys.

use crate::crypto::profile::Profile as Layer;
use crate::error::{Error, Result};
use crate::kernels::{scrub_after_derivation, scrubbed};
use crate::secret::MasterKey;
use core::fmt;

/// A profile of two layers (RFC 8723 9.1). Lengths in octets.
///
/// | profile | each layer | master key | master salt | tags |
/// |---|---|---|---|---|
/// | `DOUBLE_AEAD_AES_128_GCM_AEAD_AES_128_GCM` | AES-GCM, 128 bits | 32 | 24 | 16 + 16 |
/// | `DOUBLE_AEAD_AES_256_GCM_AEAD_AES_256_GCM` | AES-GCM, 256 bits | 64 | 24 | 16 + 16 |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// `DOUBLE_AEAD_AES_128_GCM_AEAD_AES_128_GCM`.
    Aes128Gcm,
    /// `DOUBLE_AEAD_AES_256_GCM_AEAD_AES_256_GCM`.
    Aes256Gcm,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 2] = [Self::Aes128Gcm, Self::Aes256Gcm];

    /// That of each layer.
    #[must_use]
    pub const fn layer(self) -> Layer {
        match self {
            Self::Aes128Gcm => Layer::AeadAes128Gcm,
            Self::Aes256Gcm => Layer::AeadAes256Gcm,
        }
    }

    /// The registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes128Gcm => "DOUBLE_AEAD_AES_128_GCM_AEAD_AES_128_GCM",
            Self::Aes256Gcm => "DOUBLE_AEAD_AES_256_GCM_AEAD_AES_256_GCM",
        }
    }

    /// Octets of the master key: of both halves.
    #[must_use]
    pub const fn key_len(self) -> usize {
        2 * self.layer().key_len()
    }

    /// Octets of the master salt: of both halves.
    #[must_use]
    pub const fn salt_len(self) -> usize {
        2 * self.layer().salt_len()
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The master keys of both layers. Each is used where that layer's session is built, or rekeyed; a media distributor is given the outer one only.
#[derive(Debug)]
pub struct Key {
    /// End to end.
    pub inner: MasterKey,
    /// Hop by hop.
    pub outer: MasterKey,
}

impl Key {
    /// Takes `inner key || outer key || inner salt || outer salt`, a double master key with its salt (RFC 8723 3), and wipes `source`.
    ///
    /// # Errors
    ///
    /// [`Error::WrongKeyAndSaltLength`]. The source is untouched then.
    pub fn take(profile: Profile, source: &mut [u8]) -> Result<Self> {
        if source.len() != profile.key_len() + profile.salt_len() {
            return Err(Error::WrongKeyAndSaltLength);
        }
        let (key, salt) = source.split_at_mut(profile.key_len());
        Self::take_parts(profile, key, salt)
    }

    /// Takes `inner key || outer key` and `inner salt || outer salt` from separate places, and wipes both.
    ///
    /// # Errors
    ///
    /// [`Error::WrongKeyLength`], [`Error::WrongSaltLength`]. The sources are untouched then.
    pub fn take_parts(profile: Profile, master_key: &mut [u8], master_salt: &mut [u8]) -> Result<Self> {
        if master_key.len() != profile.key_len() {
            return Err(Error::WrongKeyLength);
        }
        if master_salt.len() != profile.salt_len() {
            return Err(Error::WrongSaltLength);
        }
        let (inner_key, outer_key) = master_key.split_at_mut(profile.layer().key_len());
        let (inner_salt, outer_salt) = master_salt.split_at_mut(profile.layer().salt_len());
        Ok(scrubbed(scrub_after_derivation, || Self {
            inner: MasterKey::take_parts(inner_key, inner_salt),
            outer: MasterKey::take_parts(outer_key, outer_salt),
        }))
    }

    /// Names the key by an MKI of 1 to 128 octets. Packets carry it once, behind the outer layer: so the outer half has it, and the inner has none.
    ///
    /// # Errors
    ///
    /// [`Error::MkiTooLong`].
    pub fn with_mki(self, mki: &[u8]) -> Result<Self> {
        Ok(Self { inner: self.inner, outer: self.outer.with_mki(mki)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8723_a_double_key_is_two_halves() {
        for profile in Profile::ALL {
            let (key_len, salt_len) = (profile.layer().key_len(), profile.layer().salt_len());
            let parts = [(1, key_len), (2, key_len), (3, salt_len), (4, salt_len)];
            let mut source: Vec<u8> = parts.iter().flat_map(|(octet, len)| vec![*octet; *len]).collect();
            let key = Key::take(profile, &mut source).unwrap();
            assert!(source.iter().all(|octet| *octet == 0), "the source is wiped");
            for (half, [octet, salt_octet]) in [(&key.inner, [1, 3]), (&key.outer, [2, 4])] {
                let (key, salt) = half.split(key_len, salt_len).unwrap();
                assert!(key.iter().all(|it| *it == octet) && salt.iter().all(|it| *it == salt_octet), "{profile}");
            }
        }
    }

    #[test]
    fn keys_of_another_length_are_refused_and_left_alone() {
        let profile = Profile::Aes128Gcm;
        for len in [0, 28, 55, 57, 88] {
            let mut source = vec![7; len];
            assert_eq!(Key::take(profile, &mut source).unwrap_err(), Error::WrongKeyAndSaltLength);
            assert_eq!(source, vec![7; len]);
        }
        assert_eq!(Key::take_parts(profile, &mut [7; 31], &mut [7; 24]).unwrap_err(), Error::WrongKeyLength);
        assert_eq!(Key::take_parts(profile, &mut [7; 32], &mut [7; 12]).unwrap_err(), Error::WrongSaltLength);
    }
}
