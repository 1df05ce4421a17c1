//! The known answers below the level of packets: keystreams, key derivation, HMAC, and packets given by their session keys.

use super::aes::Aes;
use super::header::HeaderCipher;
use super::kdf::Prf;
use super::profile::Profile;
use super::*;
use crate::index::{Roc, SeqNum};
use crate::kernels::{Engine, Kernels};
use crate::wire::extension::Selected;
use crate::wire::{Protected, Shape};
use serde::Deserialize;

#[derive(Deserialize)]
struct File<V> {
    vectors: Vec<V>,
}

/// Any vector: the fields of all kinds, each missing where it does not apply.
#[derive(Deserialize)]
struct Vector {
    id: String,
    kind: String,
    #[serde(flatten)]
    fields: serde_json::Map<String, serde_json::Value>,
}

impl Vector {
    fn hex(&self, name: &str) -> Vec<u8> {
        hex::decode(self.fields[name].as_str().unwrap()).unwrap()
    }

    fn number(&self, name: &str) -> u64 {
        self.fields[name].as_u64().unwrap()
    }
}

/// The vectors of one file and kind, of which there are `count`.
fn vectors(file: &str, kind: &str, count: usize) -> Vec<Vector> {
    let path = format!("{}/tests/vectors/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let all: File<Vector> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let chosen: Vec<_> = all.vectors.into_iter().filter(|vector| vector.kind == kind).collect();
    assert_eq!(chosen.len(), count, "{kind} in {file}");
    chosen
}

fn check_keystreams(file: &str, count: usize) {
    for vector in vectors(file, "aes_cm_keystream", count) {
        let expected = vector.hex("keystream");
        let first = usize::try_from(vector.number("first_block")).unwrap() * 16;
        let mut stream = vec![0; first + expected.len()];
        let iv = u128::from_be_bytes(vector.hex("iv").try_into().unwrap());
        let mut aes = Aes::vacant(Engine::of(Kernels::active()));
        Aes::expand_in(&mut aes, &vector.hex("session_key")).unwrap();
        aes.unwrap().counter_mode(iv, (&mut stream[..]).into());
        assert_eq!(stream[first..], expected, "{}", vector.id);
    }
}

fn check_derivations(file: &str, count: usize) {
    for vector in vectors(file, "key_derivation", count) {
        let expected = vector.hex("output");
        let mut output = vec![0xee; expected.len()];
        let label = u8::try_from(vector.number("label")).unwrap();
        let mut prf = Prf::vacant();
        prf.set_key(&vector.hex("master_key"), &vector.hex("master_salt")).unwrap();
        prf.derive(label, &mut output);
        assert_eq!(output, expected, "{}", vector.id);
    }
}

#[test]
fn rfc3711_b2_keystream() {
    check_keystreams("rfc3711", 2);
}

#[test]
fn rfc3711_b3_key_derivation() {
    check_derivations("rfc3711", 7);
}

#[test]
fn rfc6188_7_keystream() {
    check_keystreams("rfc6188", 4);
}

#[test]
fn rfc6188_7_key_derivation() {
    check_derivations("rfc6188", 6);
}

#[test]
fn rfc6904_a_key_derivation() {
    check_derivations("rfc6904", 2);
}

/// The header's key comes of the master key that `a-header-key` has.
#[test]
fn rfc6904_a_header_extension() {
    let master = vectors("rfc6904", "key_derivation", 2).swap_remove(0);
    let vector = vectors("rfc6904", "header_extension_encryption", 1).swap_remove(0);
    let mut selected = Selected::NONE;
    for id in vector.fields["encrypted_extension_ids"].as_array().unwrap() {
        selected.add(u8::try_from(id.as_u64().unwrap()).unwrap());
    }
    let (key, salt) = (master.hex("master_key"), master.hex("master_salt"));
    let cipher = HeaderCipher::derive(&key, &salt, Profile::Aes128CmSha1_80.spec(), selected).unwrap();
    let (plain, encrypted) = (vector.hex("extension_body"), vector.hex("encrypted_extension_body"));
    let words = u8::try_from(plain.len() / 4).unwrap();
    let ssrc = Ssrc(u32::from_be_bytes(vector.hex("ssrc").try_into().unwrap()));
    let frame = Frame::srtp(ssrc, PacketIndex::from_estimate(vector.number("index")), 0, true);
    let clear = [&[0x90; 12][..], &[0xbe, 0xde, 0, words]].concat();
    let mut header = [&clear[..], &plain].concat();
    cipher.crypt(&frame, &mut header);
    assert_eq!(header, [&clear[..], &encrypted].concat());
    cipher.crypt(&frame, &mut header);
    assert_eq!(header, [clear, plain].concat());
}

#[test]
fn rfc2202_hmac_sha1() {
    for vector in vectors("rfc2202", "hmac_sha1", 7) {
        let (key, data) = (vector.hex("key"), vector.hex("data"));
        if key.len() > 64 {
            // A longer key is hashed first. Session authentication keys have 20 octets.
            continue;
        }
        let mut mac = HmacSha1::vacant();
        mac.set_key(&key);
        let mut tag = [0; MAX_TAG_LEN];
        let (message, suffix) = data.split_at(data.len() - 4);
        mac.compute(message, suffix.try_into().unwrap(), &mut tag);
        assert_eq!(tag.as_slice(), vector.hex("digest"), "{}", vector.id);
    }
}

/// Seals the plain packet of a vector that gives session keys, compares, and opens it again.
fn check_gcm(vector: &Vector, protocol: Protocol) {
    let (plain, protected) = (vector.hex("plaintext"), vector.hex("protected"));
    let salt = vector.hex("session_salt").try_into().unwrap();
    let engine = Engine::of(Kernels::active());
    let gcm = AesGcm::of_session_keys(&vector.hex("session_key"), salt, engine).unwrap();
    let suite = Suite::Gcm(&gcm);
    let shape = Shape { protocol, tag: 16, mki: 0, roc: 0, tag_first: true };
    let packet = Protected::parse(shape, &protected).unwrap();
    let encrypted = vector.fields["encrypted"].as_bool().unwrap();
    let frame = match protocol {
        Protocol::Rtp => {
            let seq = SeqNum(u16::try_from(packet.index).unwrap());
            Frame::srtp(packet.ssrc, PacketIndex::new(Roc(0), seq), packet.head, encrypted)
        }
        Protocol::Rtcp => {
            assert_eq!(packet.encrypted, encrypted);
            Frame::srtcp(packet.ssrc, SrtcpIndex::from_extended(packet.index.into()), packet.head, encrypted)
        }
    };
    let mut sealed = plain.clone();
    suite.crypt(&frame, (&mut sealed[packet.head..]).into());
    assert_eq!(sealed, protected[..packet.body_end], "{}", vector.id);
    let mut tag = [0; 16];
    suite.tag(&frame, &sealed, &mut tag);
    assert_eq!(tag, protected[packet.trailer.tag.clone()], "{}", vector.id);
    assert!(suite.verify(&frame, &sealed, &tag).is_ok());
    tag[15] ^= 1;
    assert!(suite.verify(&frame, &sealed, &tag).is_err());
    suite.crypt(&frame, (&mut sealed[packet.head..]).into());
    assert_eq!(sealed, plain, "{}", vector.id);
}

#[test]
fn rfc7714_16_srtp_packets() {
    vectors("rfc7714", "srtp", 4).iter().for_each(|vector| check_gcm(vector, Protocol::Rtp));
}

#[test]
fn rfc7714_17_srtcp_packets() {
    vectors("rfc7714", "srtcp", 4).iter().for_each(|vector| check_gcm(vector, Protocol::Rtcp));
}

/// Session keys of a profile, under a master key of one octet repeated.
pub(crate) fn suites_of(profile: super::profile::Profile, octet: u8) -> Suites {
    let spec = profile.spec();
    let mut suites = Suites::vacant(spec);
    suites.derive(&vec![octet; spec.key_len], &vec![octet; spec.salt_len], spec).unwrap();
    suites
}
