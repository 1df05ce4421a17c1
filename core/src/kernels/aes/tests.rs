//! Every engine against the `aes` and `ctr` crates, and within its bounds.

use super::{Engine, RoundKeys};
use crate::kernels::guarded::Guarded;
use aes::{Aes128Enc, Aes192Enc, Aes256Enc};
use cipher::inout::InOutBuf;
use cipher::{BlockCipherEncrypt, BlockSizeUser, InnerIvInit, KeyInit, KeyIvInit, StreamCipher, StreamCipherCore};
use ctr::flavors::Ctr32BE;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const KEY_SIZES: [usize; 3] = [16, 24, 32];
/// What lies around buffers, and must stay there.
const CANARY: u8 = 0xc5;
const MARGIN: usize = 64;

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(26)
}

fn octets<const N: usize>(random: &mut ChaCha8Rng) -> [u8; N] {
    let mut octets = [0; N];
    random.fill_bytes(&mut octets);
    octets
}

fn keys(engine: Engine, key: &[u8]) -> RoundKeys {
    let mut keys = RoundKeys::vacant(engine);
    keys.expand(key).unwrap();
    keys
}

/// The keystream, by the oracle.
fn oracle(key: &[u8], block: &[u8; 16], len: usize) -> Vec<u8> {
    fn run<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = cipher::consts::U16> + KeyInit>(
        key: &[u8],
        block: &[u8; 16],
        data: &mut [u8],
    ) {
        let core = ctr::CtrCore::<C, Ctr32BE>::inner_iv_init(C::new_from_slice(key).unwrap(), block.into());
        core.apply_keystream_partial(data.into());
    }
    let mut stream = vec![0; len];
    match key.len() {
        16 => run::<Aes128Enc>(key, block, &mut stream),
        24 => run::<Aes192Enc>(key, block, &mut stream),
        _ => run::<Aes256Enc>(key, block, &mut stream),
    }
    stream
}

/// A key of one size for every engine, and what the oracle says to it.
struct Case {
    name: String,
    keys: RoundKeys,
    block: [u8; 16],
    stream: Vec<u8>,
}

fn cases(longest: usize) -> Vec<Case> {
    let mut random = rng();
    let mut cases = Vec::new();
    for engine in Engine::available() {
        for size in KEY_SIZES {
            let key: [u8; 32] = octets(&mut random);
            let block = octets(&mut random);
            let stream = oracle(&key[..size], &block, longest);
            let name = format!("{engine:?}, {size} octets of key");
            cases.push(Case { name, keys: keys(engine, &key[..size]), block, stream });
        }
    }
    assert!(cases.len() >= 3 || !std::arch::is_x86_feature_detected!("aes"));
    cases
}

impl Case {
    /// Encrypts `len` octets at these offsets, in place or from one buffer to another, and checks every octet of both.
    fn check(&self, random: &mut ChaCha8Rng, len: usize, from: usize, to: Option<usize>) {
        let mut input = vec![CANARY; from + len + MARGIN];
        random.fill_bytes(&mut input[from..from + len]);
        let expected: Vec<u8> = input[from..from + len].iter().zip(&self.stream).map(|(a, b)| a ^ b).collect();
        let what = || format!("{}: {len} octets from {from} to {to:?}", self.name);
        let before = input.clone();
        let (output, at) = match to {
            None => {
                self.keys.counter_mode(u128::from_be_bytes(self.block), (&mut input[from..from + len]).into());
                (input, from)
            }
            Some(to) => {
                let mut output = vec![CANARY; to + len + MARGIN];
                let data = InOutBuf::new(&input[from..from + len], &mut output[to..to + len]).unwrap();
                self.keys.counter_mode(u128::from_be_bytes(self.block), data);
                assert_eq!(input, before, "{}", what());
                (output, to)
            }
        };
        assert_eq!(output[at..at + len], expected, "{}", what());
        assert!(output[..at].iter().chain(&output[at + len..]).all(|octet| *octet == CANARY), "{}", what());
    }
}

#[test]
fn every_length_gives_what_the_crates_give() {
    let mut random = rng();
    for case in cases(2100) {
        for len in 0..2100 {
            let (from, to) = (random.random_range(0..64), random.random_range(0..64));
            case.check(&mut random, len, from, None);
            case.check(&mut random, len, from, Some(to));
        }
    }
}

