//! Offer and answer, and the sessions that come of them.

use super::*;
use crate::error::Error as Refusal;
use crate::session::Session;

fn read(text: &str) -> CryptoAttribute {
    CryptoAttribute::parse(text).unwrap()
}

fn select_from(lines: &[&str], supported: &[Profile]) -> Result<u32, Error> {
    select(lines.iter().copied(), supported).map(|attribute| attribute.tag())
}

#[test]
fn rfc4568_the_first_acceptable_attribute_is_answered() {
    let cm80 = format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}");
    let cm32 = format!("a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:{KEY}");
    let f8 = format!("a=crypto:3 F8_128_HMAC_SHA1_80 inline:{F8_KEY}");
    let bad = "a=crypto:4 AES_CM_128_HMAC_SHA1_80 inline:short";
    fn with<'l>(lines: &[&'l str]) -> Vec<&'l str> {
        let other = ["m=audio 49170 RTP/SAVP 0", "a=rtpmap:0 PCMU/8000", ""];
        [&other[..], lines, &other].concat()
    }

    assert_eq!(select_from(&with(&[&cm80, &cm32]), &SUITES), Ok(1));
    assert_eq!(select_from(&with(&[&cm32, &cm80]), &SUITES), Ok(2), "the order of the offer counts");
    assert_eq!(select_from(&with(&[&f8, bad, &cm32]), &SUITES), Ok(2));
    assert_eq!(select_from(&with(&[&cm32, &cm80]), &[Profile::Aes128CmSha1_80]), Ok(1));

    let nothing = |first: Error| Err(Error::NothingAcceptable(Some(Box::new(first))));
    assert_eq!(select_from(&with(&[]), &SUITES), Err(Error::NothingAcceptable(None)));
    let f8_refused = || Error::UnsupportedSuite(quoted("F8_128_HMAC_SHA1_80"));
    assert_eq!(select_from(&with(&[&f8, bad]), &SUITES), nothing(f8_refused()));
    let unwanted = Error::UnsupportedSuite(quoted("AES_CM_128_HMAC_SHA1_80"));
    assert_eq!(select_from(&with(&[&cm80]), &[Profile::AeadAes128Gcm]), nothing(unwanted));
    assert_eq!(select_from(&[bad], &SUITES).unwrap_err().to_string().matches("first").count(), 1);

    // Which one would an answer mean? Also if the other is not supported.
    assert_eq!(select_from(&[&cm80, &cm80], &SUITES), Err(Error::DuplicateTag(1)));
    let f8_again = f8.replace(":3", ":1");
    assert_eq!(select_from(&[&f8_again, &cm80], &SUITES), Err(Error::DuplicateTag(1)));
    assert_eq!(select_from(&[&f8, &f8, &cm80], &SUITES), Ok(1));
}

#[test]
fn rfc4568_an_answer_repeats_tag_suite_and_what_stays_in_the_clear() {
    let key = || InlineKey::take(&mut octets(OTHER_KEY));
    let offered = |params: &str| read(&format!("a=crypto:77 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4{params}"));
    let answer = |params: &str| offered(params).answer(key()).map(|answer| answer.format().to_string());
    let expected = |params: &str| Ok(format!("a=crypto:77 AES_CM_128_HMAC_SHA1_80 inline:{OTHER_KEY}{params}"));
    assert_eq!(answer(" WSH=128 FEC_ORDER=SRTP_FEC -X"), expected(""));
    assert_eq!(answer(" UNENCRYPTED_SRTP WSH=128"), expected(" UNENCRYPTED_SRTP"));
    assert_eq!(answer(" UNENCRYPTED_SRTCP UNENCRYPTED_SRTP"), expected(" UNENCRYPTED_SRTP UNENCRYPTED_SRTCP"));
    let short = offered("").answer(InlineKey::take(&mut [1; 29])).map(drop);
    assert_eq!(short, Err(Error::WrongKeyLength { expected: 30, found: 29 }));
}

