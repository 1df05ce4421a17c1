//! Keyflip held against each peer, in both directions: what one protects the other unprotects, both put the same octets
//! on the wire, and they renew their keys in step.
//!
//! Keyflip's sources are added by call, with 1 as their first SRTCP index: the peers count from there, and Keyflip by
//! itself from 0, as RFC 3711 section 3.4 says.

use keyflip::{Domain, Error, MasterKey, NewStreams, Profile, Rekeyed, Roc, Session, SessionBuilder};
use keyflip_interop::packets::PacketGen;
use keyflip_interop::traffic::{Forgery, Plain, SSRCS, Sources, converse, deliver, protect};
use keyflip_interop::{Direction, Peer, PeerConfig, PeerKind, PeerProfile, Protocol};
use std::time::Duration;

/// RTP packets of each conversation, over all of its sources.
const RTP_PACKETS: usize = 300;

/// RTCP packets of each conversation, over all of its sources.
const RTCP_PACKETS: usize = 120;

/// One direction of a Keyflip session, used as the peers are.
struct Keyflip {
    session: Session,
}

impl Keyflip {
    fn open(config: &PeerConfig) -> Self {
        Self::open_as(config, |builder| builder)
    }

    /// Opens a session with settings of its own.
    fn open_as(config: &PeerConfig, settings: impl FnOnce(SessionBuilder) -> SessionBuilder) -> Self {
        let builder = settings(Session::builder(profile(config.profile)));
        let builder = builder.encrypted_header_extensions(&config.encrypted_ids);
        let builder = builder.replay_window(u32::try_from(config.window).expect("a small number"));
        let builder = match config.direction {
            Direction::Send => builder.new_streams(NewStreams::ByCall).outbound(master_key(config)),
            Direction::Receive => builder.inbound(master_key(config)),
        };
        let session = builder.build(&Domain::new()).expect("a session");
        for ssrc in SSRCS {
            session.outbound().add_stream(ssrc, Roc(0), 1).expect("a new source");
        }
        Self { session }
    }

    /// Runs an unprotect call on a copy of `wire`, which must stay as it is if the call refuses it.
    fn in_place(
        wire: &[u8],
        call: impl for<'p> FnOnce(&'p mut [u8]) -> keyflip::Result<&'p mut [u8]>,
    ) -> Result<Vec<u8>, String> {
        let mut packet = wire.to_vec();
        let plain = call(&mut packet).map(|plain| plain.to_vec());
        assert!(plain.is_ok() || packet == wire, "a refused packet was changed");
        plain.map_err(|e| e.to_string())
    }
}

impl Peer for Keyflip {
    fn name(&self) -> &str {
        "Keyflip"
    }

    fn protect_rtp(&mut self, plain: &[u8]) -> Result<Vec<u8>, String> {
        let outbound = self.session.outbound();
        let mut wire = [plain, &vec![0; outbound.rtp_overhead()]].concat();
        let guard = outbound.domain().pin();
        let len = outbound.protect_rtp(&guard, &mut wire, plain.len()).map_err(|e| e.to_string())?;
        assert_eq!(len, wire.len());
        Ok(wire)
    }

    fn unprotect_rtp(&mut self, wire: &[u8]) -> Result<Vec<u8>, String> {
        let inbound = self.session.inbound();
        Self::in_place(wire, |packet| inbound.unprotect_rtp(&inbound.domain().pin(), packet))
    }

    // The other form of each call: between two buffers, with a guard of its own.
    fn protect_rtcp(&mut self, plain: &[u8]) -> Result<Vec<u8>, String> {
        let outbound = self.session.outbound();
        let mut wire = vec![0; plain.len() + outbound.rtcp_overhead()];
        let guard = outbound.domain().pin();
        let len = outbound.protect_rtcp_to(&guard, plain, &mut wire).map_err(|e| e.to_string())?;
        assert_eq!(len, wire.len());
        Ok(wire)
    }

    fn unprotect_rtcp(&mut self, wire: &[u8]) -> Result<Vec<u8>, String> {
        let inbound = self.session.inbound();
        Self::in_place(wire, |packet| inbound.unprotect_rtcp_autopin(packet))
    }

