//! Target `unprotect`: genuine packets, altered ones and any octets, delivered in any order.
//!
//! 1. Two receivers that do the same, one in place and one between buffers, always agree: in the verdict, in the octets, in their state.
//! 2. A refusal changes neither buffer nor state, nor what is accepted later: a third receiver, that gets the accepted packets alone, agrees to the end.
//! 3. What is accepted was protected: protecting the result again, at its index, gives the packet back, octet for octet. If it is one of those that were
//!    protected here, the result is what was protected. It is accepted once.
//! 4. A genuine packet that is ahead of its stream is accepted.

use crate::Case;
use crate::ends::{Room, open, seal};
use crate::input::{Form, Octets, Protocol, Setup};
use crate::packet::Shape;
use crate::reader;
use crate::state::{Shown, State};
use arbitrary::Arbitrary;
use keyflip::{Domain, Inbound, Profile, Roc, Session, SessionBuilder, SrtcpEncryption};
use std::collections::{BTreeMap, BTreeSet};

/// The input.
#[derive(Arbitrary, Clone, Debug)]
pub struct Deliveries<'a> {
    setup: Setup<'a>,
    /// SRTP is sent in the clear.
    clear_srtp: bool,
    /// SRTCP is sent in the clear, and accepted so.
    clear_srtcp: bool,
    /// Replay windows beyond 64 packets.
    wider: u8,
    steps: Vec<Step<'a>>,
}

/// What happens next.
#[derive(Arbitrary, Clone, Debug)]
enum Step<'a> {
    /// A packet is protected, to be delivered or not.
    Send { protocol: Protocol, source: u8, ahead: i16, shape: Shape },
    /// A packet that was protected comes in, perhaps altered, perhaps as one of the other protocol.
    Deliver { which: u8, edits: Vec<Edit<'a>>, crossed: bool, form: Form },
    /// These octets come in.
    Octets { protocol: Protocol, octets: Octets<'a> },
}

/// A change to a packet. Places are taken modulo its length.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Edit<'a> {
    Flip {
        at: u16,
        bit: u8,
    },
    Set {
        at: u16,
        to: u8,
    },
    /// From the end: where the trailer is.
    FlipLast {
        at: u8,
        bit: u8,
    },
    Cut {
        octets: u8,
    },
    Append {
        octets: Octets<'a>,
    },
    /// Octets of another packet that was protected, at the same place.
    Copy {
        from: u8,
        at: u16,
        len: u8,
    },
}

/// The sources of this target. The last is for the packet that must be accepted at the end.
const SOURCES: [u32; 5] = [1, 0x8000_0000, 0xdead_beef, 0xffff_ffff, 0x0bad_cafe];
const LAST: u32 = SOURCES[4];

/// A packet that was protected.
struct Sent {
    protocol: Protocol,
    ssrc: u32,
    index: u64,
    plain: Vec<u8>,
    sealed: Vec<u8>,
}

impl<'a> Case<'a> for Deliveries<'a> {
    fn check(&self) {
        let mut world = World::new(self);
        for step in &self.steps {
            match step {
                Step::Send { protocol, source, ahead, shape } => {
                    world.send(*protocol, SOURCES[usize::from(*source) % 4], i64::from(*ahead), *shape);
                }
                Step::Deliver { which, edits, crossed, form } => world.deliver(*which, edits, *crossed, *form),
                Step::Octets { protocol, octets } => {
                    // Without authentication, a packet of a new source is refused for that alone.
                    let _ = world.receive(*protocol, octets.0, Form::InPlace);
                }
            }
        }
        world.end();
    }
}

struct World<'c, 'a> {
    case: &'c Deliveries<'a>,
    domain: Domain,
    outbound: keyflip::Outbound,
    in_place: Inbound,
    between: Inbound,
    /// Gets nothing but what the others accept.
    spared: Inbound,
    next_seq: BTreeMap<u32, u64>,
    sent: Vec<Sent>,
    accepted: BTreeSet<(Protocol, Vec<u8>)>,
}

