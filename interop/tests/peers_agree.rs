//! Each peer held against the others: what one protects, the other unprotects, and both put the same octets on the wire.
//!
//! Where this holds, an adapter's mistake cannot be mistaken for one of the library under test. Without the feature
//! `libsrtp` there is one peer only, and it is paired with itself.

use keyflip_interop::packets::PacketGen;
use keyflip_interop::traffic::{self, Forgery, Plain, Sources};
use keyflip_interop::{Direction, PeerConfig, PeerKind, PeerProfile, Protocol};

/// RTP packets of each session, over all of its sources.
const RTP_PACKETS: usize = 600;

/// RTCP packets of each session, over all of its sources.
const RTCP_PACKETS: usize = 200;

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

/// The peers that handle `protocol` under `profile`.
fn able(profile: PeerProfile, protocol: Protocol) -> Vec<PeerKind> {
    PeerKind::ALL.iter().copied().filter(|kind| kind.support(profile, protocol).is_ok()).collect()
}

fn packets_for(profile: PeerProfile) -> PacketGen {
    let seed = PeerProfile::ALL.iter().position(|&p| p == profile).expect("a listed profile");
    PacketGen::new(u64::try_from(seed).expect("a small number"))
}

/// Sends a whole stream from one peer to another.
fn converse(from: PeerKind, to: PeerKind, config: &PeerConfig, protocol: Protocol, packets: &mut PacketGen) {
    let names = format!("{from} to {to}, {}, {protocol:?}", config.profile);
    let mut sender = from.open(&config.facing(Direction::Send)).expect(&names);
    let mut receiver = to.open(&config.facing(Direction::Receive)).expect(&names);
    let plain = stream(protocol, packets);
    traffic::converse(&names, (&mut *sender, &mut *receiver), config, plain, Forgery::Tag, packets);
}

/// Lets every peer converse with every peer that handles `protocol` under the same profile.
fn everybody_converses(protocol: Protocol) {
    for profile in PeerProfile::ALL {
        let able = able(profile, protocol);
        for &from in &able {
            for &to in &able {
                let mut packets = packets_for(profile);
                let config = packets.config(profile, Direction::Send);
                converse(from, to, &config, protocol, &mut packets);
            }
        }
    }
}

#[test]
fn rtp_of_each_peer_is_understood_by_each_over_two_rollovers() {
    everybody_converses(Protocol::Rtp);
}

#[test]
fn rtcp_of_each_peer_is_understood_by_each() {
    everybody_converses(Protocol::Rtcp);
}

#[test]
fn every_peer_supports_the_profiles_that_the_others_are_held_against() {
    let common = [
        PeerProfile::Aes128CmSha1_80,
        PeerProfile::Aes128CmSha1_32,
        PeerProfile::Aes256CmSha1_80,
        PeerProfile::Aes256CmSha1_32,
        PeerProfile::AeadAes128Gcm,
        PeerProfile::AeadAes256Gcm,
    ];
    for kind in PeerKind::ALL {
        for profile in common {
            assert!(kind.supports(profile), "{kind} with {profile}");
        }
    }
}

#[test]
fn a_profile_that_a_peer_does_not_support_cannot_be_opened() {
    let mut packets = PacketGen::new(0);
    for kind in PeerKind::ALL {
        for profile in PeerProfile::ALL {
            let config = packets.config(profile, Direction::Send);
            assert_eq!(kind.open(&config).is_ok(), kind.supports(profile), "{kind} with {profile}");
        }
    }
}

#[cfg(feature = "libsrtp")]
mod two_peers {
    use super::*;
    use keyflip_interop::packets::Extension;

    /// The wire octets of a whole stream under the keys of `config`.
    fn wire_of(kind: PeerKind, config: &PeerConfig, protocol: Protocol, plain: &[Plain]) -> Vec<Vec<u8>> {
        let mut sender = kind.open(config).expect("a sender");
        plain.iter().map(|plain| sender.protect(protocol, &plain.octets).expect("protected")).collect()
    }

    #[test]
    fn both_peers_put_the_same_octets_on_the_wire() {
        let mut compared = 0;
        for profile in PeerProfile::ALL {
            for protocol in [Protocol::Rtp, Protocol::Rtcp] {
                if able(profile, protocol).len() < 2 {
                    continue;
                }
                let mut packets = packets_for(profile);
                let config = packets.config(profile, Direction::Send);
                let plain = stream(protocol, &mut packets);
                let rtc = wire_of(PeerKind::Rtc, &config, protocol, &plain);
                let libsrtp = wire_of(PeerKind::Libsrtp, &config, protocol, &plain);
                assert!(rtc == libsrtp, "{profile}, {protocol:?}");
                compared += 1;
            }
        }
        assert_eq!(compared, 12, "six profiles, two protocols");
    }

