//! What a drop-in for other libraries needs of streams: forgetting them, forcing their rollover counter, windows of their own; authentication alone;
//! the lengths of trailers; SRTCP in the clear.

mod common;

use common::{BOTH, Key, ONE_OF_EACH, Pair, Protocol, SSRC, open, plain, rtp, seal, srtcp_word, trailer_len};
use keyflip::{
    Cryptex, Domain, Error, MAX_MKI_LEN, MAX_TRAILER_LEN, NewStreams, Profile, Roc, Session, SessionBuilder,
    SrtcpEncryption, StreamOptions,
};

const OTHER: u32 = 0x5eed_0002;

fn authenticate(pair: &Pair, protocol: Protocol, packet: &[u8]) -> keyflip::Result<usize> {
    let guard = pair.domain.pin();
    match protocol {
        Protocol::Rtp => pair.inbound().authenticate_rtp(&guard, packet),
        Protocol::Rtcp => pair.inbound().authenticate_rtcp(&guard, packet),
    }
}

#[test]
fn a_forgotten_stream_leaves_no_floor() {
    for profile in ONE_OF_EACH {
        for protocol in BOTH {
            let pair = Pair::new(profile);
            let packet = pair.sealed(protocol, SSRC, 9);
            assert!(pair.open(protocol, &packet).is_ok());
            pair.inbound().remove_stream(SSRC).unwrap();
            assert_eq!(pair.open(protocol, &packet), Err(Error::TooOld), "P5: removal alone leaves a floor");
            pair.inbound().forget_stream(SSRC).unwrap();
            assert_eq!(pair.open(protocol, &packet), Ok(plain(protocol, SSRC, 9)), "the hole it says it is");
            // With or without a removal before.
            pair.inbound().forget_stream(SSRC).unwrap();
            assert!(pair.inbound().streams().is_empty());
            assert_eq!(pair.open(protocol, &packet), Ok(plain(protocol, SSRC, 9)));
            assert_eq!(pair.open(protocol, &packet), Err(Error::Replayed));
            pair.outbound().forget_stream(SSRC).unwrap();
            assert_eq!(seal(pair.outbound(), protocol, &plain(protocol, SSRC, 9)), Ok(packet), "keystream again");
            assert_eq!(pair.inbound().forget_stream(OTHER), Err(Error::NoSuchStream));
        }
    }
}

#[test]
fn a_forgotten_stream_may_be_added_at_any_index() {
    let pair = Pair::new(Profile::Aes128CmSha1_80);
    let outbound = pair.outbound();
    outbound.add_stream(SSRC, Roc(7), 100).unwrap();
    outbound.remove_stream(SSRC).unwrap();
    assert_eq!(outbound.add_stream(SSRC, Roc(0), 5), Err(Error::IndexBackward), "a floor holds");
    outbound.forget_stream(SSRC).unwrap();
    outbound.add_stream(SSRC, Roc(0), 5).unwrap();
    let sealed = seal(outbound, Protocol::Rtcp, &plain(Protocol::Rtcp, SSRC, 0)).unwrap();
    assert_eq!(srtcp_word(Profile::Aes128CmSha1_80, 0, &sealed).1, 5);
}

#[test]
fn srtcp_tags_are_as_short_as_srtps_where_the_peer_has_them_so() {
    let short = Pair::with(Profile::Aes128CmSha1_32, 0, SessionBuilder::srtcp_tags_as_short_as_srtps);
    let standard = Pair::new(Profile::Aes128CmSha1_32);
    let packet = plain(Protocol::Rtcp, SSRC, 0);
    let sealed = |pair: &Pair| seal(pair.outbound(), Protocol::Rtcp, &packet).unwrap();
    let (four, ten) = (sealed(&short), sealed(&standard));
    assert_eq!((four.len(), ten.len()), (packet.len() + 4 + 4, packet.len() + 4 + 10));
    assert_eq!(four, ten[..four.len()], "the same tag, cut");
    assert_eq!(short.outbound().rtcp_overhead(), 8);
    assert_eq!(short.open(Protocol::Rtcp, &four), Ok(packet.clone()));
    let mut forged = sealed(&short);
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(short.open(Protocol::Rtcp, &forged), Err(Error::AuthenticationFailed));
    assert!(standard.open(Protocol::Rtcp, &four).is_err());
}

#[test]
fn forgotten_streams_take_no_room() {
    let pair = Pair::with(Profile::AeadAes128Gcm, 0, |builder| builder.max_streams(2));
    for ssrc in 0..1000 {
        pair.send(Protocol::Rtp, ssrc, 0);
        pair.inbound().forget_stream(ssrc).unwrap();
        pair.outbound().forget_stream(ssrc).unwrap();
    }
    for ssrc in [1, 2] {
        pair.send(Protocol::Rtp, ssrc, 0);
    }
    assert_eq!(seal(pair.outbound(), Protocol::Rtp, &rtp(3, 0)), Err(Error::TooManyStreams));
    // A floor does: the positive control.
    pair.outbound().remove_stream(1).unwrap();
    assert_eq!(seal(pair.outbound(), Protocol::Rtp, &rtp(3, 0)), Err(Error::TooManyStreams));
}

