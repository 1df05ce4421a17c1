//! Packets that carry their rollover counter (RFC 4771): the answers of `vectors/rfc4771.py`, receivers that join late, and what a forged counter may do.

mod common;

use common::{Key, Protocol, noise, open, plain, rtp, seal};
use keyflip::{
    Domain, Error, Inbound, MasterKey, NewStreams, Outbound, Outgoing, Profile, Received, Roc, RocOnRekey, Session,
    SessionBuilder, Target, UnauthenticatedRoc, fanout, protect_batch, unprotect_batch,
};
use serde::Deserialize;

const SSRC: u32 = 0xcafe_babe;

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    id: String,
    profile: String,
    mode: u8,
    rate: u16,
    #[serde(with = "hex::serde")]
    mki: Vec<u8>,
    roc: u32,
    #[serde(with = "hex::serde")]
    key: Vec<u8>,
    #[serde(with = "hex::serde")]
    salt: Vec<u8>,
    packets: Vec<Packet>,
}

#[derive(Deserialize)]
struct Packet {
    #[serde(with = "hex::serde")]
    plaintext: Vec<u8>,
    #[serde(with = "hex::serde")]
    protected: Vec<u8>,
}

/// The mode of RFC 4771 that a profile has by its number.
fn mode(builder: SessionBuilder, profile: Profile, number: u8, rate: u16) -> SessionBuilder {
    match number {
        1 => builder.dangerously_unauthenticated_roc_in_packets(rate, UnauthenticatedRoc::OnlyCarriersAuthenticated),
        3 if !common::is_gcm(profile) => {
            builder.dangerously_unauthenticated_roc_in_packets(rate, UnauthenticatedRoc::NothingAuthenticated)
        }
        _ => builder.roc_in_packets(rate),
    }
}

impl Vector {
    fn session(&self, domain: &Domain) -> Session {
        common::use_kernels_asked_for();
        let key = || MasterKey::take_parts(&mut self.key.clone(), &mut self.salt.clone()).with_mki(&self.mki).unwrap();
        let profile: Profile = self.profile.parse().unwrap();
        let builder = Session::builder(profile).inbound(key()).outbound(key());
        let session = mode(builder, profile, self.mode, self.rate).build(domain).unwrap();
        session.outbound().add_stream(SSRC, Roc(self.roc), 0).unwrap();
        session
    }

    fn check(&self) {
        let domain = Domain::new();
        let session = self.session(&domain);
        let guard = domain.pin();
        let mut sealed: Vec<Vec<u8>> = Vec::new();
        for packet in &self.packets {
            let mut output = vec![0xee; packet.plaintext.len() + session.outbound().rtp_overhead()];
            let len = session.outbound().protect_rtp_to(&guard, &packet.plaintext, &mut output).unwrap();
            output.truncate(len);
            assert_eq!(hex::encode(&output), hex::encode(&packet.protected), "{}", self.id);
            sealed.push(output);
        }
        if self.mode == 2 || common::is_gcm(self.profile.parse().unwrap()) {
            // The first carries it: a receiver that was told nothing is in time.
            for (packet, mut sealed) in self.packets.iter().zip(sealed) {
                let opened = session.inbound().unprotect_rtp(&guard, &mut sealed).unwrap();
                assert_eq!(hex::encode(opened), hex::encode(&packet.plaintext), "{}", self.id);
            }
        } else {
            assert_eq!(session.inbound().unprotect_rtp(&guard, &mut sealed[0].clone()), Err(Error::UnknownSsrc));
            session.inbound().add_stream(SSRC, Roc(0)).unwrap();
            for (packet, mut sealed) in self.packets.iter().zip(sealed) {
                let opened = session.inbound().unprotect_rtp(&guard, &mut sealed).unwrap();
                assert_eq!(hex::encode(opened), hex::encode(&packet.plaintext), "{}", self.id);
            }
        }
        assert_eq!(session.inbound().roc(SSRC), Ok(Roc(self.roc)), "{}", self.id);
    }

