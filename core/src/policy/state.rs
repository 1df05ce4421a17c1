//! A policy as it is taken out of one process and put into another.

use super::{Grace, NewStreams, Policy, RocInPackets, RocOnRekey, SrtcpEncryption};
use crate::crypto::profile::{Profile, Spec};
use crate::keys::{KeyLifetime, Limits};
use crate::wire::cryptex::Cryptex;
use crate::wire::extension::{HeaderKeystream, Selected};
use core::time::Duration;

/// How many numbers say a policy, beside its profile.
pub(crate) const NUMBERS: usize = 25;

/// A policy in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PolicyState {
    pub(crate) profile: String,
    pub(crate) numbers: [u64; NUMBERS],
}

/// What an option is as a number: 0 for none.
fn number(of: Option<u64>) -> u64 {
    of.map_or(0, |number| number.saturating_add(1))
}

const ROC_ON_REKEY: [RocOnRekey; 3] = [RocOnRekey::Keep, RocOnRekey::Reset, RocOnRekey::Probe];
const NEW_STREAMS: [NewStreams; 2] = [NewStreams::AtFirstPacket, NewStreams::ByCall];
const SRTCP: [SrtcpEncryption; 3] = [SrtcpEncryption::Required, SrtcpEncryption::Preferred, SrtcpEncryption::Off];
const CRYPTEX: [Cryptex; 3] = [Cryptex::Off, Cryptex::Enabled, Cryptex::Required];

/// The place of a value among all there are.
fn place<T: PartialEq>(all: &[T], of: &T) -> u64 {
    all.iter().position(|known| known == of).map_or(u64::MAX, |at| at as u64)
}

/// The value at a place.
fn at<T: Copy>(all: &[T], place: u64) -> Option<T> {
    all.get(usize::try_from(place).ok()?).copied()
}

impl Policy {
    pub(crate) fn state(&self) -> PolicyState {
        let Limits { hard, soft } = self.limits;
        let [a, b, c, d] = self.elements.ids();
        let (roc_mode, roc_rate) = self.roc.numbers();
        PolicyState {
            profile: self.spec.name.to_owned(),
            numbers: [
                self.srtp_encrypted.into(),
                place(&SRTCP, &self.srtcp_encryption),
                place(&CRYPTEX, &self.cryptex),
                (self.elements.keystream == HeaderKeystream::Libsrtp).into(),
                a,
                b,
                c,
                d,
                roc_mode.into(),
                roc_rate.into(),
                self.spec.srtcp_tag_len.into(),
                // From here on, nothing of what packets look like.
                self.srtp_window.into(),
                self.srtcp_window.into(),
                place(&NEW_STREAMS, &self.new_streams),
                self.max_streams as u64,
                self.grace.keys as u64,
                number(self.grace.packets.map(u64::from)),
                number(self.grace.deadline.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1))),
                place(&ROC_ON_REKEY, &self.inbound_roc),
                place(&ROC_ON_REKEY, &self.outbound_roc),
                self.retransmission.into(),
                hard.srtp_packets,
                hard.srtcp_packets,
                soft.srtp_packets,
                soft.srtcp_packets,
            ],
        }
    }
}

impl PolicyState {
    /// How many of the numbers, from the first, say what packets look like.
    const OF_PACKETS: usize = 11;

    /// Whether packets look alike under both.
    pub(crate) fn shapes_as(&self, other: &Self) -> bool {
        self.profile == other.profile
            && self.numbers.iter().take(Self::OF_PACKETS).eq(other.numbers.iter().take(Self::OF_PACKETS))
    }

