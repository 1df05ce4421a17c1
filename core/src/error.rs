//! What can go wrong, and whose fault it is.
//!
//! One flat enum: `Copy`, without strings or allocations, so that returning it from the data path costs a register.
//! [`Error::fault`] sorts the variants by who has to act, since that is what a server wants to log, count or alarm on.

use core::fmt;

/// The result of every fallible call of this crate.
pub type Result<T> = core::result::Result<T, Error>;

/// Why a call was refused.
///
/// A call that returns an error has changed nothing: not the caller's buffers, not an index, not a replay list, not the
/// stream table (P8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // ---- The packet: it is not RTP, RTCP, SRTP or SRTCP of this context.
    /// Shorter than its fixed header (12 octets for RTP, 8 for RTCP) and, when protected, its trailer.
    #[error("packet is shorter than its header and trailer")]
    PacketTooShort,
    /// Longer than [`MAX_PACKET_LEN`](crate::MAX_PACKET_LEN): AES-CM has keystream for 2^16 blocks only (RFC 3711 4.1.1).
    #[error("packet is longer than one keystream segment")]
    PacketTooLong,
    /// The version field is not 2.
    #[error("version is not 2")]
    UnsupportedVersion,
    /// The CSRC count reaches past the end of the packet.
    #[error("CSRC list reaches past the end of the packet")]
    CsrcOverrun,
    /// The header extension reaches past the end of the packet.
    #[error("header extension reaches past the end of the packet")]
    ExtensionOverrun,
    /// An element of the header extension reaches past its end (RFC 8285 4.2, 4.3), so that nobody can tell what of it is encrypted.
    #[error("element of the header extension reaches past its end")]
    ElementOverrun,

    // ---- The peer (or an attacker in its place): well-formed, and not acceptable.
    /// No key in the ring verifies the authentication tag.
    #[error("authentication tag does not verify")]
    AuthenticationFailed,
    /// The index was accepted before (RFC 3711 3.3.2).
    #[error("packet index was accepted before")]
    Replayed,
    /// The index lies left of the replay window, so that a replay could not be told from a late packet.
    #[error("packet index is left of the replay window")]
    TooOld,
    /// The packet verified hop by hop, and no end-to-end key verifies its inner tag (RFC 8723).
    #[error("inner authentication tag does not verify")]
    InnerAuthenticationFailed,
    /// The original header block (RFC 8723 4) has bits that must be 0, or fields that are not there.
    #[error("original header block is malformed")]
    BadHeaderBlock,
    /// The MKI names no key of the ring.
    #[error("MKI names no key of this context")]
    UnknownMki,
    /// The E flag is 0, and this context demands encrypted SRTCP.
    #[error("SRTCP packet is not encrypted")]
    UnencryptedSrtcp,
    /// CSRCs or a header extension that are not encrypted, and this context demands Cryptex (RFC 9335).
    #[error("header is not encrypted by Cryptex")]
    HeaderInTheClear,
    /// No such stream, and this context does not add streams by itself.
    #[error("SSRC has no stream, and streams are not added by themselves here")]
    UnknownSsrc,

    // ---- The key: it is missing or worn out. A rekey helps.
    /// The context holds no key for this direction yet.
    #[error("context has no master key")]
    NoKey,
    /// The master key has protected as many packets as it may (RFC 3711 9.2).
    #[error("master key reached the end of its lifetime")]
    KeyExpired,
    /// The 31-bit SRTCP index would wrap, which it may do under another key than the one that used up its last value only.
    #[error("SRTCP index would wrap under the key that used it up")]
    SrtcpIndexExhausted,

    // ---- The caller: the call itself is wrong.
    /// The output has no room for the result. Nothing was written.
    #[error("output buffer has no room for the result")]
    OutputTooSmall,
    /// No batch call has come to this packet yet.
    #[error("packet was not processed yet")]
    NotProcessed,
    /// A header that does not have the length that its own fields say.
    #[error("header is shorter or longer than its fields say")]
    HeaderMismatch,
    /// More octets are to be replaced than the payload has.
    #[error("prefix is longer than the payload")]
    PrefixTooLong,
    /// Two packets of one arena overlap. Nothing was done.
    #[error("packets of one arena overlap")]
    OverlappingPackets,
    /// The stated packet length is larger than the buffer that holds the packet.
    #[error("stated length exceeds the buffer")]
    LengthExceedsBuffer,
    /// This index was sent before under this stream's indices (P6): sending it again would reuse keystream.
    #[error("packet index was sent before")]
    IndexReused,
    /// This index lies so far behind the highest sent that its first use cannot be ruled out.
    #[error("packet index is too far behind the highest one sent")]
    IndexTooOld,
    /// The guard was made by another [`Domain`](crate::Domain).
    #[error("guard belongs to another domain")]
    ForeignGuard,
    /// A master key of another length than the profile's.
    #[error("master key has the wrong length for the profile")]
    WrongKeyLength,
    /// A master salt of another length than the profile's.
    #[error("master salt has the wrong length for the profile")]
    WrongSaltLength,
    /// Master key and master salt together do not have the profile's length.
    #[error("master key and salt together have the wrong length for the profile")]
    WrongKeyAndSaltLength,
    /// An MKI longer than 128 octets.
    #[error("MKI is longer than 128 octets")]
    MkiTooLong,
    /// All keys of a context carry MKIs of one length (0 for none): a receiver finds the MKI by that length.
    #[error("MKI length differs from that of the other keys of this context")]
    MkiLengthMismatch,
    /// Another key of the context carries this MKI.
    #[error("MKI is taken by another key of this context")]
    DuplicateMki,
    /// The ring holds 16 keys already.
    #[error("context holds as many keys as it can")]
    TooManyKeys,
    /// No such key in the ring.
    #[error("no such key in this context")]
    UnknownKey,
    /// No key is staged.
    #[error("no key is staged")]
    NoStagedKey,
    /// The key was in use before: it can go on in the index space that is there, and cannot begin another (P5, P6).
    #[error("a key that was used before cannot begin an index space")]
    KeyUsedBefore,
    /// The context has had more than 1024 keys, so that nobody can tell whether this one may begin an index space. A new session can.
    #[error("context has had too many keys to tell whether this one is fresh")]
    KeyHistoryFull,
    /// A sender knows its indices: there is nothing to probe.
    #[error("a sender cannot probe for its rollover counter")]
    CannotProbe,
    /// The current key cannot be retired, only replaced.
    #[error("the current key is replaced by a rekey, not retired")]
    KeyIsCurrent,
    /// The stream table is full. It refuses; it never evicts.
    #[error("stream table is full")]
    TooManyStreams,
    /// The SSRC has a stream already.
    #[error("SSRC has a stream already")]
    StreamExists,
    /// The SSRC has no stream.
    #[error("SSRC has no stream")]
    NoSuchStream,
    /// A rollover counter or index below the one in use would make old packets acceptable, or reuse keystream.
    #[error("rollover counter or index cannot go back")]
    IndexBackward,
    /// The SSRC has keys of its own already: they can be rekeyed, or taken from it.
    #[error("SSRC has keys of its own already")]
    SsrcHasKeys,
    /// The SSRC has no keys of its own.
    #[error("SSRC has no keys of its own")]
    NoKeysForSsrc,
    /// A replay window outside 64 to 32768 packets.
    #[error("replay window must be 64 to 32768 packets")]
    BadReplayWindow,
    /// A key lifetime of 0 or above what RFC 3711 9.2 allows.
    #[error("key lifetime must be at least 1 and at most 2^48 SRTP and 2^31 SRTCP packets")]
    BadKeyLifetime,
    /// More retired values wait for readers than the domain allows: some reader is stalled. The key in use stays, and so does a stream.
    #[error("too many retired values wait for readers to unpin")]
    TooManyRetired,
    /// A grace of more keys than the ring can hold.
    #[error("grace must be 15 keys at most")]
    BadGrace,
    /// A header extension id of 0, which is padding (RFC 8285 4.1.2).
    #[error("header extension ids to encrypt must be 1 to 255")]
    BadExtensionId,
    /// Headers cannot be encrypted in a profile without a cipher, nor by Cryptex where payloads are not.
    #[error("headers can be encrypted in profiles with a cipher only, and by Cryptex with payloads only")]
    NoHeaderCipher,
    /// Elements of header extensions are encrypted either each by itself (RFC 6904) or all by Cryptex (RFC 9335).
    #[error("header extensions are encrypted either by elements or by Cryptex, not both")]
    TwoHeaderCiphers,
    /// A header extension that Cryptex has no form for (RFC 9335 5): it is of neither the one-byte form nor the two-byte form with application bits of 0.
    #[error("header extension is of a form that Cryptex cannot carry")]
    UnknownExtensionForm,
    /// The layers of a double session (RFC 8723) are of one profile of AES-GCM with tags of 16 octets, without Cryptex; the inner one is without MKIs, and without anything
    /// that is done to headers.
    #[error("session cannot be a layer of double encryption")]
    BadLayer,
    /// A rollover counter in every 0th packet.
    #[error("rollover counters are carried by every packet whose sequence number is a multiple of 1 to 65535")]
    BadRocRate,
    /// Packets of this profile cannot carry their rollover counter in this way: a tag of 32 bits has no room for it, an AEAD is always authenticated.
    #[error("packets of this profile cannot carry their rollover counter so")]
    NoRocMode,
    /// The context was moved to another process, which goes on with it ([`moving`](crate::moving)).
    #[error("context was moved elsewhere")]
    Moved,
    /// The session was not built as movable, so that the context's keys have not kept what they were derived from.
    #[error("context was not built to be moved")]
    NotMovable,
    /// What was moved here is of another profile, or has other rules for what packets look like, than the session that is to go on with it.
    #[error("moved context is of another profile, or has other rules for packets")]
    MovedDiffers,
    /// A payload type above 127.
    #[error("payload type must be at most 127")]
    BadPayloadType,
    /// A bound of 0 streams, or of more than 2^24.
    #[error("stream bound must be 1 to 2^24")]
    BadStreamBound,
}

