//! A place that is wiped whole.

use core::mem::{ManuallyDrop, size_of};
use core::ops::{Deref, DerefMut};
use core::ptr;
use core::sync::atomic::{Ordering, compiler_fence};

/// Holds a value, and overwrites every octet of its place when it is dropped.
///
/// A value that wipes itself wipes its fields. A move into its place may have carried more than them: what was on the stack where an enum has a larger
/// variant, or padding.
pub(crate) struct Wiped<T>(ManuallyDrop<T>);

impl<T> Wiped<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(ManuallyDrop::new(value))
    }
}

impl<T> Deref for Wiped<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Wiped<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> Drop for Wiped<T> {
    fn drop(&mut self) {
        // SAFETY: it is dropped here, once, and not touched as a `T` from here on: `self` is being dropped.
        unsafe { ManuallyDrop::drop(&mut self.0) };
        let place = ptr::from_mut(&mut self.0).cast::<u8>();
        for offset in 0..size_of::<T>() {
            // SAFETY: `offset` is within the place, which is this call's alone.
            let octet = unsafe { place.add(offset) };
            // SAFETY: as before; any octet may be written, since no value is there any more.
            unsafe { ptr::write_volatile(octet, 0) };
        }
        // The place may be freed next: not before it is wiped.
        compiler_fence(Ordering::SeqCst);
    }
}