    /// The policy, movable; `None` if there is none like it.
    pub(crate) fn policy(&self) -> Option<Policy> {
        let [srtp, srtcp, cryptex, keystream, a, b, c, d, roc_mode, roc_rate, srtcp_tag, rest @ ..] = self.numbers;
        let [srtp_window, srtcp_window, new_streams, max_streams, rest @ ..] = rest;
        let [grace_keys, grace_packets, grace_time, inbound_roc, outbound_roc, retransmission, rest @ ..] = rest;
        let [hard_srtp, hard_srtcp, soft_srtp, soft_srtcp] = rest;
        let profile: Profile = self.profile.parse().ok()?;
        let spec = profile.spec();
        // That of the profile, or SRTP's.
        let srtcp_tag_len = u8::try_from(srtcp_tag).ok()?;
        if ![spec.srtcp_tag_len, spec.srtp_tag_len].contains(&srtcp_tag_len) {
            return None;
        }
        let keystream = at(&[HeaderKeystream::Rfc6904, HeaderKeystream::Libsrtp], keystream)?;
        let packets = match grace_packets.checked_sub(1) {
            None => None,
            Some(packets) => Some(u16::try_from(packets).ok()?),
        };
        let grace = Grace::keys(usize::try_from(grace_keys).ok()?).ok()?;
        let deadline = grace_time.checked_sub(1).map(Duration::from_nanos);
        Some(Policy {
            spec: Spec { srtcp_tag_len, ..spec },
            srtp_encrypted: at(&[false, true], srtp)?,
            srtcp_encryption: at(&SRTCP, srtcp)?,
            cryptex: at(&CRYPTEX, cryptex)?,
            elements: Selected::of_ids([a, b, c, d], keystream),
            roc: RocInPackets::of_numbers(u8::try_from(roc_mode).ok()?, u16::try_from(roc_rate).ok()?)?,
            srtp_window: u32::try_from(srtp_window).ok()?,
            srtcp_window: u32::try_from(srtcp_window).ok()?,
            new_streams: at(&NEW_STREAMS, new_streams)?,
            max_streams: usize::try_from(max_streams).ok()?,
            grace: Grace { packets, deadline, ..grace },
            inbound_roc: at(&ROC_ON_REKEY, inbound_roc)?,
            outbound_roc: at(&ROC_ON_REKEY, outbound_roc)?,
            retransmission: at(&[false, true], retransmission)?,
            limits: Limits {
                hard: KeyLifetime { srtp_packets: hard_srtp, srtcp_packets: hard_srtcp },
                soft: KeyLifetime { srtp_packets: soft_srtp, srtcp_packets: soft_srtcp },
            },
            movable: true,
            ..Policy::new(profile)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::UnauthenticatedRoc;

    #[test]
    fn a_policy_is_what_its_numbers_say() {
        let start = Policy { movable: true, ..Policy::new(Profile::Aes128CmSha1_80) };
        let mut elements = Selected::NONE;
        elements.add(200);
        let grace = Grace { keys: 7, packets: Some(0), deadline: Some(Duration::from_millis(5)) };
        let limits = Limits { hard: KeyLifetime { srtp_packets: 9, srtcp_packets: 8 }, soft: KeyLifetime::MAX };
        let others = [
            Policy { srtp_window: 64, srtcp_window: 4096, max_streams: 3, ..start },
            Policy { new_streams: NewStreams::ByCall, srtp_encrypted: false, retransmission: true, ..start },
            Policy { srtcp_encryption: SrtcpEncryption::Off, cryptex: Cryptex::Required, ..start },
            Policy { srtcp_encryption: SrtcpEncryption::Preferred, cryptex: Cryptex::Enabled, grace, ..start },
            Policy { inbound_roc: RocOnRekey::Probe, outbound_roc: RocOnRekey::Reset, elements, limits, ..start },
            Policy { roc: RocInPackets::authenticated(65_535), ..start },
            Policy { roc: RocInPackets::unauthenticated(1, UnauthenticatedRoc::NothingAuthenticated), ..start },
        ];
        let mut short = Policy { movable: true, ..Policy::new(Profile::Aes128CmSha1_32) };
        short.spec.srtcp_tag_len = 4;
        for policy in [start, short].into_iter().chain(others) {
            let state = policy.state();
            // All that a policy is, its text says.
            assert_eq!(format!("{:?}", state.policy().unwrap()), format!("{policy:?}"));
            for at in [0, 1, 2, 3, 8, 10, 13, 15, 18, 19, 20] {
                let mut bad = state.clone();
                bad.numbers[at] = 77;
                assert!(bad.policy().is_none(), "number {at}");
            }
        }
        let mut bad = start.state();
        bad.profile.push('!');
        assert!(bad.policy().is_none() && !bad.shapes_as(&start.state()));
    }

    #[test]
    fn windows_and_limits_may_differ_and_what_packets_look_like_may_not() {
        let start = Policy::new(Profile::Aes128CmSha1_80);
        let alike = Policy { srtp_window: 64, grace: Grace::NONE, max_streams: 1, ..start };
        assert!(start.state().shapes_as(&alike.state()));
        for other in [
            Policy { srtp_encrypted: false, ..start },
            Policy { roc: RocInPackets::authenticated(2), ..start },
            Policy { cryptex: Cryptex::Enabled, ..start },
            Policy::new(Profile::Aes128CmSha1_32),
        ] {
            assert!(!start.state().shapes_as(&other.state()));
        }
    }
}