/// Who has to act on an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The octets are not a packet of this protocol.
    Packet,
    /// A well-formed packet that this context must not accept: a replay, a forgery, a peer with other keys or policies.
    Peer,
    /// A key is missing or at the end of its lifetime: rekey.
    Key,
    /// The call is wrong: a programming or configuration error of this process.
    Caller,
}

impl Error {
    /// Whose fault this is.
    #[must_use]
    pub const fn fault(self) -> Fault {
        use Error::{
            AuthenticationFailed, BadHeaderBlock, CsrcOverrun, ElementOverrun, ExtensionOverrun, HeaderInTheClear,
            InnerAuthenticationFailed, KeyExpired, NoKey, PacketTooLong, PacketTooShort, Replayed, SrtcpIndexExhausted,
            TooOld, UnencryptedSrtcp, UnknownMki, UnknownSsrc, UnsupportedVersion,
        };
        match self {
            PacketTooShort | PacketTooLong | UnsupportedVersion | CsrcOverrun | ExtensionOverrun | ElementOverrun => {
                Fault::Packet
            }
            AuthenticationFailed
            | InnerAuthenticationFailed
            | BadHeaderBlock
            | Replayed
            | TooOld
            | UnknownMki
            | UnencryptedSrtcp
            | HeaderInTheClear
            | UnknownSsrc => Fault::Peer,
            NoKey | KeyExpired | SrtcpIndexExhausted => Fault::Key,
            _ => Fault::Caller,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Packet => "packet",
            Self::Peer => "peer",
            Self::Key => "key",
            Self::Caller => "caller",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_fits_a_register_and_a_result_of_a_length_two() {
        assert_eq!(size_of::<Error>(), 1);
        assert!(size_of::<Result<usize>>() <= 16);
    }

    #[test]
    fn every_fault_is_named() {
        assert_eq!(Error::CsrcOverrun.fault(), Fault::Packet);
        assert_eq!(Error::Replayed.fault(), Fault::Peer);
        assert_eq!(Error::KeyExpired.fault(), Fault::Key);
        assert_eq!(Error::OutputTooSmall.fault(), Fault::Caller);
        assert_eq!(Fault::Caller.to_string(), "caller");
    }
}
