//! Packets, keys, buffers and settings that must be refused, and what a refusal must leave alone.

mod common;

use common::*;
use keyflip::{
    Domain, Error, Fault, Grace, KeyLifetime, KeyRole, MAX_KEYS, MAX_MKI_LEN, MAX_PACKET_LEN, MasterKey, Profile,
    Rekeyed, Roc, Session, SessionBuilder, SrtcpEncryption,
};
use rand::{Rng, RngExt};
use std::sync::atomic::{AtomicU32, Ordering};

/// What a packet is, judged from RFC 3550 5.1, 5.3.1 and 6.1 alone: where its header ends, if it lies within `len` octets.
fn header_len(protocol: Protocol, packet: &[u8], len: usize) -> Option<usize> {
    let fixed = if protocol == Protocol::Rtp { 12 } else { 8 };
    if len < fixed || packet[0] >> 6 != 2 {
        return None;
    }
    if protocol == Protocol::Rtcp {
        return Some(fixed);
    }
    let mut header = fixed + 4 * usize::from(packet[0] & 15);
    if packet[0] & 0x10 != 0 {
        let words = packet[..len].get(header + 2..header + 4)?;
        header += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
    }
    (header <= len).then_some(header)
}

/// Garbage of `len` octets, of several kinds; nothing of it is a packet that anybody protected.
fn garbage(len: usize, seed: u64) -> Vec<Vec<u8>> {
    let mut kinds = vec![vec![0; len], vec![0xff; len]];
    let starts: [&[u8]; 5] = [&[0x80], &[0x90], &[0xbf, 0xc8], &[0x8f, 0x60], &[0x81, 0xc9, 0, 1]];
    for start in starts {
        for fill in [0, 0xff] {
            kinds.push(start.iter().copied().chain(std::iter::repeat(fill)).take(len).collect());
        }
    }
    for n in 0..4 {
        let mut random = noise(seed << 8 | n, len);
        if let (true, Some(first)) = (n % 2 == 1, random.first_mut()) {
            *first = *first & 0x3f | 0x80;
        }
        kinds.push(random);
    }
    kinds
}

/// Delivers what must be refused: for a reason of the right kind, counted once, and without a trace.
fn refuse(pair: &Pair, protocol: Protocol, packet: &[u8]) -> Error {
    let (before, refusals) = (pair.accepted(), pair.refusals());
    let error = pair.open(protocol, packet).expect_err("garbage was accepted");
    let trailer = trailer_len(pair.profile, protocol, pair.mki_len);
    let well_formed = packet.len().checked_sub(trailer).and_then(|len| header_len(protocol, packet, len)).is_some();
    let fault = if well_formed { Fault::Peer } else { Fault::Packet };
    assert_eq!(error.fault(), fault, "{error:?} for {} {protocol:?} {}", pair.profile, hex::encode(packet));
    assert_eq!(pair.accepted(), before, "{error:?} changed the streams");
    assert_eq!(pair.refusals(), refusals + 1, "{error:?} was not counted once");
    let mut output = vec![0xee; packet.len()];
    let between = unprotect_to(pair.inbound(), &pair.domain.pin(), protocol, packet, &mut output);
    assert_eq!(between, Err(error), "in place and between buffers differ");
    assert!(output.iter().all(|&octet| octet == 0xee), "{error:?} wrote to the output");
    error
}

#[test]
fn p11_garbage_of_every_length_is_refused_and_leaves_no_trace() {
    for profile in Profile::ALL {
        for mki_len in [0, 4] {
            for protocol in BOTH {
                let pair = Pair::with(profile, mki_len, |builder| builder);
                pair.announce(SSRC);
                pair.send(protocol, SSRC, 1000);
                let genuine = pair.sealed(protocol, SSRC, 1001);
                for len in 0..=64 {
                    for packet in garbage(len, len as u64) {
                        refuse(&pair, protocol, &packet);
                    }
                    // Without tag and MKI, the beginning of a packet is a packet.
                    if len < genuine.len() && (profile.is_authenticated() || mki_len > 0) {
                        refuse(&pair, protocol, &genuine[..len]);
                    }
                    let mut longer = genuine.clone();
                    longer.resize(genuine.len() + len + 1, 0x55);
                    if profile.is_authenticated() || mki_len > 0 {
                        refuse(&pair, protocol, &longer);
                    }
                }
                assert_eq!(pair.open(protocol, &genuine), Ok(plain(protocol, SSRC, 1001)), "{profile} {protocol:?}");
            }
        }
    }
}

#[test]
fn p11_garbage_of_every_length_starts_no_stream() {
    for profile in Profile::ALL {
        for protocol in BOTH {
            let pair = Pair::new(profile);
            for len in 0..=64 {
                for packet in garbage(len, 1 << 20 | len as u64) {
                    let error = refuse(&pair, protocol, &packet);
                    if !profile.is_authenticated() && error.fault() == Fault::Peer {
                        assert_eq!(error, Error::UnknownSsrc);
                    }
                }
            }
            assert_eq!(pair.inbound().streams(), []);
        }
    }
}

#[test]
fn p11_protect_refuses_what_is_no_packet_and_leaves_no_trace() {
    for profile in Profile::ALL {
        for protocol in BOTH {
            let domain = Domain::new();
            for len in 0..=64 {
                let session = Session::builder(profile).outbound(Key::nth(profile, 0, 0).master());
                let session = session.build(&domain).unwrap();
                let (outbound, whole) = (session.outbound(), plain(protocol, SSRC, 77));
                let mut packets = garbage(len, 2 << 20 | len as u64);
                packets.push(whole[..len.min(whole.len())].to_vec());
                let mut sent = 0;
                for packet in packets {
                    let room = trailer_len(profile, protocol, 0);
                    let mut buffer = packet.clone();
                    buffer.resize(packet.len() + room + 16, 0xee);
                    let before = buffer.clone();
                    let result = protect(outbound, &domain.pin(), protocol, &mut buffer, packet.len());
                    if header_len(protocol, &packet, packet.len()).is_some() {
                        // Some kinds of garbage share SSRC and sequence number.
                        if result == Err(Error::IndexReused) {
                            assert_eq!(buffer, before);
                            continue;
                        }
                        assert_eq!(result, Ok(packet.len() + room), "{}", hex::encode(&packet));
                        assert!(buffer[packet.len() + room..].iter().all(|&octet| octet == 0xee), "wrote past the end");
                        sent += 1;
                    } else {
                        let error = result.expect_err("not a packet");
                        assert_eq!(error.fault(), Fault::Packet, "{error:?} {}", hex::encode(&packet));
                        assert_eq!(buffer, before, "{error:?} left traces");
                    }
                }
                let counted: u64 = accepted(&outbound.streams()).iter().map(|(_, [rtp, rtcp])| rtp.2 + rtcp.2).sum();
                assert_eq!(counted, sent, "packets counted as sent");
            }
        }
    }
}

