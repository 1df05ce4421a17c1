//! Counting what a receiver accepted and rejected.
//!
//! The same count is made twice: over the verdicts that a side file expects, where it must give the side file's own
//! totals, and over the verdicts of a receiver under test, where it must give the same again.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Kind, Packet, Ssrc, Verdict};

/// Numbers of packets over a whole capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// All of them.
    pub packets: usize,
    /// RTP, accepted or not.
    pub rtp: usize,
    /// RTCP, accepted or not.
    pub rtcp: usize,
    /// RTP that was accepted.
    pub accepted_rtp: usize,
    /// RTCP that was accepted.
    pub accepted_rtcp: usize,
    /// RTP and RTCP that was not accepted.
    pub rejected: usize,
}

/// What was accepted of one SSRC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// Accepted RTP packets.
    pub rtp: usize,
    /// Accepted RTCP packets.
    pub rtcp: usize,
    /// Sequence number of the first accepted RTP packet; `None` if there was none.
    pub first_seq: Option<u16>,
    /// Highest accepted 48-bit RTP index; `None` if there was none.
    pub max_index: Option<u64>,
    /// The rollover counter at the end: the upper 32 bits of `max_index`.
    pub final_roc: Option<u32>,
}

/// A count in progress; feed it with all packets in capture order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Over the whole capture.
    pub totals: Totals,
    /// By SSRC, of which at least one packet was accepted.
    pub accepted_per_ssrc: BTreeMap<Ssrc, Accepted>,
    /// How often each verdict was given.
    pub verdicts: BTreeMap<Verdict, usize>,
}

impl Tally {
    /// Counts one packet on which the verdict was `verdict`.
    pub fn count(&mut self, packet: &Packet, verdict: Verdict) {
        let totals = &mut self.totals;
        totals.packets += 1;
        *self.verdicts.entry(verdict).or_default() += 1;
        let (all, accepted) = match packet.kind {
            Kind::Rtp => (&mut totals.rtp, &mut totals.accepted_rtp),
            Kind::Rtcp => (&mut totals.rtcp, &mut totals.accepted_rtcp),
        };
        *all += 1;
        if verdict != Verdict::Ok {
            totals.rejected += 1;
            return;
        }
        *accepted += 1;
        let of_ssrc = self.accepted_per_ssrc.entry(packet.ssrc).or_default();
        match packet.kind {
            Kind::Rtcp => of_ssrc.rtcp += 1,
            Kind::Rtp => {
                of_ssrc.rtp += 1;
                of_ssrc.first_seq = of_ssrc.first_seq.or(packet.seq);
                if packet.index > of_ssrc.max_index {
                    (of_ssrc.max_index, of_ssrc.final_roc) = (packet.index, packet.roc);
                }
            }
        }
    }
}