impl<'c, 'a> World<'c, 'a> {
    fn new(case: &'c Deliveries<'a>) -> Self {
        let domain = Domain::without_reclaimer();
        let key = || case.setup.key(0).master();
        let receiver = || {
            let session = case.builder().inbound(key()).build(&domain).expect("a good policy");
            let inbound = session.inbound().clone();
            if !case.profile().is_authenticated() {
                SOURCES.iter().for_each(|&ssrc| inbound.add_stream(ssrc, Roc(0)).expect("a new stream"));
            }
            inbound
        };
        let outbound = case.builder().outbound(key()).build(&domain).expect("a good policy").outbound().clone();
        let (in_place, between, spared) = (receiver(), receiver(), receiver());
        let (next_seq, sent, accepted) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        Self { case, domain, outbound, in_place, between, spared, next_seq, sent, accepted }
    }

    fn send(&mut self, protocol: Protocol, ssrc: u32, ahead: i64, shape: Shape) -> Option<usize> {
        let next = self.next_seq.entry(ssrc).or_insert(0);
        let index = next.saturating_add_signed(ahead);
        let plain = match protocol {
            Protocol::Rtp => shape.rtp(ssrc, (index % 0x1_0000) as u16),
            Protocol::Rtcp => shape.rtcp(ssrc),
        };
        // Refused if it was sent before, or is too far behind.
        let sealed = seal(&self.outbound, protocol, Form::InPlace, Room::Spare(0), &plain).ok()?;
        let track = self.outbound.state().track(ssrc, protocol).expect("the stream of a packet that was sent");
        let highest = track.0.expect("the index of a packet that was sent");
        let index = match protocol {
            Protocol::Rtp => {
                *next = highest + 1;
                reader::nearest(protocol, Some(highest), 0, index % 0x1_0000)
            }
            Protocol::Rtcp => highest,
        };
        self.sent.push(Sent { protocol, ssrc, index, plain, sealed });
        Some(self.sent.len() - 1)
    }