    fn rekey(&mut self, _: &[u8], _: &[u8], _: &[u8]) -> Result<(), String> {
        unreachable!("a Keyflip session is rekeyed by its own calls")
    }

    fn set_roc(&mut self, _: u32, _: u32) -> Result<(), String> {
        unreachable!("a Keyflip session is told its rollover counters by its own calls")
    }
}

fn profile(profile: PeerProfile) -> Profile {
    profile.sdes_name().parse().expect("Keyflip has every profile")
}

fn master_key(config: &PeerConfig) -> MasterKey {
    let (mut key, mut salt) = (config.key.clone(), config.salt.clone());
    MasterKey::take_parts(&mut key, &mut salt).with_mki(&config.mki).expect("at most 128 octets")
}

/// Packets of all sources in the order of sending; RTP passes two rollovers of each.
fn stream(protocol: Protocol, packets: &mut PacketGen) -> Vec<Plain> {
    let mut sources = Sources::new();
    match protocol {
        Protocol::Rtp => {
            let stream = sources.stream(protocol, RTP_PACKETS, packets);
            assert!(sources.rollovers() >= 2, "{sources:?}");
            stream
        }
        Protocol::Rtcp => sources.stream(protocol, RTCP_PACKETS, packets),
    }
}

fn packets_for(profile: PeerProfile) -> PacketGen {
    let seed = PeerProfile::ALL.iter().position(|&p| p == profile).expect("a listed profile");
    PacketGen::new(0x6B65_7966 + u64::try_from(seed).expect("a small number"))
}

/// What both Keyflip and `kind` speak.
fn common(kind: PeerKind) -> impl Iterator<Item = (PeerProfile, Protocol)> {
    let all = PeerProfile::ALL.into_iter().flat_map(|profile| [Protocol::Rtp, Protocol::Rtcp].map(|p| (profile, p)));
    all.filter(move |&(profile, protocol)| kind.support(profile, protocol).is_ok())
}

/// A conversation each way; what Keyflip counts must be what was sent.
fn both_ways(kind: PeerKind, config: &PeerConfig, protocol: Protocol, packets: &mut PacketGen) {
    let (send, receive) = (config.facing(Direction::Send), config.facing(Direction::Receive));
    let mki = config.mki.len();

    let names = format!("Keyflip to {kind}, {}, {protocol:?}, MKI of {mki}", config.profile);
    if mki == 0 || kind.mki_support(config.profile, protocol, Direction::Receive).is_ok() {
        let plain = stream(protocol, packets);
        let mut keyflip = Keyflip::open(&send);
        let mut peer = kind.open(&receive).expect(&names);
        converse(&names, (&mut keyflip, &mut *peer), config, plain, Forgery::Tag, packets);
    }

    let names = format!("{kind} to Keyflip, {}, {protocol:?}, MKI of {mki}", config.profile);
    if mki == 0 || kind.mki_support(config.profile, protocol, Direction::Send).is_ok() {
        let plain = stream(protocol, packets);
        let sent = u64::try_from(plain.len()).expect("a small number");
        let mut peer = kind.open(&send).expect(&names);
        let mut keyflip = Keyflip::open(&receive);
        converse(&names, (&mut *peer, &mut keyflip), config, plain, Forgery::AnyBit, packets);

        let inbound = keyflip.session.inbound();
        let streams = inbound.streams();
        let accepted: u64 = streams.iter().map(|stream| stream.rtp.packets + stream.rtcp.packets).sum();
        let refused = inbound.refused();
        assert_eq!((streams.len(), accepted), (SSRCS.len(), sent), "{names}");
        let total = refused.malformed
            + refused.authentication_failed
            + refused.unknown_mki
            + refused.unknown_ssrc
            + refused.replayed
            + refused.no_key
            + refused.other;
        assert_eq!(total, 2 * sent, "{names}: as many forgeries and replays, {refused:?}");
        assert!(refused.replayed >= sent, "{names}: {refused:?}");
    }
}

fn understand_each_other(kind: PeerKind) {
    for (profile, protocol) in common(kind) {
        let mut packets = packets_for(profile);
        let config = packets.config(profile, Direction::Send);
        both_ways(kind, &config, protocol, &mut packets);
    }
}