    #[test]
    fn an_mki_changes_nothing_but_its_own_octets() {
        for profile in PeerProfile::ALL {
            for protocol in [Protocol::Rtp, Protocol::Rtcp] {
                if able(profile, protocol).len() < 2 {
                    continue;
                }
                let mut packets = packets_for(profile);
                let config = packets.config(profile, Direction::Send);
                let mki = packets.octets(3);
                let plain = stream(protocol, &mut packets);
                let without = wire_of(PeerKind::Rtc, &config, protocol, &plain);
                let with = wire_of(PeerKind::Libsrtp, &config.with_mki(&mki), protocol, &plain);
                // RFC 3711 has the MKI before the tag; AEAD's tag is part of the ciphertext before it.
                let behind = if profile.is_aead() { 0 } else { profile.tag_len(protocol) };
                for (without, with) in without.into_iter().zip(with) {
                    let mut expected = without;
                    let at = expected.len() - behind;
                    expected.splice(at..at, mki.iter().copied());
                    assert!(expected == with, "{profile}, {protocol:?}");
                }
            }
        }
    }

    #[test]
    fn packets_with_an_mki_are_understood_where_that_is_said_to_be_supported() {
        for profile in PeerProfile::ALL {
            for protocol in [Protocol::Rtp, Protocol::Rtcp] {
                for mki_len in [1, 4, 128] {
                    if PeerKind::Libsrtp.mki_support(profile, protocol, Direction::Receive).is_err() {
                        continue;
                    }
                    let mut packets = packets_for(profile);
                    let mki = packets.octets(mki_len);
                    let config = packets.config(profile, Direction::Send).with_mki(&mki);
                    converse(PeerKind::Libsrtp, PeerKind::Libsrtp, &config, protocol, &mut packets);
                }
            }
        }
    }

    #[test]
    fn a_set_rollover_counter_is_the_one_that_packets_bring_about() {
        for profile in PeerProfile::ALL {
            if PeerKind::Libsrtp.roc_support(profile).is_err() || able(profile, Protocol::Rtp).len() < 2 {
                continue;
            }
            let mut packets = packets_for(profile);
            let config = packets.config(profile, Direction::Send);
            let mut veteran = PeerKind::Rtc.open(&config).expect("a sender");
            for seq in [0, 0x7000, 0xE000, 0x4000, 0xB000, 0x1000, 0x7000] {
                let packet = packets.rtp(7, seq, 0);
                veteran.protect_rtp(&packet).expect("protected");
            }
            let mut late_sender = PeerKind::Libsrtp.open(&config).expect("a sender");
            late_sender.set_roc(7, 2).expect("a source not yet seen");
            let mut late_receiver = PeerKind::Libsrtp.open(&config.facing(Direction::Receive)).expect("a receiver");
            late_receiver.set_roc(7, 2).expect("a source not yet seen");
            // Three packets in rollover 2, and on into rollover 3.
            for seq in [0x7001, 0x7002, 0xE000, 0x0005] {
                let packet = packets.rtp(7, seq, 0);
                let wire = veteran.protect_rtp(&packet).expect("protected");
                assert_eq!(late_sender.protect_rtp(&packet).expect("protected"), wire, "{profile}");
                assert_eq!(late_receiver.unprotect_rtp(&wire).expect("the same rollover"), packet, "{profile}");
            }
        }
    }

    #[test]
    fn the_highest_rollover_counters_can_be_set() {
        for roc in [1, 0x7FFF_FFFF, 0x8000_0000, u32::MAX] {
            let mut packets = PacketGen::new(0);
            let config = packets.config(PeerProfile::NullSha1_80, Direction::Send);
            let mut sender = PeerKind::Libsrtp.open(&config).expect("a sender");
            let mut receiver = PeerKind::Libsrtp.open(&config.facing(Direction::Receive)).expect("a receiver");
            sender.set_roc(9, roc).expect("a source not yet seen");
            let packet = packets.rtp(9, 77, 0);
            let wire = sender.protect_rtp(&packet).expect("protected");
            receiver.unprotect_rtp(&wire).expect_err("rollover 0 is another tag");
            receiver.set_roc(9, roc).expect("no packet of the source was accepted");
            assert_eq!(receiver.unprotect_rtp(&wire).expect("the same rollover"), packet);
        }
    }

    /// The NULL profiles have one peer only. But an empty payload is the same encrypted or not, and authentication keys
    /// depend on the master key alone, so counter mode's packets are the NULL cipher's packets then.
    #[test]
    fn the_null_cipher_authenticates_as_counter_mode_does() {
        let counterparts = [
            (PeerProfile::NullSha1_80, PeerProfile::Aes128CmSha1_80),
            (PeerProfile::NullSha1_32, PeerProfile::Aes128CmSha1_32),
        ];
        for (null, counter_mode) in counterparts {
            let mut packets = packets_for(null);
            let config = packets.config(null, Direction::Send);
            let mut libsrtp = PeerKind::Libsrtp.open(&config).expect("a sender");
            let mut rtc =
                PeerKind::Rtc.open(&PeerConfig { profile: counter_mode, ..config.clone() }).expect("a sender");
            for seq in (0..300_u16).map(|n| n.wrapping_mul(20_000)) {
                let packet = packets.rtp_with(3, seq, 0, Extension::Opaque, 0);
                assert_eq!(libsrtp.protect_rtp(&packet), rtc.protect_rtp(&packet), "{null}");
            }
        }
    }
}