    fn deliver(&mut self, which: u8, edits: &[Edit<'_>], crossed: bool, form: Form) {
        // Counted from the newest.
        let Some(at) = self.sent.len().checked_sub(1 + usize::from(which)) else { return };
        let mut packet = self.sent[at].sealed.clone();
        for edit in edits.iter().take(4) {
            self.edit(&mut packet, *edit);
        }
        let protocol = match (self.sent[at].protocol, crossed) {
            (Protocol::Rtp, false) | (Protocol::Rtcp, true) => Protocol::Rtp,
            (Protocol::Rtp, true) | (Protocol::Rtcp, false) => Protocol::Rtcp,
        };
        let ahead = packet == self.sent[at].sealed && !crossed && self.is_ahead(&self.sent[at]);
        let accepted = self.receive(protocol, &packet, form);
        assert!(accepted || !ahead, "a genuine packet was refused");
    }

    fn edit(&self, packet: &mut Vec<u8>, edit: Edit<'_>) {
        let len = packet.len();
        match edit {
            Edit::Flip { at, bit } if len > 0 => packet[usize::from(at) % len] ^= 1 << (bit % 8),
            Edit::Set { at, to } if len > 0 => packet[usize::from(at) % len] = to,
            Edit::FlipLast { at, bit } if len > 0 => packet[len - 1 - usize::from(at) % len] ^= 1 << (bit % 8),
            Edit::Cut { octets } => packet.truncate(len.saturating_sub(usize::from(octets))),
            Edit::Append { octets } => packet.extend(octets.0),
            Edit::Copy { from, at, len } => {
                let other = &self.sent[usize::from(from) % self.sent.len()].sealed;
                let places = packet.iter_mut().zip(other).skip(usize::from(at) % other.len());
                places.take(usize::from(len)).for_each(|(to, from)| *to = *from);
            }
            _ => {}
        }
    }

    /// Whether a genuine packet is so far ahead of its stream that there is no doubt about it, and no further than its index can be told.
    fn is_ahead(&self, sent: &Sent) -> bool {
        let Some((highest, ..)) = self.in_place.state().track(sent.ssrc, sent.protocol) else {
            return sent.index >> 16 == 0;
        };
        highest.map_or(sent.index >> 16 == 0, |highest| sent.index > highest && sent.index - highest < 0x8000)
    }

    /// Delivers to the receivers; returns whether they accepted.
    fn receive(&mut self, protocol: Protocol, packet: &[u8], form: Form) -> bool {
        let before = self.in_place.state();
        let form = if form == Form::Between { Form::InPlace } else { form };
        let opened = open(&self.in_place, protocol, form, packet, 0);
        let other = open(&self.between, protocol, Form::Between, packet, 3);
        assert_eq!(opened, other, "in place and between buffers disagree");
        let after = self.in_place.state();
        assert_eq!(after, self.between.state(), "in place and between buffers leave different state");
        match opened {
            Err(error) => {
                after.check_refused(&before, &format!("{error:?}"));
                false
            }
            Ok(plain) => {
                self.check_accepted(protocol, packet, &plain, &before);
                assert_eq!(
                    open(&self.spared, protocol, form, packet, 0).as_ref(),
                    Ok(&plain),
                    "refused packets made a difference"
                );
                assert_eq!(
                    after.but_refusals(),
                    self.spared.state().but_refusals(),
                    "refused packets made a difference"
                );
                true
            }
        }
    }

    /// Invariant 3.
    fn check_accepted(&mut self, protocol: Protocol, packet: &[u8], plain: &[u8], before: &State) {
        let genuine = self.sent.iter().find(|sent| sent.protocol == protocol && sent.sealed == packet);
        if let Some(sent) = genuine {
            assert!(sent.plain == plain, "not what was protected");
        }
        let profile = self.case.profile();
        let parts = reader::parts(profile, protocol, self.case.setup.mki_len(), packet).expect("a well-formed packet");
        assert!(parts.plain.len() == plain.len(), "the plain packet has another length");
        if profile.is_authenticated() {
            assert!(self.accepted.insert((protocol, packet.to_vec())), "accepted twice");
        }
        if protocol == Protocol::Rtcp && parts.encrypted && !reader::encrypts(profile) {
            // Accepted as it is; a sender without a cipher clears the flag.
            return;
        }
        let (highest, cycle) = before.track(parts.head.ssrc, protocol).map_or((None, 0), |track| (track.0, track.1));
        let index = reader::nearest(protocol, highest, cycle.into(), parts.low.into());
        let encryption = if parts.encrypted { SrtcpEncryption::Required } else { SrtcpEncryption::Off };
        let sender = self.case.builder().srtcp_encryption(encryption).outbound(self.case.setup.key(0).master());
        let sender = sender.build(&self.domain).expect("a good policy");
        let (roc, srtcp_index) = if protocol == Protocol::Rtp { ((index >> 16) as u32, 0) } else { (0, parts.low) };
        sender.outbound().add_stream(parts.head.ssrc, Roc(roc), srtcp_index).expect("a new stream");
        let again = seal(sender.outbound(), protocol, Form::Between, Room::Spare(0), plain);
        assert_eq!(again.as_deref(), Ok(packet), "a packet was accepted that protecting it again does not give");
    }

    /// Every packet that was protected is delivered once more, and a new one, which must be accepted.
    fn end(&mut self) {
        for at in 0..self.sent.len().min(16) {
            let (protocol, sealed) = (self.sent[at].protocol, self.sent[at].sealed.clone());
            let (here, spared) = (self.in_place.clone(), self.spared.clone());
            if self.receive(protocol, &sealed, Form::Autopin) {
                continue;
            }
            let verdicts = [here, spared].map(|inbound| open(&inbound, protocol, Form::InPlace, &sealed, 0));
            assert_eq!(verdicts[0], verdicts[1], "refused packets made a difference");
            // Counted at one receiver more than at the other.
            let _ = open(&self.between, protocol, Form::Between, &sealed, 0);
        }
        for protocol in [Protocol::Rtp, Protocol::Rtcp] {
            let at = self.send(protocol, LAST, 0, Shape::default()).expect("a new stream");
            let sealed = self.sent[at].sealed.clone();
            // Without authentication somebody may have been there before.
            let ahead = self.is_ahead(&self.sent[at]);
            assert!(ahead || !self.case.profile().is_authenticated());
            assert!(self.receive(protocol, &sealed, Form::InPlace) || !ahead, "a genuine packet was refused");
        }
    }
}

impl Deliveries<'_> {
    fn profile(&self) -> Profile {
        self.setup.profile.0
    }

    fn builder(&self) -> SessionBuilder {
        let window = 64 + u32::from(self.wider);
        let mut builder = Session::builder(self.profile()).replay_window(window).srtcp_replay_window(window);
        if self.clear_srtp {
            builder = builder.unencrypted_srtp();
        }
        if self.clear_srtcp {
            builder = builder.srtcp_encryption(SrtcpEncryption::Off);
        }
        builder
    }
}