fn put_the_same_octets_on_the_wire(kind: PeerKind, mki_len: usize) -> usize {
    let mut compared = 0;
    for (profile, protocol) in common(kind) {
        let mut packets = packets_for(profile);
        let mki = packets.octets(mki_len);
        let config = packets.config(profile, Direction::Send).with_mki(&mki);
        if mki_len > 0 && kind.mki_support(profile, protocol, Direction::Send).is_err() {
            continue;
        }
        let (mut keyflip, mut peer) = (Keyflip::open(&config), kind.open(&config).expect("a sender"));
        for plain in stream(protocol, &mut packets) {
            let ours = keyflip.protect(protocol, &plain.octets).expect("protected");
            let theirs = peer.protect(protocol, &plain.octets).expect("protected");
            assert!(ours == theirs, "{kind}, {profile}, {protocol:?}, packet {:#x} of {:#x}", plain.index, plain.ssrc);
        }
        compared += 1;
    }
    compared
}

// ---- Rekeying.

/// How a peer comes by its new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Renewal {
    /// The peer's own call.
    Rekeyed,
    /// A new peer, led to where the old one was.
    Replaced,
}

/// A peer's end of a session whose keys change.
struct Renewable {
    kind: PeerKind,
    renewal: Renewal,
    config: PeerConfig,
    peer: Box<dyn Peer>,
}

impl Renewable {
    fn open(kind: PeerKind, renewal: Renewal, config: PeerConfig) -> Self {
        let peer = kind.open(&config).expect("a peer");
        Self { kind, renewal, config, peer }
    }

    /// Whether the peer can do its part for `protocol`: not every one finds every MKI.
    fn understands(&self, protocol: Protocol) -> bool {
        let PeerConfig { profile, direction, ref mki, .. } = self.config;
        mki.is_empty() || self.kind.mki_support(profile, protocol, direction).is_ok()
    }

    /// Takes a new key and gives it to the other end. `sources` have sent what they have sent under the old one.
    fn renew(&mut self, sources: &Sources, packets: &mut PacketGen) -> MasterKey {
        let mki = packets.octets(self.config.mki.len());
        self.config = packets.config(self.config.profile, self.config.direction).with_mki(&mki);
        match self.renewal {
            Renewal::Rekeyed => {
                self.peer.rekey(&self.config.key, &self.config.salt, &mki).expect("supported");
            }
            Renewal::Replaced => {
                self.peer = self.kind.open(&self.config).expect("a peer");
                self.lead(sources, packets);
            }
        }
        master_key(&self.config)
    }

    /// Leads a new peer to the indices of `sources`, by packets that nobody else sees: RFC 3711 section 3.3.1 has them go
    /// on, and new contexts start at 0.
    fn lead(&mut self, sources: &Sources, packets: &mut PacketGen) {
        // Far enough to be few, near enough to be placed: under half of the sequence numbers.
        const STRIDE: usize = 0x6000;
        let understands_rtcp = self.understands(Protocol::Rtcp);
        let mut twin = self.kind.open(&self.config.facing(Direction::Send)).expect("a sender");
        let mut pass = |protocol, plain: &[u8]| match self.config.direction {
            Direction::Send => drop(self.peer.protect(protocol, plain).expect("protected")),
            Direction::Receive => {
                let wire = twin.protect(protocol, plain).expect("protected");
                self.peer.unprotect(protocol, &wire).expect("unprotected");
            }
        };
        for ssrc in SSRCS {
            let last = sources.rtp_index(ssrc).expect("a source") - 1;
            for index in (0..last).step_by(STRIDE).chain([last]) {
                let seq = u16::try_from(index % (1 << 16)).expect("reduced");
                pass(Protocol::Rtp, &packets.rtp(ssrc, seq, 0));
            }
            let reports = if understands_rtcp { sources.rtcp_index(ssrc).expect("a source") } else { 0 };
            for _ in 0..reports {
                pass(Protocol::Rtcp, &packets.rtcp(ssrc));
            }
        }
    }
}

/// Some packets of both protocols, in the order of sending.
fn round(sources: &mut Sources, packets: &mut PacketGen) -> Vec<Plain> {
    let mut send = || {
        let protocol = if packets.one_in(4) { Protocol::Rtcp } else { Protocol::Rtp };
        sources.send(protocol, packets)
    };
    (0..64).map(|_| send()).collect()
}

