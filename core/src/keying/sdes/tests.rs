use super::*;
use crate::epoch::Domain;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::collection::vec;
use proptest::prelude::*;

mod negotiation;
mod properties;
mod refusals;

/// Keys of RFC 4568's examples: two for AES-128 in counter mode, one for f8.
const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
const OTHER_KEY: &str = "PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR";
const F8_KEY: &str = "MTIzNDU2Nzg5QUJDREUwMTIzNDU2Nzg5QUJjZGVm";

fn octets(base64: &str) -> Vec<u8> {
    STANDARD.decode(base64).unwrap()
}

/// What an attribute says: tag, suite; key, lifetime and MKI of each key; parameters.
type Said = (u32, Profile, Vec<(Vec<u8>, Option<u64>, Vec<u8>)>, SessionParams);

fn said(attribute: &CryptoAttribute) -> Said {
    let key = |key: &InlineKey| {
        let material = attribute.master_keys().find(|master| master.mki() == key.mki()).unwrap().material().to_vec();
        (material, key.lifetime(), key.mki().to_vec())
    };
    (attribute.tag(), attribute.profile(), attribute.keys().iter().map(key).collect(), *attribute.params())
}

fn parse(line: &str) -> Result<Said, Error> {
    line.parse().map(|attribute| said(&attribute))
}

fn quoted(text: &str) -> Quoted {
    Quoted(Some(text.into()))
}

const HIDDEN: Quoted = Quoted(None);

/// A line with the usual suite and these key parameters and session parameters.
fn line(keys: &str) -> String {
    format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 {keys}")
}

#[test]
fn rfc4568_examples_are_read() {
    let cm80 = Profile::Aes128CmSha1_80;
    let params = SessionParams::default();
    let with = |key, lifetime, mki: &[u8]| vec![(octets(key), lifetime, mki.to_vec())];
    // Section 4, and 5.1.4: the offer's first attribute, and the answer.
    let fec = SessionParams { fec_order: Some(FecOrder::FecSrtp), ..params };
    assert_eq!(
        parse(&line(&format!("inline:{KEY}|2^20|1:4 FEC_ORDER=FEC_SRTP"))),
        Ok((1, cm80, with(KEY, Some(1 << 20), &[0, 0, 0, 1]), fec))
    );
    let answer = line(&format!("inline:{OTHER_KEY}|2^20|1:4"));
    assert_eq!(parse(&answer), Ok((1, cm80, with(OTHER_KEY, Some(1 << 20), &[0, 0, 0, 1]), params)));
    // Section 3 has an MKI of 32 octets.
    let mut mki = [0; 32];
    mki[31] = 1;
    let overview = line(&format!("inline:{OTHER_KEY}|2^20|1:32"));
    assert_eq!(parse(&overview), Ok((1, cm80, with(OTHER_KEY, Some(1 << 20), &mki), params)));
    // Section 6.1: lifetime and MKI may be left out.
    let key = "YUJDZGVmZ2hpSktMbW9QUXJzVHVWd3l6MTIzNDU2";
    assert_eq!(
        parse(&line(&format!("inline:{key}|1066:4"))),
        Ok((1, cm80, with(key, None, &1066u32.to_be_bytes()), params))
    );
    assert_eq!(parse(&line(&format!("inline:{key}"))), Ok((1, cm80, with(key, None, b""), params)));
    // Its offer's second attribute is of a suite that is not supported.
    let f8 = format!(
        "a=crypto:2 F8_128_HMAC_SHA1_80 inline:{F8_KEY}|2^20|1:4;\
         inline:QUJjZGVmMTIzNDU2Nzg5QUJDREUwMTIzNDU2Nzg5|2^20|2:4 FEC_ORDER=FEC_SRTP"
    );
    assert_eq!(parse(&f8), Err(Error::UnsupportedSuite(quoted("F8_128_HMAC_SHA1_80"))));
}

#[test]
fn rfc4568_several_keys_are_told_apart_by_mki() {
    let several = line(&format!("inline:{KEY}|2^20|1:4;inline:{OTHER_KEY}|2^20|2:4"));
    let (.., keys, _) = parse(&several).unwrap();
    let key = |key, mki: u32| (octets(key), Some(1 << 20), mki.to_be_bytes().to_vec());
    assert_eq!(keys, [key(KEY, 1), key(OTHER_KEY, 2)]);
}

