//! How a thread becomes a member of a domain.
//!
//! A thread registers itself when it first pins a domain, in thread-local storage keyed by the domain's id. Ids are never reused, so an entry of a
//! domain long gone can never be taken for that of a new one; such entries are pruned when the thread registers with another domain.
//!
//! After a fork the child's thread joins afresh, but not before the last guard that it brought along is gone.

use super::domain::{DomainId, Inner};
use super::engine::Engine;
use super::readers::Readers;
use super::record::Record;
use crate::kernels::fork::Whole;
use crate::primitive::per_thread;
#[cfg(not(crossbeam_loom))]
use core::cell::Cell;
use core::cell::RefCell;
use core::ptr::{self, NonNull};
use crossbeam_epoch::LocalHandle;
use std::rc::Rc;
use std::sync::{Arc, Weak};

/// A thread's membership in a domain.
struct Member {
    id: DomainId,
    handle: LocalHandle,
    record: NonNull<Record>,
    /// Keeps the record.
    _readers: Arc<Readers>,
    domain: Weak<Inner>,
}

impl Member {
    fn new(engine: &Engine, id: DomainId, domain: Weak<Inner>) -> Self {
        let readers = Arc::clone(&engine.readers);
        let record = NonNull::from(readers.enroll());
        Self { id, handle: engine.collector.register(), record, _readers: readers, domain }
    }

    #[inline]
    fn record(&self) -> &Record {
        // SAFETY: it is one of `_readers`, which never gives one up while it lives.
        unsafe { self.record.as_ref() }
    }

    /// Whether the thread may pin by it: always, but for a child in which it is not held any more.
    #[inline]
    fn serves(&self) -> bool {
        !self.record().is_stale() || self.record().is_held()
    }

    #[inline]
    fn pin(&self) -> Pinned {
        self.record().enter();
        Pinned { pin: self.handle.pin(), record: self.record }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _whole = Whole::begin();
        self.record().give_up();
    }
}

/// A thread's memberships. Each in an allocation of its own, so that it stays where it is.
struct Members(RefCell<Vec<Rc<Member>>>);

impl Drop for Members {
    fn drop(&mut self) {
        forget_last();
    }
}

per_thread! {
    static MEMBERSHIPS: Members = const { Members(RefCell::new(Vec::new())) };
}

// The membership by which the thread pinned last, null if that may be gone. It has no destructor, and so is found without a look whether that has run.
#[cfg(not(crossbeam_loom))]
std::thread_local! {
    static LAST: Cell<*const Member> = const { Cell::new(ptr::null()) };
}

#[cfg(not(crossbeam_loom))]
#[inline]
fn last() -> *const Member {
    LAST.get()
}

/// Not in a model, whose threads share the storage of one.
#[cfg(crossbeam_loom)]
fn last() -> *const Member {
    ptr::null()
}

fn note_last(member: *const Member) {
    #[cfg(not(crossbeam_loom))]
    LAST.set(member);
    let _ = member;
}

/// Before any membership of the thread goes.
fn forget_last() {
    note_last(ptr::null());
}

/// A pin, and the record in which it is noted. The record lives as long as the domain.
pub(super) struct Pinned {
    pub(super) pin: crossbeam_epoch::Guard,
    pub(super) record: NonNull<Record>,
}

impl Inner {
    /// Pins the calling thread, which becomes a member first if it is not.
    #[inline]
    pub(super) fn pin(this: &Arc<Self>) -> Pinned {
        // SAFETY: null, or a membership of this thread, which is not gone: `forget_last` comes before that. Shared references are made of it alone.
        match unsafe { last().as_ref() } {
            Some(member) if member.id == this.id() && member.serves() => member.pin(),
            _ => Self::pin_by_list(this),
        }
    }

    #[cold]
    fn pin_by_list(this: &Arc<Self>) -> Pinned {
        MEMBERSHIPS.try_with(|list| this.pin_in(list, this)).unwrap_or_else(|_| this.pin_once())
    }

    fn pin_in(&self, list: &Members, this: &Arc<Self>) -> Pinned {
        if let Ok(list) = list.0.try_borrow()
            && let Some(member) = list.iter().find(|member| member.id == self.id())
            && member.serves()
        {
            note_last(Rc::as_ptr(member));
            return member.pin();
        }
        self.join_in(list, this)
    }

    #[cold]
    fn join_in(&self, list: &Members, this: &Arc<Self>) -> Pinned {
        // Fails only inside a pin of this thread that runs deferred code, which takes no guard (invariant 5).
        let Ok(mut list) = list.0.try_borrow_mut() else { return self.pin_once() };
        let _whole = Whole::begin();
        forget_last();
        let is_wanted = |member: &Member| member.domain.strong_count() > 0 && member.id != self.id();
        let gone: Vec<Rc<Member>> = list.extract_if(.., |member| !is_wanted(member)).collect();
        let member = Rc::new(Member::new(self.engine(), self.id(), Arc::downgrade(this)));
        let pinned = member.pin();
        note_last(Rc::as_ptr(&member));
        list.push(member);
        drop(list);
        drop(gone);
        pinned
    }

    /// Pins without a membership, for a thread whose thread-local storage is gone already. The pin keeps the collector's record of it alive, and
    /// takes it along; so it does with the domain's own.
    #[cold]
    pub(super) fn pin_once(&self) -> Pinned {
        let _whole = Whole::begin();
        let engine = self.engine();
        let record = engine.readers.enroll();
        record.enter();
        record.note_passing();
        Pinned { pin: engine.collector.register().pin(), record: NonNull::from(record) }
    }

    /// A pin that is not noted: for the collector's sake, by the thread's own handle or one for the moment. While it is held nothing must be loaded that
    /// readers load, and no user's code must run, which may.
    pub(super) fn bare_pin(&self) -> crossbeam_epoch::Guard {
        let find = |list: &Members| {
            let list = list.0.try_borrow().ok()?;
            let own = |member: &&Rc<Member>| member.id == self.id() && !member.record().is_stale();
            list.iter().find(own).map(|member| member.handle.pin())
        };
        let own = MEMBERSHIPS.try_with(find).ok().flatten();
        own.unwrap_or_else(|| self.engine().collector.register().pin())
    }
}

#[cfg(test)]
pub(super) fn memberships() -> usize {
    MEMBERSHIPS.with(|list| list.0.borrow().len())
}
