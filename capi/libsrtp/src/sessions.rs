//! What a `srtp_t` names.
//!
//! 1. A `srtp_t` is a handle in a registry, in the guise of a pointer. It names a [`Client`], which points to a session of the core: so the
//!    session may be replaced by one of another profile while its client keeps its name.
//! 2. A session outlives every guard under which its client was found: whoever replaces it swaps the client's pointer first, and whoever ends a client
//!    removes that first; only then is the session given up, and dropped when the guards of that moment are gone.
//! 3. Packets take no lock. Whoever changes policies holds the client's book.

use crate::abi::*;
use crate::directions::Directions;
use crate::policy::{Policy, Shape};
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use keyflip::{Domain, Error, Guard, Inbound, KeyId, NewStreams, Outbound, Protocol, Registry, Roc, StreamOptions};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Both directions of a session. They are made apart, since they differ in how streams begin: a receiver adds them at their first packet, while a sender
/// must be told of each, so that its first SRTCP index is 1, as libsrtp2's is.
pub(crate) struct Session {
    pub(crate) inbound: Inbound,
    pub(crate) outbound: Outbound,
    /// Any SSRC may begin.
    pub(crate) has_template: bool,
}

/// What a client was given.
pub(crate) struct Client {
    /// Its session, which the registry of sessions owns.
    session: AtomicPtr<Session>,
    /// The handle of its session: changed under the book only.
    handle: AtomicU64,
    pub(crate) user: AtomicPtr<c_void>,
    /// Some policy has MKIs, or several keys.
    pub(crate) has_mkis: AtomicBool,
    /// The most that protection adds to an RTP packet, and to an RTCP packet: asked of the session whenever policies change, and not for each packet.
    trailers: [AtomicUsize; 2],
    pub(crate) directions: Directions,
    book: Mutex<Book>,
}

/// The policies of a client.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) template: Option<Bound>,
    pub(crate) streams: HashMap<u32, Bound>,
    /// The client is gone.
    closed: bool,
}

/// A policy, and its sending keys in the session.
pub(crate) struct Bound {
    pub(crate) policy: Policy,
    /// In the order of the policy's keys.
    pub(crate) sending: Vec<KeyId>,
    /// Which of them is in use.
    pub(crate) sends_under: usize,
}

impl Book {
    /// The policy of an SSRC.
    pub(crate) fn of(&mut self, ssrc: u32) -> Option<&mut Bound> {
        self.streams.get_mut(&ssrc).or(self.template.as_mut())
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Bound> {
        self.template.iter().chain(self.streams.values())
    }
}

struct Globals {
    domain: Domain,
    clients: Registry<Client>,
    sessions: Registry<Session>,
}

fn globals() -> &'static Globals {
    const CLIENTS: u8 = 0x63;
    const SESSIONS: u8 = 0x73;
    static GLOBALS: OnceLock<Globals> = OnceLock::new();
    GLOBALS.get_or_init(|| {
        let domain = Domain::new();
        Globals { clients: Registry::new(&domain, CLIENTS), sessions: Registry::new(&domain, SESSIONS), domain }
    })
}

pub(crate) fn domain() -> &'static Domain {
    &globals().domain
}

fn handle(client: srtp_t) -> u64 {
    client.addr() as u64
}

/// Takes a session in; returns its handle, and where it is.
///
/// # Errors
///
/// `alloc_fail`.
fn keep(session: Session) -> Result<(u64, *mut Session), Status> {
    let globals = globals();
    let handle = globals.sessions.insert(session).map_err(|_| Status::AllocFail)?;
    let guard = globals.domain.pin();
    let session = globals.sessions.get(handle, &guard).ok_or(Status::Fail)?;
    Ok((handle, core::ptr::from_ref(session).cast_mut()))
}