    /// The same packets in one call.
    fn check_batch(&self) {
        let domain = Domain::new();
        let mut guard = domain.pin();
        let session = self.session(&domain);
        if self.mode == 1 || self.mode == 3 && !common::is_gcm(self.profile.parse().unwrap()) {
            session.inbound().add_stream(SSRC, Roc(0)).unwrap();
        }
        let room = session.outbound().rtp_overhead();
        let mut buffers: Vec<Vec<u8>> =
            self.packets.iter().map(|packet| [&packet.plaintext[..], &vec![0; room]].concat()).collect();
        let mut lens = Vec::new();
        let mut outgoing: Vec<Outgoing<'_>> = buffers
            .iter_mut()
            .zip(&self.packets)
            .map(|(buffer, packet)| Outgoing::rtp(session.outbound(), buffer, packet.plaintext.len()))
            .collect();
        protect_batch(&mut guard, &mut outgoing);
        lens.extend(outgoing.iter().map(|packet| packet.result().unwrap()));
        drop(outgoing);
        for ((buffer, len), packet) in buffers.iter_mut().zip(lens).zip(&self.packets) {
            buffer.truncate(len);
            assert_eq!(hex::encode(&*buffer), hex::encode(&packet.protected), "{}", self.id);
        }
        let mut received: Vec<Received<'_>> =
            buffers.iter_mut().map(|buffer| Received::rtp(session.inbound(), buffer)).collect();
        unprotect_batch(&mut guard, &mut received);
        for (received, packet) in received.iter().zip(&self.packets) {
            assert_eq!(received.result(), Ok(packet.plaintext.len()), "{}", self.id);
        }
        drop(received);
        for (buffer, packet) in buffers.iter().zip(&self.packets) {
            assert_eq!(buffer[..packet.plaintext.len()], packet.plaintext, "{}", self.id);
        }
    }
}

fn vectors() -> Vec<Vector> {
    let path = format!("{}/tests/vectors/rfc4771.json", env!("CARGO_MANIFEST_DIR"));
    let file: File = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(file.vectors.len(), 88);
    file.vectors
}

#[test]
fn rfc4771_packets_of_the_model() {
    vectors().iter().for_each(Vector::check);
}

#[test]
fn rfc4771_packets_of_the_model_in_one_call() {
    vectors().iter().for_each(Vector::check_batch);
}

const AUTHENTICATED: [Profile; 3] = [Profile::Aes128CmSha1_80, Profile::AeadAes256Gcm, Profile::AeadAes128Gcm8];

struct Pair {
    domain: Domain,
    sender: Session,
    receiver: Session,
}

impl Pair {
    fn new(profile: Profile, rate: u16) -> Self {
        let domain = Domain::new();
        let key = || Key::nth(profile, 1, 0).master();
        let new = || Session::builder(profile).outbound(key()).inbound(key()).roc_in_packets(rate);
        let (sender, receiver) = (new().build(&domain).unwrap(), new().build(&domain).unwrap());
        Self { domain, sender, receiver }
    }

    fn outbound(&self) -> &Outbound {
        self.sender.outbound()
    }

    fn inbound(&self) -> &Inbound {
        self.receiver.inbound()
    }

    fn sealed(&self, seq: u16) -> Vec<u8> {
        let plain = rtp(SSRC, seq);
        let mut output = vec![0; plain.len() + self.outbound().rtp_overhead()];
        let len = self.outbound().protect_rtp_to(&self.domain.pin(), &plain, &mut output).unwrap();
        output.truncate(len);
        output
    }
}

#[test]
fn a_late_joiner_is_in_time_with_the_first_packet_that_carries_the_counter() {
    for profile in AUTHENTICATED {
        let pair = Pair::new(profile, 8);
        pair.outbound().add_stream(SSRC, Roc(7000), 0).unwrap();
        for seq in 13..16 {
            assert_eq!(open(pair.inbound(), Protocol::Rtp, &pair.sealed(seq)), Err(Error::AuthenticationFailed));
        }
        assert!(pair.inbound().streams().is_empty(), "nothing is known of it, nothing is kept");
        for seq in 16..40 {
            assert_eq!(open(pair.inbound(), Protocol::Rtp, &pair.sealed(seq)), Ok(rtp(SSRC, seq)), "{profile} {seq}");
        }
        assert_eq!(pair.inbound().roc(SSRC), Ok(Roc(7000)));
        // A gap that no estimate bridges.
        pair.outbound().set_roc(SSRC, Roc(7100)).unwrap();
        assert_eq!(open(pair.inbound(), Protocol::Rtp, &pair.sealed(41)), Err(Error::AuthenticationFailed));
        assert_eq!(open(pair.inbound(), Protocol::Rtp, &pair.sealed(48)), Ok(rtp(SSRC, 48)));
        assert_eq!(open(pair.inbound(), Protocol::Rtp, &pair.sealed(49)), Ok(rtp(SSRC, 49)));
        assert_eq!(pair.inbound().roc(SSRC), Ok(Roc(7100)));
    }
}

