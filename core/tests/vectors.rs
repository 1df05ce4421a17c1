//! The packets of `tests/vectors`, protected and unprotected through the public interface.

#[path = "common/kernels.rs"]
mod kernels;

use keyflip::{Cryptex, Domain, Kernels, MasterKey, Profile, Roc, Session, SessionBuilder, SrtcpEncryption};
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    vectors: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Packet {
    id: String,
    kind: String,
    profile: String,
    #[serde(with = "hex::serde")]
    master_key: Vec<u8>,
    #[serde(with = "hex::serde")]
    master_salt: Vec<u8>,
    #[serde(with = "hex::serde")]
    ssrc: Vec<u8>,
    #[serde(default)]
    roc: u32,
    index: u64,
    tag_len: usize,
    #[serde(with = "hex::serde")]
    mki: Vec<u8>,
    encrypted: bool,
    #[serde(default)]
    encrypted_extension_ids: Vec<u8>,
    #[serde(default)]
    cryptex: bool,
    /// What a receiver has, if that is not the plaintext.
    #[serde(default, deserialize_with = "hex::serde::deserialize")]
    receiver_output: Vec<u8>,
    #[serde(with = "hex::serde")]
    plaintext: Vec<u8>,
    #[serde(with = "hex::serde")]
    protected: Vec<u8>,
}

impl Packet {
    fn key(&self) -> MasterKey {
        kernels::use_kernels_asked_for();
        MasterKey::take_parts(&mut self.master_key.clone(), &mut self.master_salt.clone()).with_mki(&self.mki).unwrap()
    }

    fn builder(&self) -> SessionBuilder {
        let profile: Profile = self.profile.parse().unwrap();
        let builder = Session::builder(profile).inbound(self.key()).outbound(self.key());
        let builder = builder.encrypted_header_extensions(&self.encrypted_extension_ids);
        let builder = if self.cryptex { builder.cryptex(Cryptex::Required) } else { builder };
        match (self.kind.as_str(), self.encrypted) {
            ("srtp", false) => builder.unencrypted_srtp(),
            ("srtcp", false) => builder.srtcp_encryption(SrtcpEncryption::Off),
            _ => builder,
        }
    }

    fn ssrc(&self) -> u32 {
        u32::from_be_bytes(self.ssrc.clone().try_into().unwrap())
    }

    /// In place and between buffers, both ways.
    fn check(&self) {
        let domain = Domain::new();
        let (plain, protected) = (&self.plaintext, &self.protected);
        for between in [false, true] {
            let session = self.builder().build(&domain).unwrap();
            let (inbound, outbound) = (session.inbound(), session.outbound());
            let srtcp_index = if self.kind == "srtcp" { u32::try_from(self.index).unwrap() } else { 0 };
            inbound.add_stream(self.ssrc(), Roc(self.roc)).unwrap();
            outbound.add_stream(self.ssrc(), Roc(self.roc), srtcp_index).unwrap();
            let guard = domain.pin();
            let (mut sealed, mut opened) = (vec![0xee; protected.len()], vec![0xee; protected.len()]);
            let opened = if between {
                let (sealed_len, opened_len) = if self.kind == "srtp" {
                    (
                        outbound.protect_rtp_to(&guard, plain, &mut sealed).unwrap(),
                        inbound.unprotect_rtp_to(&guard, protected, &mut opened).unwrap(),
                    )
                } else {
                    (
                        outbound.protect_rtcp_to(&guard, plain, &mut sealed).unwrap(),
                        inbound.unprotect_rtcp_to(&guard, protected, &mut opened).unwrap(),
                    )
                };
                assert_eq!(sealed_len, protected.len(), "{}", self.id);
                &opened[..opened_len]
            } else {
                sealed[..plain.len()].copy_from_slice(plain);
                opened.copy_from_slice(protected);
                if self.kind == "srtp" {
                    outbound.protect_rtp(&guard, &mut sealed, plain.len()).unwrap();
                    inbound.unprotect_rtp(&guard, &mut opened).unwrap()
                } else {
                    outbound.protect_rtcp(&guard, &mut sealed, plain.len()).unwrap();
                    inbound.unprotect_rtcp(&guard, &mut opened).unwrap()
                }
            };
            assert_eq!(hex::encode(&sealed), hex::encode(protected), "{} protected", self.id);
            let expected = if self.receiver_output.is_empty() { plain } else { &self.receiver_output };
            assert_eq!(hex::encode(opened), hex::encode(expected), "{} unprotected", self.id);
        }
    }
}

/// Does `work` under each set of kernels; tests beside it may see them change, and must not mind.
fn by_all_kernels(work: impl Fn()) {
    let before = Kernels::active();
    for set in Kernels::ALL.into_iter().filter(|set| set.is_available()) {
        set.force().unwrap();
        work();
    }
    before.force().unwrap();
}

fn vectors(file: &str) -> Vec<serde_json::Value> {
    let path = format!("{}/tests/vectors/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let file: File = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    file.vectors
}

fn check(file: &str, expected: usize) {
    let packets = vectors(file).into_iter().filter(|vector| {
        ["srtp", "srtcp"].contains(&vector["kind"].as_str().unwrap())
            && vector.get("master_key").is_some()
            // A 32-bit SRTCP tag is not what the profile of that name has; `p08` below refuses it.
            && vector["id"] != "re-srtcp-32bit-tag"
    });
    let mut count = 0;
    for vector in packets {
        serde_json::from_value::<Packet>(vector).unwrap().check();
        count += 1;
    }
    assert_eq!(count, expected);
}

#[test]
fn packets_of_libsrtp() {
    check("libsrtp-packets", 16);
}

#[test]
fn packets_of_pion() {
    check("pion-packets", 63);
}

/// One of them has GCM tags of 8 octets.
#[test]
fn rfc6904_packets() {
    by_all_kernels(|| check("rfc6904", 2));
}

#[test]
fn rfc9335_packets() {
    by_all_kernels(|| check("rfc9335", 14));
}

/// libsrtp's tags of 8 octets are the beginnings of those of 16; MKI and SRTCP word follow them.
#[test]
fn gcm_tags_of_8_octets_are_the_first_of_16() {
    let mut count = 0;
    for file in ["libsrtp-packets", "pion-packets"] {
        for vector in
            vectors(file).into_iter().filter(|vector| vector["profile"].as_str().is_some_and(|p| p.ends_with("_GCM")))
        {
            if vector.get("master_key").is_none() {
                continue;
            }
            let mut packet: Packet = serde_json::from_value(vector).unwrap();
            assert_eq!(packet.tag_len, 16);
            packet.profile.push_str("_8");
            let tag = packet.plaintext.len();
            packet.protected.drain(tag + 8..tag + 16);
            packet.check();
            count += 1;
        }
    }
    assert_eq!(count, 21);
}

#[test]
fn p08_a_short_srtcp_tag_is_not_the_profiles() {
    let vector = vectors("libsrtp-packets").into_iter().find(|vector| vector["id"] == "re-srtcp-32bit-tag").unwrap();
    let mut packet: Packet = serde_json::from_value(vector).unwrap();
    assert_eq!(packet.tag_len, 4);
    let domain = Domain::new();
    let session = packet.builder().build(&domain).unwrap();
    assert!(session.inbound().unprotect_rtcp(&domain.pin(), &mut packet.protected).is_err());
    assert!(session.inbound().streams().is_empty());
}