/// # Errors
///
/// `alloc_fail`.
pub(crate) fn add(session: Session, book: Book) -> Result<srtp_t, Status> {
    let trailers = session.trailers().map(AtomicUsize::new);
    let (handle, session) = keep(session)?;
    let client = Client {
        session: AtomicPtr::new(session),
        handle: AtomicU64::new(handle),
        trailers,
        user: AtomicPtr::default(),
        has_mkis: AtomicBool::new(false),
        directions: Directions::default(),
        book: Mutex::new(book),
    };
    client.look_for_mkis(&client.book());
    let handle = globals().clients.insert(client).map_err(|_| Status::AllocFail)?;
    let address = usize::try_from(handle).map_err(|_| Status::AllocFail)?;
    Ok(core::ptr::without_provenance_mut(address))
}

/// # Errors
///
/// `bad_param`.
pub(crate) fn remove(client: srtp_t) -> Result<(), Status> {
    let session = with(client, |client, _| {
        let mut book = client.book();
        if core::mem::replace(&mut book.closed, true) {
            return Err(Status::BadParam);
        }
        // Relaxed: it changes under the book only, which is held.
        Ok(client.handle.load(Ordering::Relaxed))
    })?;
    // In this order (invariant 2).
    globals().clients.remove(handle(client));
    globals().sessions.remove(session);
    Ok(())
}

