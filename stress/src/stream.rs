//! One synthetic stream: what is sent, what is in flight, and what becomes of it.

use std::collections::VecDeque;

use anyhow::{Context, Result};
use keyflip::{Error, Guard};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::board::{Board, Counts, Promise};
use crate::courier::Courier;
use crate::feed::Wire;
use crate::packets::{rtcp, rtp};
use crate::pair::Pair;
use crate::race::race;
use crate::side::Kind;

/// Packets of a stream that are in flight at a time.
const BATCH: usize = 16;

/// How many accepted packets are kept for replays: well within every window.
const RECENT: usize = 48;

/// How many of a batch are raced at a time; the others are delivered in the usual way.
const RACE: usize = 8;

/// One in this many packets is RTCP.
const RTCP: u32 = 8;

/// A packet on its way.
pub(crate) struct Packet {
    pub(crate) kind: Kind,
    pub(crate) plain: Vec<u8>,
    wire: Vec<u8>,
    /// Of the key it was protected under, where that is known for certain.
    pub(crate) generation: Option<u64>,
}

impl Packet {
    pub(crate) fn wire(&self) -> Wire<'_> {
        Wire { kind: self.kind, octets: &self.wire }
    }
}

/// How a stream behaves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner {
    /// Packets arrive in order. Else a few of them change places.
    pub(crate) in_order: bool,
    /// How many forgeries and as many replays come with each packet; at 0, one with every eighth.
    pub(crate) attacks: u32,
}

/// One SSRC.
pub(crate) struct Stream {
    manner: Manner,
    ssrc: u32,
    seq: u16,
    rng: ChaCha8Rng,
    /// Protected last, not to be delivered yet.
    sent: Vec<Packet>,
    /// To be delivered.
    in_flight: VecDeque<Packet>,
    /// Delivered last.
    recent: VecDeque<Packet>,
    /// One that was delivered long ago.
    old: Option<Packet>,
}

impl Stream {
    pub(crate) fn new(ssrc: u32, manner: Manner, mut rng: ChaCha8Rng) -> Self {
        // Half of them are soon to wrap.
        let seq = if rng.random() { rng.random_range(0xf000..=0xffff) } else { rng.random() };
        Self {
            manner,
            ssrc,
            seq,
            rng,
            sent: Vec::new(),
            in_flight: VecDeque::new(),
            recent: VecDeque::new(),
            old: None,
        }
    }

    /// Protects the next batch; the one before is in flight from now on.
    pub(crate) fn send(&mut self, pair: &Pair) -> Result<()> {
        let mut batch = self.batch(pair)?;
        // A little out of order, but for the beginning: a receiver that knows no rollover counter must see it first.
        if !self.sent.is_empty() && !self.manner.in_order {
            batch.shuffle(&mut self.rng);
        }
        self.in_flight.extend(self.sent.drain(..));
        self.sent = batch;
        Ok(())
    }

    /// Protects a batch that the caller delivers by other means.
    pub(crate) fn batch(&mut self, pair: &Pair) -> Result<Vec<Packet>> {
        (0..BATCH).map(|_| self.protect(pair)).collect()
    }

    fn protect(&mut self, pair: &Pair) -> Result<Packet> {
        let rng = &mut self.rng;
        let outbound = &pair.outbound;
        let (kind, plain, overhead) = if rng.random_ratio(1, RTCP) {
            (Kind::Rtcp, rtcp(self.ssrc, rng), outbound.rtcp_overhead())
        } else {
            let plain = rtp(self.ssrc, self.seq, pair.headers, rng);
            self.seq = self.seq.wrapping_add(1);
            (Kind::Rtp, plain, outbound.rtp_overhead())
        };
        let mut wire = plain.clone();
        wire.resize(plain.len() + overhead, 0);
        let guard = outbound.domain().pin();
        let (protected, generation) = pair.in_generation(|| match kind {
            Kind::Rtp => outbound.protect_rtp(&guard, &mut wire, plain.len()),
            Kind::Rtcp => outbound.protect_rtcp(&guard, &mut wire, plain.len()),
        });
        let len = protected.with_context(|| format!("the sender refuses an {kind} packet under {}", pair.profile))?;
        wire.truncate(len);
        Ok(Packet { kind, plain, wire, generation })
    }

    /// Delivers what is in flight, and replays and forgeries between.
    pub(crate) fn deliver(&mut self, board: &Board, pair: &Pair) {
        self.deliver_with(board, pair, |_| ());
    }

