//! Lines that nobody thought of: what is read is what was written, nothing panics, and no error tells a key.

use super::*;
use std::error::Error as _;

/// An attribute, by its parts.
#[derive(Clone, Debug)]
struct Parts {
    tag: u32,
    profile: Profile,
    keys: Vec<(Vec<u8>, Option<u64>, Vec<u8>)>,
    params: SessionParams,
}

fn params() -> impl Strategy<Value = SessionParams> {
    let order = proptest::option::of(prop_oneof![Just(FecOrder::FecSrtp), Just(FecOrder::SrtpFec)]);
    (any::<bool>(), any::<bool>(), order, proptest::option::of(64..=u32::MAX)).prop_map(
        |(unencrypted_srtp, unencrypted_srtcp, fec_order, window_size_hint)| SessionParams {
            unencrypted_srtp,
            unencrypted_srtcp,
            fec_order,
            window_size_hint,
        },
    )
}

fn lifetime() -> impl Strategy<Value = Option<u64>> {
    proptest::option::of(prop_oneof![1..=1u64 << 48, (0..=48u32).prop_map(|exponent| 1 << exponent), 1..100u64])
}

fn parts() -> impl Strategy<Value = Parts> {
    (0..SUITES.len(), 1..=4usize, prop_oneof![4 => Just(0usize), 5 => 1..=6usize, 1 => Just(128)]).prop_flat_map(
        |(suite, keys, mki_len)| {
            let profile = SUITES[suite];
            // Several keys need MKIs, which differ by their first octet here.
            let keys = if mki_len == 0 { 1 } else { keys };
            let key = (vec(any::<u8>(), profile.key_len() + profile.salt_len()), lifetime(), vec(any::<u8>(), mki_len));
            (0..=MAX_TAG, vec(key, keys), params()).prop_map(move |(tag, mut keys, params)| {
                for (number, (.., mki)) in (1..).zip(&mut keys) {
                    if let Some(first) = mki.first_mut() {
                        *first = *first & 0xf0 | number;
                    }
                }
                Parts { tag, profile, keys, params }
            })
        },
    )
}

impl Parts {
    fn attribute(&self) -> CryptoAttribute {
        let mut keys = self.keys.iter().map(|(material, lifetime, mki)| {
            let mut key = InlineKey::take(&mut material.clone());
            if let Some(packets) = lifetime {
                key = key.with_lifetime(*packets).unwrap();
            }
            if mki.is_empty() { key } else { key.with_mki(mki).unwrap() }
        });
        let attribute = CryptoAttribute::new(self.tag, self.profile, keys.next().unwrap()).unwrap();
        keys.try_fold(attribute, CryptoAttribute::with_key).unwrap().with_params(self.params).unwrap()
    }

    /// The line, written by other means: `base64` and numbers of Python's kind.
    fn line(&self) -> String {
        let key = |(material, lifetime, mki): &(Vec<u8>, Option<u64>, Vec<u8>)| {
            let lifetime = lifetime.map_or(String::new(), |packets| format!("|{packets}"));
            let mki = if mki.is_empty() { String::new() } else { format!("|{}:{}", decimal_of(mki), mki.len()) };
            format!("inline:{}{lifetime}{mki}", STANDARD.encode(material))
        };
        let keys: Vec<String> = self.keys.iter().map(key).collect();
        let mut line = format!("a=crypto:{} {} {}", self.tag, self.profile.name(), keys.join(";"));
        let SessionParams { unencrypted_srtp, unencrypted_srtcp, fec_order, window_size_hint } = self.params;
        line += if unencrypted_srtp { " UNENCRYPTED_SRTP" } else { "" };
        line += if unencrypted_srtcp { " UNENCRYPTED_SRTCP" } else { "" };
        line += match fec_order {
            Some(FecOrder::FecSrtp) => " FEC_ORDER=FEC_SRTP",
            Some(FecOrder::SrtpFec) => " FEC_ORDER=SRTP_FEC",
            None => "",
        };
        window_size_hint.map_or(line.clone(), |hint| format!("{line} WSH={hint}"))
    }
}

