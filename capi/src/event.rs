//! What a domain has to say: events, polled or handled.

use crate::boundary::{Outcome, call};
use crate::domain::keyflip_domain;
use crate::error::keyflip_err;
use crate::handles::{self, Direction};
use crate::info::choose;
use crate::key::{direction_number, id_number};
use crate::packet::protocol_number;
use crate::sized::{self, Grows};
use core::ffi::c_void;
use keyflip::{Event, EventKind};

/// What an event is about.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum keyflip_event_kind {
    /// A key has passed its soft limit: rekey before its lifetime ends. Once for each key and protocol. Raised without being asked for.
    KeyNearLimit = 1,
    /// A packet carried an MKI of no key: the peer may have rekeyed, or it is forged. Once until keyflip_acknowledge_events.
    UnknownMki = 2,
    /// A packet of an SSRC was refused that has no stream or no key. Once until keyflip_acknowledge_events.
    UnknownSsrc = 3,
    /// A good packet was refused since the stream table is full. Once until keyflip_acknowledge_events.
    TooManyStreams = 4,
    /// A stream was added by its first packet.
    StreamAdded = 5,
    /// A key has left its session, which is there still.
    KeyRetired = 6,
    /// A retired key is wiped from memory; its session is there still.
    KeyWiped = 7,
}

const KINDS: [(u32, EventKind); 7] = [
    (1, EventKind::KeyNearLimit),
    (2, EventKind::UnknownMki),
    (3, EventKind::UnknownSsrc),
    (4, EventKind::TooManyStreams),
    (5, EventKind::StreamAdded),
    (6, EventKind::KeyRetired),
    (7, EventKind::KeyWiped),
];

/// Something that the owner of a session should know of.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct keyflip_event {
    /// sizeof(keyflip_event): set it before keyflip_next_event.
    pub size: usize,
    /// One of enum keyflip_event_kind. Later versions may have more: leave alone what you do not know.
    pub kind: u32,
    /// One of enum keyflip_direction.
    pub direction: u32,
    /// Whose it is.
    pub session: u64,
    /// The key's name; 0 if the event is about none.
    pub key_id: u64,
    /// One of enum keyflip_protocol: which of the key's lifetimes, or the packet's; 0 if the event is about neither.
    pub protocol: u32,
    /// The SSRC that the packet or the stream has, in host order; 0 if the event is about none.
    pub ssrc: u32,
    /// KEYFLIP_EVENT_KIND_KEY_NEAR_LIMIT: packets that were left then, less those that streams had set aside.
    pub packets_left: u64,
}

// SAFETY: integers without padding, the first of which is the size.
unsafe impl Grows for keyflip_event {}

/// Is called with an event, and with the pointer that was given to keyflip_on_event.
pub type keyflip_event_handler = Option<unsafe extern "C" fn(event: *const keyflip_event, user: *mut c_void)>;

/// `None` for events of sessions that are gone, and of kinds that this interface has no number for.
fn translate(event: &Event) -> Option<keyflip_event> {
    let kind = KINDS.iter().find(|(_, kind)| *kind == event.kind())?.0;
    let (context, key, protocol, ssrc, packets_left) = match event {
        Event::KeyNearLimit { context, key, protocol, packets_left, .. } => {
            (context, Some(key), Some(*protocol), None, *packets_left)
        }
        Event::UnknownMki { context, ssrc, protocol, .. } | Event::UnknownSsrc { context, ssrc, protocol, .. } => {
            (context, None, Some(*protocol), Some(ssrc), 0)
        }
        Event::TooManyStreams { context, ssrc, .. } | Event::StreamAdded { context, ssrc, .. } => {
            (context, None, None, Some(ssrc), 0)
        }
        Event::KeyRetired { context, key, .. } | Event::KeyWiped { context, key, .. } => {
            (context, Some(key), None, None, 0)
        }
        _ => return None,
    };
    let (session, direction) = handles::owner(*context)?;
    Some(keyflip_event {
        size: size_of::<keyflip_event>(),
        kind,
        direction: direction_number(direction),
        session,
        key_id: key.map_or(0, |key| id_number(*key)),
        protocol: protocol.map_or(0, protocol_number),
        ssrc: ssrc.map_or(0, |ssrc| ssrc.0),
        packets_left,
    })
}

