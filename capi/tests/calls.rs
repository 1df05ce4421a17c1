//! What the calls do, seen from where C stands.

#![allow(clippy::multiple_unsafe_ops_per_block)] // What they share is said once.

mod common;

use common::*;
use core::ffi::{CStr, c_void};
use core::ptr;
use keyflip_c::*;
use std::sync::Mutex;

const IN: keyflip_direction = keyflip_direction::Inbound;
const OUT: keyflip_direction = keyflip_direction::Outbound;

#[test]
fn packets_survive_a_rekey_and_grace_ends_by_call() {
    let session = session(1);
    let (mut before, mut after, mut late) = (packet(1), packet(2), packet(3));
    assert_eq!((protect(session, &mut before, PLAIN), protect(session, &mut late, PLAIN)), (182, 182));
    assert_eq!((rekey(session, OUT, 2), rekey(session, IN, 2)), (0, 0));
    assert_eq!(rekey(session, IN, 2), KEYFLIP_REKEY_UNCHANGED);
    assert_eq!(protect(session, &mut after, PLAIN), 182);
    assert_eq!(unprotect(session, &mut after[..SEALED]), 172);
    assert_eq!(unprotect(session, &mut before[..SEALED]), 172, "in flight");
    assert_eq!(before[..PLAIN], packet(1)[..PLAIN]);
    assert_eq!(unprotect(session, &mut after[..SEALED]), keyflip_err::Replayed as i32);
    assert_eq!(keyflip_end_grace(session), 0);
    let kept = late;
    assert_eq!(unprotect(session, &mut late[..SEALED]), keyflip_err::AuthenticationFailed as i32);
    assert_eq!(late, kept, "untouched");
    assert_eq!(keyflip_session_free(session), 0);
}

#[test]
fn a_rekey_without_grace_refuses_what_is_in_flight() {
    let session = session(1);
    let mut before = packet(1);
    assert_eq!(protect(session, &mut before, PLAIN), 182);
    let octets = [9; 30];
    let mut options =
        keyflip_rekey_options { size: size_of::<keyflip_rekey_options>(), roc: 0, flags: KEYFLIP_REKEY_NO_GRACE };
    let mut id = 0;
    // SAFETY: all of it lives during the call.
    let mut again =
        |options: &keyflip_rekey_options| unsafe { keyflip_rekey(session, IN as u32, &key(&octets), options, &mut id) };
    assert_eq!(again(&options), 0);
    options.flags = 2;
    assert_eq!(again(&options), keyflip_err::BadFlags as i32);
    assert_ne!(id, 0);
    assert_eq!(unprotect(session, &mut before[..SEALED]), keyflip_err::AuthenticationFailed as i32);
    assert_eq!(keyflip_session_free(session), 0);
}

#[test]
fn keys_are_staged_added_chosen_listed_and_retired() {
    let session = session(1);
    let (mut staged, mut added, mut count) = (0, 0, 0);
    // SAFETY: all of it lives during the calls.
    unsafe {
        assert_eq!(keyflip_activate_staged_key(session, ptr::null(), ptr::null_mut()), keyflip_err::NoStagedKey as i32);
        assert_eq!(keyflip_stage_key(session, &key(&[2; 30]), &mut staged), 0);
        assert_eq!(keyflip_activate_staged_key(session, ptr::null(), ptr::null_mut()), 0);
        assert_eq!(keyflip_add_key(session, OUT as u32, &key(&[3; 30]), &mut added), 0);
        assert_eq!(keyflip_retire_key(session, OUT as u32, staged), keyflip_err::KeyIsCurrent as i32);
        assert_eq!(keyflip_use_key(session, OUT as u32, added), 0);
        let mut keys = core::mem::zeroed::<[keyflip_key_info; 2]>();
        assert_eq!(keyflip_keys(session, OUT as u32, keys.as_mut_ptr(), 2, &mut count), 0);
        assert_eq!((count, keys.map(|key| (key.id, key.role))), (2, [(added, 1), (staged, 3)]));
        assert_eq!(keys[0].srtp_packets_left, 1 << 48);
        assert_eq!(keyflip_retire_key(session, OUT as u32, staged), 0);
        assert_eq!(keyflip_keys(session, OUT as u32, ptr::null_mut(), 0, &mut count), 0);
        assert_eq!(count, 1);
        assert_eq!(keyflip_use_key(session, OUT as u32, 0), keyflip_err::UnknownKey as i32);
    }
    assert_eq!(keyflip_session_free(session), 0);
}