#[test]
fn rfc4568_the_offerer_finds_what_was_answered() {
    let offer = [
        read(&format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}")),
        read(&format!("a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:{KEY} UNENCRYPTED_SRTCP")),
    ];
    let answer = |text: &str| accept(&offer, &read(&format!("a=crypto:{text}"))).map(CryptoAttribute::tag);
    let (cm80, cm32) = ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32");
    assert_eq!(answer(&format!("1 {cm80} inline:{OTHER_KEY} WSH=64")), Ok(1));
    assert_eq!(answer(&format!("2 {cm32} inline:{OTHER_KEY} UNENCRYPTED_SRTCP")), Ok(2));
    assert_eq!(answer(&format!("3 {cm80} inline:{OTHER_KEY}")), Err(Error::UnknownTag(3)));
    assert_eq!(answer(&format!("1 {cm32} inline:{OTHER_KEY}")), Err(Error::SuiteMismatch));
    assert_eq!(answer(&format!("2 {cm32} inline:{OTHER_KEY}")), Err(Error::EncryptionMismatch));
    assert_eq!(answer(&format!("1 {cm80} inline:{OTHER_KEY} UNENCRYPTED_SRTP")), Err(Error::EncryptionMismatch));
}

/// Both ends of a call, from what each tells the other.
fn call(domain: &Domain, offerer: &str, answerer: &str) -> [Session; 2] {
    let build = |ours, theirs| session_builder(&read(ours), &read(theirs)).unwrap().build(domain).unwrap();
    [build(offerer, answerer), build(answerer, offerer)]
}

const RTP: &[u8] = b"\x80\x60\0\x01\0\0\0\xa0\xca\xfe\xba\xbea payload";
const RTCP: &[u8] = b"\x81\xc9\0\x07\xca\xfe\xba\xbea report of twenty-four..";

/// Sends one packet of each protocol in one direction; returns them as they were on the wire.
fn send(from: &Session, to: &Session) -> [Vec<u8>; 2] {
    let guard = from.outbound().domain().pin();
    let (mut rtp, mut rtcp) = (RTP.to_vec(), RTCP.to_vec());
    from.outbound().protect_rtp_in(&guard, &mut rtp).unwrap();
    from.outbound().protect_rtcp_in(&guard, &mut rtcp).unwrap();
    let (mut plain_rtp, mut plain_rtcp) = (rtp.clone(), rtcp.clone());
    to.inbound().unprotect_rtp_in(&guard, &mut plain_rtp).unwrap();
    to.inbound().unprotect_rtcp_in(&guard, &mut plain_rtcp).unwrap();
    assert_eq!((&*plain_rtp, &*plain_rtcp), (RTP, RTCP));
    [rtp, rtcp]
}

#[test]
fn rfc4568_both_ends_of_a_call_understand_each_other() {
    let domain = Domain::new();
    for (profile, name, len) in each_suite() {
        let text = |first: u8| {
            let material: Vec<u8> = (first..).take(len).collect();
            format!("a=crypto:1 {name} inline:{}|2^31|{first}:2", STANDARD.encode(material))
        };
        let [offerer, answerer] = call(&domain, &text(1), &text(100));
        let [rtp, rtcp] = send(&offerer, &answerer);
        let trailers = profile.srtp_tag_len() + 2 + profile.srtcp_tag_len() + 6;
        assert_eq!(rtp.len() + rtcp.len(), RTP.len() + RTCP.len() + trailers);
        // What one end sends, it does not take for the other's.
        let echo = offerer.inbound().unprotect_rtp_autopin(&mut rtp.clone()).map(drop);
        assert_eq!(echo, Err(Refusal::UnknownMki));
        send(&answerer, &offerer);
    }
}

