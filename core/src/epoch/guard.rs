//! What a reader holds, and what it does for others when it lets go.

use super::domain::{DomainId, Inner};
use super::members::Pinned;
use super::record::{Leave, Record};
use super::shelf::Bulk;
use crate::event::{Event, EventKind};
use crate::kernels::fork::Whole;
use core::fmt;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;
use std::sync::Arc;

/// Keeps what its thread reads from the contexts of one [`Domain`](crate::Domain) alive.
///
/// Take one per batch of packets, drop it before waiting for more: keys replaced meanwhile cannot be wiped while it lives.
/// It does not cross threads. Guards of one thread may nest; only the last to go unpins.
///
/// Whoever drops a guard that something waited for destroys some of what waited: a few values, each some three kilobytes to be wiped.
#[must_use = "a guard that is dropped at once protects nothing"]
pub struct Guard<'d> {
    /// Dropped in `Drop` alone, where nothing is done with it afterwards.
    pin: ManuallyDrop<crossbeam_epoch::Guard>,
    domain: &'d Arc<Inner>,
    record: NonNull<Record>,
}

impl<'d> Guard<'d> {
    #[inline]
    pub(super) fn new(domain: &'d Arc<Inner>) -> Self {
        Self::with(Inner::pin(domain), domain)
    }

    #[inline]
    fn with(pinned: Pinned, domain: &'d Arc<Inner>) -> Self {
        Self { pin: ManuallyDrop::new(pinned.pin), domain, record: pinned.record }
    }

    /// Lets go of what was loaded so far and pins afresh: for long batches, between packets.
    ///
    /// Has no effect while this thread holds a second guard of the domain.
    #[inline]
    pub fn repin(&mut self) {
        if self.record().is_stale() {
            return self.repin_in_child();
        }
        match self.record().again() {
            Leave::Quiet => self.pin.repin(),
            leave => self.repin_with_help(leave),
        }
    }

    #[cold]
    fn repin_with_help(&mut self, leave: Leave) {
        let domain = self.domain;
        let record = self.record;
        // SAFETY: as in `record`.
        self.pin.repin_after(|| domain.lend_a_hand(leave, unsafe { record.as_ref() }));
    }

    /// Changes from the engine of the parent to that of the child.
    #[cold]
    fn repin_in_child(&mut self) {
        if self.record().is_held_once() {
            // Not by the thread's membership, which still serves the guard that goes.
            *self = Self::with(self.domain.pin_once(), self.domain);
        }
    }

    /// The pin, if it is one of the domain `id` (invariant 1 of the module).
    #[inline]
    pub(super) fn of(&self, id: DomainId) -> Option<&crossbeam_epoch::Guard> {
        (self.domain.id() == id).then_some(&self.pin)
    }

    /// Tells the owner of the domain of an event.
    pub(crate) fn raise(&self, event: Event) {
        self.domain.engine().timers.events.raise(event, || self.domain.engine().ring());
    }

    /// Whether events of this kind are raised.
    pub(crate) fn is_watched(&self, kind: EventKind) -> bool {
        self.domain.engine().timers.events.is_watched(kind)
    }

    /// A small number that differs between the threads of a domain: which of several counters to use.
    pub(crate) fn lane(&self) -> usize {
        self.record().lane()
    }

    #[inline]
    fn record(&self) -> &Record {
        // SAFETY: the records of a domain live as long as the domain, which this guard borrows.
        unsafe { self.record.as_ref() }
    }

    /// Drops `value`, which a control operation has replaced, once every guard that is pinned now is gone.
    ///
    /// Its domain is this guard's. The caller made it unreachable under this guard (invariant 3).
    pub(super) fn retire_replaced(&self, value: Box<dyn Send>, bulk: Bulk) {
        self.retire_boxed(value, bulk);
        // It waits for this guard at least: there is nothing to do before that drops.
        self.record().note_replaced();
    }

    /// The same for what a packet may have replaced.
    pub(super) fn retire_outgrown(&self, value: Box<dyn Send>, bulk: Bulk) {
        self.retire_boxed(value, bulk);
        self.record().note_grown();
    }

    fn retire_boxed(&self, value: Box<dyn Send>, bulk: Bulk) {
        if self.domain.frees_at_once() {
            // Broken on purpose, to show that a sanitizer or a model would see it.
            self.domain.free_at_once(value);
            return;
        }
        let _whole = Whole::begin();
        self.domain.engine().retire(value, bulk, &self.pin);
    }

    /// As a control operation retires what is small.
    #[cfg(test)]
    pub(crate) fn retire<T: Send + 'static>(&self, value: T) {
        self.retire_replaced(Box::new(value), Bulk::Small);
    }
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        // Before the pin goes: a look in between may miss a reader, and never blames one that is gone.
        let leave = self.record().leave();
        // SAFETY: this is the drop, after which nobody touches the field.
        unsafe { ManuallyDrop::drop(&mut self.pin) };
        if leave != Leave::Quiet {
            self.domain.lend_a_hand(leave, self.record());
        }
    }
}

impl fmt::Debug for Guard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("domain", &self.domain.id()).finish()
    }
}
