//! Double encryption (RFC 8723): the packets of `vectors/rfc8723.py`, and what each of the three participants may and may not do.

mod common;

use common::{Key as Master, Rtp, noise, rtp};
use keyflip::double::{self, Endpoint, Fields, Key, MAX_GROWTH, Profile, Rewrite};
use keyflip::{Cryptex, Domain, Error, MasterKey, Roc, Session, SessionBuilder};
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    id: String,
    profile: String,
    #[serde(with = "hex::serde")]
    inner_key: Vec<u8>,
    #[serde(with = "hex::serde")]
    inner_salt: Vec<u8>,
    outer: Vec<Hop>,
    changes: Vec<Changes>,
    #[serde(with = "hex::serde")]
    plaintext: Vec<u8>,
    protected: Vec<String>,
    #[serde(with = "hex::serde")]
    received: Vec<u8>,
}

#[derive(Deserialize)]
struct Hop {
    #[serde(with = "hex::serde")]
    key: Vec<u8>,
    #[serde(with = "hex::serde")]
    salt: Vec<u8>,
    roc: u32,
}

#[derive(Deserialize)]
struct Changes {
    pt: Option<u8>,
    seq: Option<u16>,
    m: Option<u8>,
}

impl Changes {
    fn rewrite(&self) -> Rewrite {
        Rewrite { payload_type: self.pt, sequence_number: self.seq, marker: self.m.map(|marker| marker == 1) }
    }
}

const SSRC: u32 = 0xcafe_babe;

impl Vector {
    fn profile(&self) -> Profile {
        Profile::ALL.into_iter().find(|profile| profile.name() == self.profile).unwrap()
    }

    fn inner(&self) -> MasterKey {
        common::use_kernels_asked_for();
        MasterKey::take_parts(&mut self.inner_key.clone(), &mut self.inner_salt.clone())
    }

    fn outer(&self, hop: usize) -> MasterKey {
        MasterKey::take_parts(&mut self.outer[hop].key.clone(), &mut self.outer[hop].salt.clone())
    }

    /// The double key of a hop, as one master key.
    fn whole(&self, hop: usize) -> Key {
        let outer = &self.outer[hop];
        let parts = [&self.inner_key, &outer.key, &self.inner_salt, &outer.salt].map(Vec::as_slice);
        Key::take(self.profile(), &mut parts.concat()).unwrap()
    }

    fn check(&self) {
        let domain = Domain::new();
        let guard = domain.pin();
        let layer = self.profile().layer();
        let key = self.whole(0);
        let inner = Session::builder(layer).outbound(key.inner).build(&domain).unwrap();
        let outer = Session::builder(layer).outbound(key.outer).build(&domain).unwrap();
        for half in [&inner, &outer] {
            half.outbound().add_stream(SSRC, Roc(self.outer[0].roc), 0).unwrap();
        }
        let sender = Endpoint::new(&inner, &outer).unwrap();
        let len = self.plaintext.len();
        let mut buffer = self.plaintext.clone();
        buffer.resize(len + sender.outbound().rtp_overhead() + MAX_GROWTH, 0xee);
        let mut len = sender.outbound().protect_rtp(&guard, &mut buffer, len).unwrap();
        assert_eq!(len, self.plaintext.len() + sender.outbound().rtp_overhead());
        assert_eq!(hex::encode(&buffer[..len]), self.protected[0], "{}", self.id);

        for (hop, changes) in self.changes.iter().enumerate() {
            let sfu = Session::builder(layer).inbound(self.outer(hop)).outbound(self.outer(hop + 1));
            let sfu = sfu.build(&domain).unwrap();
            sfu.inbound().add_stream(SSRC, Roc(self.outer[hop].roc)).unwrap();
            sfu.outbound().add_stream(SSRC, Roc(self.outer[hop + 1].roc), 0).unwrap();
            len = sfu.inbound().unprotect_rtp(&guard, &mut buffer[..len]).unwrap().len();
            len = double::rewrite(&mut buffer, len, changes.rewrite()).unwrap();
            assert_eq!(double::original(&buffer[..len]).unwrap(), ORIGINAL);
            len = sfu.outbound().protect_rtp(&guard, &mut buffer, len).unwrap();
            assert_eq!(hex::encode(&buffer[..len]), self.protected[hop + 1], "{} hop {hop}", self.id);
        }

        let last = self.outer.len() - 1;
        let inner = Session::builder(layer).inbound(self.inner()).build(&domain).unwrap();
        let outer = Session::builder(layer).inbound(self.outer(last)).build(&domain).unwrap();
        inner.inbound().add_stream(SSRC, Roc(self.outer[0].roc)).unwrap();
        outer.inbound().add_stream(SSRC, Roc(self.outer[last].roc)).unwrap();
        let receiver = Endpoint::new(&inner, &outer).unwrap();
        let packet = receiver.inbound().unprotect_rtp(&guard, &mut buffer[..len]).unwrap();
        assert_eq!(hex::encode(&*packet.octets), hex::encode(&self.received), "{}", self.id);
        assert_eq!(packet.original, ORIGINAL);
    }
}