#[test]
fn rfc4568_unencrypted_holds_for_what_it_names() {
    let domain = Domain::new();
    for (params, clear) in [
        ("", [false, false]),
        (" UNENCRYPTED_SRTP", [true, false]),
        (" UNENCRYPTED_SRTCP", [false, true]),
        (" UNENCRYPTED_SRTP UNENCRYPTED_SRTCP", [true, true]),
    ] {
        let [ours, theirs] = [KEY, OTHER_KEY].map(|key| line(&format!("inline:{key}{params}")));
        let [offerer, answerer] = call(&domain, &ours, &theirs);
        for wire in [send(&offerer, &answerer), send(&answerer, &offerer)] {
            assert_eq!([wire[0].starts_with(RTP), wire[1].starts_with(RTCP)], clear, "{params}");
        }
    }
}

#[test]
fn rfc4568_all_keys_of_the_peer_are_taken_and_our_first_is_sent_under() {
    let domain = Domain::new();
    let one = line(&format!("inline:{KEY}"));
    let two = line(&format!("inline:{OTHER_KEY}|1:1;inline:{F8_KEY}|2:1"));
    let [there, back] = call(&domain, &two, &one);
    assert_eq!(back.inbound().keys().iter().map(|key| key.mki.clone()).collect::<Vec<_>>(), [[1], [2]]);
    assert_eq!(there.outbound().keys().len(), 1);
    let [rtp, _] = send(&there, &back);
    assert_eq!(rtp[rtp.len() - 11], 1);
    // The peer was told of the second already.
    let second = read(&two).master_keys().nth(1).unwrap();
    there.outbound().rekey(second).unwrap();
    let next = b"\x80\x60\0\x02\0\0\0\xa0\xca\xfe\xba\xbemore";
    let mut packet = next.to_vec();
    there.outbound().protect_rtp_in(&domain.pin(), &mut packet).unwrap();
    assert_eq!(packet[packet.len() - 11], 2);
    back.inbound().unprotect_rtp_in(&domain.pin(), &mut packet).unwrap();
    assert_eq!(packet, next);
}

#[test]
fn rfc4568_a_lifetime_ends_the_use_of_its_own_key() {
    let domain = Domain::new();
    let [offerer, answerer] = call(&domain, &line(&format!("inline:{KEY}|2")), &line(&format!("inline:{OTHER_KEY}")));
    let packet = |seq: u8| [b"\x80\x60\0".as_slice(), &[seq], &RTP[4..]].concat();
    let sent = |session: &Session, seq| session.outbound().protect_rtp_in(&domain.pin(), &mut packet(seq));
    assert_eq!([1, 2, 3].map(|seq| sent(&offerer, seq)), [Ok(()), Ok(()), Err(Refusal::KeyExpired)]);
    assert_eq!([1, 2, 3].map(|seq| sent(&answerer, seq)), [Ok(()); 3]);
}

#[test]
fn rfc4568_the_window_is_the_larger_hint() {
    let window = |ours: &str, theirs: &str| {
        let attribute = |key, params| read(&line(&format!("inline:{key}{params}")));
        let builder = session_builder(&attribute(KEY, ours), &attribute(OTHER_KEY, theirs)).unwrap();
        let text = format!("{builder:?}");
        builder.build(&Domain::new()).unwrap();
        let (_, after) = text.split_once("srtp_window: ").unwrap();
        after.split(',').next().unwrap().parse::<u32>().unwrap()
    };
    let default = window("", "");
    assert_eq!(window(" WSH=64", ""), 64);
    assert_eq!(window("", " WSH=500"), 500);
    assert_eq!(window(" WSH=400", " WSH=300"), 400);
    assert_eq!(window(" WSH=4000000000", ""), 32_768);
    assert_eq!(default, 1024);
}

#[test]
fn attributes_that_do_not_belong_together_make_no_session() {
    let ours = read(&line(&format!("inline:{KEY}")));
    let with = |text: String| session_builder(&ours, &read(&text)).map(drop);
    let theirs = line(&format!("inline:{OTHER_KEY}"));
    assert_eq!(with(theirs.clone()), Ok(()));
    assert_eq!(with(theirs.replace(":1 ", ":2 ")), Err(Error::UnknownTag(2)));
    assert_eq!(with(theirs.replace("SHA1_80", "SHA1_32")), Err(Error::SuiteMismatch));
    assert_eq!(with(format!("{theirs} UNENCRYPTED_SRTP")), Err(Error::EncryptionMismatch));
}

