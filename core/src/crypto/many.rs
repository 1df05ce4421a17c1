//! The tags of many packets at a time: HMACs are computed in lanes, side by side.

use super::tag::FullTag;
use super::{Frame, Suite};
use crate::kernels::{HmacJob, HmacKernels};
use arrayvec::ArrayVec;

/// How many packets are worked on at a time.
pub(crate) const AT_ONCE: usize = 64;

/// One packet's tag, to be computed.
pub(crate) struct TagJob<'a> {
    pub(crate) suite: Suite<'a>,
    pub(crate) frame: &'a Frame,
    /// The protected octets, `head || body`.
    pub(crate) protected: &'a [u8],
}

/// Computes the tags of up to [`AT_ONCE`] packets, in the order of the jobs.
pub(crate) fn tags(jobs: &[TagJob<'_>]) -> ArrayVec<FullTag, AT_ONCE> {
    let mut tags: ArrayVec<FullTag, AT_ONCE> = jobs.iter().map(|_| FullTag::of(&[])).take(AT_ONCE).collect();
    let mut lanes: ArrayVec<HmacJob<'_>, AT_ONCE> = ArrayVec::new();
    let mut places: ArrayVec<u8, AT_ONCE> = ArrayVec::new();
    // Midstates are the same for all sets: those of one key serve the others.
    let mut kernels: Option<HmacKernels> = None;
    for at in in_order_of_length(jobs) {
        let (Some(job), Some(tag)) = (jobs.get(usize::from(at)), tags.get_mut(usize::from(at))) else { continue };
        match &job.suite {
            Suite::Hmac { mac, .. } => {
                kernels.get_or_insert(mac.kernels());
                lanes.push(mac.job(job.protected, job.frame.suffix));
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
    tags
}

/// The places of the jobs, so that those of like lengths come together: lanes run for as long as the longest of them.
fn in_order_of_length(jobs: &[TagJob<'_>]) -> ArrayVec<u8, AT_ONCE> {
    let mut places: ArrayVec<u8, AT_ONCE> = (0u8..).take(jobs.len().min(AT_ONCE)).collect();
    let blocks = |at: &u8| jobs.get(usize::from(*at)).map_or(0, |job| job.protected.len() / 64);
    if !jobs.is_sorted_by_key(|job| job.protected.len() / 64) {
        places.sort_unstable_by_key(blocks);
    }
    places
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
            let jobs: Vec<TagJob<'_>> = lens.iter().zip(&frames).enumerate()
                .map(|(at, (len, frame))| TagJob { suite: suites[at % 3].of(Protocol::Rtp), frame, protected: &octets[at..at + len] }).collect();
            for (job, tag) in jobs.iter().zip(tags(&jobs)) {
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
