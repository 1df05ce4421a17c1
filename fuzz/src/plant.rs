//! The positive control: a mistake in each target, of the kind it is there to find.
//!
//! A target that never fails shows nothing. With the mistake planted, the same target must fail: on its corpus (`tests/corpora.rs`), and, with the
//! environment variable `KEYFLIP_FUZZ_PLANT=1`, when libFuzzer starts from nothing (`run.sh control`). The mistakes are in this package, none is in
//! the library:
//!
//! | target | mistake |
//! |---|---|
//! | `batch` | in a batch whose third packet is refused, an octet before the first packet is changed |
//! | `headers` | the parser it is compared with forgets that a header extension has a header of its own |
//! | `unprotect` | a packet that is refused as a replay is changed in its last octet |
//! | `differential` | an octet of every AEAD packet with a header extension is wrong |
//! | `sdes` | the reader takes the lifetime `2^n` for `n` |
//! | `double` | the reader takes every noted marker for one that was not set |
//! | `extensions` | the reader believes that Cryptex gives no empty extension to a packet with CSRCs |
//! | `blob` | a session that moved should accept everything again |
//! | `model` | the model believes that the end of the grace leaves one key in it |

use std::cell::Cell;

/// The environment variable that plants the mistakes.
pub const VARIABLE: &str = "KEYFLIP_FUZZ_PLANT";

thread_local! {
    static PLANTED: Cell<bool> = Cell::new(std::env::var_os(VARIABLE).is_some_and(|value| value == "1"));
}

/// Whether the mistakes are planted in this thread.
#[must_use]
pub fn is_on() -> bool {
    PLANTED.get()
}

/// Calls `f` with the mistakes planted.
pub fn planted<R>(f: impl FnOnce() -> R) -> R {
    let before = PLANTED.replace(true);
    let result = f();
    PLANTED.set(before);
    result
}
