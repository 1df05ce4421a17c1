//! Events, through the facade `tracing`.

use crate::event::Event;
use tracing::{debug, warn};

/// Hands an event to the subscriber of the crate `tracing`, with its fields, under the target `keyflip`: what somebody should act on as a warning,
/// the rest
/// for debugging. No key, and nothing of a packet but its SSRC, is in it. As a handler it does so with all of a domain:
///
/// ```
/// let domain = keyflip::Domain::new().on_event(|event| keyflip::trace_event(&event));
/// domain.watch_events(&keyflip::EventKind::ALL);
/// ```
pub fn trace_event(event: &Event) {
    match *event {
        Event::KeyNearLimit { context, key, protocol, packets_left } => {
            warn!(target: "keyflip", %context, key = key.0, ?protocol, packets_left, "a key is near its limit");
        }
        Event::UnknownMki { context, ssrc, protocol } => {
            warn!(target: "keyflip", %context, %ssrc, ?protocol, "an unknown MKI");
        }
        Event::UnknownSsrc { context, ssrc, protocol } => {
            warn!(target: "keyflip", %context, %ssrc, ?protocol, "an unknown SSRC");
        }
        Event::TooManyStreams { context, ssrc } => {
            warn!(target: "keyflip", %context, %ssrc, "the stream table is full");
        }
        Event::StreamAdded { context, ssrc } => debug!(target: "keyflip", %context, %ssrc, "a stream was added"),
        Event::KeyRetired { context, key } => debug!(target: "keyflip", %context, key = key.0, "a key was retired"),
        Event::KeyWiped { context, key } => debug!(target: "keyflip", %context, key = key.0, "a key was wiped"),
        Event::Stall { waiting, pinned_readers } => {
            warn!(target: "keyflip", waiting, pinned_readers, "readers hold up the wiping of keys");
        }
    }
}
