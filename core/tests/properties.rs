//! What holds for any packet, any order and any keys, each property against a model that shares no code with the library.

mod common;

use common::*;
use keyflip::{Domain, Error, Grace, Profile, Result, Roc, RocOnRekey, Session, SessionBuilder};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::HashSet;

/// What a receiver must say of each packet of a stream: RFC 3711 3.3.1 and 3.3.2, with a set for a replay list.
struct Model {
    /// How many low bits of an index are on the wire.
    bits: u32,
    window: u64,
    highest: Option<u64>,
    accepted: HashSet<u64>,
}

impl Model {
    fn new(protocol: Protocol, window: u64) -> Self {
        let bits = if protocol == Protocol::Rtp { 16 } else { 31 };
        Self { bits, window, highest: None, accepted: HashSet::new() }
    }

    /// Of the indices with the low bits of `index`, the one nearest to the highest accepted; halfway, the one of its cycle.
    fn estimate(&self, index: u64) -> u64 {
        let cycle_len = 1u64 << self.bits;
        let low = index % cycle_len;
        let Some(highest) = self.highest else { return low };
        let own = highest / cycle_len;
        let around = [Some(own), own.checked_sub(1), Some(own + 1)].into_iter().flatten();
        around.map(|cycle| cycle * cycle_len + low).min_by_key(|candidate| candidate.abs_diff(highest)).unwrap()
    }

    fn is_new(&self, index: u64) -> Result<()> {
        if self.highest.is_some_and(|highest| index + self.window <= highest) {
            Err(Error::TooOld)
        } else if self.accepted.contains(&index) {
            Err(Error::Replayed)
        } else {
            Ok(())
        }
    }

    fn claim(&mut self, index: u64) {
        assert!(self.accepted.insert(index));
        self.highest = self.highest.max(Some(index));
    }

    /// A packet protected at `index` comes in.
    fn receive(&mut self, index: u64) -> Result<()> {
        let estimate = self.estimate(index);
        self.is_new(estimate)?;
        if estimate != index {
            // SRTP authenticates the rollover counter.
            return Err(Error::AuthenticationFailed);
        }
        self.claim(index);
        Ok(())
    }

    /// A packet with the low bits of `index` is to be sent.
    fn send(&mut self, index: u64) -> Result<u64> {
        let estimate = self.estimate(index);
        self.is_new(estimate).map_err(|error| match error {
            Error::TooOld => Error::IndexTooOld,
            _ => Error::IndexReused,
        })?;
        self.claim(estimate);
        Ok(estimate)
    }
}

/// Index spaces as a receiver must have them: one model for each space and protocol.
struct Spaces {
    /// By space: RTP and RTCP.
    models: Vec<[Model; 2]>,
    /// By key: its space, and the spaces that it may go on from, newest first.
    keys: Vec<(usize, Vec<usize>)>,
}

impl Spaces {
    const WINDOW: u64 = 64;

    fn new() -> Self {
        Self { models: vec![Self::space()], keys: vec![(0, Vec::new())] }
    }

    fn space() -> [Model; 2] {
        BOTH.map(|protocol| Model::new(protocol, Self::WINDOW))
    }

    fn rekey(&mut self, roc: RocOnRekey) {
        let (space, probed) = self.keys[self.keys.len() - 1].clone();
        let fresh = self.models.len();
        self.keys.push(match roc {
            RocOnRekey::Keep => (space, probed),
            RocOnRekey::Reset => (fresh, Vec::new()),
            RocOnRekey::Probe => (fresh, [vec![space], probed].concat()),
        });
        if roc != RocOnRekey::Keep {
            self.models.push(Self::space());
        }
    }

    /// A packet comes in that was protected at `index` under a key.
    fn receive(&mut self, key: usize, grace: usize, protocol: Protocol, index: u64) -> bool {
        if key + grace + 1 < self.keys.len() {
            return false;
        }
        let (space, probed) = &self.keys[key];
        let of = usize::from(protocol == Protocol::Rtcp);
        let kept = probed.iter().map(|&space| &self.models[space][0]).find(|model| model.highest.is_some());
        let model = &self.models[*space][of];
        if let (None, Protocol::Rtp, Some(kept)) = (model.highest, protocol, kept)
            && kept.estimate(index) == index
        {
            self.models[*space][0].claim(index);
            return true;
        }
        self.models[*space][of].receive(index).is_ok()
    }
}

