//! HMAC-SHA1 by each kernel, in full lanes; and by a set, of any number of messages. A message is what a packet has authenticated: its header and
//! payload, and the ROC. Figures are of all messages of a call.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use keyflip::Kernels;
use keyflip::internals::{HmacJobs, HmacKernel, HmacKey};
use keyflip_bench::{HEADER, SIZES};
use std::hint::black_box;

/// Octets from one message to the next: no multiple of anything.
const APART: usize = 1460;

struct Messages {
    keys: Vec<HmacKey>,
    octets: Vec<u8>,
}

impl Messages {
    fn new(count: usize) -> Self {
        let keys = (0u8..).take(count).map(|key| HmacKey::new(&[key; 20])).collect();
        Self { keys, octets: (0u8..=250).cycle().take(count * APART).collect() }
    }

    fn jobs(&self, count: usize, payload: usize) -> HmacJobs<'_> {
        let messages = self.keys.iter().zip(self.octets.chunks(APART)).take(count);
        HmacJobs::new(messages.map(|(key, octets)| (key, &octets[..HEADER + payload], [0; 4])))
    }
}

fn kernels(c: &mut Criterion) {
    let messages = Messages::new(16);
    for payload in SIZES {
        let mut group = c.benchmark_group(format!("hmac-sha1-kernel/{payload}"));
        for kernel in HmacKernel::available() {
            let mut jobs = messages.jobs(kernel.lanes(), payload);
            group.throughput(Throughput::Elements(kernel.lanes() as u64));
            group.bench_function(kernel.name(), |bencher| bencher.iter(|| kernel.run(black_box(&mut jobs))));
        }
        group.finish();
    }
}

fn sets(c: &mut Criterion) {
    let messages = Messages::new(33);
    for set in Kernels::ALL.into_iter().filter(|set| set.is_available()) {
        let mut group = c.benchmark_group(format!("hmac-sha1-{set}"));
        for payload in SIZES {
            for count in (1..=16).chain([24, 32, 33]) {
                let mut jobs = messages.jobs(count, payload);
                group.throughput(Throughput::Elements(count as u64));
                group.bench_function(BenchmarkId::new(payload.to_string(), count), |bencher| {
                    bencher.iter(|| black_box(&mut jobs).run(set));
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, kernels, sets);
criterion_main!(benches);
