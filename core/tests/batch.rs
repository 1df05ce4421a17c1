//! Batches: the packets of a call fare as if they had come one after the other.

mod common;

use common::*;
use keyflip::{
    Domain, Error, Grace, Guard, Inbound, Outgoing, OutgoingAt, Profile, Received, ReceivedAt, Result, Roc, Session,
    SessionBuilder, protect_batch, protect_batch_in, unprotect_batch, unprotect_batch_in,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// Sessions of every kind, each with a key of its own.
const KINDS: [(Profile, usize); 6] = [
    (Profile::Aes128CmSha1_80, 0),
    (Profile::Aes128CmSha1_32, 4),
    (Profile::AeadAes128Gcm, 0),
    (Profile::AeadAes256Gcm, 2),
    (Profile::NullSha1_80, 0),
    (Profile::Aes256CmSha1_80, 0),
];

/// A sender of each kind, and two receivers of the same keys.
struct Ends {
    domain: Domain,
    senders: Vec<Session>,
    alone: Vec<Session>,
    batch: Vec<Session>,
}

impl Ends {
    fn new() -> Self {
        let domain = Domain::new();
        let sessions = |inbound: bool| {
            let session = |(at, (profile, mki_len)): (usize, (Profile, usize))| {
                let key = Key::nth(profile, u8::try_from(at).unwrap(), mki_len).master();
                let builder = Session::builder(profile).replay_window(64);
                if inbound { builder.inbound(key) } else { builder.outbound(key) }.build(&domain).unwrap()
            };
            KINDS.into_iter().enumerate().map(session).collect()
        };
        Self { senders: sessions(false), alone: sessions(true), batch: sessions(true), domain }
    }

    fn rekey(&self, kind: usize, n: u8) {
        let (profile, mki_len) = KINDS[kind];
        let key = || Key::nth(profile, n, mki_len).master();
        self.senders[kind].outbound().rekey(key()).unwrap();
        for receivers in [&self.alone, &self.batch] {
            receivers[kind].inbound().rekey(key()).unwrap();
        }
    }
}

/// What happens to a packet on its way.
#[derive(Clone, Debug)]
enum Fate {
    Arrives,
    Twice,
    Flipped(Index),
    Cut(Index),
    Lost,
}

#[derive(Clone, Debug)]
struct Sent {
    kind: usize,
    protocol: Protocol,
    ssrc: u32,
    /// How far its sequence number is from the one before.
    step: u16,
    len: usize,
    fate: Fate,
    /// The session is rekeyed first.
    rekey: bool,
}

fn sent() -> impl Strategy<Value = Sent> {
    let step = prop_oneof![6 => Just(1u16), 2 => 2..40u16, 1 => 20_000..32_000u16];
    let fate = prop_oneof![
        10 => Just(Fate::Arrives),
        1 => Just(Fate::Twice),
        1 => any::<Index>().prop_map(Fate::Flipped),
        1 => any::<Index>().prop_map(Fate::Cut),
        1 => Just(Fate::Lost)
    ];
    let protocol = prop_oneof![4 => Just(Protocol::Rtp), 1 => Just(Protocol::Rtcp)];
    (0..KINDS.len(), protocol, 1..3u32, step, 0..1400usize, fate, prop::bool::weighted(0.03)).prop_map(
        |(kind, protocol, ssrc, step, len, fate, rekey)| Sent { kind, protocol, ssrc, step, len, fate, rekey },
    )
}

/// The packets as they arrive: to which session, and their octets.
fn traffic(ends: &Ends, sent: &[Sent], swaps: &[(Index, Index)]) -> Vec<(usize, Protocol, Vec<u8>)> {
    let mut seqs = [[60_000u16; 3]; KINDS.len()];
    let mut keys = 100;
    let mut arriving = Vec::new();
    for Sent { kind, protocol, ssrc, step, len, fate, rekey } in sent {
        if *rekey {
            ends.rekey(*kind, keys);
            keys += 1;
        }
        let seq = &mut seqs[*kind][*ssrc as usize];
        let mut plain = match protocol {
            Protocol::Rtp => {
                *seq = seq.wrapping_add(*step);
                rtp(*ssrc, *seq)
            }
            Protocol::Rtcp => rtcp(*ssrc, u32::from(*step)),
        };
        plain.extend(noise(*len as u64, len / 4 * 4));
        let mut packet = seal(ends.senders[*kind].outbound(), *protocol, &plain).unwrap();
        match fate {
            Fate::Lost => continue,
            Fate::Arrives => {}
            Fate::Twice => arriving.push((*kind, *protocol, packet.clone())),
            Fate::Flipped(at) => packet[at.index(4)] ^= 1,
            Fate::Cut(at) => packet.truncate(at.index(64)),
        }
        arriving.push((*kind, *protocol, packet));
    }
    for (one, other) in swaps {
        let len = arriving.len();
        if len > 0 {
            let one = one.index(len);
            arriving.swap(one, (one + other.index(9)).min(len - 1));
        }
    }
    arriving
}

fn one_by_one(sessions: &[Session], guard: &Guard<'_>, packets: &[(usize, Protocol, Vec<u8>)]) -> Vec<Result<Vec<u8>>> {
    let one = |(kind, protocol, packet): &(usize, Protocol, Vec<u8>)| {
        unprotect(sessions[*kind].inbound(), guard, *protocol, &mut packet.clone()).map(|plain| plain.to_vec())
    };
    packets.iter().map(one).collect()
}

fn received<'a>(inbound: &'a Inbound, protocol: Protocol, packet: &'a mut [u8]) -> Received<'a> {
    match protocol {
        Protocol::Rtp => Received::rtp(inbound, packet),
        Protocol::Rtcp => Received::rtcp(inbound, packet),
    }
}

/// In slices of their own. What is refused must be as it was.
fn in_slices(
    sessions: &[Session],
    guard: &mut Guard<'_>,
    packets: &[(usize, Protocol, Vec<u8>)],
) -> Vec<Result<Vec<u8>>> {
    let mut copies: Vec<Vec<u8>> = packets.iter().map(|(.., packet)| packet.clone()).collect();
    let mut items: Vec<Received<'_>> = (packets.iter().zip(&mut copies))
        .map(|((kind, protocol, _), copy)| received(sessions[*kind].inbound(), *protocol, copy))
        .collect();
    unprotect_batch(guard, &mut items);
    let results: Vec<Result<usize>> = items.iter().map(Received::result).collect();
    for (item, result) in items.iter().zip(&results) {
        assert_eq!(item.plain().map(<[u8]>::len), *result);
    }
    drop(items);
    check(&results, packets, |at| &copies[at])
}

/// One after the other in an arena, with gaps.
fn in_an_arena(
    sessions: &[Session],
    guard: &mut Guard<'_>,
    packets: &[(usize, Protocol, Vec<u8>)],
) -> Vec<Result<Vec<u8>>> {
    let mut arena = Vec::new();
    let mut items = Vec::new();
    for (kind, protocol, packet) in packets {
        arena.extend([0xee; 3]);
        let place = arena.len()..arena.len() + packet.len();
        arena.extend(packet);
        let inbound = sessions[*kind].inbound();
        items.push(match protocol {
            Protocol::Rtp => ReceivedAt::rtp(inbound, place),
            Protocol::Rtcp => ReceivedAt::rtcp(inbound, place),
        });
    }
    unprotect_batch_in(guard, &mut arena, &mut items).unwrap();
    let results: Vec<Result<usize>> = items.iter().map(ReceivedAt::result).collect();
    check(&results, packets, |at| &arena[items[at].place().clone()])
}

fn check<'a>(
    results: &[Result<usize>],
    packets: &[(usize, Protocol, Vec<u8>)],
    octets: impl Fn(usize) -> &'a [u8],
) -> Vec<Result<Vec<u8>>> {
    let one = |(at, result): (usize, &Result<usize>)| {
        if result.is_err() {
            assert_eq!(octets(at), packets[at].2, "{result:?} left traces");
        }
        result.map(|len| octets(at)[..len].to_vec())
    };
    results.iter().enumerate().map(one).collect()
}

