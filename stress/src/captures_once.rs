//! Plays captures once, in order, each against its side file: no threads, no rekeys but its own, the same every time.

use std::path::Path;

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table, presets};
use keyflip::Domain;
use serde::Serialize;

use crate::feed::{Plan, unprotect, verdict};
use crate::oracle::{Oracle, Outcome};
use crate::side::{Capture, Verdict, name, side_files};

/// What became of one capture.
#[derive(Clone, Debug, Serialize)]
pub struct Played {
    /// Its name.
    pub capture: String,
    /// Its profile; empty if it did not even load.
    pub profile: String,
    /// Packets that were fed.
    pub packets: usize,
    /// Packets that were accepted.
    pub accepted: usize,
    /// Packets that were rejected.
    pub rejected: usize,
    /// Whether every verdict and plaintext is the side file's.
    pub passed: bool,
    /// Why the capture was not played at all.
    pub refused: Option<String>,
    /// In what the receiver differs from the side file.
    pub differences: Vec<String>,
}

/// Plays every capture of a folder, sorted by name. None is skipped: one that cannot be played is there as refused.
///
/// # Errors
///
/// The folder cannot be read, or has no captures.
pub fn play_dir(dir: &Path) -> Result<Vec<Played>> {
    Ok(side_files(dir)?.iter().map(|path| play_file(path)).collect())
}

fn play_file(path: &Path) -> Played {
    let mut played = Played {
        capture: name(path),
        profile: String::new(),
        packets: 0,
        accepted: 0,
        rejected: 0,
        passed: false,
        refused: None,
        differences: Vec::new(),
    };
    let outcome = Capture::load(path).and_then(|capture| {
        played.profile.clone_from(&capture.side.profile);
        play(&capture, &mut played)
    });
    played.refused = outcome.err().map(|error| format!("{error:#}"));
    played.passed = played.refused.is_none() && played.differences.is_empty();
    played
}

/// # Errors
///
/// The capture asks for what this version cannot do.
fn play(capture: &Capture, played: &mut Played) -> Result<()> {
    let domain = Domain::new();
    let plan = Plan::of(capture)?;
    let receiver = plan.receiver(&domain)?;
    let oracle = Oracle::new(&capture.side);
    let mut outcomes: Vec<(Verdict, Option<Vec<u8>>)> = Vec::new();
    for n in 0..capture.datagrams.len() {
        receiver.rekey_before(n)?;
        let wire = receiver.wire(n)?;
        let mut packet = wire.octets.to_vec();
        let guard = domain.pin();
        let outcome = match unprotect(receiver.inbound(), &guard, wire.kind, &mut packet) {
            Ok(plain) => (Verdict::Ok, Some(plain.to_vec())),
            Err(error) => {
                if packet != wire.octets {
                    played.differences.push(format!("{}: packet {n}: refused and changed", capture.side.capture));
                }
                (verdict(error), None)
            }
        };
        if let Err(difference) = oracle.check(n, outcome.0, outcome.1.as_deref()) {
            played.differences.push(difference.to_string());
        }
        outcomes.push(outcome);
    }
    played.packets = outcomes.len();
    played.accepted = outcomes.iter().filter(|(verdict, _)| *verdict == Verdict::Ok).count();
    played.rejected = played.packets - played.accepted;
    let outcomes = outcomes.iter().enumerate();
    let outcomes = outcomes.map(|(n, (verdict, plain))| Outcome { n, verdict: *verdict, plain: plain.as_deref() });
    let whole = oracle.finish(outcomes).map_err(|difference| difference.to_string());
    played.differences.extend(whole.err());
    let streams = receiver.check_streams().with_context(|| capture.side.capture.clone());
    played.differences.extend(streams.err().map(|error| format!("{error:#}")));
    Ok(())
}

/// A row for each capture.
pub fn table(all: &[Played]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["capture", "profile", "packets", "accepted", "rejected", "verdict"]);
    for played in all {
        let verdict = match (&played.refused, played.passed) {
            (Some(_), _) => "REFUSED",
            (None, true) => "as expected",
            (None, false) => "DIFFERENT",
        };
        let numbers = [played.packets, played.accepted, played.rejected].map(|number| number.to_string());
        let [packets, accepted, rejected] = numbers;
        table.add_row([&played.capture, &played.profile, &packets, &accepted, &rejected, verdict]);
    }
    for column in table.column_iter_mut().skip(2).take(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// What went wrong, in lines: the refusals, and the first few differences of each capture.
pub fn complaints(all: &[Played]) -> Vec<String> {
    /// How many differences say enough.
    const FIRST: usize = 5;
    let mut lines = Vec::new();
    for played in all {
        lines.extend(played.refused.iter().map(|why| format!("{}: refused: {why}", played.capture)));
        lines.extend(played.differences.iter().take(FIRST).cloned());
        if let Some(more) = played.differences.len().checked_sub(FIRST).filter(|&more| more > 0) {
            lines.push(format!("{}: and {more} more differences", played.capture));
        }
    }
    lines
}
