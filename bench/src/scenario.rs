//! The scenarios of the comparison.

use clap::ValueEnum;
use clap::builder::PossibleValue;

/// How packets come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// One packet at a time, of one stream.
    One,
    /// 32 packets at a time, each of another context.
    Batch32,
    /// 64 packets at a time, each of another context.
    Batch64,
    /// 256 packets at a time, each of another context.
    Batch256,
    /// One payload for 200 subscribers, each with a context and a header of its own.
    Fanout200,
    /// One payload for 10,000 subscribers, whose contexts do not fit the cache.
    Fanout10000,
    /// Rooms of ten: each packet is decrypted once, and encrypted for those who get it.
    Sfu,
}

impl Scenario {
    /// All of them, in the order in which they run.
    pub const ALL: [Self; 7] =
        [Self::One, Self::Batch32, Self::Batch64, Self::Batch256, Self::Fanout200, Self::Fanout10000, Self::Sfu];

    /// The name on the command line and in results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Batch32 => "batch-32",
            Self::Batch64 => "batch-64",
            Self::Batch256 => "batch-256",
            Self::Fanout200 => "fanout-200",
            Self::Fanout10000 => "fanout-10000",
            Self::Sfu => "sfu",
        }
    }

    /// The contexts in use on a thread, each with one stream; `None` for `sfu`, where participants have two contexts of several streams.
    #[must_use]
    pub const fn contexts(self) -> Option<usize> {
        match self {
            Self::One => Some(1),
            Self::Batch32 => Some(32),
            Self::Batch64 => Some(64),
            Self::Batch256 => Some(256),
            Self::Fanout200 => Some(200),
            Self::Fanout10000 => Some(10_000),
            Self::Sfu => None,
        }
    }
}

impl ValueEnum for Scenario {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}