fn state(sessions: &[Session]) -> Vec<Accepted> {
    sessions.iter().map(|session| accepted(&session.inbound().streams())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn received_packets_fare_as_if_they_came_one_by_one(
        sent in vec(sent(), 0..200),
        swaps in vec((any::<Index>(), any::<Index>()), 0..60),
        sizes in vec(1..150usize, 1..6),
        arena: bool,
    ) {
        let ends = Ends::new();
        let packets = traffic(&ends, &sent, &swaps);
        let mut guard = ends.domain.pin();
        let alone = one_by_one(&ends.alone, &guard, &packets);
        let mut batch = Vec::new();
        let mut left = &packets[..];
        for size in sizes.into_iter().cycle() {
            let (now, later) = left.split_at(size.min(left.len()));
            let how = if arena { in_an_arena } else { in_slices };
            batch.extend(how(&ends.batch, &mut guard, now));
            left = later;
            if left.is_empty() {
                break;
            }
        }
        prop_assert_eq!(batch, alone);
        prop_assert_eq!(state(&ends.batch), state(&ends.alone));
    }

    #[test]
    fn packets_sent_in_a_batch_are_those_sent_one_by_one(sent in vec(sent(), 0..200), arena: bool) {
        let (one, many) = (Ends::new(), Ends::new());
        let mut seq = 0u16;
        let plains: Vec<(usize, Protocol, Vec<u8>)> = sent.iter().map(|Sent { kind, protocol, ssrc, step, len, .. }| {
            // Now and then an index that was sent before.
            seq = if *step > 19_999 { seq } else { seq.wrapping_add(*step) };
            let mut plain = plain(*protocol, *ssrc, seq);
            plain.extend(noise(*len as u64, len / 4 * 4));
            (*kind, *protocol, plain)
        }).collect();
        let expected: Vec<Result<Vec<u8>>> = plains.iter()
            .map(|(kind, protocol, plain)| seal(one.senders[*kind].outbound(), *protocol, plain)).collect();

        let room = |plain: &[u8]| { let mut room = plain.to_vec(); room.resize(plain.len() + 24, 0xee); room };
        let mut guard = many.domain.pin();
        let got: Vec<Result<Vec<u8>>> = if arena {
            let mut octets = Vec::new();
            let mut items: Vec<OutgoingAt<'_>> = plains.iter().map(|(kind, protocol, plain)| {
                let place = octets.len()..octets.len() + plain.len() + 24;
                octets.extend(room(plain));
                let outbound = many.senders[*kind].outbound();
                match protocol {
                    Protocol::Rtp => OutgoingAt::rtp(outbound, place, plain.len()),
                    Protocol::Rtcp => OutgoingAt::rtcp(outbound, place, plain.len()),
                }
            }).collect();
            protect_batch_in(&mut guard, &mut octets, &mut items).unwrap();
            items.iter().zip(&plains).map(|(item, (.., plain))| {
                let octets = &octets[item.place().clone()];
                if item.result().is_err() { assert_eq!(octets, room(plain)); }
                item.result().map(|len| { assert!(octets[len..].iter().all(|octet| *octet == 0xee)); octets[..len].to_vec() })
            }).collect()
        } else {
            let mut rooms: Vec<Vec<u8>> = plains.iter().map(|(.., plain)| room(plain)).collect();
            let mut items: Vec<Outgoing<'_>> = plains.iter().zip(&mut rooms).map(|((kind, protocol, plain), room)| {
                let outbound = many.senders[*kind].outbound();
                match protocol {
                    Protocol::Rtp => Outgoing::rtp(outbound, room, plain.len()),
                    Protocol::Rtcp => Outgoing::rtcp(outbound, room, plain.len()),
                }
            }).collect();
            protect_batch(&mut guard, &mut items);
            items.iter().map(|item| item.protected().map(<[u8]>::to_vec)).collect()
        };
        prop_assert_eq!(got, expected);
    }
}

