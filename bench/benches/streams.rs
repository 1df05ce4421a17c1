//! What many streams in one context cost: the look-up alone, and a packet with all that it touches of its stream.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use keyflip::{Domain, Inbound, Outbound, Profile, Roc, Session};
use keyflip_bench::{key, packet, set_seq, set_ssrc};
use std::hint::black_box;
use std::time::{Duration, Instant};

const PROFILE: Profile = Profile::AeadAes128Gcm;

/// Octets of a payload: few, so that the cipher does not hide the rest.
const SIZE: usize = 20;

/// Streams whose packets are prepared at once.
const STRETCH: u32 = 4096;

/// Keeps a million streams within a gigabyte.
const WINDOW: u32 = 64;

/// Spreads streams over SSRCs, and visits them in an order that no cache foresees. The step is odd, so no SSRC comes twice.
fn ssrc(n: u32) -> u32 {
    n.wrapping_mul(0x9e37_79b1)
}

fn session(domain: &Domain, streams: u32) -> Session {
    Session::builder(PROFILE)
        .inbound(key(PROFILE, 0))
        .outbound(key(PROFILE, 0))
        .replay_window(WINDOW)
        .srtcp_replay_window(WINDOW)
        .max_streams(streams as usize)
        .build(domain)
        .expect("the key fits the profile")
}

/// A context that receives so many streams.
fn inbound(domain: &Domain, streams: u32) -> Inbound {
    let inbound = session(domain, streams).inbound().clone();
    for n in 0..streams {
        inbound.add_stream(ssrc(n), Roc(0)).expect("room for the stream");
    }
    inbound
}

/// [`Inbound::roc`]: a pin, the look-up, and one word of the stream.
fn look_up(c: &mut Criterion) {
    let mut group = c.benchmark_group("look-up");
    for streams in [1, 1000, 1_000_000] {
        let domain = Domain::new();
        let mut made = None;
        group.bench_function(BenchmarkId::from_parameter(streams), |bencher| {
            let inbound = made.get_or_insert_with(|| inbound(&domain, streams));
            let mut n = 0;
            bencher.iter(|| {
                n = (n + 1) % streams;
                black_box(inbound.roc(ssrc(n))).expect("a stream")
            });
        });
    }
    group.finish();
}

/// Unprotects `packets` packets of streams in turn; those of a stretch are prepared outside of the measured time.
fn unprotect(
    domain: &Domain,
    inbound: &Inbound,
    outbound: &Outbound,
    streams: u32,
    next: &mut u64,
    packets: u64,
) -> Duration {
    let guard = domain.pin();
    let mut elapsed = Duration::ZERO;
    let mut left = packets;
    while left > 0 {
        let count = left.min(u64::from(STRETCH));
        let prepare = |n: u64| {
            let (mut buffer, len) = packet(0, SIZE);
            let (stream, round) = (n % u64::from(streams), n / u64::from(streams));
            set_ssrc(&mut buffer, ssrc(u32::try_from(stream).expect("less than the streams")));
            set_seq(&mut buffer, (round & 0xffff) as u16);
            let len = outbound.protect_rtp(&guard, &mut buffer, len).expect("a new index");
            buffer.truncate(len);
            buffer
        };
        let mut protected: Vec<Vec<u8>> = (*next..*next + count).map(prepare).collect();
        let start = Instant::now();
        for packet in &mut protected {
            black_box(inbound.unprotect_rtp(&guard, packet)).expect("a genuine packet");
        }
        elapsed += start.elapsed();
        *next += count;
        left -= count;
    }
    elapsed
}

fn packets(c: &mut Criterion) {
    let mut group = c.benchmark_group("unprotect/streams");
    for streams in [1, 1000, 100_000] {
        let domain = Domain::new();
        let mut made = None;
        group.bench_function(BenchmarkId::from_parameter(streams), |bencher| {
            let (inbound, outbound, next) = made
                .get_or_insert_with(|| (inbound(&domain, streams), session(&domain, streams).outbound().clone(), 0));
            bencher.iter_custom(|iterations| unprotect(&domain, inbound, outbound, streams, next, iterations));
        });
    }
    group.finish();
}

criterion_group!(benches, look_up, packets);
criterion_main!(benches);
