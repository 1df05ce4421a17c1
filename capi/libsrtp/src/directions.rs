//! Which way an SSRC goes in a session: one that is both sent and received is a collision, of which clients want to hear.

use core::sync::atomic::{AtomicU64, Ordering};

/// SSRCs that are followed. Beyond as many, nobody is told.
const SLOTS: usize = 64;
/// A slot that an SSRC has.
const TAKEN: u64 = 1 << 63;

/// A way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Way {
    Sent = 1 << 32,
    Received = 1 << 33,
}

/// What is known of the SSRCs of a session. Each slot belongs to one SSRC for good: it is taken once, by compare-and-swap.
pub(crate) struct Directions([AtomicU64; SLOTS]);

impl Default for Directions {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; SLOTS])
    }
}

impl Directions {
    /// Notes that a packet of `ssrc` went `way`; says whether it had gone the other way before.
    pub(crate) fn note(&self, ssrc: u32, way: Way) -> bool {
        let Some(slot) = self.slot(ssrc) else { return false };
        let both = Way::Sent as u64 | Way::Received as u64;
        // Relaxed: a slot says nothing but itself.
        let known = slot.load(Ordering::Relaxed) & both;
        if known == 0 {
            // Relaxed: as above. Whoever comes second finds the other's bit.
            return slot.fetch_or(way as u64, Ordering::Relaxed) & both & !(way as u64) != 0;
        }
        // The first way stays: each packet of the other is a collision.
        known & way as u64 == 0
    }

    /// Forgets which way `ssrc` went.
    pub(crate) fn forget(&self, ssrc: u32) {
        if let Some(slot) = self.slot(ssrc) {
            // Relaxed: as in `note`.
            slot.store(TAKEN | u64::from(ssrc), Ordering::Relaxed);
        }
    }

    /// The slot of `ssrc`, which it takes if it has none.
    fn slot(&self, ssrc: u32) -> Option<&AtomicU64> {
        let name = TAKEN | u64::from(ssrc);
        let is_mine = |found: u64| found & (TAKEN | u64::from(u32::MAX)) == name;
        let start = ssrc.wrapping_mul(0x9e37_79b1) as usize >> 26;
        (0..SLOTS).filter_map(|step| self.0.get((start + step) % SLOTS)).find(|slot| {
            // Relaxed: as in `note`; a slot that is taken keeps its name.
            let found = slot.load(Ordering::Relaxed);
            is_mine(found)
                || found == 0
                    && slot
                        .compare_exchange(0, name, Ordering::Relaxed, Ordering::Relaxed)
                        .map_or_else(is_mine, |_| true)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ssrc_that_goes_both_ways_collides_until_it_is_forgotten() {
        let directions = Directions::default();
        assert!(!directions.note(7, Way::Sent) && !directions.note(7, Way::Sent) && !directions.note(8, Way::Received));
        assert!(directions.note(7, Way::Received) && directions.note(8, Way::Sent));
        assert!(!directions.note(7, Way::Sent), "the first way stays");
        directions.forget(7);
        assert!(!directions.note(7, Way::Received));
    }

    #[test]
    fn beyond_its_room_nobody_collides() {
        let directions = Directions::default();
        assert!((0..100).all(|ssrc| !directions.note(ssrc, Way::Sent)));
        assert_eq!((0..100).filter(|ssrc| directions.note(*ssrc, Way::Received)).count(), SLOTS);
    }
}
