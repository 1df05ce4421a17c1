//! RFC 4568: crypto attributes as a model in Python reads them, and what rtpengine protects with the keys of its own ones (`vectors/sdes.json`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyflip::sdes::{CryptoAttribute, FecOrder, InlineKey, SUITES, select, session_builder};
use keyflip::{Domain, Kind, classify};
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
    packets: Vec<Call>,
}

#[derive(Deserialize)]
struct Vector {
    line: String,
    /// Nothing if the line is to be refused.
    said: Option<Said>,
    /// Whether these peers take it the same way, if they were asked.
    sdes4j: Option<bool>,
    rtpengine: Option<bool>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Said {
    tag: u32,
    suite: String,
    keys: Vec<Key>,
    unencrypted_srtp: bool,
    unencrypted_srtcp: bool,
    fec_order: Option<String>,
    wsh: Option<u32>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Key {
    #[serde(with = "hex")]
    material: Vec<u8>,
    lifetime: Option<u64>,
    #[serde(with = "hex")]
    mki: Vec<u8>,
}

/// Packets that were protected under the key of a line.
#[derive(Deserialize)]
struct Call {
    line: String,
    packets: Vec<Packet>,
}

#[derive(Deserialize)]
struct Packet {
    #[serde(with = "hex")]
    plain: Vec<u8>,
    #[serde(with = "hex")]
    protected: Vec<u8>,
}

fn file() -> File {
    serde_json::from_str(include_str!("vectors/sdes.json")).unwrap()
}

/// What an attribute says. The keys are in no other place than the line it writes.
fn said(attribute: &CryptoAttribute) -> Said {
    let line = attribute.format();
    let written = line.split(' ').nth(2).unwrap().split(';');
    let materials = written.map(|key| STANDARD.decode(key[7..].split('|').next().unwrap()).unwrap());
    let key = |(key, material): (&InlineKey, _)| Key { material, lifetime: key.lifetime(), mki: key.mki().to_vec() };
    let order = |order| if order == FecOrder::FecSrtp { "FEC_SRTP" } else { "SRTP_FEC" }.to_owned();
    let params = attribute.params();
    Said {
        tag: attribute.tag(),
        suite: attribute.profile().name().to_owned(),
        keys: attribute.keys().iter().zip(materials).map(key).collect(),
        unencrypted_srtp: params.unencrypted_srtp,
        unencrypted_srtcp: params.unencrypted_srtcp,
        fec_order: params.fec_order.map(order),
        wsh: params.window_size_hint,
    }
}

#[test]
fn rfc4568_lines_are_read_as_the_model_reads_them() {
    let vectors = file().vectors;
    let valid = vectors.iter().filter(|vector| vector.said.is_some()).count();
    assert!(valid > 100 && vectors.len() - valid > 100, "both kinds are there");
    for Vector { line, said: expected, .. } in vectors {
        let read = CryptoAttribute::parse(&line);
        assert_eq!(read.as_ref().map(said).ok(), expected, "{line:?}: {read:?}");
        let Ok(attribute) = read else {
            select([&*line], &SUITES).unwrap_err();
            continue;
        };
        let again = CryptoAttribute::parse(&attribute.format()).unwrap();
        assert_eq!(Some(said(&again)), expected, "{line:?}");
        assert_eq!(again.format(), attribute.format());
    }
}

#[test]
fn rfc4568_of_each_valid_line_some_peer_says_the_same() {
    let vectors = file().vectors;
    let asked = |vector: &&Vector| vector.said.is_some() && vector.sdes4j.or(vector.rtpengine).is_some();
    assert!(vectors.iter().filter(asked).count() > 100);
    for vector in vectors.iter().filter(asked) {
        assert!(vector.sdes4j == Some(true) || vector.rtpengine == Some(true), "{}", vector.line);
    }
}

#[test]
fn rfc4568_what_a_peer_protects_under_the_key_it_wrote_is_unprotected() {
    let calls = file().packets;
    assert_eq!(calls.len(), SUITES.len());
    let domain = Domain::new();
    for Call { line, packets } in calls {
        let theirs = CryptoAttribute::parse(&line).unwrap();
        let len = theirs.profile().key_len() + theirs.profile().salt_len();
        let ours = theirs.answer(InlineKey::take(&mut vec![1; len])).unwrap();
        let session = session_builder(&ours, &theirs).unwrap().build(&domain).unwrap();
        let guard = domain.pin();
        assert!(packets.iter().any(|packet| classify(&packet.plain) == Kind::Rtcp));
        for Packet { plain, mut protected } in packets {
            let opened = match classify(&protected) {
                Kind::Rtp => session.inbound().unprotect_rtp_in(&guard, &mut protected),
                Kind::Rtcp => session.inbound().unprotect_rtcp_in(&guard, &mut protected),
                other => panic!("{other:?}"),
            };
            assert_eq!((opened, &protected), (Ok(()), &plain), "{}", theirs.profile());
        }
    }
}