#[test]
fn csrc_counts_and_extensions_that_reach_past_the_end_are_named() {
    for profile in Profile::ALL {
        let pair = Pair::new(profile);
        pair.announce(SSRC);
        let (tag, seal) = (profile.srtp_tag_len(), |packet: &[u8]| seal(pair.outbound(), Protocol::Rtp, packet));
        for csrcs in 1..16u8 {
            // One octet less than the list needs, and a trailer behind it that is none of it.
            let mut packet = rtp(SSRC, 1)[..12].to_vec();
            packet[0] |= csrcs;
            packet.resize(12 + 4 * usize::from(csrcs) - 1, 0);
            assert_eq!(seal(&packet), Err(Error::CsrcOverrun));
            packet.resize(packet.len() + tag, 0);
            assert_eq!(refuse(&pair, Protocol::Rtp, &packet), Error::CsrcOverrun);
        }
        for (words, present) in [(1u16, 0), (1, 3), (2, 4), (0x4000, 100), (0xffff, 1000)] {
            let mut packet = rtp(SSRC, 1)[..12].to_vec();
            packet[0] |= 0x10;
            packet.extend([0xbe, 0xde]);
            packet.extend(words.to_be_bytes());
            packet.resize(packet.len() + present, 0);
            assert_eq!(seal(&packet), Err(Error::ExtensionOverrun), "{words} words, {present} octets");
            packet.resize(packet.len() + tag, 0);
            assert_eq!(refuse(&pair, Protocol::Rtp, &packet), Error::ExtensionOverrun);
        }
        for present in 0..4 {
            let mut packet = rtp(SSRC, 1)[..12].to_vec();
            packet[0] |= 0x10;
            packet.resize(packet.len() + present, 0);
            assert_eq!(seal(&packet), Err(Error::ExtensionOverrun), "{present} octets of extension header");
            packet.resize(packet.len() + tag, 0);
            assert_eq!(refuse(&pair, Protocol::Rtp, &packet), Error::ExtensionOverrun);
        }
        assert_eq!(pair.outbound().streams(), []);
        // A list and an extension that end just where the packet ends are no overrun.
        let words = vec![[1; 4]; 3];
        let packet = Rtp {
            csrcs: (1..16).collect(),
            extension: Some((0xbede, words)),
            payload: Vec::new(),
            ..Rtp::new(SSRC, 2)
        };
        let sealed = seal(&packet.build()).unwrap();
        assert_eq!(pair.open(Protocol::Rtp, &sealed), Ok(packet.build()));
    }
}

#[test]
fn a_trailer_longer_than_the_packet_is_too_short_a_packet() {
    for profile in Profile::ALL {
        for protocol in BOTH {
            for mki_len in [0, 1, 100, MAX_MKI_LEN] {
                let pair = Pair::with(profile, mki_len, |builder| builder);
                let fixed = if protocol == Protocol::Rtp { 12 } else { 8 };
                let least = fixed + trailer_len(profile, protocol, mki_len);
                assert_eq!(overhead(pair.outbound(), protocol), trailer_len(profile, protocol, mki_len));
                for len in 0..least {
                    let packet: Vec<u8> = [0x80].into_iter().chain(std::iter::repeat(0)).take(len).collect();
                    assert_eq!(refuse(&pair, protocol, &packet), Error::PacketTooShort);
                }
                // The shortest packet there is, is one.
                let header = plain(protocol, SSRC, 9)[..fixed].to_vec();
                pair.announce(SSRC);
                let sealed = seal(pair.outbound(), protocol, &header).unwrap();
                assert_eq!(sealed.len(), least);
                assert_eq!(pair.open(protocol, &sealed), Ok(header));
            }
        }
    }
}

#[test]
fn a_packet_longer_than_one_keystream_segment_is_refused() {
    for profile in [Profile::Aes128CmSha1_80, Profile::NullSha1_80] {
        let pair = Pair::new(profile);
        for protocol in BOTH {
            let mut packet = plain(protocol, SSRC, 1);
            packet.resize(MAX_PACKET_LEN + 1, 7);
            assert_eq!(seal(pair.outbound(), protocol, &packet), Err(Error::PacketTooLong));
            packet.resize(MAX_PACKET_LEN + 1 + trailer_len(profile, protocol, 0), 0xff);
            assert_eq!(pair.open(protocol, &packet), Err(Error::PacketTooLong));
            packet.truncate(MAX_PACKET_LEN);
            let sealed = seal(pair.outbound(), protocol, &packet).unwrap();
            assert!(pair.open(protocol, &sealed) == Ok(packet), "the longest packet");
        }
    }
}

#[test]
fn p08_every_flipped_bit_is_refused_and_the_genuine_packet_follows() {
    for profile in Profile::ALL {
        for protocol in BOTH {
            for mki_len in [0, 3] {
                let pair = Pair::with(profile, mki_len, |builder| builder);
                pair.announce(SSRC);
                pair.send(protocol, SSRC, 1000);
                let genuine = pair.sealed(protocol, SSRC, 1001);
                let mki = mki_range(profile, protocol, mki_len, genuine.len());
                let before = pair.accepted();
                for bit in 0..genuine.len() * 8 {
                    if !profile.is_authenticated() && !mki.contains(&(bit / 8)) {
                        continue;
                    }
                    let mut forged = genuine.clone();
                    forged[bit / 8] ^= 0x80 >> (bit % 8);
                    let error = refuse(&pair, protocol, &forged);
                    if mki.contains(&(bit / 8)) {
                        assert_eq!(error, Error::UnknownMki, "{profile} {protocol:?} bit {bit}");
                    }
                    let last = bit / 8 + 1 == genuine.len();
                    if last && mki_len == 0 && !(is_gcm(profile) && protocol == Protocol::Rtcp) {
                        assert_eq!(error, Error::AuthenticationFailed, "a flip in the tag");
                    }
                }
                assert_eq!(pair.accepted(), before);
                assert_eq!(pair.open(protocol, &genuine), Ok(plain(protocol, SSRC, 1001)));
                assert_eq!(pair.open(protocol, &genuine), Err(Error::Replayed));
            }
        }
    }
}