#[test]
fn packets_of_a_batch_go_from_one_buffer_to_another() {
    for profile in [Profile::Aes128CmSha1_80, Profile::AeadAes128Gcm] {
        let (one, many) = (Pair::new(profile), Pair::new(profile));
        let plains: Vec<(Protocol, Vec<u8>)> =
            (0..100u16).map(|n| BOTH[usize::from(n % 2)]).zip(0..).map(|(p, n)| (p, plain(p, SSRC, n))).collect();
        let mut guard = many.domain.pin();
        let mut outputs = vec![[0xee; 80]; plains.len()];
        let mut items: Vec<Outgoing<'_>> = (plains.iter().zip(&mut outputs))
            .map(|((protocol, plain), output)| match protocol {
                Protocol::Rtp => Outgoing::rtp_to(many.outbound(), plain, output),
                Protocol::Rtcp => Outgoing::rtcp_to(many.outbound(), plain, output),
            })
            .collect();
        protect_batch(&mut guard, &mut items);
        let sealed: Vec<Vec<u8>> = items.iter().map(|item| item.protected().unwrap().to_vec()).collect();
        for ((protocol, plain), sealed) in plains.iter().zip(&sealed) {
            assert_eq!(&seal(one.outbound(), *protocol, plain).unwrap(), sealed);
        }
        let mut outputs = vec![[0xee; 32]; plains.len()];
        let mut items: Vec<Received<'_>> = (plains.iter().zip(&sealed).zip(&mut outputs))
            .map(|(((protocol, _), packet), output)| match protocol {
                Protocol::Rtp => Received::rtp_to(many.inbound(), packet, output),
                Protocol::Rtcp => Received::rtcp_to(many.inbound(), packet, output),
            })
            .collect();
        unprotect_batch(&mut guard, &mut items);
        for (item, (_, plain)) in items.iter().zip(&plains) {
            assert_eq!(item.plain(), Ok(&plain[..]));
        }
        let mut short = [0xee; 31];
        let packet = many.sealed(Protocol::Rtp, SSRC, 1000);
        let mut item = [Received::rtp_to(many.inbound(), &packet, &mut short)];
        unprotect_batch(&mut guard, &mut item);
        assert_eq!(item[0].result(), Err(Error::OutputTooSmall));
        assert_eq!(short, [0xee; 31]);
    }
}

