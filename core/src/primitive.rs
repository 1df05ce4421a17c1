//! The one door to atomics: every shared word of this crate comes from here, so that a model checker can stand in for it.
//!
//! With `--cfg crossbeam_loom` it is loom: `tests/loom.rs` then explores the orders in which threads may see these words.

#[cfg(not(crossbeam_loom))]
pub(crate) mod atomic {
    pub(crate) use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
}

#[cfg(crossbeam_loom)]
pub(crate) mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
}

/// Words in static memory. Never part of a model: they live through all runs of one.
pub(crate) use core::sync::atomic::{AtomicBool as StaticBool, AtomicU8 as StaticU8, AtomicU64 as StaticU64};

/// A number that decides nothing, and so is no part of a model.
pub(crate) use core::sync::atomic::AtomicU64 as PlainU64;

#[cfg(crossbeam_loom)]
pub(crate) use loom::thread::yield_now;
#[cfg(not(crossbeam_loom))]
pub(crate) use std::thread::yield_now;

/// A `thread_local!` that loom's threads have too.
macro_rules! per_thread {
    ($(#[$doc:meta])* static $name:ident: $type:ty = const $init:block;) => {
        #[cfg(crossbeam_loom)]
        loom::thread_local! { $(#[$doc])* static $name: $type = $init; }
        #[cfg(not(crossbeam_loom))]
        std::thread_local! { $(#[$doc])* static $name: $type = const $init; }
    };
}
pub(crate) use per_thread;