#[test]
fn attributes_can_be_made_from_parts() {
    let key = |len: usize| InlineKey::take(&mut vec![0x42; len]);
    let cm80 = Profile::Aes128CmSha1_80;
    let mut source = octets(KEY);
    let params = SessionParams { window_size_hint: Some(64), ..SessionParams::default() };
    let attribute = CryptoAttribute::new(1, cm80, InlineKey::take(&mut source).with_mki(&[0, 1]).unwrap()).unwrap();
    let second = InlineKey::take(&mut octets(OTHER_KEY)).with_mki(&[0, 2]).unwrap().with_lifetime(1 << 20).unwrap();
    let attribute = attribute.with_key(second).unwrap().with_params(params).unwrap();
    assert_eq!(source, [0; 30], "the source is wiped");
    assert_eq!(*attribute.format(), line(&format!("inline:{KEY}|1:2;inline:{OTHER_KEY}|2^20|2:2 WSH=64")));
    assert_eq!(attribute.params().window_size_hint, Some(64));

    let new = |tag, profile, len| CryptoAttribute::new(tag, profile, key(len)).map(drop);
    assert_eq!((new(0, cm80, 30), new(999_999_999, cm80, 30)), (Ok(()), Ok(())));
    assert_eq!(new(1_000_000_000, cm80, 30), Err(Error::BadTag(quoted("1000000000"))));
    assert_eq!(new(1, cm80, 28), Err(Error::WrongKeyLength { expected: 30, found: 28 }));
    for profile in [Profile::NullSha1_80, Profile::NullSha1_32, Profile::NullWithoutAuthentication] {
        assert_eq!(new(1, profile, 30), Err(Error::UnsupportedSuite(quoted(profile.name()))));
    }
    assert_eq!(attribute.with_key(key(30)).map(drop), Err(Error::MkiMissing));
    let mki = |mki: &[u8]| key(30).with_mki(mki).map(drop);
    assert_eq!((mki(&[1; 128]), mki(&[0, 0, 1])), (Ok(()), Ok(())));
    assert_eq!(mki(&[]), Err(Error::BadMki(quoted("0:0"))));
    assert_eq!(mki(&[0, 0]), Err(Error::BadMki(quoted("0:2"))));
    assert!(matches!(mki(&[1; 129]), Err(Error::BadMki(_))));
    let lifetime = |packets| key(30).with_lifetime(packets).map(drop);
    assert_eq!((lifetime(1), lifetime(1 << 48)), (Ok(()), Ok(())));
    assert_eq!(lifetime(0), Err(Error::BadLifetime(quoted("0"))));
    assert_eq!(lifetime((1 << 48) + 1), Err(Error::BadLifetime(quoted("281474976710657"))));
    let small = SessionParams { window_size_hint: Some(63), ..SessionParams::default() };
    let attribute = CryptoAttribute::new(1, cm80, key(30)).unwrap();
    assert_eq!(attribute.with_params(small).map(drop), Err(Error::BadParameter(quoted("WSH=63"))));
}

#[test]
fn a_line_goes_into_a_buffer_that_has_room_for_it() {
    let text = line(&format!("inline:{KEY}|2^20|1:4 WSH=64"));
    let attribute = read(&text);
    assert_eq!(attribute.formatted_len(), text.len());
    assert_eq!(attribute.format().capacity(), text.len(), "it did not grow, and left nothing behind");
    let mut buffer = vec![0xee; text.len() + 1];
    assert_eq!(attribute.format_to(&mut buffer[..text.len() - 1]), Err(Error::BufferTooSmall { needed: text.len() }));
    assert!(buffer.iter().all(|octet| *octet == 0xee));
    assert_eq!(attribute.format_to(&mut buffer), Ok(text.len()));
    assert_eq!(buffer, [text.as_bytes(), &[0xee]].concat());
}
