//! HMAC-SHA1 (RFC 2104, RFC 3711 4.2.1) from stored midstates: for one message, or for many at a time in lanes.
//!
//! 1. All that a keyed HMAC needs is SHA-1's state after the block of `key XOR ipad` and after that of `key XOR opad`: [`Midstates`].
//! 2. SHA-1 of one message is a chain, in which each round waits for the one before. So the unit of work is a batch: messages of different streams and
//!    keys side by side, each in a lane of its own, from the midstates to the tag.
//! 3. A kernel reads a message within its bounds only, and the time it takes depends on the messages' lengths alone.
//! 4. Midstates and states are held in registers, or on the stack of the call: both are scrubbed by whoever calls (see `scrub`).

#[cfg(any(test, feature = "internals"))]
mod every;
mod midstates;
#[cfg_attr(not(target_arch = "x86_64"), path = "sha1/nowhere.rs")]
mod native;
mod portable;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512vl;
#[cfg(target_arch = "x86_64")]
mod lanes;
#[cfg(target_arch = "x86_64")]
mod sha_ni;

use super::choice::Kernels;
#[cfg(feature = "internals")]
pub(crate) use every::Kernel;
pub(crate) use midstates::Midstates;

/// Octets of a SHA-1 digest, and so of a tag before truncation.
pub(crate) const TAG_LEN: usize = 20;
/// Octets of what follows the message: SRTP's ROC, SRTCP's word.
const SUFFIX_LEN: usize = 4;

/// SHA-1's state (FIPS 180-4 6.1).
type State = [u32; 5];

/// A MAC to be computed, beside others: that of `message || suffix`.
pub(crate) struct HmacJob<'a> {
    pub(crate) key: &'a Midstates,
    pub(crate) message: &'a [u8],
    pub(crate) suffix: [u8; SUFFIX_LEN],
    /// Where the MAC is put.
    pub(crate) tag: [u8; TAG_LEN],
}

impl<'a> HmacJob<'a> {
    pub(crate) const fn new(key: &'a Midstates, message: &'a [u8], suffix: [u8; SUFFIX_LEN]) -> Self {
        Self { key, message, suffix, tag: [0; TAG_LEN] }
    }
}

/// What computes MACs: the kernels of a set that the processor has, looked up once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HmacKernels(native::Native);

impl HmacKernels {
    pub(crate) fn of(set: Kernels) -> Self {
        Self(native::Native::of(set))
    }

    /// The MAC of `message || suffix`.
    #[inline]
    pub(crate) fn one(self, key: &Midstates, message: &[u8], suffix: [u8; SUFFIX_LEN], tag: &mut [u8; TAG_LEN]) {
        if !self.0.one(key, message, suffix, tag) {
            portable::hmac(key, message, &suffix, tag);
        }
    }

    /// The MACs of any number of messages.
    ///
    /// Neighbours share a kernel, which takes as long as the longest of them needs: so the messages should be sorted by length, if they differ much.
    ///
    /// # Performance
    ///
    /// See `docs/decisions/028-sha-1-in-lanes.md`.
    pub(crate) fn many(self, mut jobs: &mut [HmacJob<'_>]) {
        while !jobs.is_empty() {
            let mut done = self.0.some(jobs);
            if let (0, Some(job)) = (done, jobs.first_mut()) {
                portable::hmac(job.key, job.message, &job.suffix, &mut job.tag);
                done = 1;
            }
            jobs = jobs.get_mut(done..).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests;
