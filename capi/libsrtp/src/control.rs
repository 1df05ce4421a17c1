//! Sessions, streams and their keys.

use crate::abi::*;
use crate::policy::{Policy, Whose};
use crate::sessions::{self, Book, Bound, Client, Session, build, take_away};
use core::ffi::c_uint;
use keyflip::{Guard, Roc};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a call. No panic passes.
pub(crate) fn call(body: impl FnOnce() -> Result<(), Status>) -> Status {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => Status::Ok,
        Ok(Err(status)) => status,
        Err(_) => Status::Fail,
    }
}

/// Copies the policy at a pointer.
///
/// # Safety
///
/// As [`Policy::read`]; null is an error.
unsafe fn read(policy: *const srtp_policy_t) -> Result<Policy, Status> {
    // SAFETY: null, or as this function's.
    let policy = unsafe { policy.as_ref() }.ok_or(Status::BadParam)?;
    // SAFETY: as this function's.
    unsafe { Policy::read(policy) }
}

/// Copies a list of policies.
///
/// # Safety
///
/// As [`read`].
unsafe fn read_list(mut policy: *const srtp_policy_t) -> Result<Vec<Policy>, Status> {
    let mut list = Vec::new();
    // SAFETY: null ends the list; else as this function's.
    while let Some(next) = unsafe { policy.as_ref() } {
        // SAFETY: as this function's.
        list.push(unsafe { Policy::read(next) }?);
        policy = next.next;
    }
    Ok(list)
}

/// Makes a session of a list of policies, which may be empty.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn srtp_create(session: *mut srtp_t, policy: *const srtp_policy_t) -> Status {
    // SAFETY: null, or a place that the caller may write.
    let Some(place) = (unsafe { session.as_mut() }) else { return Status::BadParam };
    *place = core::ptr::null_mut();
    call(|| {
        let mut book = Book::default();
        // SAFETY: the caller's policies.
        for policy in unsafe { read_list(policy) }? {
            match policy.whose {
                Whose::Template if book.template.is_some() => return Err(Status::BadParam),
                Whose::Template => book.template = Some(Bound::new(policy)),
                Whose::Ssrc(ssrc) => drop(book.streams.insert(ssrc, Bound::new(policy))),
            }
        }
        let session = build(&mut book)?;
        *place = sessions::add(session, book)?;
        Ok(())
    })
}

/// Ends a session. Calls that other threads are inside of end as if it were still there; later ones are `bad_param`.
#[unsafe(no_mangle)]
pub extern "C" fn srtp_dealloc(session: srtp_t) -> Status {
    call(|| sessions::remove(session))
}

/// Runs `body` with a client's session and its policies.
fn control(
    client: srtp_t,
    body: impl FnOnce(&Client, &Session, &mut Book) -> Result<(), Status>,
) -> Result<(), Status> {
    sessions::with(client, |client, guard: &Guard<'_>| {
        let mut book = client.policies()?;
        let outcome = body(client, client.session(guard), &mut book);
        client.look_for_mkis(&book);
        client.ask_for_trailers(guard);
        outcome
    })
}

/// Adds a stream, in the place of one of its SSRC, or the template if there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn srtp_add_stream(session: srtp_t, policy: *const srtp_policy_t) -> Status {
    call(|| {
        // SAFETY: the caller's policy.
        let policy = unsafe { read(policy) }?;
        control(session, |client, session, book| match policy.whose {
            Whose::Template if book.template.is_some() => Err(Status::BadParam),
            Whose::Template => {
                book.template = Some(Bound::new(policy));
                rebuild(client, session, book).inspect_err(|_| book.template = None)
            }
            Whose::Ssrc(ssrc) => {
                take_away(session, ssrc);
                book.streams.remove(&ssrc);
                forget(session, ssrc);
                client.directions.forget(ssrc);
                let mut bound = Bound::new(policy);
                bound.give(session, ssrc)?;
                book.streams.insert(ssrc, bound);
                Ok(())
            }
        })
    })
}