#[test]
fn p08_every_flipped_bit_of_a_first_packet_is_refused_and_adds_no_stream() {
    for profile in authenticated() {
        for protocol in BOTH {
            let pair = Pair::new(profile);
            let genuine = pair.sealed(protocol, SSRC, 1001);
            for bit in 0..genuine.len() * 8 {
                let mut forged = genuine.clone();
                forged[bit / 8] ^= 0x80 >> (bit % 8);
                refuse(&pair, protocol, &forged);
            }
            assert_eq!(pair.inbound().streams(), []);
            assert_eq!(pair.open(protocol, &genuine), Ok(plain(protocol, SSRC, 1001)));
        }
    }
}

#[test]
fn p08_forged_sequence_numbers_far_below_and_above_move_nothing() {
    for profile in authenticated() {
        let pair = Pair::new(profile);
        pair.send(Protocol::Rtp, SSRC, 30_000);
        let genuine = pair.sealed(Protocol::Rtp, SSRC, 30_001);
        for seq in [0u16, 1, 28_975, 28_976, 29_999, 30_002, 31_025, 40_000, 62_767, 62_768, 62_769, 65_535] {
            let mut forged = genuine.clone();
            forged[2..4].copy_from_slice(&seq.to_be_bytes());
            let error = refuse(&pair, Protocol::Rtp, &forged);
            // 30,000 - 1,024 is the last that is too old; 62,769 and above lie in the cycle before, which there is not.
            let expected = if seq <= 28_976 { Error::TooOld } else { Error::AuthenticationFailed };
            assert_eq!(error, expected, "{profile} {seq}");
        }
        assert_eq!(pair.open(Protocol::Rtp, &genuine), Ok(rtp(SSRC, 30_001)));
        assert_eq!(pair.inbound().roc(SSRC), Ok(Roc(0)));
    }
}

#[test]
fn p08_forged_srtcp_indices_far_below_and_above_move_nothing() {
    for profile in authenticated() {
        let pair = Pair::new(profile);
        pair.outbound().add_stream(SSRC, Roc(0), 5000).unwrap();
        pair.send(Protocol::Rtcp, SSRC, 1);
        let genuine = pair.sealed(Protocol::Rtcp, SSRC, 2);
        assert_eq!(srtcp_word(profile, 0, &genuine).1, 5001);
        let at = mki_range(profile, Protocol::Rtcp, 0, genuine.len()).start - 4;
        for index in [0u32, 4871, 4872, 4873, 4999, 5002, 1 << 30, (1 << 30) + 5000, 0x7fff_ffff] {
            let mut forged = genuine.clone();
            forged[at..at + 4].copy_from_slice(&(index | 1 << 31).to_be_bytes());
            if !is_encrypted(profile) {
                forged[at] &= 0x7f;
            }
            let error = refuse(&pair, Protocol::Rtcp, &forged);
            let expected = if index <= 4872 { Error::TooOld } else { Error::AuthenticationFailed };
            assert_eq!(error, expected, "{profile} {index}");
        }
        assert_eq!(pair.open(Protocol::Rtcp, &genuine), Ok(rtcp(SSRC, 2)));
    }
}

fn is_encrypted(profile: Profile) -> bool {
    !matches!(profile, Profile::NullSha1_80 | Profile::NullSha1_32 | Profile::NullWithoutAuthentication)
}

#[test]
fn packets_around_the_wrap_are_accepted_in_any_order() {
    for profile in Profile::ALL {
        for order in [[65_534, 0, 2, 1, 65_535], [65_535, 65_534, 0, 1, 2], [65_534, 2, 65_535, 1, 0]] {
            let pair = Pair::new(profile);
            pair.announce(SSRC);
            let sealed: Vec<_> =
                [65_534u16, 65_535, 0, 1, 2].map(|seq| (seq, pair.sealed(Protocol::Rtp, SSRC, seq))).into();
            for seq in order {
                let (_, packet) = sealed.iter().find(|(sealed, _)| *sealed == seq).unwrap();
                assert_eq!(pair.open(Protocol::Rtp, packet), Ok(rtp(SSRC, seq)), "{profile} {order:?} {seq}");
            }
            for (seq, packet) in &sealed {
                assert_eq!(pair.open(Protocol::Rtp, packet), Err(Error::Replayed), "{seq}");
            }
            assert_eq!(pair.inbound().roc(SSRC), Ok(Roc(1)));
            assert_eq!(pair.accepted()[0].1[0], (Some(65_538), 1, 5));
        }
    }
}

#[test]
fn a_stream_may_start_just_below_the_wrap() {
    for profile in Profile::ALL {
        for first in [65_533u16, 65_534, 65_535] {
            let pair = Pair::new(profile);
            pair.announce(SSRC);
            for step in 0..6 {
                pair.send(Protocol::Rtp, SSRC, first.wrapping_add(step));
            }
            assert_eq!(pair.inbound().roc(SSRC), Ok(Roc(1)));
            assert_eq!(pair.outbound().roc(SSRC), Ok(Roc(1)));
        }
    }
}

#[test]
fn a_late_joiner_that_is_told_the_rollover_counter_hears_the_stream() {
    for profile in authenticated() {
        for roc in [1, 2, 70_000, u32::MAX] {
            let pair = Pair::new(profile);
            pair.outbound().add_stream(SSRC, Roc(roc), 0).unwrap();
            let packet = pair.sealed(Protocol::Rtp, SSRC, 500);
            assert_eq!(refuse(&pair, Protocol::Rtp, &packet), Error::AuthenticationFailed, "nobody told it");
            pair.inbound().add_stream(SSRC, Roc(roc)).unwrap();
            assert_eq!(pair.open(Protocol::Rtp, &packet), Ok(rtp(SSRC, 500)), "{profile} {roc}");
            assert_eq!(pair.inbound().roc(SSRC), Ok(Roc(roc)));
            let index = u64::from(roc) << 16 | 500;
            assert_eq!(pair.accepted()[0].1[0], (Some(index), roc, 1));
        }
    }
}

#[test]
fn the_index_space_ends_at_its_last_cycle() {
    let pair = Pair::new(Profile::Aes128CmSha1_80);
    pair.outbound().add_stream(SSRC, Roc(u32::MAX), 0).unwrap();
    pair.inbound().add_stream(SSRC, Roc(u32::MAX)).unwrap();
    pair.send(Protocol::Rtp, SSRC, 65_535);
    // No cycle is left: sequence number 0 can only be that of this cycle, long past.
    assert!(seal(pair.outbound(), Protocol::Rtp, &rtp(SSRC, 0)).is_err());
    assert_eq!(pair.outbound().roc(SSRC), Ok(Roc(u32::MAX)));
    assert_eq!(pair.outbound().set_roc(SSRC, Roc(0)), Err(Error::IndexBackward));
}

