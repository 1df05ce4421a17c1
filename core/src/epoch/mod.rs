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
//! 4. Each retirement is put on the domain's shelf at once: an idle thread holds nothing.
//! 5. Deferred code frees nodes of the shelf, whose values are gone. It runs no code of a value, touches no thread-local storage and takes no guard.
//!
//! ```text
//!   domain  guard  registry       what users hold
//!   members                       a thread's membership, in its local storage
//!   reclaimer                     a thread that does what is left
//!   engine                        what the threads of one process share: the four below
//!   shelf   timers  events        what waits, what is to be done in time, what is to be told
//!   readers record                who is pinned
//!   tally   latency               what was counted
//!   published  slots              what readers load
//! ```

mod domain;
mod engine;
mod events;
mod guard;
mod latency;
mod members;
mod published;
mod readers;
mod reclaimer;
mod record;
mod registry;
mod shelf;
mod slots;
mod tally;
mod timers;

pub(crate) use domain::DomainId;
#[cfg(crossbeam_loom)]
pub use domain::Flaw;
pub use domain::{Domain, SynchronizeError};
pub use guard::Guard;
pub use latency::LatencyHistogram;
pub(crate) use published::Published;
pub use readers::PinnedReader;
pub use registry::Registry;
pub(crate) use shelf::Bulk;
pub(crate) use slots::{Single, Slot, Slots};
pub use tally::DomainStats;
pub(crate) use tally::Tally;
pub(crate) use timers::Task;