/// Removes a stream, of an SSRC in network order.
#[unsafe(no_mangle)]
pub extern "C" fn srtp_remove_stream(session: srtp_t, ssrc: c_uint) -> Status {
    let ssrc = u32::from_be(ssrc);
    call(|| {
        control(session, |client, session, book| {
            take_away(session, ssrc);
            let had_policy = book.streams.remove(&ssrc).is_some();
            client.directions.forget(ssrc);
            if forget(session, ssrc) || had_policy { Ok(()) } else { Err(Status::NoCtx) }
        })
    })
}

/// Forgets a stream, in both directions; says whether there was one.
fn forget(session: &Session, ssrc: u32) -> bool {
    let received = session.inbound.forget_stream(ssrc).is_ok();
    session.outbound.forget_stream(ssrc).is_ok() || received
}

/// Replaces the keys of all streams that a list of policies names; their indices go on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn srtp_update(session: srtp_t, policy: *const srtp_policy_t) -> Status {
    call(|| {
        // SAFETY: the caller's policies.
        let list = unsafe { read_list(policy) }?;
        if list.is_empty() {
            return Err(Status::BadParam);
        }
        list.into_iter()
            .try_for_each(|policy| control(session, |client, session, book| update(client, session, book, policy)))
    })
}

/// Replaces the keys of a stream, or of all that have the template's; their indices go on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn srtp_update_stream(session: srtp_t, policy: *const srtp_policy_t) -> Status {
    call(|| {
        // SAFETY: the caller's policy.
        let policy = unsafe { read(policy) }?;
        control(session, |client, session, book| update(client, session, book, policy))
    })
}

fn update(client: &Client, session: &Session, book: &mut Book, mut policy: Policy) -> Result<(), Status> {
    match policy.whose {
        Whose::Template => {
            let old = book.template.as_mut().ok_or(Status::BadParam)?;
            policy.shape.cryptex = old.policy.shape.cryptex;
            if is_rekey(&old.policy, &policy)
                && let Some(key) = policy.keys.first()
            {
                session.inbound.rekey(key.master_key()?)?;
                let sending = session.outbound.rekey(key.master_key()?)?.key();
                *old = Bound { policy, sending: vec![sending], sends_under: 0 };
                return Ok(());
            }
            let old = book.template.replace(Bound::new(policy));
            rebuild(client, session, book).inspect_err(|_| book.template = old)
        }
        Whose::Ssrc(ssrc) => {
            let is_there = session.inbound.roc(ssrc).is_ok() || session.outbound.roc(ssrc).is_ok();
            if let Some(old) = book.streams.get_mut(&ssrc) {
                policy.shape.cryptex = old.policy.shape.cryptex;
                let keys = (session.inbound.ssrc_keys(ssrc), session.outbound.ssrc_keys(ssrc));
                if is_rekey(&old.policy, &policy)
                    && let ((Some(theirs), Some(ours)), Some(key)) = (keys, policy.keys.first())
                {
                    theirs.rekey(key.master_key()?)?;
                    let sending = ours.rekey(key.master_key()?)?.key();
                    *old = Bound { policy, sending: vec![sending], sends_under: 0 };
                    return Ok(());
                }
            } else if !is_there {
                return Err(Status::BadParam);
            }
            take_away(session, ssrc);
            book.streams.remove(&ssrc);
            let mut bound = Bound::new(policy);
            bound.give(session, ssrc)?;
            book.streams.insert(ssrc, bound);
            Ok(())
        }
    }
}

/// Whether nothing but the one key differs: then one pointer is swapped, and no packet is lost.
fn is_rekey(old: &Policy, new: &Policy) -> bool {
    old.shape == new.shape && (old.keys.len(), new.keys.len()) == (1, 1) && old.mki_len() == new.mki_len()
}

/// Makes a session of what the book says now, in which all streams go on where they were.
fn rebuild(client: &Client, old: &Session, book: &mut Book) -> Result<(), Status> {
    let new = build(book)?;
    for stream in old.inbound.streams() {
        let roc = Roc(stream.rtp.cycle);
        if new.inbound.add_stream(stream.ssrc, roc).is_err() {
            new.inbound.force_roc(stream.ssrc, roc)?;
        }
    }
    for stream in old.outbound.streams() {
        let roc = Roc(stream.rtp.cycle);
        let next = stream.rtcp.highest_index.map_or(0, |highest| (highest + 1) & 0x7fff_ffff);
        let next = u32::try_from(next).unwrap_or_default();
        if new.outbound.add_stream(stream.ssrc, roc, next.max(1)).is_err() {
            new.outbound.force_roc(stream.ssrc, roc)?;
        }
    }
    client.replace(new)
}