/// The digits of a number, by adding doubles of decimals: nothing of `decimal.rs`.
fn decimal_of(octets: &[u8]) -> String {
    let mut digits = vec![0u8];
    for bit in octets.iter().flat_map(|octet| (0..8).rev().map(move |at| octet >> at & 1)) {
        let mut carry = bit;
        for digit in &mut digits {
            (*digit, carry) = ((*digit * 2 + carry) % 10, (*digit * 2 + carry) / 10);
        }
        if carry > 0 {
            digits.push(carry);
        }
    }
    digits.iter().rev().map(|digit| char::from(b'0' + digit)).collect()
}

/// What is done to a line on its way.
#[derive(Clone, Debug)]
enum Damage {
    Delete(usize),
    Insert(usize, char),
    Replace(usize, char),
    Swap(usize, usize),
    Repeat(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = 0..400usize;
    let character =
        prop_oneof![prop::sample::select(" \t|;:=^-_+/\r\n\0a1Zé".chars().collect::<Vec<_>>()), any::<char>(),];
    prop_oneof![
        place.clone().prop_map(Damage::Delete),
        (place.clone(), character.clone()).prop_map(|(at, character)| Damage::Insert(at, character)),
        (place.clone(), character).prop_map(|(at, character)| Damage::Replace(at, character)),
        (place.clone(), place.clone()).prop_map(|(one, other)| Damage::Swap(one, other)),
        place.prop_map(Damage::Repeat),
    ]
}

fn damaged(line: &str, damages: &[Damage]) -> String {
    let mut line: Vec<char> = line.chars().collect();
    for damage in damages {
        let len = line.len().max(1);
        match *damage {
            Damage::Delete(at) if !line.is_empty() => drop(line.remove(at % len)),
            Damage::Insert(at, character) => line.insert(at % len, character),
            Damage::Replace(at, character) if !line.is_empty() => line[at % len] = character,
            // Words change places: keys come to stand where names are expected.
            Damage::Swap(one, other) => {
                let mut words: Vec<String> = line.iter().collect::<String>().split(' ').map(str::to_owned).collect();
                let count = words.len();
                words.swap(one % count, other % count);
                line = words.join(" ").chars().collect();
            }
            Damage::Repeat(at) => {
                let text: String = line.iter().collect();
                let words: Vec<&str> = text.split(' ').collect();
                line = format!("{text} {}", words[at % words.len()]).chars().collect();
            }
            _ => {}
        }
    }
    line.into_iter().collect()
}

/// All that can be seen of an error.
fn shown(error: &Error) -> String {
    format!("{error} {error:?} {:?} {:#?}", error.source().map(ToString::to_string), error)
}

/// Whether eight octets of a key are in a text: any eleven characters in a row of its base64.
fn tells(text: &str, keys: &[(Vec<u8>, Option<u64>, Vec<u8>)]) -> bool {
    keys.iter().any(|(material, ..)| {
        let base64 = STANDARD.encode(material);
        let base64 = base64.trim_end_matches('=');
        (0..=base64.len() - 11).any(|at| text.contains(&base64[at..at + 11]))
    })
}

#[test]
fn the_check_for_keys_in_texts_sees_one() {
    let keys = [(octets(KEY), None, vec![])];
    assert!(tells(&line(&format!("inline:{KEY}")), &keys));
    assert!(tells(&KEY[5..16], &keys) && !tells(&KEY[5..15], &keys) && !tells(OTHER_KEY, &keys));
}

#[test]
fn debug_of_an_attribute_shows_no_key() {
    let attribute = CryptoAttribute::parse(&line(&format!("inline:{KEY}|2^20|7:1"))).unwrap();
    for text in [format!("{attribute:?}"), format!("{attribute:#?}"), format!("{:?}", attribute.keys()[0].master_key())]
    {
        assert!(text.contains("redacted") && text.contains('7'), "{text}");
        assert!(!tells(&text, &[(octets(KEY), None, vec![])]), "{text}");
        let octets = octets(KEY);
        assert!(!text.contains(&format!("{}, {}, {}", octets[0], octets[1], octets[2])), "{text}");
    }
}

#[test]
fn numbers_of_all_lengths_are_read_and_written() {
    let largest = decimal_of(&[0xff; 128]);
    assert_eq!((largest.len(), decimal::write(&[0xff; 128])), (309, largest.clone()));
    assert_eq!(decimal::read(&largest, 128), Some(vec![0xff; 128]));
    // The next number does not fit, nor does one of more digits.
    let next = decimal_of(&[&[1][..], &[0; 128]].concat());
    assert_eq!((decimal::read(&next, 128), decimal::read(&"9".repeat(385), 128)), (None, None));
    assert_eq!(
        (decimal::read("255", 1), decimal::read("0", 1), decimal::read("0", 0)),
        (Some(vec![255]), Some(vec![0]), None)
    );
    assert_eq!(decimal::write(&[]), "0");
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(parts in parts()) {
        let attribute = parts.attribute();
        let text = attribute.format();
        prop_assert_eq!(attribute.formatted_len(), text.len());
        let Parts { tag, profile, keys, params } = parts.clone();
        let expected = (tag, profile, keys, params);
        let read = parse(&text);
        prop_assert_eq!(read.as_ref(), Ok(&expected));
        // And a line that was written without any of this code.
        prop_assert_eq!(parse(&parts.line()), Ok(expected));
    }

    #[test]
    fn damaged_lines_are_read_in_one_way_or_refused_without_telling_a_key(
        parts in parts(),
        damages in vec(damage(), 1..6),
    ) {
        let text = damaged(&parts.line(), &damages);
        match CryptoAttribute::parse(&text) {
            Ok(attribute) => {
                let written = attribute.format();
                let again = CryptoAttribute::parse(&written).unwrap();
                prop_assert_eq!(said(&again), said(&attribute));
                prop_assert_eq!(again.format(), written);
            }
            Err(error) => prop_assert!(!tells(&shown(&error), &parts.keys), "{}", error),
        }
        // As one line of an offer, too.
        if let Err(error) = select([&*text], &SUITES) {
            prop_assert!(!tells(&shown(&error), &parts.keys), "{}", error);
        }
    }

    #[test]
    fn no_text_panics(text in prop_oneof![
        ".{0,200}",
        "a=crypto:[0-9]{1,10}[ \t]{0,3}[A-Z0-9_]{0,30}[ \t]{0,3}inline:[A-Za-z0-9+/=|:;^ ]{0,120}",
        "[0-9]{1,2} AES_CM_128_HMAC_SHA1_80 inline:[A-Za-z0-9+/]{40}[|:;^=0-9]{0,20}( [A-Z_=0-9-]{0,20}){0,4}",
    ]) {
        if let Ok(attribute) = CryptoAttribute::parse(&text) {
            let written = attribute.format();
            prop_assert_eq!(CryptoAttribute::parse(&written).unwrap().format(), written);
        }
        let _ = select(text.lines(), &SUITES);
    }

    #[test]
    fn numbers_are_read_as_words_are(value: u128, len in 1..20usize) {
        let text = value.to_string();
        let octets = decimal::read(&text, len);
        prop_assert_eq!(octets.is_some(), len >= 16 || value >> (8 * len) == 0);
        if let Some(octets) = octets {
            let wide = [&[0; 16][..], &octets].concat();
            prop_assert_eq!(u128::from_be_bytes(wide[wide.len() - 16..].try_into().unwrap()), value);
            prop_assert_eq!(decimal::write(&octets), text);
        }
    }
}
