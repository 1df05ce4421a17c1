//! What AES counter mode and AES-GCM cost by themselves, by each engine that this processor has: packets of their own, keys in the cache.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use keyflip::internals::{AesEngine, CounterMode, Gcm};
use keyflip_bench::{HEADER, SIZES};
use std::hint::black_box;

/// Octets of the keys: AES-128 and AES-256.
const KEY_LENGTHS: [usize; 2] = [16, 32];
const KEY: [u8; 32] = [7; 32];

/// Measures what `prepare` gives for each engine, key length and size.
fn each(c: &mut Criterion, group: &str, prepare: impl Fn(AesEngine, &[u8]) -> Box<dyn Fn(&mut [u8])>) {
    let mut group = c.benchmark_group(group);
    for engine in AesEngine::available() {
        for key_len in KEY_LENGTHS {
            for size in SIZES {
                let mut packet = vec![0x5a; HEADER + size];
                let run = prepare(engine, KEY.get(..key_len).unwrap_or_default());
                group.throughput(Throughput::Bytes(size as u64));
                let name = BenchmarkId::new(format!("{engine}/{}", 8 * key_len), size);
                group.bench_function(name, |bencher| bencher.iter(|| run(black_box(&mut packet))));
            }
        }
    }
    group.finish();
}

fn counter_mode(c: &mut Criterion) {
    each(c, "counter_mode", |engine, key| {
        let cipher = CounterMode::new(engine, key).expect("a key of AES");
        Box::new(move |packet| {
            let (_, body) = packet.split_at_mut(HEADER);
            cipher.apply(black_box(1 << 64), body);
        })
    });
}

fn seal(c: &mut Criterion) {
    each(c, "gcm_seal", |engine, key| {
        let gcm = Gcm::new(engine, key).expect("a key of AES");
        Box::new(move |packet| {
            let (head, body) = packet.split_at_mut(HEADER);
            black_box(gcm.seal(1, black_box(2), head, body));
        })
    });
}

fn tag(c: &mut Criterion) {
    each(c, "gcm_tag", |engine, key| {
        let gcm = Gcm::new(engine, key).expect("a key of AES");
        Box::new(move |packet| {
            black_box(gcm.tag(1, black_box(2), HEADER, packet));
        })
    });
}

criterion_group!(benches, counter_mode, seal, tag);
criterion_main!(benches);