/// One Keyflip session sends to one peer and receives from another, while the keys of either direction change on their
/// own, over two rollovers.
fn rekey_in_step(kind: PeerKind, renewal: Renewal, profile: PeerProfile, mki_len: usize) {
    const ROUNDS: usize = 8;
    let names = format!("{kind}, {renewal:?}, {profile}, MKI of {mki_len}");
    let mut packets = packets_for(profile);
    let mut config = |direction| {
        let mki = packets.octets(mki_len);
        packets.config(profile, direction).with_mki(&mki)
    };
    let mut receiver = Renewable::open(kind, renewal, config(Direction::Receive));
    let mut sender = Renewable::open(kind, renewal, config(Direction::Send));
    let domain = Domain::new();
    let session = Session::builder(self::profile(profile))
        .outbound(master_key(&receiver.config))
        .inbound(master_key(&sender.config))
        .build(&domain)
        .expect("a session");
    for ssrc in SSRCS {
        session.outbound().add_stream(ssrc, Roc(0), 1).expect("a new source");
    }
    let (outbound, inbound) = (session.outbound().clone(), session.inbound().clone());
    let mut keyflip = Keyflip { session };
    let (mut sent, mut received) = (Sources::new(), Sources::new());

    for turn in 0..ROUNDS {
        let mut wire = protect(&names, &mut keyflip, round(&mut sent, &mut packets));
        deliver(&mut wire, &mut packets);
        wire.retain(|(plain, _)| receiver.understands(plain.protocol));
        for (plain, wire) in wire {
            let back = receiver.peer.unprotect(plain.protocol, &wire).unwrap_or_else(|e| panic!("{names}: {e}"));
            assert!(back == plain.octets, "{names}");
        }

        let mut wire = protect(&names, &mut *sender.peer, round(&mut received, &mut packets));
        deliver(&mut wire, &mut packets);
        let in_flight = wire.split_off(wire.len() - 8);
        let mut accept = |(plain, wire): (Plain, Vec<u8>)| {
            let back = keyflip.unprotect(plain.protocol, &wire).unwrap_or_else(|e| panic!("{names}: {e}"));
            assert!(back == plain.octets, "{names}");
        };
        wire.into_iter().for_each(&mut accept);

        // Every pairing of the two directions: neither, one, the other, both.
        if turn & 1 != 0 {
            let rekeyed = outbound.rekey(receiver.renew(&sent, &mut packets)).expect(&names);
            assert!(matches!(rekeyed, Rekeyed::Switched(_)), "{names}");
        }
        if turn & 2 != 0 {
            let rekeyed = inbound.rekey(sender.renew(&received, &mut packets)).expect(&names);
            assert!(matches!(rekeyed, Rekeyed::Switched(_)), "{names}");
        }
        // What was in flight under the old key is accepted in grace.
        in_flight.into_iter().for_each(&mut accept);
    }
    assert!(sent.rollovers() >= 2 && received.rollovers() >= 2, "{names}: {sent:?}, {received:?}");

    assert!(inbound.keys().len() >= 2, "{names}: the current key, and the one before it in grace");
    let plain = received.send(Protocol::Rtp, &mut packets);
    let late = sender.peer.protect_rtp(&plain.octets).expect(&names);
    inbound.rekey(sender.renew(&received, &mut packets)).expect(&names);
    inbound.end_grace().expect(&names);
    assert_eq!(inbound.keys().len(), 1, "{names}");
    let error = inbound.unprotect_rtp_autopin(&mut late.clone()).expect_err(&names);
    assert_eq!(error, if mki_len == 0 { Error::AuthenticationFailed } else { Error::UnknownMki }, "{names}");
    let plain = received.send(Protocol::Rtp, &mut packets);
    let wire = sender.peer.protect_rtp(&plain.octets).expect(&names);
    assert!(keyflip.unprotect_rtp(&wire).expect(&names) == plain.octets, "{names}");

    // One key each way is left in memory; then none.
    domain.synchronize(Duration::from_secs(10)).expect(&names);
    let stats = domain.stats();
    assert_eq!((outbound.keys().len(), stats.keys_created - stats.keys_wiped), (1, 2), "{names}");
    drop((keyflip, outbound, inbound));
    domain.synchronize(Duration::from_secs(10)).expect(&names);
    let stats = domain.stats();
    assert_eq!((stats.keys_retired, stats.keys_wiped), (stats.keys_created, stats.keys_created), "{names}");
}

