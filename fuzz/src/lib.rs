//! What the fuzz targets do, as a library: each target is a kind of input and what must hold for it.
//!
//! ```text
//!   octets --> Case (arbitrary) --> check(): Keyflip beside an oracle; a difference panics
//!     |                                |
//!     libFuzzer, corpus/               headers: reader   differential: libsrtp   model: a plain model
//!                                      unprotect: what was protected, and protecting again
//!                                      sdes, double, extensions: readers and writers of their own   blob: a peer that stays
//! ```
//!
//! # Reading order
//!
//! [`input`] and [`packet`] are what cases are made of; [`ends`] and [`state`] use and watch Keyflip; [`reader`] is the parser it is compared with.
//! Then one module a target. [`plant`] is the positive control: with it, each target must
//! fail; [`seen`] says which refusals were met.
//!
//! # A new target
//!
//! A module with a [`Case`]; a line in [`TARGETS`]; three lines in `fuzz_targets/`; a `[[bin]]` in `Cargo.toml`; a folder in `corpus/`. The tests
//! say which of them is missing.

use arbitrary::{Arbitrary, Unstructured};
use std::fmt::Debug;

pub mod batch;
pub mod blob;
pub mod differential;
pub mod double;
pub mod ends;
pub mod extensions;
pub mod headers;
pub mod input;
pub mod model;
pub mod packet;
pub mod plant;
pub mod reader;
pub mod sdes;
pub mod seen;
pub mod state;
pub mod unprotect;

/// A kind of input, and what must hold for it.
pub trait Case<'a>: Arbitrary<'a> + Debug {
    /// Does what the input says.
    ///
    /// # Panics
    ///
    /// If something that must hold does not: a finding.
    fn check(&self);
}

/// A fuzz target.
#[derive(Clone, Copy)]
pub struct Target {
    /// That of its binary and of its corpus.
    pub name: &'static str,
    run: fn(&[u8]),
    show: fn(&[u8]) -> String,
}

/// Every target.
pub const TARGETS: [Target; 9] = [
    Target {
        name: "batch",
        run: |data| check::<batch::Batches<'_>>(data),
        show: |data| text::<batch::Batches<'_>>(data),
    },
    Target {
        name: "headers",
        run: |data| check::<headers::Headers<'_>>(data),
        show: |data| text::<headers::Headers<'_>>(data),
    },
    Target {
        name: "unprotect",
        run: |data| check::<unprotect::Deliveries<'_>>(data),
        show: |data| text::<unprotect::Deliveries<'_>>(data),
    },
    Target {
        name: "differential",
        run: |data| check::<differential::Exchange<'_>>(data),
        show: |data| text::<differential::Exchange<'_>>(data),
    },
    Target { name: "sdes", run: |data| check::<sdes::Lines<'_>>(data), show: |data| text::<sdes::Lines<'_>>(data) },
    Target {
        name: "double",
        run: |data| check::<double::Blocks<'_>>(data),
        show: |data| text::<double::Blocks<'_>>(data),
    },
    Target {
        name: "extensions",
        run: |data| check::<extensions::Extensions<'_>>(data),
        show: |data| text::<extensions::Extensions<'_>>(data),
    },
    Target { name: "blob", run: |data| check::<blob::Blobs<'_>>(data), show: |data| text::<blob::Blobs<'_>>(data) },
    Target { name: "model", run: |data| check::<model::Story>(data), show: |data| text::<model::Story>(data) },
];

impl Target {
    /// The target of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        TARGETS.into_iter().find(|target| target.name == name)
    }

    /// Runs one input.
    ///
    /// # Panics
    ///
    /// On a finding.
    pub fn run(self, data: &[u8]) {
        (self.run)(data);
    }

    /// An input as its target understands it.
    #[must_use]
    pub fn show(self, data: &[u8]) -> String {
        (self.show)(data)
    }
}

/// Runs one input of the target `name`.
///
/// # Panics
///
/// On a finding, and if there is no such target.
pub fn run(name: &str, data: &[u8]) {
    Target::named(name).unwrap_or_else(|| panic!("no target {name}")).run(data);
}

fn read<'a, C: Case<'a>>(data: &'a [u8]) -> Option<C> {
    C::arbitrary_take_rest(Unstructured::new(data)).ok()
}

fn check<'a, C: Case<'a>>(data: &'a [u8]) {
    if let Some(case) = read::<C>(data) {
        case.check();
    }
}

fn text<'a, C: Case<'a>>(data: &'a [u8]) -> String {
    read::<C>(data).map_or_else(|| "too short to be an input".to_owned(), |case| format!("{case:#?}"))
}
