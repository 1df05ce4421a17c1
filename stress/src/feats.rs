//! What a scenario is for: things that its control side must have done at least once.

use std::sync::atomic::Ordering;

use crate::board::Promise;
use crate::lanes::Run;

/// A tally of them. While one is missing, the run goes on for a while; when this is dropped, it is held against the run.
///
/// A run that was told not to rekey is not blamed.
pub struct Feats<'r> {
    run: &'r Run<'r>,
    feats: Vec<(&'static str, u64)>,
}

impl<'r> Feats<'r> {
    /// None of `feats` is done yet.
    pub fn new(run: &'r Run<'r>, feats: &[&'static str]) -> Self {
        let feats = Self { run, feats: feats.iter().map(|feat| (*feat, 0)).collect() };
        feats.tell();
        feats
    }

    /// Notes that `feat` was done once more.
    pub fn did(&mut self, feat: &'static str) {
        match self.feats.iter_mut().find(|(name, _)| *name == feat) {
            Some((_, times)) => *times += 1,
            None => self.feats.push((feat, 1)),
        }
        self.tell();
    }

    fn missing(&self) -> impl Iterator<Item = &'static str> {
        let rekeys = self.run.settings.rekeys_per_second > 0;
        self.feats.iter().filter(move |(_, times)| rekeys && *times == 0).map(|(feat, _)| *feat)
    }

    fn tell(&self) {
        // Relaxed: a hint to go on.
        self.run.owes.store(self.missing().next().is_some(), Ordering::Relaxed);
    }
}

impl Drop for Feats<'_> {
    fn drop(&mut self) {
        for feat in self.missing() {
            self.run.board.broke(Promise::Run, format_args!("{}: never {feat}", self.run.name));
        }
    }
}