fn rekey_with(kind: PeerKind, mki_len: usize) {
    for profile in PeerProfile::ALL.into_iter().filter(|&profile| kind.supports(profile)) {
        if kind.rekey_support().is_ok() {
            rekey_in_step(kind, Renewal::Rekeyed, profile, mki_len);
        }
        rekey_in_step(kind, Renewal::Replaced, profile, mki_len);
    }
}

mod rtc {
    use super::*;

    #[test]
    fn keyflip_and_rtc_understand_each_other_over_two_rollovers() {
        understand_each_other(PeerKind::Rtc);
    }

    #[test]
    fn keyflip_and_rtc_put_the_same_octets_on_the_wire() {
        assert_eq!(put_the_same_octets_on_the_wire(PeerKind::Rtc, 0), 12, "six profiles, two protocols");
    }

    #[test]
    fn keyflip_and_rtc_rekey_in_step() {
        rekey_with(PeerKind::Rtc, 0);
    }
}

#[cfg(feature = "libsrtp")]
mod libsrtp {
    use super::*;
    use keyflip::{HeaderKeystream, SrtcpEncryption};
    use keyflip_interop::packets::Extension;

    #[test]
    fn keyflip_and_libsrtp_understand_each_other_over_two_rollovers() {
        understand_each_other(PeerKind::Libsrtp);
    }

    #[test]
    fn keyflip_and_libsrtp_put_the_same_octets_on_the_wire() {
        // SRTCP under the NULL cipher is among them: both send it with the E flag clear.
        assert_eq!(put_the_same_octets_on_the_wire(PeerKind::Libsrtp, 0), 20, "ten profiles, two protocols");
        for mki_len in [1, 4, 128] {
            assert_eq!(put_the_same_octets_on_the_wire(PeerKind::Libsrtp, mki_len), 20);
        }
    }

    #[test]
    fn keyflip_and_libsrtp_find_each_others_mki() {
        for (profile, protocol) in common(PeerKind::Libsrtp) {
            for mki_len in [1, 4, 128] {
                let mut packets = packets_for(profile);
                let mki = packets.octets(mki_len);
                let config = packets.config(profile, Direction::Send).with_mki(&mki);
                both_ways(PeerKind::Libsrtp, &config, protocol, &mut packets);
            }
        }
    }

    #[test]
    fn keyflip_and_libsrtp_rekey_in_step() {
        rekey_with(PeerKind::Libsrtp, 0);
    }

    #[test]
    fn keyflip_and_libsrtp_rekey_in_step_under_new_mkis() {
        rekey_with(PeerKind::Libsrtp, 4);
    }

    /// Where nobody leads a new libsrtp to the rollover counter it is told it, as a real late joiner is.
    #[test]
    fn a_replaced_libsrtp_that_is_told_the_rollover_counter_follows() {
        for profile in PeerProfile::ALL.into_iter().filter(|&p| PeerKind::Libsrtp.roc_support(p).is_ok()) {
            let mut packets = packets_for(profile);
            let config = packets.config(profile, Direction::Send);
            let mut keyflip = Keyflip::open(&config);
            let mut libsrtp = PeerKind::Libsrtp.open(&config.facing(Direction::Receive)).expect("a receiver");
            let mut sources = Sources::new();
            for turn in 0..6 {
                if turn > 0 {
                    let next = packets.config(profile, Direction::Receive);
                    keyflip.session.outbound().rekey(master_key(&next)).expect("a rekey");
                    libsrtp = PeerKind::Libsrtp.open(&next).expect("a receiver");
                    for ssrc in SSRCS {
                        let roc = sources.rtp_index(ssrc).expect("a source") >> 16;
                        libsrtp.set_roc(ssrc, u32::try_from(roc).expect("a small number")).expect("a new source");
                    }
                }
                // In order: the first packet of a source has to be in the rollover that was told.
                for plain in sources.stream(Protocol::Rtp, 120, &mut packets) {
                    let wire = keyflip.protect_rtp(&plain.octets).expect("protected");
                    assert!(libsrtp.unprotect_rtp(&wire).expect("the same rollover") == plain.octets, "{profile}");
                }
            }
            assert!(sources.rollovers() >= 2);
        }
    }

