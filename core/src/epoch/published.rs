//! One value that many read and few replace.

use super::domain::{Domain, DomainId};
use super::guard::Guard;
use super::shelf::Bulk;
use crate::error::{Error, Result};
use crate::primitive::atomic::Ordering;
use crossbeam_epoch::{Atomic, Owned};

/// A pointer to an immutable value, replaced whole.
pub(crate) struct Published<T: Send + Sync + 'static> {
    domain: DomainId,
    /// Never null.
    pointer: Atomic<T>,
}

impl<T: Send + Sync + 'static> Published<T> {
    pub(crate) fn new(domain: &Domain, value: T) -> Self {
        Self { domain: domain.id(), pointer: Atomic::new(value) }
    }

    /// The value as of now. The reference is bound to the guard and to `self`: it outlives neither.
    ///
    /// # Errors
    ///
    /// [`Error::ForeignGuard`] if the guard pins another domain.
    #[inline(always)]
    pub(crate) fn load<'g>(&'g self, guard: &'g Guard<'_>) -> Result<&'g T> {
        let pin = guard.of(self.domain).ok_or(Error::ForeignGuard)?;
        // Acquire: pairs with the Release half of the swap in `replace`, so that the value is seen as its maker left it.
        let shared = self.pointer.load(Ordering::Acquire, pin);
        // SAFETY: never null (made from a value, replaced by values). The pin is of this structure's collector (invariant 1), and what
        // `replace` takes out is retired under it (invariant 3), so the value outlives the guard, to which the reference is bound.
        Ok(unsafe { shared.deref() })
    }

    /// Publishes `value`, then retires the one before it, whose bulk is told: readers see the one or the other, never neither.
    ///
    /// # Errors
    ///
    /// [`Error::ForeignGuard`] if the guard pins another domain.
    pub(crate) fn replace(&self, value: T, bulk: Bulk, guard: &Guard<'_>) -> Result<()> {
        let pin = guard.of(self.domain).ok_or(Error::ForeignGuard)?;
        // AcqRel: Release pairs with the Acquire in `load`; Acquire pairs with the Release of the replacement before this one, whose
        // value is dropped here in the end.
        let old = self.pointer.swap(Owned::new(value), Ordering::AcqRel, pin);
        // SAFETY: `old` came out of this structure, which alone pointed to it, so nobody else will take ownership (invariant 2). It is
        // dropped only after every reader that can see it has unpinned.
        let old = unsafe { old.into_owned() };
        guard.retire_replaced(old.into_box(), bulk);
        Ok(())
    }
}

impl<T: Send + Sync + 'static> Drop for Published<T> {
    fn drop(&mut self) {
        let last = core::mem::replace(&mut self.pointer, Atomic::null());
        // SAFETY: `&mut self`: nobody is inside a call, and what `load` gave out was bound to a borrow of `self`. So the value has one owner,
        // this one, and may go at once.
        drop(unsafe { last.try_into_owned() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_reader_keeps_what_it_loaded_while_it_is_replaced() {
        let domain = Domain::without_reclaimer();
        let value = Arc::new(1u32);
        let published = Published::new(&domain, Arc::clone(&value));
        let guard = domain.pin();
        let seen = published.load(&guard).unwrap();
        published.replace(Arc::new(2), Bulk::Small, &guard).unwrap();
        assert_eq!(domain.reclaim(), 1);
        assert_eq!((**seen, **published.load(&guard).unwrap()), (1, 2));
        assert_eq!(Arc::strong_count(&value), 2);
        drop(guard);
        assert_eq!(domain.reclaim(), 0);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn a_foreign_guard_is_refused() {
        let (ours, theirs) = (Domain::without_reclaimer(), Domain::without_reclaimer());
        let published = Published::new(&ours, 1u32);
        let guard = theirs.pin();
        assert_eq!(published.load(&guard), Err(Error::ForeignGuard));
        assert_eq!(published.replace(2, Bulk::Small, &guard), Err(Error::ForeignGuard));
        assert_eq!(*published.load(&ours.pin()).unwrap(), 1);
    }

    #[test]
    fn dropping_it_drops_the_value_at_once() {
        let domain = Domain::without_reclaimer();
        let value = Arc::new(());
        drop(Published::new(&domain, Arc::clone(&value)));
        assert_eq!(Arc::strong_count(&value), 1);
    }
}
