//! Packet indices (RFC 3711 3.3.1, 3.4), each meaning its own type.
//!
//! An SRTP packet carries the low 16 bits of its index, an SRTCP packet the low 31: the rest is *estimated* from the highest
//! index authenticated so far. The two estimates differ in their width only, so one function serves both.
//!
//! 1. Indices count from 0 and never go below it: where RFC 3711 appendix A would underflow (`ROC - 1` at `ROC` 0) the packet is
//!    taken in the current cycle.
//! 2. No SRTP candidate lies above `ROC` 2^32 - 1: the space ends there.
//! 3. Before a first packet the highest index is unknown: the estimate is the wire value in the cycle the caller gave (0
//!    unless a late joiner was told its ROC).

use core::fmt;

/// A synchronization source identifier, in host order (RFC 3550 8).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ssrc(pub u32);

/// The 16-bit sequence number of an RTP packet, as it is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SeqNum(pub(crate) u16);

/// The rollover counter: how often the sequence numbers of an SSRC have wrapped (RFC 3711 3.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Roc(pub u32);

/// The 48-bit index of an SRTP packet: `ROC * 65536 + SEQ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PacketIndex(u64);

/// The index of an SRTCP packet: 31 bits on the wire, extended here beyond them as the ROC extends a sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SrtcpIndex(u64);

impl fmt::Debug for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ssrc({:#010x})", self.0)
    }
}

impl fmt::Display for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl From<u32> for Ssrc {
    fn from(value: u32) -> Self {
        Self(value)
    }
}

impl PacketIndex {
    /// The index of sequence number `seq` in cycle `roc`.
    #[cfg(test)]
    pub(crate) const fn new(roc: Roc, seq: SeqNum) -> Self {
        Self((roc.0 as u64) << SeqNum::BITS | seq.0 as u64)
    }

    /// `index` is below 2^48, as an estimate always is.
    pub(crate) const fn from_estimate(index: u64) -> Self {
        Self(index)
    }

    /// The cycle this index lies in.
    pub(crate) const fn roc(self) -> Roc {
        // 48 bits less 16 leave 32, by construction.
        #[expect(clippy::cast_possible_truncation)]
        Roc((self.0 >> SeqNum::BITS) as u32)
    }

    /// The index as a number below 2^48.
    pub(crate) const fn get(self) -> u64 {
        self.0
    }
}

impl SrtcpIndex {
    pub(crate) const fn from_extended(index: u64) -> Self {
        Self(index)
    }

    /// The index as a number that counts on past 2^31.
    pub(crate) const fn get(self) -> u64 {
        self.0
    }

    /// The 31 bits on the wire.
    pub(crate) const fn wire(self) -> u32 {
        // Masked to 31 bits.
        #[expect(clippy::cast_possible_truncation)]
        {
            (self.0 & Counter::SRTCP.mask()) as u32
        }
    }
}

impl SeqNum {
    /// The width of a sequence number.
    pub(crate) const BITS: u32 = 16;
}

/// A counter of which a packet carries only the low bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counter {
    /// How many low bits are on the wire.
    bits: u32,
    /// The last cycle: no index lies above it.
    last_cycle: u64,
}

impl Counter {
    /// SRTP: sequence number and ROC.
    pub(crate) const SRTP: Self = Self { bits: SeqNum::BITS, last_cycle: u32::MAX as u64 };
    /// SRTCP: 31 bits; the extension is as wide as keeps an index within the 48 bits of a replay list.
    pub(crate) const SRTCP: Self = Self { bits: 31, last_cycle: (1 << (48 - 31)) - 1 };

    const fn mask(self) -> u64 {
        (1 << self.bits) - 1
    }

    /// The index of the first packet of a stream, in the given cycle.
    pub(crate) const fn first(self, cycle: u64, wire: u32) -> u64 {
        cycle << self.bits | wire as u64
    }

    /// The cycle of `index`.
    pub(crate) const fn cycle(self, index: u64) -> u64 {
        index >> self.bits
    }

    /// `index` moved to another cycle.
    pub(crate) const fn in_cycle(self, index: u64, cycle: u64) -> u64 {
        cycle << self.bits | index & self.mask()
    }

    /// The index nearest to `highest` whose low bits are `wire` (RFC 3711 appendix A).
    ///
    /// With `s` the low bits of `highest`: a wire value more than half a cycle above `s` belongs to the cycle before, one more than half a
    /// cycle below to the cycle after.
    pub(crate) const fn estimate(self, highest: u64, wire: u32) -> u64 {
        let half = 1u64 << (self.bits - 1);
        let cycle = highest >> self.bits;
        let (low, wire) = (highest & self.mask(), wire as u64);
        let cycle = if low < half {
            if wire > low + half && cycle > 0 { cycle - 1 } else { cycle }
        } else if low - half > wire && cycle < self.last_cycle {
            cycle + 1
        } else {
            cycle
        };
        cycle << self.bits | wire
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 3711 appendix A, written from its text, with the two bounds of this module's invariants 1 and 2.
    fn appendix_a(roc: u32, s_l: u16, seq: u16) -> u64 {
        let (s, q) = (i64::from(s_l), i64::from(seq));
        let v = if s < 32_768 {
            if q - s > 32_768 { roc.checked_sub(1).unwrap_or(roc) } else { roc }
        } else if s - 32_768 > q {
            roc.checked_add(1).unwrap_or(roc)
        } else {
            roc
        };
        u64::from(v) * 65_536 + u64::from(seq)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn the_estimate_equals_appendix_a(
            roc in prop_oneof![Just(0u32), Just(1), Just(u32::MAX), Just(u32::MAX - 1), any::<u32>()],
            s_l in prop_oneof![any::<u16>(), 32_760u16..32_776, 0u16..8, 65_528u16..],
            seq in prop_oneof![any::<u16>(), 32_760u16..32_776, 0u16..8, 65_528u16..],
        ) {
            let highest = PacketIndex::new(Roc(roc), SeqNum(s_l)).get();
            prop_assert_eq!(Counter::SRTP.estimate(highest, u32::from(seq)), appendix_a(roc, s_l, seq));
        }

        #[test]
        fn an_srtcp_index_is_found_within_a_quarter_cycle(highest in 0u64..1 << 47, step in -(1i64 << 29)..1 << 29) {
            let sent = highest.saturating_add_signed(step);
            prop_assert_eq!(Counter::SRTCP.estimate(highest, SrtcpIndex(sent).wire()), sent);
        }
    }

    #[test]
    fn sequence_numbers_around_the_wrap_are_told_apart() {
        let at = |highest, seq| Counter::SRTP.estimate(highest, seq);
        assert_eq!(at(65_534, 0), 65_536);
        assert_eq!(at(65_536, 65_535), 65_535);
        assert_eq!(at(0, 65_535), 65_535, "no cycle before the first");
        assert_eq!(at((1 << 48) - 1, 0), (1 << 48) - (1 << 16), "no cycle after the last");
    }
}
