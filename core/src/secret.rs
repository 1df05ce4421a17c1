//! Master keys on their way in.

use crate::error::{Error, Result};
use crate::kernels::Vaulted;
use core::fmt;
use zeroize::Zeroize;

/// The longest MKI (the limit libsrtp and GStreamer share; RFC 3711 sets none).
pub const MAX_MKI_LEN: usize = 128;

/// The most SRTP packets under one master key (RFC 3711 9.2).
pub(crate) const MAX_LIFETIME: u64 = 1 << 48;

/// A master key with its master salt and, if keys are told apart by one, its MKI (RFC 3711 3.2.1).
///
/// The secret octets lie in memory of their own ([`KeyMemory`](crate::KeyMemory)), which is wiped on drop. There is no way to read them back, and no `Clone`.
pub struct MasterKey {
    material: Vaulted<[u8]>,
    /// Where the key ends, if the caller said so.
    key_len: Option<usize>,
    mki: Box<[u8]>,
    /// The most packets of a protocol, if the key came with such a limit.
    lifetime: Option<u64>,
}

impl MasterKey {
    /// Takes `master key || master salt`, as SDES `inline:` and DTLS-SRTP give it, and wipes `source`.
    ///
    /// The lengths are checked against the profile where the key is used.
    pub fn take(source: &mut [u8]) -> Self {
        Self::collect(&mut [source], None)
    }

    /// Takes a master key and a master salt from separate places, and wipes both.
    pub fn take_parts(master_key: &mut [u8], master_salt: &mut [u8]) -> Self {
        let key_len = master_key.len();
        Self::collect(&mut [master_key, master_salt], Some(key_len))
    }

    /// Names the key by an MKI of 1 to 128 octets (0: no MKI).
    ///
    /// # Errors
    ///
    /// [`Error::MkiTooLong`] above 128 octets.
    pub fn with_mki(mut self, mki: &[u8]) -> Result<Self> {
        if mki.len() > MAX_MKI_LEN {
            return Err(Error::MkiTooLong);
        }
        self.mki = mki.into();
        Ok(self)
    }

    /// Limits the key to `packets` SRTP and as many SRTCP packets, 1 to 2^48: a lifetime that came with the key (RFC 3711 3.2.1, RFC 4568 6.1). What
    /// [`SessionBuilder::key_lifetime`](crate::SessionBuilder::key_lifetime) says holds as well: the lower limit counts.
    ///
    /// # Errors
    ///
    /// [`Error::BadKeyLifetime`].
    pub fn with_lifetime(mut self, packets: u64) -> Result<Self> {
        if packets == 0 || packets > MAX_LIFETIME {
            return Err(Error::BadKeyLifetime);
        }
        self.lifetime = Some(packets);
        Ok(self)
    }

    /// Master key and master salt, where the caller said where one ends, or somebody who knew the profile ([`Self::duplicate_split`]).
    pub(crate) fn parts(&self) -> (&[u8], &[u8]) {
        self.material.split_at(self.key_len.unwrap_or(0).min(self.material.len()))
    }

    /// Another one of the same octets, of which so many are the key: for keys that may move to another process.
    pub(crate) fn duplicate_split(&self, key_len: usize) -> Self {
        Self { key_len: Some(key_len), ..self.duplicate() }
    }

    fn collect(parts: &mut [&mut [u8]], key_len: Option<usize>) -> Self {
        let len = parts.iter().map(|part| part.len()).sum();
        // Sized up front: a growing vector would leave unwiped copies behind.
        let mut material = Vaulted::zeroed(len);
        let mut rest = &mut material[..];
        for part in parts {
            let (here, after) = rest.split_at_mut(part.len());
            here.copy_from_slice(part);
            rest = after;
            part.zeroize();
        }
        Self { material, key_len, mki: Box::default(), lifetime: None }
    }

    /// The two parts, checked against a profile's lengths (octets).
    pub(crate) fn split(&self, key_len: usize, salt_len: usize) -> Result<(&[u8], &[u8])> {
        if let Some(given) = self.key_len {
            if given != key_len {
                return Err(Error::WrongKeyLength);
            }
            if self.material.len() - given != salt_len {
                return Err(Error::WrongSaltLength);
            }
        }
        if self.material.len() != key_len + salt_len {
            return Err(Error::WrongKeyAndSaltLength);
        }
        Ok(self.material.split_at(key_len))
    }

    /// Both parts, one behind the other.
    pub(crate) fn material(&self) -> &[u8] {
        &self.material
    }

    /// Another one of the same octets: for keys that signalling has to tell as well as to use.
    pub(crate) fn duplicate(&self) -> Self {
        let mut material = Vaulted::zeroed(self.material.len());
        material.copy_from_slice(&self.material);
        Self { material, key_len: self.key_len, mki: self.mki.clone(), lifetime: self.lifetime }
    }

    pub(crate) fn mki(&self) -> &[u8] {
        &self.mki
    }

    pub(crate) const fn lifetime(&self) -> Option<u64> {
        self.lifetime
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").field("material", &"[redacted]").field("mki", &self.mki).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taking_a_key_wipes_its_source() {
        let mut source = [7u8; 30];
        let key = MasterKey::take(&mut source);
        assert_eq!(source, [0; 30]);
        assert_eq!(key.split(16, 14).unwrap(), (&[7u8; 16][..], &[7u8; 14][..]));
        let (mut a, mut b) = ([1u8; 32], [2u8; 14]);
        let key = MasterKey::take_parts(&mut a, &mut b);
        assert_eq!((a, b), ([0; 32], [0; 14]));
        assert_eq!(key.split(32, 14).unwrap(), (&[1u8; 32][..], &[2u8; 14][..]));
    }

    #[test]
    fn lengths_are_refused_by_name() {
        let key = MasterKey::take(&mut [0; 29]);
        assert_eq!(key.split(16, 14), Err(Error::WrongKeyAndSaltLength));
        let key = MasterKey::take_parts(&mut [0; 15], &mut [0; 14]);
        assert_eq!(key.split(16, 14), Err(Error::WrongKeyLength));
        let key = MasterKey::take_parts(&mut [0; 16], &mut [0; 12]);
        assert_eq!(key.split(16, 14), Err(Error::WrongSaltLength));
        assert_eq!(MasterKey::take(&mut [0; 30]).with_mki(&[0; 129]).unwrap_err(), Error::MkiTooLong);
    }

    #[test]
    fn debug_shows_no_key() {
        let text = format!("{:?}", MasterKey::take(&mut [0xab; 30]).with_mki(&[1, 2]).unwrap());
        assert!(text.contains("redacted") && text.contains("[1, 2]") && !text.contains("171"), "{text}");
    }
}
