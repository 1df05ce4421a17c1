//! Where master keys come from: what DTLS-SRTP and SDES hand over, made into master keys and a session.
//!
//! Signalling is the application's. Here are the parts that touch keys, or that go wrong in ways that only show as silence: formats, lengths, orders.

pub mod dtls;
pub mod sdes;
