//! The one door to atomics: every shared word of this crate comes from here, so that a model checker can stand in for it.

pub(crate) mod atomic {
    pub(crate) use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
}