#[test]
fn p05_of_a_packet_that_comes_twice_in_a_batch_one_is_accepted() {
    let pair = Pair::new(Profile::Aes128CmSha1_80);
    let packet = pair.sealed(Protocol::Rtp, SSRC, 1);
    let mut copies = vec![packet; 100];
    let mut items: Vec<_> = copies.iter_mut().map(|copy| Received::rtp(pair.inbound(), copy)).collect();
    unprotect_batch(&mut pair.domain.pin(), &mut items);
    assert_eq!(items[0].result(), Ok(32));
    assert!(items[1..].iter().all(|item| item.result() == Err(Error::Replayed)));
}

#[test]
fn p08_forgeries_in_a_batch_harm_no_other() {
    let pair = Pair::new(Profile::AeadAes128Gcm);
    let mut packets: Vec<Vec<u8>> = (1..=200).map(|seq| pair.sealed(Protocol::Rtp, SSRC, seq)).collect();
    for packet in packets.iter_mut().skip(1).step_by(2) {
        let last = packet.len() - 1;
        packet[last] ^= 1;
    }
    let mut items: Vec<_> = packets.iter_mut().map(|packet| Received::rtp(pair.inbound(), packet)).collect();
    unprotect_batch(&mut pair.domain.pin(), &mut items);
    for (at, item) in items.iter().enumerate() {
        let expected = if at % 2 == 0 { Ok(32) } else { Err(Error::AuthenticationFailed) };
        assert_eq!(item.result(), expected);
    }
    assert_eq!(pair.refusals(), 100);
}

#[test]
fn ranges_that_overlap_are_refused_and_those_outside_fail_alone() {
    let pair = Pair::new(Profile::Aes128CmSha1_80);
    let mut arena = pair.sealed(Protocol::Rtp, SSRC, 1);
    let (len, before) = (arena.len(), arena.clone());
    let at = |place| ReceivedAt::rtp(pair.inbound(), place);
    let mut guard = pair.domain.pin();
    for mut items in [[at(0..len), at(len - 1..len)], [at(1..len), at(0..2)], [at(0..len), at(0..len)]] {
        assert_eq!(unprotect_batch_in(&mut guard, &mut arena, &mut items), Err(Error::OverlappingPackets));
        assert_eq!(items[0].result(), Err(Error::NotProcessed));
        assert_eq!(arena, before);
    }
    let mut items = [at(len..len), at(0..len), at(len..len + 1), at(usize::MAX..usize::MAX)];
    unprotect_batch_in(&mut guard, &mut arena, &mut items).unwrap();
    let results = items.each_ref().map(ReceivedAt::result);
    let outside = Err(Error::LengthExceedsBuffer);
    assert_eq!(results, [Err(Error::PacketTooShort), Ok(32), outside, outside]);
}