const ORIGINAL: Fields = Fields { payload_type: 96, sequence_number: 1000, marker: true };

#[test]
fn rfc8723_packets_of_the_model() {
    let path = format!("{}/tests/vectors/rfc8723.json", env!("CARGO_MANIFEST_DIR"));
    let file: File = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(file.vectors.len(), 84);
    file.vectors.iter().for_each(Vector::check);
}

/// A sender, an SFU and a receiver, with key numbers: 0 end to end, 1 and 2 of the hops.
struct Room {
    domain: Domain,
    sender: Endpoint,
    sfu: Session,
    receiver: Endpoint,
}

const PROFILE: Profile = Profile::Aes128Gcm;

fn master(n: u8) -> MasterKey {
    Master::nth(PROFILE.layer(), n, 0).master()
}

fn layer(domain: &Domain, n: u8, configure: &dyn Fn(SessionBuilder) -> SessionBuilder) -> Session {
    let builder = Session::builder(PROFILE.layer()).outbound(master(n)).inbound(master(n));
    configure(builder).build(domain).unwrap()
}

impl Room {
    fn new() -> Self {
        Self::with(&|builder| builder)
    }

    /// `outer` says how the hops are configured.
    fn with(outer: &dyn Fn(SessionBuilder) -> SessionBuilder) -> Self {
        let domain = Domain::new();
        let endpoint = |n| Endpoint::new(&layer(&domain, 0, &|builder| builder), &layer(&domain, n, outer)).unwrap();
        let (sender, receiver) = (endpoint(1), endpoint(2));
        let sfu = outer(Session::builder(PROFILE.layer()).inbound(master(1)).outbound(master(2)));
        Self { sfu: sfu.build(&domain).unwrap(), sender, receiver, domain }
    }

    fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, Error> {
        let mut buffer = plain.to_vec();
        buffer.resize(plain.len() + self.sender.outbound().rtp_overhead(), 0xee);
        let before = buffer.clone();
        match self.sender.outbound().protect_rtp(&self.domain.pin(), &mut buffer, plain.len()) {
            Ok(len) => {
                assert_eq!(len, buffer.len());
                Ok(buffer)
            }
            Err(error) => {
                assert_eq!(buffer, before, "{error:?} left traces in the buffer");
                Err(error)
            }
        }
    }

