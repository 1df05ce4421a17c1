//! What an owner is told without asking.

use crate::id::{ContextId, KeyId};
use crate::index::Ssrc;
use crate::wire::Protocol;

/// Something that the owner of a context should know of. [`Domain::next_event`](crate::Domain::next_event) hands it out, or else the domain's handler
/// gets it: never on a thread that handles packets, and under no guard. [`Domain::watch_events`](crate::Domain::watch_events) says which kinds are raised.
///
/// Those that anybody on the network can cause ([`Self::UnknownMki`], [`Self::UnknownSsrc`], [`Self::TooManyStreams`]) are raised once for each
/// context,
/// and again after `acknowledge_events` ([`Inbound`](crate::Inbound::acknowledge_events), [`Outbound`](crate::Outbound::acknowledge_events)):
/// a flood of packets is one event, and the counters of `refused` say how many there were.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A key has passed its soft limit: rekey before its lifetime ends. Raised once for each key and protocol.
    #[non_exhaustive]
    KeyNearLimit {
        /// Whose key it is: [`Inbound::id`](crate::Inbound::id), [`Outbound::id`](crate::Outbound::id).
        context: ContextId,
        /// The key.
        key: KeyId,
        /// Which of its lifetimes.
        protocol: Protocol,
        /// Packets that were left then, less those that streams had set aside.
        packets_left: u64,
    },
    /// A packet carried an MKI of no key: the peer may have rekeyed, or it is forged. Once until acknowledged.
    #[non_exhaustive]
    UnknownMki {
        /// Who refused it.
        context: ContextId,
        /// The SSRC that it says.
        ssrc: Ssrc,
        /// Its protocol.
        protocol: Protocol,
    },
    /// A packet of an SSRC was refused that has no stream, where streams are added by call, or no key. Once until acknowledged.
    #[non_exhaustive]
    UnknownSsrc {
        /// Who refused it.
        context: ContextId,
        /// The SSRC that it says.
        ssrc: Ssrc,
        /// Its protocol.
        protocol: Protocol,
    },
    /// A good packet was refused since the stream table is full. Once until acknowledged.
    #[non_exhaustive]
    TooManyStreams {
        /// Whose table it is.
        context: ContextId,
        /// The SSRC that found no place.
        ssrc: Ssrc,
    },
    /// A stream was added by its first packet. Not raised for those added by call.
    #[non_exhaustive]
    StreamAdded {
        /// Where it was added.
        context: ContextId,
        /// Its SSRC.
        ssrc: Ssrc,
    },
    /// A key has left its context: replaced, its grace over, retired, taken from its SSRC, or gone with its context. Also one that never entered it,
    /// since
    /// the context held the same master key already or refused it.
    #[non_exhaustive]
    KeyRetired {
        /// Whose key it was.
        context: ContextId,
        /// The key.
        key: KeyId,
    },
    /// A retired key is wiped from memory. A handler is told when the reclaimer next wakes: at once but for a key that went with its context.
    #[non_exhaustive]
    KeyWiped {
        /// Whose key it was.
        context: ContextId,
        /// The key.
        key: KeyId,
    },
    /// Retired values have waited for some time, and none was destroyed: a reader holds its guard. Once for each stall, by a
    /// [`StallWatch`](crate::StallWatch); [`Domain::pinned_readers`](crate::Domain::pinned_readers) names the readers.
    #[non_exhaustive]
    Stall {
        /// Values that wait.
        waiting: u64,
        /// Threads that were pinned then.
        pinned_readers: usize,
    },
}

/// The kinds of [`Event`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// [`Event::KeyNearLimit`].
    KeyNearLimit,
    /// [`Event::UnknownMki`].
    UnknownMki,
    /// [`Event::UnknownSsrc`].
    UnknownSsrc,
    /// [`Event::TooManyStreams`].
    TooManyStreams,
    /// [`Event::StreamAdded`].
    StreamAdded,
    /// [`Event::KeyRetired`].
    KeyRetired,
    /// [`Event::KeyWiped`].
    KeyWiped,
    /// [`Event::Stall`].
    Stall,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::KeyNearLimit,
        Self::UnknownMki,
        Self::UnknownSsrc,
        Self::TooManyStreams,
        Self::StreamAdded,
        Self::KeyRetired,
        Self::KeyWiped,
        Self::Stall,
    ];

    /// Stands for it in a set of kinds.
    pub(crate) const fn bit(self) -> u64 {
        1 << self as u32
    }
}

impl Event {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::KeyNearLimit { .. } => EventKind::KeyNearLimit,
            Self::UnknownMki { .. } => EventKind::UnknownMki,
            Self::UnknownSsrc { .. } => EventKind::UnknownSsrc,
            Self::TooManyStreams { .. } => EventKind::TooManyStreams,
            Self::StreamAdded { .. } => EventKind::StreamAdded,
            Self::KeyRetired { .. } => EventKind::KeyRetired,
            Self::KeyWiped { .. } => EventKind::KeyWiped,
            Self::Stall { .. } => EventKind::Stall,
        }
    }
}
