//! What must not be found: every form in which the library, or what it is built on, holds a key.
//!
//! Computed apart from the library: key expansion by FIPS 197, key derivation by RFC 3711 4.3, GHASH's powers by the field's own multiplication.

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use keyflip::{Kernels, Profile};
use polyval::hazmat::FieldElement;
use sha1::block_api::compress;

/// Where a secret is while its key is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lives {
    /// In the buffer that is given to the library, then with the library until the key is used, and nowhere from then on.
    UntilUsed,
    /// In the library, as long as the key.
    WithTheKey,
    /// In passing only: in no memory once a call is over.
    InPassing,
}

/// A secret in one of its forms.
pub(crate) struct Needle {
    pub(crate) name: String,
    pub(crate) octets: Vec<u8>,
    pub(crate) lives: Lives,
}

fn expand(key: &[u8]) -> Vec<u8> {
    let (words, mut schedule) = (key.len() / 4, key.to_vec());
    let mut constant = 1;
    for i in words..4 * (words + 7) {
        let mut word: [u8; 4] = schedule[4 * i - 4..].try_into().unwrap();
        if i % words == 0 {
            word.rotate_left(1);
            word = word.map(s_box);
            word[0] ^= constant;
            constant = times(constant, 2);
        } else if words > 6 && i % words == 4 {
            word = word.map(s_box);
        }
        for (at, octet) in word.into_iter().enumerate() {
            schedule.push(schedule[4 * (i - words) + at] ^ octet);
        }
    }
    schedule
}

/// The product in AES's field.
fn times(mut a: u8, b: u8) -> u8 {
    let mut product = 0;
    for bit in 0..8 {
        if b >> bit & 1 == 1 {
            product ^= a;
        }
        a = a << 1 ^ if a >> 7 == 1 { 0x1b } else { 0 };
    }
    product
}

fn s_box(octet: u8) -> u8 {
    // The inverse is the 254th power.
    let inverse = (0..254).fold(1, |power, _| times(power, octet));
    (0..5).fold(0x63, |sum, by| sum ^ inverse.rotate_left(by))
}

fn encrypt(key: &[u8], block: [u8; 16]) -> [u8; 16] {
    let mut block = block.into();
    match key.len() {
        16 => Aes128::new_from_slice(key).unwrap().encrypt_block(&mut block),
        24 => Aes192::new_from_slice(key).unwrap().encrypt_block(&mut block),
        _ => Aes256::new_from_slice(key).unwrap().encrypt_block(&mut block),
    }
    block.into()
}

/// What a label derives from a master key and salt (RFC 3711 4.3).
fn derive(key: &[u8], salt: &[u8], label: u8, len: usize) -> Vec<u8> {
    let mut input = [0; 16];
    input[..salt.len()].copy_from_slice(salt);
    input[7] ^= label;
    let blocks = (0..).flat_map(|count| {
        let mut block = input;
        block[15] = count;
        encrypt(key, block)
    });
    blocks.take(len).collect()
}

struct List {
    of: String,
    needles: Vec<Needle>,
}

impl List {
    fn add(&mut self, what: &str, octets: &[u8], lives: Lives) {
        self.needles.push(Needle { name: format!("{}: {what}", self.of), octets: octets.to_vec(), lives });
    }

    /// In the given order of octets, in which it lives as said, and in the other one.
    fn add_both_ways(&mut self, what: &str, octets: &[u8], lives: Lives) {
        self.add(what, octets, lives);
        let reversed: Vec<u8> = octets.iter().rev().copied().collect();
        self.add(&format!("{what}, reversed"), &reversed, Lives::InPassing);
    }

    fn hmac(&mut self, protocol: &str, key: &[u8]) {
        self.add(&format!("{protocol} authentication key"), key, Lives::InPassing);
        for (pad, name) in [(0x36, "inner"), (0x5c, "outer")] {
            let mut block = [pad; 64];
            block.iter_mut().zip(key).for_each(|(octet, key)| *octet ^= key);
            self.add(&format!("{protocol} {name} key block"), &block[..key.len()], Lives::InPassing);
            let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
            compress(&mut state, &[block]);
            let native = state.map(u32::to_ne_bytes).concat();
            self.add(&format!("{protocol} {name} midstate"), &native, Lives::WithTheKey);
            let swapped = state.map(u32::swap_bytes).map(u32::to_ne_bytes).concat();
            self.add(&format!("{protocol} {name} midstate, octets swapped"), &swapped, Lives::InPassing);
            // The SHA instructions take the first four words the other way round.
            state[..4].reverse();
            self.add(
                &format!("{protocol} {name} midstate, backward"),
                &state.map(u32::to_ne_bytes).concat(),
                Lives::InPassing,
            );
            let swapped = state.map(u32::swap_bytes).map(u32::to_ne_bytes).concat();
            self.add(&format!("{protocol} {name} midstate, backward and swapped"), &swapped, Lives::InPassing);
        }
    }