    #[test]
    fn a_keyflip_that_joins_late_is_told_the_rollover_counter() {
        for roc in [1, 0x7FFF_FFFF, 0x8000_0000, u32::MAX] {
            for profile in PeerProfile::ALL.into_iter().filter(|&p| PeerKind::Libsrtp.roc_support(p).is_ok()) {
                let mut packets = packets_for(profile);
                let config = packets.config(profile, Direction::Send);
                let mut libsrtp = PeerKind::Libsrtp.open(&config).expect("a sender");
                libsrtp.set_roc(9, roc).expect("a new source");
                let mut keyflip = Keyflip::open(&config.facing(Direction::Receive));
                let packet = packets.rtp(9, 77, 0);
                let wire = libsrtp.protect_rtp(&packet).expect("protected");
                keyflip.unprotect_rtp(&wire).expect_err("rollover 0 is another tag");
                keyflip.session.inbound().add_stream(9, Roc(roc)).expect("a refused packet made no stream");
                assert_eq!(keyflip.unprotect_rtp(&wire).expect("the same rollover"), packet, "{profile}");
                assert_eq!(keyflip.session.inbound().roc(9), Ok(Roc(roc)));

                let sender = Keyflip::open(&config);
                sender.session.outbound().add_stream(9, Roc(roc), 1).expect("a new source");
                assert_eq!({ sender }.protect_rtp(&packet).expect("protected"), wire, "{profile}");
            }
        }
    }

    #[test]
    fn the_mki_says_which_libsrtp_sent_a_packet() {
        for profile in PeerProfile::ALL.into_iter().filter(|&profile| PeerKind::Libsrtp.supports(profile)) {
            let mut packets = packets_for(profile);
            let configs = [b"ab", b"cd", b"ef"].map(|mki| packets.config(profile, Direction::Send).with_mki(mki));
            let mut keyflip = Keyflip::open(&configs[0].facing(Direction::Receive));
            for config in &configs[1..] {
                keyflip.session.inbound().add_key(master_key(config)).expect("another MKI");
            }
            let mut senders = configs.each_ref().map(|config| PeerKind::Libsrtp.open(config).expect("a sender"));
            for seq in 0..60 {
                for (sender, ssrc) in senders.iter_mut().zip(SSRCS) {
                    let packet = packets.rtp(ssrc, seq, 0);
                    let wire = sender.protect_rtp(&packet).expect("protected");
                    assert!(keyflip.unprotect_rtp(&wire).expect("its key is known") == packet, "{profile}");
                    let packet = packets.rtcp(ssrc);
                    let wire = sender.protect_rtcp(&packet).expect("protected");
                    assert!(keyflip.unprotect_rtcp(&wire).expect("its key is known") == packet, "{profile}");
                }
            }
        }
    }

    /// The keys that authenticate depend on the master key alone, so counter mode without encryption is the NULL cipher.
    #[test]
    fn unencrypted_counter_mode_is_what_libsrtps_null_cipher_is() {
        let counterparts = [
            (PeerProfile::Aes128CmSha1_80, PeerProfile::NullSha1_80),
            (PeerProfile::Aes128CmSha1_32, PeerProfile::NullSha1_32),
        ];
        let plainly = |builder: SessionBuilder| builder.unencrypted_srtp().srtcp_encryption(SrtcpEncryption::Off);
        for (counter_mode, null) in counterparts {
            for protocol in [Protocol::Rtp, Protocol::Rtcp] {
                let mut packets = packets_for(null);
                let config = packets.config(counter_mode, Direction::Send);
                let theirs = PeerConfig { profile: null, ..config.clone() };

                let mut keyflip = Keyflip::open_as(&config, plainly);
                let mut peer = PeerKind::Libsrtp.open(&theirs.facing(Direction::Receive)).expect("a receiver");
                let plain = stream(protocol, &mut packets);
                converse("unencrypted", (&mut keyflip, &mut *peer), &config, plain, Forgery::Tag, &mut packets);

                let mut peer = PeerKind::Libsrtp.open(&theirs).expect("a sender");
                let mut keyflip = Keyflip::open_as(&config.facing(Direction::Receive), plainly);
                let plain = stream(protocol, &mut packets);
                converse("unencrypted", (&mut *peer, &mut keyflip), &config, plain, Forgery::AnyBit, &mut packets);
            }
        }
    }

