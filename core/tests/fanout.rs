//! Fan-out: one payload to many, as if each packet had been made and protected by itself.

mod common;

use common::*;
use keyflip::{Domain, Error, Profile, Session, Target, fanout};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const PROFILES: [(Profile, usize); 5] = [
    (Profile::Aes128CmSha1_80, 0),
    (Profile::Aes128CmSha1_32, 4),
    (Profile::AeadAes128Gcm, 0),
    (Profile::AeadAes256Gcm, 3),
    (Profile::NullSha1_80, 0),
];

#[derive(Clone, Debug)]
struct Subscriber {
    profile: (Profile, usize),
    header: Rtp,
    prefix: Vec<u8>,
    room: usize,
}

fn subscriber() -> impl Strategy<Value = Subscriber> {
    let header = (
        any::<u32>(),
        any::<u16>(),
        vec(any::<u32>(), 0..3),
        prop::option::of((any::<u16>(), vec(any::<[u8; 4]>(), 0..5))),
    );
    // Room enough, but for a few.
    let room = prop_oneof![9 => Just(2000usize), 1 => 0..1500usize];
    (select(PROFILES.to_vec()), header, vec(any::<u8>(), 0..40), room).prop_map(
        |(profile, (ssrc, seq, csrcs, extension), prefix, room)| {
            let header = Rtp { csrcs, extension, payload: Vec::new(), ..Rtp::new(ssrc, seq) };
            Subscriber { profile, header, prefix, room }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn each_packet_is_the_one_that_protection_makes(
        payload in vec(any::<u8>(), 0..1300),
        subscribers in vec(subscriber(), 0..150),
        prefixes: bool,
    ) {
        let domain = Domain::new();
        let sessions = || -> Vec<Session> {
            subscribers.iter().enumerate().map(|(at, Subscriber { profile: (profile, mki_len), .. })| {
                let key = Key::nth(*profile, u8::try_from(at).unwrap(), *mki_len).master();
                Session::builder(*profile).outbound(key).build(&domain).unwrap()
            }).collect()
        };
        let (one, many) = (sessions(), sessions());
        let prefix = |subscriber: &Subscriber| if prefixes { subscriber.prefix.clone() } else { Vec::new() };

        let mut guard = domain.pin();
        let expected: Vec<_> = one.iter().zip(&subscribers).map(|(session, subscriber)| {
            let prefix = prefix(subscriber);
            let rest = payload.get(prefix.len()..).ok_or(Error::PrefixTooLong)?;
            let packet = [&subscriber.header.build()[..], &prefix, rest].concat();
            let mut output = vec![0xee; subscriber.room];
            session.outbound().protect_rtp_to(&guard, &packet, &mut output).map(|len| output[..len].to_vec())
        }).collect();

        let headers: Vec<Vec<u8>> = subscribers.iter().map(|subscriber| subscriber.header.build()).collect();
        let prefixes: Vec<Vec<u8>> = subscribers.iter().map(prefix).collect();
        let mut outputs: Vec<Vec<u8>> = subscribers.iter().map(|subscriber| vec![0xee; subscriber.room]).collect();
        let mut targets: Vec<Target<'_>> = many.iter().zip(&headers).zip(&prefixes).zip(&mut outputs)
            .map(|(((session, header), prefix), output)| Target::new(session.outbound(), header, output).replacing(prefix))
            .collect();
        fanout(&mut guard, &payload, &mut targets);
        let got: Vec<_> = targets.iter().map(|target| target.protected().map(<[u8]>::to_vec)).collect();
        drop(targets);
        prop_assert_eq!(&got, &expected);
        for (result, output) in got.iter().zip(&outputs) {
            let written = result.as_ref().map_or(0, Vec::len);
            prop_assert!(output[written..].iter().all(|octet| *octet == 0xee), "written beyond the packet");
        }
    }
}

#[test]
fn a_header_that_lies_is_refused() {
    let pair = Pair::new(Profile::Aes128CmSha1_80);
    let header = Rtp { payload: vec![1], ..Rtp::new(SSRC, 1) }.build();
    let mut outputs = [[0xee; 100]; 4];
    let [one, two, three, four] = &mut outputs;
    let mut csrc = header[..12].to_vec();
    csrc[0] = 0x81;
    let mut targets = [
        Target::new(pair.outbound(), &header, one),
        Target::new(pair.outbound(), &header[..11], two),
        Target::new(pair.outbound(), &csrc, three),
        Target::new(pair.outbound(), &header[..12], four),
    ];
    assert_eq!(targets[0].result(), Err(Error::NotProcessed));
    fanout(&mut pair.domain.pin(), b"payload", &mut targets);
    let results = targets.each_ref().map(|target| target.result());
    assert_eq!(results, [Err(Error::HeaderMismatch), Err(Error::PacketTooShort), Err(Error::CsrcOverrun), Ok(29)]);
    assert!(outputs[..3].iter().flatten().all(|octet| *octet == 0xee));
}

/// So many that the call fetches ahead.
#[test]
fn a_fanout_to_very_many_is_as_one_by_one() {
    const MANY: u16 = 600;
    let (one, all) = (Pair::new(Profile::Aes128CmSha1_80), Pair::new(Profile::Aes128CmSha1_80));
    let header = |n: u16| Rtp { payload: Vec::new(), ..Rtp::new(u32::from(n % 50), n / 50) }.build();
    // One is too short to have an SSRC.
    let headers: Vec<Vec<u8>> = (0..MANY).map(header).chain([vec![0x80; 9]]).collect();
    let mut outputs = vec![[0; 60]; headers.len()];
    let mut targets: Vec<Target<'_>> = (headers.iter().zip(&mut outputs))
        .map(|(header, output)| Target::new(all.outbound(), header, output))
        .collect();
    fanout(&mut all.domain.pin(), b"payload", &mut targets);
    for (header, target) in headers.iter().zip(&targets) {
        let mut packet = [&header[..], b"payload", &[0; 20]].concat();
        let guard = one.domain.pin();
        let alone = one.outbound().protect_rtp(&guard, &mut packet, header.len() + 7);
        if header.len() < 12 {
            assert_eq!(target.result(), Err(Error::PacketTooShort));
        } else {
            assert_eq!(target.protected(), Ok(&packet[..alone.unwrap()]));
        }
    }
}

#[test]
fn p06_one_index_goes_out_once_in_a_fanout() {
    let pair = Pair::new(Profile::AeadAes128Gcm);
    let header = Rtp { payload: Vec::new(), ..Rtp::new(SSRC, 1) }.build();
    let mut outputs = [[0; 100]; 3];
    let mut targets = outputs.each_mut().map(|output| Target::new(pair.outbound(), &header, output));
    fanout(&mut pair.domain.pin(), b"payload", &mut targets);
    let results = targets.each_ref().map(|target| target.result());
    assert_eq!(results, [Ok(35), Err(Error::IndexReused), Err(Error::IndexReused)]);
}
