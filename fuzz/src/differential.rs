//! Target `differential`: Keyflip and libsrtp get the same packets, as senders and as receivers.
//!
//! 1. Both senders refuse, or both put the same octets on the wire. Both receivers refuse, or both give the same packet back. Reasons are not compared.
//! 2. What they are known to differ in (`keyflip_interop::libsrtp` says why) is kept out of their way, or left to Keyflip:
//!    - libsrtp counts SRTCP from 1: so does Keyflip here, by call;
//!    - libsrtp does not look at the version: what is not version 2 goes to Keyflip alone, which must refuse it;
//!    - libsrtp forgets at a rekey which sequence numbers were used: what Keyflip refuses for that is not sent;
//!    - libsrtp has no grace, and takes a key again as a new one: neither happens here;
//!    - under GCM libsrtp goes by the E flag of each SRTCP packet, so Keyflip may too; under a NULL cipher it refuses a set one, authentic or not;
//!    - libsrtp does not find the MKI of SRTCP where SRTP has the shorter tag: such packets are not delivered;
//!    - the replay window of libsrtp's SRTCP is 128 packets, and its SRTCP index ends where Keyflip's receivers let it wrap: a source that has come
//!      half way there is left to Keyflip.

use crate::Case;
use crate::ends::{Room, open, seal};
use crate::input::{Form, Octets, Protocol, Setup};
use crate::packet::Shape;
use crate::reader;
use crate::state::Shown;
use crate::{input, plant};
use arbitrary::Arbitrary;
use keyflip::{Domain, Error, Grace, Inbound, Outbound, Profile, Rekeyed, Roc, Session, SrtcpEncryption};
use keyflip_interop::{Direction, Peer, PeerConfig, PeerKind, PeerProfile};
use std::collections::BTreeSet;

/// The input.
#[derive(Arbitrary, Clone, Debug)]
pub struct Exchange<'a> {
    setup: Setup<'a>,
    /// SRTP's replay window: 64 packets, or up to four times as many.
    window: u8,
    steps: Vec<Step<'a>>,
}

/// What happens next.
#[derive(Arbitrary, Clone, Debug)]
enum Step<'a> {
    Rtp {
        source: u8,
        ahead: i16,
        shape: Shape,
    },
    Rtcp {
        source: u8,
        shape: Shape,
    },
    /// These octets are to be protected.
    Plain {
        protocol: Protocol,
        octets: Octets<'a>,
    },
    /// A packet that was protected comes in, with so many bits flipped.
    Deliver {
        which: u8,
        flips: Vec<(u16, u8)>,
    },
    /// It comes in without its last octets.
    Cut {
        which: u8,
        octets: u8,
    },
    /// These octets come in.
    Wire {
        protocol: Protocol,
        octets: Octets<'a>,
    },
    /// All change to the next key.
    Rekey,
}

const SOURCES: [u32; 3] = [1, 0x8000_0000, 0xdead_beef];

impl<'a> Case<'a> for Exchange<'a> {
    fn check(&self) {
        let Some(mut world) = World::new(self) else { return };
        for step in &self.steps {
            match step {
                Step::Rtp { source, ahead, shape } => world.send_rtp(*source, *ahead, *shape),
                Step::Rtcp { source, shape } => {
                    world.send(Protocol::Rtcp, &shape.rtcp(SOURCES[usize::from(*source) % 3]));
                }
                Step::Plain { protocol, octets } => world.send(*protocol, octets.0),
                Step::Deliver { which, flips } => world.deliver(*which, |packet| {
                    for (at, bit) in flips.iter().take(4) {
                        let at = usize::from(*at) % packet.len();
                        packet[at] ^= 1 << (bit % 8);
                    }
                }),
                Step::Cut { which, octets } => {
                    world.deliver(*which, |packet| packet.truncate(packet.len().saturating_sub(usize::from(*octets))));
                }
                Step::Wire { protocol, octets } => world.receive(*protocol, octets.0),
                Step::Rekey => world.rekey(),
            }
        }
    }
}

/// The peer's name of a profile, if it speaks it.
fn peer_profile(profile: Profile) -> Option<PeerProfile> {
    let named = |peer: &PeerProfile| peer.sdes_name() == profile.name() && PeerKind::Libsrtp.supports(*peer);
    PeerProfile::ALL.into_iter().find(named)
}

struct World<'c, 'a> {
    setup: &'c Setup<'a>,
    domain: Domain,
    outbound: Outbound,
    inbound: Inbound,
    sender: Box<dyn Peer>,
    receiver: Box<dyn Peer>,
    /// Sources known to Keyflip's sender.
    known: BTreeSet<u32>,
    /// What the senders agreed on.
    sent: Vec<(Protocol, Vec<u8>)>,
    key: u8,
    takes_mki_of_srtcp: bool,
}

