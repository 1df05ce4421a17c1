//! The scenarios. Each is a file that implements [`Scenario`], and a line in [`ALL`].

pub mod captures;
pub mod forge;
pub mod hammer;
pub mod one_stream;
pub mod panics;
pub mod renegotiate;
pub mod soak;
pub mod stall;
pub mod teardown;

use anyhow::Result;
use keyflip::Domain;

use crate::lanes::Run;
use crate::report::Counter;

/// A way to put the library under stress.
pub trait Scenario: Sync {
    /// Its name on the command line and in reports.
    fn name(&self) -> &'static str;

    /// What it does, in a sentence.
    fn about(&self) -> &'static str;

    /// What it cannot but do if it does anything: a run in which one of these stays 0 has failed.
    fn effort(&self) -> &'static [Counter] {
        &[Counter::Rekeys, Counter::ReplaysAttempted, Counter::ForgedAttempted]
    }

    /// The domain it runs in, if a common one will not do.
    fn domain(&self) -> Option<Domain> {
        None
    }

    /// Does it. What it sees goes to the run's board; all its sessions are gone when it returns.
    ///
    /// # Errors
    ///
    /// It could not do what it is for.
    fn run(&self, run: &Run<'_>) -> Result<()>;
}

/// All scenarios, in the order in which they run: the parts, then all of them at once.
pub const ALL: [&dyn Scenario; 9] = {
    let soak: &dyn Scenario = &soak::Soak { parts: &ALL_BUT_SOAK, waiting: soak::Soak::WAITING };
    let [captures, hammer, renegotiate, one_stream, teardown, stall, forge, panics] = ALL_BUT_SOAK;
    [captures, hammer, renegotiate, one_stream, teardown, stall, forge, panics, soak]
};

/// What [`soak`] runs at once.
const ALL_BUT_SOAK: [&dyn Scenario; 8] = [
    &captures::Captures::SHIPPED,
    &hammer::Hammer::LOSSLESS,
    &renegotiate::Renegotiate::LOSSLESS,
    &one_stream::OneStream::LOSSLESS,
    &teardown::Teardown { forgets: false },
    &stall::Stall::SMALL,
    &forge::Forge { hoards: 0 },
    &panics::Panics::CLEAN,
];