/// Two threads hold packets 65535 and 0 of a stream nobody has heard of. Returns the reasons for which 0 was refused.
fn refusals_around_the_wrap_of_unknown_streams() -> Vec<Error> {
    const ROUNDS: u32 = 2000;
    let pair = Pair::new(Profile::Aes128CmSha1_80);
    let sealed = |seq| (1..=ROUNDS).map(|ssrc| pair.sealed(Protocol::Rtp, ssrc, seq)).collect::<Vec<_>>();
    let (before, after) = (sealed(65_535), sealed(0));
    // The round in progress, and the last one whose 65,535 was judged. Nothing in a round panics: the other thread would wait for ever.
    let (go, judged) = (AtomicU32::new(0), AtomicU32::new(0));
    let wait_for = |what: &AtomicU32, round: u32| {
        while what.load(Ordering::Acquire) < round {
            std::thread::yield_now();
        }
    };
    let deliver = |packet: &[u8]| {
        let mut buffer = packet.to_vec();
        let len = pair.inbound().unprotect_rtp_autopin(&mut buffer).map(|plain| plain.len());
        (len, buffer)
    };
    let (firsts, seconds) = std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            let judge = |(round, packet): (u32, &Vec<u8>)| {
                wait_for(&go, round);
                let result = deliver(packet);
                judged.store(round, Ordering::Release);
                result
            };
            (1..).zip(&before).map(judge).collect::<Vec<_>>()
        });
        let mut seconds = Vec::new();
        for (round, packet) in (1..).zip(&after) {
            go.store(round, Ordering::Release);
            if round % 4 == 0 {
                wait_for(&judged, round);
            }
            for _ in 0..round % 128 {
                std::hint::spin_loop();
            }
            let was_judged = judged.load(Ordering::Acquire) == round;
            let result = deliver(packet);
            wait_for(&judged, round);
            seconds.push((was_judged, result, deliver(packet)));
        }
        (first.join().unwrap(), seconds)
    });
    for ((round, (len, buffer)), packet) in (1..).zip(firsts).zip(&before) {
        assert_eq!(len, Ok(packet.len() - 10), "round {round}: 65535 does not depend on 0");
        assert_eq!(buffer[..32], rtp(round, 65_535)[..]);
    }
    let mut refusals = Vec::new();
    for ((round, (was_judged, (len, buffer), (again, redelivered))), packet) in (1..).zip(seconds).zip(&after) {
        let plain = rtp(round, 0);
        if let Err(error) = len {
            // 0 was judged before 65,535 was claimed: it was not known to lie in the next cycle.
            refusals.push(error);
            assert_eq!(buffer, *packet, "round {round}: {error:?}");
            assert!(!was_judged, "round {round}: 65535 was accepted before 0 came");
            assert_eq!((again, &redelivered[..32]), (Ok(32), &plain[..]), "round {round}: redelivered");
        } else {
            assert_eq!((len, &buffer[..32]), (Ok(32), &plain[..]), "round {round}");
            assert_eq!((again, redelivered), (Err(Error::Replayed), packet.clone()), "round {round}");
        }
        assert_eq!(pair.inbound().roc(round), Ok(Roc(1)));
    }
    assert_eq!(pair.inbound().streams().len(), ROUNDS as usize);
    refusals
}

#[test]
fn of_two_packets_that_share_the_wrap_of_an_unknown_stream_only_the_later_may_be_refused_and_not_for_good() {
    for error in refusals_around_the_wrap_of_unknown_streams() {
        assert_eq!(error.fault(), Fault::Peer, "{error:?}");
    }
}

#[test]
fn a_packet_beyond_the_wrap_of_an_unknown_stream_is_never_called_old() {
    // Before 65,535 was claimed, 0 fails by its tag. After, it is accepted. There is no third place for it.
    for _ in 0..5 {
        let mut refusals = refusals_around_the_wrap_of_unknown_streams();
        refusals.retain(|error| *error != Error::AuthenticationFailed);
        assert_eq!(refusals, []);
    }
}

const SHORT_LIFE: KeyLifetime = short_life(7, 5);

const fn short_life(srtp_packets: u64, srtcp_packets: u64) -> KeyLifetime {
    KeyLifetime { srtp_packets, srtcp_packets }
}

fn life(protocol: Protocol) -> u16 {
    if protocol == Protocol::Rtp { 7 } else { 5 }
}

#[test]
fn p07_a_key_protects_as_many_packets_as_its_lifetime_says_and_a_rekey_heals() {
    for profile in Profile::ALL {
        for protocol in BOTH {
            let pair = Pair::differing(profile, 0, |sender| sender.key_lifetime(SHORT_LIFE), |receiver| receiver);
            pair.announce(SSRC);
            for number in 0..life(protocol) {
                pair.send(protocol, SSRC, number);
            }
            for ssrc in [SSRC, SSRC + 1] {
                let next = plain(protocol, ssrc, life(protocol));
                assert_eq!(seal(pair.outbound(), protocol, &next), Err(Error::KeyExpired), "{profile} {protocol:?}");
            }
            let other = if protocol == Protocol::Rtp { Protocol::Rtcp } else { Protocol::Rtp };
            pair.send(other, SSRC, 1);
            pair.outbound().rekey(pair.key(1).master()).unwrap();
            pair.inbound().rekey(pair.key(1).master()).unwrap();
            for number in 0..life(protocol) {
                pair.send(protocol, SSRC, life(protocol) + number);
            }
            let next = plain(protocol, SSRC, 2 * life(protocol));
            assert_eq!(seal(pair.outbound(), protocol, &next), Err(Error::KeyExpired));
        }
    }
}

