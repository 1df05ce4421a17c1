//! The scenarios. Each is a file that implements [`Scenario`], and a line in [`ALL`].

pub mod captures;
pub mod hammer;

use anyhow::Result;

use crate::lanes::Run;

/// A way to put the library under stress.
pub trait Scenario: Sync {
    /// Its name on the command line and in reports.
    fn name(&self) -> &'static str;

    /// What it does, in a sentence.
    fn about(&self) -> &'static str;

    /// Does it. What it sees goes to the run's board; all its sessions are gone when it returns.
    ///
    /// # Errors
    ///
    /// It could not do what it is for.
    fn run(&self, run: &Run<'_>) -> Result<()>;
}

/// All scenarios, in the order in which they run.
pub const ALL: [&dyn Scenario; 2] = [&captures::Captures::SHIPPED, &hammer::Hammer::LOSSLESS];