/// Runs `body` with a client and a guard.
///
/// # Errors
///
/// `bad_param` if there is no such client; what `body` says.
#[inline]
pub(crate) fn with<T>(
    client: srtp_t,
    body: impl FnOnce(&Client, &Guard<'_>) -> Result<T, Status>,
) -> Result<T, Status> {
    let globals = globals();
    let guard = globals.domain.pin();
    body(globals.clients.get(handle(client), &guard).ok_or(Status::BadParam)?, &guard)
}

impl Client {
    /// Its session. The guard is the one under which this client was found.
    #[inline]
    pub(crate) fn session<'g>(&self, _guard: &'g Guard<'_>) -> &'g Session {
        // Acquire: pairs with the Release in `replace`: the session is seen as it was made.
        let session = self.session.load(Ordering::Acquire);
        // SAFETY: it was in the registry of sessions when this client was found, and leaves that after the client's pointer or the client was taken away
        // (invariant 2). So it is dropped after the guard, to which the reference is bound, is gone.
        unsafe { &*session }
    }

    /// Puts `session` in the place of the one before, whose book is held.
    ///
    /// # Errors
    ///
    /// `alloc_fail`.
    pub(crate) fn replace(&self, session: Session) -> Result<(), Status> {
        let (handle, session) = keep(session)?;
        // Release: pairs with the Acquire in `session`. In this order (invariant 2).
        self.session.store(session, Ordering::Release);
        // Relaxed: it changes under the book only, which the caller holds.
        let old = self.handle.swap(handle, Ordering::Relaxed);
        globals().sessions.remove(old);
        Ok(())
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its policies, to be changed or asked.
    ///
    /// # Errors
    ///
    /// `bad_param` if the client is gone.
    pub(crate) fn policies(&self) -> Result<MutexGuard<'_, Book>, Status> {
        let book = self.book();
        if book.closed { Err(Status::BadParam) } else { Ok(book) }
    }

    /// The most that protection adds to a packet.
    #[inline]
    pub(crate) fn trailer(&self, protocol: Protocol) -> usize {
        let [rtp, rtcp] = &self.trailers;
        let trailer = if protocol == Protocol::Rtp { rtp } else { rtcp };
        // Relaxed: a packet for which it is out of date is refused for want of room, by the core.
        trailer.load(Ordering::Relaxed)
    }

    /// Asks the session again, whose policies have changed.
    pub(crate) fn ask_for_trailers(&self, guard: &Guard<'_>) {
        for (trailer, now) in self.trailers.iter().zip(self.session(guard).trailers()) {
            // Relaxed: as in `trailer`.
            trailer.store(now, Ordering::Relaxed);
        }
    }

    /// Whether packets must be looked at for their policies' MKIs, from here on.
    pub(crate) fn look_for_mkis(&self, book: &Book) {
        if book.all().any(|bound| bound.policy.mki_len() > 0 || bound.policy.keys.len() > 1) {
            // Relaxed: whoever sees it takes the book.
            self.has_mkis.store(true, Ordering::Relaxed);
        }
    }
}

/// A session for all of a book's policies.
///
/// # Errors
///
/// What the core says of keys.
pub(crate) fn build(book: &mut Book) -> Result<Session, Status> {
    let session = Session::of(book.template.as_ref().map(|bound| &bound.policy))?;
    if let Some(bound) = &mut book.template {
        bound.sending = session.outbound.keys().iter().map(|key| key.id).collect();
        for key in bound.policy.keys.iter().skip(1) {
            bound.sending.push(session.outbound.add_key(key.master_key()?)?);
        }
        bound.sends_under = 0;
    }
    for (ssrc, bound) in &mut book.streams {
        bound.give(&session, *ssrc)?;
    }
    Ok(session)
}

impl Session {
    /// Of a template, or without one.
    fn of(template: Option<&Policy>) -> Result<Self, Status> {
        let builder = || match template {
            Some(policy) => policy.builder(),
            None => Ok(Shape::plain().builder()),
        };
        Ok(Self {
            inbound: builder()?.new_streams(NewStreams::AtFirstPacket).build(domain())?.inbound().clone(),
            has_template: template.is_some(),
            outbound: builder()?.new_streams(NewStreams::ByCall).build(domain())?.outbound().clone(),
        })
    }

    fn trailers(&self) -> [usize; 2] {
        [self.outbound.rtp_overhead(), self.outbound.rtcp_overhead()]
    }

    /// Has the sender take in a stream of the template.
    ///
    /// # Errors
    ///
    /// What the core says of it; not that another thread was quicker.
    pub(crate) fn begin_sending(&self, ssrc: u32) -> Result<(), Status> {
        match self.outbound.add_stream(ssrc, Roc(0), FIRST_SRTCP_INDEX) {
            Ok(()) | Err(Error::StreamExists) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// libsrtp2 counts SRTCP packets from here.
const FIRST_SRTCP_INDEX: u32 = 1;

impl Bound {
    pub(crate) const fn new(policy: Policy) -> Self {
        Self { policy, sending: Vec::new(), sends_under: 0 }
    }

    /// Gives an SSRC its keys, in both directions.
    ///
    /// # Errors
    ///
    /// What the core says of keys.
    pub(crate) fn give(&mut self, session: &Session, ssrc: u32) -> Result<(), Status> {
        // With the window that it is to keep. One that is there goes on.
        let options = StreamOptions::starting_at(Roc(0)).srtcp_index(FIRST_SRTCP_INDEX);
        match session.outbound.add_stream_with(ssrc, options.replay_window(self.policy.shape.window)) {
            Ok(()) | Err(Error::StreamExists) => {}
            Err(error) => return Err(error.into()),
        }
        let theirs = session.inbound.give_ssrc_keys(ssrc, self.policy.builder()?)?;
        let ours = match session.outbound.give_ssrc_keys(ssrc, self.policy.builder()?) {
            Ok(ours) => ours,
            Err(error) => {
                theirs.take_away()?;
                return Err(error.into());
            }
        };
        self.sending = ours.keys().iter().map(|key| key.id).collect();
        for key in self.policy.keys.iter().skip(1) {
            self.sending.push(ours.add_key(key.master_key()?)?);
        }
        self.sends_under = 0;
        Ok(())
    }
}

/// Takes from an SSRC what keys it has to itself.
pub(crate) fn take_away(session: &Session, ssrc: u32) {
    let keys = [session.inbound.ssrc_keys(ssrc), session.outbound.ssrc_keys(ssrc)];
    for keys in keys.into_iter().flatten() {
        // Nobody else takes them: the book is held.
        let _ = keys.take_away();
    }
}
