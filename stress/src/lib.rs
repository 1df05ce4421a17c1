//! Hammers the library: captured and synthetic SRTP traffic on every core, while the keys turn.
//!
//! ```text
//!   NAME.pcap ──► datagrams ──┐
//!                             ├──► side::Capture ──► feed ──► (Inbound) ──► oracle
//!   NAME.json ──► side::Side ─┘                        │
//!                                                      ├──► captures_once   each capture once, in order
//!   random packets ──► (Outbound) ──► (Inbound) ───────┴──► scenarios       all at once, with rekeys
//!                                                                │
//!                                            couriers, races ──► board ──► report
//! ```
//!
//! Reading order:
//!
//! 1. The input: [`datagrams`] turns a capture file into UDP datagrams (and datagrams into a capture file), [`side`]
//!    reads the JSON beside it and pairs each datagram with what must become of it, [`oracle`] compares that with what
//!    did. These three do not know the library under test: the expectations come from independent senders and are worth
//!    something only while they stay independent.
//! 2. The hands: [`feed`] makes the receiver that a side file asks for, [`courier`] delivers single packets, genuine,
//!    replayed and [forged](forge), and [`race`] delivers one packet on two threads at once. What they see goes to
//!    the [`board`].
//!    Synthetic traffic is made of packets in streams, which go through pairs of a sender and a receiver that turn their
//!    keys together; a call is two pairs, and hangs on a line from which the control side may take it.
//! 3. The scenarios: [`scenarios`] is the list of them, [`lanes`] what they run on; [`runner`] runs one and judges it,
//!    [`report`] is what comes out. [`feats`], [`memory`] and [`pace`] help their control sides.
//! 4. Beside them stand [`captures_once`] and [`replay_file`], which judge and decrypt capture files without any
//!    stress. [`cli`] ties all of it together.

#![forbid(unsafe_code)]

pub mod board;
mod call;
pub mod captures_once;
pub mod cli;
pub mod courier;
pub mod datagrams;
pub mod feats;
pub mod feed;
pub mod forge;
mod headers;
pub mod keys;
pub mod lanes;
pub mod memory;
pub mod oracle;
pub mod pace;
mod packets;
mod pair;
pub mod progress;
pub mod race;
pub mod replay_file;
pub mod report;
pub mod runner;
pub mod scenarios;
pub mod settings;
pub mod side;
mod stream;
