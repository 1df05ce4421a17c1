//! HMAC-SHA1 (RFC 2104, RFC 3711 4.2.1) under a session authentication key.

use super::MAX_TAG_LEN;
use super::kdf::{Labels, Prf};
use crate::kernels::{HmacJob, HmacKernels, Kernels, Midstates};
use crate::wire::rtcp::WORD_LEN;
use zeroize::Zeroizing;

/// Octets of a session authentication key (RFC 3711 5.2).
const KEY_LEN: usize = 20;

/// HMAC-SHA1 under one session authentication key.
pub(crate) struct HmacSha1 {
    key: Midstates,
    kernels: HmacKernels,
}

impl HmacSha1 {
    pub(crate) fn vacant() -> Self {
        Self { key: Midstates::vacant(), kernels: HmacKernels::of(Kernels::active()) }
    }

    pub(crate) fn derive(&mut self, prf: &Prf, labels: Labels) {
        let mut key = Zeroizing::new([0u8; KEY_LEN]);
        prf.derive(labels.authentication, &mut *key);
        self.set_key(&*key);
    }

    /// Keys it afresh, with at most one block of key.
    pub(crate) fn set_key(&mut self, key: &[u8]) {
        self.key.set_key(key);
    }

    /// The MAC of `message || suffix`.
    #[inline(always)]
    pub(crate) fn compute(&self, message: &[u8], suffix: [u8; WORD_LEN], tag: &mut [u8; MAX_TAG_LEN]) {
        self.kernels.one(&self.key, message, suffix, tag);
    }

    /// What computes it: the kernels that were in use when it was made.
    pub(crate) const fn kernels(&self) -> HmacKernels {
        self.kernels
    }

    /// The same, to be computed beside others.
    pub(crate) const fn job<'a>(&'a self, message: &'a [u8], suffix: [u8; WORD_LEN]) -> HmacJob<'a> {
        HmacJob::new(&self.key, message, suffix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::hmac::{Hmac, KeyInit, Mac};
    use proptest::prelude::*;
    use sha1::Sha1;

    proptest! {
        #[test]
        fn midstates_give_what_the_hmac_crate_gives(key in prop::collection::vec(any::<u8>(), 0..=64), message in prop::collection::vec(any::<u8>(), 0..400), suffix: [u8; 4]) {
            let mut ours = HmacSha1::vacant();
            ours.set_key(&key);
            let mut tag = [0; MAX_TAG_LEN];
            ours.compute(&message, suffix, &mut tag);
            let mut theirs = Hmac::<Sha1>::new_from_slice(&key).unwrap();
            theirs.update(&message);
            theirs.update(&suffix);
            let theirs = theirs.finalize().into_bytes();
            prop_assert_eq!(tag.as_slice(), theirs.as_slice());
            let mut jobs = [ours.job(&message, suffix)];
            HmacKernels::of(Kernels::active()).many(&mut jobs);
            prop_assert_eq!(jobs[0].tag.as_slice(), theirs.as_slice());
        }
    }
}
