//! The command line.
//!
//! Results go to standard output, everything else to standard error. The exit code is 0 if all is well, 1 if something
//! under test is not, 2 if the command line makes no sense.

use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};

use crate::captures_once;
use crate::replay_file::{self, ReplayArgs};
use crate::report::table;
use crate::runner;
use crate::scenarios::{self, Scenario};
use crate::settings::{Options, Settings};
use crate::side::SHIPPED;

/// Hammers the Keyflip SRTP library while its keys turn, and says which promise broke
///
/// Without a command, the scenarios named run, one after the other: all of them if none is named. First of all,
/// `captures` is the command of that name; the scenario is `run captures`.
#[derive(Parser, Debug)]
#[command(name = "keyflip-stress", version)]
struct Cli {
    /// Scenarios
    #[arg(value_name = "SCENARIO", value_parser = PossibleValuesParser::new(names()))]
    scenarios: Vec<String>,
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Names the scenarios
    List,
    /// Runs some scenarios only
    Run {
        /// Their names
        #[arg(required = true, value_name = "SCENARIO", value_parser = PossibleValuesParser::new(names()))]
        scenarios: Vec<String>,
    },
    /// Plays every capture of a folder once, in order, against its side file
    Captures {
        /// The folder: pcap files, and a JSON side file beside each [default: the captures of this package]
        dir: Option<PathBuf>,
    },
    /// Decrypts the RTP and RTCP of a capture file of your own
    Replay(ReplayArgs),
}

fn names() -> impl Iterator<Item = &'static str> {
    scenarios::ALL.iter().map(|scenario| scenario.name())
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        None => run_named(&cli.options, &cli.scenarios),
        Some(Command::Run { scenarios }) => run_named(&cli.options, scenarios),
        Some(Command::List) => list().map(|()| true),
        Some(Command::Captures { dir }) => captures(dir.as_deref().unwrap_or(Path::new(SHIPPED)), cli.options.json),
        Some(Command::Replay(args)) => match args.keys() {
            Ok(keys) => replay_file::replay(args, keys, cli.options.json),
            Err(error) => {
                eprintln!("error: {error:#}");
                return ExitCode::from(2);
            }
        },
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a result. (`println!` would panic where the reader is gone, as behind `head`.)
///
/// # Errors
///
/// Standard output is closed.
pub fn say(text: impl Display) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{text}").context("cannot print the results")
}

fn list() -> Result<()> {
    scenarios::ALL.iter().try_for_each(|scenario| say(format_args!("{:12}{}", scenario.name(), scenario.about())))
}

/// Runs the scenarios of these names; all of them if there is none.
fn run_named(options: &Options, names: &[String]) -> Result<bool> {
    if names.is_empty() {
        return run(options, &scenarios::ALL, "");
    }
    let is_chosen = |scenario: &&dyn Scenario| names.iter().any(|name| name == scenario.name());
    let chosen: Vec<_> = scenarios::ALL.into_iter().filter(is_chosen).collect();
    run(options, &chosen, &format!(" run {}", names.join(" ")))
}

/// Runs scenarios; whether all promises held.
fn run(options: &Options, scenarios: &[&dyn Scenario], command: &str) -> Result<bool> {
    let settings = Settings::from(options);
    eprintln!("keyflip-stress {settings}");
    let mut reports = Vec::new();
    for scenario in scenarios {
        let report = runner::run(*scenario, &settings)?;
        if options.json {
            say(serde_json::to_string(&report)?)?;
        }
        reports.push(report);
    }
    if !options.json {
        say(table(&reports))?;
    }
    let complaints: Vec<_> = reports.iter().flat_map(|report| &report.broken).collect();
    for complaint in &complaints {
        eprintln!("BROKEN {complaint}");
    }
    if !complaints.is_empty() {
        eprintln!("repeat with: cargo run --release -p keyflip-stress -- {settings}{command}");
    }
    Ok(complaints.is_empty())
}

/// Plays captures; whether all went as their side files say.
fn captures(dir: &Path, json: bool) -> Result<bool> {
    let played = captures_once::play_dir(dir)?;
    if json {
        for played in &played {
            say(serde_json::to_string(played)?)?;
        }
    } else {
        say(captures_once::table(&played))?;
    }
    for complaint in captures_once::complaints(&played) {
        eprintln!("{complaint}");
    }
    Ok(played.iter().all(|played| played.passed))
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
    fn names_are_scenarios_unless_they_begin_with_a_command() {
        let parse =
            |args: &[&str]| Cli::try_parse_from([&["keyflip-stress", "--seconds", "1"], args].concat()).unwrap();
        let cli = parse(&["hammer", "captures", "--json"]);
        assert!(cli.command.is_none() && cli.options.json);
        assert_eq!(cli.scenarios, ["hammer", "captures"]);
        assert!(matches!(parse(&["captures"]).command, Some(Command::Captures { dir: None })));
        assert!(matches!(parse(&["run", "captures"]).command, Some(Command::Run { .. })));
    }

    #[test]
    fn settings_print_as_the_options_that_repeat_them() {
        let options =
            ["--seconds", "1.5", "--threads", "3", "--streams", "7", "--rekeys-per-second", "0", "--seed", "9"];
        let cli = Cli::try_parse_from(std::iter::once("keyflip-stress").chain(options)).unwrap();
        let settings = Settings::from(&cli.options);
        let printed = settings.to_string();
        let again = Cli::try_parse_from(std::iter::once("keyflip-stress").chain(printed.split(' '))).unwrap();
        assert_eq!(Settings::from(&again.options), settings);
        assert_eq!(settings.rekeys_per_second, 0);
    }

    #[test]
    fn options_that_make_no_sense_are_refused() {
        for options in
            [["--threads", "1"], ["--streams", "0"], ["--seconds", "-1"], ["run", "nothing"], ["hammer", "nothing"]]
        {
            assert!(Cli::try_parse_from(std::iter::once("keyflip-stress").chain(options)).is_err(), "{options:?}");
        }
    }
}
