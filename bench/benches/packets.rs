//! Protect and unprotect, one packet at a time, in place.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use keyflip::{Domain, Profile};
use keyflip_bench::{HEADER, PROFILES, SIZES, packet, session, set_seq};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Packets prepared, outside the measured time, for each stretch of unprotecting.
const STRETCH: u64 = 4096;

fn protect(profile: Profile, size: usize, packets: u64) -> Duration {
    let domain = Domain::new();
    let session = session(&domain, profile).expect("the key fits the profile");
    let (plain, len) = packet(1, size);
    let mut buffer = plain;
    let guard = domain.pin();
    let start = Instant::now();
    for seq in 0..packets {
        set_seq(&mut buffer, (seq & 0xffff) as u16);
        black_box(session.outbound().protect_rtp(&guard, &mut buffer, len)).expect("a new index");
    }
    start.elapsed()
}

fn unprotect(profile: Profile, size: usize, packets: u64) -> Duration {
    let domain = Domain::new();
    let mut elapsed = Duration::ZERO;
    for stretch in 0..packets.div_ceil(STRETCH) {
        let count = STRETCH.min(packets - stretch * STRETCH);
        let session = session(&domain, profile).expect("the key fits the profile");
        let guard = domain.pin();
        let mut protected: Vec<Vec<u8>> = (0..count)
            .map(|seq| {
                let (mut buffer, len) = packet(1, size);
                set_seq(&mut buffer, (seq & 0xffff) as u16);
                let len = session.outbound().protect_rtp(&guard, &mut buffer, len).expect("a new index");
                buffer.truncate(len);
                buffer
            })
            .collect();
        let start = Instant::now();
        for packet in &mut protected {
            black_box(session.inbound().unprotect_rtp(&guard, packet)).expect("a genuine packet");
        }
        elapsed += start.elapsed();
    }
    elapsed
}

fn packets(c: &mut Criterion) {
    for (name, run) in [("protect", protect as fn(Profile, usize, u64) -> Duration), ("unprotect", unprotect)] {
        let mut group = c.benchmark_group(name);
        for profile in PROFILES {
            for size in SIZES {
                group.throughput(Throughput::Bytes((HEADER + size) as u64));
                group.bench_function(BenchmarkId::new(profile.name(), size), |bencher| {
                    bencher.iter_custom(|iterations| run(profile, size, iterations));
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, packets);
criterion_main!(benches);