fn low16(index: u64) -> u16 {
    u16::try_from(index % (1 << 16)).unwrap()
}

fn any_rtp() -> impl Strategy<Value = Rtp> {
    let extension = proptest::option::of((any::<u16>(), vec(any::<[u8; 4]>(), 0..20)));
    let padding = prop_oneof![3 => Just(0u8), 1 => 1u8..];
    let payload = prop_oneof![vec(any::<u8>(), 0..40), vec(any::<u8>(), 0..=1500)];
    (any::<(u32, u16, bool)>(), vec(any::<u32>(), 0..=15), extension, padding, payload).prop_map(
        |((ssrc, seq, marker), csrcs, extension, padding, payload)| Rtp {
            ssrc,
            seq,
            marker,
            csrcs,
            extension,
            padding,
            payload,
        },
    )
}

fn any_mki_len() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0), Just(1), Just(4), Just(128), 0usize..=128]
}

/// Protects and unprotects, in place or between buffers; returns the protected and the unprotected packet.
fn round_trip(pair: &Pair, protocol: Protocol, plain: &[u8], between: bool) -> (Vec<u8>, Vec<u8>) {
    let guard = pair.domain.pin();
    let len = plain.len() + trailer_len(pair.profile, protocol, pair.mki_len);
    if between {
        let (mut sealed, mut opened) = (vec![0xee; len], vec![0xee; plain.len()]);
        assert_eq!(protect_to(pair.outbound(), &guard, protocol, plain, &mut sealed), Ok(len));
        let opened_len = unprotect_to(pair.inbound(), &guard, protocol, &sealed, &mut opened);
        assert_eq!(opened_len, Ok(plain.len()));
        (sealed, opened)
    } else {
        let mut sealed = plain.to_vec();
        sealed.resize(len, 0xee);
        assert_eq!(protect(pair.outbound(), &guard, protocol, &mut sealed, plain.len()), Ok(len));
        let mut opened = sealed.clone();
        let opened = unprotect(pair.inbound(), &guard, protocol, &mut opened).unwrap().to_vec();
        (sealed, opened)
    }
}

