//! What every call does where it comes in: panics end here, and pointers become references, or errors.
//!
//! A pointer from C cannot be proved good. What can be seen to be wrong is an error: null, misaligned, too long to exist. The rest is the caller's word:
//! that so many octets are there, and that nobody else changes them meanwhile. Each `SAFETY` comment that says "the caller's word" means this.

use crate::error::keyflip_err;
use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

pub(crate) type Outcome<T> = Result<T, keyflip_err>;

/// Runs a call. No panic passes.
#[inline]
pub(crate) fn call(body: impl FnOnce() -> Outcome<i32>) -> i32 {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => error.code(),
        Err(_) => keyflip_err::Internal.code(),
    }
}

/// The outcome of a call on a packet: its new length.
pub(crate) fn length(result: keyflip::Result<usize>) -> Outcome<i32> {
    // No packet is longer than `MAX_PACKET_LEN` and a trailer.
    i32::try_from(result?).map_err(|_| keyflip_err::Internal)
}

/// # Errors
///
/// [`keyflip_err::NullPointer`], [`keyflip_err::Misaligned`], [`keyflip_err::BadLength`] if no such array can be.
#[inline]
pub(crate) fn check<T>(pointer: *const T, count: usize) -> Outcome<()> {
    if pointer.is_null() {
        return Err(keyflip_err::NullPointer);
    }
    if !pointer.is_aligned() {
        return Err(keyflip_err::Misaligned);
    }
    let octets = count.checked_mul(size_of::<T>()).filter(|octets| isize::try_from(*octets).is_ok());
    octets.and_then(|octets| pointer.addr().checked_add(octets)).map(drop).ok_or(keyflip_err::BadLength)
}

/// `count` values at `pointer`, which may be null if there are none.
///
/// # Safety
///
/// The caller's word: they are there, are valid as a `T`, and nobody changes them for `'a`.
#[inline]
pub(crate) unsafe fn slice<'a, T>(pointer: *const T, count: usize) -> Outcome<&'a [T]> {
    if count == 0 {
        return Ok(&[]);
    }
    check(pointer, count)?;
    // SAFETY: not null, aligned, of a length that can be; the rest is the caller's word.
    Ok(unsafe { core::slice::from_raw_parts(pointer, count) })
}

/// `count` values at `pointer`, which may be null if there are none, to be changed.
///
/// # Safety
///
/// As [`slice`]; and nobody else reads them for `'a`.
#[inline]
pub(crate) unsafe fn slice_mut<'a, T>(pointer: *mut T, count: usize) -> Outcome<&'a mut [T]> {
    if count == 0 {
        return Ok(&mut []);
    }
    check(pointer, count)?;
    // SAFETY: as in `slice`.
    Ok(unsafe { core::slice::from_raw_parts_mut(pointer, count) })
}

/// The value at `pointer`.
///
/// # Safety
///
/// As [`slice`].
pub(crate) unsafe fn reference<'a, T>(pointer: *const T) -> Outcome<&'a T> {
    check(pointer, 1)?;
    // SAFETY: as in `slice`.
    Ok(unsafe { &*pointer })
}

/// The value at `pointer`, or none where it is null.
///
/// # Safety
///
/// As [`slice`].
pub(crate) unsafe fn optional<'a, T>(pointer: *const T) -> Outcome<Option<&'a T>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: as in `slice`, by the word of this function's caller.
    unsafe { reference(pointer) }.map(Some)
}

/// Writes a result of a call.
///
/// # Safety
///
/// As [`slice_mut`], but that nothing need be there yet.
pub(crate) unsafe fn put<T>(pointer: *mut T, value: T) -> Outcome<()> {
    check(pointer, 1)?;
    // SAFETY: not null and aligned; that it may be written is the caller's word.
    unsafe { pointer.write(value) };
    Ok(())
}

/// Refuses a place for a result before anything is done.
pub(crate) fn can_put<T>(pointer: *mut T) -> Outcome<()> {
    check(pointer, 1)
}

/// A C string.
///
/// # Safety
///
/// The caller's word: it ends with a zero, and nobody changes it for `'a`.
pub(crate) unsafe fn text<'a>(pointer: *const core::ffi::c_char) -> Outcome<&'a str> {
    check(pointer, 1)?;
    // SAFETY: not null; that it ends is the caller's word.
    let text = unsafe { core::ffi::CStr::from_ptr(pointer) };
    text.to_str().map_err(|_| keyflip_err::BadText)
}

/// Whether `len` octets at `one` and `other_len` at `other` have any in common.
pub(crate) fn overlap(one: *const u8, len: usize, other: *const u8, other_len: usize) -> bool {
    let (one, other) = (one.addr(), other.addr());
    len > 0 && other_len > 0 && one < other.saturating_add(other_len) && other < one.saturating_add(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ptr;

    #[test]
    fn no_panic_crosses() {
        assert_eq!(call(|| Ok(7)), 7);
        assert_eq!(call(|| Err(keyflip_err::BadHandle)), -501);
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        assert_eq!(call(|| panic!("planted")), keyflip_err::Internal.code());
        std::panic::set_hook(hook);
    }

    #[test]
    fn what_can_be_seen_to_be_wrong_of_a_pointer_is_an_error() {
        let words = [1u64, 2];
        let at = words.as_ptr();
        assert_eq!(check(at, 2), Ok(()));
        assert_eq!(check(ptr::null::<u64>(), 1), Err(keyflip_err::NullPointer));
        assert_eq!(check(at.wrapping_byte_add(1), 1), Err(keyflip_err::Misaligned));
        assert_eq!(check(at, usize::MAX), Err(keyflip_err::BadLength));
        assert_eq!(check(at, usize::MAX / 8), Err(keyflip_err::BadLength));
        assert_eq!(check(ptr::without_provenance::<u8>(usize::MAX - 4), 8), Err(keyflip_err::BadLength));
        // SAFETY: nothing is read.
        assert_eq!(unsafe { slice(ptr::null::<u64>(), 0) }, Ok(&[][..]));
    }

    #[test]
    fn ranges_that_touch_do_not_overlap() {
        let octets = [0u8; 10];
        let at = |offset| &raw const octets[offset];
        assert!(overlap(at(0), 5, at(4), 5));
        assert!(overlap(at(4), 1, at(0), 10));
        assert!(!overlap(at(0), 5, at(5), 5));
        assert!(!overlap(at(3), 0, at(0), 10));
    }
}
