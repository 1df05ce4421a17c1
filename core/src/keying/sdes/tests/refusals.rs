//! What must be refused, and why.

use super::*;

/// Lines, each with the reason to refuse it.
pub(super) fn refusals() -> Vec<(String, Error)> {
    let whole = |text: &str, error| (text.to_owned(), error);
    let suite = |name: &str| (format!("a=crypto:1 {name} inline:{KEY}"), Error::UnsupportedSuite(quoted(name)));
    let tag = |tag: &str| (format!("a=crypto:{tag} AES_CM_128_HMAC_SHA1_80 inline:{KEY}"), Error::BadTag(quoted(tag)));
    let keys = |text: &str, error| (line(text), error);
    let lifetime = |text: &str| keys(&format!("inline:{KEY}|{text}"), Error::BadLifetime(quoted(text)));
    let mki = |text: &str| keys(&format!("inline:{KEY}|2^31|{text}"), Error::BadMki(quoted(text)));
    let parameter = |text: &str, error| keys(&format!("inline:{KEY} {text}"), error);
    let unsupported = |text: &str, name: &str| parameter(text, Error::UnsupportedParameter(quoted(name)));
    let bad = |text: &str| parameter(text, Error::BadParameter(quoted(text)));
    let seventeen: Vec<String> = (1..=17).map(|mki| format!("inline:{KEY}|{mki}:1")).collect();
    vec![
        whole("", Error::NotCrypto),
        whole("v=0", Error::NotCrypto),
        whole("a=rtpmap:0 PCMU/8000", Error::NotCrypto),
        whole("a=cryptoscale:1 client AES_CM_128_HMAC_SHA1_80", Error::NotCrypto),
        whole(&line("inline:x").replace("a=crypto", "a=Crypto"), Error::NotCrypto),
        whole(&format!(" {}", line("inline:x")), Error::NotCrypto),
        whole("a=crypto:", Error::BadTag(quoted(""))),
        whole("a=crypto:1", Error::Incomplete),
        whole("a=crypto:1 AES_CM_128_HMAC_SHA1_80", Error::Incomplete),
        whole("a=crypto:1 AES_CM_128_HMAC_SHA1_80  \r\n", Error::Incomplete),
        whole(&line(&format!("inline:{KEY}\u{e9}")), Error::BadCharacter),
        whole(&line(&format!("inline:{KEY}\0")), Error::BadCharacter),
        whole(&line(&format!("inline:{KEY}\r\na=x\r\n")), Error::BadCharacter),
        // A key whose label is lost is not told as tag or suite.
        whole(&format!("a=crypto:{KEY}"), Error::BadTag(HIDDEN)),
        whole(&format!("a=crypto:1 {KEY}"), Error::UnsupportedSuite(HIDDEN)),
        whole(&format!("a=crypto:1 inline:{KEY} AES_CM_128_HMAC_SHA1_80"), Error::UnsupportedSuite(HIDDEN)),
        whole("a=crypto:12345abcdef AES_CM_128_HMAC_SHA1_80", Error::BadTag(HIDDEN)),
        whole("a=crypto:1/345+bcdef AES_CM_128_HMAC_SHA1_80", Error::BadTag(HIDDEN)),
        whole("a=crypto:12345_bcdef AES_CM_128_HMAC_SHA1_80", Error::BadTag(quoted("12345_bcdef"))),
        whole(&format!("a=crypto:1 {}", "A_".repeat(21)), Error::UnsupportedSuite(HIDDEN)),
        tag(""),
        tag("x"),
        tag("-1"),
        tag("+1"),
        tag("01"),
        tag("00"),
        tag("1234567890"),
        suite("F8_128_HMAC_SHA1_80"),
        suite("F8_128_HMAC_SHA1_32"),
        suite("SEED_128_GCM_96"),
        suite("AES_CM_256_HMAC_SHA1_80"),
        suite("NULL_HMAC_SHA1_80"),
        suite("NULL_NULL"),
        suite("AES_CM_128_HMAC_SHA1_8"),
        keys(KEY, Error::BadKey),
        keys("inline:", Error::BadKey),
        keys("inline:=", Error::BadKey),
        keys("inline:====", Error::BadKey),
        keys(&format!("inline:{KEY}="), Error::BadKey),
        keys(&format!("inline:{KEY}===="), Error::BadKey),
        // Bits beyond the last octet that no encoder sets.
        keys(&format!("inline:{}=", &KEY[1..]), Error::BadKey),
        keys(&format!("inline:{}==", &KEY[1..]), Error::BadKey),
        keys(&format!("inline:{}-", &KEY[1..]), Error::BadKey),
        keys(&format!("inline:{}_", &KEY[1..]), Error::BadKey),
        keys(&format!("inline:{}", &KEY[3..]), Error::BadKey),
        keys(&format!("inline:={}", &KEY[1..]), Error::BadKey),
        keys(&format!("inline:{}", "A".repeat(129)), Error::BadKey),
        keys(&format!("uri:{KEY}"), Error::UnsupportedKeyMethod(quoted("uri"))),
        keys(&format!("{KEY}:inline"), Error::UnsupportedKeyMethod(HIDDEN)),
        keys(&format!("inline :{KEY}"), Error::BadKey),
        keys(&format!("inline:{KEY}|2^20|1:4|x"), Error::BadKey),
        keys(&format!("inline:{KEY}|2^20|1:4|"), Error::BadKey),
        keys(&format!("inline:{KEY};"), Error::BadKey),
        keys(&format!(";inline:{KEY}"), Error::BadKey),
        keys(&format!("inline:{KEY}|1:4; inline:{OTHER_KEY}|2:4"), Error::BadKey),
        keys(&format!("inline:{KEY}|{KEY}"), Error::BadLifetime(HIDDEN)),
        lifetime(""),
        lifetime("0"),
        lifetime("01"),
        lifetime("-1"),
        lifetime("1e6"),
        lifetime("2^"),
        lifetime("2^49"),
        lifetime("2^64"),
        lifetime("2^020"),
        lifetime("3^20"),
        (line(&format!("inline:{KEY}|281474976710657")), Error::BadLifetime(HIDDEN)),
        keys(&format!("inline:{KEY}|1:4|2^20"), Error::BadLifetime(quoted("1:4"))),
        mki(""),
        mki("1"),
        mki("1:"),
        mki(":4"),
        mki("0:4"),
        mki("01:4"),
        mki("1:04"),
        mki("1:0"),
        mki("1:129"),
        mki("256:1"),
        mki("-1:4"),
        mki("1:4:4"),
        keys(&format!("inline:{KEY};inline:{OTHER_KEY}"), Error::MkiMissing),
        keys(&format!("inline:{KEY}|1:4;inline:{OTHER_KEY}"), Error::MkiMissing),
        keys(&format!("inline:{KEY}|1:4;inline:{OTHER_KEY}|2:2"), Error::MkiLengthMismatch),
        keys(&format!("inline:{KEY}|1:4;inline:{OTHER_KEY}|1:4"), Error::DuplicateMki),
        keys(&seventeen.join(";"), Error::TooManyKeys),
        unsupported("KDR=1", "KDR"),
        unsupported("KDR=0", "KDR"),
        unsupported("UNAUTHENTICATED_SRTP", "UNAUTHENTICATED_SRTP"),
        unsupported(&format!("FEC_KEY=inline:{OTHER_KEY}|2^20|1:4"), "FEC_KEY"),
        unsupported("FOO", "FOO"),
        unsupported("FOO=bar=baz", "FOO"),
        parameter(&format!("inline:{OTHER_KEY}"), Error::UnsupportedParameter(HIDDEN)),
        bad("-"),
        bad("--FOO"),
        parameter("UNENCRYPTED_SRTP=1", Error::BadParameter(HIDDEN)),
        parameter("UNENCRYPTED_SRTCP=", Error::BadParameter(HIDDEN)),
        bad("FEC_ORDER"),
        bad("FEC_ORDER="),
        bad("FEC_ORDER=SRTP"),
        bad("WSH"),
        bad("WSH="),
        bad("WSH=63"),
        bad("WSH=064"),
        bad("WSH=-64"),
        bad("WSH=4294967296"),
        parameter("WSH=64 WSH=64", Error::RepeatedParameter(quoted("WSH"))),
        parameter("FEC_ORDER=FEC_SRTP FEC_ORDER=SRTP_FEC", Error::RepeatedParameter(quoted("FEC_ORDER"))),
        parameter("UNENCRYPTED_SRTP UNENCRYPTED_SRTP", Error::RepeatedParameter(quoted("UNENCRYPTED_SRTP"))),
        parameter("UNENCRYPTED_SRTCP UNENCRYPTED_SRTCP", Error::RepeatedParameter(quoted("UNENCRYPTED_SRTCP"))),
    ]
}

#[test]
fn rfc4568_what_is_not_valid_or_not_supported_is_refused_by_name() {
    for (line, expected) in refusals() {
        assert_eq!(parse(&line), Err(expected), "{line}");
    }
    assert!(parse(&line(&format!("inline:{KEY}"))).is_ok(), "the control");
}
