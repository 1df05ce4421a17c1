//! What can be wrong with an attribute, said without saying a key.

use core::fmt;

/// Why an attribute, or a pair of them, was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // ---- The line.
    /// Not a crypto attribute at all.
    #[error("not a crypto attribute")]
    NotCrypto,
    /// A control character, or one outside ASCII.
    #[error("crypto attribute has characters that are not visible ASCII")]
    BadCharacter,
    /// It ends before its keys.
    #[error("crypto attribute ends before its keys")]
    Incomplete,
    /// Not one to nine digits, or with leading zeros.
    #[error("crypto attribute has a bad tag: {0}")]
    BadTag(Quoted),
    /// No suite that is supported here.
    #[error("crypto suite {0} is not supported")]
    UnsupportedSuite(Quoted),

    // ---- Its keys.
    /// A key method other than `inline`.
    #[error("key method {0} is not supported")]
    UnsupportedKeyMethod(Quoted),
    /// Not base64, or more fields than key, lifetime and MKI.
    #[error("inline key is malformed")]
    BadKey,
    /// Master key and master salt together have another length than the suite's, in octets.
    #[error("inline key and salt have {found} octets instead of {expected}")]
    WrongKeyLength {
        /// What the suite takes.
        expected: usize,
        /// What was given.
        found: usize,
    },
    /// Not a decimal number or a power of 2, 0, above 2^48, or with leading zeros.
    #[error("lifetime of an inline key is bad: {0}")]
    BadLifetime(Quoted),
    /// Not a positive decimal number and its length of 1 to 128 octets, in which it must fit; or with leading zeros.
    #[error("MKI of an inline key is bad: {0}")]
    BadMki(Quoted),
    /// There are several keys, and one has no MKI.
    #[error("there are several keys, and one has no MKI")]
    MkiMissing,
    /// The keys have MKIs of different lengths.
    #[error("keys have MKIs of different lengths")]
    MkiLengthMismatch,
    /// Two keys have the same MKI.
    #[error("two keys have the same MKI")]
    DuplicateMki,
    /// More than 16 keys.
    #[error("more than 16 keys")]
    TooManyKeys,

    // ---- Its session parameters.
    /// A parameter that is unknown, or known and not supported.
    #[error("session parameter {0} is not supported")]
    UnsupportedParameter(Quoted),
    /// A parameter with a value that it cannot have.
    #[error("session parameter {0} is malformed")]
    BadParameter(Quoted),
    /// A parameter that is there twice.
    #[error("session parameter {0} is repeated")]
    RepeatedParameter(Quoted),

    // ---- Offer and answer.
    /// Nothing that was offered is acceptable; why the first was refused, if there was one.
    #[error("no crypto attribute of the offer is acceptable{}", .0.as_ref().map(|first| format!("; the first: {first}")).unwrap_or_default())]
    NothingAcceptable(Option<Box<Self>>),
    /// Two attributes of the offer have this tag.
    #[error("two crypto attributes have the tag {0}")]
    DuplicateTag(u32),
    /// The answer has a tag that was not offered.
    #[error("answer has the tag {0}, which was not offered")]
    UnknownTag(u32),
    /// The answer has another suite than the offer with its tag.
    #[error("answer has another crypto suite than the offer with its tag")]
    SuiteMismatch,
    /// Offer and answer differ in what is to be encrypted.
    #[error("offer and answer differ in what is to be encrypted")]
    EncryptionMismatch,

    // ---- The caller.
    /// The buffer has no room for the line. Nothing was written.
    #[error("crypto attribute takes {needed} octets")]
    BufferTooSmall {
        /// Octets of the line.
        needed: usize,
    },
}

/// A piece of a refused attribute, shown unless it could be key material: no eight octets of a key get into a log by way of an error.
#[derive(Clone, PartialEq, Eq)]
pub struct Quoted(pub(super) Option<Box<str>>);

impl Quoted {
    /// Eight octets take eleven characters of base64.
    const LONGEST_RUN: usize = 10;
    const LONGEST: usize = 40;

    /// Text from a line.
    pub(super) fn new(text: &str) -> Self {
        let in_base64 = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/');
        let runs = text.as_bytes().split(|octet| !in_base64(octet));
        let harmless = text.len() <= Self::LONGEST && runs.map(<[u8]>::len).all(|run| run <= Self::LONGEST_RUN);
        Self(harmless.then(|| text.into()))
    }

    /// Text that is not from a line.
    pub(super) fn known(text: impl Into<Box<str>>) -> Self {
        Self(Some(text.into()))
    }

    /// The text; `None` if it could be key material.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some(text) => write!(f, "'{text}'"),
            None => f.write_str("[not shown, it may be a key]"),
        }
    }
}

impl fmt::Debug for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