#[test]
fn p08_a_forged_counter_changes_nothing() {
    for profile in AUTHENTICATED {
        let pair = Pair::new(profile, 1);
        open(pair.inbound(), Protocol::Rtp, &pair.sealed(100)).unwrap();
        let before = common::accepted(&pair.inbound().streams());
        let good = pair.sealed(101);
        let roc = if common::is_gcm(profile) { good.len() - 4 } else { good.len() - 10 };
        assert_eq!(good[roc..roc + 4], [0; 4]);
        for at in roc..roc + 4 {
            for bit in 0..8 {
                let mut forged = good.clone();
                forged[at] ^= 1 << bit;
                assert_eq!(open(pair.inbound(), Protocol::Rtp, &forged), Err(Error::AuthenticationFailed));
                assert_eq!(common::accepted(&pair.inbound().streams()), before);
            }
        }
        for at in 0..good.len() {
            let mut forged = good.clone();
            forged[at] ^= 1;
            assert!(open(pair.inbound(), Protocol::Rtp, &forged).is_err(), "{profile} octet {at}");
        }
        assert_eq!(open(pair.inbound(), Protocol::Rtp, &good[..good.len() - 4]), Err(Error::AuthenticationFailed));
        assert!(open(pair.inbound(), Protocol::Rtp, &good).is_ok(), "the control");
    }
}

#[test]
fn p05_a_counter_that_goes_back_brings_nothing_back() {
    for profile in AUTHENTICATED {
        let pair = Pair::new(profile, 1);
        let old: Vec<Vec<u8>> = (0..20).map(|seq| pair.sealed(seq)).collect();
        for packet in &old[..10] {
            open(pair.inbound(), Protocol::Rtp, packet).unwrap();
        }
        pair.outbound().set_roc(SSRC, Roc(1)).unwrap();
        open(pair.inbound(), Protocol::Rtp, &pair.sealed(5)).unwrap();
        // Each says its counter, and none is believed to have been missed.
        for packet in &old {
            assert_eq!(open(pair.inbound(), Protocol::Rtp, packet), Err(Error::TooOld), "{profile}");
        }
        assert_eq!(pair.inbound().roc(SSRC), Ok(Roc(1)));
    }
}

#[test]
fn p05_late_packets_across_the_rollover_are_accepted_once() {
    for profile in AUTHENTICATED {
        let pair = Pair::new(profile, 3);
        let seqs: Vec<u16> = (0..40u16).map(|n| 65_515u16.wrapping_add(n)).collect();
        let packets: Vec<Vec<u8>> = seqs.iter().map(|seq| pair.sealed(*seq)).collect();
        // In blocks of five, backwards.
        let order: Vec<usize> = (0..40).map(|n| n / 5 * 5 + 4 - n % 5).collect();
        for at in &order {
            assert_eq!(open(pair.inbound(), Protocol::Rtp, &packets[*at]), Ok(rtp(SSRC, seqs[*at])), "{profile} {at}");
        }
        for packet in &packets {
            assert_eq!(open(pair.inbound(), Protocol::Rtp, packet), Err(Error::Replayed));
        }
        assert_eq!(pair.inbound().roc(SSRC), Ok(Roc(1)));
    }
}

#[test]
fn p04_a_probing_key_takes_the_counter_from_the_packet() {
    for profile in AUTHENTICATED {
        for keeps in [true, false] {
            let pair = Pair::new(profile, 1);
            pair.outbound().add_stream(SSRC, Roc(9), 0).unwrap();
            open(pair.inbound(), Protocol::Rtp, &pair.sealed(1)).unwrap();
            let late = pair.sealed(2);
            let next = || Key::nth(profile, 2, 0).master();
            let roc = if keeps { RocOnRekey::Keep } else { RocOnRekey::Reset };
            pair.outbound().rekey_with(next(), roc).unwrap();
            pair.inbound().rekey_with(next(), RocOnRekey::Probe).unwrap();
            assert_eq!(open(pair.inbound(), Protocol::Rtp, &pair.sealed(3)), Ok(rtp(SSRC, 3)), "{profile} {keeps}");
            assert_eq!(open(pair.inbound(), Protocol::Rtp, &late), Ok(rtp(SSRC, 2)), "under the key before");
            assert_eq!(pair.inbound().roc(SSRC), Ok(Roc(if keeps { 9 } else { 0 })));
        }
    }
}

