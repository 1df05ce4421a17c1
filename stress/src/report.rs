//! What a run came to: a JSON object a scenario, or one table, and whether it counts.

use std::fmt;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use hdrhistogram::Histogram;
use keyflip::{DomainStats, LatencyHistogram};
use serde::Serialize;

use crate::board::{Broken, Counts};
use crate::settings::Settings;

/// One scenario's results.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Its name.
    pub scenario: &'static str,
    /// Whether every promise held.
    pub passed: bool,
    /// Threads that received.
    pub rx_threads: usize,
    /// Genuine packets delivered.
    pub packets: u64,
    /// Key rings swapped.
    pub rekeys: u64,
    /// Packets accepted that were protected under a key that the receiver had replaced by then.
    pub delivered_in_grace: u64,
    /// Packets that two threads delivered at the same time.
    pub duplicates_raced: u64,
    /// Packets delivered again.
    pub replays_attempted: u64,
    /// Packets accepted again.
    pub replays_accepted: u64,
    /// Forged packets delivered.
    pub forged_attempted: u64,
    /// Forged packets accepted.
    pub forged_accepted: u64,
    /// Genuine packets that were accepted and decrypted to something else.
    pub mismatched_plaintexts: u64,
    /// Genuine packets that were refused.
    pub lost_to_rekey: u64,
    /// Session keys derived.
    pub keys_created: u64,
    /// Session keys out of use.
    pub keys_retired: u64,
    /// Session keys wiped.
    pub keys_wiped: u64,
    /// How long the unprotect calls of genuine packets took, in nanoseconds.
    pub unprotect_ns: Percentiles,
    /// How long what was retired waited to be destroyed once no reader could see it any more, in microseconds.
    pub wipe_latency_us: WipeLatency,
    /// Seed of the run.
    pub seed: u64,
    /// How long the scenario was to run.
    pub seconds: f64,
    /// How long it ran, reclamation included.
    pub elapsed_seconds: f64,
    /// The promises that did not hold.
    pub broken: Vec<String>,
}

/// Percentiles of a distribution.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Percentiles {
    /// The median.
    pub p50: u64,
    /// All but a hundredth are at most this.
    pub p99: u64,
    /// All but a thousandth are at most this.
    pub p999: u64,
}

/// How long retired values (keys, key rings, stream tables) waited, from the moment at which the last guard was gone that was pinned when they were
/// retired until they were destroyed. Rounded up by a sixteenth at most.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct WipeLatency {
    /// The median.
    pub p50: u64,
    /// All but a hundredth are at most this.
    pub p99: u64,
    /// The longest, exactly.
    pub max: u64,
}

impl From<LatencyHistogram> for WipeLatency {
    fn from(latency: LatencyHistogram) -> Self {
        let micros = |time: Duration| u64::try_from(time.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX);
        let at = |part| micros(latency.quantile(part));
        Self { p50: at(0.5), p99: at(0.99), max: micros(latency.max()) }
    }
}

impl Report {
    /// The results of a scenario.
    pub fn new(
        scenario: &'static str,
        settings: &Settings,
        counts: Counts,
        unprotect: &Histogram<u64>,
        keys: DomainStats,
        elapsed_seconds: f64,
        broken: &[Broken],
    ) -> Self {
        let at = |quantile| unprotect.value_at_quantile(quantile);
        Self {
            scenario,
            passed: broken.is_empty(),
            rx_threads: settings.threads,
            packets: counts.packets,
            rekeys: counts.rekeys,
            delivered_in_grace: counts.delivered_in_grace,
            duplicates_raced: counts.duplicates_raced,
            replays_attempted: counts.replays_attempted,
            replays_accepted: counts.replays_accepted,
            forged_attempted: counts.forged_attempted,
            forged_accepted: counts.forged_accepted,
            mismatched_plaintexts: counts.mismatched_plaintexts,
            lost_to_rekey: counts.lost_to_rekey,
            keys_created: keys.keys_created,
            keys_retired: keys.keys_retired,
            keys_wiped: keys.keys_wiped,
            unprotect_ns: Percentiles { p50: at(0.5), p99: at(0.99), p999: at(0.999) },
            wipe_latency_us: keys.latency.into(),
            seed: settings.seed,
            seconds: settings.seconds.as_secs_f64(),
            elapsed_seconds: (elapsed_seconds * 1000.0).round() / 1000.0,
            broken: broken.iter().map(Broken::to_string).collect(),
        }
    }
}

