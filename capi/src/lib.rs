//! The C interface: what is in `include/keyflip.h`, which cbindgen makes of these files.
//!
//! Reading order: `boundary` (panics and pointers), `handles` (what a number names), then the calls, in the header's order: `info`, `profile`, `domain`, `event`,
//! `session`, `key`, `key_list`, `stream`, `packet`, `batch`, `fanout`, `dtls`, `sdes`.
//!
//! Their documentation is the header's, so it speaks of C.

#![allow(non_camel_case_types)] // Types have the names that C knows them by.
#![allow(clippy::missing_safety_doc)] // What a caller has to keep is the same for all, and stands at the head of the header.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable)
)]

mod apart;
mod batch;
mod boundary;
mod domain;
mod dtls;
mod error;
mod error_table;
mod event;
mod fanout;
mod handles;
mod info;
mod key;
mod key_list;
mod packet;
mod profile;
mod sdes;
mod session;
mod sized;
mod stream;

pub use batch::*;
pub use domain::*;
pub use dtls::*;
pub use error::*;
pub use event::*;
pub use fanout::*;
pub use info::*;
pub use key::*;
pub use key_list::*;
pub use packet::*;
pub use profile::*;
pub use sdes::*;
pub use session::*;
pub use stream::*;