#[test]
fn a_foreign_guard_and_a_missing_key_are_each_items_own_error() {
    let (pair, other) = (Pair::new(Profile::Aes128CmSha1_80), Pair::new(Profile::Aes128CmSha1_80));
    let keyless = Session::builder(Profile::Aes128CmSha1_80).build(&pair.domain).unwrap();
    let mut packets = [pair.sealed(Protocol::Rtp, SSRC, 1), other.sealed(Protocol::Rtp, SSRC, 1), vec![0x80; 60]];
    let [first, second, third] = &mut packets;
    let mut items = [
        Received::rtp(pair.inbound(), first),
        Received::rtp(other.inbound(), second),
        Received::rtp(keyless.inbound(), third),
    ];
    unprotect_batch(&mut pair.domain.pin(), &mut items);
    let results = items.each_ref().map(Received::result);
    assert_eq!(results, [Ok(32), Err(Error::ForeignGuard), Err(Error::NoKey)]);
}

/// A receiver for packets one by one, and one for batches, of one key.
fn twins(pair: &Pair, configure: impl Fn(SessionBuilder) -> SessionBuilder) -> [Session; 2] {
    let session =
        || configure(Session::builder(pair.profile)).inbound(pair.key(0).master()).build(&pair.domain).unwrap();
    [session(), session()]
}

/// Packets one by one at the first, in a batch at the second: they must fare the same.
fn fares([alone, batch]: &[Session; 2], packets: &[Vec<u8>]) -> Vec<Result<usize>> {
    let alone: Vec<_> = packets.iter().map(|packet| open(alone.inbound(), Protocol::Rtp, packet)).collect();
    let mut copies = packets.to_vec();
    let mut items: Vec<_> = copies.iter_mut().map(|copy| Received::rtp(batch.inbound(), copy)).collect();
    unprotect_batch(&mut batch.inbound().domain().pin(), &mut items);
    let results: Vec<_> = items.iter().map(Received::result).collect();
    assert_eq!(results, alone.into_iter().map(|opened| opened.map(|plain| plain.len())).collect::<Vec<_>>());
    results
}

#[test]
fn p03_the_grace_of_a_stream_ends_within_a_batch() {
    for mki_len in [0, 4] {
        let pair = Pair::with(Profile::AeadAes128Gcm, mki_len, |builder| builder);
        let twins = twins(&pair, |builder| builder.grace(Grace::LAST.until_packets(2)));
        let old: Vec<_> = (1..=4).map(|seq| pair.sealed(Protocol::Rtp, SSRC, seq)).collect();
        assert_eq!(fares(&twins, &old[..1]), [Ok(32)]);
        pair.outbound().rekey(pair.key(1).master()).unwrap();
        for twin in &twins {
            twin.inbound().rekey(pair.key(1).master()).unwrap();
        }
        let new: Vec<_> = (5..=6).map(|seq| pair.sealed(Protocol::Rtp, SSRC, seq)).collect();
        let refused = Err(if mki_len == 0 { Error::AuthenticationFailed } else { Error::UnknownMki });
        let packets = [&new[0], &old[1], &new[1], &old[2], &old[3]].map(Vec::clone);
        assert_eq!(fares(&twins, &packets), [Ok(32), Ok(32), Ok(32), refused, refused]);
    }
}

#[test]
fn p05_an_index_is_estimated_by_what_a_batch_has_accepted_so_far() {
    for (profile, last) in [
        (Profile::Aes128CmSha1_80, Err(Error::AuthenticationFailed)),
        // Nothing says that the estimate is wrong: it is taken for a packet of the next cycle.
        (Profile::NullWithoutAuthentication, Ok(32)),
    ] {
        let pair = Pair::new(profile);
        let twins = twins(&pair, |builder| builder);
        if !profile.is_authenticated() {
            twins.iter().for_each(|twin| twin.inbound().add_stream(SSRC, Roc(0)).unwrap());
        }
        let packets: Vec<_> = [5, 20_000, 40_000].map(|seq| pair.sealed(Protocol::Rtp, SSRC, seq)).to_vec();
        assert_eq!(fares(&twins, &[packets[2].clone(), packets[0].clone()]), [Ok(32), last], "{profile}");
    }
}
