//! Keys of the comparison, by number: every implementation gets the same ones.

use crate::key_material;
use keyflip::{MasterKey, Profile};
use keyflip_interop::{Direction, PeerConfig, PeerProfile};

/// Master key and master salt of a context.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) profile: Profile,
    material: Vec<u8>,
}

impl Keys {
    pub(crate) fn new(profile: Profile, number: u64) -> Self {
        Self { profile, material: key_material(profile, number) }
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.material[..self.profile.key_len()]
    }

    pub(crate) fn salt(&self) -> &[u8] {
        &self.material[self.profile.key_len()..]
    }

    /// The same, as Keyflip takes it.
    pub(crate) fn master(&self) -> MasterKey {
        MasterKey::take(&mut self.material.clone())
    }

    /// The same, as libsrtp takes it, with the replay window that everybody has.
    pub(crate) fn config(&self, direction: Direction) -> PeerConfig {
        PeerConfig::new(peer_profile(self.profile), self.key(), self.salt(), direction)
    }
}

/// The name of a profile in results.
pub(crate) fn label(profile: Profile) -> &'static str {
    match profile {
        Profile::Aes128CmSha1_80 => "CM80",
        Profile::AeadAes128Gcm => "GCM-128",
        Profile::AeadAes256Gcm => "GCM-256",
        other => other.name(),
    }
}

/// # Panics
///
/// For a profile that is not compared.
fn peer_profile(profile: Profile) -> PeerProfile {
    match profile {
        Profile::Aes128CmSha1_80 => PeerProfile::Aes128CmSha1_80,
        Profile::AeadAes128Gcm => PeerProfile::AeadAes128Gcm,
        Profile::AeadAes256Gcm => PeerProfile::AeadAes256Gcm,
        other => panic!("{other} is not compared"),
    }
}
