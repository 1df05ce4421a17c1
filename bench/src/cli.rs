//! The command line.
//!
//! Results go to standard output, everything else to standard error. The exit code is 0 if all went well, 1 if not, 2 if the command line makes no
//! sense or asks for what this build has not.

use crate::scenario::Scenario;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures the Keyflip SRTP library beside its peers
#[derive(Parser, Debug)]
#[command(name = "keyflip-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Runs Keyflip and its peers interleaved in one process, and prints what a packet costs each
    ///
    /// Needs the feature `peers`. How to read it: docs/benchmarking.md.
    Compare(Options),
}

/// What to compare, and how to show it.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Options {
    /// Takes few samples: to see that it works, not how fast
    #[arg(long)]
    pub quick: bool,
    /// Prints one JSON object a row, and no table
    #[arg(long)]
    pub json: bool,
    /// Draws throughput against streams, rekeys a second and cores, as SVG files in this directory
    #[arg(long, value_name = "DIR")]
    pub plot: Option<PathBuf>,
    /// Measures these kernels only: portable, avx2, sha-ni, avx512vl or avx512. Else the best, and the best without AVX-512
    #[arg(long, value_name = "NAME")]
    pub kernels: Option<keyflip::Kernels>,
    /// Runs this scenario only; may be given again
    #[arg(long, value_name = "SCENARIO", value_enum)]
    pub only: Vec<Scenario>,
    /// Compares with this shared library of libsrtp 2 instead of the one built in
    #[arg(long, value_name = "FILE")]
    pub libsrtp: Option<PathBuf>,
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let Command::Compare(options) = Cli::parse().command;
    compare(&options)
}

#[cfg(feature = "peers")]
fn compare(options: &Options) -> ExitCode {
    match crate::compare::run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(feature = "peers"))]
fn compare(_options: &Options) -> ExitCode {
    eprintln!(
        "error: this build has no peers to compare with: cargo run --release -p keyflip-bench --features peers -- compare"
    );
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn scenarios_are_chosen_by_their_names() {
        let parse = |args: &[&str]| Cli::try_parse_from([&["keyflip-bench", "compare"], args].concat());
        let Command::Compare(options) = parse(&["--only", "batch-64", "--only", "sfu", "--quick"]).unwrap().command;
        assert_eq!(options.only, [Scenario::Batch64, Scenario::Sfu]);
        assert!(options.quick && !options.json && options.plot.is_none());
        assert!(parse(&["--only", "batch-65"]).is_err());
    }
}