/// Accepts a key's lifetime of packets, is refused the next one, rekeys, and accepts another lifetime of them.
fn live_expire_and_heal(profile: Profile, protocol: Protocol) {
    let pair = Pair::differing(profile, 0, |sender| sender, |receiver| receiver.key_lifetime(SHORT_LIFE));
    pair.announce(SSRC);
    for number in 0..life(protocol) {
        let packet = pair.sealed(protocol, SSRC, number);
        // What is not accepted does not count: forgeries, replays.
        let mut forged = packet.clone();
        *forged.last_mut().unwrap() ^= 1;
        for _ in 0..20 {
            assert!(!profile.is_authenticated() || pair.open(protocol, &forged).is_err());
        }
        assert_eq!(pair.open(protocol, &packet), Ok(plain(protocol, SSRC, number)), "{profile} {protocol:?}");
        assert_eq!(pair.open(protocol, &packet), Err(Error::Replayed));
    }
    let next = pair.sealed(protocol, SSRC, life(protocol));
    let before = pair.accepted();
    assert_eq!(pair.open(protocol, &next), Err(Error::KeyExpired), "{profile} {protocol:?}");
    assert_eq!(pair.accepted(), before);
    let other = if protocol == Protocol::Rtp { Protocol::Rtcp } else { Protocol::Rtp };
    pair.send(other, SSRC, 1);
    pair.outbound().rekey(pair.key(1).master()).unwrap();
    pair.inbound().rekey(pair.key(1).master()).unwrap();
    for number in 0..life(protocol) {
        let number = life(protocol) + 1 + number;
        let packet = pair.sealed(protocol, SSRC, number);
        let opened = pair.open(protocol, &packet);
        assert_eq!(opened, Ok(plain(protocol, SSRC, number)), "{profile} {protocol:?} after the rekey");
    }
}

#[test]
fn p07_a_key_unprotects_as_many_packets_as_its_lifetime_says_and_a_rekey_heals() {
    for (profile, protocol) in authenticated().flat_map(|profile| BOTH.map(|protocol| (profile, protocol))) {
        live_expire_and_heal(profile, protocol);
    }
}

#[test]
fn p07_a_rekey_heals_an_expired_key_of_a_receiver_without_authentication_too() {
    for protocol in BOTH {
        live_expire_and_heal(Profile::NullWithoutAuthentication, protocol);
    }
}

#[test]
fn unencrypted_srtcp_is_refused_where_encryption_is_required() {
    for profile in Profile::ALL.into_iter().filter(|&profile| is_encrypted(profile)) {
        let off = |builder: SessionBuilder| builder.srtcp_encryption(SrtcpEncryption::Off);
        let strict = Pair::differing(profile, 0, off, |receiver| receiver);
        let packet = strict.sealed(Protocol::Rtcp, SSRC, 1);
        assert_eq!(packet[..32], rtcp(SSRC, 1)[..], "in the clear");
        assert!(!srtcp_word(profile, 0, &packet).0, "E flag");
        assert_eq!(refuse(&strict, Protocol::Rtcp, &packet), Error::UnencryptedSrtcp);
        assert_eq!(strict.inbound().streams(), []);
    }
}

#[test]
fn srtcp_is_accepted_encrypted_or_not_where_encryption_is_off() {
    for profile in Profile::ALL {
        let off = |builder: SessionBuilder| builder.srtcp_encryption(SrtcpEncryption::Off);
        for sender_off in [false, true] {
            let sender = |builder| if sender_off { off(builder) } else { builder };
            let pair = Pair::differing(profile, 0, sender, off);
            pair.announce(SSRC);
            let packet = pair.sealed(Protocol::Rtcp, SSRC, 1);
            let encrypted = is_encrypted(profile) && !sender_off;
            assert_eq!(srtcp_word(profile, 0, &packet), (encrypted, 0), "{profile}");
            assert_eq!(packet[8..32] != rtcp(SSRC, 1)[8..], encrypted, "{profile}");
            assert_eq!(pair.open(Protocol::Rtcp, &packet), Ok(rtcp(SSRC, 1)));
            if profile.is_authenticated() {
                let mut forged = pair.sealed(Protocol::Rtcp, SSRC, 2);
                let at = mki_range(profile, Protocol::Rtcp, 0, forged.len()).start - 4;
                forged[at] ^= 0x80;
                assert_eq!(refuse(&pair, Protocol::Rtcp, &forged), Error::AuthenticationFailed, "a forged E flag");
            }
        }
    }
}

#[test]
fn unencrypted_srtp_leaves_in_the_clear_and_authenticated() {
    for profile in authenticated() {
        let pair = Pair::with(profile, 0, SessionBuilder::unencrypted_srtp);
        let mut packet = pair.sealed(Protocol::Rtp, SSRC, 1);
        assert_eq!(packet[..32], rtp(SSRC, 1)[..]);
        packet[20] ^= 1;
        assert_eq!(refuse(&pair, Protocol::Rtp, &packet), Error::AuthenticationFailed);
        packet[20] ^= 1;
        assert_eq!(pair.open(Protocol::Rtp, &packet), Ok(rtp(SSRC, 1)));
    }
}

/// Keys that no context of `profile` may take, and why.
fn misfits(profile: Profile) -> Vec<(MasterKey, Error)> {
    let (key, salt) = (profile.key_len(), profile.salt_len());
    let parts = |key, salt| MasterKey::take_parts(&mut vec![1; key], &mut vec![2; salt]);
    let whole = |len| MasterKey::take(&mut vec![1; len]);
    vec![
        (parts(key - 1, salt), Error::WrongKeyLength),
        (parts(key + 1, salt), Error::WrongKeyLength),
        (parts(key + 1, salt - 1), Error::WrongKeyLength),
        (parts(0, salt), Error::WrongKeyLength),
        (parts(key, salt - 1), Error::WrongSaltLength),
        (parts(key, salt + 1), Error::WrongSaltLength),
        (parts(key, 0), Error::WrongSaltLength),
        (whole(key + salt - 1), Error::WrongKeyAndSaltLength),
        (whole(key + salt + 1), Error::WrongKeyAndSaltLength),
        (whole(0), Error::WrongKeyAndSaltLength),
        (whole(1000), Error::WrongKeyAndSaltLength),
    ]
}

#[test]
fn keys_and_salts_of_wrong_lengths_are_refused_and_the_key_in_use_stays() {
    for profile in Profile::ALL {
        let domain = Domain::new();
        for (key, error) in misfits(profile) {
            assert_eq!(Session::builder(profile).inbound(key).build(&domain).unwrap_err(), error, "{profile}");
        }
        for (key, error) in misfits(profile) {
            assert_eq!(Session::builder(profile).outbound(key).build(&domain).unwrap_err(), error, "{profile}");
        }
        for (key, error) in misfits(profile) {
            let builder = Session::builder(profile).inbound(Key::nth(profile, 0, 0).master()).inbound(key);
            assert_eq!(builder.build(&domain).unwrap_err(), error, "{profile}");
        }
        let pair = Pair::new(profile);
        pair.announce(SSRC);
        let (inbound, outbound) = (pair.inbound(), pair.outbound());
        let keys = (inbound.keys(), outbound.keys());
        for (key, error) in misfits(profile) {
            assert_eq!(inbound.rekey(key), Err(error));
        }
        for (key, error) in misfits(profile) {
            assert_eq!(inbound.add_key(key), Err(error));
        }
        for (key, error) in misfits(profile) {
            assert_eq!(outbound.rekey(key), Err(error));
        }
        assert_eq!((inbound.keys(), outbound.keys()), keys);
        pair.send(Protocol::Rtp, SSRC, 1);
    }
}

