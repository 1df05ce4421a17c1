//! Structures that grow: their first field is their size, so programs built with an older or newer header still fit.

use crate::boundary::Outcome;
use crate::error::keyflip_err;

/// A structure of C whose first field is `size_t size`.
///
/// # Safety
///
/// It is `repr(C)`, begins with a `usize`, has no padding before its end that matters, and any octets, all zero included, are a valid value.
pub(crate) unsafe trait Grows: Copy {}

/// A larger structure than this is a mistake.
const LARGEST: usize = 4096;

/// # Errors
///
/// [`keyflip_err::NullPointer`], [`keyflip_err::Misaligned`], [`keyflip_err::BadSize`].
fn size_at(pointer: *const usize) -> Outcome<usize> {
    // SAFETY: the caller's word, who gave a structure of this kind.
    let size = *unsafe { crate::boundary::reference(pointer) }?;
    if (size_of::<usize>()..=LARGEST).contains(&size) { Ok(size) } else { Err(keyflip_err::BadSize) }
}

/// What a structure says of its own size.
///
/// # Errors
///
/// As [`size_at`].
///
/// # Safety
///
/// The caller's word: it is a structure of this kind.
pub(crate) unsafe fn size<T: Grows>(pointer: *const T) -> Outcome<usize> {
    size_at(pointer.cast())
}

/// Reads a structure: fields that its maker did not know of are zero.
///
/// # Errors
///
/// As [`size_at`]; [`keyflip_err::UnknownFields`] if fields are set that are not known here.
///
/// # Safety
///
/// The caller's word: as many octets are there as its first field says.
pub(crate) unsafe fn read<T: Grows>(pointer: *const T) -> Outcome<T> {
    let size = size_at(pointer.cast())?;
    // SAFETY: the caller's word.
    let octets = unsafe { crate::boundary::slice(pointer.cast::<u8>(), size) }?;
    if octets.iter().skip(size_of::<T>()).any(|octet| *octet != 0) {
        return Err(keyflip_err::UnknownFields);
    }
    let mut value = core::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: both have so many octets, and they are apart: one was just made here.
    unsafe { core::ptr::copy_nonoverlapping(octets.as_ptr(), value.as_mut_ptr().cast(), size.min(size_of::<T>())) };
    // SAFETY: all of it is initialized, and any octets are a `T`.
    Ok(unsafe { value.assume_init() })
}

/// Writes a structure, as much of it as its maker knows; the rest of a newer one becomes zero. The size field stays.
///
/// # Errors
///
/// As [`size_at`].
///
/// # Safety
///
/// The caller's word: as many octets are there, to be written, as its first field says.
pub(crate) unsafe fn write<T: Grows>(pointer: *mut T, value: &T) -> Outcome<()> {
    let size = size_at(pointer.cast())?;
    // SAFETY: the caller's word.
    let octets = unsafe { crate::boundary::slice_mut(pointer.cast::<u8>(), size) }?;
    // SAFETY: a value read as octets. Its kind has no padding that matters: what is there was written by this library.
    let from = unsafe { core::slice::from_raw_parts(core::ptr::from_ref(value).cast::<u8>(), size_of::<T>()) };
    let start = size_of::<usize>();
    let known = size.min(size_of::<T>());
    if let (Some(to), Some(from)) = (octets.get_mut(start..known), from.get(start..known)) {
        to.copy_from_slice(from);
    }
    if let Some(newer) = octets.get_mut(known..) {
        newer.fill(0);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Now {
        size: usize,
        old: u64,
        new: u64,
    }

    // SAFETY: integers, the first of which is the size.
    unsafe impl Grows for Now {}

    #[test]
    fn older_and_newer_structures_are_read() {
        let read = |words: &[usize]| {
            // SAFETY: as many words as the first says.
            unsafe { super::read(words.as_ptr().cast::<Now>()) }
        };
        assert_eq!(read(&[24, 7, 8]), Ok(Now { size: 24, old: 7, new: 8 }));
        assert_eq!(read(&[16, 7]), Ok(Now { size: 16, old: 7, new: 0 }));
        assert_eq!(read(&[32, 7, 8, 0]), Ok(Now { size: 32, old: 7, new: 8 }));
        assert_eq!(read(&[32, 7, 8, 1]), Err(keyflip_err::UnknownFields));
        assert_eq!(read(&[0, 7, 8]), Err(keyflip_err::BadSize));
        assert_eq!(read(&[5000, 7, 8]), Err(keyflip_err::BadSize));
    }

    #[test]
    fn no_more_is_written_than_there_is_room_for() {
        let write = |words: &mut [usize]| {
            let value = Now { size: 24, old: 7, new: 8 };
            // SAFETY: as many words as the first says.
            unsafe { super::write(words.as_mut_ptr().cast::<Now>(), &value) }
        };
        let mut words = [16, 1, 2, 3];
        assert_eq!((write(&mut words), words), (Ok(()), [16, 7, 2, 3]));
        let mut words = [32, 1, 2, 3];
        assert_eq!((write(&mut words), words), (Ok(()), [32, 7, 8, 0]));
        assert_eq!(write(&mut [1, 1, 1, 1]), Err(keyflip_err::BadSize));
    }
}
