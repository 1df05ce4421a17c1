//! The numbers of errors. They are never reused: `errors.txt` keeps each that was ever given out.

use keyflip::{Error, Fault, sdes};

/// The call did what it was asked to.
pub const KEYFLIP_OK: i32 = 0;

/// Why a call was refused. Functions return these numbers as int32_t, all of them negative. A call that is refused has changed nothing.
///
/// Hundreds say whose fault it is, as keyflip_error_fault does. A later version may return numbers that are not listed here: treat any negative number
/// as an error. No number ever changes its meaning.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum keyflip_err {
    // ---- The packet: it is not RTP, RTCP, SRTP or SRTCP of this session.
    /// Packet is shorter than its header and trailer.
    PacketTooShort = -101,
    /// Packet is longer than one keystream segment.
    PacketTooLong = -102,
    /// Version is not 2.
    UnsupportedVersion = -103,
    /// CSRC list reaches past the end of the packet.
    CsrcOverrun = -104,
    /// Header extension reaches past the end of the packet.
    ExtensionOverrun = -105,
    /// Element of the header extension reaches past its end.
    ElementOverrun = -106,
    /// Packet is refused for a reason this interface has no number for.
    OtherPacket = -199,
    // ---- The peer, or an attacker in its place: well-formed, and not acceptable.
    /// Authentication tag does not verify.
    AuthenticationFailed = -201,
    /// Packet index was accepted before.
    Replayed = -202,
    /// Packet index is left of the replay window.
    TooOld = -203,
    /// MKI names no key of this context.
    UnknownMki = -204,
    /// SRTCP packet is not encrypted.
    UnencryptedSrtcp = -205,
    /// Header is not encrypted by Cryptex.
    HeaderInTheClear = -206,
    /// SSRC has no stream, and streams are not added by themselves here.
    UnknownSsrc = -207,
    /// Inner authentication tag does not verify.
    InnerAuthenticationFailed = -208,
    /// Original header block is malformed.
    BadHeaderBlock = -209,
    /// Peer sent what this interface has no number for.
    OtherPeer = -299,
    // ---- The key: it is missing or worn out. A rekey helps.
    /// Context has no master key.
    NoKey = -301,
    /// Master key reached the end of its lifetime.
    KeyExpired = -302,
    /// SRTCP index would wrap under the key that used it up.
    SrtcpIndexExhausted = -303,
    /// Key cannot be used, for a reason this interface has no number for.
    OtherKey = -399,
    // ---- The caller: the call itself is wrong.
    /// Output buffer has no room for the result.
    OutputTooSmall = -401,
    /// Header is shorter or longer than its fields say.
    HeaderMismatch = -402,
    /// Prefix is longer than the payload.
    PrefixTooLong = -403,
    /// Stated length exceeds the buffer.
    LengthExceedsBuffer = -404,
    /// Packet index was sent before.
    IndexReused = -405,
    /// Packet index is too far behind the highest one sent.
    IndexTooOld = -406,
    /// Master key has the wrong length for the profile.
    WrongKeyLength = -407,
    /// Master salt has the wrong length for the profile.
    WrongSaltLength = -408,
    /// Master key and salt together have the wrong length for the profile.
    WrongKeyAndSaltLength = -409,
    /// MKI is longer than 128 octets.
    MkiTooLong = -410,
    /// MKI length differs from that of the other keys of this context.
    MkiLengthMismatch = -411,
    /// MKI is taken by another key of this context.
    DuplicateMki = -412,
    /// Context holds as many keys as it can.
    TooManyKeys = -413,
    /// No such key in this context.
    UnknownKey = -414,
    /// No key is staged.
    NoStagedKey = -415,
    /// A key that was used before cannot begin an index space.
    KeyUsedBefore = -416,
    /// Context has had too many keys to tell whether this one is fresh.
    KeyHistoryFull = -417,
    /// A sender cannot probe for its rollover counter.
    CannotProbe = -418,
    /// The current key is replaced by a rekey, not retired.
    KeyIsCurrent = -419,
    /// Stream table is full.
    TooManyStreams = -420,
    /// SSRC has a stream already.
    StreamExists = -421,
    /// SSRC has no stream.
    NoSuchStream = -422,
    /// Rollover counter or index cannot go back.
    IndexBackward = -423,
    /// Replay window must be 64 to 32768 packets.
    BadReplayWindow = -424,
    /// Key lifetime must be at least 1 and at most 2^48 SRTP and 2^31 SRTCP packets.
    BadKeyLifetime = -425,
    /// Too many retired values wait for readers to unpin.
    TooManyRetired = -426,
    /// Grace must be 15 keys at most.
    BadGrace = -427,
    /// Header extension ids to encrypt must be 1 to 255.
    BadExtensionId = -428,
    /// Headers can be encrypted in profiles with a cipher only, and by Cryptex with payloads only.
    NoHeaderCipher = -429,
    /// Header extensions are encrypted either by elements or by Cryptex, not both.
    TwoHeaderCiphers = -430,
    /// Header extension is of a form that Cryptex cannot carry.
    UnknownExtensionForm = -431,
    /// Stream bound must be 1 to 2^24.
    BadStreamBound = -432,
    /// SSRC has keys of its own already.
    SsrcHasKeys = -433,
    /// SSRC has no keys of its own.
    NoKeysForSsrc = -434,
    /// Session cannot be a layer of double encryption.
    BadLayer = -435,
    /// Rollover counters are carried by every packet whose sequence number is a multiple of 1 to 65535.
    BadRocRate = -436,
    /// Packets of this profile cannot carry their rollover counter so.
    NoRocMode = -437,
    /// Context was moved elsewhere.
    Moved = -438,
    /// Context was not built to be moved.
    NotMovable = -439,
    /// Moved context is of another profile, or has other rules for packets.
    MovedDiffers = -440,
    /// Payload type must be at most 127.
    BadPayloadType = -441,
    /// Call is refused for a reason this interface has no number for.
    OtherCaller = -499,
    // ---- What only a caller from C can do wrong.
    /// A defect of Keyflip: the call was stopped before it could do harm.
    Internal = -500,
    /// Handle names nothing, nothing any more, or something of another kind.
    BadHandle = -501,
    /// Pointer is null where it must not be.
    NullPointer = -502,
    /// Pointer is not aligned for what it points to.
    Misaligned = -503,
    /// Length or count is larger than memory can hold.
    BadLength = -504,
    /// Buffers overlap that must lie apart.
    Overlap = -505,
    /// Number is none of those that the argument can have.
    BadArgument = -506,
    /// Flag is not known to this version of the library.
    BadFlags = -507,
    /// Size field of a structure is wrong: set it to sizeof the structure.
    BadSize = -508,
    /// Structure is from a newer header and sets fields that this library does not know.
    UnknownFields = -509,
    /// No more handles are to be had.
    TooManyHandles = -510,
    /// Domain has an event handler already.
    HandlerSet = -511,
    /// Readers did not let go within the time given.
    Stalled = -512,
    /// Call cannot wait: the calling thread is inside another call.
    CallerPinned = -513,
    /// No such protection profile.
    UnknownProfile = -514,
    /// Text is not UTF-8.
    BadText = -515,
    /// Packet was not processed.
    NotProcessed = -516,
    /// Keying material has the wrong length for the profile.
    WrongMaterialLength = -517,
    // ---- Signalling: crypto attributes of SDP (RFC 4568).
    /// Not a crypto attribute.
    SdesNotCrypto = -601,
    /// Crypto attribute has characters that are not visible ASCII.
    SdesBadCharacter = -602,
    /// Crypto attribute ends before its keys.
    SdesIncomplete = -603,
    /// Crypto attribute has a bad tag.
    SdesBadTag = -604,
    /// Crypto suite is not supported.
    SdesUnsupportedSuite = -605,
    /// Key method is not supported.
    SdesUnsupportedKeyMethod = -606,
    /// Inline key is malformed.
    SdesBadKey = -607,
    /// Inline key and salt have the wrong length for the suite.
    SdesWrongKeyLength = -608,
    /// Lifetime of an inline key is bad.
    SdesBadLifetime = -609,
    /// MKI of an inline key is bad.
    SdesBadMki = -610,
    /// There are several keys, and one has no MKI.
    SdesMkiMissing = -611,
    /// Keys have MKIs of different lengths.
    SdesMkiLengthMismatch = -612,
    /// Two keys have the same MKI.
    SdesDuplicateMki = -613,
    /// More than 16 keys.
    SdesTooManyKeys = -614,
    /// Session parameter is not supported.
    SdesUnsupportedParameter = -615,
    /// Session parameter is malformed.
    SdesBadParameter = -616,
    /// Session parameter is repeated.
    SdesRepeatedParameter = -617,
    /// No crypto attribute of the offer is acceptable.
    SdesNothingAcceptable = -618,
    /// Two crypto attributes have the same tag.
    SdesDuplicateTag = -619,
    /// Answer has a tag that was not offered.
    SdesUnknownTag = -620,
    /// Answer has another crypto suite than the offer with its tag.
    SdesSuiteMismatch = -621,
    /// Offer and answer differ in what is to be encrypted.
    SdesEncryptionMismatch = -622,
    /// Crypto attribute is refused for a reason this interface has no number for.
    SdesOther = -699,
}

