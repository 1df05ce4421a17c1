//! Keys made for the tests of this module.

use super::*;
use crate::crypto::profile::Profile;

/// Key number `n` of a profile.
pub(super) fn key(profile: Profile, n: usize, mki: &[u8]) -> Arc<SessionKeys> {
    let spec = profile.spec();
    let mut octets = vec![0; spec.key_len + spec.salt_len];
    octets[..8].copy_from_slice(&(n as u64).to_be_bytes());
    let master = MasterKey::take(&mut octets).with_mki(mki).unwrap();
    SessionKeys::derive(
        spec,
        &master,
        (ContextId::next(), KeyId(n as u64)),
        Limits { hard: KeyLifetime::MAX, soft: KeyLifetime::NONE },
        Selected::NONE,
        &Arc::default(),
    )
    .unwrap()
}