#[test]
fn an_mki_of_more_than_128_octets_is_refused() {
    for len in [MAX_MKI_LEN + 1, 1000] {
        let key = MasterKey::take(&mut [0; 30]).with_mki(&vec![1; len]);
        assert_eq!(key.unwrap_err(), Error::MkiTooLong);
    }
    assert!(MasterKey::take(&mut [0; 30]).with_mki(&[1; MAX_MKI_LEN]).is_ok());
}

#[test]
fn mkis_of_another_length_are_refused_and_the_key_in_use_stays() {
    let profile = Profile::Aes128CmSha1_80;
    for (mki_len, others) in [(0, [1, 4]), (4, [0, 3]), (128, [0, 127])] {
        let pair = Pair::with(profile, mki_len, |builder| builder);
        for other in others {
            let key = || Key::nth(profile, 1, other).master();
            assert_eq!(pair.inbound().rekey(key()), Err(Error::MkiLengthMismatch), "{mki_len} {other}");
            assert_eq!(pair.inbound().add_key(key()), Err(Error::MkiLengthMismatch));
            assert_eq!(pair.outbound().rekey(key()), Err(Error::MkiLengthMismatch));
            let first = Key::nth(profile, 0, mki_len).master();
            let two = Session::builder(profile).inbound(first).inbound(key()).build(&pair.domain);
            assert_eq!(two.unwrap_err(), Error::MkiLengthMismatch);
        }
        assert_eq!((pair.inbound().keys().len(), pair.outbound().keys().len()), (1, 1));
        pair.send(Protocol::Rtp, SSRC, 1);
    }
}

#[test]
fn an_mki_that_another_key_carries_is_refused_and_the_key_in_use_stays() {
    let profile = Profile::AeadAes128Gcm;
    let pair = Pair::with(profile, 2, |builder| builder);
    let thief = |of: u8| Key { mki: pair.key(of).mki, ..pair.key(9) }.master();
    pair.inbound().add_key(pair.key(1).master()).unwrap();
    pair.inbound().rekey(pair.key(2).master()).unwrap();
    let roles: Vec<_> = pair.inbound().keys().iter().map(|key| key.role).collect();
    assert_eq!(roles, [KeyRole::Current, KeyRole::InGrace, KeyRole::Added]);
    for of in 0..3 {
        assert_eq!(pair.inbound().rekey(thief(of)), Err(Error::DuplicateMki), "key {of}");
        assert_eq!(pair.inbound().add_key(thief(of)), Err(Error::DuplicateMki), "key {of}");
    }
    assert_eq!(pair.outbound().rekey(thief(0)), Err(Error::DuplicateMki));
    let two = Session::builder(profile).inbound(pair.key(0).master()).inbound(thief(0)).build(&pair.domain);
    assert_eq!(two.unwrap_err(), Error::DuplicateMki);
    pair.send(Protocol::Rtp, SSRC, 1);
}

#[test]
fn protect_needs_room_for_every_octet_of_the_trailer() {
    for profile in Profile::ALL {
        for (protocol, mki_len) in [(Protocol::Rtp, 0), (Protocol::Rtcp, 0), (Protocol::Rtp, 5), (Protocol::Rtcp, 5)] {
            let pair = Pair::with(profile, mki_len, |builder| builder);
            pair.announce(SSRC);
            let (guard, outbound, packet) = (pair.domain.pin(), pair.outbound(), plain(protocol, SSRC, 5));
            let (plain_len, len) = (packet.len(), packet.len() + trailer_len(profile, protocol, mki_len));
            for room in plain_len..len {
                let mut buffer = packet.clone();
                buffer.resize(room, 0xee);
                let before = buffer.clone();
                let result = protect(outbound, &guard, protocol, &mut buffer, plain_len);
                assert_eq!((result, buffer), (Err(Error::OutputTooSmall), before), "{profile} {protocol:?} {room}");
            }
            for room in 0..len {
                let mut output = vec![0xee; room];
                let result = protect_to(outbound, &guard, protocol, &packet, &mut output);
                assert_eq!((result, output), (Err(Error::OutputTooSmall), vec![0xee; room]), "{profile} {room}");
            }
            assert_eq!(outbound.streams(), [], "refused, and yet a stream");
            let mut output = vec![0xee; len + 3];
            assert_eq!(protect_to(outbound, &guard, protocol, &packet, &mut output), Ok(len));
            assert_eq!(output[len..], [0xee; 3], "wrote past the end");
            assert_eq!(pair.open(protocol, &output[..len]), Ok(packet));
            if protocol == Protocol::Rtcp {
                assert_eq!(srtcp_word(profile, mki_len, &output[..len]).1, 0, "a refusal used an index up");
            }
        }
    }
}

#[test]
fn unprotect_needs_room_for_every_octet_of_the_plain_packet() {
    for profile in Profile::ALL {
        for protocol in BOTH {
            let pair = Pair::new(profile);
            pair.announce(SSRC);
            let (guard, packet, plain) = (pair.domain.pin(), pair.sealed(protocol, SSRC, 5), plain(protocol, SSRC, 5));
            let before = pair.accepted();
            for room in 0..plain.len() {
                let mut output = vec![0xee; room];
                let result = unprotect_to(pair.inbound(), &guard, protocol, &packet, &mut output);
                assert_eq!((result, output), (Err(Error::OutputTooSmall), vec![0xee; room]), "{profile} {room}");
            }
            assert_eq!(pair.accepted(), before);
            let mut output = vec![0xee; plain.len() + 3];
            let result = unprotect_to(pair.inbound(), &guard, protocol, &packet, &mut output);
            assert_eq!(result, Ok(plain.len()));
            assert_eq!(output[..plain.len()], plain);
            assert_eq!(output[plain.len()..], [0xee; 3], "wrote past the end");
        }
    }
}

#[test]
fn a_stated_length_beyond_the_buffer_is_refused() {
    let pair = Pair::new(Profile::Aes128CmSha1_80);
    for protocol in BOTH {
        for len in [65, 1000, usize::MAX] {
            let mut buffer = plain(protocol, SSRC, 1);
            buffer.resize(64, 0xee);
            let before = buffer.clone();
            let result = protect(pair.outbound(), &pair.domain.pin(), protocol, &mut buffer, len);
            assert_eq!((result, buffer), (Err(Error::LengthExceedsBuffer), before));
        }
    }
    assert_eq!(pair.outbound().streams(), []);
}

