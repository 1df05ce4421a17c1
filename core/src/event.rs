//! What an owner is told without asking.

use crate::id::{ContextId, KeyId};
use crate::wire::Protocol;

/// Something that the owner of a context should know of. [`Domain::next_event`](crate::Domain::next_event) hands it out, or else the domain's handler
/// gets it.
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
}