    #[test]
    fn a_keyflip_that_demands_encrypted_srtcp_refuses_libsrtps_unencrypted_one() {
        let mut packets = packets_for(PeerProfile::NullSha1_80);
        let config = packets.config(PeerProfile::NullSha1_80, Direction::Send);
        let mut libsrtp = PeerKind::Libsrtp.open(&config).expect("a sender");
        let counter_mode = PeerConfig { profile: PeerProfile::Aes128CmSha1_80, ..config.facing(Direction::Receive) };
        let keyflip = Keyflip::open(&counter_mode);
        let mut wire = libsrtp.protect_rtcp(&packets.rtcp(SSRCS[0])).expect("protected");
        let refused = keyflip.session.inbound().unprotect_rtcp_autopin(&mut wire);
        assert_eq!(refused.map(drop), Err(Error::UnencryptedSrtcp));
    }

    /// RFC 7714 section 9.3: the whole packet is associated data then, and the E flag is authenticated.
    #[test]
    fn libsrtp_takes_keyflips_unencrypted_srtcp_under_gcm() {
        for profile in [PeerProfile::AeadAes128Gcm, PeerProfile::AeadAes256Gcm] {
            let mut packets = packets_for(profile);
            let config = packets.config(profile, Direction::Send);
            let mut keyflip = Keyflip::open_as(&config, |builder| builder.srtcp_encryption(SrtcpEncryption::Off));
            let mut libsrtp = PeerKind::Libsrtp.open(&config.facing(Direction::Receive)).expect("a receiver");
            for plain in stream(Protocol::Rtcp, &mut packets) {
                let wire = keyflip.protect_rtcp(&plain.octets).expect("protected");
                assert!(wire.starts_with(&plain.octets), "{profile}: not encrypted");
                assert!(libsrtp.unprotect_rtcp(&wire).expect("authentic") == plain.octets, "{profile}");
            }
        }
    }

    /// Every length around the block sizes of the ciphers and hashes, which random lengths may miss.
    #[test]
    fn every_short_payload_has_libsrtps_octets() {
        for profile in PeerProfile::ALL.into_iter().filter(|&profile| PeerKind::Libsrtp.supports(profile)) {
            let mut packets = packets_for(profile);
            let config = packets.config(profile, Direction::Send);
            let (mut keyflip, mut libsrtp) =
                (Keyflip::open(&config), PeerKind::Libsrtp.open(&config).expect("a sender"));
            for len in 0..=300 {
                let seq = u16::try_from(len).expect("a small number");
                let packet = packets.rtp_with(SSRCS[0], seq, 0, Extension::ALL[len % 4], len);
                assert_eq!(keyflip.protect_rtp(&packet), libsrtp.protect_rtp(&packet), "{profile}, {len} octets");
            }
        }
    }

    /// An RTP packet whose extension, of the one-byte form, has this body.
    fn with_elements(packets: &mut PacketGen, seq: u16, body: &[u8]) -> Vec<u8> {
        let mut packet = packets.rtp_with(SSRCS[0], seq, 0, Extension::Absent, 100);
        let header = 12 + 4 * usize::from(packet[0] & 0xf);
        packet[0] |= 0x10;
        let words = u8::try_from(body.len() / 4).expect("a short one");
        packet.splice(header..header, [&[0xbe, 0xde, 0, words], body].concat());
        packet
    }

    /// Profiles that libsrtp encrypts header extensions under.
    fn header_ciphers() -> impl Iterator<Item = PeerProfile> {
        let has_cipher = |profile: &PeerProfile| !profile.sdes_name().starts_with("NULL");
        PeerProfile::ALL.into_iter().filter(|&profile| PeerKind::Libsrtp.supports(profile)).filter(has_cipher)
    }