#[test]
fn a_guard_of_another_domain_is_refused_by_every_call() {
    let (stranger, protocol_count) = (Domain::new(), BOTH.len());
    for profile in ONE_OF_EACH {
        let pair = Pair::new(profile);
        for protocol in BOTH {
            let guard = stranger.pin();
            let (packet, sealed) = (plain(protocol, SSRC, 5), pair.sealed(protocol, SSRC, 6));
            let sent = accepted(&pair.outbound().streams());
            let mut buffer = packet.clone();
            buffer.resize(100, 0xee);
            let before = buffer.clone();
            let result = protect(pair.outbound(), &guard, protocol, &mut buffer, packet.len());
            assert_eq!((result, buffer), (Err(Error::ForeignGuard), before));
            let mut output = vec![0xee; 100];
            let result = protect_to(pair.outbound(), &guard, protocol, &packet, &mut output);
            assert_eq!((result, &output), (Err(Error::ForeignGuard), &vec![0xee; 100]));
            let result = unprotect_to(pair.inbound(), &guard, protocol, &sealed, &mut output);
            assert_eq!((result, &output), (Err(Error::ForeignGuard), &vec![0xee; 100]));
            let mut opened = sealed.clone();
            let result = unprotect(pair.inbound(), &guard, protocol, &mut opened).map(|plain| plain.len());
            assert_eq!((result, &opened), (Err(Error::ForeignGuard), &sealed));
            assert_eq!(accepted(&pair.outbound().streams()), sent);
            assert_eq!(pair.open(protocol, &sealed), Ok(plain(protocol, SSRC, 6)));
        }
        assert_eq!(pair.accepted()[0].1.iter().map(|track| track.2).sum::<u64>(), protocol_count as u64);
    }
}

#[test]
fn a_guard_outlives_its_domain_handle_and_serves_clones_of_it() {
    let pair = Pair::new(Profile::Aes128CmSha1_80);
    let clone = pair.domain.clone();
    let mut packet = pair.sealed(Protocol::Rtp, SSRC, 1);
    let opened = pair.inbound().unprotect_rtp(&clone.pin(), &mut packet);
    assert_eq!(opened.map(|plain| plain.to_vec()), Ok(rtp(SSRC, 1)));
}

#[test]
fn bad_settings_are_refused_and_the_outermost_good_ones_accepted() {
    let (domain, profile) = (Domain::new(), Profile::Aes128CmSha1_80);
    let build = |configure: &dyn Fn(SessionBuilder) -> SessionBuilder| {
        configure(Session::builder(profile)).build(&domain).map(|_| ())
    };
    for packets in [0, 1, 63, 32_769, u32::MAX] {
        assert_eq!(build(&|builder| builder.replay_window(packets)), Err(Error::BadReplayWindow), "{packets}");
        assert_eq!(build(&|builder| builder.srtcp_replay_window(packets)), Err(Error::BadReplayWindow), "{packets}");
    }
    for packets in [64, 65, 1000, 32_767, 32_768] {
        assert_eq!(build(&|builder| builder.replay_window(packets).srtcp_replay_window(packets)), Ok(()));
    }
    for streams in [0, (1 << 24) + 1, usize::MAX] {
        assert_eq!(build(&|builder| builder.max_streams(streams)), Err(Error::BadStreamBound), "{streams}");
    }
    for streams in [1, 2, 1 << 24] {
        assert_eq!(build(&|builder| builder.max_streams(streams)), Ok(()), "{streams}");
    }
    let most = KeyLifetime::MAX;
    assert_eq!(most, short_life(1 << 48, 1 << 31));
    for lifetime in [
        KeyLifetime { srtp_packets: 0, ..most },
        KeyLifetime { srtcp_packets: 0, ..most },
        KeyLifetime { srtp_packets: (1 << 48) + 1, ..most },
        KeyLifetime { srtcp_packets: (1 << 31) + 1, ..most },
        KeyLifetime { srtp_packets: u64::MAX, ..most },
    ] {
        assert_eq!(build(&|builder| builder.key_lifetime(lifetime)), Err(Error::BadKeyLifetime), "{lifetime:?}");
    }
    assert_eq!(build(&|builder| builder.key_lifetime(most)), Ok(()));
    assert_eq!(build(&|builder| builder.key_lifetime(short_life(1, 1))), Ok(()));
    for keys in [16, 17, usize::MAX] {
        assert_eq!(Grace::keys(keys), Err(Error::BadGrace));
    }
    assert!(Grace::keys(15).is_ok());
    assert_eq!(Grace::keys(0), Ok(Grace::NONE));
}

#[test]
fn a_replay_window_is_as_wide_as_it_was_set() {
    for window in [64u16, 100, 1024, 1025, 32_768] {
        for protocol in BOTH {
            let set = |builder: SessionBuilder| match protocol {
                Protocol::Rtp => builder.replay_window(window.into()),
                Protocol::Rtcp => builder.srtcp_replay_window(window.into()),
            };
            let pair = Pair::differing(Profile::NullSha1_80, 0, |sender| sender, set);
            // 0 is left of the window once `window` is accepted; 1 is its last.
            let old: Vec<_> = (0..2).map(|number| pair.sealed(protocol, SSRC, number)).collect();
            if protocol == Protocol::Rtcp {
                pair.outbound().remove_stream(SSRC).unwrap();
                let ahead = Session::builder(pair.profile).outbound(pair.key(0).master()).build(&pair.domain).unwrap();
                ahead.outbound().add_stream(SSRC, Roc(0), window.into()).unwrap();
                let packet = seal(ahead.outbound(), protocol, &plain(protocol, SSRC, window)).unwrap();
                pair.open(protocol, &packet).unwrap();
            } else {
                pair.send(protocol, SSRC, window);
            }
            assert_eq!(pair.open(protocol, &old[0]), Err(Error::TooOld), "{window} {protocol:?}");
            assert_eq!(pair.open(protocol, &old[1]), Ok(plain(protocol, SSRC, 1)), "{window} {protocol:?}");
            assert_eq!(pair.open(protocol, &old[1]), Err(Error::Replayed));
        }
    }
}

