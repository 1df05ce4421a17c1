//! Master keys made up on the spot.

use keyflip::{MasterKey, Profile};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// A random master key that two ends can be given.
pub struct Material {
    octets: Vec<u8>,
    mki: Vec<u8>,
}

impl Material {
    /// A random master key and salt of `profile`'s lengths, under `mki` (empty for none).
    pub fn random(profile: Profile, mki: Vec<u8>, rng: &mut ChaCha8Rng) -> Self {
        let mut octets = vec![0; profile.key_len() + profile.salt_len()];
        rng.fill_bytes(&mut octets);
        Self { octets, mki }
    }

    /// The key, for one end.
    ///
    /// # Errors
    ///
    /// The MKI is longer than the library takes.
    pub fn key(&self) -> keyflip::Result<MasterKey> {
        MasterKey::take(&mut self.octets.clone()).with_mki(&self.mki)
    }
}
