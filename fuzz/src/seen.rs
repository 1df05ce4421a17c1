//! Which refusals were met, so that a corpus can be asked whether it reaches all it should.

use keyflip::{Error, Result};
use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt::Debug;

thread_local! {
    static SEEN: RefCell<HashSet<Error>> = RefCell::default();
}

/// Notes how a call to Keyflip ended.
pub fn note<T>(result: &Result<T>) {
    if let Err(error) = result {
        SEEN.with_borrow_mut(|seen| seen.insert(*error));
    }
}

/// Keyflip's answer is the one that is expected.
///
/// # Panics
///
/// If it is not.
#[track_caller]
pub fn agree<T: Debug + PartialEq>(answer: Result<T>, expected: Result<T>) {
    note(&answer);
    assert_eq!(answer, expected);
}

/// The refusals met by this thread since the last call.
#[must_use]
pub fn take() -> HashSet<Error> {
    SEEN.take()
}
