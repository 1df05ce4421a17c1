//! The participants of rooms: they make the packets that arrive, and turn their keys when the server does.

use super::mix::{Kind, Mix, PARTICIPANTS};
use crate::compare::keys::Keys;
use crate::compare::ours;
use crate::compare::slots::Slots;
use crate::{packet, set_seq};
use anyhow::Result;
use keyflip::{Domain, Outbound, Profile};
use keyflip_interop::{Direction, Protocol};
use std::rc::Rc;

/// The numbers of keys that are turned to begin here.
const TURNED: u64 = 1 << 40;

/// A key that the server turns.
pub(crate) struct Turn {
    pub(crate) participant: usize,
    pub(crate) direction: Direction,
    pub(crate) keys: Keys,
}

/// Participants, and what is on its way from them.
pub(crate) struct Feed {
    profile: Profile,
    mix: Rc<Mix>,
    domain: Domain,
    senders: Vec<Outbound>,
    /// The next sequence numbers of each participant's audio and layers of video.
    next: Vec<[u16; 4]>,
    turned: u64,
    packets: Slots,
    /// The turns that follow each batch.
    turns: Vec<Vec<Turn>>,
}

impl Feed {
    /// Participants whose keys have the numbers from `first_key` on.
    pub(crate) fn new(profile: Profile, first_key: u64, mix: Rc<Mix>) -> Result<Self> {
        // Not the server's domain: what these retire is not the server's to destroy.
        let domain = Domain::without_reclaimer();
        let senders =
            (first_key..).take(PARTICIPANTS).map(|number| ours::outbound(&domain, &Keys::new(profile, number)));
        let senders = senders.collect::<Result<_>>()?;
        let packets = mix.input();
        let next = vec![[0; 4]; PARTICIPANTS];
        Ok(Self { profile, mix, domain, senders, next, turned: 0, packets, turns: Vec::new() })
    }

    /// Makes the next cycle's packets, while keys turn so many times.
    pub(crate) fn prepare(&mut self, turns: u32) -> Result<()> {
        let mix = Rc::clone(&self.mix);
        let batches = mix.batches().count();
        self.turns.clear();
        let mut made = 0;
        for (batch, (first, arrivals)) in mix.batches().enumerate() {
            for (n, arrival) in arrivals.iter().enumerate() {
                self.send(first + n, arrival.sender, arrival.kind)?;
            }
            // Evenly spread.
            let by_now = usize::try_from(turns)? * (batch + 1) / batches;
            let due = (made..by_now).map(|_| self.turn()).collect::<Result<_>>()?;
            self.turns.push(due);
            made = by_now;
        }
        self.domain.reclaim();
        Ok(())
    }

    /// Puts a participant's next packet into buffer `n`.
    fn send(&mut self, n: usize, participant: usize, kind: Kind) -> Result<()> {
        let plain = match kind {
            Kind::Audio => rtp(kind, participant, &mut self.next[participant][0]),
            Kind::Video(layer) => rtp(kind, participant, &mut self.next[participant][1 + layer]),
            Kind::Rtcp => rtcp(participant),
        };
        self.packets.put(n, &plain);
        let guard = self.domain.pin();
        let (buffer, len) = self.packets.slot(n);
        let len = match kind.protocol() {
            Protocol::Rtp => self.senders[participant].protect_rtp(&guard, buffer, len)?,
            Protocol::Rtcp => self.senders[participant].protect_rtcp(&guard, buffer, len)?,
        };
        self.packets.set_len(n, len);
        Ok(())
    }

    /// Plans the next turn: of everybody in their order, first what they receive, then what they send.
    fn turn(&mut self) -> Result<Turn> {
        let number = self.turned;
        self.turned += 1;
        let participant = usize::try_from(number)? / 2 % PARTICIPANTS;
        let keys = Keys::new(self.profile, TURNED + number);
        let direction = if number.is_multiple_of(2) { Direction::Send } else { Direction::Receive };
        if direction == Direction::Receive {
            self.senders[participant].rekey(keys.master())?;
        }
        Ok(Turn { participant, direction, keys })
    }

    /// The packets that have come, and the keys that are turned after each batch of them.
    pub(crate) fn arrived(&mut self) -> (&mut Slots, &[Vec<Turn>]) {
        (&mut self.packets, &self.turns)
    }

    pub(crate) fn mix(&self) -> Rc<Mix> {
        Rc::clone(&self.mix)
    }
}

fn rtp(kind: Kind, participant: usize, next: &mut u16) -> Vec<u8> {
    let (mut packet, _) = packet(kind.ssrc(participant), kind.len() - crate::HEADER);
    packet.truncate(kind.len());
    set_seq(&mut packet, *next);
    *next = next.wrapping_add(1);
    packet
}

/// A sender report without blocks, and a source description (RFC 3550 6.4.1 and 6.5).
fn rtcp(participant: usize) -> Vec<u8> {
    let ssrc = Kind::Rtcp.ssrc(participant).to_be_bytes();
    let report = [&[0x80, 200, 0, 6][..], &ssrc, &[7; 20]].concat();
    let description = [&[0x81, 202, 0, 6][..], &ssrc, b"\x01\x0ekeyflip@bench.", &[0; 4]].concat();
    [report, description].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_fills_the_packet_that_the_mix_counts() {
        let packet = rtcp(3);
        assert_eq!(packet.len(), Kind::Rtcp.len());
        let words = |at: usize| 4 * (usize::from(u16::from_be_bytes([packet[at + 2], packet[at + 3]])) + 1);
        assert_eq!(words(0) + words(words(0)), packet.len());
    }
}
