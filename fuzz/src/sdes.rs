//! Target `sdes`: lines of SDP, written as RFC 4568 says, written so and spoilt, and any text.
//!
//! 1. A line that was written from an attribute is read as that attribute, or refused if the RFC forbids it.
//! 2. What is read is written as a line that is read as the same, and is the same line then.
//! 3. An error never quotes eight octets of a key.

use crate::Case;
use crate::input::Octets;
use crate::plant;
use arbitrary::Arbitrary;
use keyflip::Profile;
use keyflip::sdes::{CryptoAttribute, SUITES};

/// The input.
#[derive(Arbitrary, Clone, Debug)]
pub struct Lines<'a> {
    attribute: Attribute,
    /// An octet of the line becomes another one.
    spoil: Option<(u16, u8)>,
    text: Octets<'a>,
}

#[derive(Arbitrary, Clone, Debug)]
struct Attribute {
    tag: u32,
    suite: u8,
    first: Key,
    rest: Vec<Key>,
    unencrypted_srtp: bool,
    unencrypted_srtcp: bool,
    window: Option<u16>,
    lower_case: bool,
    unpadded: bool,
    named: bool,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Key {
    octet: u8,
    /// Octets more or less than the suite's; mostly none.
    length: u8,
    lifetime: Lifetime,
    mki: Option<(u32, u8)>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Lifetime {
    None,
    Power(u8),
    Packets(u64),
}

impl Lifetime {
    fn text(self) -> String {
        match self {
            Self::None => String::new(),
            Self::Power(exponent) => format!("|2^{exponent}"),
            Self::Packets(packets) => format!("|{packets}"),
        }
    }

    /// What it says; `None` if it says nothing, an error if it says nonsense.
    fn packets(self) -> Result<Option<u64>, ()> {
        match self {
            Self::None => Ok(None),
            Self::Power(exponent) if plant::is_on() => Ok(Some(u64::from(exponent))),
            Self::Power(exponent) if exponent <= 48 => Ok(Some(1 << exponent)),
            Self::Packets(packets) if (1..=1 << 48).contains(&packets) => Ok(Some(packets)),
            _ => Err(()),
        }
    }
}

/// Base64 (RFC 4648 4), written anew.
fn base64(octets: &[u8], padded: bool) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in octets.chunks(3) {
        let number =
            three.iter().fold(0usize, |number, octet| number << 8 | usize::from(*octet)) << (8 * (3 - three.len()));
        for at in 0..=three.len() {
            text.push(char::from(LETTERS[number >> (18 - 6 * at) & 63]));
        }
        if padded {
            text.extend(std::iter::repeat_n('=', 3 - three.len()));
        }
    }
    text
}

impl Attribute {
    fn suite(&self) -> Profile {
        SUITES[usize::from(self.suite) % SUITES.len()]
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.first).chain(self.rest.iter().take(17))
    }

    fn material(&self, key: &Key) -> Vec<u8> {
        let len = self.suite().key_len() + self.suite().salt_len();
        let len = if key.length < 250 { len } else { len + usize::from(key.length) - 252 };
        (0..len).map(|at| key.octet.wrapping_add((at * 7) as u8)).collect()
    }

    fn line(&self) -> String {
        let mut name = self.suite().name().to_owned();
        if self.lower_case {
            name.make_ascii_lowercase();
        }
        let keys: Vec<String> = self
            .keys()
            .map(|key| {
                let text = base64(&self.material(key), !self.unpadded);
                let mki = key.mki.map_or(String::new(), |(value, len)| format!("|{value}:{len}"));
                format!("inline:{text}{}{mki}", key.lifetime.text())
            })
            .collect();
        let mut line = format!("{}{} {name} {}", if self.named { "a=crypto:" } else { "" }, self.tag, keys.join(";"));
        for (set, name) in
            [(self.unencrypted_srtp, " UNENCRYPTED_SRTP"), (self.unencrypted_srtcp, " UNENCRYPTED_SRTCP")]
        {
            if set {
                line.push_str(name);
            }
        }
        if let Some(window) = self.window {
            line.push_str(&format!(" WSH={window}"));
        }
        line
    }