#[test]
fn a_forced_rollover_counter_goes_back_and_the_next_packet_is_in_its_cycle() {
    for profile in ONE_OF_EACH {
        let pair = Pair::new(profile);
        for roc in [5, 3] {
            // Both ends are told; the sequence number alone would say another cycle.
            for seq in [65_000, 10] {
                if pair.outbound().streams().is_empty() {
                    pair.send(Protocol::Rtp, SSRC, 1);
                }
                assert_eq!(pair.outbound().set_roc(SSRC, Roc(0)).is_err(), pair.outbound().roc(SSRC).unwrap() > Roc(0));
                pair.outbound().force_roc(SSRC, Roc(roc)).unwrap();
                pair.inbound().force_roc(SSRC, Roc(roc)).unwrap();
                pair.send(Protocol::Rtp, SSRC, seq);
                assert_eq!(pair.inbound().roc(SSRC), Ok(Roc(roc)));
                assert_eq!(pair.outbound().roc(SSRC), Ok(Roc(roc)));
            }
        }
        assert_eq!(pair.inbound().force_roc(OTHER, Roc(1)), Err(Error::NoSuchStream));
    }
}

#[test]
fn a_forced_rollover_counter_leaves_srtcp_and_the_window_as_they_are() {
    let pair = Pair::new(Profile::Aes128CmSha1_80);
    pair.inbound().add_stream_with(SSRC, StreamOptions::default().replay_window(64)).unwrap();
    pair.send(Protocol::Rtcp, SSRC, 0);
    let control = pair.sealed(Protocol::Rtcp, SSRC, 1);
    assert!(pair.open(Protocol::Rtcp, &control).is_ok());
    pair.send(Protocol::Rtp, SSRC, 1);
    pair.inbound().force_roc(SSRC, Roc(0)).unwrap();
    pair.outbound().force_roc(SSRC, Roc(0)).unwrap();
    assert!(matches!(pair.open(Protocol::Rtcp, &control), Err(Error::Replayed | Error::TooOld)));
    assert_eq!(srtcp_word(pair.profile, 0, &pair.sealed(Protocol::Rtcp, SSRC, 2)), (true, 2));
    let late = pair.sealed(Protocol::Rtp, SSRC, 5);
    pair.send(Protocol::Rtp, SSRC, 100);
    assert_eq!(pair.open(Protocol::Rtp, &late), Err(Error::TooOld));
}

#[test]
fn streams_have_windows_of_their_own() {
    let pair = Pair::with(Profile::Aes128CmSha1_80, 0, |builder| builder.new_streams(NewStreams::ByCall));
    for (ssrc, window) in [(1, 64), (2, 1024), (3, 8192)] {
        let options = StreamOptions::starting_at(Roc(1)).replay_window(window).srtcp_replay_window(window);
        pair.inbound().add_stream_with(ssrc, options).unwrap();
        pair.outbound().add_stream_with(ssrc, options.srtcp_index(7)).unwrap();
        let newest = u16::try_from(window).unwrap() + 100;
        // The last one inside, and the first one outside: by both ends alike.
        let early: Vec<_> = [100, 101].map(|seq| pair.sealed(Protocol::Rtp, ssrc, seq)).into();
        pair.send(Protocol::Rtp, ssrc, newest);
        assert_eq!(pair.open(Protocol::Rtp, &early[0]), Err(Error::TooOld), "{window}");
        assert_eq!(pair.open(Protocol::Rtp, &early[1]), Ok(rtp(ssrc, 101)), "{window}");
        assert_eq!(seal(pair.outbound(), Protocol::Rtp, &rtp(ssrc, 99)), Err(Error::IndexTooOld));
        assert!(seal(pair.outbound(), Protocol::Rtp, &rtp(ssrc, 102)).is_ok());
        let control: Vec<_> =
            (0..=window).map(|n| pair.sealed(Protocol::Rtcp, ssrc, u16::try_from(n).unwrap())).collect();
        assert_eq!(srtcp_word(pair.profile, 0, &control[0]), (true, 7));
        assert!(pair.open(Protocol::Rtcp, control.last().unwrap()).is_ok());
        assert!(pair.open(Protocol::Rtcp, &control[1]).is_ok());
        assert_eq!(pair.open(Protocol::Rtcp, &control[0]), Err(Error::TooOld));
    }
    for bad in [63, 32_769] {
        let options = StreamOptions::default();
        assert_eq!(pair.inbound().add_stream_with(9, options.replay_window(bad)), Err(Error::BadReplayWindow));
        assert_eq!(pair.inbound().add_stream_with(9, options.srtcp_replay_window(bad)), Err(Error::BadReplayWindow));
    }
    let too_high = StreamOptions::default().srtcp_index(1 << 31);
    assert_eq!(pair.outbound().add_stream_with(9, too_high), Err(Error::IndexBackward));
}