    fn ghash(&mut self, protocol: &str, h: [u8; 16]) {
        self.add_both_ways(&format!("{protocol} GHASH key"), &h, Lives::InPassing);
        let times_x = FieldElement::from(h).reverse().mulx();
        let mut power = times_x;
        let (powers, companions) = kept();
        for exponent in 1..=16 {
            let lives = |kept| if kept { Lives::WithTheKey } else { Lives::InPassing };
            let octets = <[u8; 16]>::from(power);
            let name = |what| format!("{protocol} GHASH {what} {exponent}");
            self.add_both_ways(&name("power"), &octets, lives(powers.contains(&exponent)));
            self.add_both_ways(&name("companion"), &companion(octets), lives(companions && powers.contains(&exponent)));
            power *= times_x;
        }
    }
}

/// The powers of its key that GHASH keeps, and whether it keeps companions of theirs.
fn kept() -> (&'static [u32], bool) {
    match Kernels::active() {
        Kernels::Avx512 => (&[1, 2, 3, 4, 5, 6, 7, 8], false),
        Kernels::Portable => {
            // Processors without carry-less multiplication keep the first power alone.
            #[cfg(target_arch = "x86_64")]
            let multiplies = is_x86_feature_detected!("pclmulqdq") && is_x86_feature_detected!("avx");
            #[cfg(not(target_arch = "x86_64"))]
            let multiplies = false;
            if multiplies { (&[1, 2, 3, 4], true) } else { (&[1], false) }
        }
        _ => (&[1, 2, 3, 4, 5, 6, 7, 8], false),
    }
}

/// What `polyval` keeps beside a power: its halves swapped, plus the lower one times x^63 + x^62 + x^57.
fn companion(power: [u8; 16]) -> [u8; 16] {
    let power = u128::from_le_bytes(power);
    let low = power & u128::from(u64::MAX);
    let product = low << 63 ^ low << 62 ^ low << 57;
    (power.rotate_left(64) ^ product).to_le_bytes()
}

/// Every form of the secrets of one master key under a profile. `of` says whose they are.
pub(crate) fn of(profile: Profile, material: &[u8], of: &str) -> Vec<Needle> {
    let mut list = List { of: format!("{profile} {of}"), needles: Vec::new() };
    let (key, salt) = material.split_at(profile.key_len());
    list.add("master key", key, Lives::UntilUsed);
    list.add("master salt", salt, Lives::UntilUsed);
    list.add("schedule of the master key", &expand(key), Lives::InPassing);
    list.add("identity", &derive(key, salt, 0xff, 16), Lives::WithTheKey);
    let (gcm, null) = (profile.name().contains("GCM"), profile.name().starts_with("NULL"));
    for (protocol, first_label) in [("SRTP", 0u8), ("SRTCP", 3)] {
        let derive = |label, len| derive(key, salt, first_label + label, len);
        if !null {
            let session_key = derive(0, key.len());
            // The session encryption key is its beginning.
            list.add(&format!("{protocol} schedule"), &expand(&session_key), Lives::WithTheKey);
            list.add(&format!("{protocol} salt"), &derive(2, salt.len()), Lives::WithTheKey);
            if gcm {
                list.ghash(protocol, encrypt(&session_key, [0; 16]));
            }
        }
        if !gcm && profile.is_authenticated() {
            list.hmac(protocol, &derive(1, 20));
        }
    }
    list.needles
}

/// What there is beside, where elements of header extensions are encrypted (RFC 6904 4.3): AES-CM's, whatever encrypts the payload.
#[allow(dead_code)] // One of the two searches asks.
pub(crate) fn of_headers(profile: Profile, material: &[u8], of: &str) -> Vec<Needle> {
    let mut list = List { of: format!("{profile} {of}"), needles: Vec::new() };
    let (key, salt) = material.split_at(profile.key_len());
    list.add("header schedule", &expand(&derive(key, salt, 6, key.len())), Lives::WithTheKey);
    list.add("header salt", &derive(key, salt, 7, salt.len()), Lives::WithTheKey);
    list.needles
}