#[test]
fn every_alignment_gives_what_the_crates_give() {
    let mut random = rng();
    for case in cases(600) {
        for offset in 0..64 {
            for _ in 0..8 {
                let len = random.random_range(0..600);
                case.check(&mut random, len, offset, None);
                let other = random.random_range(0..64);
                case.check(&mut random, len, offset, Some(other));
                case.check(&mut random, len, other, Some(offset));
            }
        }
    }
}

#[test]
fn nothing_beside_the_data_is_touched() {
    let (mut here, mut there) = (Guarded::new(1500), Guarded::new(1500));
    for case in cases(1500) {
        for len in (0..300).chain([1024, 1199, 1200, 1201, 1499]) {
            for at_end in [true, false] {
                let (input, output) = (here.edge(len, at_end), there.edge(len, at_end));
                input.fill(0);
                case.keys.counter_mode(u128::from_be_bytes(case.block), InOutBuf::new(input, output).unwrap());
                assert_eq!(output, &case.stream[..len], "{}", case.name);
                case.keys.counter_mode(u128::from_be_bytes(case.block), (&mut *input).into());
                assert_eq!(input, &case.stream[..len], "{}", case.name);
            }
        }
    }
}

/// A count runs over after 2^32 blocks, into nothing: as the crate has it, and GCM.
#[test]
fn a_count_carries_no_further_than_32_bits() {
    for case in cases(0) {
        for before in [1u32, 2, 3, 4, 7, 8, 15, 16, 17, 40] {
            let mut block = case.block;
            block[12..].copy_from_slice(&before.wrapping_neg().to_be_bytes());
            let mut stream = vec![0; 800];
            case.keys.counter_mode(u128::from_be_bytes(block), (&mut stream[..]).into());
            let mut at = 0;
            for count in 0..50u32 {
                block[12..].copy_from_slice(&count.wrapping_sub(before).to_be_bytes());
                let mut alone = [0; 16];
                case.keys.counter_mode(u128::from_be_bytes(block), (&mut alone[..]).into());
                assert_eq!(stream[at..at + 16], alone, "{}, {before} before, block {count}", case.name);
                at += 16;
            }
        }
    }
}

/// AES-CM counts in 16 bits, from zero: all of them, for the longest packet.
#[test]
fn the_longest_packet_is_counted_in_128_bits_as_in_32() {
    let longest = crate::MAX_PACKET_LEN;
    for engine in Engine::available() {
        let mut iv = [0xff; 16];
        iv[14..].fill(0);
        let mut ours = vec![0; longest];
        keys(engine, &[7; 16]).counter_mode(u128::from_be_bytes(iv), (&mut ours[..]).into());
        let mut theirs = vec![0; longest];
        ctr::Ctr128BE::<Aes128Enc>::new(&[7; 16].into(), &iv.into()).apply_keystream(&mut theirs);
        assert!(ours == theirs, "{engine:?}");
    }
}

/// FIPS 197 appendix A: the last round key of each example.
#[test]
fn fips197_a_key_expansion() {
    let key = |hex: &str| hex::decode(hex).unwrap();
    let examples = [
        ("2b7e151628aed2a6abf7158809cf4f3c", 10, "d014f9a8c9ee2589e13f0cc8b6630ca6"),
        ("8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", 12, "e98ba06f448c773c8ecc720401002202"),
        ("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", 14, "fe4890d1e6188d0b046df344706c631e"),
    ];
    for engine in Engine::available() {
        for (short, rounds, last) in examples {
            let keys = keys(engine, &key(short));
            let words: Vec<u8> = keys.schedule.0.iter().flat_map(|word| word.to_le_bytes()).collect();
            assert_eq!(words[..key(short).len()], key(short));
            assert_eq!(words[16 * rounds..][..16], key(last));
            assert!(words[16 * rounds + 16..].iter().all(|octet| *octet == 0));
        }
    }
}

#[test]
fn keys_of_other_lengths_are_refused() {
    for engine in Engine::available() {
        for len in (0..64).filter(|len| !KEY_SIZES.contains(len)) {
            assert!(RoundKeys::vacant(engine).expand(&vec![1; len]).is_none());
        }
    }
}