/// Whose fault an error is: who has to act.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum keyflip_fault {
    /// No error.
    None = 0,
    /// The octets are not a packet of this protocol. Drop it.
    Packet = 1,
    /// A well-formed packet that must not be accepted: a replay, a forgery, a peer with other keys. Drop it.
    Peer = 2,
    /// A key is missing or at the end of its lifetime: rekey.
    Key = 3,
    /// The call is wrong: a mistake in this program or its configuration.
    Caller = 4,
    /// A defect of the library.
    Internal = 5,
    /// What signalling handed over is malformed or not supported.
    Signalling = 6,
}

impl keyflip_err {
    pub(crate) const fn code(self) -> i32 {
        self as i32
    }
}

/// Of any number.
pub(crate) const fn fault(code: i32) -> keyflip_fault {
    match code {
        0.. => keyflip_fault::None,
        -199..=-100 => keyflip_fault::Packet,
        -299..=-200 => keyflip_fault::Peer,
        -399..=-300 => keyflip_fault::Key,
        -699..=-600 => keyflip_fault::Signalling,
        -500 => keyflip_fault::Internal,
        _ => keyflip_fault::Caller,
    }
}

impl From<Error> for keyflip_err {
    fn from(error: Error) -> Self {
        match error {
            Error::PacketTooShort => Self::PacketTooShort,
            Error::PacketTooLong => Self::PacketTooLong,
            Error::UnsupportedVersion => Self::UnsupportedVersion,
            Error::CsrcOverrun => Self::CsrcOverrun,
            Error::ExtensionOverrun => Self::ExtensionOverrun,
            Error::ElementOverrun => Self::ElementOverrun,
            Error::AuthenticationFailed => Self::AuthenticationFailed,
            Error::Replayed => Self::Replayed,
            Error::TooOld => Self::TooOld,
            Error::UnknownMki => Self::UnknownMki,
            Error::UnencryptedSrtcp => Self::UnencryptedSrtcp,
            Error::HeaderInTheClear => Self::HeaderInTheClear,
            Error::UnknownSsrc => Self::UnknownSsrc,
            Error::InnerAuthenticationFailed => Self::InnerAuthenticationFailed,
            Error::BadHeaderBlock => Self::BadHeaderBlock,
            Error::NoKey => Self::NoKey,
            Error::KeyExpired => Self::KeyExpired,
            Error::SrtcpIndexExhausted => Self::SrtcpIndexExhausted,
            Error::OutputTooSmall => Self::OutputTooSmall,
            Error::HeaderMismatch => Self::HeaderMismatch,
            Error::PrefixTooLong => Self::PrefixTooLong,
            Error::LengthExceedsBuffer => Self::LengthExceedsBuffer,
            Error::IndexReused => Self::IndexReused,
            Error::IndexTooOld => Self::IndexTooOld,
            Error::WrongKeyLength => Self::WrongKeyLength,
            Error::WrongSaltLength => Self::WrongSaltLength,
            Error::WrongKeyAndSaltLength => Self::WrongKeyAndSaltLength,
            Error::MkiTooLong => Self::MkiTooLong,
            Error::MkiLengthMismatch => Self::MkiLengthMismatch,
            Error::DuplicateMki => Self::DuplicateMki,
            Error::TooManyKeys => Self::TooManyKeys,
            Error::UnknownKey => Self::UnknownKey,
            Error::NoStagedKey => Self::NoStagedKey,
            Error::KeyUsedBefore => Self::KeyUsedBefore,
            Error::KeyHistoryFull => Self::KeyHistoryFull,
            Error::CannotProbe => Self::CannotProbe,
            Error::KeyIsCurrent => Self::KeyIsCurrent,
            Error::TooManyStreams => Self::TooManyStreams,
            Error::StreamExists => Self::StreamExists,
            Error::NoSuchStream => Self::NoSuchStream,
            Error::IndexBackward => Self::IndexBackward,
            Error::BadReplayWindow => Self::BadReplayWindow,
            Error::BadKeyLifetime => Self::BadKeyLifetime,
            Error::TooManyRetired => Self::TooManyRetired,
            Error::BadGrace => Self::BadGrace,
            Error::BadExtensionId => Self::BadExtensionId,
            Error::NoHeaderCipher => Self::NoHeaderCipher,
            Error::TwoHeaderCiphers => Self::TwoHeaderCiphers,
            Error::UnknownExtensionForm => Self::UnknownExtensionForm,
            Error::BadStreamBound => Self::BadStreamBound,
            Error::SsrcHasKeys => Self::SsrcHasKeys,
            Error::NoKeysForSsrc => Self::NoKeysForSsrc,
            Error::BadLayer => Self::BadLayer,
            Error::BadRocRate => Self::BadRocRate,
            Error::NoRocMode => Self::NoRocMode,
            Error::Moved => Self::Moved,
            Error::NotMovable => Self::NotMovable,
            Error::MovedDiffers => Self::MovedDiffers,
            Error::BadPayloadType => Self::BadPayloadType,
            Error::OverlappingPackets => Self::Overlap,
            Error::NotProcessed => Self::NotProcessed,
            _ => match error.fault() {
                Fault::Packet => Self::OtherPacket,
                Fault::Peer => Self::OtherPeer,
                Fault::Key => Self::OtherKey,
                _ => Self::OtherCaller,
            },
        }
    }
}

