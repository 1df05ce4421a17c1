//! DTLS-SRTP (RFC 5764): from what a DTLS stack exports to the two master keys of a session.
//!
//! The stack negotiates a [`ProtectionProfile`] by the extension `use_srtp` ([`UseSrtp`], for stacks that leave its body to the application) and exports
//! [`keying_material_len`] octets under [`EXPORTER_LABEL`], without a context value. [`Keys::take`] splits them.
//!
//! ```
//! use keyflip::dtls::{self, Keys, ProtectionProfile, Role};
//! use keyflip::{Domain, Profile, Session};
//!
//! # fn export(_label: &str, material: &mut [u8]) { material.fill(7) }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let negotiated = ProtectionProfile(0x0007); // as the DTLS stack says
//! let profile = Profile::try_from(negotiated)?;
//!
//! let mut material = vec![0; dtls::keying_material_len(profile)];
//! export(dtls::EXPORTER_LABEL, &mut material); // RFC 5705; the DTLS stack's
//! let keys = Keys::take(profile, Role::Client, &mut material)?; // wipes `material`
//!
//! let domain = Domain::new();
//! let session = Session::builder(profile).outbound(keys.outbound).inbound(keys.inbound).build(&domain)?;
//! # let _ = session;
//! # Ok(())
//! # }
//! ```
//!
//! After a renegotiation or a new handshake, [`Outbound::rekey`](crate::Outbound::rekey) and [`Inbound::rekey`](crate::Inbound::rekey) take the new keys.

mod double;
mod profile;
mod use_srtp;

pub use double::{DoubleKeys, double_keying_material_len};
pub use profile::{PREFERENCE, ProtectionProfile, select, select_id};
pub use use_srtp::{Accepted, UseSrtp};

use crate::crypto::profile::Profile;
use crate::kernels::{scrub_after_derivation, scrubbed};
use crate::secret::MasterKey;

/// The label under which keying material is exported (RFC 5764 4.2).
pub const EXPORTER_LABEL: &str = "EXTRACTOR-dtls_srtp";

/// Why something of DTLS-SRTP was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The profile is none that this crate implements.
    #[error("protection profile {0} is not supported")]
    UnsupportedProfile(ProtectionProfile),
    /// The keying material has another length than the profile's, in octets.
    #[error("keying material has {found} octets instead of {expected}")]
    WrongMaterialLength {
        /// What [`keying_material_len`] says.
        expected: usize,
        /// What was given.
        found: usize,
    },
    /// The extension ends before its last field does.
    #[error("use_srtp extension is truncated")]
    Truncated,
    /// Octets follow the extension's last field.
    #[error("use_srtp extension is followed by other octets")]
    TrailingOctets,
    /// The list of profiles is empty, or has half a profile at its end.
    #[error("list of protection profiles is empty or of an odd length")]
    BadProfileList,
    /// More than 32767 profiles: the list has no room for them.
    #[error("use_srtp extension has room for 32767 protection profiles")]
    TooManyProfiles,
    /// An MKI of more than 255 octets: the extension has no room for it.
    #[error("use_srtp extension has room for an MKI of 255 octets")]
    MkiTooLong,
    /// An answer that names no profile or several.
    #[error("answer names {0} protection profiles instead of one")]
    NotOneProfile(usize),
    /// An answer that names a profile which was not offered.
    #[error("answer names protection profile {0}, which was not offered")]
    ProfileNotOffered(ProtectionProfile),
    /// An answer with another MKI than the offered one.
    #[error("answer has another MKI than the offer")]
    MkiNotOffered,
}

/// Which end of the DTLS association this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The one that sent the ClientHello: `a=setup:active` (RFC 5763 5).
    Client,
    /// The one that answered it.
    Server,
}

/// Octets of keying material to export for a profile: two master keys and two master salts (RFC 5764 4.2).
///
/// Export exactly so many. TLS 1.3 exporters give other octets, and not just fewer of them, when asked for another length.
///
/// RFC 5764 4.1.2 lists the NULL profiles with keys of 0 octets. From those no authentication key could be derived; as in libsrtp, GnuTLS and pion, their
/// lengths here are those of AES-128.
#[must_use]
pub const fn keying_material_len(profile: Profile) -> usize {
    2 * (profile.key_len() + profile.salt_len())
}

/// The master keys of both directions.
#[derive(Debug)]
pub struct Keys {
    /// For [`SessionBuilder::outbound`](crate::SessionBuilder::outbound) or [`Outbound::rekey`](crate::Outbound::rekey).
    pub outbound: MasterKey,
    /// For [`SessionBuilder::inbound`](crate::SessionBuilder::inbound) or [`Inbound::rekey`](crate::Inbound::rekey).
    pub inbound: MasterKey,
}

impl Keys {
    /// Splits exported keying material, and wipes it: client key, server key, client salt, server salt (RFC 5764 4.2).
    ///
    /// # Errors
    ///
    /// [`Error::WrongMaterialLength`]. The material is untouched then.
    pub fn take(profile: Profile, role: Role, material: &mut [u8]) -> Result<Self, Error> {
        let (expected, found) = (keying_material_len(profile), material.len());
        if found != expected {
            return Err(Error::WrongMaterialLength { expected, found });
        }
        let (keys, salts) = material.split_at_mut(2 * profile.key_len());
        let (client_key, server_key) = keys.split_at_mut(profile.key_len());
        let (client_salt, server_salt) = salts.split_at_mut(profile.salt_len());
        let (client, server) = scrubbed(scrub_after_derivation, || {
            (MasterKey::take_parts(client_key, client_salt), MasterKey::take_parts(server_key, server_salt))
        });
        Ok(match role {
            Role::Client => Self { outbound: client, inbound: server },
            Role::Server => Self { outbound: server, inbound: client },
        })
    }

    /// Names both keys by the MKI that `use_srtp` settled ([`Accepted::mki`]); without one, by none.
    ///
    /// # Errors
    ///
    /// [`Error::MkiTooLong`](crate::Error::MkiTooLong) above [`MAX_MKI_LEN`](crate::MAX_MKI_LEN) octets, of the 255 that the extension has room for.
    pub fn with_mki(self, mki: &[u8]) -> crate::error::Result<Self> {
        Ok(Self { outbound: self.outbound.with_mki(mki)?, inbound: self.inbound.with_mki(mki)? })
    }
}

#[cfg(test)]
mod tests;
