//! What a `fork` must not cut in two, and how the child learns of it.
//!
//! A child has one thread, the one that forked, and copies of everything else as it stood: locks that other threads held, values that they were
//! just destroying, pins of readers that do not exist. So:
//!
//! 1. What takes a lock of this crate, retires, or destroys does so under [`Whole`]. A fork waits until nobody holds one: the child finds every
//!    lock free, every retired value in its list, and none half destroyed. Readers hold none; a fork does not wait for them, nor they for it.
//! 2. The child counts one fork more than its parent. Whatever was made at another count belongs to threads that may be gone.
//! 3. Threads are numbered, and the child knows the number of its only one: that one's pins are real still.
//!
//! All this is known by `pthread_atfork`, which `fork` honours. A raw `clone` or `vfork` without `exec` is beyond it.

use crate::primitive::{PlainU64, per_thread};
use core::cell::Cell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Forks between the first process that used this and this one.
static FORKS: PlainU64 = PlainU64::new(0);
/// The thread that forked last in this line of processes; 0 if it had no number.
#[cfg(unix)]
static FORKER: PlainU64 = PlainU64::new(0);
/// Threads that hold a [`Whole`], plus `FORKING` for each that forks.
static GATE: PlainU64 = PlainU64::new(0);
const FORKING: u64 = 1 << 32;

// Neither is dropped, so both are there as long as the thread runs.
std::thread_local! {
    static DEPTH: Cell<u64> = const { Cell::new(0) };
}
per_thread! {
    static NUMBER: Cell<u64> = const { Cell::new(0) };
}

/// While a thread holds one, no other forks. They nest.
pub(crate) struct Whole(PhantomData<*const ()>);

impl Whole {
    /// Waits while another thread forks: for as long as the system takes to copy the process.
    pub(crate) fn begin() -> Self {
        loop {
            if let Some(whole) = Self::try_begin() {
                return whole;
            }
            std::thread::yield_now();
        }
    }

    /// `None` while another thread forks.
    pub(crate) fn try_begin() -> Option<Self> {
        watch();
        let depth = DEPTH.get();
        // Before the gate: a fork by this very thread, from a signal handler, waits for all others only.
        DEPTH.set(depth + 1);
        // Acquire: pairs with the Release in `reopen`; and with `prepare`: of two changes of one word the later sees the earlier, so either this
        // one sees the fork, or the fork sees this one and waits.
        if depth == 0 && GATE.fetch_add(1, Ordering::Acquire) >= FORKING {
            GATE.fetch_sub(1, Ordering::Relaxed);
            DEPTH.set(0);
            return None;
        }
        Some(Self(PhantomData))
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        let depth = DEPTH.get() - 1;
        if depth == 0 {
            // Release: pairs with the Acquire in `prepare`: the child sees all that was done under this.
            GATE.fetch_sub(1, Ordering::Release);
        }
        DEPTH.set(depth);
    }
}

/// A mutex that is locked, which no fork finds so.
pub(crate) struct Locked<'m, T> {
    // Let go first.
    held: MutexGuard<'m, T>,
    _whole: Whole,
}

impl<'m, T> Locked<'m, T> {
    /// Locks `mutex`; also one that a panic has poisoned: for data that no panic leaves half done.
    pub(crate) fn new(mutex: &'m Mutex<T>) -> Self {
        let whole = Whole::begin();
        Self { held: mutex.lock().unwrap_or_else(PoisonError::into_inner), _whole: whole }
    }
}

impl<T> Deref for Locked<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.held
    }
}

impl<T> DerefMut for Locked<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.held
    }
}

/// Forks that lie behind this process. Never changes while a thread can look twice.
#[inline]
pub(crate) fn forks() -> u64 {
    // Relaxed: written by a child's only thread, before there are others.
    FORKS.load(Ordering::Relaxed)
}

/// A number of the calling thread's own, greater than 0. No other has had it, in this process or in those it was forked from.
pub(crate) fn this_thread() -> u64 {
    static NEXT: PlainU64 = PlainU64::new(1);
    NUMBER.with(|number| {
        if number.get() == 0 {
            // Relaxed: only uniqueness matters.
            number.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        number.get()
    })
}

#[cfg(unix)]
pub(crate) use unix::{forker, watch};

#[cfg(unix)]
mod unix {
    use super::{DEPTH, FORKER, FORKING, FORKS, GATE, NUMBER};
    use core::cell::Cell;
    use core::sync::atomic::Ordering;
    use std::sync::Once;

    /// The number of the thread that the last fork left.
    pub(crate) fn forker() -> u64 {
        // Relaxed: as in `forks`.
        FORKER.load(Ordering::Relaxed)
    }

    /// Sees to it that forks are noticed from here on.
    pub(crate) fn watch() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // Fails for want of memory only; a fork then goes unnoticed, and what its child retires waits for readers that are gone.
            // SAFETY: the handlers are functions of this crate, live as long as the process, and touch nothing but atomics and thread-local cells
            // without destructors: all that is allowed in a child of a process with several threads.
            let _ = unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
        });
    }

    /// Threads that this one must not wait for: itself, if a signal handler forks.
    fn own() -> u64 {
        u64::from(DEPTH.get() > 0)
    }

    unsafe extern "C" fn prepare() {
        // Acquire: pairs with the Release in `Whole::drop`.
        let mut gate = GATE.fetch_add(FORKING, Ordering::AcqRel);
        while gate % FORKING > own() {
            std::thread::yield_now();
            gate = GATE.load(Ordering::Acquire);
        }
    }

    unsafe extern "C" fn parent() {
        // Release: pairs with the Acquire in `Whole::try_begin`.
        GATE.fetch_sub(FORKING, Ordering::Release);
    }

    unsafe extern "C" fn child() {
        // Relaxed: there is no other thread. Those that were about to turn away at the gate do not exist here.
        GATE.store(own(), Ordering::Relaxed);
        FORKS.fetch_add(1, Ordering::Relaxed);
        FORKER.store(NUMBER.with(Cell::get), Ordering::Relaxed);
    }
}

#[cfg(not(unix))]
pub(crate) fn forker() -> u64 {
    0
}

#[cfg(not(unix))]
pub(crate) fn watch() {}

#[cfg(test)]
pub(crate) mod tests;
