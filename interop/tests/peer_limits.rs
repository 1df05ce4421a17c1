//! Where a peer departs from the RFCs, proved, so that nobody takes its verdict for evidence there.
//!
//! A test here that fails after an update of a peer is good news: the limit is gone, and the adapter's documentation and
//! its table of support can say so.

use keyflip_interop::packets::{PacketGen, Rtcp};
use keyflip_interop::{Direction, Peer, PeerConfig, PeerKind, PeerProfile};

const SSRC: u32 = 0x1234_5678;

/// A sender and a receiver of the same session.
fn session(kind: PeerKind, config: &PeerConfig) -> (Box<dyn Peer>, Box<dyn Peer>) {
    let sender = kind.open(&config.facing(Direction::Send)).expect("a sender");
    let receiver = kind.open(&config.facing(Direction::Receive)).expect("a receiver");
    (sender, receiver)
}

/// The receiver of a fresh session, and what a sender made of these RTP sequence numbers for it.
fn rtp_in_order(
    kind: PeerKind,
    profile: PeerProfile,
    seqs: impl IntoIterator<Item = u16>,
) -> (Box<dyn Peer>, Vec<Vec<u8>>) {
    let mut packets = PacketGen::new(11);
    let (mut sender, receiver) = session(kind, &packets.config(profile, Direction::Send));
    let wire = seqs.into_iter().map(|seq| sender.protect_rtp(&packets.rtp(SSRC, seq, 0)).expect("protected"));
    let wire = wire.collect();
    (receiver, wire)
}

/// RFC 3711 section 3.4: the index is zero when the first SRTCP packet is sent.
#[test]
fn every_peer_sends_srtcp_index_one_first() {
    for kind in PeerKind::ALL {
        let mut packets = PacketGen::new(1);
        let (mut sender, _) = session(*kind, &packets.config(PeerProfile::AeadAes128Gcm, Direction::Send));
        for index in 1..=3 {
            let wire = sender.protect_rtcp(&packets.rtcp(SSRC)).expect("protected");
            assert_eq!(wire[wire.len() - 4..], (0x8000_0000_u32 | index).to_be_bytes(), "{kind}");
        }
    }
}

/// RFC 3711 section 3.4: the tag is mandatory in SRTCP, encrypted or not.
#[test]
fn rtc_accepts_unencrypted_srtcp_without_checking_its_tag() {
    let mut packets = PacketGen::new(2);
    let (_, mut receiver) = session(PeerKind::Rtc, &packets.config(PeerProfile::Aes128CmSha1_80, Direction::Send));
    let plain = packets.rtcp_of(Rtcp::Bye, SSRC);
    let forged = [plain.as_slice(), &5_u32.to_be_bytes(), &[0; 10]].concat();
    assert_eq!(receiver.unprotect_rtcp(&forged), Ok(plain));
}

/// RFC 7714 section 9.2: the E flag and the index are associated data.
#[test]
fn rtc_does_not_authenticate_the_e_flag_under_gcm() {
    let mut packets = PacketGen::new(3);
    let (mut sender, mut receiver) =
        session(PeerKind::Rtc, &packets.config(PeerProfile::AeadAes128Gcm, Direction::Send));
    let plain = packets.rtcp_of(Rtcp::SenderReport, SSRC);
    let mut wire = sender.protect_rtcp(&plain).expect("protected");
    let e_flag = wire.len() - 4;
    wire[e_flag] ^= 0x80;
    assert_eq!(receiver.unprotect_rtcp(&wire), Ok(plain));
}

/// RFC 3711 section 3.3.1: a late packet does not change the highest sequence number, from which rollovers are guessed.
#[test]
fn rtc_misplaces_a_jump_after_a_late_packet() {
    for kind in PeerKind::ALL {
        let (mut receiver, wire) = rtp_in_order(*kind, PeerProfile::Aes128CmSha1_80, [39_500, 40_000, 60_000, 7_000]);
        receiver.unprotect_rtp(&wire[1]).expect("40,000 is the highest");
        receiver.unprotect_rtp(&wire[0]).expect("39,500 is late, and in the window");
        // 32,536 ahead of the highest, so in the next rollover; but 33,036 ahead of the late one.
        let jump = receiver.unprotect_rtp(&wire[3]);
        assert_eq!(jump.is_err(), *kind == PeerKind::Rtc, "{kind}: {jump:?}");
    }
}