#[test]
fn keys_are_told_apart_by_mki_and_checked_for_length() {
    let (octets, salt, mki) = ([7; 16], [8; 14], [1, 2, 3, 4]);
    let key = keyflip_key { salt: salt.as_ptr(), salt_len: 14, mki: mki.as_ptr(), mki_len: 4, ..key(&octets) };
    let config = keyflip_session_config { inbound: &key, inbound_count: 1, outbound: &key, ..config() };
    let mut session = 0;
    let make = |config: &keyflip_session_config, session: &mut u64| {
        // SAFETY: all of it lives during the call.
        unsafe { keyflip_session_new(config, session) }
    };
    assert_eq!(make(&config, &mut session), 0);
    assert_eq!(keyflip_overhead(session, 1), 14);
    assert_eq!(keyflip_overhead(session, 2), 18);
    let mut packet = packet(1);
    assert_eq!(protect(session, &mut packet, PLAIN), 186);
    assert_eq!(packet[172..176], mki);
    assert_eq!(unprotect(session, &mut packet[..186]), 172);
    let short = keyflip_key { salt_len: 13, ..key };
    assert_eq!(
        make(&keyflip_session_config { outbound: &short, ..config }, &mut 0),
        keyflip_err::WrongSaltLength as i32
    );
    let long = keyflip_key { key_len: 65, ..common::key(&[0; 65]) };
    assert_eq!(make(&keyflip_session_config { outbound: &long, ..config }, &mut 0), keyflip_err::WrongKeyLength as i32);
    assert_eq!(keyflip_session_free(session), 0);
}

#[test]
fn streams_are_announced_listed_moved_and_removed() {
    let session = session(1);
    let (mut roc, mut count) = (0, 0);
    assert_eq!(keyflip_stream_add(session, OUT as u32, 0xcafe_babe, 5, 0), 0);
    assert_eq!(keyflip_stream_add(session, IN as u32, 0xcafe_babe, 5, 0), 0);
    assert_eq!(keyflip_stream_add(session, IN as u32, 1, 0, 1), keyflip_err::BadArgument as i32);
    let mut packet = packet(9);
    assert_eq!(protect(session, &mut packet, PLAIN), 182);
    assert_eq!(unprotect(session, &mut packet[..SEALED]), 172);
    assert_eq!(keyflip_stream_set_roc(session, OUT as u32, 0xcafe_babe, 4), keyflip_err::IndexBackward as i32);
    assert_eq!(keyflip_stream_set_roc(session, OUT as u32, 0xcafe_babe, 6), 0);
    // SAFETY: all of it lives during the calls.
    unsafe {
        assert_eq!(keyflip_stream_roc(session, OUT as u32, 0xcafe_babe, &mut roc), 0);
        assert_eq!(roc, 6);
        let mut streams = core::mem::zeroed::<[keyflip_stream_info; 2]>();
        assert_eq!(keyflip_streams(session, IN as u32, streams.as_mut_ptr(), 2, &mut count), 0);
        assert_eq!((count, streams[0].ssrc, streams[0].roc, streams[0].rtp.packets), (1, 0xcafe_babe, 5, 1));
        assert_eq!(streams[0].rtp.next_index, (5 << 16) + 10);
        let mut refused = core::mem::zeroed::<keyflip_refused>();
        refused.size = size_of::<keyflip_refused>();
        unprotect(session, &mut packet[..20]);
        assert_eq!(keyflip_refused_counters(session, IN as u32, &mut refused), 0);
        assert_eq!(refused.malformed, 1);
    }
    assert_eq!(keyflip_stream_remove(session, IN as u32, 0xcafe_babe), 0);
    assert_eq!(keyflip_stream_remove(session, IN as u32, 0xcafe_babe), keyflip_err::NoSuchStream as i32);
    assert_eq!(keyflip_session_free(session), 0);
}

