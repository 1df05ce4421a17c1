//! The comparison: Keyflip and its peers at the same work, interleaved in one process.
//!
//! ```text
//!   scenario ──► lane ──► sampler ──► row ──► table, JSON, plot
//!                 │          │
//!                 │          └── one sample of each implementation in turn, on pinned threads
//!                 ├── packets, fanout, sfu     what there is to do
//!                 └── ours, peers              who does it
//! ```
//!
//! What makes it fair:
//!
//! 1. Everybody does the whole task: from a plain packet in memory to a protected one in memory, or back. Who works in
//!    place does so; who allocates the result is timed with that, and with freeing it.
//! 2. Everybody gets the same packets, keys and replay windows, in buffers of the same alignment. Every packet has an
//!    index of its own, so that no replay list refuses one; packets to be unprotected are made outside of the time.
//! 3. Before each measurement all do the same sample, and what comes out is compared octet for octet ([`agree`]).
//! 4. Samples are short and taken in turn, so that what disturbs the machine disturbs everybody; the least of many is
//!    what the work needs when nothing disturbs it.
//!
//! How to read the results is in `docs/benchmarking.md`.

mod agree;
mod fanout;
mod heap;
mod keys;
mod lane;
mod latency;
mod machine;
mod ours;
mod packets;
mod peers;
mod per_packet;
mod plan;
mod plot;
mod row;
mod sampler;
mod sfu;
mod slots;
mod table;
mod who;

use crate::PROFILES;
use crate::cli::Options;
use anyhow::{Context as _, Error, Result};
use plan::Plan;
use row::Row;
use std::fmt::Display;
use std::io::Write;

/// Compares as asked, and prints what came out.
///
/// # Errors
///
/// An implementation that fails, or that does not do what the others do; files that cannot be written.
pub(crate) fn run(options: &Options) -> Result<()> {
    if let Some(set) = options.kernels {
        ours::choose(set)?;
    }
    if let Some(file) = &options.libsrtp {
        keyflip_interop::libsrtp::load(file).map_err(Error::msg)?;
    }
    let plan = Plan::new(options)?;
    machine::describe()?;
    let heap = heap::measure(&PROFILES)?;
    let courses = plan.courses();
    let mut rows: Vec<Row> = Vec::new();
    for (number, course) in courses.iter().enumerate() {
        eprintln!("[{}/{}] {course}", number + 1, courses.len());
        let measured = course.measure(&plan).with_context(|| course.to_string())?;
        for row in course.rows(&plan, &measured, &heap)? {
            if options.json {
                say(serde_json::to_string(&row)?)?;
            }
            rows.push(row);
        }
    }
    if !options.json {
        say(table::times(&rows))?;
        if let Some(latencies) = table::latencies(&rows) {
            say(latencies)?;
        }
    }
    if let Some(dir) = &options.plot {
        for file in plot::draw(&rows, dir)? {
            eprintln!("drawn: {file}");
        }
    }
    Ok(())
}

/// Prints a result. (`println!` would panic where the reader is gone, as behind `head`.)
fn say(text: impl Display) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{text}").context("cannot print the results")
}
