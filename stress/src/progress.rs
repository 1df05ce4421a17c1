//! How far a run is: a bar on a terminal, plain lines elsewhere. All of it goes to standard error.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// One scenario's progress.
pub struct Progress {
    name: &'static str,
    bar: Option<ProgressBar>,
    began: Instant,
}

impl Progress {
    /// Announces a scenario that is to run for `budget`.
    pub fn start(name: &'static str, budget: Duration) -> Self {
        let steps = u64::try_from(budget.as_millis()).unwrap_or(u64::MAX);
        let bar = ProgressBar::new(steps);
        let shown = !bar.is_hidden();
        let bar = shown.then_some(bar);
        match &bar {
            Some(bar) => {
                let template = "{prefix:>10} [{bar:40}] {percent:>3} %  {msg}";
                let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
                bar.set_style(style.progress_chars("=> "));
                bar.set_prefix(name);
            }
            None => eprintln!("{name}: running for {} s", budget.as_secs_f64()),
        }
        Self { name, bar, began: Instant::now() }
    }

    /// Shows nothing, for a part of a scenario.
    pub fn silent(name: &'static str) -> Self {
        Self { name, bar: Some(ProgressBar::hidden()), began: Instant::now() }
    }

    /// Shows where the scenario is.
    pub fn show(&self, packets: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX));
            bar.set_message(format!("{packets} packets"));
        }
    }

    /// Shows how it ended.
    pub fn end(self, outcome: &str) {
        match self.bar {
            Some(bar) => {
                bar.set_position(bar.length().unwrap_or_default());
                bar.finish_with_message(outcome.to_owned());
            }
            None => eprintln!("{}: {outcome}", self.name),
        }
    }
}