#[test]
fn replaced_keys_are_wiped_and_counted() {
    let mut domain = 0;
    // SAFETY: it lives during the call.
    assert_eq!(unsafe { keyflip_domain_new(0, 0, &mut domain) }, 0);
    let session = session_in(domain, 1);
    assert_eq!((rekey(session, IN, 2), rekey(session, OUT, 2), keyflip_end_grace(session)), (0, 0, 0));
    let wiped = || {
        // SAFETY: integers, for which zero is a value; all of it lives during the calls.
        unsafe {
            let mut count = 7;
            assert_eq!(keyflip_synchronize(domain, 20_000, ptr::null_mut(), 0, &mut count), 0);
            let mut stats = core::mem::zeroed::<keyflip_domain_stats>();
            stats.size = size_of::<keyflip_domain_stats>();
            assert_eq!((keyflip_domain_counters(domain, &mut stats), count), (0, 0));
            (stats.keys_created, stats.keys_wiped, stats.items_waiting)
        }
    };
    assert_eq!(wiped(), (4, 2, 0));
    assert_eq!(keyflip_session_free(session), 0);
    assert_eq!(wiped(), (4, 4, 0), "a freed session's keys, too");
    assert_eq!(keyflip_domain_free(domain), 0);
}

static HANDLED: Mutex<Vec<(u64, u32, u64)>> = Mutex::new(Vec::new());

unsafe extern "C" fn handler(event: *const keyflip_event, user: *mut c_void) {
    // SAFETY: the event lives during the call.
    let event = unsafe { *event };
    // It may call anything.
    rekey(event.session, OUT, 77);
    keyflip_session_free(event.session);
    HANDLED.lock().unwrap().push((event.session, event.direction, user.addr() as u64));
}

fn with_soft_limit(domain: u64) -> u64 {
    let octets = [1; 30];
    let key = key(&octets);
    let limits = keyflip_session_config { srtp_lifetime: 100, srtp_soft_limit: 50, ..config() };
    let config = keyflip_session_config { domain, outbound: &key, ..limits };
    let mut session = 0;
    // SAFETY: all of it lives during the call.
    assert_eq!(unsafe { keyflip_session_new(&config, &mut session) }, 0);
    session
}

#[test]
fn events_are_polled_or_handled() {
    let (mut polled, mut handled) = (0, 0);
    // SAFETY: integers, for which zero is a value; all of it lives during the calls.
    unsafe {
        let mut event = core::mem::zeroed::<keyflip_event>();
        assert_eq!(keyflip_next_event(0, &mut event), keyflip_err::BadSize as i32);
        event.size = size_of::<keyflip_event>();
        assert_eq!(keyflip_domain_new(0, 0, &mut polled), 0);
        assert_eq!(keyflip_domain_new(0, 0, &mut handled), 0);
        let session = with_soft_limit(polled);
        assert_eq!(keyflip_next_event(polled, &mut event), 0);
        for seq in 0..60 {
            assert_eq!(protect(session, &mut packet(seq), PLAIN), 182);
        }
        assert_eq!(keyflip_next_event(polled, &mut event), 1);
        assert_eq!((event.kind, event.session, event.direction, event.protocol), (1, session, 2, 1));
        assert!(event.packets_left <= 50);
        assert_eq!(keyflip_next_event(polled, &mut event), 0);

        let user = ptr::without_provenance_mut(5);
        assert_eq!(keyflip_on_event(handled, Some(handler), user), 0);
        assert_eq!(keyflip_on_event(handled, Some(handler), user), keyflip_err::HandlerSet as i32);
        let other = with_soft_limit(handled);
        for seq in 0..60 {
            let outcome = protect(other, &mut packet(seq), PLAIN);
            assert!(outcome == 182 || outcome == keyflip_err::BadHandle as i32, "{outcome}");
        }
        let start = std::time::Instant::now();
        while HANDLED.lock().unwrap().is_empty() && start.elapsed().as_secs() < 20 {
            std::thread::yield_now();
        }
        assert_eq!(*HANDLED.lock().unwrap(), [(other, 2, 5)]);
        assert_eq!(protect(other, &mut packet(99), PLAIN), keyflip_err::BadHandle as i32);
        assert_eq!(keyflip_session_free(session), 0);
    }
    assert_eq!((keyflip_domain_free(polled), keyflip_domain_free(handled)), (0, 0));
}

