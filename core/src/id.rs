//! Names of what users hold: contexts, their keys, their index spaces.

use crate::primitive::{StaticU64, atomic::Ordering};
use core::fmt;

/// Names a context (one direction of a session) within the process. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContextId(u64);

impl ContextId {
    pub(crate) fn next() -> Self {
        static NEXT: StaticU64 = StaticU64::new(0);
        // Relaxed: only uniqueness matters.
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for ContextId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names a key within its context. Never reused; a later key has a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub(crate) u64);

impl KeyId {
    /// No key has it.
    pub(crate) const NONE: Self = Self(u64::MAX);

    /// The name as a number, for interfaces that know nothing else.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The key of that [`number`](Self::number), if it is one: calls that are given a name check it.
    #[must_use]
    pub const fn of_number(number: u64) -> Self {
        Self(number)
    }
}

/// Names an index space within its context. Never reused; a later space has a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpaceId(pub(crate) u64);
