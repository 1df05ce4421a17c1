//! Batches and fan-out on a rayon pool.
#![cfg(feature = "rayon")]

mod common;

use common::*;
use keyflip::{Error, Outgoing, Profile, Received, Target, par_fanout, par_protect_batch, par_unprotect_batch};

/// Streams, and packets of each.
const STREAMS: u32 = 40;
const PACKETS: u16 = 50;

#[test]
fn what_is_sent_in_parallel_arrives_in_parallel_and_once() {
    for profile in ONE_OF_EACH {
        let pair = Pair::new(profile);
        (0..STREAMS).for_each(|ssrc| pair.announce(ssrc));
        let plains: Vec<Vec<u8>> = (0..PACKETS).flat_map(|seq| (0..STREAMS).map(move |ssrc| rtp(ssrc, seq))).collect();
        let room = pair.outbound().rtp_overhead();
        let mut packets: Vec<Vec<u8>> = plains.iter().map(|plain| [&plain[..], &vec![0; room]].concat()).collect();
        let mut sent: Vec<_> = (packets.iter_mut().zip(&plains))
            .map(|(packet, plain)| Outgoing::rtp(pair.outbound(), packet, plain.len()))
            .collect();
        par_protect_batch(&pair.domain, &mut sent);
        assert!(sent.iter().all(|item| item.result().is_ok()), "{profile:?}");

        let mut again = packets.clone();
        let mut received: Vec<_> = packets.iter_mut().map(|packet| Received::rtp(pair.inbound(), packet)).collect();
        par_unprotect_batch(&pair.domain, &mut received);
        for (item, plain) in received.iter().zip(&plains) {
            assert_eq!(item.plain(), Ok(&plain[..]), "{profile:?}");
        }
        let mut received: Vec<_> = again.iter_mut().map(|packet| Received::rtp(pair.inbound(), packet)).collect();
        par_unprotect_batch(&pair.domain, &mut received);
        assert!(received.iter().all(|item| item.result() == Err(Error::Replayed)), "{profile:?}");
    }
}

#[test]
fn p05_threads_that_share_packets_accept_each_once() {
    let pair = Pair::new(Profile::Aes128CmSha1_80);
    let sealed: Vec<Vec<u8>> = (0..500).map(|seq| pair.sealed(Protocol::Rtp, SSRC, seq)).collect();
    let mut copies: Vec<Vec<u8>> = (0..4).flat_map(|_| sealed.clone()).collect();
    let mut received: Vec<_> = copies.iter_mut().map(|packet| Received::rtp(pair.inbound(), packet)).collect();
    par_unprotect_batch(&pair.domain, &mut received);
    for seq in 0..500 {
        let accepted = (0..4).filter(|copy| received[copy * 500 + seq].result().is_ok()).count();
        assert_eq!(accepted, 1, "{seq}");
    }
}

#[test]
fn a_fanout_in_parallel_is_a_fanout() {
    let pairs: Vec<Pair> = (0..300).map(|_| Pair::new(Profile::AeadAes128Gcm)).collect();
    let domain = &pairs[0].domain;
    let header = Rtp { payload: Vec::new(), ..Rtp::new(SSRC, 7) }.build();
    let payload = noise(1, 900);
    let mut outputs = vec![vec![0; 1000]; pairs.len()];
    let mut targets: Vec<_> =
        pairs.iter().zip(&mut outputs).map(|(pair, output)| Target::new(pair.outbound(), &header, output)).collect();
    par_fanout(domain, &payload, &mut targets);
    // The others are of other domains.
    assert!(targets[1..].iter().all(|target| target.result() == Err(Error::ForeignGuard)));
    let packet = targets[0].protected().unwrap();
    assert_eq!(pairs[0].open(Protocol::Rtp, packet), Ok([&header[..], &payload].concat()));
}
