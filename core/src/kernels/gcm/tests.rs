//! Every engine against the `aes`, `ctr` and `ghash` crates, and within its bounds.

use super::{Engine, GcmKey};
use crate::kernels::guarded::Guarded;
use aes::{Aes128Enc, Aes192Enc, Aes256Enc};
use cipher::inout::InOutBuf;
use cipher::{Array, BlockCipherEncrypt, BlockSizeUser, InnerIvInit, KeyInit, StreamCipherCore, consts::U16};
use ctr::flavors::Ctr32BE;
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What lies around buffers, and must stay there.
const CANARY: u8 = 0xc5;
const MARGIN: usize = 64;

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(27)
}

fn octets(random: &mut ChaCha8Rng, len: usize) -> Vec<u8> {
    let mut octets = vec![0; len];
    random.fill_bytes(&mut octets);
    octets
}

/// The ciphertext and the tag, by the crates (NIST SP 800-38D 7.1).
fn oracle(key: &[u8], block: &[u8; 16], additional: &[u8], plain: &[u8]) -> (Vec<u8>, [u8; 16]) {
    fn run<C>(key: &[u8], block: &[u8; 16], additional: &[u8], plain: &[u8]) -> (Vec<u8>, [u8; 16])
    where
        C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit,
    {
        let aes = C::new_from_slice(key).unwrap();
        let mut stream = [&[0; 16], plain].concat();
        ctr::CtrCore::<&C, Ctr32BE>::inner_iv_init(&aes, block.into())
            .apply_keystream_partial((&mut stream[..]).into());
        let ciphertext = stream.split_off(16);
        let mut hash_key = Array::default();
        aes.encrypt_block(&mut hash_key);
        let mut hash = GHash::new(&hash_key);
        hash.update_padded(additional);
        hash.update_padded(&ciphertext);
        let lengths = [additional.len(), ciphertext.len()].map(|len| (len as u64 * 8).to_be_bytes());
        hash.update_padded(lengths.as_flattened());
        let hash = hash.finalize();
        (ciphertext, std::array::from_fn(|at| hash[at] ^ stream[at]))
    }
    match key.len() {
        16 => run::<Aes128Enc>(key, block, additional, plain),
        24 => run::<Aes192Enc>(key, block, additional, plain),
        _ => run::<Aes256Enc>(key, block, additional, plain),
    }
}

struct Case {
    name: String,
    octets: Vec<u8>,
    key: GcmKey,
    block: [u8; 16],
}

fn cases() -> Vec<Case> {
    let mut random = rng();
    let mut cases = Vec::new();
    for engine in Engine::available() {
        for size in [16, 24, 32] {
            let octets = octets(&mut random, size);
            let mut key = GcmKey::vacant(engine);
            key.expand(&octets).unwrap();
            let mut block = [0; 16];
            random.fill_bytes(&mut block[..12]);
            block[15] = 1;
            cases.push(Case { name: format!("{engine:?}, {size} octets of key"), octets, key, block });
        }
    }
    assert!(cases.len() >= 3 || !std::arch::is_x86_feature_detected!("aes"));
    cases
}

impl Case {
    /// Seals, opens and tags a packet at these offsets, and checks every octet of all buffers.
    fn check(&self, random: &mut ChaCha8Rng, head: usize, word: bool, len: usize, [from, to]: [usize; 2]) {
        let what = || format!("{}: {len} octets after {head} and {word}, from {from} to {to}", self.name);
        let head = octets(random, head);
        let word = word.then(|| random.random());
        let additional = [&head[..], word.as_ref().map_or(&[], |word: &[u8; 4]| word)].concat();
        let plain = octets(random, len);
        let (ciphertext, tag) = oracle(&self.octets, &self.block, &additional, &plain);

        let surrounded = |octets: &[u8], at: usize| [&vec![CANARY; at][..], octets, &[CANARY; MARGIN]].concat();
        let mut place = surrounded(&plain, from);
        let sealed = self.key.seal(u128::from_be_bytes(self.block), &head, word, (&mut place[from..from + len]).into());
        assert_eq!((&place, sealed), (&surrounded(&ciphertext, from), tag), "{}", what());
        assert_eq!(
            self.key.tag(u128::from_be_bytes(self.block), &head, word, &place[from..from + len]),
            tag,
            "{}",
            what()
        );
        self.key.crypt(u128::from_be_bytes(self.block), (&mut place[from..from + len]).into());
        assert_eq!(place, surrounded(&plain, from), "{}", what());

        let mut output = surrounded(&octets(random, len), to);
        let body = InOutBuf::new(&place[from..from + len], &mut output[to..to + len]).unwrap();
        assert_eq!(self.key.seal(u128::from_be_bytes(self.block), &head, word, body), tag, "{}", what());
        assert_eq!(output, surrounded(&ciphertext, to), "{}", what());
        assert_eq!(place, surrounded(&plain, from), "{}", what());
    }
}