fn encrypts(profile: Profile) -> bool {
    !profile.name().starts_with("NULL")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn unprotecting_what_was_protected_gives_any_rtp_packet_back(
        profile in select(&Profile::ALL[..]),
        mki_len in any_mki_len(),
        packet in any_rtp(),
        between: bool,
    ) {
        let pair = Pair::with(profile, mki_len, |builder| builder);
        pair.announce(packet.ssrc);
        let plain = packet.build();
        let (sealed, opened) = round_trip(&pair, Protocol::Rtp, &plain, between);
        prop_assert_eq!(&opened, &plain);
        let body = plain.len() - packet.payload.len() - usize::from(packet.padding);
        prop_assert_eq!(&sealed[..body], &plain[..body], "the header stays in the clear");
        if plain.len() - body >= 16 {
            prop_assert_eq!(sealed[body..plain.len()] != plain[body..], encrypts(profile), "the payload does not");
        }
        let mki = mki_range(profile, Protocol::Rtp, mki_len, sealed.len());
        prop_assert_eq!(&sealed[mki], &pair.key(0).mki[..]);
    }

    #[test]
    fn unprotecting_what_was_protected_gives_any_rtcp_packet_back(
        profile in select(&Profile::ALL[..]),
        mki_len in any_mki_len(),
        ssrc: u32,
        blocks in 0u8..32,
        rest in vec(any::<u8>(), 0..700),
        index in 0u32..1 << 31,
        between: bool,
    ) {
        let pair = Pair::with(profile, mki_len, |builder| builder);
        pair.announce(ssrc);
        pair.outbound().add_stream(ssrc, Roc(0), index).unwrap();
        // A compound packet: what follows the first one is encrypted whatever it says.
        let plain = [rtcp_report(ssrc, 1, blocks), rest].concat();
        let (sealed, opened) = round_trip(&pair, Protocol::Rtcp, &plain, between);
        prop_assert_eq!(&opened, &plain);
        prop_assert_eq!(&sealed[..8], &plain[..8]);
        if plain.len() >= 24 {
            prop_assert_eq!(sealed[8..plain.len()] != plain[8..], encrypts(profile));
        }
        prop_assert_eq!(srtcp_word(profile, mki_len, &sealed), (encrypts(profile), index));
        let mki = mki_range(profile, Protocol::Rtcp, mki_len, sealed.len());
        prop_assert_eq!(&sealed[mki], &pair.key(0).mki[..]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn p05_any_order_is_accepted_once_each_within_the_window(
        profile in select(vec![Profile::NullSha1_80, Profile::AeadAes128Gcm]),
        protocol in select(&BOTH[..]),
        window in select(vec![64u16, 65, 128, 200]),
        first in prop_oneof![Just(0u16), Just(65_400), any::<u16>()],
        order in vec(prop_oneof![3 => 0u16..400, 1 => 300u16..400, 1 => 0u16..80], 1..600),
    ) {
        let set = |builder: SessionBuilder| builder.replay_window(window.into()).srtcp_replay_window(window.into());
        let pair = Pair::differing(profile, 0, |sender| sender, set);
        let first = if protocol == Protocol::Rtp { u64::from(first) } else { 0 };
        let sealed: Vec<_> =
            (0..400).map(|n| pair.sealed(protocol, SSRC, low16(first + n))).collect();
        let mut model = Model::new(protocol, window.into());
        for n in order {
            let index = first + u64::from(n);
            let result = pair.open(protocol, &sealed[usize::from(n)]);
            prop_assert_eq!(result, model.receive(index).map(|()| plain(protocol, SSRC, low16(index))), "index {}", index);
        }
        let accepted = pair.accepted();
        let track = accepted.first().map(|(_, [rtp, rtcp])| if protocol == Protocol::Rtp { *rtp } else { *rtcp });
        let counted = track.map_or((None, 0), |(highest, _, packets)| (highest, packets));
        prop_assert_eq!(counted, (model.highest, model.accepted.len() as u64));
    }

    #[test]
    fn p06_any_order_is_sent_once_each_within_the_window(
        window in select(vec![64u16, 100, 1024]),
        steps in vec(prop_oneof![4 => -3i64..10, 2 => -300i64..300, 1 => -70_000i64..70_000, 1 => Just(-65_536i64)], 1..400),
    ) {
        let set = |builder: SessionBuilder| builder.replay_window(window.into());
        let pair = Pair::with(Profile::NullSha1_80, 0, set);
        let (mut model, mut receiver) = (Model::new(Protocol::Rtp, window.into()), HashSet::new());
        let mut at = 0u64;
        for step in steps {
            at = at.saturating_add_signed(step);
            let sent = seal(pair.outbound(), Protocol::Rtp, &rtp(SSRC, low16(at)));
            match (sent, model.send(at)) {
                (Ok(packet), Ok(index)) => {
                    prop_assert_eq!(pair.outbound().roc(SSRC).unwrap().0, u32::try_from(model.highest.unwrap() >> 16).unwrap());
                    prop_assert!(receiver.insert(packet), "index {} was sent before", index);
                }
                (sent, expected) => prop_assert_eq!(sent.map(drop), expected.map(drop), "{}", at),
            }
        }
        prop_assert_eq!(accepted(&pair.outbound().streams())[0].1[0].2, receiver.len() as u64);
    }

    #[test]
    fn p04_the_rollover_counter_follows_any_walk_over_two_wraps(
        profile in select(vec![Profile::NullSha1_80, Profile::Aes128CmSha1_80, Profile::AeadAes256Gcm]),
        start in 0u64..65_536,
        gaps in vec(prop_oneof![1u64..4, 1u64..1024, 1u64..32_768, 32_760u64..32_768], 4..60),
        lateness in vec(prop_oneof![4 => Just(0usize), 1 => 0usize..5], 17),
        repeats in vec(0usize..3, 13),
    ) {
        const END: u64 = 2 * 65_536 + 40_000;
        let pair = Pair::new(profile);
        let mut indices = vec![start];
        for gap in gaps.iter().copied().cycle() {
            let last = indices[indices.len() - 1];
            // Mostly small gaps must not take for ever.
            let gap = if indices.len() > 200 { gap | 0x4000 } else { gap };
            if last > END {
                break;
            }
            indices.push(last + gap);
        }
        let sealed: Vec<_> = indices.iter().map(|&index| pair.sealed(Protocol::Rtp, SSRC, low16(index))).collect();
        let last = indices[indices.len() - 1];
        prop_assert_eq!(pair.outbound().roc(SSRC), Ok(Roc(u32::try_from(last >> 16).unwrap())));
        // Some packets come late, some twice or three times.
        let mut order: Vec<_> = (0..indices.len())
            .flat_map(|n| vec![n; if n % 7 == 0 { 1 + repeats[n % repeats.len()] } else { 1 }])
            .enumerate()
            .map(|(at, n)| (at + lateness[at % lateness.len()], n))
            .collect();
        order.sort_by_key(|&(at, _)| at);
        let mut model = Model::new(Protocol::Rtp, 1024);
        for (_, n) in order {
            let index = indices[n];
            let result = pair.open(Protocol::Rtp, &sealed[n]);
            let expected = model.receive(index).map(|()| rtp(SSRC, low16(index)));
            prop_assert_eq!(result, expected, "index {} after {:?}", index, model.highest);
            if let Some(highest) = model.highest {
                prop_assert_eq!(pair.inbound().roc(SSRC), Ok(Roc(u32::try_from(highest >> 16).unwrap())));
            }
        }
    }

    #[test]
    fn two_streams_never_influence_each_other(
        deliveries in vec((any::<bool>(), select(&BOTH[..]), 0u16..300, 0u8..6), 1..300),
    ) {
        let window = |builder: SessionBuilder| builder.replay_window(64).srtcp_replay_window(64);
        let together = Pair::differing(Profile::NullSha1_80, 0, |sender| sender, window);
        let alone = || {
            let receiver = window(Session::builder(together.profile)).inbound(together.key(0).master());
            receiver.build(&together.domain).unwrap()
        };
        let (alone, ssrcs) = ([alone(), alone()], [SSRC, SSRC + 1]);
        let sealed = ssrcs.map(|ssrc| {
            BOTH.map(|protocol| (0..300).map(|n| together.sealed(protocol, ssrc, 65_400u16.wrapping_add(n))).collect::<Vec<_>>())
        });
        for (second, protocol, n, spoil) in deliveries {
            let of = usize::from(second);
            let mut packet = sealed[of][usize::from(protocol == Protocol::Rtcp)][usize::from(n)].clone();
            if spoil == 0 {
                *packet.last_mut().unwrap() ^= 0x10;
            }
            let result = together.open(protocol, &packet);
            prop_assert_eq!(result, open(alone[of].inbound(), protocol, &packet), "stream {} {:?} {}", of, protocol, n);
        }
        let both: Vec<_> = alone.iter().flat_map(|alone| accepted(&alone.inbound().streams())).collect();
        prop_assert_eq!(together.accepted(), both);
    }

    #[test]
    fn p03_packets_under_any_key_held_are_accepted_in_any_order(
        profile in select(&Profile::ALL[..12]),
        mki_len in select(vec![0usize, 1, 7]),
        keys in Just((0u8..16).collect::<Vec<_>>()).prop_shuffle(),
        held in 1usize..=16,
        deliveries in vec((0usize..16, 0u32..3), 1..60),
    ) {
        let domain = Domain::new();
        let key = |n: u8| Key::nth(profile, n, mki_len).master();
        let receiver = keys[..held].iter().fold(Session::builder(profile), |builder, &n| builder.inbound(key(n)));
        let receiver = receiver.build(&domain).unwrap();
        let senders: Vec<_> =
            keys.iter().map(|&n| Session::builder(profile).outbound(key(n)).build(&domain).unwrap()).collect();
        for (seq, (by, stream)) in (0u16..).zip(deliveries) {
            let plain = rtp(SSRC + stream, seq);
            let packet = seal(senders[by].outbound(), Protocol::Rtp, &plain).unwrap();
            let expected = match (by < held, mki_len) {
                (true, _) => Ok(plain),
                (false, 0) => Err(Error::AuthenticationFailed),
                (false, _) => Err(Error::UnknownMki),
            };
            prop_assert_eq!(open(receiver.inbound(), Protocol::Rtp, &packet), expected, "key {} of {}", by, held);
        }
    }

    #[test]
    fn p04_each_packet_is_judged_in_the_space_of_its_key(
        grace_keys in 0usize..4,
        steps in vec(
            prop_oneof![
                6 => (1u64..40, any::<bool>()).prop_map(|(gap, rtcp)| Step::Send(gap, rtcp)),
                2 => (20_000u64..32_000).prop_map(|gap| Step::Send(gap, false)),
                2 => (select(vec![RocOnRekey::Keep, RocOnRekey::Reset, RocOnRekey::Probe]), any::<bool>(), any::<bool>())
                    .prop_map(|(roc, keeps, follows)| Step::Rekey(roc, keeps, follows)),
                6 => (0usize..12).prop_map(Step::Deliver),
                1 => (0usize..60).prop_map(Step::Deliver),
            ],
            1..160,
        ),
    ) {
        let window = u32::try_from(Spaces::WINDOW).unwrap();
        let grace = Grace::keys(grace_keys).unwrap();
        let receiver = |builder: SessionBuilder| builder.replay_window(window).srtcp_replay_window(window).grace(grace);
        let pair = Pair::differing(Profile::NullSha1_80, 0, |sender| sender, receiver);
        let mut model = Spaces::new();
        let mut sent: Vec<Sent> = Vec::new();
        let (mut key, mut at, mut rtcp_at) = (0usize, 100u64, 0u64);
        let (mut keys, mut to_come, mut afresh) = (0u8, Vec::new(), false);
        for step in steps {
            match step {
                Step::Send(gap, rtcp) => {
                    let (protocol, mut index) = if rtcp { (Protocol::Rtcp, rtcp_at) } else { (Protocol::Rtp, at + gap) };
                    if !rtcp && std::mem::take(&mut afresh) {
                        // Whatever its sequence number is.
                        index = low16(index).into();
                    }
                    if rtcp { rtcp_at += 1 } else { at = index }
                    let plain = plain(protocol, SSRC, low16(index));
                    let packet = seal(pair.outbound(), protocol, &plain).unwrap();
                    sent.push(Sent { key, protocol, index, plain, packet });
                }
                Step::Rekey(roc, keeps, follows) if keys < 250 => {
                    keys += 1;
                    pair.inbound().rekey_with(pair.key(keys).master(), roc).unwrap();
                    model.rekey(roc);
                    // The sender does as it was told, or, where the receiver is to find out, as it likes; it may come later.
                    let keeps = match roc {
                        RocOnRekey::Keep => true,
                        RocOnRekey::Reset => false,
                        RocOnRekey::Probe => keeps,
                    };
                    to_come.push((keys, keeps));
                    if follows {
                        for (n, keeps) in to_come.drain(..) {
                            let roc = if keeps { RocOnRekey::Keep } else { RocOnRekey::Reset };
                            pair.outbound().rekey_with(pair.key(n).master(), roc).unwrap();
                            key = n.into();
                            if !keeps {
                                (afresh, rtcp_at) = (true, 0);
                            }
                        }
                    }
                }
                Step::Deliver(back) if back < sent.len() => {
                    let Sent { key, protocol, index, plain, packet } = &sent[sent.len() - 1 - back];
                    let expected = model.receive(*key, grace_keys, *protocol, *index);
                    let opened = pair.open(*protocol, packet);
                    prop_assert_eq!(opened.is_ok(), expected, "key {} {:?} {}: {:?}", key, protocol, index, opened);
                    if let Ok(opened) = opened {
                        prop_assert_eq!(&opened, plain);
                    }
                }
                Step::Rekey(..) | Step::Deliver(_) => {}
            }
        }
    }
}

/// A packet that was protected under a key, at an index.
struct Sent {
    key: usize,
    protocol: Protocol,
    index: u64,
    plain: Vec<u8>,
    packet: Vec<u8>,
}

/// What happens to a stream and its keys.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A packet, so far ahead of the last; RTCP?
    Send(u64, bool),
    /// The receiver's rekey; does the sender keep its indices, and does it follow at once?
    Rekey(RocOnRekey, bool, bool),
    /// Of a packet sent so long ago, perhaps again.
    Deliver(usize),
}
