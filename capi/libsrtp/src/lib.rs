//! libsrtp2's interface on Keyflip's core: what programs that were written for libsrtp2 call, without a changed line.
//!
//! Reading order: `abi` (layouts and numbers), `policy` (what a policy asks for), `setters`, `sessions` (what a `srtp_t` names), `control` (streams and their keys),
//! `packets` (protect and unprotect), `mki` (packets whose call and policy differ in MKIs), `events`, `misc`.
//!
//! 1. A `srtp_t` carries a handle, a number that is checked: any call on a session that is gone is `bad_param`.
//! 2. Any function may be called from any thread at any time.
//! 3. A packet that is refused is untouched.

#![allow(non_camel_case_types)] // Types have the names that C knows them by.
#![allow(clippy::missing_safety_doc)] // What a caller has to keep is what libsrtp2 asks: pointers are good for what they say.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable)
)]

pub mod abi;
mod control;
mod directions;
mod events;
mod misc;
mod mki;
mod packets;
mod policy;
mod sessions;
mod setters;

pub use control::*;
pub use events::*;
pub use misc::*;
pub use packets::*;
pub use setters::*;