/// Has events of a kind raised in a domain from here on, besides KEYFLIP_EVENT_KIND_KEY_NEAR_LIMIT. kind is one of enum keyflip_event_kind.
///
/// Returns KEYFLIP_OK; KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_BAD_ARGUMENT. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn keyflip_watch_events(domain: keyflip_domain, kind: u32) -> i32 {
    call(|| {
        handles::domain(domain)?.watch_events(&[choose(kind, &KINDS)?]);
        Ok(0)
    })
}

/// Lets a direction of a session raise those events again that it raises once: a flood of packets is one event.
///
/// Returns KEYFLIP_OK; KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_BAD_ARGUMENT. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn keyflip_acknowledge_events(session: u64, direction: u32) -> i32 {
    call(|| {
        match crate::key::direction(direction)? {
            Direction::Inbound => handles::inbound(session)?.acknowledge_events(),
            Direction::Outbound => handles::outbound(session)?.acknowledge_events(),
        }
        Ok(0)
    })
}

/// Takes the oldest event of a domain that nobody has taken yet. Up to 256 wait; more are counted as missed.
///
/// Returns 1 if there was one, 0 if not; KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_NULL_POINTER, KEYFLIP_ERR_BAD_SIZE. Any thread, no lock on the way of packets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_next_event(domain: keyflip_domain, event: *mut keyflip_event) -> i32 {
    call(|| {
        // SAFETY: the caller's word. Before an event is taken.
        let _ = unsafe { sized::size(event) }?;
        let domain = handles::domain(domain)?;
        while let Some(next) = domain.next_event() {
            if let Some(next) = translate(&next) {
                // SAFETY: the caller's word.
                unsafe { sized::write(event, &next) }?;
                return Ok(1);
            }
        }
        Ok(0)
    })
}

/// What C gave to be called.
struct Callback {
    handler: unsafe extern "C" fn(*const keyflip_event, *mut c_void),
    user: *mut c_void,
}

// SAFETY: the pointer is only handed back; that it may be used on another thread is what keyflip_on_event asks of its caller.
unsafe impl Send for Callback {}
// SAFETY: as above; the domain calls its handler from one thread at a time.
unsafe impl Sync for Callback {}

impl Callback {
    fn call(&self, event: &keyflip_event) {
        // SAFETY: a function of C that was given to be called so.
        unsafe { (self.handler)(event, self.user) };
    }
}

/// Has handler called with every event of a domain from here on, instead of leaving them to keyflip_next_event. A domain has one handler, for good; handler and
/// user must stay good until the process ends.
///
/// It is called on a thread of the library (in a domain without reclaimer, on the one that calls keyflip_reclaim), never on one that handles packets, with no lock
/// held. It may call anything in here, keyflip_rekey and keyflip_session_free included. While it runs, no keys are wiped. It must return: no longjmp, no
/// C++ exception.
///
/// Returns KEYFLIP_OK; KEYFLIP_ERR_HANDLER_SET, KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_NULL_POINTER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_on_event(
    domain: keyflip_domain,
    handler: keyflip_event_handler,
    user: *mut c_void,
) -> i32 {
    call(|| {
        let callback = Callback { handler: handler.ok_or(keyflip_err::NullPointer)?, user };
        handles::with_realm(domain, |realm| -> Outcome<i32> {
            realm.handled.set(()).map_err(|()| keyflip_err::HandlerSet)?;
            let deliver = move |event: Event| {
                if let Some(event) = translate(&event) {
                    callback.call(&event);
                }
            };
            drop(realm.domain.clone().on_event(deliver));
            Ok(0)
        })
    })
}