/// Has the next packet of a stream taken at a rollover counter, whatever it was; the SSRC in host order.
#[unsafe(no_mangle)]
pub extern "C" fn srtp_set_stream_roc(session: srtp_t, ssrc: u32, roc: u32) -> Status {
    call(|| {
        control(session, |_, session, _| {
            let received = session.inbound.force_roc(ssrc, Roc(roc)).is_ok();
            let sent = session.outbound.force_roc(ssrc, Roc(roc)).is_ok();
            if received || sent { Ok(()) } else { Err(Status::BadParam) }
        })
    })
}

/// The rollover counter of a stream; the SSRC in host order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn srtp_get_stream_roc(session: srtp_t, ssrc: u32, roc: *mut u32) -> Status {
    // SAFETY: null, or a place that the caller may write.
    let Some(place) = (unsafe { roc.as_mut() }) else { return Status::BadParam };
    call(|| {
        control(session, |_, session, _| {
            let counters = [session.inbound.roc(ssrc), session.outbound.roc(ssrc)];
            // One direction of a stream is in use, as a rule; the other is at 0.
            let Roc(found) = counters.into_iter().flatten().max().ok_or(Status::BadParam)?;
            *place = found;
            Ok(())
        })
    })
}

/// Turns Cryptex (RFC 9335) on or off, for one SSRC or for all that have the template's policy.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn srtp_set_stream_use_cryptex(
    session: srtp_t,
    ssrc: *const srtp_ssrc_t,
    enable: core::ffi::c_int,
) -> Status {
    // SAFETY: null, or the caller's value.
    let Some(whose) = (unsafe { ssrc.as_ref() }) else { return Status::BadParam };
    call(|| {
        control(session, |client, session, book| {
            let bound = match whose.kind {
                SPECIFIC => book.streams.get_mut(&whose.value),
                ANY_INBOUND | ANY_OUTBOUND => book.template.as_mut(),
                _ => None,
            };
            let bound = bound.ok_or(Status::BadParam)?;
            let (before, after) = (bound.policy.shape.cryptex, enable != 0);
            if before == after {
                return Ok(());
            }
            bound.policy.shape.cryptex = after;
            rebuild(client, session, book)
        })
    })
}

/// The most that protection adds to an RTP packet of any stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn srtp_get_protect_trailer_length(
    session: srtp_t,
    use_mki: u32,
    mki_index: u32,
    length: *mut u32,
) -> Status {
    // SAFETY: the caller's place.
    unsafe { trailer(session, false, (use_mki, mki_index), length) }
}

/// The most that protection adds to an RTCP packet of any stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn srtp_get_protect_rtcp_trailer_length(
    session: srtp_t,
    use_mki: u32,
    mki_index: u32,
    length: *mut u32,
) -> Status {
    // SAFETY: the caller's place.
    unsafe { trailer(session, true, (use_mki, mki_index), length) }
}

/// # Safety
///
/// `length` is null, or may be written.
unsafe fn trailer(session: srtp_t, rtcp: bool, (use_mki, index): (u32, u32), length: *mut u32) -> Status {
    // SAFETY: as this function's.
    let Some(place) = (unsafe { length.as_mut() }) else { return Status::BadParam };
    call(|| {
        control(session, |_, _, book| {
            let of = |bound: &Bound| -> Result<usize, Status> {
                let policy = &bound.policy;
                let key = policy.keys.get(usize::try_from(index).unwrap_or(usize::MAX)).ok_or(Status::BadParam)?;
                let mki = if use_mki == 0 { 0 } else { key.mki.len() };
                Ok(policy.shape.tag_len(rtcp) + mki + if rtcp { 4 } else { 0 })
            };
            // As libsrtp2 answers: a template without such a key adds nothing, a stream without is an error.
            let mut most = book.template.as_ref().map(|bound| of(bound).unwrap_or(0));
            for bound in book.streams.values() {
                most = most.max(Some(of(bound)?));
            }
            let most = most.ok_or(Status::BadParam)?;
            *place = u32::try_from(most).map_err(|_| Status::BadParam)?;
            Ok(())
        })
    })
}
