//! Keying material of the double profiles (RFC 8723 9.1).

use super::{Error, Role};
use crate::double::{Key, Profile};

/// The double master keys of both directions.
#[derive(Debug)]
pub struct DoubleKeys {
    /// For the outbound directions of the inner and the outer session.
    pub outbound: Key,
    /// For their inbound directions.
    pub inbound: Key,
}

/// Octets of keying material to export for a double profile, as [`keying_material_len`](super::keying_material_len) says for others.
#[must_use]
pub const fn double_keying_material_len(profile: Profile) -> usize {
    2 * (profile.key_len() + profile.salt_len())
}

impl DoubleKeys {
    /// Splits exported keying material, and wipes it: client key, server key, client salt, server salt, and each of them into its inner and its outer half.
    ///
    /// A media distributor that is told the keys of its hop only (RFC 8871) has no use for this: it gets outer halves.
    ///
    /// # Errors
    ///
    /// [`Error::WrongMaterialLength`]. The material is untouched then.
    pub fn take(profile: Profile, role: Role, material: &mut [u8]) -> Result<Self, Error> {
        let wrong = Error::WrongMaterialLength { expected: double_keying_material_len(profile), found: material.len() };
        if material.len() != double_keying_material_len(profile) {
            return Err(wrong);
        }
        let (keys, salts) = material.split_at_mut(2 * profile.key_len());
        let (client_key, server_key) = keys.split_at_mut(profile.key_len());
        let (client_salt, server_salt) = salts.split_at_mut(profile.salt_len());
        // Of the right lengths, by now.
        let client = Key::take_parts(profile, client_key, client_salt).map_err(|_| wrong)?;
        let server = Key::take_parts(profile, server_key, server_salt).map_err(|_| wrong)?;
        Ok(match role {
            Role::Client => Self { outbound: client, inbound: server },
            Role::Server => Self { outbound: server, inbound: client },
        })
    }

    /// Names both keys by the MKI that `use_srtp` settled; without one, by none.
    ///
    /// # Errors
    ///
    /// [`Error::MkiTooLong`](crate::Error::MkiTooLong).
    pub fn with_mki(self, mki: &[u8]) -> crate::error::Result<Self> {
        Ok(Self { outbound: self.outbound.with_mki(mki)?, inbound: self.inbound.with_mki(mki)? })
    }
}
