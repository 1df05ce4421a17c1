//! What the stress binary is fed with: captured SRTP traffic, and the judge of what a receiver makes of it.
//!
//! ```text
//!   NAME.pcap ──► datagrams ──┐
//!                             ├──► side::Capture ──► (the receiver under test) ──► oracle
//!   NAME.json ──► side::Side ─┘
//! ```
//!
//! Reading order: [`datagrams`] turns a capture file into UDP datagrams (and datagrams into a capture file), [`side`]
//! reads the JSON beside it and pairs each datagram with what must become of it, [`oracle`] compares that with what
//! did.
//!
//! Nothing here knows the library under test: the expectations come from independent senders and are worth something
//! only while they stay independent.

#![forbid(unsafe_code)]

pub mod datagrams;
pub mod oracle;
pub mod side;