/// RFC 3711 section 3.3.2: the replay list is updated once the packet is authentic.
#[test]
fn rtc_lets_a_forgery_position_the_replay_window() {
    for kind in PeerKind::ALL {
        let (mut receiver, wire) = rtp_in_order(*kind, PeerProfile::Aes128CmSha1_80, [100, 20_000]);
        let mut forged = wire[1].clone();
        *forged.last_mut().expect("a tag") ^= 1;
        receiver.unprotect_rtp(&forged).expect_err("a wrong tag");
        let genuine = receiver.unprotect_rtp(&wire[0]);
        assert_eq!(genuine.is_err(), *kind == PeerKind::Rtc, "{kind}: {genuine:?}");
    }
}

/// RFC 3711 section 3.1: the header extension's length field says where encryption starts.
#[test]
fn rtc_measures_an_extension_by_its_elements() {
    for kind in PeerKind::ALL {
        let mut packets = PacketGen::new(4);
        let (mut sender, _) = session(*kind, &packets.config(PeerProfile::Aes128CmSha1_80, Direction::Send));
        // An extension of two words whose first element has ID 15, which ends the elements, and four payload octets.
        let mut plain = vec![0x90, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7];
        plain.extend([0xBE, 0xDE, 0, 2, 0xF0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
        let wire = sender.protect_rtp(&plain).expect("protected");
        assert_eq!(wire[16..24] != plain[16..24], *kind == PeerKind::Rtc, "{kind}");
    }
}

#[cfg(feature = "libsrtp")]
mod libsrtp {
    use super::*;
    use keyflip_interop::Protocol;

    #[test]
    fn libsrtp_does_not_find_the_mki_of_srtcp_when_srtps_tag_is_short() {
        let short = [PeerProfile::Aes128CmSha1_32, PeerProfile::Aes256CmSha1_32, PeerProfile::NullSha1_32];
        for profile in short {
            let mut packets = PacketGen::new(5);
            let config = packets.config(profile, Direction::Send).with_mki(b"mki");
            let (mut sender, mut receiver) = session(PeerKind::Libsrtp, &config);
            let wire = sender.protect_rtcp(&packets.rtcp(SSRC)).expect("protected");
            let error = receiver.unprotect_rtcp(&wire).expect_err("not found");
            assert!(error.contains("bad_mki"), "{profile}: {error}");
            PeerKind::Libsrtp.mki_support(profile, Protocol::Rtcp, Direction::Receive).expect_err("declared");
        }
    }

    /// RFC 3711 appendix A places such a packet before the first one, in rollover -1, where no packet is authentic.
    #[test]
    fn libsrtp_reads_a_far_jump_in_rollover_zero_as_forward() {
        for kind in PeerKind::ALL {
            let (mut receiver, wire) = rtp_in_order(*kind, PeerProfile::Aes128CmSha1_80, [100, 20_000, 50_000]);
            receiver.unprotect_rtp(&wire[0]).expect("the first packet");
            let jump = receiver.unprotect_rtp(&wire[2]);
            assert_eq!(jump.is_ok(), *kind == PeerKind::Libsrtp, "{kind}: {jump:?}");
        }
    }

    /// RFC 3711 section 3.4: the E flag of each packet says whether it is encrypted.
    #[test]
    fn libsrtp_refuses_authentic_unencrypted_srtcp_in_counter_mode() {
        let mut packets = PacketGen::new(8);
        let config = packets.config(PeerProfile::NullSha1_80, Direction::Send);
        // The NULL cipher's SRTCP is what counter mode's unencrypted SRTCP is: the same key authenticates both.
        let (mut sender, mut null) = session(PeerKind::Libsrtp, &config);
        let (_, mut counter_mode) =
            session(PeerKind::Libsrtp, &PeerConfig { profile: PeerProfile::Aes128CmSha1_80, ..config });
        let wire = sender.protect_rtcp(&packets.rtcp(SSRC)).expect("protected");
        null.unprotect_rtcp(&wire).expect("authentic");
        let error = counter_mode.unprotect_rtcp(&wire).expect_err("not encrypted");
        assert!(error.contains("cant_check"), "{error}");
    }

    #[test]
    fn libsrtps_srtcp_window_is_128_packets_whatever_the_configuration() {
        let mut packets = PacketGen::new(9);
        let config = packets.config(PeerProfile::Aes128CmSha1_80, Direction::Send);
        assert_eq!(config.window, 1024);
        let (mut sender, mut receiver) = session(PeerKind::Libsrtp, &config);
        let plain = packets.rtcp_of(Rtcp::Bye, SSRC);
        let wire: Vec<_> = (0..129).map(|_| sender.protect_rtcp(&plain).expect("protected")).collect();
        receiver.unprotect_rtcp(&wire[128]).expect("the highest index");
        receiver.unprotect_rtcp(&wire[1]).expect("the lowest index in the window");
        let error = receiver.unprotect_rtcp(&wire[0]).expect_err("left of the window");
        assert!(error.contains("replay_old"), "{error}");
    }

    /// RFC 3550 sections 5.1 and 6.4.1: the version is 2.
    #[test]
    fn libsrtp_does_not_look_at_the_version() {
        let mut packets = PacketGen::new(12);
        let config = packets.config(PeerProfile::Aes128CmSha1_80, Direction::Send);
        let (mut sender, mut receiver) = session(PeerKind::Libsrtp, &config);
        let (mut rtp, mut rtcp) = (packets.rtp(SSRC, 1, 0), packets.rtcp_of(Rtcp::Bye, SSRC));
        for version in [0, 1, 3] {
            (rtp[0], rtcp[0]) = (rtp[0] & 0x3F | version << 6, rtcp[0] & 0x3F | version << 6);
            rtp[3] = version;
            let wire = sender.protect_rtp(&rtp).expect("protected");
            assert_eq!(receiver.unprotect_rtp(&wire).as_ref(), Ok(&rtp));
            let wire = sender.protect_rtcp(&rtcp).expect("protected");
            assert_eq!(receiver.unprotect_rtcp(&wire).as_ref(), Ok(&rtcp));
        }
    }

    /// RFC 3711 section 3.3.1: an index of a source is used once, whatever its key.
    #[test]
    fn libsrtp_forgets_at_a_rekey_which_packets_were_sent() {
        let mut packets = PacketGen::new(13);
        let config = packets.config(PeerProfile::Aes128CmSha1_80, Direction::Send);
        let (mut sender, _) = session(PeerKind::Libsrtp, &config);
        let wire = [7, 8].map(|seq| packets.rtp(SSRC, seq, 0));
        wire.iter().for_each(|packet| drop(sender.protect_rtp(packet).expect("protected")));
        sender.protect_rtp(&wire[0]).expect_err("sent before");
        sender.rekey(&packets.octets(16), &packets.octets(14), b"").expect("a rekey");
        sender.protect_rtp(&wire[0]).expect("forgotten");
    }

    #[test]
    fn libsrtp_refuses_to_set_what_it_would_not_apply() {
        let mut packets = PacketGen::new(6);
        let (mut gcm, _) = session(PeerKind::Libsrtp, &packets.config(PeerProfile::AeadAes128Gcm, Direction::Send));
        gcm.set_roc(SSRC, 1).expect_err("GCM");
        let (mut running, _) =
            session(PeerKind::Libsrtp, &packets.config(PeerProfile::Aes128CmSha1_80, Direction::Send));
        running.protect_rtp(&packets.rtp(SSRC, 1, 0)).expect("protected");
        running.set_roc(SSRC, 1).expect_err("a source already seen");
    }

    /// Without the adapter's own check the library would read past the packet.
    #[test]
    fn a_packet_too_short_for_tag_and_mki_is_an_error() {
        for profile in PeerProfile::ALL.into_iter().filter(|&profile| PeerKind::Libsrtp.supports(profile)) {
            for mki in [&b""[..], &[0; 4], &[0; 128]] {
                let mut packets = PacketGen::new(7);
                let config = packets.config(profile, Direction::Send).with_mki(mki);
                let (_, mut receiver) = session(PeerKind::Libsrtp, &config);
                for len in 0..12 + 16 + mki.len() + 8 {
                    let mut wire = vec![0; len];
                    if let Some(first) = wire.first_mut() {
                        *first = 0x80;
                    }
                    receiver.unprotect_rtp(&wire).expect_err("no valid tag");
                    receiver.unprotect_rtcp(&wire).expect_err("no valid tag");
                }
            }
        }
    }
}