#[test]
fn srtcp_is_as_ever_and_room_is_what_overhead_says() {
    for (profile, most) in [(Profile::Aes128CmSha1_80, 10), (Profile::AeadAes128Gcm, 20)] {
        let pair = Pair::new(profile, 2);
        assert_eq!(pair.outbound().rtp_overhead(), most);
        let plain_session = Session::builder(profile).outbound(Key::nth(profile, 1, 0).master());
        let plain_session = plain_session.build(&pair.domain).unwrap();
        let rtcp = plain(Protocol::Rtcp, SSRC, 1);
        let sealed = seal(pair.outbound(), Protocol::Rtcp, &rtcp).unwrap();
        assert_eq!(seal(plain_session.outbound(), Protocol::Rtcp, &rtcp).unwrap(), sealed);
        assert_eq!(open(pair.inbound(), Protocol::Rtcp, &sealed), Ok(rtcp));
        let carries = rtp(SSRC, 4);
        for room in 0..most {
            let mut buffer = [carries.clone(), vec![0; room]].concat();
            let refused = pair.outbound().protect_rtp(&pair.domain.pin(), &mut buffer, carries.len());
            assert_eq!(refused, Err(Error::OutputTooSmall));
        }
        // In a growing buffer a packet is as long as it is, whether it carries the counter or not.
        for seq in [5, 6] {
            let mut buffer = rtp(SSRC, seq);
            pair.outbound().protect_rtp_in(&pair.domain.pin(), &mut buffer).unwrap();
            let trailer = if seq % 2 == 0 { most } else { profile.srtp_tag_len() };
            assert_eq!(buffer.len(), 32 + trailer, "{profile} {seq}");
            pair.inbound().unprotect_rtp_in(&pair.domain.pin(), &mut buffer).unwrap();
        }
    }
}

#[test]
fn a_fanout_carries_it_too() {
    for profile in AUTHENTICATED {
        let pair = Pair::new(profile, 2);
        let mut guard = pair.domain.pin();
        for seq in [6, 7] {
            let whole = rtp(SSRC, seq);
            let mut output = vec![0; whole.len() + pair.outbound().rtp_overhead()];
            let mut targets = [Target::new(pair.outbound(), &whole[..12], &mut output)];
            fanout(&mut guard, &whole[12..], &mut targets);
            let len = targets[0].result().unwrap();
            output.truncate(len);
            assert_eq!(open(pair.inbound(), Protocol::Rtp, &output), Ok(whole), "{profile} {seq}");
        }
    }
}

#[test]
fn p08_modes_without_authentication_are_asked_for_by_their_name_and_add_no_stream() {
    let domain = Domain::new();
    let build = |builder: SessionBuilder| builder.build(&domain).map(drop);
    for profile in [Profile::Aes128CmSha1_32, Profile::NullSha1_32, Profile::NullWithoutAuthentication] {
        assert_eq!(build(Session::builder(profile).roc_in_packets(1)), Err(Error::NoRocMode), "{profile}");
    }
    assert_eq!(build(Session::builder(Profile::AeadAes128Gcm).roc_in_packets(0)), Err(Error::BadRocRate));
    for unauthenticated in [UnauthenticatedRoc::OnlyCarriersAuthenticated, UnauthenticatedRoc::NothingAuthenticated] {
        let aead = Session::builder(Profile::AeadAes128Gcm);
        assert_eq!(
            build(aead.dangerously_unauthenticated_roc_in_packets(1, unauthenticated)),
            Err(Error::NoRocMode),
            "an AEAD always authenticates"
        );
        let profile = Profile::Aes128CmSha1_80;
        let key = || Key::nth(profile, 1, 0).master();
        let session = Session::builder(profile)
            .inbound(key())
            .outbound(key())
            .new_streams(NewStreams::AtFirstPacket)
            .dangerously_unauthenticated_roc_in_packets(4, unauthenticated)
            .build(&domain)
            .unwrap();
        let mut noise = [&rtp(SSRC, 1)[..12], &noise(1, 40)].concat();
        assert_eq!(open(session.inbound(), Protocol::Rtp, &noise), Err(Error::UnknownSsrc));
        assert!(session.inbound().streams().is_empty());
        // What the name says: with a stream there, anybody's packet is taken where none has a tag.
        session.inbound().add_stream(SSRC, Roc(0)).unwrap();
        assert!(open(session.inbound(), Protocol::Rtp, &noise).is_ok());
        noise[3] = 4;
        let carries = open(session.inbound(), Protocol::Rtp, &noise);
        let authenticated = unauthenticated == UnauthenticatedRoc::OnlyCarriersAuthenticated;
        assert_eq!(carries.is_err(), authenticated, "a packet that carries the counter is authenticated in RCCm1");
    }
}