#[test]
fn authentication_alone_claims_the_index_and_leaves_the_ciphertext() {
    for profile in ONE_OF_EACH {
        for protocol in BOTH {
            let pair = Pair::with(profile, 2, |builder| builder);
            let mut packet = pair.sealed(protocol, SSRC, 3);
            let kept = packet.clone();
            *packet.last_mut().unwrap() ^= 1;
            // With GCM the MKI is last; with HMAC the tag.
            assert!(authenticate(&pair, protocol, &packet).is_err());
            assert!(pair.inbound().streams().is_empty(), "P8");
            assert_eq!(authenticate(&pair, protocol, &kept), Ok(plain(protocol, SSRC, 3).len()));
            assert_eq!(authenticate(&pair, protocol, &kept), Err(Error::Replayed));
            assert_eq!(pair.open(protocol, &kept), Err(Error::Replayed), "it was received");
            let (_, [rtp, rtcp]) = pair.accepted()[0];
            assert_eq!(rtp.2 + rtcp.2, 1, "packets");
            assert_eq!(pair.refusals(), 3);
        }
    }
}

#[test]
fn trailers_are_as_long_as_they_are_said_to_be() {
    let mut longest = 0;
    for profile in Profile::ALL {
        for mki_len in [0, 1, 4, MAX_MKI_LEN] {
            for protocol in BOTH {
                let pair = Pair::with(profile, mki_len, |builder| builder);
                let said = match protocol {
                    Protocol::Rtp => profile.srtp_trailer_len(mki_len),
                    Protocol::Rtcp => profile.srtcp_trailer_len(mki_len),
                };
                let packet = pair.sealed(protocol, SSRC, 0);
                assert_eq!(packet.len() - plain(protocol, SSRC, 0).len(), said);
                assert_eq!(said, trailer_len(profile, protocol, mki_len));
                longest = longest.max(said);
            }
        }
    }
    assert_eq!(longest, MAX_TRAILER_LEN);
    // What Cryptex adds is no trailer.
    let pair = Pair::with(Profile::AeadAes128Gcm, 0, |builder| builder.cryptex(Cryptex::Enabled));
    assert_eq!(pair.outbound().rtp_overhead(), Profile::AeadAes128Gcm.srtp_trailer_len(0) + 4);
}

#[test]
fn srtcp_in_the_clear_is_sent_and_accepted_by_policy() {
    use SrtcpEncryption::{Off, Preferred, Required};
    for profile in [Profile::Aes128CmSha1_80, Profile::AeadAes256Gcm] {
        for sending in [Required, Preferred, Off] {
            for receiving in [Required, Preferred, Off] {
                let pair = Pair::differing(
                    profile,
                    0,
                    |builder| builder.srtcp_encryption(sending),
                    |builder| builder.srtcp_encryption(receiving),
                );
                let report = plain(Protocol::Rtcp, SSRC, 0);
                let packet = pair.sealed(Protocol::Rtcp, SSRC, 0);
                assert_eq!(srtcp_word(profile, 0, &packet), (sending != Off, 0));
                assert_eq!(packet.starts_with(&report), sending == Off);
                let refused = sending == Off && receiving == Required;
                let expected = if refused { Err(Error::UnencryptedSrtcp) } else { Ok(report) };
                assert_eq!(pair.open(Protocol::Rtcp, &packet), expected);
                // It is authenticated all the same.
                let mut forged = pair.sealed(Protocol::Rtcp, SSRC, 1);
                forged[9] ^= 1;
                assert!(pair.open(Protocol::Rtcp, &forged).is_err());
            }
        }
    }
}

#[test]
fn p08_without_authentication_an_ssrc_has_a_stream_by_call_only() {
    let profile = Profile::NullWithoutAuthentication;
    let session = Session::builder(profile).inbound(Key::nth(profile, 0, 0).master()).build(&Domain::new()).unwrap();
    assert_eq!(open(session.inbound(), Protocol::Rtp, &rtp(SSRC, 0)), Err(Error::UnknownSsrc));
    session.inbound().add_stream(SSRC, Roc(0)).unwrap();
    assert_eq!(open(session.inbound(), Protocol::Rtp, &rtp(SSRC, 0)), Ok(rtp(SSRC, 0)));
    // Not even one that was there before.
    session.inbound().forget_stream(SSRC).unwrap();
    assert_eq!(open(session.inbound(), Protocol::Rtp, &rtp(SSRC, 0)), Err(Error::UnknownSsrc));
}