impl From<sdes::Error> for keyflip_err {
    fn from(error: sdes::Error) -> Self {
        use sdes::Error;
        match error {
            Error::NotCrypto => Self::SdesNotCrypto,
            Error::BadCharacter => Self::SdesBadCharacter,
            Error::Incomplete => Self::SdesIncomplete,
            Error::BadTag(_) => Self::SdesBadTag,
            Error::UnsupportedSuite(_) => Self::SdesUnsupportedSuite,
            Error::UnsupportedKeyMethod(_) => Self::SdesUnsupportedKeyMethod,
            Error::BadKey => Self::SdesBadKey,
            Error::WrongKeyLength { .. } => Self::SdesWrongKeyLength,
            Error::BadLifetime(_) => Self::SdesBadLifetime,
            Error::BadMki(_) => Self::SdesBadMki,
            Error::MkiMissing => Self::SdesMkiMissing,
            Error::MkiLengthMismatch => Self::SdesMkiLengthMismatch,
            Error::DuplicateMki => Self::SdesDuplicateMki,
            Error::TooManyKeys => Self::SdesTooManyKeys,
            Error::UnsupportedParameter(_) => Self::SdesUnsupportedParameter,
            Error::BadParameter(_) => Self::SdesBadParameter,
            Error::RepeatedParameter(_) => Self::SdesRepeatedParameter,
            Error::NothingAcceptable(_) => Self::SdesNothingAcceptable,
            Error::DuplicateTag(_) => Self::SdesDuplicateTag,
            Error::UnknownTag(_) => Self::SdesUnknownTag,
            Error::SuiteMismatch => Self::SdesSuiteMismatch,
            Error::EncryptionMismatch => Self::SdesEncryptionMismatch,
            Error::BufferTooSmall { .. } => Self::OutputTooSmall,
            _ => Self::SdesOther,
        }
    }
}
