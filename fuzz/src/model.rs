//! Target `model`: any sequence of operations on a sender and a receiver, beside a model that says what each must answer, and what both must show after
//! it: streams, keys, what keys may still protect, refusals by reason.
//!
//! 1. The model ([`direction`]) is single-threaded, keeps sets where Keyflip keeps rings of bits, and lists where it keeps tables.
//! 2. Every answer is expected exactly, errors included.
//! 3. In the end nothing is left: every key that was created is wiped.

mod direction;
mod keys;
mod space;

use crate::Case;
use crate::ends::{Room, open, seal};
use crate::input::{AnyProfile, Form, Key, Octets, Protocol, Setup};
use crate::packet::Shape;
use crate::reader;
use crate::seen::agree;
use crate::state::{Shown, State};
use arbitrary::Arbitrary;
use direction::{Direction, Policy};
use keyflip::{
    Domain, Grace, Inbound, KeyId, KeyLifetime, MasterKey, NewStreams, Outbound, Profile, Rekeyed, Roc, Session,
};

/// The input.
#[derive(Arbitrary, Clone, Debug)]
pub struct Story {
    profile: AnyProfile,
    mki_len: u8,
    policy: Choice,
    steps: Vec<Step>,
}

/// A policy, of both ends. Numbers are taken modulo what they can be.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Choice {
    /// Beyond 64 packets.
    wider: u8,
    wider_srtcp: u8,
    grace_keys: u8,
    grace_packets: Option<u8>,
    max_streams: u8,
    by_call: bool,
    /// Packets of a key's lifetime; few enough that streams lease them one by one.
    lifetime: Option<u8>,
}

/// One of the ends, or both at once.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Sender,
    Receiver,
    Both,
}

/// What happens next.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Step {
    /// A packet is protected; RTP so far ahead of the one before.
    Send {
        protocol: Protocol,
        source: u8,
        ahead: i16,
        shape: Shape,
        form: Form,
    },
    /// As many RTP packets as it takes to come to the next rollover.
    RollOver {
        source: u8,
    },
    /// A packet that was protected comes in: the newest, or one before. Left out, it is lost; named again, it is a duplicate.
    Deliver {
        which: u8,
        form: Form,
    },
    /// It comes in with another tag.
    Forge {
        which: u8,
    },
    Rekey {
        who: Who,
        key: u8,
    },
    EndGrace,
    AddKey {
        key: u8,
    },
    RetireKey {
        key: u8,
    },
    AddStream {
        who: Who,
        source: u8,
        roc: Rollover,
        srtcp_index: u8,
    },
    Remove {
        who: Who,
        source: u8,
    },
    SetRoc {
        who: Who,
        source: u8,
        roc: Rollover,
    },
}

/// Rollover counters of interest.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Rollover {
    Small(u8),
    Large(u8),
    Any(u32),
}

impl Rollover {
    fn value(self) -> u32 {
        match self {
            Self::Small(value) => u32::from(value % 4),
            Self::Large(value) => u32::MAX - u32::from(value % 4),
            Self::Any(value) => value,
        }
    }
}

const SOURCES: [u32; 6] = [1, 2, 0x8000_0000, 0xdead_beef, 0xffff_ffff, 0];
/// Keys, told apart by number. With an MKI of one octet or more, numbers this far apart share it.
const KEYS: u8 = 40;
const MKIS: u8 = 32;
const MKI: [u8; 4] = [0x6d, 0x6b, 0x69, 0];

/// A packet that was protected.
struct Sent {
    protocol: Protocol,
    ssrc: u32,
    index: u64,
    /// The key's number.
    key: u8,
    plain: Vec<u8>,
    sealed: Vec<u8>,
}

impl<'a> Case<'a> for Story {
    fn check(&self) {
        let domain = Domain::without_reclaimer();
        let mut world = World::new(self, &domain);
        for step in &self.steps {
            world.step(*step);
            domain.reclaim();
            world.compare();
        }
        world.compare_rollovers();
        drop(world);
        assert_eq!(domain.reclaim(), 0, "something is never wiped");
        let stats = domain.stats();
        assert_eq!((stats.keys_retired, stats.keys_wiped), (stats.keys_created, stats.keys_created));
    }
}

impl Story {
    /// Without authentication there would be nothing to tell keys and forgeries by.
    fn profile(&self) -> Profile {
        if self.profile.0.is_authenticated() { self.profile.0 } else { Profile::Aes128CmSha1_80 }
    }

    fn mki_len(&self) -> usize {
        [0, 1, 0, MKI.len()][usize::from(self.mki_len % 4)]
    }

    fn key(&self, n: u8) -> MasterKey {
        let profile = AnyProfile(self.profile());
        let setup = Setup { profile, key: Octets(&[]), mki: Octets(&MKI[..self.mki_len()]) };
        let (key, mki) = (setup.key(n), setup.key(n % MKIS).mki);
        Key { mki, ..key }.master()
    }
}