    fn relay(&self, packet: &[u8], change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Vec<u8> {
        let guard = self.domain.pin();
        let mut packet = packet.to_vec();
        let plain = self.sfu.inbound().unprotect_rtp(&guard, &mut packet).unwrap().to_vec();
        let mut buffer = change(plain);
        let len = buffer.len();
        buffer.resize(len + self.sfu.outbound().rtp_overhead(), 0);
        self.sfu.outbound().protect_rtp(&guard, &mut buffer, len).unwrap();
        buffer
    }

    fn open(&self, packet: &[u8]) -> Result<(Vec<u8>, Fields), Error> {
        let mut buffer = packet.to_vec();
        let opened = self.receiver.inbound().unprotect_rtp(&self.domain.pin(), &mut buffer);
        let opened = opened.map(|packet| (packet.octets.to_vec(), packet.original));
        if let Err(error) = opened {
            assert_eq!(buffer, packet, "{error:?} left traces in the packet");
        }
        opened
    }
}

fn rewriting(changes: Rewrite) -> impl Fn(Vec<u8>) -> Vec<u8> {
    move |mut packet| {
        let len = packet.len();
        packet.resize(len + MAX_GROWTH, 0);
        let len = double::rewrite(&mut packet, len, changes).unwrap();
        packet.truncate(len);
        packet
    }
}

fn seq(number: u16) -> Rewrite {
    Rewrite { sequence_number: Some(number), ..Rewrite::default() }
}

/// Both layers count rollovers, each by the sequence numbers that it sees.
#[test]
fn rfc8723_each_layer_rolls_over_by_itself() {
    let room = Room::new();
    for n in 0..200_000u32 / 7 {
        let index = 60_000 + 7 * n;
        let sent = u16::try_from(index & 0xffff).unwrap();
        // The SFU numbers its packets without gaps, from another start.
        let hop = u16::try_from((65_000 + n) & 0xffff).unwrap();
        let plain = rtp(SSRC, sent);
        let relayed = room.relay(&room.seal(&plain).unwrap(), rewriting(seq(hop)));
        let (opened, original) = room.open(&relayed).unwrap();
        assert_eq!((&opened[12..], original.sequence_number), (&plain[12..], sent));
        assert_eq!(opened[2..4], hop.to_be_bytes());
    }
    assert_eq!(room.receiver.inbound().inner().roc(SSRC), Ok(Roc(3)));
    assert_eq!(room.receiver.inbound().outer().roc(SSRC), Ok(Roc(1)));
}

#[test]
fn rfc8723_the_sfu_changes_extensions_and_hides_their_elements_hop_by_hop() {
    let room = Room::with(&|builder| builder.encrypted_header_extensions(&[1]));
    let mut packet = Rtp::new(SSRC, 1);
    packet.extension = Some((0xbede, vec![[0x10, 0x55, 0x20, 0x66]]));
    packet.csrcs = vec![1, 2];
    let plain = packet.build();
    let sealed = room.seal(&plain).unwrap();
    assert_ne!(sealed[25], 0x55, "an element that is to be encrypted is not");
    assert_eq!(sealed[27], 0x66);
    let relayed = room.relay(&sealed, |mut packet| {
        assert_eq!(packet[24..28], [0x10, 0x55, 0x20, 0x66]);
        packet[25] = 0x77;
        packet
    });
    let (opened, _) = room.open(&relayed).unwrap();
    assert_eq!(opened[..25], plain[..25]);
    assert_eq!(opened[25], 0x77, "the last hop's word");
    assert_eq!(opened[26..], plain[26..]);
}

#[test]
fn p08_what_the_sfu_must_not_change_is_refused_end_to_end_and_left_as_it_came() {
    let room = Room::with(&|builder| builder.encrypted_header_extensions(&[1]));
    let mut packet = Rtp::new(SSRC, 1);
    packet.extension = Some((0xbede, vec![[0x10, 0x55, 0x20, 0x66]]));
    let len = packet.build().len();
    // Timestamp, payload, inner tag; and a marker without a note.
    for (at, bit) in [(4, 1), (20, 1), (len - 1, 1), (len + 3, 0x80), (1, 0x80), (1, 1)] {
        packet.seq += 1;
        let sealed = room.seal(&packet.build()).unwrap();
        let forged = room.relay(&sealed, |mut plain| {
            plain[at] ^= bit;
            plain
        });
        assert_eq!(room.open(&forged), Err(Error::InnerAuthenticationFailed), "octet {at}");
        // The hop vouched for it: once.
        assert_eq!(room.open(&forged), Err(Error::Replayed));
    }
    packet.seq += 1;
    let malformed = room.relay(&room.seal(&packet.build()).unwrap(), |mut plain| {
        *plain.last_mut().unwrap() = 0x10;
        plain
    });
    assert_eq!(room.open(&malformed), Err(Error::BadHeaderBlock));
    assert!(room.receiver.inbound().inner().streams().is_empty(), "a packet that did not verify left a stream");
    assert_eq!(room.receiver.inbound().inner().refused().authentication_failed, 6);
    packet.seq += 1;
    let good = room.relay(&room.seal(&packet.build()).unwrap(), rewriting(seq(900)));
    assert!(room.open(&good).is_ok(), "the control");
}

#[test]
fn p05_a_packet_that_the_sfu_sends_twice_under_two_numbers_is_accepted_once() {
    let room = Room::new();
    let sealed = room.seal(&rtp(SSRC, 5)).unwrap();
    let guard = room.domain.pin();
    let mut plain = sealed.clone();
    let plain = room.sfu.inbound().unprotect_rtp(&guard, &mut plain).unwrap().to_vec();
    let send = |number| {
        let mut buffer = rewriting(seq(number))(plain.clone());
        room.sfu.outbound().protect_rtp_in(&guard, &mut buffer).unwrap();
        buffer
    };
    assert!(room.open(&send(10)).is_ok());
    let (again, _) = (send(11), ());
    assert_eq!(room.open(&again), Err(Error::Replayed));
    assert_eq!(room.receiver.inbound().inner().streams()[0].rtp.packets, 1);
}

#[test]
fn the_sfu_cannot_read_and_a_stranger_can_do_nothing() {
    let room = Room::new();
    let plain = rtp(SSRC, 1);
    let sealed = room.seal(&plain).unwrap();
    let _ = room.relay(&sealed, |packet| {
        assert_eq!(packet[..12], plain[..12]);
        assert!(packet.windows(8).all(|eight| eight != &plain[12..20]), "the SFU sees the payload");
        packet
    });
    // A receiver of the second hop's key has nothing of the first hop.
    assert_eq!(room.open(&sealed), Err(Error::AuthenticationFailed));
    assert!(room.receiver.inbound().outer().streams().is_empty());
}

#[test]
fn rfc8723_rtcp_and_repair_packets_have_the_outer_layer_alone() {
    let room = Room::new();
    let guard = room.domain.pin();
    let plain = common::rtcp(SSRC, 1);
    let mut buffer = plain.clone();
    room.sender.outbound().outer().protect_rtcp_in(&guard, &mut buffer).unwrap();
    assert_eq!(buffer.len(), plain.len() + 20);
    room.sfu.inbound().unprotect_rtcp_in(&guard, &mut buffer).unwrap();
    assert_eq!(buffer, plain);

    // A retransmission carries what was on the wire.
    let cached = room.relay(&room.seal(&rtp(SSRC, 1)).unwrap(), rewriting(seq(77)));
    let mut repair = [&rtp(SSRC + 1, 1)[..12], &cached[2..4], &cached[12..]].concat();
    room.sfu.outbound().protect_rtp_in(&guard, &mut repair).unwrap();
    room.receiver.inbound().outer().unprotect_rtp_in(&guard, &mut repair).unwrap();
    let restored = [&cached[..12], &repair[14..]].concat();
    assert_eq!(room.open(&restored).unwrap().0[12..], rtp(SSRC, 1)[12..]);
}

#[test]
fn p06_what_the_outer_layer_refuses_costs_no_inner_index() {
    let room = Room::new();
    let plain = rtp(SSRC, 1);
    let guard = room.domain.pin();
    let (inner, outer) = (room.sender.outbound().inner(), room.sender.outbound().outer());
    // Without room for the second tag.
    let mut buffer = [plain.clone(), vec![0; 32]].concat();
    let before = buffer.clone();
    let refused = room.sender.outbound().protect_rtp(&guard, &mut buffer, plain.len());
    assert_eq!((refused, &buffer), (Err(Error::OutputTooSmall), &before));
    assert_eq!(inner.streams().len(), 0);
    // Under an index that the outer layer has sent.
    let mut repair = plain.clone();
    outer.protect_rtp_in(&guard, &mut repair).unwrap();
    assert_eq!(room.seal(&plain), Err(Error::IndexReused));
    assert!(inner.streams().is_empty());
    // And one that the inner layer has sent costs the outer one none.
    let next = rtp(SSRC, 2);
    room.seal(&next).unwrap();
    assert_eq!(room.seal(&next), Err(Error::IndexReused));
    assert_eq!((inner.streams()[0].rtp.packets, outer.streams()[0].rtp.packets), (1, 2));
    assert_eq!(room.seal(&next[..11]), Err(Error::PacketTooShort));
}

#[test]
fn p01_each_layer_is_rekeyed_by_itself_while_packets_fly() {
    let room = Room::new();
    for n in 0..40u16 {
        let sealed = room.seal(&rtp(SSRC, n)).unwrap();
        let relayed = room.relay(&sealed, rewriting(seq(n + 1000)));
        match n {
            10 => {
                room.sender.outbound().inner().rekey(master(20)).unwrap();
                room.receiver.inbound().inner().rekey(master(20)).unwrap();
            }
            20 => {
                room.sfu.outbound().rekey(master(21)).unwrap();
                room.receiver.inbound().outer().rekey(master(21)).unwrap();
            }
            30 => {
                room.sender.outbound().outer().rekey(master(22)).unwrap();
                room.sfu.inbound().rekey(master(22)).unwrap();
            }
            _ => {}
        }
        // In flight across the rekey.
        assert_eq!(room.open(&relayed).unwrap().0[12..], rtp(SSRC, n)[12..], "{n}");
    }
}

#[test]
fn an_mki_names_the_outer_key_and_is_on_the_wire_once() {
    let domain = Domain::new();
    let key = |mki: &[u8]| {
        let mut source = noise(1, PROFILE.key_len() + PROFILE.salt_len());
        Key::take(PROFILE, &mut source).unwrap().with_mki(mki).unwrap()
    };
    let (ours, theirs) = (key(&[1, 2, 3]), key(&[1, 2, 3]));
    let inner = Session::builder(PROFILE.layer()).outbound(ours.inner).inbound(theirs.inner).build(&domain).unwrap();
    let outer = Session::builder(PROFILE.layer()).outbound(ours.outer).inbound(theirs.outer).build(&domain).unwrap();
    let both = Endpoint::new(&inner, &outer).unwrap();
    assert_eq!(both.outbound().rtp_overhead(), 16 + 1 + 16 + 3);
    let plain = rtp(SSRC, 1);
    let mut buffer = [plain.clone(), vec![0; 36]].concat();
    both.outbound().protect_rtp(&domain.pin(), &mut buffer, plain.len()).unwrap();
    assert_eq!(buffer[buffer.len() - 3..], [1, 2, 3]);
    assert_eq!(both.inbound().unprotect_rtp(&domain.pin(), &mut buffer).unwrap().octets, plain);

    // An inner key with an MKI is found out before anything is done.
    let named = Session::builder(PROFILE.layer()).outbound(key(&[9]).outer).build(&domain).unwrap();
    let outer = Session::builder(PROFILE.layer()).outbound(key(&[9]).outer).build(&domain).unwrap();
    let both = Endpoint::new(&named, &outer).unwrap();
    let mut buffer = [plain.clone(), vec![0; 60]].concat();
    assert_eq!(both.outbound().protect_rtp(&domain.pin(), &mut buffer, plain.len()), Err(Error::BadLayer));
    assert!(buffer.starts_with(&plain) && outer.outbound().streams().is_empty());
}

#[test]
fn sessions_that_cannot_be_layers_are_refused() {
    let (domain, other) = (Domain::new(), Domain::new());
    let gcm = || Session::builder(keyflip::Profile::AeadAes128Gcm);
    let good = gcm().build(&domain).unwrap();
    assert!(Endpoint::new(&good, &good).is_ok());
    assert_eq!(Endpoint::new(&good, &gcm().build(&other).unwrap()).unwrap_err(), Error::ForeignGuard);
    for bad in [
        Session::builder(keyflip::Profile::AeadAes256Gcm),
        Session::builder(keyflip::Profile::AeadAes128Gcm8),
        gcm().unencrypted_srtp(),
        gcm().cryptex(Cryptex::Enabled),
    ] {
        let bad = bad.build(&domain).unwrap();
        assert_eq!(Endpoint::new(&bad, &good).unwrap_err(), Error::BadLayer);
        assert_eq!(Endpoint::new(&good, &bad).unwrap_err(), Error::BadLayer);
    }
    let cm = Session::builder(keyflip::Profile::Aes128CmSha1_80).build(&domain).unwrap();
    assert_eq!(Endpoint::new(&cm, &cm).unwrap_err(), Error::BadLayer);
    let elements = gcm().encrypted_header_extensions(&[1]).build(&domain).unwrap();
    assert_eq!(Endpoint::new(&elements, &good).unwrap_err(), Error::BadLayer);
    assert!(Endpoint::new(&good, &elements).is_ok(), "hop by hop, elements may be encrypted");
}
