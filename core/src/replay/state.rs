//! A replay list as it is taken out of one process and put into another.

use super::{BLOCK_SHIFT, PER_WORD, ReplayList, WINDOWS};
use crate::primitive::atomic::Ordering;

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

    /// A list that knows what `state` does.
    pub(crate) fn restored(state: &ListState) -> Self {
        let window = u32::try_from(state.window).ok().filter(|window| WINDOWS.contains(window));
        let Some(window) = window else { return Self::closed() };
        let list = Self::new(window, state.base);
        for word in &state.words {
            if let Ok(place) = list.word((word >> BLOCK_SHIFT) * PER_WORD) {
                // The newest of those that share a word stays, as a claim would have it (invariant 3). Relaxed: nobody else has the list yet.
                place.store((*word).max(place.load(Ordering::Relaxed)), Ordering::Relaxed);
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
        #[test]
        fn p05_a_list_that_was_moved_answers_as_one_that_stayed(
            steps in prop::collection::vec((0u64..300, any::<bool>()), 1..200),
            window in prop::sample::select(vec![64u32, 100, 1024]),
            base in 0u64..50,
            at in 0usize..200,
        ) {
            let mut list = ReplayList::new(window, base);
            let stays = ReplayList::new(window, base);
            let (mut highest, mut top) = (None::<u64>, 0u64);
            for (n, (step, forward)) in steps.into_iter().enumerate() {
                if n == at {
                    list = ReplayList::restored(&list.state());
                }
                let index = if forward { top + step } else { top.saturating_sub(step) };
                top = top.max(index);
                // The mark rises before the claim.
                highest = highest.max(Some(index));
                prop_assert_eq!(list.claim(index, highest), stays.claim(index, highest), "{}", index);
            }
        }
    }

    #[test]
    fn a_closed_list_stays_closed_and_so_does_one_of_no_good_window() {
        for window in [0, 1, 63, 32_769, u64::MAX] {
            let list = ReplayList::restored(&ListState { window, base: 0, words: vec![1 << 16 | 1] });
            assert!(list.claim(0, None).is_err());
        }
        assert!(ReplayList::restored(&ReplayList::closed().state()).claim(5, None).is_err());
    }
}
