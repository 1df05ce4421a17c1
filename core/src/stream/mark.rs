//! Where the indices of a stream stand, as one word that only grows.

use crate::index::Counter;

/// Where a track stands: the highest index, or the cycle to start in.
///
/// One word, ordered so that a maximum is always the later state: closed above open, an index above a mere cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(pub(super) u64);

impl Mark {
    /// The highest bit: a closed mark outranks every index, so that a claim that comes too late leaves it closed.
    pub(super) const CLOSED: u64 = 1 << 63;
    const SEEN: u64 = 1 << 62;

    /// No packet yet; the first one is expected in this cycle.
    pub(crate) const fn cycle(cycle: u32) -> Self {
        Self(cycle as u64)
    }

    /// No packet yet, and nobody has said where the first one is expected.
    pub(crate) const fn is_undecided(self) -> bool {
        self.opened().0 == 0
    }

    /// This index is the highest so far.
    pub(crate) const fn index(index: u64) -> Self {
        Self(Self::SEEN | index)
    }

    /// The word itself: it differs from that of any other state.
    pub(crate) const fn word(self) -> u64 {
        self.0
    }

    pub(crate) const fn highest(self) -> Option<u64> {
        if self.0 & Self::SEEN == 0 { None } else { Some(self.0 & !(Self::SEEN | Self::CLOSED)) }
    }

    pub(super) const fn is_closed(self) -> bool {
        self.0 & Self::CLOSED != 0
    }

    pub(super) const fn opened(self) -> Self {
        Self(self.0 & !Self::CLOSED)
    }

    /// The cycle in which this mark stands.
    pub(crate) const fn current_cycle(self, counter: Counter) -> u64 {
        match self.highest() {
            Some(highest) => counter.cycle(highest),
            None => self.opened().0,
        }
    }

    /// The index of a packet that carries `wire` of it.
    pub(crate) const fn estimate(self, counter: Counter, wire: u32) -> u64 {
        match self.highest() {
            Some(highest) => counter.estimate(highest, wire),
            None => counter.first(self.opened().0, wire),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p05_a_later_state_is_a_higher_word() {
        let open = [Mark::cycle(0), Mark::cycle(u32::MAX), Mark::index(0), Mark::index((1 << 48) - 1)];
        assert!(open.is_sorted_by(|one, next| one.0 < next.0));
        for mark in open {
            let closed = Mark(mark.0 | Mark::CLOSED);
            assert!(open.iter().all(|open| open.0 < closed.0), "{mark:?} is opened by a claim");
            assert_eq!(closed.opened(), mark);
        }
    }
}
