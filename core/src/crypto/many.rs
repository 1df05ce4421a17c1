//! The tags of many packets at a time: HMACs are computed in lanes, side by side.

use super::tag::FullTag;
use super::{Frame, Suite};
use crate::kernels::{HmacJob, HmacKernels, scrub_after_lanes, scrubbed};
use arrayvec::ArrayVec;
use core::hint::black_box;

/// How many packets are worked on at a time.
pub(crate) const AT_ONCE: usize = 64;

/// One packet's tag, to be computed.
pub(crate) struct TagJob<'a> {
    pub(crate) suite: Suite<'a>,
    pub(crate) frame: &'a Frame,
    /// The protected octets, `head || body`.
    pub(crate) protected: &'a [u8],
}

/// The tags of a group of packets, by their places. Wiped when dropped.
pub(crate) struct Tags([FullTag; AT_ONCE]);

impl Tags {
    /// That of the packet at `at`.
    #[inline(always)]
    pub(crate) fn get(&self, at: usize) -> Option<&FullTag> {
        self.0.get(at)
    }
}

impl Drop for Tags {
    fn drop(&mut self) {
        self.0 = [FullTag::of(&[]); AT_ONCE];
        // The compiler must take it for read.
        black_box(&self.0);
    }
}

/// Computes the tags of up to [`AT_ONCE`] packets: `job` says what that of the packet at a place is computed of, if of anything.
pub(crate) fn tags<'a>(count: usize, job: impl Fn(usize) -> Option<TagJob<'a>>) -> Tags {
    let mut tags = Tags([FullTag::of(&[]); AT_ONCE]);
    let count = u8::try_from(count.min(AT_ONCE)).unwrap_or_default();
    scrubbed(scrub_after_lanes, || compute(&mut tags.0, count, &job));
    tags
}

#[inline(always)]
fn compute<'a>(tags: &mut [FullTag; AT_ONCE], count: u8, job: &impl Fn(usize) -> Option<TagJob<'a>>) {
    let mut lanes: ArrayVec<HmacJob<'_>, AT_ONCE> = ArrayVec::new();
    let mut places: ArrayVec<u8, AT_ONCE> = ArrayVec::new();
    // Midstates are the same for all sets: those of one key serve the others.
    let mut kernels: Option<HmacKernels> = None;
    for at in in_order_of_length(count, job) {
        let (Some(job), Some(tag)) = (job(usize::from(at)), tags.get_mut(usize::from(at))) else { continue };
        match job.suite {
            Suite::Hmac { mac, .. } => {
                kernels.get_or_insert(mac.kernels());
                lanes.push(mac.job(job.protected, job.frame.suffix()));
                places.push(at);
            }
            Suite::Gcm(gcm) => *tag = FullTag::of(&gcm.tag(job.frame, job.protected)),
            Suite::Unprotected => {}
        }
    }
    if let Some(kernels) = kernels {
        kernels.many(&mut lanes);
    }
    for (at, lane) in places.into_iter().zip(&lanes) {
        if let Some(tag) = tags.get_mut(usize::from(at)) {
            tag.0 = lane.tag;
        }
    }
}

/// The places of the jobs, so that those of like lengths come together: lanes run for as long as the longest of them.
#[inline(always)]
fn in_order_of_length<'a>(count: u8, job: impl Fn(usize) -> Option<TagJob<'a>>) -> impl Iterator<Item = u8> {
    const BLOCK: usize = 64;
    // SHA-1's blocks in the high octets, the place in the lowest: a packet has no more than 2^14 blocks.
    let mut keys: ArrayVec<u32, AT_ONCE> = ArrayVec::new();
    let mut ordered = true;
    for at in 0..count {
        let Some(job) = job(usize::from(at)) else { continue };
        let blocks = u32::try_from(job.protected.len() / BLOCK).unwrap_or_default();
        let key = blocks << u8::BITS | u32::from(at);
        ordered &= keys.last().is_none_or(|last| *last < key);
        keys.push(key);
    }
    if !ordered {
        keys.sort_unstable();
    }
    // The lowest octet.
    #[expect(clippy::cast_possible_truncation)]
    keys.into_iter().map(|key| key as u8)
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::profile::Profile;
    use crate::index::{PacketIndex, Ssrc};
    use crate::wire::Protocol;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn many_tags_are_the_tags_of_each(lens in prop::collection::vec(0usize..1500, 0..=AT_ONCE), seed: u8) {
            let suites = [Profile::Aes128CmSha1_80, Profile::AeadAes128Gcm, Profile::NullSha1_80]
                .map(|profile| super::super::tests::suites_of(profile, seed));
            let octets: Vec<u8> = (0..=250u8).cycle().take(2000).map(|octet| octet ^ seed).collect();
            let frames: Vec<Frame> = (0u32..).take(lens.len())
                .map(|at| Frame::srtp(Ssrc(at), PacketIndex::from_estimate(u64::from(at) << 14), 0, true)).collect();
            let job = |at: usize| {
                (at % 7 != 3).then(|| TagJob { suite: suites[at % 3].of(Protocol::Rtp), frame: &frames[at], protected: &octets[at..at + lens[at]] })
            };
            let tags = tags(lens.len(), job);
            for (job, tag) in (0..lens.len()).filter_map(|at| Some((job(at)?, tags.get(at).unwrap()))) {
                let mut alone = [0; super::super::tag::MAX_TAG_LEN];
                job.suite.tag(job.frame, job.protected, &mut alone);
                prop_assert_eq!(alone, tag.0);
                prop_assert_eq!(tag.verify(job.frame, &alone[..10]).unwrap().index(), job.frame.index);
                alone[9] ^= 1;
                prop_assert!(tag.verify(job.frame, &alone[..10]).is_err());
            }
        }
    }
}
