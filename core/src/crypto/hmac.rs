//! HMAC-SHA1 (RFC 2104, RFC 3711 4.2.1) from two stored midstates.
//!
//! All that a keyed HMAC needs is SHA-1's state after the block of `key XOR ipad` and after that of `key XOR opad`: 40 octets instead of two
//! hashers with their buffers, and nothing is cloned for a packet.

use super::kdf::{Labels, Prf};
use super::{MAX_TAG_LEN, Suffix};
use crate::kernels::{scrub_after_derivation, scrubbed};
use sha1::block_api::compress;
use zeroize::{Zeroize, Zeroizing};

/// Octets of a session authentication key (RFC 3711 5.2).
const KEY_LEN: usize = 20;
const BLOCK: usize = 64;
/// Octets of the length field that ends the last block.
const LENGTH_LEN: usize = 8;
/// SHA-1's initial state (FIPS 180-4 5.3.1).
const INITIAL: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

type State = [u32; 5];

/// HMAC-SHA1 under one session authentication key.
pub(crate) struct HmacSha1 {
    inner: State,
    outer: State,
}

impl HmacSha1 {
    pub(crate) const fn vacant() -> Self {
        Self { inner: INITIAL, outer: INITIAL }
    }

    pub(crate) fn derive(&mut self, prf: &Prf, labels: Labels) {
        let mut key = Zeroizing::new([0u8; KEY_LEN]);
        prf.derive(labels.authentication, &mut *key);
        self.set_key(&*key);
    }

    /// Keys it afresh, with at most one block of key.
    pub(crate) fn set_key(&mut self, key: &[u8]) {
        for (state, pad) in [(&mut self.inner, 0x36), (&mut self.outer, 0x5c)] {
            let mut block = Zeroizing::new([pad; BLOCK]);
            for (octet, key) in block.iter_mut().zip(key) {
                *octet ^= key;
            }
            *state = INITIAL;
            scrubbed(scrub_after_derivation, || compress(state, core::slice::from_ref(&*block)));
        }
    }

    /// The MAC of `message || suffix`.
    pub(crate) fn compute(&self, message: &[u8], suffix: Suffix, tag: &mut [u8; MAX_TAG_LEN]) {
        let (Suffix::Roc(suffix) | Suffix::Word(suffix)) = suffix;
        let mut state = Zeroizing::new(self.inner);
        absorb(&mut state, message, &suffix);
        let mut digest = Zeroizing::new([0u8; MAX_TAG_LEN]);
        write_digest(&state, &mut digest);
        *state = self.outer;
        absorb(&mut state, &*digest, &[]);
        write_digest(&state, tag);
    }
}

/// One of many HMACs.
pub(crate) struct HmacJob<'a> {
    mac: &'a HmacSha1,
    message: &'a [u8],
    suffix: [u8; 4],
    pub(crate) tag: [u8; MAX_TAG_LEN],
}

pub(crate) fn hmac_many(jobs: &mut [HmacJob<'_>]) {
    for job in jobs {
        job.mac.compute(job.message, Suffix::Roc(job.suffix), &mut job.tag);
    }
}

impl HmacSha1 {
    /// The MAC of `message || suffix`, to be computed beside others.
    pub(crate) const fn job<'a>(&'a self, message: &'a [u8], suffix: [u8; 4]) -> HmacJob<'a> {
        HmacJob { mac: self, message, suffix, tag: [0; MAX_TAG_LEN] }
    }
}

impl Drop for HmacSha1 {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

/// Hashes `message || suffix` and the final padding, after the one block the state has seen.
fn absorb(state: &mut State, message: &[u8], suffix: &[u8]) {
    let (blocks, rest) = message.as_chunks::<BLOCK>();
    compress(state, blocks);
    // What is left, the suffix, the padding bit and the length: one block, or two.
    let mut last = [[0u8; BLOCK]; 2];
    let end = rest.len() + suffix.len();
    let octets = last.as_flattened_mut();
    for (to, from) in octets.iter_mut().zip(rest.iter().chain(suffix).chain(&[0x80])) {
        *to = *from;
    }
    let count = if end + 1 + LENGTH_LEN <= BLOCK { 1 } else { 2 };
    let bits = (BLOCK + message.len() + suffix.len()) as u64 * 8;
    if let Some((used, _)) = octets.split_at_mut_checked(count * BLOCK)
        && let Some(length) = used.last_chunk_mut()
    {
        *length = bits.to_be_bytes();
    }
    compress(state, last.get(..count).unwrap_or_default());
}

fn write_digest(state: &State, digest: &mut [u8; MAX_TAG_LEN]) {
    for (to, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
        *to = word.to_be_bytes();
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
            ours.compute(&message, Suffix::Roc(suffix), &mut tag);
            let mut theirs = Hmac::<Sha1>::new_from_slice(&key).unwrap();
            theirs.update(&message);
            theirs.update(&suffix);
            let theirs = theirs.finalize().into_bytes();
            prop_assert_eq!(tag.as_slice(), theirs.as_slice());
        }
    }
}