    /// The same, but calls `after` after each packet, with the guard under which it was received. If it panics, the
    /// packets after it stay in flight.
    pub(crate) fn deliver_with(&mut self, board: &Board, pair: &Pair, mut after: impl FnMut(&Guard<'_>)) {
        let mut courier = Courier::new(board);
        let inbound = &pair.inbound;
        // One guard for the batch, as a server has it for what it read from a socket.
        let guard = inbound.domain().pin();
        while let Some(packet) = self.in_flight.pop_front() {
            for _ in 0..self.attacks() {
                courier.forge(inbound, &guard, packet.wire(), pair.profile, &mut self.rng);
            }
            let in_grace = pair.is_behind(packet.generation);
            let verdict = courier.deliver(inbound, &guard, packet.wire()).map(|plain| plain == packet.plain);
            note(&mut courier.counts, board, pair, packet.kind, in_grace, verdict);
            self.keep(packet);
            for _ in 0..self.attacks() {
                if let Some(packet) = self.delivered() {
                    courier.replay(inbound, &guard, packet.wire());
                }
            }
            after(&guard);
        }
    }

    /// How many attacks of a kind come now.
    fn attacks(&mut self) -> u32 {
        match self.manner.attacks {
            0 => u32::from(self.rng.random_ratio(1, 8)),
            attacks => attacks,
        }
    }

    /// Puts in flight what was sent last: nothing is sent after it.
    pub(crate) fn end(&mut self) {
        self.in_flight.extend(self.sent.drain(..));
    }

    /// Delivers some of what was sent last on two threads at once.
    pub(crate) fn race(&mut self, board: &Board, pair: &Pair) {
        let packets: Vec<_> = self.sent.drain(..self.sent.len().min(RACE)).collect();
        let wires: Vec<_> = packets.iter().map(Packet::wire).collect();
        let in_grace: Vec<_> = packets.iter().map(|packet| pair.is_behind(packet.generation)).collect();
        let finishes = race(board, &pair.inbound, &wires);
        let mut counts = Counts::default();
        for ((packet, in_grace), plain) in packets.into_iter().zip(in_grace).zip(finishes) {
            // One that was lost is on the board already.
            if let Some(plain) = plain {
                note(&mut counts, board, pair, packet.kind, in_grace, Ok(plain == packet.plain));
            }
            self.keep(packet);
        }
        board.book(counts, &[]);
    }

    /// Keeps a delivered packet, to be replayed.
    fn keep(&mut self, packet: Packet) {
        self.recent.push_back(packet);
        if self.recent.len() > RECENT {
            let leaving = self.recent.pop_front();
            if self.old.is_none() || self.rng.random_ratio(1, 1000) {
                self.old = leaving;
            }
        }
    }

    /// A packet that was delivered before: mostly one of the last.
    fn delivered(&mut self) -> Option<&Packet> {
        if self.rng.random_ratio(1, 8) && self.old.is_some() {
            return self.old.as_ref();
        }
        let any = self.rng.random_range(0..self.recent.len().max(1));
        self.recent.get(any)
    }
}

/// Notes what became of a genuine packet; `verdict` says whether its plaintext is right.
fn note(counts: &mut Counts, board: &Board, pair: &Pair, kind: Kind, in_grace: bool, verdict: Result<bool, Error>) {
    let profile = pair.profile;
    match verdict {
        Ok(true) => counts.delivered_in_grace += u64::from(in_grace),
        Ok(false) => {
            counts.mismatched_plaintexts += 1;
            board.broke(Promise::P1, format_args!("{kind} packet under {profile} decrypted to something else"));
        }
        Err(error) => {
            counts.lost_to_rekey += 1;
            board.broke(Promise::P1, format_args!("genuine {kind} packet under {profile} refused: {error}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyflip::{Domain, Grace, Profile};
    use rand::SeedableRng;

    #[test]
    fn a_wrong_plaintext_and_a_lost_packet_are_noted_as_broken() {
        let (domain, board, mut counts) = (Domain::new(), Board::new(1).unwrap(), Counts::default());
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let pair = Pair::new(&domain, Profile::AeadAes128Gcm, 0, Grace::default(), rng).unwrap();
        note(&mut counts, &board, &pair, Kind::Rtp, true, Ok(true));
        note(&mut counts, &board, &pair, Kind::Rtp, true, Ok(false));
        note(&mut counts, &board, &pair, Kind::Rtp, true, Err(Error::AuthenticationFailed));
        assert_eq!((counts.delivered_in_grace, counts.mismatched_plaintexts, counts.lost_to_rekey), (1, 1, 1));
        let (.., broken) = board.read().unwrap();
        assert_eq!(broken.iter().map(|broken| broken.promise).collect::<Vec<_>>(), [Promise::P1; 2]);
    }

    #[test]
    fn keys_do_not_turn_while_packets_of_the_generation_before_are_in_flight() {
        let (domain, board) = (Domain::new(), Board::new(1).unwrap());
        let rng = &mut ChaCha8Rng::seed_from_u64(2);
        let pair = Pair::new(&domain, Profile::Aes128CmSha1_80, 0, Grace::default(), rng).unwrap();
        let mut stream = Stream::new(1, Manner::default(), ChaCha8Rng::seed_from_u64(3));
        pair.note_sending(0);
        stream.send(&pair).unwrap();
        assert!(pair.turn(rng).unwrap());
        assert!(!pair.turn(rng).unwrap(), "what was sent under the first key is in flight");
        stream.end();
        stream.deliver(&board, &pair);
        pair.note_sending(0);
        pair.note_delivered(0);
        assert!(pair.turn(rng).unwrap());
        let (counts, _, broken) = board.read().unwrap();
        assert_eq!((counts.packets, counts.delivered_in_grace, counts.lost_to_rekey), (16, 16, 0));
        assert_eq!(broken, []);
    }
}
