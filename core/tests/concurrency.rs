//! Many threads at one stream, and many streams at once. Every verdict is checked, whoever won.

mod common;

use common::*;
use keyflip::{Error, Profile, Roc};
use rand::seq::SliceRandom;
use std::collections::HashSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};

const THREADS: usize = 4;

/// A verdict, and what it left in the buffer.
type Verdict = (keyflip::Result<usize>, Vec<u8>);

/// `work(thread)` on every thread, started together.
fn on_all_threads<T: Send>(work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        let start = |thread| {
            let (work, barrier) = (&work, &barrier);
            scope.spawn(move || {
                barrier.wait();
                work(thread)
            })
        };
        let threads: Vec<_> = (0..THREADS).map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn deliver(pair: &Pair, protocol: Protocol, packet: &[u8]) -> Verdict {
    let mut buffer = packet.to_vec();
    let guard = pair.domain.pin();
    let result = unprotect(pair.inbound(), &guard, protocol, &mut buffer).map(|plain| plain.len());
    (result, buffer)
}

/// An order in which no packet is more than two blocks late, so that what is left of the window has been delivered before.
fn order(thread: usize, len: usize) -> Vec<usize> {
    let mut order: Vec<_> = (0..len).collect();
    let mut rng = rng(thread as u64);
    for block in order.chunks_mut(16) {
        block.shuffle(&mut rng);
    }
    order
}

fn delivered_by_all(profile: Profile, protocol: Protocol, rekey: bool) {
    const PACKETS: u16 = 1200;
    let pair = Pair::new(profile);
    pair.announce(SSRC);
    // SRTP: around the wrap.
    let number = |n: usize| u16::try_from(n).unwrap().wrapping_sub(600);
    let sealed: Vec<_> = (0..usize::from(PACKETS))
        .map(|n| {
            if rekey && n == 500 {
                pair.outbound().rekey(pair.key(1).master()).unwrap();
            }
            pair.sealed(protocol, SSRC, number(n))
        })
        .collect();
    if rekey {
        pair.inbound().add_key(pair.key(1).master()).unwrap();
    }
    // One thread alone starts the stream: a cycle is guessed from the packets before.
    let (first, _) = deliver(&pair, protocol, &sealed[0]);
    assert!(first.is_ok());
    let verdicts = on_all_threads(|thread| {
        let judge = |n: usize| (n, deliver(&pair, protocol, &sealed[n]));
        order(thread, sealed.len()).into_iter().map(judge).collect::<Vec<_>>()
    });
    let mut accepted = HashSet::from([0]);
    for (n, (result, buffer)) in verdicts.into_iter().flatten() {
        match result {
            Ok(len) => {
                assert!(accepted.insert(n), "{profile} {protocol:?} number {n} was accepted twice");
                assert_eq!(buffer[..len], plain(protocol, SSRC, number(n)));
            }
            Err(error) => {
                assert!(matches!(error, Error::Replayed | Error::TooOld), "{profile} number {n}: {error:?}");
                assert_eq!(buffer, sealed[n], "the loser's buffer");
            }
        }
    }
    assert_eq!(accepted.len(), sealed.len(), "a packet was lost");
    let [rtp, rtcp] = pair.accepted()[0].1;
    assert_eq!(if protocol == Protocol::Rtp { rtp.2 } else { rtcp.2 }, u64::from(PACKETS));
    let counts = pair.inbound().refused();
    assert_eq!(counts.replayed, u64::from(PACKETS) * (THREADS as u64 - 1) + 1);
}

#[test]
fn p05_a_packet_that_all_threads_deliver_is_accepted_once() {
    for profile in Profile::ALL {
        for protocol in BOTH {
            delivered_by_all(profile, protocol, false);
        }
    }
}

#[test]
fn p05_a_packet_that_all_threads_deliver_is_accepted_once_where_keys_change() {
    for profile in ONE_OF_EACH {
        for protocol in BOTH {
            delivered_by_all(profile, protocol, true);
        }
    }
}

#[test]
fn p05_one_packet_thrown_at_all_threads_at_the_same_instant_is_accepted_once() {
    const ROUNDS: u32 = 1500;
    let pair = Pair::new(Profile::NullSha1_80);
    // A first packet of a stream each: two threads also race to insert it.
    let sealed: Vec<_> = (0..ROUNDS).map(|ssrc| pair.sealed(Protocol::Rtp, ssrc, 7)).collect();
    let barrier = Barrier::new(THREADS);
    let verdicts = on_all_threads(|_| {
        let judge = |packet: &Vec<u8>| {
            barrier.wait();
            deliver(&pair, Protocol::Rtp, packet)
        };
        sealed.iter().map(judge).collect::<Vec<_>>()
    });
    for (n, packet) in sealed.iter().enumerate() {
        let verdicts: Vec<_> = verdicts.iter().map(|verdicts| &verdicts[n]).collect();
        let losers: Vec<_> = verdicts.iter().filter(|(result, _)| result.is_err()).collect();
        assert_eq!(losers.len(), THREADS - 1, "round {n}");
        for (result, buffer) in losers {
            assert_eq!((result, buffer), (&Err(Error::Replayed), packet), "round {n}");
        }
    }
    assert_eq!(pair.inbound().streams().len(), ROUNDS as usize);
}

#[test]
fn streams_started_by_all_threads_at_once_are_one_each() {
    const STREAMS: u32 = 3000;
    for protocol in BOTH {
        let pair = Pair::new(Profile::NullSha1_80);
        // The threads deliver different packets of the same streams, in the same order.
        let sealed: Vec<Vec<_>> = (0..u16::try_from(THREADS).unwrap())
            .map(|number| {
                (0..STREAMS).map(|ssrc| pair.sealed(protocol, ssrc.wrapping_mul(0x0101_0101), number)).collect()
            })
            .collect();
        let verdicts = on_all_threads(|thread| {
            sealed[thread].iter().map(|packet| deliver(&pair, protocol, packet).0).collect::<Vec<_>>()
        });
        for verdict in verdicts.into_iter().flatten() {
            assert_eq!(verdict, Ok(32));
        }
        let accepted = pair.accepted();
        assert_eq!(accepted.len(), STREAMS as usize);
        assert!(accepted.iter().all(|(_, [rtp, rtcp])| rtp.2 + rtcp.2 == THREADS as u64), "{protocol:?}");
    }
}

#[test]
fn streams_added_by_call_by_all_threads_at_once_are_one_each() {
    const STREAMS: u32 = 3000;
    let pair = Pair::new(Profile::NullSha1_80);
    for inbound in [true, false] {
        let added = AtomicU64::new(0);
        on_all_threads(|_| {
            for ssrc in 0..STREAMS {
                let result = if inbound {
                    pair.inbound().add_stream(ssrc, Roc(1))
                } else {
                    pair.outbound().add_stream(ssrc, Roc(1), 0)
                };
                match result {
                    Ok(()) => drop(added.fetch_add(1, Ordering::Relaxed)),
                    Err(error) => assert_eq!(error, Error::StreamExists),
                }
            }
        });
        assert_eq!(added.into_inner(), STREAMS.into(), "inbound: {inbound}");
    }
    for ssrc in (0..STREAMS).step_by(7) {
        pair.send(Protocol::Rtp, ssrc, 3);
        assert_eq!(pair.inbound().roc(ssrc), Ok(Roc(1)));
    }
}

#[test]
fn p05_threads_together_never_overfill_a_table() {
    const BOUND: usize = 100;
    let pair = Pair::differing(Profile::NullSha1_80, 0, |sender| sender, |receiver| receiver.max_streams(BOUND));
    let sealed: Vec<_> = (0..400u32).map(|ssrc| (ssrc, pair.sealed(Protocol::Rtp, ssrc, 1))).collect();
    let verdicts = on_all_threads(|thread| {
        let own = sealed.iter().skip(thread).step_by(THREADS);
        own.map(|(ssrc, packet)| (*ssrc, deliver(&pair, Protocol::Rtp, packet).0)).collect::<Vec<_>>()
    });
    let mut accepted = Vec::new();
    for (ssrc, verdict) in verdicts.into_iter().flatten() {
        match verdict {
            Ok(_) => accepted.push(ssrc),
            Err(error) => assert_eq!(error, Error::TooManyStreams),
        }
    }
    accepted.sort_unstable();
    assert_eq!(accepted.len(), BOUND);
    assert_eq!(pair.accepted().iter().map(|(ssrc, _)| ssrc.0).collect::<Vec<_>>(), accepted);
}

/// Runs `work` on some threads, while this one removes their stream over and over. What they are handed waits until it has been removed.
fn while_removed<T: Send>(
    threads: usize,
    remove: impl Fn() -> keyflip::Result<()>,
    work: impl Fn(&dyn Fn()) -> T + Sync,
) -> Vec<T> {
    let (at_work, removals) = (AtomicU64::new(threads as u64), AtomicU64::new(0));
    let wait_for_a_removal = || {
        // One may be under way; the one after it begins after this.
        let enough = removals.load(Ordering::Acquire) + 2;
        while removals.load(Ordering::Acquire) < enough {
            std::thread::yield_now();
        }
    };
    std::thread::scope(|scope| {
        let start = |_| {
            scope.spawn(|| {
                let _at_end = AtEnd(|| {
                    at_work.fetch_sub(1, Ordering::AcqRel);
                });
                work(&wait_for_a_removal)
            })
        };
        let workers: Vec<_> = (0..threads).map(start).collect();
        while at_work.load(Ordering::Acquire) > 0 {
            // It may be gone already.
            let _ = remove();
            removals.fetch_add(1, Ordering::AcqRel);
            std::thread::yield_now();
        }
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    })
}

#[test]
fn p05_no_packet_is_accepted_twice_while_its_stream_comes_and_goes() {
    const PACKETS: u16 = 3000;
    let pair = Pair::new(Profile::NullSha1_80);
    let sealed: Vec<_> = (0..PACKETS).map(|n| pair.sealed(Protocol::Rtp, SSRC, n.wrapping_sub(1500))).collect();
    let remove = || pair.inbound().remove_stream(SSRC);
    let verdicts = while_removed(3, remove, |wait_for_a_removal| {
        let judge = |(n, packet): (usize, &Vec<u8>)| {
            if n % 500 == 499 {
                wait_for_a_removal();
            }
            deliver(&pair, Protocol::Rtp, packet)
        };
        sealed.iter().enumerate().map(judge).collect::<Vec<_>>()
    });
    let mut accepted = HashSet::new();
    for (n, (result, buffer)) in verdicts.into_iter().flat_map(|verdicts| verdicts.into_iter().enumerate()) {
        if let Ok(len) = result {
            assert!(accepted.insert(n), "number {n} was accepted twice");
            assert_eq!(buffer[..len], rtp(SSRC, u16::try_from(n).unwrap().wrapping_sub(1500)));
        } else {
            assert_eq!(buffer, sealed[n]);
        }
    }
    // Each of them once more, to whatever is left of the stream.
    for (n, packet) in sealed.iter().enumerate() {
        let again = pair.open(Protocol::Rtp, packet).is_ok();
        assert!(!(again && accepted.contains(&n)), "number {n} was accepted twice");
    }
    pair.send(Protocol::Rtp, SSRC, 1500);
    assert_eq!(pair.inbound().roc(SSRC), Ok(Roc(1)));
}

#[test]
fn packets_in_order_are_accepted_while_their_stream_comes_and_goes() {
    const PACKETS: u16 = 12_000;
    let pair = Pair::new(Profile::NullSha1_80);
    let sealed: Vec<_> = (0..PACKETS).map(|n| pair.sealed(Protocol::Rtp, SSRC, n.wrapping_sub(6000))).collect();
    // Each packet lies above all that was accepted, and so above the floor: with the stream or without, it is to be accepted.
    let verdicts = while_removed(
        1,
        || pair.inbound().remove_stream(SSRC),
        |wait_for_a_removal| {
            let judge = |(n, packet): (usize, &Vec<u8>)| {
                if n % 1000 == 999 {
                    wait_for_a_removal();
                }
                deliver(&pair, Protocol::Rtp, packet).0.map(drop)
            };
            sealed.iter().enumerate().map(judge).collect::<Vec<_>>()
        },
    );
    let refused: Vec<_> = (0..).zip(&verdicts[0]).filter(|(_, verdict)| verdict.is_err()).collect::<Vec<(u32, _)>>();
    assert_eq!(refused, []);
}

#[test]
fn packets_in_order_are_sent_while_their_stream_comes_and_goes() {
    const PACKETS: u16 = 12_000;
    let pair = Pair::new(Profile::NullSha1_80);
    for protocol in BOTH {
        let verdicts = while_removed(
            1,
            || pair.outbound().remove_stream(SSRC),
            |wait_for_a_removal| {
                let send = |n: u16| {
                    if n % 1000 == 999 {
                        wait_for_a_removal();
                    }
                    seal(pair.outbound(), protocol, &plain(protocol, SSRC, n.wrapping_sub(6000)))
                };
                (0..PACKETS).map(send).collect::<Vec<_>>()
            },
        );
        let refused: Vec<_> =
            (0..).zip(&verdicts[0]).filter(|(_, verdict)| verdict.is_err()).collect::<Vec<(u32, _)>>();
        assert_eq!(refused, [], "{protocol:?}");
        // Sent means sent at an index of its own.
        for (n, packet) in (0..PACKETS).zip(&verdicts[0]) {
            let opened = pair.open(protocol, packet.as_ref().unwrap());
            assert_eq!(opened, Ok(plain(protocol, SSRC, n.wrapping_sub(6000))), "{protocol:?} {n}");
        }
    }
}

#[test]
fn one_stream_can_be_sent_by_all_threads() {
    const PACKETS: usize = 1200;
    for profile in ONE_OF_EACH {
        let pair = Pair::new(profile);
        let number = |n: usize| u16::try_from(n).unwrap();
        let next = AtomicU64::new(0);
        // Each takes the next sequence number, so that none lags behind by a window.
        let mut sent: Vec<_> = on_all_threads(|_| {
            let take = || usize::try_from(next.fetch_add(1, Ordering::Relaxed)).ok().filter(|&n| n < PACKETS);
            let send = |n: usize| (n, seal(pair.outbound(), Protocol::Rtp, &rtp(SSRC, number(n))));
            std::iter::from_fn(take).map(send).collect::<Vec<_>>()
        })
        .into_iter()
        .flatten()
        .collect();
        sent.sort_by_key(|(n, _)| *n);
        assert_eq!(sent.len(), PACKETS);
        let mut late = 0;
        for (n, packet) in sent {
            match packet {
                Ok(packet) => assert_eq!(pair.open(Protocol::Rtp, &packet), Ok(rtp(SSRC, number(n))), "{profile} {n}"),
                // A thread may sleep on its number for as long as it takes the others to send a window.
                Err(error) => {
                    assert_eq!(error, Error::IndexTooOld, "{profile} {n}");
                    late += 1;
                }
            }
        }
        assert!(late < THREADS, "{late} of {PACKETS}");
    }
}
