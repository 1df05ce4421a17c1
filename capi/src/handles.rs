//! Handles: what C holds of domains and sessions.
//!
//! 1. A handle is a number that is checked, never a pointer: [`Registry`] says what it names, if anything.
//! 2. Both registries are of the default domain. A call looks its handle up under a guard of that, which serves the sessions of that domain, too;
//!    sessions of other domains are used under a second one.
//! 3. On the data path nothing is locked or counted. Calls that change keys or streams hold a session of their own instead of a guard, so that they
//!    hold up no wiping.

use crate::boundary::Outcome;
use crate::error::keyflip_err;
use arrayvec::ArrayVec;
use keyflip::{ContextId, Domain, Guard, Inbound, Outbound, Registry, Session};
use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Which of the kinds a handle names: its highest octet.
const DOMAINS: u8 = 0x64;
const SESSIONS: u8 = 0x73;

/// The default domain's handle.
pub(crate) const DEFAULT: u64 = 0;

/// A domain as C knows it.
pub(crate) struct Realm {
    pub(crate) domain: Domain,
    /// It has a handler already.
    pub(crate) handled: OnceLock<()>,
}

/// A session as C knows it.
struct Entry {
    session: Session,
    /// Its domain, if that is not the default one.
    other: Option<Other>,
}

/// A domain that is not the default one, and the handle it was given by.
pub(crate) struct Other {
    handle: u64,
    domain: Domain,
}

/// A direction of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Inbound,
    Outbound,
}

struct Handles {
    default: Realm,
    realms: Registry<Realm>,
    sessions: Registry<Entry>,
    /// Whose events are whose.
    owners: Mutex<HashMap<ContextId, (u64, Direction)>>,
}

fn handles() -> &'static Handles {
    static HANDLES: OnceLock<Handles> = OnceLock::new();
    HANDLES.get_or_init(|| {
        let domain = Domain::new();
        Handles {
            realms: Registry::new(&domain, DOMAINS),
            sessions: Registry::new(&domain, SESSIONS),
            owners: Mutex::default(),
            default: Realm { domain, handled: OnceLock::new() },
        }
    })
}

/// The domain of all handles.
pub(crate) fn default_domain() -> &'static Domain {
    &handles().default.domain
}

/// # Errors
///
/// [`keyflip_err::TooManyHandles`].
pub(crate) fn add_domain(domain: Domain) -> Outcome<u64> {
    let realm = Realm { domain, handled: OnceLock::new() };
    handles().realms.insert(realm).map_err(|_| keyflip_err::TooManyHandles)
}

/// # Errors
///
/// [`keyflip_err::BadHandle`], for the default domain, too.
pub(crate) fn remove_domain(handle: u64) -> Outcome<()> {
    if handles().realms.remove(handle) { Ok(()) } else { Err(keyflip_err::BadHandle) }
}

/// # Errors
///
/// [`keyflip_err::BadHandle`]; what `body` says.
pub(crate) fn with_realm<T>(handle: u64, body: impl FnOnce(&Realm) -> Outcome<T>) -> Outcome<T> {
    let handles = handles();
    if handle == DEFAULT {
        return body(&handles.default);
    }
    let guard = handles.default.domain.pin();
    body(handles.realms.get(handle, &guard).ok_or(keyflip_err::BadHandle)?)
}

/// The domain of a handle, to be used without a guard.
///
/// # Errors
///
/// [`keyflip_err::BadHandle`].
pub(crate) fn domain(handle: u64) -> Outcome<Domain> {
    with_realm(handle, |realm| Ok(realm.domain.clone()))
}

/// Takes in a session of the domain with this handle.
///
/// # Errors
///
/// [`keyflip_err::TooManyHandles`].
pub(crate) fn add_session(session: Session, domain: u64) -> Outcome<u64> {
    let handles = handles();
    let other = (domain != DEFAULT).then(|| Other { handle: domain, domain: session.inbound().domain().clone() });
    let ids = [(session.inbound().id(), Direction::Inbound), (session.outbound().id(), Direction::Outbound)];
    let handle = handles.sessions.insert(Entry { session, other }).map_err(|_| keyflip_err::TooManyHandles)?;
    owners().extend(ids.map(|(id, direction)| (id, (handle, direction))));
    Ok(handle)
}

/// # Errors
///
/// [`keyflip_err::BadHandle`].
pub(crate) fn remove_session(handle: u64) -> Outcome<()> {
    let session = session(handle)?;
    if !handles().sessions.remove(handle) {
        return Err(keyflip_err::BadHandle);
    }
    let mut owners = owners();
    owners.remove(&session.inbound().id());
    owners.remove(&session.outbound().id());
    Ok(())
}

/// The session of a handle, to be used without a guard.
///
/// # Errors
///
/// [`keyflip_err::BadHandle`].
pub(crate) fn session(handle: u64) -> Outcome<Session> {
    with_session(handle, |session, _| Ok(session.clone()))
}

/// # Errors
///
/// As [`session`].
pub(crate) fn inbound(handle: u64) -> Outcome<Inbound> {
    with_session(handle, |session, _| Ok(session.inbound().clone()))
}

/// # Errors
///
/// As [`session`].
pub(crate) fn outbound(handle: u64) -> Outcome<Outbound> {
    with_session(handle, |session, _| Ok(session.outbound().clone()))
}

/// Runs `body` with the session of a handle and a guard for it: the way of packets.
///
/// # Errors
///
/// [`keyflip_err::BadHandle`]; what `body` says.
#[inline]
pub(crate) fn with_session<T>(handle: u64, body: impl FnOnce(&Session, &Guard<'_>) -> Outcome<T>) -> Outcome<T> {
    let handles = handles();
    let guard = handles.default.domain.pin();
    let entry = handles.sessions.get(handle, &guard).ok_or(keyflip_err::BadHandle)?;
    match &entry.other {
        None => body(&entry.session, &guard),
        Some(other) => body(&entry.session, &other.domain.pin()),
    }
}

/// The session of a handle under a guard that is there already, and its domain if that is another.
///
/// # Errors
///
/// [`keyflip_err::BadHandle`].
pub(crate) fn look_up<'g>(handle: u64, guard: &'g Guard<'_>) -> Outcome<(&'g Session, Option<&'g Other>)> {
    let entry = handles().sessions.get(handle, guard).ok_or(keyflip_err::BadHandle)?;
    Ok((&entry.session, entry.other.as_ref()))
}

/// Hands the items of a call over to `work`, those of each domain together, in their order, with a guard of it.
pub(crate) fn by_domain<T, const N: usize>(
    mut items: ArrayVec<(Option<&Other>, T), N>,
    mut work: impl FnMut(&mut Guard<'_>, ArrayVec<T, N>),
) {
    while let Some((first, _)) = items.first() {
        let first = *first;
        let handle_of = |other: Option<&Other>| other.map(|other| other.handle);
        let (mut batch, mut rest) = (ArrayVec::new(), ArrayVec::new());
        for (other, item) in items {
            if handle_of(other) == handle_of(first) {
                batch.push(item);
            } else {
                rest.push((other, item));
            }
        }
        work(&mut first.map_or(default_domain(), |other| &other.domain).pin(), batch);
        items = rest;
    }
}

/// Whose context it is; `None` if its session is gone.
pub(crate) fn owner(context: ContextId) -> Option<(u64, Direction)> {
    owners().get(&context).copied()
}

fn owners() -> std::sync::MutexGuard<'static, HashMap<ContextId, (u64, Direction)>> {
    handles().owners.lock().unwrap_or_else(PoisonError::into_inner)
}
