//! What a session carries: packets of several sources in the order of sending, the order in which a network delivers
//! them, and a conversation that shows whether two implementations understand each other.

use crate::packets::{PacketGen, Rtcp};
use crate::{Peer, PeerConfig, Protocol};

/// The sources of every session.
pub const SSRCS: [u32; 3] = [0x0000_0001, 0xDEAD_BEEF, 0x8000_0000];

/// How many packets at most are delivered in another order than they were sent in.
const BURST: usize = 32;

/// How far apart, in packet indices, RTP packets of one source may be to overtake each other: well within every window.
const REACH: u64 = 500;

/// A packet in the clear, and its place among those of its source.
#[derive(Clone, Debug)]
pub struct Plain {
    /// Its source.
    pub ssrc: u32,
    /// RTP or RTCP.
    pub protocol: Protocol,
    /// RTP: rollover counter and sequence number. RTCP: how many packets its source sent before.
    pub index: u64,
    /// The packet.
    pub octets: Vec<u8>,
}

/// The sources of a session, each with what it sends next.
#[derive(Clone, Debug)]
pub struct Sources {
    rtp: [u64; SSRCS.len()],
    rtcp: [u64; SSRCS.len()],
}

impl Default for Sources {
    fn default() -> Self {
        Self::new()
    }
}

impl Sources {
    /// Sources that have sent nothing, and are close to their first rollover.
    pub fn new() -> Self {
        Self { rtp: [65_000, 65_535, 64_321], rtcp: [0; SSRCS.len()] }
    }

    /// The next packet of any source.
    pub fn send(&mut self, protocol: Protocol, packets: &mut PacketGen) -> Plain {
        let source = packets.number(0..=SSRCS.len() - 1);
        let ssrc = SSRCS[source];
        let (index, octets) = match protocol {
            Protocol::Rtp => {
                let index = self.rtp[source];
                let seq = u16::try_from(index % (1 << 16)).expect("reduced");
                let timestamp = u32::try_from(index * 160 % (1 << 32)).expect("reduced");
                // Mostly the next packet; sometimes a few were dropped; sometimes a jump that takes a rollover to place.
                let step = match packets.number(0..=9) {
                    0 | 1 => packets.number(1..=29_999),
                    2..=4 => packets.number(2..=40),
                    _ => 1,
                };
                self.rtp[source] += u64::try_from(step).expect("a small number");
                (index, packets.rtp(ssrc, seq, timestamp))
            }
            Protocol::Rtcp => {
                let index = self.rtcp[source];
                let kind = Rtcp::ALL[packets.number(0..=Rtcp::ALL.len() - 1)];
                self.rtcp[source] += 1;
                (index, packets.rtcp_of(kind, ssrc))
            }
        };
        Plain { ssrc, protocol, index, octets }
    }

    /// The next packets of all sources, in the order of sending.
    pub fn stream(&mut self, protocol: Protocol, count: usize, packets: &mut PacketGen) -> Vec<Plain> {
        (0..count).map(|_| self.send(protocol, packets)).collect()
    }

    /// How often the sequence numbers of every source have wrapped at least.
    pub fn rollovers(&self) -> u64 {
        self.rtp.iter().map(|index| index >> 16).min().expect("there are sources")
    }

    /// The index that a source's next RTP packet has at least: those below are sent, or never will be.
    pub fn rtp_index(&self, ssrc: u32) -> Option<u64> {
        SSRCS.iter().position(|&known| known == ssrc).map(|source| self.rtp[source])
    }

    /// How many RTCP packets a source has sent.
    pub fn rtcp_index(&self, ssrc: u32) -> Option<u64> {
        SSRCS.iter().position(|&known| known == ssrc).map(|source| self.rtcp[source])
    }
}

/// Brings packets into an order in which a network may deliver them, and every receiver has to cope with: RTP packets of
/// a source overtake each other if they are close together, and not before its first rollover, which a receiver cannot
/// tell if it missed the packets before.
pub fn deliver<T>(wire: &mut [(Plain, T)], packets: &mut PacketGen) {
    let mut rest = wire;
    while !rest.is_empty() {
        let (burst, later) = rest.split_at_mut(burst_len(rest));
        for last in (1..burst.len()).rev() {
            burst.swap(last, packets.number(0..=last));
        }
        rest = later;
    }
}

