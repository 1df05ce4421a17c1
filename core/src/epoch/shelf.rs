//! What was retired and is not destroyed yet: a queue without locks, whose first value is taken by whoever finds that it may go.
//!
//! 1. A value may go when every pin that was seen at its retirement is over (`readers`).
//! 2. Values leave in the order in which they came. A later one does not wait for an earlier one: a pin that holds up the earlier and not the later is
//!    over by the retirement of the later.
//! 3. Values are not the collector's, which frees the nodes they were in: so a child that inherits the shelf has all of them, whatever became of the
//!    collector.
//! 4. A value that is *large* is left to threads that have no packets to see to, and so is what came after it, until it is gone.
//! 5. A panic of a value's own code is reported by its hook, and goes no further: the value counts as gone.
//! 6. Nobody waits for anybody. A thread that is held up while it destroys holds up one value.
//!
//! The queue is Michael and Scott's. `head` points to a node whose value is gone; those after it are what waits. Nodes are freed by the collector.

use super::readers::Readers;
use super::record::Pin;
use super::tally::{Tally, Ticket};
use crate::primitive::atomic::Ordering;
use core::cell::Cell;
use core::panic::AssertUnwindSafe;
use crossbeam_epoch::{Atomic, Guard, Owned, unprotected};
use crossbeam_utils::CachePadded;
use std::panic::catch_unwind;

pub(super) struct Shelf {
    head: CachePadded<Atomic<Node>>,
    tail: CachePadded<Atomic<Node>>,
}

/// How long it may take to destroy a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bulk {
    /// A microsecond or two, in code of this crate that takes no lock and no guard: a reader may do it as it unpins.
    Small,
    /// Longer, or nobody knows how long.
    Large,
}

/// What a thread may destroy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// What is small, once it may go.
    Small,
    /// What may go.
    Any,
    /// Everything: no guard can be left in the process.
    Everything,
}

/// A value that waits, and what for.
struct Node {
    /// Belongs to whoever has moved `head` here, and is touched by nobody else once the node is in the queue.
    value: Cell<Option<Box<dyn Send>>>,
    bulk: Bulk,
    ticket: Ticket,
    pins: Vec<Pin>,
    next: Atomic<Node>,
}

impl Node {
    fn is_fit(&self, fit: Fit, readers: &Readers) -> bool {
        match fit {
            Fit::Small => self.bulk == Bulk::Small && self.may_go(readers),
            Fit::Any => self.may_go(readers),
            Fit::Everything => true,
        }
    }

    fn may_go(&self, readers: &Readers) -> bool {
        self.pins.iter().all(|pin| readers.is_over(pin))
    }
}

impl Shelf {
    pub(super) fn new() -> Self {
        let empty = Node {
            value: Cell::new(None),
            bulk: Bulk::Small,
            ticket: Ticket::default(),
            pins: Vec::new(),
            next: Atomic::null(),
        };
        // SAFETY: nobody else has the queue yet.
        let node = Owned::new(empty).into_shared(unsafe { unprotected() });
        Self { head: CachePadded::new(Atomic::from(node)), tail: CachePadded::new(Atomic::from(node)) }
    }

    /// Takes a value in, to go when `pins` are over. `pin` is one of this shelf's collector, as in all calls here.
    pub(super) fn put(&self, value: Box<dyn Send>, bulk: Bulk, ticket: Ticket, pins: Vec<Pin>, pin: &Guard) {
        let node = Owned::new(Node { value: Cell::new(Some(value)), bulk, ticket, pins, next: Atomic::null() });
        let node = node.into_shared(pin);
        loop {
            // Acquire, of both: pairs with the Release of whoever put the node there: it is seen as made.
            let tail = self.tail.load(Ordering::Acquire, pin);
            // SAFETY: never null; a node that was reachable under `pin`, and so is not freed before it drops: `take` hands a node to the collector
            // after `tail` has left it.
            let last = unsafe { tail.deref() };
            let next = last.next.load(Ordering::Acquire, pin);
            let is_last = next.is_null();
            // Release: pairs with the Acquires above and in `take`. Relaxed on failure: the loop looks again.
            if is_last && last.next.compare_exchange(next, node, Ordering::Release, Ordering::Relaxed, pin).is_err() {
                continue;
            }
            // If it fails, somebody else has moved it on.
            let new_tail = if is_last { node } else { next };
            let _ = self.tail.compare_exchange(tail, new_tail, Ordering::Release, Ordering::Relaxed, pin);
            if is_last {
                return;
            }
        }
    }

