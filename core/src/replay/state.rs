//! A replay list as it is taken out of one process and put into another.

use super::{BLOCK_SHIFT, ReplayList};
use crate::primitive::atomic::{AtomicU64, Ordering};

/// What a replay list knows, when nobody claims in it any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ListState {
    /// 0 for a list that refuses everything.
    pub(crate) window: u64,
    pub(crate) base: u64,
    /// Those in which something was claimed.
    pub(crate) words: Vec<u64>,
}

impl ReplayList {
    pub(crate) fn state(&self) -> ListState {
        // Relaxed: whoever claimed is gone, and what he did is seen (`Context::export`).
        let words = self.words.iter().map(|word| word.load(Ordering::Relaxed)).filter(|word| *word != 0);
        ListState { window: self.window, base: self.base, words: words.collect() }
    }

    /// A list of `window` packets that knows what `state` does. Of indices that the narrower of the two windows did not reach, nobody knows
    /// whether they were claimed: they are too old.
    pub(crate) fn restored(window: u32, state: &ListState, highest: Option<u64>) -> Self {
        let unknown = highest.map_or(0, |highest| (highest + 1).saturating_sub(state.window));
        let widened = u64::from(window) > state.window;
        let list = Self::new(window, if widened { state.base.max(unknown) } else { state.base });
        for word in &state.words {
            if let Ok(place) = list.word((word >> BLOCK_SHIFT) * super::PER_WORD) {
                // The newest of those that share a word stays, as a claim would have it (invariant 3). Relaxed: nobody else has the list yet.
                place.store((*word).max(AtomicU64::load(place, Ordering::Relaxed)), Ordering::Relaxed);
            }
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Beside one that stays: the same answers, but for what only a narrower or wider window makes of an index.
        #[test]
        fn p05_a_list_that_was_moved_answers_as_one_that_stayed(
            steps in prop::collection::vec((0u64..300, any::<bool>()), 1..200),
            windows in (prop::sample::select(vec![64u32, 128, 1024]), prop::sample::select(vec![64u32, 128, 1024])),
            at in 0usize..200,
        ) {
            let mut list = ReplayList::new(windows.0, 0);
            let stays = ReplayList::new(windows.0, 0);
            let (mut highest, mut top) = (None::<u64>, 0u64);
            for (n, (step, forward)) in steps.into_iter().enumerate() {
                if n == at {
                    list = ReplayList::restored(windows.1, &list.state(), highest);
                }
                let index = if forward { top + step } else { top.saturating_sub(step) };
                top = top.max(index);
                // The mark rises before the claim.
                highest = highest.max(Some(index));
                let (moved, stayed) = (list.claim(index, highest), stays.claim(index, highest));
                if windows.0 == windows.1 || n < at {
                    prop_assert_eq!(moved, stayed, "{}", index);
                } else if stayed.is_err() && windows.1 <= windows.0 {
                    prop_assert!(moved.is_err(), "{} is accepted again", index);
                }
            }
        }
    }

    #[test]
    fn p05_a_wider_window_does_not_reach_what_the_narrower_forgot() {
        let list = ReplayList::new(64, 0);
        for index in 0..200 {
            list.claim(index, Some(index)).unwrap();
        }
        let wider = ReplayList::restored(1024, &list.state(), Some(199));
        for index in 0..200 {
            assert!(wider.claim(index, Some(199)).is_err(), "{index}");
        }
        assert!(wider.claim(200, Some(200)).is_ok());
    }
}