    #[test]
    fn rfc6904_keyflip_and_libsrtp_encrypt_the_same_elements_where_nothing_is_between_them() {
        for profile in header_ciphers() {
            let mut packets = packets_for(profile);
            let config = packets.config(profile, Direction::Send).with_encrypted_ids(&[1, 3, 14]);
            let (mut keyflip, mut libsrtp) =
                (Keyflip::open(&config), PeerKind::Libsrtp.open(&config).expect("a sender"));
            let receive = config.facing(Direction::Receive);
            let (mut takes, mut taken) =
                (Keyflip::open(&receive), PeerKind::Libsrtp.open(&receive).expect("a receiver"));
            for seq in 0..200u16 {
                // Elements one behind the other, and padding after the last.
                let mut body = Vec::new();
                for _ in 0..seq % 6 {
                    let (id, data) = (packets.octets(1)[0] % 14 + 1, usize::from(packets.octets(1)[0] % 16) + 1);
                    body.push(id << 4 | u8::try_from(data - 1).expect("at most 15"));
                    body.extend(packets.octets(data));
                }
                body.resize(body.len().next_multiple_of(4), 0);
                let plain = with_elements(&mut packets, seq, &body);
                let ours = keyflip.protect_rtp(&plain).expect("protected");
                let theirs = libsrtp.protect_rtp(&plain).expect("protected");
                assert!(ours == theirs, "{profile}, packet {seq}");
                assert!(takes.unprotect_rtp(&theirs).expect("authentic") == plain, "{profile}, packet {seq}");
                assert!(taken.unprotect_rtp(&ours).expect("authentic") == plain, "{profile}, packet {seq}");
            }
        }
    }

    #[test]
    fn rfc6904_padding_between_elements_is_where_libsrtp_departs_and_keyflip_follows_if_told() {
        for profile in header_ciphers() {
            let mut packets = packets_for(profile);
            let config = packets.config(profile, Direction::Send).with_encrypted_ids(&[1, 3]);
            let as_libsrtp = |builder: SessionBuilder| builder.header_extension_keystream(HeaderKeystream::Libsrtp);
            let (mut told, mut rfc) = (Keyflip::open_as(&config, as_libsrtp), Keyflip::open(&config));
            let mut libsrtp = PeerKind::Libsrtp.open(&config).expect("a sender");
            let mut receiver = Keyflip::open_as(&config.facing(Direction::Receive), as_libsrtp);
            let bodies: [&[u8]; 4] = [
                &[0x10, 9, 0, 0, 0x31, 9, 9, 0],
                &[0, 0, 0, 0x10, 9, 0x30, 9, 0],
                &[0, 0x12, 1, 2, 3, 0, 0x30, 7],
                &[0x10, 9, 0, 0x03, 1, 2, 3, 4, 0x30, 9, 0, 0],
            ];
            for (seq, body) in (0u16..).zip(bodies) {
                let plain = with_elements(&mut packets, seq, body);
                let theirs = libsrtp.protect_rtp(&plain).expect("protected");
                assert!(told.protect_rtp(&plain).expect("protected") == theirs, "{profile}, {body:02x?}");
                assert!(rfc.protect_rtp(&plain).expect("protected") != theirs, "{profile}, {body:02x?}");
                assert!(receiver.unprotect_rtp(&theirs).expect("authentic") == plain, "{profile}, {body:02x?}");
            }
            let two_byte = packets.rtp_with(SSRCS[0], 9, 0, Extension::TwoByte, 10);
            libsrtp.protect_rtp(&two_byte).expect_err("not its form");
        }
    }

    #[test]
    fn only_aes_192_and_no_authentication_have_no_peer_to_judge_them() {
        let unjudged: Vec<_> = Profile::ALL
            .into_iter()
            .filter(|&ours| !PeerProfile::ALL.into_iter().any(|p| profile(p) == ours && PeerKind::Libsrtp.supports(p)))
            .collect();
        let expected = [Profile::Aes192CmSha1_80, Profile::Aes192CmSha1_32, Profile::NullWithoutAuthentication];
        assert_eq!(unjudged, expected);
    }
}