#[test]
fn the_seventeenth_key_is_refused_and_sixteen_are_of_use() {
    for mki_len in [0, 1] {
        let pair = Pair::with(Profile::Aes128CmSha1_80, mki_len, |builder| builder);
        let mut ids = vec![pair.inbound().keys()[0].id];
        for n in 1..16 {
            ids.push(pair.inbound().add_key(pair.key(n).master()).unwrap());
        }
        assert_eq!(pair.inbound().keys().len(), MAX_KEYS);
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "a later key has a higher id");
        assert_eq!(pair.inbound().add_key(pair.key(16).master()), Err(Error::TooManyKeys));
        for n in 0..16 {
            let sender = Session::builder(pair.profile).outbound(pair.key(n).master()).build(&pair.domain).unwrap();
            let ssrc = SSRC + u32::from(n);
            let packet = seal(sender.outbound(), Protocol::Rtp, &rtp(ssrc, 1)).unwrap();
            assert_eq!(pair.open(Protocol::Rtp, &packet), Ok(rtp(ssrc, 1)), "key {n}");
        }
        pair.inbound().retire_key(ids[7]).unwrap();
        assert_eq!(pair.inbound().retire_key(ids[7]), Err(Error::UnknownKey));
        assert_eq!(pair.inbound().retire_key(ids[0]), Err(Error::KeyIsCurrent));
        let id = pair.inbound().add_key(pair.key(16).master()).unwrap();
        assert!(id > ids[15], "ids are not reused");
    }
}

#[test]
fn a_full_ring_does_not_stop_a_rekey() {
    let pair = Pair::new(Profile::Aes128CmSha1_80);
    for n in 1..16 {
        pair.inbound().add_key(pair.key(n).master()).unwrap();
    }
    assert!(matches!(pair.inbound().rekey(pair.key(16).master()), Ok(Rekeyed::Switched(_))));
    let keys = pair.inbound().keys();
    assert!(keys.len() <= MAX_KEYS, "{} keys", keys.len());
    assert_eq!(keys.iter().filter(|key| key.role == KeyRole::Added).count(), 15);
    pair.outbound().rekey(pair.key(16).master()).unwrap();
    pair.send(Protocol::Rtp, SSRC, 1);
}

#[test]
fn a_context_without_a_key_refuses_until_it_is_given_one() {
    for profile in Profile::ALL {
        let domain = Domain::new();
        let session = Session::builder(profile).build(&domain).unwrap();
        let (inbound, outbound) = (session.inbound(), session.outbound());
        assert_eq!((inbound.keys(), outbound.keys()), (vec![], vec![]));
        for protocol in BOTH {
            let packet = plain(protocol, SSRC, 1);
            assert_eq!(seal(outbound, protocol, &packet), Err(Error::NoKey));
            let mut long = packet.clone();
            long.resize(100, 0xff); // The E flag is set, wherever it lies.
            assert_eq!(open(inbound, protocol, &long), Err(Error::NoKey));
        }
        assert_eq!((inbound.streams(), outbound.streams()), (vec![], vec![]));
        inbound.rekey(Key::nth(profile, 0, 0).master()).unwrap();
        outbound.rekey(Key::nth(profile, 0, 0).master()).unwrap();
        if !profile.is_authenticated() {
            inbound.add_stream(SSRC, Roc(0)).unwrap();
        }
        for protocol in BOTH {
            let sealed = seal(outbound, protocol, &plain(protocol, SSRC, 1)).unwrap();
            assert_eq!(open(inbound, protocol, &sealed), Ok(plain(protocol, SSRC, 1)));
        }
    }
}

#[test]
fn p11_a_fuzz_loop_over_mutated_packets_finds_no_panic_and_no_forgery() {
    const ROUNDS: u32 = if cfg!(debug_assertions) { 40_000 } else { 1_000_000 };
    let mut rng = rng(11);
    let pairs: Vec<_> = Profile::ALL
        .into_iter()
        .flat_map(|profile| [0, 1, 16].map(|mki_len| Pair::with(profile, mki_len, |builder| builder)))
        .collect();
    for (pair, protocol) in pairs.iter().flat_map(|pair| BOTH.map(|protocol| (pair, protocol))) {
        pair.send_announced(protocol);
    }
    let genuine: Vec<_> = pairs.iter().map(|pair| BOTH.map(|protocol| pair.sealed(protocol, SSRC, 5000))).collect();
    let before: Vec<_> = pairs.iter().map(Pair::accepted).collect();
    for _ in 0..ROUNDS {
        let (at, from) = (rng.random_range(0..pairs.len()), rng.random_range(0..pairs.len()));
        let (of, to) = (rng.random_range(0..2), rng.random_range(0..2));
        let mut packet = genuine[from][of].clone();
        match rng.random_range(0..6) {
            0 => packet.truncate(rng.random_range(0..packet.len())),
            1 => packet.resize(rng.random_range(0..200), rng.random()),
            2 => packet[0] = rng.random(),
            3 => {
                let from = rng.random_range(0..packet.len());
                rng.fill_bytes(&mut packet[from..]);
            }
            4 => {
                packet[0] = 0x80 | packet[0] & 0x3f;
                let at = rng.random_range(0..packet.len() - 4);
                packet[at..at + 4].copy_from_slice(&[0xff; 4]);
            }
            _ => {
                let len = rng.random_range(0..300);
                packet = vec![0; len];
                rng.fill_bytes(&mut packet);
            }
        }
        let pair = &pairs[at];
        if !pair.profile.is_authenticated() && packet.get(4..8) != Some(&[0; 4]) {
            // Nothing but its SSRC tells a packet from a forgery here: send it to nobody.
            if let Some(ssrc) = packet.get_mut(4..12) {
                ssrc.fill(0);
            }
        }
        if packet == genuine[at][to] {
            continue;
        }
        let protocol = BOTH[to];
        let error = pair.open(protocol, &packet).expect_err("a forgery was accepted");
        assert!(matches!(error.fault(), Fault::Packet | Fault::Peer), "{error:?}");
        let len = rng.random_range(0..=packet.len());
        // Outbound, such a packet may be one; it must not panic or write beyond its room.
        packet.resize(packet.len() + 40, 0xee);
        let _ = protect(pair.receiver.outbound(), &pair.domain.pin(), protocol, &mut packet, len);
    }
    for ((pair, before), genuine) in pairs.iter().zip(before).zip(genuine) {
        assert_eq!(pair.accepted(), before);
        for (protocol, packet) in BOTH.into_iter().zip(genuine) {
            assert_eq!(pair.open(protocol, &packet), Ok(plain(protocol, SSRC, 5000)));
        }
    }
}

impl Pair {
    fn send_announced(&self, protocol: Protocol) {
        if self.inbound().streams().is_empty() {
            self.announce(SSRC);
        }
        self.send(protocol, SSRC, 4999);
    }
}
