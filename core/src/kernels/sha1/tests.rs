//! Every kernel against the `hmac` crate, in all its lanes, and within its bounds.

use super::every::Kernel;
use super::{HmacJob, HmacKernels, Midstates, SUFFIX_LEN, TAG_LEN};
use crate::kernels::Kernels;
use hmac::{Hmac, KeyInit, Mac};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha1::Sha1;

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(28)
}

impl Kernel {
    fn counts(&self) -> std::ops::RangeInclusive<usize> {
        if self.only_full { self.lanes..=self.lanes } else { 1..=self.lanes }
    }
}

/// A key, as ours and as theirs.
struct Key {
    ours: Midstates,
    theirs: Hmac<Sha1>,
}

fn keys(random: &mut ChaCha8Rng, count: usize) -> Vec<Key> {
    let key = |_| {
        let mut octets = vec![0; random.random_range(0..=64)];
        random.fill_bytes(&mut octets);
        let mut ours = Midstates::vacant();
        ours.set_key(&octets);
        Key { ours, theirs: Hmac::new_from_slice(&octets).unwrap() }
    };
    (0..count).map(key).collect()
}

impl Key {
    fn expected(&self, message: &[u8], suffix: [u8; SUFFIX_LEN]) -> [u8; TAG_LEN] {
        let mut mac = self.theirs.clone();
        mac.update(message);
        mac.update(&suffix);
        mac.finalize().into_bytes().into()
    }
}

/// Gives each message to the kernel beside the others, each under its own key, and compares.
fn check(name: &str, keys: &[Key], messages: &[&[u8]], random: &mut ChaCha8Rng, hmac: impl Fn(&mut [HmacJob<'_>])) {
    let pairs = keys.iter().zip(messages);
    let mut jobs: Vec<HmacJob<'_>> =
        pairs.map(|(key, message)| HmacJob::new(&key.ours, message, random.random())).collect();
    assert_eq!(jobs.len(), messages.len());
    hmac(&mut jobs);
    let lens: Vec<usize> = messages.iter().map(|message| message.len()).collect();
    for (lane, (job, key)) in jobs.iter().zip(keys).enumerate() {
        assert_eq!(job.tag, key.expected(job.message, job.suffix), "{name}, lane {lane} of {lens:?} octets");
    }
}

#[test]
fn every_kernel_hashes_every_length_at_every_alignment() {
    let mut random = rng();
    let keys = keys(&mut random, 16);
    let mut memory = vec![0; 16 * 400];
    random.fill_bytes(&mut memory);
    for kernel in Kernel::available() {
        for len in 0..=300 {
            let messages: Vec<&[u8]> =
                (0..kernel.lanes).map(|lane| &memory[lane * 400 + (lane + len) % 64..][..len]).collect();
            check(kernel.name, &keys, &messages, &mut random, &kernel.hmac);
        }
    }
}

#[test]
fn every_kernel_hashes_messages_of_different_lengths_side_by_side() {
    let mut random = rng();
    let keys = keys(&mut random, 16);
    let mut memory = vec![0; 70_000];
    random.fill_bytes(&mut memory);
    for kernel in Kernel::available() {
        for count in kernel.counts() {
            for longest in [70, 300, 2100, 2100, if count == kernel.lanes { 65_535 } else { 130 }] {
                let messages: Vec<&[u8]> = (0..count)
                    .map(|_| {
                        let len = random.random_range(0..=longest);
                        &memory[random.random_range(0..=memory.len() - len)..][..len]
                    })
                    .collect();
                check(kernel.name, &keys, &messages, &mut random, &kernel.hmac);
            }
        }
    }
}

#[test]
fn every_set_hashes_any_number_of_messages() {
    let mut random = rng();
    let keys = keys(&mut random, 40);
    let mut memory = vec![0; 2000];
    random.fill_bytes(&mut memory);
    for set in Kernels::ALL.into_iter().filter(|set| set.is_available()) {
        let kernels = HmacKernels::of(set);
        for count in 0..=40 {
            let equal = vec![&memory[..random.random_range(0..200)]; count];
            let unequal: Vec<&[u8]> = (0..count).map(|_| &memory[random.random_range(0..2000)..]).collect();
            for messages in [equal, unequal] {
                check(set.name(), &keys, &messages, &mut random, |jobs| kernels.many(jobs));
            }
        }
    }
}

/// RFC 2202 3, cases 1 to 5: those with a key of at most one block. The last four octets of the data are given as the suffix.
#[test]
fn every_kernel_gives_the_known_answers() {
    let numbers: Vec<u8> = (1..=25).collect();
    let cases: [(&[u8], &[u8], &str); 5] = [
        (&[0x0b; 20], b"Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"),
        (b"Jefe", b"what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        (&[0xaa; 20], &[0xdd; 50], "125d7342b9ac11cd91a39af48aa17b4f63f175d3"),
        (&numbers, &[0xcd; 50], "4c9007f4026250c6bc8414f9bf50c86c2d7235da"),
        (&[0x0c; 20], b"Test With Truncation", "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04"),
    ];
    for kernel in Kernel::available() {
        for (key, data, expected) in cases {
            let mut midstates = Midstates::vacant();
            midstates.set_key(key);
            let (message, suffix) = data.split_last_chunk().unwrap();
            let job = || HmacJob::new(&midstates, message, *suffix);
            let mut jobs: Vec<HmacJob<'_>> = std::iter::repeat_with(job).take(kernel.lanes).collect();
            (kernel.hmac)(&mut jobs);
            for job in jobs {
                assert_eq!(hex::encode(job.tag), expected, "{}", kernel.name);
            }
        }
    }
}

/// A message that ends where a page ends, and the page behind it cannot be read; and one that begins behind such a page.
#[cfg(all(unix, not(miri)))]
#[test]
fn no_kernel_reads_beside_a_message() {
    use crate::kernels::guarded::Guarded;
    let mut random = rng();
    let keys = keys(&mut random, 16);
    let mut places: Vec<Guarded> = (0..32).map(|_| Guarded::new(400)).collect();
    for kernel in Kernel::available() {
        for len in (0usize..=200).chain([255, 256, 257, 400]) {
            for shorter in [0, 1, 70] {
                let len_of = |lane: usize| if lane.is_multiple_of(2) { len } else { len.saturating_sub(shorter) };
                let (ends, starts) = places.split_at_mut(16);
                let ends: Vec<&[u8]> =
                    ends.iter_mut().enumerate().map(|(lane, place)| &*place.edge(len_of(lane), true)).collect();
                let starts: Vec<&[u8]> =
                    starts.iter_mut().enumerate().map(|(lane, place)| &*place.edge(len_of(lane), false)).collect();
                for messages in [ends, starts] {
                    check(kernel.name, &keys, &messages[..kernel.lanes], &mut random, &kernel.hmac);
                }
            }
        }
    }
}