impl<'c, 'a> World<'c, 'a> {
    /// `None` if libsrtp does not speak the profile.
    fn new(case: &'c Exchange<'a>) -> Option<Self> {
        let setup = &case.setup;
        let profile = peer_profile(setup.profile.0)?;
        let window = 64 * (1 + usize::from(case.window % 4));
        let key = setup.key(0);
        let config = PeerConfig { window, ..PeerConfig::new(profile, &key.key, &key.salt, Direction::Send) };
        let config = config.with_mki(&key.mki);
        let open = |direction| PeerKind::Libsrtp.open(&config.facing(direction)).expect("a session");
        let domain = Domain::without_reclaimer();
        let builder = || Session::builder(setup.profile.0).replay_window(window as u32).grace(Grace::NONE);
        let encryption =
            if reader::is_aead(setup.profile.0) { SrtcpEncryption::Off } else { SrtcpEncryption::Required };
        let inbound = builder().srtcp_replay_window(128).srtcp_encryption(encryption).inbound(key.master());
        Some(Self {
            setup,
            outbound: builder().outbound(key.master()).build(&domain).expect("a good policy").outbound().clone(),
            inbound: inbound.build(&domain).expect("a good policy").inbound().clone(),
            domain,
            sender: open(Direction::Send),
            receiver: open(Direction::Receive),
            known: BTreeSet::new(),
            sent: Vec::new(),
            key: 0,
            takes_mki_of_srtcp: key.mki.is_empty()
                || PeerKind::Libsrtp.mki_support(profile, keyflip_interop::Protocol::Rtcp, Direction::Receive).is_ok(),
        })
    }

    fn send_rtp(&mut self, source: u8, ahead: i16, shape: Shape) {
        let ssrc = SOURCES[usize::from(source) % 3];
        let highest = self.outbound.state().track(ssrc, Protocol::Rtp).and_then(|track| track.0);
        let index = highest.map_or(0, |highest| highest + 1).saturating_add_signed(ahead.into());
        self.send(Protocol::Rtp, &shape.rtp(ssrc, (index % 0x1_0000) as u16));
    }

    fn send(&mut self, protocol: Protocol, plain: &[u8]) {
        if let Ok(head) = reader::head(protocol, plain)
            && self.known.insert(head.ssrc)
        {
            self.outbound.add_stream(head.ssrc, Roc(0), 1).expect("a new source");
        }
        let mut ours = seal(&self.outbound, protocol, Form::InPlace, Room::Spare(0), plain);
        if matches!(ours, Err(Error::UnsupportedVersion)) || self.key > 0 && ours == Err(Error::IndexReused) {
            return;
        }
        if let (true, Ok(sealed)) = (plant::is_on() && reader::is_aead(self.setup.profile.0), &mut ours)
            && protocol == Protocol::Rtp
            && sealed[0] & 0x10 != 0
        {
            sealed[12] ^= 1;
        }
        let theirs = self.sender.protect(peers(protocol), plain);
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => {
                assert!(ours == theirs, "other octets on the wire:\nKeyflip {ours:02x?}\nlibsrtp {theirs:02x?}");
                self.sent.push((protocol, ours));
            }
            (Err(_), Err(_)) => {}
            (ours, theirs) => panic!("to protect, Keyflip {:?}, libsrtp {:?}", ours.map(drop), theirs.map(drop)),
        }
    }

    fn deliver(&mut self, which: u8, change: impl FnOnce(&mut Vec<u8>)) {
        let Some(at) = self.sent.len().checked_sub(1 + usize::from(which)) else { return };
        let (protocol, mut packet) = self.sent[at].clone();
        change(&mut packet);
        self.receive(protocol, &packet);
    }

    fn receive(&mut self, protocol: Protocol, packet: &[u8]) {
        if protocol == Protocol::Rtcp && !self.is_specified_alike(packet) {
            return;
        }
        let ours = open(&self.inbound, protocol, Form::InPlace, packet, 0);
        let theirs = self.receiver.unprotect(peers(protocol), packet);
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => {
                assert!(ours == theirs, "other octets:\nKeyflip {ours:02x?}\nlibsrtp {theirs:02x?}");
            }
            (Err(_), Err(_)) => {}
            (ours, theirs) => panic!("to unprotect, Keyflip {:?}, libsrtp {:?}", ours.map(drop), theirs.map(drop)),
        }
    }

    /// Whether an SRTCP packet is one that the receivers must agree on.
    fn is_specified_alike(&self, packet: &[u8]) -> bool {
        const HALF_WAY: u64 = 1 << 30;
        let profile = self.setup.profile.0;
        let Ok(parts) = reader::parts(profile, Protocol::Rtcp, self.setup.mki_len(), packet) else { return true };
        let highest = self.inbound.state().track(parts.head.ssrc, Protocol::Rtcp).and_then(|track| track.0);
        self.takes_mki_of_srtcp
            && (reader::encrypts(profile) || !parts.encrypted)
            && highest.is_none_or(|highest| highest < HALF_WAY)
    }

    fn rekey(&mut self) {
        // Each key once.
        let Some(next) = self.key.checked_add(1) else { return };
        self.key = next;
        let key = self.setup.key(next);
        for rekeyed in [self.outbound.rekey(key.master()), self.inbound.rekey(key.master())] {
            assert!(matches!(rekeyed, Ok(Rekeyed::Switched(_))), "{rekeyed:?}");
        }
        self.domain.reclaim();
        for peer in [&mut self.sender, &mut self.receiver] {
            peer.rekey(&key.key, &key.salt, &key.mki).expect("a key of the same lengths");
        }
    }
}

fn peers(protocol: input::Protocol) -> keyflip_interop::Protocol {
    match protocol {
        Protocol::Rtp => keyflip_interop::Protocol::Rtp,
        Protocol::Rtcp => keyflip_interop::Protocol::Rtcp,
    }
}