/// A number that says that something was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// [`Report::rekeys`].
    Rekeys,
    /// [`Report::delivered_in_grace`].
    DeliveredInGrace,
    /// [`Report::duplicates_raced`].
    DuplicatesRaced,
    /// [`Report::replays_attempted`].
    ReplaysAttempted,
    /// [`Report::forged_attempted`].
    ForgedAttempted,
}

impl Counter {
    /// All there are.
    pub const ALL: [Self; 5] =
        [Self::Rekeys, Self::DeliveredInGrace, Self::DuplicatesRaced, Self::ReplaysAttempted, Self::ForgedAttempted];

    /// Its value.
    pub const fn of(self, counts: &Counts) -> u64 {
        match self {
            Self::Rekeys => counts.rekeys,
            Self::DeliveredInGrace => counts.delivered_in_grace,
            Self::DuplicatesRaced => counts.duplicates_raced,
            Self::ReplaysAttempted => counts.replays_attempted,
            Self::ForgedAttempted => counts.forged_attempted,
        }
    }

    /// Whether it stays 0 where nothing is rekeyed.
    pub const fn needs_rekeys(self) -> bool {
        matches!(self, Self::Rekeys | Self::DeliveredInGrace)
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rekeys => "rekeys",
            Self::DeliveredInGrace => "delivered_in_grace",
            Self::DuplicatesRaced => "duplicates_raced",
            Self::ReplaysAttempted => "replays_attempted",
            Self::ForgedAttempted => "forged_attempted",
        })
    }
}

/// The table of a run: a column for each scenario.
pub fn table(reports: &[Report]) -> Table {
    type Row = (&'static str, fn(&Report) -> String);
    let rows: [Row; 17] = [
        ("verdict", |r| if r.passed { "passed".into() } else { "FAILED".into() }),
        ("RX threads", |r| r.rx_threads.to_string()),
        ("seconds", |r| format!("{:.1}", r.elapsed_seconds)),
        ("packets", |r| r.packets.to_string()),
        ("rekeys", |r| r.rekeys.to_string()),
        ("delivered in grace", |r| r.delivered_in_grace.to_string()),
        ("lost to a rekey", |r| r.lost_to_rekey.to_string()),
        ("mismatched plaintexts", |r| r.mismatched_plaintexts.to_string()),
        ("duplicates raced", |r| r.duplicates_raced.to_string()),
        ("replays accepted / attempted", |r| format!("{} / {}", r.replays_accepted, r.replays_attempted)),
        ("forgeries accepted / attempted", |r| format!("{} / {}", r.forged_accepted, r.forged_attempted)),
        ("keys created", |r| r.keys_created.to_string()),
        ("keys retired", |r| r.keys_retired.to_string()),
        ("keys wiped", |r| r.keys_wiped.to_string()),
        ("wiped after p50 / p99 / max, us", |r| {
            let WipeLatency { p50, p99, max } = r.wipe_latency_us;
            format!("{p50} / {p99} / {max}")
        }),
        ("unprotect p50 / p99, ns", |r| format!("{} / {}", r.unprotect_ns.p50, r.unprotect_ns.p99)),
        ("unprotect p99.9, ns", |r| r.unprotect_ns.p999.to_string()),
    ];
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(std::iter::once("").chain(reports.iter().map(|report| report.scenario)));
    for (name, value) in rows {
        table.add_row(std::iter::once(name.to_owned()).chain(reports.iter().map(value)));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
