//! What a run is told: the options that all scenarios share.

use std::fmt;
use std::thread::available_parallelism;
use std::time::Duration;

use clap::Args;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The options of a run, as given.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Common options")]
pub struct Options {
    /// Seconds that each scenario runs
    #[arg(long, global = true, value_name = "N", default_value = "10", value_parser = seconds)]
    pub seconds: Duration,
    /// Threads that receive; at least 2, since a race takes two [default: one for each core]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=1024))]
    pub threads: Option<u16>,
    /// Streams of the synthetic scenarios
    #[arg(long, global = true, value_name = "N", default_value_t = 64)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub streams: u32,
    /// Rekeys a second of the synthetic scenarios, over all sessions; 0 for none in any scenario
    #[arg(long, global = true, value_name = "N", default_value_t = 2000)]
    pub rekeys_per_second: u32,
    /// Seed of all that is random; printed, so that a run can be repeated [default: another one each time]
    #[arg(long, global = true, value_name = "N")]
    pub seed: Option<u64>,
    /// Print one JSON object a line instead of a table
    #[arg(long, global = true)]
    pub json: bool,
}

/// The options of a run, with the defaults filled in. Displayed, they are the options that repeat it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// How long each scenario runs.
    pub seconds: Duration,
    /// Threads that receive.
    pub threads: usize,
    /// Streams of the synthetic scenarios.
    pub streams: usize,
    /// Rekeys a second of the synthetic scenarios.
    pub rekeys_per_second: u32,
    /// Seed of all that is random.
    pub seed: u64,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    // A year: above it, deadlines overflow on some systems, and no one waits anyway.
    if !(0.0..=31_536_000.0).contains(&seconds) {
        return Err("must be 0 to 31536000 seconds".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

impl From<&Options> for Settings {
    fn from(options: &Options) -> Self {
        let cores = || available_parallelism().map_or(2, |cores| cores.get().max(2));
        Self {
            seconds: options.seconds,
            threads: options.threads.map_or_else(cores, usize::from),
            streams: usize::try_from(options.streams).unwrap_or(usize::MAX),
            rekeys_per_second: options.rekeys_per_second,
            seed: options.seed.unwrap_or_else(rand::random),
        }
    }
}

impl Settings {
    /// A source of randomness of its own for each (`scenario`, `part`) of a run.
    pub fn rng(&self, scenario: &str, part: u64) -> ChaCha8Rng {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8..16].copy_from_slice(&part.to_le_bytes());
        for (to, from) in seed[16..].iter_mut().zip(scenario.bytes()) {
            *to = from;
        }
        ChaCha8Rng::from_seed(seed)
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, threads, streams, rekeys_per_second, seed } = self;
        let seconds = seconds.as_secs_f64();
        write!(
            f,
            "--seed {seed} --seconds {seconds} --threads {threads} --streams {streams} \
             --rekeys-per-second {rekeys_per_second}"
        )
    }
}
