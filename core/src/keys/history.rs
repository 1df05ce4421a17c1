//! Which master keys a context has had: whether one is fresh.
//!
//! A key that begins an index space must never have been used before: outbound its indices would be sent a second time, inbound what was
//! recorded under it would be accepted a second time.

use super::SessionKeys;
use crate::error::{Error, Result};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// How many keys are remembered.
const MOST: usize = 1024;

/// What is kept of a key: the two halves of its identity, one upon the other. The identity itself goes with the key.
pub(crate) type Trace = [u8; 8];

/// The keys that a context has had, as long as they can be told apart.
#[derive(Default)]
pub(crate) struct History {
    traces: Zeroizing<Vec<Trace>>,
    /// More keys than can be remembered.
    overflowed: bool,
}

/// A history as it is taken out of one process and put into another.
#[derive(Default)]
pub(crate) struct HistoryState {
    pub(crate) traces: Zeroizing<Vec<Trace>>,
    pub(crate) overflowed: bool,
}

impl From<HistoryState> for History {
    fn from(HistoryState { mut traces, overflowed }: HistoryState) -> Self {
        traces.truncate(MOST);
        Self { traces, overflowed }
    }
}

impl History {
    pub(crate) fn state(&self) -> HistoryState {
        HistoryState { traces: self.traces.clone(), overflowed: self.overflowed }
    }

    /// Remembers a key that comes into use.
    pub(crate) fn note(&mut self, key: &SessionKeys) {
        if self.overflowed {
            return;
        }
        if self.traces.len() >= MOST {
            // Keys that took turns need one place each.
            self.traces.sort_unstable();
            self.traces.dedup();
        }
        if self.traces.len() >= MOST {
            self.overflowed = true;
            self.traces.zeroize();
            *self.traces = Vec::new();
            return;
        }
        self.traces.push(trace(key));
    }

    /// # Errors
    ///
    /// [`Error::KeyUsedBefore`]; [`Error::KeyHistoryFull`] if nobody can tell.
    pub(crate) fn check_fresh(&self, key: &SessionKeys) -> Result<()> {
        if self.overflowed {
            return Err(Error::KeyHistoryFull);
        }
        let trace = trace(key);
        // All are compared, so that time does not tell which one matched.
        let same = self.traces.iter().fold(subtle::Choice::from(0), |found, held| found | held.ct_eq(&trace));
        if same.into() { Err(Error::KeyUsedBefore) } else { Ok(()) }
    }
}

fn trace(key: &SessionKeys) -> Trace {
    let (one, other) = key.suites.identity().split_at(size_of::<Trace>());
    let mut trace = Trace::default();
    for ((to, one), other) in trace.iter_mut().zip(one).zip(other) {
        *to = one ^ other;
    }
    trace
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::profile::Profile;
    use crate::keys::tests::key;

    #[test]
    fn a_key_is_fresh_until_it_was_used_and_never_after() {
        let mut history = History::default();
        let profile = Profile::NullSha1_80;
        let keys: Vec<_> = (0..=MOST).map(|n| key(profile, n, &[])).collect();
        for _ in 0..3 {
            // In turns: more often than there is room for.
            for key in keys.iter().take(MOST / 2) {
                history.note(key);
            }
        }
        for (n, key) in keys.iter().enumerate() {
            let expected = if n < MOST / 2 { Err(Error::KeyUsedBefore) } else { Ok(()) };
            assert_eq!(history.check_fresh(key), expected, "{n}");
        }
        keys.iter().for_each(|key| history.note(key));
        assert_eq!(history.check_fresh(&key(profile, 5000, &[])), Err(Error::KeyHistoryFull));
        assert!(history.traces.is_empty());
    }
}