    /// Destroys the oldest value, if it is fit. Says whether it has. `pin` makes a pin.
    pub(super) fn destroy_one(&self, fit: Fit, tally: &Tally, readers: &Readers, pin: impl FnOnce() -> Guard) -> bool {
        let pin = pin();
        let Some(node) = self.take(&pin, |node| node.is_fit(fit, readers)) else { return false };
        let (value, ticket, blocked_until) = (node.value.take(), node.ticket, readers.last_end(&node.pins));
        // A value may pin as it goes. That pin must be the outermost, and make its fence.
        drop(pin);
        let _ = catch_unwind(AssertUnwindSafe(move || drop(value)));
        tally.item_destroyed(ticket, blocked_until);
        true
    }

    /// Moves everything to another shelf, where it may go at once. `theirs` is a pin of that one's collector.
    pub(super) fn empty_into(&self, other: &Self, pin: &Guard, theirs: &Guard) {
        while let Some(node) = self.take(pin, |_| true) {
            if let Some(value) = node.value.take() {
                other.put(value, node.bulk, node.ticket, Vec::new(), theirs);
            }
        }
    }

    /// Takes the first node with a value off, if it is fit. The caller owns its value.
    fn take<'g>(&self, pin: &'g Guard, is_fit: impl Fn(&Node) -> bool) -> Option<&'g Node> {
        loop {
            // Acquire, of both: pairs with the Release in `put`, and with that below.
            let head = self.head.load(Ordering::Acquire, pin);
            // SAFETY: never null; as in `put`.
            let next = unsafe { head.deref() }.next.load(Ordering::Acquire, pin);
            // SAFETY: null, or a node that `put` has made; reachable under `pin`, and so not freed before it drops.
            let node = unsafe { next.as_ref() }?;
            if !is_fit(node) {
                return None;
            }
            // AcqRel: whoever comes next sees the node as it is. Relaxed on failure: the loop looks again.
            if self.head.compare_exchange(head, next, Ordering::AcqRel, Ordering::Relaxed, pin).is_err() {
                continue;
            }
            // Before the old head goes, `tail` must have left it. Relaxed: it only ever moves on, and was there when `next` was put at the earliest.
            let tail = self.tail.load(Ordering::Relaxed, pin);
            if tail == head {
                let _ = self.tail.compare_exchange(tail, next, Ordering::Release, Ordering::Relaxed, pin);
            }
            // SAFETY: neither `head` nor `tail` leads to it any more, and one thread has moved `head`: it is given up once. It holds no value.
            unsafe { pin.defer_destroy(head) };
            return Some(node);
        }
    }
}

// SAFETY: a node is shared by the threads that look at the queue. All of it is `Sync` but the value, which is `Send`, and one thread at a time touches:
// its maker, and then the one that moved `head` to the node.
unsafe impl Sync for Node {}

impl Drop for Shelf {
    fn drop(&mut self) {
        // SAFETY: `&mut self`: nobody looks at the queue, so no pin is needed.
        let pin = unsafe { unprotected() };
        let mut node = self.head.load(Ordering::Relaxed, pin);
        while !node.is_null() {
            // SAFETY: reachable from `head`, so not given to the collector; and each is taken here once.
            let owned = unsafe { node.into_owned() };
            node = owned.next.load(Ordering::Relaxed, pin);
        }
    }
}