/// Each suite, with a key of its length. RFC 4568 6.2, RFC 6188 4, RFC 7714 14.2.
fn each_suite() -> impl Iterator<Item = (Profile, &'static str, usize)> {
    [
        (Profile::Aes128CmSha1_80, "AES_CM_128_HMAC_SHA1_80", 30),
        (Profile::Aes128CmSha1_32, "AES_CM_128_HMAC_SHA1_32", 30),
        (Profile::Aes192CmSha1_80, "AES_192_CM_HMAC_SHA1_80", 38),
        (Profile::Aes192CmSha1_32, "AES_192_CM_HMAC_SHA1_32", 38),
        (Profile::Aes256CmSha1_80, "AES_256_CM_HMAC_SHA1_80", 46),
        (Profile::Aes256CmSha1_32, "AES_256_CM_HMAC_SHA1_32", 46),
        (Profile::AeadAes128Gcm, "AEAD_AES_128_GCM", 28),
        (Profile::AeadAes256Gcm, "AEAD_AES_256_GCM", 44),
    ]
    .into_iter()
}

#[test]
fn rfc4568_rfc6188_rfc7714_suites_take_keys_of_their_lengths_padded_or_not() {
    assert_eq!(each_suite().count(), SUITES.len());
    for (profile, name, len) in each_suite() {
        let material: Vec<u8> = (1..=len).map(|octet| u8::try_from(octet).unwrap() | 0x80).collect();
        let text = STANDARD.encode(&material);
        let canonical = format!("a=crypto:7 {name} inline:{text}");
        let attribute = CryptoAttribute::parse(&canonical).unwrap();
        assert_eq!(said(&attribute), (7, profile, vec![(material, None, vec![])], SessionParams::default()));
        assert_eq!(*attribute.format(), canonical);
        let unpadded = format!("a=crypto:7 {name} inline:{}", text.trim_end_matches('='));
        assert_eq!(*CryptoAttribute::parse(&unpadded).unwrap().format(), canonical);

        for found in [0, 1, len - 1, len + 1, 96] {
            let other = format!("a=crypto:7 {name} inline:{}", STANDARD.encode(vec![0x55; found]));
            let expected = Error::WrongKeyLength { expected: len, found };
            assert_eq!(parse(&other), Err(if found == 0 { Error::BadKey } else { expected }));
        }
    }
}

/// Lines as others write them, and as they are written here.
#[test]
fn lines_are_written_in_one_form() {
    let canonical = line(&format!("inline:{KEY}"));
    let bare = canonical.strip_prefix("a=crypto:").unwrap();
    let tabs = canonical.replace(' ', "\t \t");
    let forms = [
        canonical.clone(),
        format!("{canonical}\r\n"),
        format!("{canonical}\n"),
        format!("{canonical} \t"),
        format!("crypto:{bare}"),
        bare.to_owned(),
        tabs,
        format!("a=crypto:1 aes_cm_128_Hmac_Sha1_80 INLINE:{KEY}"),
        format!("{canonical} -FUTURE=1 -x"),
    ];
    for form in forms {
        assert_eq!(
            CryptoAttribute::parse(&form).map(|read| read.format().to_string()),
            Ok(canonical.clone()),
            "{form}"
        );
    }
    for (read, written) in [
        ("|1048576", "|2^20"),
        ("|2^48", "|2^48"),
        ("|2^0", "|1"),
        ("|1", "|1"),
        ("|2", "|2^1"),
        ("|3", "|3"),
        ("|281474976710655", "|281474976710655"),
        ("|255:1", "|255:1"),
        ("|1:128", "|1:128"),
        ("|1048576|1:4", "|2^20|1:4"),
        (" WSH=64 UNENCRYPTED_SRTCP", " UNENCRYPTED_SRTCP WSH=64"),
        (" unencrypted_srtp fec_order=srtp_fec", " UNENCRYPTED_SRTP FEC_ORDER=SRTP_FEC"),
        (" WSH=4294967295", " WSH=4294967295"),
    ] {
        let attribute = CryptoAttribute::parse(&format!("{canonical}{read}")).unwrap();
        assert_eq!(*attribute.format(), format!("{canonical}{written}"));
    }
}

#[test]
fn session_parameters_are_read() {
    let (.., params) =
        parse(&line(&format!("inline:{KEY} UNENCRYPTED_SRTP UNENCRYPTED_SRTCP FEC_ORDER=SRTP_FEC WSH=128 -KDR=3")))
            .unwrap();
    let expected = SessionParams {
        unencrypted_srtp: true,
        unencrypted_srtcp: true,
        fec_order: Some(FecOrder::SrtpFec),
        window_size_hint: Some(128),
    };
    assert_eq!(params, expected);
}