#[test]
fn every_length_gives_what_the_crates_give() {
    let mut random = rng();
    for case in cases() {
        for len in (0..600).chain((600..2100).step_by(7)) {
            let (head, word) = (*[12, 8, 12, 16, 20].get(len % 7).unwrap_or(&24), random.random());
            let offsets = [random.random_range(0..64), random.random_range(0..64)];
            case.check(&mut random, head, word, len, offsets);
        }
    }
}

#[test]
fn every_length_of_additional_data_gives_what_the_crates_give() {
    let mut random = rng();
    for case in cases() {
        for head in (0..300).chain([1000, 1500]) {
            for len in [0, 1, 16, 47, 48, 49, 100] {
                case.check(&mut random, head, head % 2 == 0, len, [0, 0]);
                case.check(&mut random, head, head % 2 == 1, len, [1, 2]);
            }
        }
    }
}

#[test]
fn every_alignment_gives_what_the_crates_give() {
    let mut random = rng();
    for case in cases() {
        for offset in 0..64 {
            for _ in 0..4 {
                let (len, other) = (random.random_range(0..700), random.random_range(0..64));
                case.check(&mut random, 12, false, len, [offset, other]);
                case.check(&mut random, 8, true, len, [other, offset]);
            }
        }
    }
}

#[test]
fn nothing_beside_the_data_is_touched() {
    let [mut head_pages, mut here, mut there] = [(); 3].map(|()| Guarded::new(1500));
    let mut random = rng();
    for case in cases() {
        for len in (0..200).chain([256, 300, 1024, 1199, 1200, 1201, 1499]) {
            for at_end in [true, false] {
                let head = head_pages.edge(random.random_range(0..64), at_end);
                let (input, output) = (here.edge(len, at_end), there.edge(len, at_end));
                input.fill(0);
                let (ciphertext, tag) = oracle(&case.octets, &case.block, head, input);
                let body = InOutBuf::new(input, output).unwrap();
                assert_eq!(case.key.seal(u128::from_be_bytes(case.block), head, None, body), tag, "{}", case.name);
                assert_eq!(output, &ciphertext, "{}", case.name);
                assert_eq!(case.key.tag(u128::from_be_bytes(case.block), head, None, output), tag, "{}", case.name);
                assert_eq!(
                    case.key.seal(u128::from_be_bytes(case.block), head, None, (&mut *input).into()),
                    tag,
                    "{}",
                    case.name
                );
                assert_eq!(input, &ciphertext, "{}", case.name);
            }
        }
    }
}

/// NIST's GCM examples, as McGrew and Viega's submission has them: test cases 1, 2, 4, 10 and 16.
#[test]
fn nist_gcm_examples() {
    let hex = |text: &str| hex::decode(text).unwrap();
    let plain = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
    let key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
    let (iv, additional) = ("cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let zero = "00000000000000000000000000000000";
    let examples = [
        (zero, &zero[..24], "", "", "", "58e2fccefa7e3061367f1d57a4e7455a"),
        (zero, &zero[..24], "", zero, "0388dace60b6a392f328c2b971b2fe78", "ab6e47d42cec13bdf53a67b21257bddf"),
        (
            &key[..32],
            iv,
            additional,
            plain,
            "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
            "5bc94fbc3221a5db94fae95ae7121a47",
        ),
        (
            &key[..48],
            iv,
            additional,
            plain,
            "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c7d773d00c144c525ac619d18c84a3f4718e2448b2fe324d9ccda2710",
            "2519498e80f1478f37ba55bd6d27618c",
        ),
        (
            key,
            iv,
            additional,
            plain,
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
            "76fc6ece0f4e1768cddf8853bb2d551b",
        ),
    ];
    for engine in Engine::available() {
        for (key, iv, additional, plain, ciphertext, tag) in examples {
            let mut gcm = GcmKey::vacant(engine);
            gcm.expand(&hex(key)).unwrap();
            let block: [u8; 16] = [hex(iv), vec![0, 0, 0, 1]].concat().try_into().unwrap();
            let mut body = hex(plain);
            let made = gcm.seal(u128::from_be_bytes(block), &hex(additional), None, (&mut body[..]).into());
            assert_eq!((body, made.to_vec()), (hex(ciphertext), hex(tag)), "{engine:?}");
        }
    }
}
