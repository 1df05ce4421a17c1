//! Delivers packets to a receiver, one after the other, and counts what becomes of them.
//!
//! Whatever a receiver refuses, it must leave as it was (P8): that is checked here for every packet.

use std::time::Instant;

use keyflip::{Error, Guard, Inbound, Profile};
use rand_chacha::ChaCha8Rng;

use crate::board::{Board, Counts, Promise};
use crate::feed::{Wire, unprotect};
use crate::forge::forged;

/// Delivers on one thread. Books its counts when it is dropped.
pub struct Courier<'b> {
    /// What it saw so far.
    pub counts: Counts,
    board: &'b Board,
    unprotect_ns: Vec<u64>,
    /// Packets are unprotected in here, in place.
    packet: Vec<u8>,
}

impl<'b> Courier<'b> {
    /// A courier that has delivered nothing yet.
    pub fn new(board: &'b Board) -> Self {
        Self { counts: Counts::default(), board, unprotect_ns: Vec::new(), packet: Vec::new() }
    }

    /// Where it books.
    pub const fn board(&self) -> &'b Board {
        self.board
    }

    /// Delivers a packet for the first time; returns the plain one.
    ///
    /// # Errors
    ///
    /// The receiver's refusal.
    pub fn deliver(&mut self, inbound: &Inbound, guard: &Guard<'_>, wire: Wire<'_>) -> Result<&[u8], Error> {
        self.counts.packets += 1;
        let (ns, len) = self.attempt(inbound, guard, wire);
        self.unprotect_ns.push(ns);
        len.map(|len| self.packet.get(..len).unwrap_or_default())
    }

    /// Delivers a packet that was accepted before.
    pub fn replay(&mut self, inbound: &Inbound, guard: &Guard<'_>, wire: Wire<'_>) {
        self.counts.replays_attempted += 1;
        if self.attempt(inbound, guard, wire).1.is_ok() {
            self.counts.replays_accepted += 1;
            self.board.broke(Promise::P5, format_args!("{} packet accepted a second time", wire.kind));
        }
    }

    /// Delivers a forgery of a packet.
    pub fn forge(
        &mut self,
        inbound: &Inbound,
        guard: &Guard<'_>,
        genuine: Wire<'_>,
        profile: Profile,
        rng: &mut ChaCha8Rng,
    ) {
        self.counts.forged_attempted += 1;
        let packet = forged(genuine, profile, rng);
        if self.attempt(inbound, guard, Wire { octets: &packet, ..genuine }).1.is_ok() {
            self.counts.forged_accepted += 1;
            self.board.broke(Promise::P8, format_args!("forged {} packet accepted under {profile}", genuine.kind));
        }
    }

    /// Delivers a copy. Nanoseconds of the call, and the length of the plain packet.
    fn attempt(&mut self, inbound: &Inbound, guard: &Guard<'_>, wire: Wire<'_>) -> (u64, Result<usize, Error>) {
        self.packet.clear();
        self.packet.extend_from_slice(wire.octets);
        let began = Instant::now();
        let verdict = unprotect(inbound, guard, wire.kind, &mut self.packet).map(|plain| plain.len());
        let took = began.elapsed();
        if let Err(error) = verdict
            && self.packet != wire.octets
        {
            self.board.broke(Promise::P8, format_args!("{} packet refused ({error}) and changed", wire.kind));
        }
        (u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), verdict)
    }
}

impl Drop for Courier<'_> {
    fn drop(&mut self) {
        self.board.book(self.counts, &self.unprotect_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::side::Kind;
    use keyflip::{Domain, MasterKey, Roc, Session};
    use rand::SeedableRng;

    /// A receiver that believes everything: forgeries, and what was never a replay.
    fn gullible(domain: &Domain) -> Inbound {
        let session = Session::builder(Profile::NullWithoutAuthentication);
        let inbound = session.inbound(MasterKey::take(&mut [1; 30])).build(domain).unwrap().inbound().clone();
        inbound.add_stream(0, Roc(0)).unwrap();
        inbound
    }

    #[test]
    fn a_forgery_and_a_replay_that_are_accepted_break_their_promises() {
        let (domain, board) = (Domain::new(), Board::new(1).unwrap());
        let inbound = gullible(&domain);
        let guard = domain.pin();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut packet = [0; 200];
        packet[0] = 0x80;
        let wire = Wire { kind: Kind::Rtp, octets: &packet };
        let mut courier = Courier::new(&board);
        courier.replay(&inbound, &guard, wire);
        assert_eq!((courier.counts.replays_attempted, courier.counts.replays_accepted), (1, 1));
        courier.replay(&inbound, &guard, wire);
        assert_eq!((courier.counts.replays_attempted, courier.counts.replays_accepted), (2, 1));
        // A flipped payload bit under the number of a replay is one; under a fresh number it gets through.
        while courier.counts.forged_accepted == 0 {
            courier.forge(&inbound, &guard, wire, Profile::Aes128CmSha1_80, &mut rng);
        }
        drop(courier);
        let (counts, _, broken) = board.read().unwrap();
        assert!(counts.forged_attempted >= counts.forged_accepted);
        let promises: Vec<_> = broken.iter().map(|broken| broken.promise).collect();
        assert_eq!(promises, [Promise::P5, Promise::P8]);
    }
}