/// How many packets at the start of `wire` may come in any order.
fn burst_len<T>(wire: &[(Plain, T)]) -> usize {
    let may_overtake = |late: &Plain, early: &Plain| {
        late.ssrc != early.ssrc
            || late.protocol != early.protocol
            || late.protocol == Protocol::Rtcp
            || early.index >> 16 > 0 && late.index - early.index < REACH
    };
    let end =
        (1..wire.len().min(BURST)).find(|&at| wire[..at].iter().any(|(early, _)| !may_overtake(&wire[at].0, early)));
    end.unwrap_or(wire.len().min(BURST))
}

/// Each packet with what the sender makes of it.
///
/// # Panics
///
/// If the sender refuses one; with `names` in the message.
pub fn protect(names: &str, sender: &mut dyn Peer, plain: Vec<Plain>) -> Vec<(Plain, Vec<u8>)> {
    let protect = |plain: Plain| {
        let wire = sender.protect(plain.protocol, &plain.octets).unwrap_or_else(|e| panic!("{names}: {e}"));
        (plain, wire)
    };
    plain.into_iter().map(protect).collect()
}

/// What a receiver is tried with before each genuine packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// The packet with a bit of its tag flipped, which every peer notices.
    Tag,
    /// The packet with any bit flipped, which every receiver should notice.
    AnyBit,
}

/// Sends `plain` from one peer to another: packets arrive in another order, each of them forged, then genuine, then once
/// more.
///
/// # Panics
///
/// If the receiver misses a packet, or takes what it should not; with `names` in the message.
pub fn converse(
    names: &str,
    (sender, receiver): (&mut dyn Peer, &mut dyn Peer),
    config: &PeerConfig,
    plain: Vec<Plain>,
    forgery: Forgery,
    packets: &mut PacketGen,
) {
    let mut wire = protect(names, sender, plain);
    deliver(&mut wire, packets);
    for (plain, wire) in wire {
        let trailer = config.trailer_len(plain.protocol);
        assert_eq!(wire.len(), plain.octets.len() + trailer, "{names}");
        let mut forged = wire.clone();
        let bit = match forgery {
            Forgery::Tag => {
                // AEAD has its tag before SRTCP's index and the MKI, HMAC-SHA1 behind them.
                let tag = config.profile.tag_len(plain.protocol);
                let start = wire.len() - if config.profile.is_aead() { trailer } else { tag };
                packets.number(8 * start..=8 * (start + tag) - 1)
            }
            Forgery::AnyBit => packets.number(0..=8 * wire.len() - 1),
        };
        forged[bit / 8] ^= 1 << (bit % 8);
        receiver.unprotect(plain.protocol, &forged).expect_err(names);

        let back = receiver.unprotect(plain.protocol, &wire).unwrap_or_else(|e| {
            panic!("{names}: {:?} packet {:#x} of {:#x}: {e}", plain.protocol, plain.index, plain.ssrc)
        });
        assert!(back == plain.octets, "{names}: packet {:#x} of {:#x} came back changed", plain.index, plain.ssrc);

        receiver.unprotect(plain.protocol, &wire).expect_err(names);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_delivered_late_but_within_reach() {
        let mut packets = PacketGen::new(3);
        let mut wire: Vec<_> =
            Sources::new().stream(Protocol::Rtp, 2000, &mut packets).into_iter().map(|plain| (plain, ())).collect();
        deliver(&mut wire, &mut packets);
        let mut late = 0;
        for ssrc in SSRCS {
            let mut highest = 0;
            for (plain, ()) in wire.iter().filter(|(plain, ())| plain.ssrc == ssrc) {
                if plain.index < highest {
                    assert!(plain.index >> 16 > 0 && highest - plain.index < REACH);
                    late += 1;
                }
                highest = highest.max(plain.index);
            }
        }
        assert!(late > 200, "{late} of 2000 packets");
    }
}