impl Choice {
    fn policy(self, mki: bool) -> Policy {
        let few = self.lifetime.map(|packets| 1 + u64::from(packets % 100));
        let lifetime =
            few.map_or(KeyLifetime::MAX, |packets| KeyLifetime { srtp_packets: packets, srtcp_packets: packets });
        Policy {
            windows: [64 + u64::from(self.wider), 64 + u64::from(self.wider_srtcp)],
            grace_keys: usize::from(self.grace_keys % 16),
            grace_packets: self.grace_packets.map(u64::from),
            max_streams: 1 + usize::from(self.max_streams % 8),
            by_call: self.by_call,
            lifetime,
            mki,
        }
    }
}

struct World<'c> {
    story: &'c Story,
    outbound: Outbound,
    inbound: Inbound,
    sender: Direction,
    receiver: Direction,
    /// The index each source sent last.
    last: [u64; SOURCES.len()],
    sent: Vec<Sent>,
    /// The ids that keys had at the receiver.
    ids: [Option<KeyId>; KEYS as usize],
}

impl<'c> World<'c> {
    fn new(story: &'c Story, domain: &Domain) -> Self {
        let policy = story.policy.policy(story.mki_len() > 0);
        let mut builder = Session::builder(story.profile())
            .replay_window(policy.windows[0] as u32)
            .srtcp_replay_window(policy.windows[1] as u32)
            .max_streams(policy.max_streams)
            .key_lifetime(policy.lifetime);
        if policy.by_call {
            builder = builder.new_streams(NewStreams::ByCall);
        }
        let grace = Grace::keys(policy.grace_keys).expect("at most 15");
        builder = builder.grace(policy.grace_packets.map_or(grace, |packets| grace.until_packets(packets as u16)));
        let key = || story.key(0);
        let session = builder.inbound(key()).outbound(key()).build(domain).expect("a good policy");
        let (outbound, inbound) = (session.outbound().clone(), session.inbound().clone());
        let id = inbound.keys()[0].id;
        let sender = Direction::new(Policy { grace_keys: 0, grace_packets: None, ..policy }, outbound.keys()[0].id);
        let receiver = Direction::new(policy, id);
        let mut ids = [None; KEYS as usize];
        ids[0] = Some(id);
        Self { story, outbound, inbound, sender, receiver, last: [0; SOURCES.len()], sent: Vec::new(), ids }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Send { protocol, source, ahead, shape, form } => {
                let source = usize::from(source) % SOURCES.len();
                let index = self.last[source].saturating_add_signed(i64::from(ahead));
                self.send(protocol, source, index, shape, form);
            }
            Step::RollOver { source } => {
                let source = usize::from(source) % SOURCES.len();
                let next = (self.last[source] >> 16) + 1;
                while self.last[source] >> 16 < next {
                    let ahead = self.last[source] + 0x7fff;
                    self.send(Protocol::Rtp, source, ahead.min(next << 16), Shape::default(), Form::InPlace);
                    if self.last[source] != ahead.min(next << 16) {
                        break;
                    }
                }
            }
            Step::Deliver { which, form } => self.deliver(which, false, form),
            Step::Forge { which } => self.deliver(which, true, Form::InPlace),
            Step::Rekey { who, key } => self.rekey(who, key % KEYS),
            Step::EndGrace => {
                self.receiver.keys.end_grace();
                agree(self.inbound.end_grace(), Ok(()));
            }
            Step::AddKey { key } => self.add_key(key % KEYS),
            Step::RetireKey { key } => {
                let key = key % KEYS;
                if let Some(id) = self.ids[usize::from(key)] {
                    agree(self.inbound.retire_key(id), self.receiver.keys.retire(id));
                }
            }
            Step::AddStream { who, source, roc, srtcp_index } => {
                let (ssrc, roc) = (SOURCES[usize::from(source) % SOURCES.len()], roc.value());
                if who != Who::Receiver {
                    // Close to the wrap, or to the start.
                    let index = (srtcp_index & 0x7f).wrapping_sub(8);
                    let index = if index > 0x7f { (1 << 31) - 1 - u32::from(!index) } else { u32::from(index) };
                    let expected = self.sender.add_stream(ssrc, roc, index.into());
                    agree(self.outbound.add_stream(ssrc, Roc(roc), index), expected);
                }
                if who != Who::Sender {
                    agree(self.inbound.add_stream(ssrc, Roc(roc)), self.receiver.add_stream(ssrc, roc, 0));
                }
            }
            Step::Remove { who, source } => {
                let ssrc = SOURCES[usize::from(source) % SOURCES.len()];
                if who != Who::Receiver {
                    agree(self.outbound.remove_stream(ssrc), self.sender.remove_stream(ssrc));
                }
                if who != Who::Sender {
                    agree(self.inbound.remove_stream(ssrc), self.receiver.remove_stream(ssrc));
                }
            }
            Step::SetRoc { who, source, roc } => {
                let source = usize::from(source) % SOURCES.len();
                let (ssrc, roc) = (SOURCES[source], roc.value());
                if who != Who::Receiver {
                    let expected = self.sender.set_roc(ssrc, roc);
                    agree(self.outbound.set_roc(ssrc, Roc(roc)), expected);
                    if expected.is_ok() {
                        self.last[source] = self.last[source] & 0xffff | u64::from(roc) << 16;
                    }
                }
                if who != Who::Sender {
                    agree(self.inbound.set_roc(ssrc, Roc(roc)), self.receiver.set_roc(ssrc, roc));
                }
            }
        }
    }

    fn send(&mut self, protocol: Protocol, source: usize, index: u64, shape: Shape, form: Form) {
        let ssrc = SOURCES[source];
        let low = index & 0xffff;
        let plain = match protocol {
            Protocol::Rtp => shape.rtp(ssrc, low as u16),
            Protocol::Rtcp => shape.rtcp(ssrc),
        };
        let expected = self.sender.send(protocol, ssrc, low);
        let sealed = seal(&self.outbound, protocol, form, Room::Spare(0), &plain);
        match (sealed, expected) {
            (Ok(sealed), Ok((index, key))) => {
                if protocol == Protocol::Rtp {
                    self.last[source] = index;
                }
                self.sent.push(Sent { protocol, ssrc, index, key, plain, sealed });
            }
            (sealed, expected) => {
                assert_eq!(sealed.map(drop), expected.map(drop), "to send {protocol:?} {ssrc:08x} {low}");
            }
        }
    }

    fn deliver(&mut self, which: u8, forged: bool, form: Form) {
        let Some(at) = self.sent.len().checked_sub(1 + usize::from(which)) else { return };
        let sent = &self.sent[at];
        let mut packet = sent.sealed.clone();
        if forged {
            let parts = reader::parts(self.story.profile(), sent.protocol, self.story.mki_len(), &packet);
            packet[parts.expect("a protected packet").tag.start] ^= 1;
        }
        let expected = self.receiver.receive(sent.protocol, sent.ssrc, sent.index, sent.key, forged);
        let opened = open(&self.inbound, sent.protocol, form, &packet, 0);
        let expected = expected.map(|()| sent.plain.clone());
        assert_eq!(opened, expected, "{:?} {:08x} {}", sent.protocol, sent.ssrc, sent.index);
    }

    fn rekey(&mut self, who: Who, key: u8) {
        if who != Who::Receiver {
            let rekeyed = self.outbound.rekey(self.story.key(key));
            let id = rekeyed.as_ref().map(|rekeyed| rekeyed.key()).ok();
            let switched = rekeyed.map(|rekeyed| matches!(rekeyed, Rekeyed::Switched(_)));
            agree(switched, self.sender.rekey(key, id));
        }
        if who != Who::Sender {
            let rekeyed = self.inbound.rekey(self.story.key(key));
            let id = rekeyed.as_ref().map(|rekeyed| rekeyed.key()).ok();
            let switched = rekeyed.map(|rekeyed| matches!(rekeyed, Rekeyed::Switched(_)));
            agree(switched, self.receiver.rekey(key, id));
            self.ids[usize::from(key)] = id.or(self.ids[usize::from(key)]);
        }
    }

    fn add_key(&mut self, key: u8) {
        let added = self.inbound.add_key(self.story.key(key));
        let id = added.ok();
        agree(added.map(drop), self.receiver.keys.add(key, id));
        self.ids[usize::from(key)] = id.or(self.ids[usize::from(key)]);
    }

    /// All that the directions show is what the model says.
    fn compare(&self) {
        let exact = |state: State| if self.story.policy.lifetime.is_some() { state } else { state.but_leases() };
        assert_eq!(exact(self.outbound.state()), exact(self.sender.state()), "sender");
        assert_eq!(exact(self.inbound.state()), exact(self.receiver.state()), "receiver");
    }

    fn compare_rollovers(&self) {
        for ssrc in SOURCES {
            assert_eq!(self.outbound.roc(ssrc).map(|roc| roc.0), self.sender.roc(ssrc));
            assert_eq!(self.inbound.roc(ssrc).map(|roc| roc.0), self.receiver.roc(ssrc));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story(choice: Choice, steps: &[Step]) -> Story {
        Story { profile: AnyProfile(Profile::AeadAes128Gcm), mki_len: 1, policy: choice, steps: steps.to_vec() }
    }

    const SMALL: Choice = Choice {
        wider: 0,
        wider_srtcp: 0,
        grace_keys: 1,
        grace_packets: None,
        max_streams: 1,
        by_call: false,
        lifetime: Some(20),
    };

    fn send(protocol: Protocol) -> Step {
        Step::Send { protocol, source: 0, ahead: 1, shape: Shape::default(), form: Form::InPlace }
    }

    #[test]
    fn the_last_srtcp_index_is_followed_by_refusals_that_cost_nothing() {
        let add = Step::AddStream { who: Who::Sender, source: 0, roc: Rollover::Small(0), srtcp_index: 7 };
        let rekey = Step::Rekey { who: Who::Both, key: 1 };
        story(SMALL, &[add, send(Protocol::Rtcp), send(Protocol::Rtcp), rekey, send(Protocol::Rtcp)]).check();
    }
}