#[test]
fn other_events_are_raised_where_they_are_watched() {
    let mut domain = 0;
    // SAFETY: it lives during the call.
    assert_eq!(unsafe { keyflip_domain_new(0, 0, &mut domain) }, 0);
    let bad = keyflip_err::BadArgument as i32;
    assert_eq!((keyflip_watch_events(domain, 0), keyflip_watch_events(domain, 99)), (bad, bad));
    let session = session_in(domain, 1);
    let next = || {
        // SAFETY: integers, for which zero is a value; it lives during the call.
        unsafe {
            let mut event = core::mem::zeroed::<keyflip_event>();
            event.size = size_of::<keyflip_event>();
            let there = keyflip_next_event(domain, &mut event);
            (there == 1).then_some((event.kind, event.session, event.direction, event.ssrc, event.key_id))
        }
    };
    assert_eq!((protect(session, &mut packet(1), PLAIN), next()), (182, None), "nobody asked");
    let (added, retired) = (keyflip_event_kind::StreamAdded as u32, keyflip_event_kind::KeyRetired as u32);
    assert_eq!((keyflip_watch_events(domain, added), keyflip_watch_events(domain, retired)), (0, 0));
    let mut sealed = packet(2);
    assert_eq!(protect(session, &mut sealed, PLAIN), 182);
    assert_eq!(unprotect(session, &mut sealed[..SEALED]), 172);
    assert_eq!(next(), Some((added, session, 1, 0xcafe_babe, 0)));
    assert_eq!(rekey(session, OUT, 9), 0);
    let event = next().unwrap();
    assert_eq!((event.0, event.1, event.2, event.3, event.4 > 0), (retired, session, 2, 0, true));
    assert_eq!((keyflip_acknowledge_events(session, 1), keyflip_acknowledge_events(session, 3)), (0, bad));
    assert_eq!((keyflip_session_free(session), keyflip_domain_free(domain)), (0, 0));
}

#[test]
fn texts_are_there_for_every_number() {
    let text = |pointer| {
        // SAFETY: constant texts.
        unsafe { CStr::from_ptr(pointer) }.to_str().unwrap()
    };
    assert_eq!(text(keyflip_error_name(keyflip_err::Replayed as i32)), "KEYFLIP_ERR_REPLAYED");
    assert_eq!(text(keyflip_error_text(keyflip_err::Replayed as i32)), "packet index was accepted before");
    assert_eq!((text(keyflip_error_name(0)), text(keyflip_error_name(182))), ("KEYFLIP_OK", "KEYFLIP_OK"));
    assert_eq!(text(keyflip_error_name(-7)), "KEYFLIP_ERR_UNKNOWN");
    assert_eq!(keyflip_error_fault(keyflip_err::Replayed as i32), keyflip_fault::Peer as u32);
    assert_eq!(keyflip_error_fault(keyflip_err::NullPointer as i32), keyflip_fault::Caller as u32);
    assert_eq!(text(keyflip_version()), env!("CARGO_PKG_VERSION"));
    assert_eq!(text(keyflip_profile_name(7)), "AEAD_AES_128_GCM");
    assert!(keyflip_profile_name(99).is_null());
    // SAFETY: a text; octets.
    unsafe {
        assert_eq!(keyflip_profile_of_name(c"AES_CM_128_HMAC_SHA1_32".as_ptr()), 2);
        assert_eq!(keyflip_profile_of_name(c"AES".as_ptr()), keyflip_err::UnknownProfile as i32);
        assert_eq!(keyflip_classify(packet(1).as_ptr(), 172), keyflip_kind::Rtp as i32);
        let mut secret = [7u8; 9];
        assert_eq!((keyflip_wipe(secret.as_mut_ptr(), 9), secret), (0, [0; 9]));
    }
}