    /// The MKIs as packets carry them, if all is as RFC 4568 wants it.
    fn said(&self) -> Option<Vec<(Vec<u8>, Option<u64>)>> {
        let len = self.suite().key_len() + self.suite().salt_len();
        let mut said: Vec<(Vec<u8>, Option<u64>)> = Vec::new();
        for key in self.keys() {
            let mki = match key.mki {
                None => Vec::new(),
                Some((value, octets)) => {
                    let octets = usize::from(octets);
                    let shortest = value.to_be_bytes().into_iter().skip_while(|octet| *octet == 0).count();
                    if shortest == 0 || shortest > octets || octets > 128 {
                        return None;
                    }
                    let mut mki = vec![0; octets - shortest];
                    mki.extend(&value.to_be_bytes()[4 - shortest..]);
                    mki
                }
            };
            if self.material(key).len() != len {
                return None;
            }
            said.push((mki, key.lifetime.packets().ok()?));
        }
        let several = said.len() > 1;
        let alike = said.iter().all(|(mki, _)| mki.len() == said[0].0.len() && !(several && mki.is_empty()));
        let differ = said.iter().enumerate().all(|(at, (mki, _))| said[..at].iter().all(|(other, _)| other != mki));
        let sound =
            alike && differ && said.len() <= 16 && self.tag <= 999_999_999 && self.window.is_none_or(|of| of >= 64);
        sound.then_some(said)
    }

    fn check(&self) {
        let line = self.line();
        let read = CryptoAttribute::parse(&line);
        let Some(said) = self.said() else {
            let error = read.expect_err(&line);
            self.check_error(&error.to_string());
            return;
        };
        let read = read.unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!((read.tag(), read.profile()), (self.tag, self.suite()));
        let found: Vec<_> = read.keys().iter().map(|key| (key.mki().to_vec(), key.lifetime())).collect();
        assert_eq!(found, said, "{line}");
        let params = read.params();
        assert_eq!(
            (params.unencrypted_srtp, params.unencrypted_srtcp),
            (self.unencrypted_srtp, self.unencrypted_srtcp)
        );
        assert_eq!(params.window_size_hint, self.window.map(u32::from));
        let written = read.format();
        for key in self.keys() {
            assert!(written.contains(&base64(&self.material(key), true)), "another key is written");
        }
        again(&line);
    }

    /// Invariant 3.
    fn check_error(&self, text: &str) {
        for key in self.keys() {
            let secret = base64(&self.material(key), false);
            let shown = (0..secret.len().saturating_sub(10)).any(|at| text.contains(&secret[at..at + 11]));
            assert!(!shown, "{text}");
        }
    }
}

/// Invariant 2.
fn again(line: &str) {
    let Ok(read) = CryptoAttribute::parse(line) else { return };
    let written = read.format();
    let mut buffer = vec![0xee; read.formatted_len()];
    assert_eq!(read.format_to(&mut buffer), Ok(written.len()));
    assert_eq!(buffer, written.as_bytes());
    let reread = CryptoAttribute::parse(&written).expect("what was written is read");
    assert_eq!(*reread.format(), *written);
    assert_eq!((reread.tag(), reread.profile(), reread.params()), (read.tag(), read.profile(), read.params()));
}

impl<'a> Case<'a> for Lines<'a> {
    fn check(&self) {
        self.attribute.check();
        if let Some((at, octet)) = self.spoil {
            let mut line = self.attribute.line().into_bytes();
            let at = usize::from(at) % line.len();
            line[at] = octet & 0x7f;
            if let Ok(line) = std::str::from_utf8(&line) {
                match CryptoAttribute::parse(line) {
                    Ok(_) => again(line),
                    Err(error) => self.attribute.check_error(&error.to_string()),
                }
            }
        }
        again(&String::from_utf8_lossy(self.text.0));
    }
}
