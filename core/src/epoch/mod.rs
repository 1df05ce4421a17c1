//! Epoch-based reclamation. It knows nothing of cryptography; it is the only place, beside the kernels, with `unsafe`.
//!
//! A reader *pins* a [`Domain`] and holds the [`Guard`]; what it loads from a [`Published`] or a [`Slots`] under that guard
//! stays valid as long as the guard lives. A writer swaps the pointer and *retires* the old value, which is destroyed once
//! no guard is left that could have seen it. Nobody waits for anybody.
//!
//! What the modules rely on, and keep:
//!
//! 1. A `Guard` is made by [`Domain::pin`] alone, from that domain's own collector. So a guard whose domain is a structure's
//!    domain pins that structure's collector. Every access compares the two (in release builds too) before it loads.
//! 2. A value is reachable for readers exactly while a `Published` or `Slots` of its domain holds a pointer to it.
//! 3. Whoever makes a value unreachable retires it, once, under a guard taken before it became unreachable.
//! 4. Each retirement is flushed from the thread's bag into the domain's queue at once: an idle thread holds nothing.
//! 5. Deferred code only drops values and counts; it touches no thread-local storage and takes no guard.

mod domain;
mod events;
mod published;
mod readers;
mod reclaimer;
mod registry;
mod slots;
mod tally;
mod timers;

pub(crate) use domain::DomainId;
pub use domain::{Domain, Guard, SynchronizeError};
pub(crate) use published::Published;
pub use readers::PinnedReader;
pub use registry::Registry;
pub(crate) use slots::{Single, Slot, Slots};
pub(crate) use tally::Tally;
pub use tally::{DomainStats, LatencyHistogram};
pub(crate) use timers::Task;
