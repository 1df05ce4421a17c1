//! What reclamation costs: a pin, and a rekey with few and many threads registered.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use keyflip::{Domain, Profile};
use keyflip_bench::{PROFILES, key, session};
use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

fn pin(c: &mut Criterion) {
    let domain = Domain::new();
    c.bench_function("pin", |bencher| bencher.iter(|| drop(black_box(domain.pin()))));
    c.bench_function("pin/nested", |bencher| {
        let _outer = domain.pin();
        bencher.iter(|| drop(black_box(domain.pin())));
    });
}

/// Derives a key, publishes it and retires the one before, `rekeys` times, while `threads` other threads are registered.
fn rekey(profile: Profile, threads: usize, rekeys: u64) -> Duration {
    let domain = Domain::new();
    let session = session(&domain, profile).expect("the key fits the profile");
    let (ready, done) = (Barrier::new(threads + 1), Barrier::new(threads + 1));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                drop(domain.pin());
                ready.wait();
                done.wait();
            });
        }
        ready.wait();
        let start = Instant::now();
        for number in 1..=rekeys {
            session.outbound().rekey(key(profile, number)).expect("the key fits the profile");
        }
        let elapsed = start.elapsed();
        done.wait();
        elapsed
    })
}

fn rekeys(c: &mut Criterion) {
    let mut group = c.benchmark_group("rekey");
    for profile in PROFILES {
        for threads in [1, 256] {
            group.bench_function(BenchmarkId::new(profile.name(), threads), |bencher| {
                bencher.iter_custom(|iterations| rekey(profile, threads, iterations));
            });
        }
    }
    group.finish();
}

/// A reader unpins for which `values` retired key rings wait, each with a key that nothing else holds.
fn unpin(values: u64, iterations: u64) -> Duration {
    let profile = PROFILES[0];
    let domain = Domain::new();
    let session = session(&domain, profile).expect("the key fits the profile");
    let mut unpinned = Duration::ZERO;
    for round in 0..iterations {
        let guard = domain.pin();
        std::thread::scope(|scope| {
            let rekey = |number| session.outbound().rekey(key(profile, number)).expect("the key fits the profile");
            scope.spawn(move || {
                for number in 1..=values {
                    rekey(round * values + number);
                }
            });
        });
        let start = Instant::now();
        drop(guard);
        unpinned += start.elapsed();
        domain.synchronize(Duration::from_secs(10)).expect("nobody is pinned");
    }
    unpinned
}

fn unpins(c: &mut Criterion) {
    let mut group = c.benchmark_group("unpin");
    for values in [0, 1, 16, 256] {
        group.bench_function(BenchmarkId::from_parameter(values), |bencher| {
            bencher.iter_custom(|iterations| unpin(values, iterations));
        });
    }
    group.finish();
}

criterion_group!(benches, pin, unpins, rekeys);
criterion_main!(benches);
