//! Handles and pointers: whatever a caller gives, the answer is an error, never a crash.

#![allow(clippy::multiple_unsafe_ops_per_block)] // What they share is said once.

mod common;

use common::*;
use core::ptr;
use keyflip_c::*;

const BAD_HANDLE: i32 = keyflip_err::BadHandle as i32;

#[test]
fn stale_doubled_foreign_and_made_up_handles_are_errors() {
    let session = session(1);
    let mut domain = 0;
    // SAFETY: it lives during the call.
    assert_eq!(unsafe { keyflip_domain_new(0, 0, &mut domain) }, 0);
    assert_eq!(keyflip_domain_free(session), BAD_HANDLE, "a session is no domain");
    assert_eq!(keyflip_session_free(domain), BAD_HANDLE, "a domain is no session");
    assert_eq!(keyflip_domain_free(KEYFLIP_DEFAULT_DOMAIN), BAD_HANDLE);
    for made_up in [0, 1, u64::MAX, session ^ 1 << 24, session + 1, session | 0xff_ffff, domain ^ 1 << 40] {
        assert_eq!(protect(made_up, &mut packet(1), PLAIN), BAD_HANDLE, "{made_up:x}");
        assert_eq!(keyflip_session_free(made_up), BAD_HANDLE);
        assert_eq!(keyflip_end_grace(made_up), BAD_HANDLE);
    }
    assert_eq!(protect(session, &mut packet(1), PLAIN), 182);
    assert_eq!(keyflip_session_free(session), 0);
    assert_eq!(keyflip_session_free(session), BAD_HANDLE);
    assert_eq!(protect(session, &mut packet(2), PLAIN), BAD_HANDLE);
    let next = common::session(2);
    assert_ne!(next, session, "a place that is taken again has another number");
    assert_eq!(keyflip_session_free(next), 0);
    assert_eq!((keyflip_domain_free(domain), keyflip_domain_free(domain)), (0, BAD_HANDLE));
}

#[test]
fn a_session_outlives_the_handle_of_its_domain() {
    let mut domain = 0;
    // SAFETY: it lives during the call.
    assert_eq!(unsafe { keyflip_domain_new(0, 16, &mut domain) }, 0);
    let session = session_in(domain, 3);
    assert_eq!(keyflip_domain_free(domain), 0);
    let mut packet = packet(1);
    assert_eq!(protect(session, &mut packet, PLAIN), 182);
    assert_eq!(unprotect(session, &mut packet[..SEALED]), 172);
    assert_eq!(keyflip_session_free(session), 0);
}

#[test]
fn null_pointers_and_bad_lengths_are_errors() {
    let session = session(4);
    let null = keyflip_err::NullPointer as i32;
    let mut octets = packet(1);
    let at = octets.as_mut_ptr();
    // SAFETY: what is wrong is seen before anything is touched; the rest lives.
    unsafe {
        assert_eq!(keyflip_protect_rtp(session, ptr::null_mut(), 172, 200), null);
        assert_eq!(keyflip_protect_rtp(session, ptr::null_mut(), 0, 0), null);
        assert_eq!(keyflip_unprotect_rtp(session, ptr::null_mut(), 20), null);
        assert_eq!(keyflip_protect_rtp(session, at, 201, 200), keyflip_err::LengthExceedsBuffer as i32);
        assert_eq!(keyflip_protect_rtp(session, at, 172, 172), keyflip_err::OutputTooSmall as i32);
        assert_eq!(keyflip_unprotect_rtp(session, at, usize::MAX), keyflip_err::BadLength as i32);
        assert_eq!(keyflip_session_new(ptr::null(), &mut 0), null);
        assert_eq!(keyflip_session_new(&config(), ptr::null_mut()), null);
        assert_eq!(keyflip_rekey(session, 1, ptr::null(), ptr::null(), ptr::null_mut()), null);
        assert_eq!(keyflip_keys(session, 1, ptr::null_mut(), 1, &mut 0), null);
        assert_eq!(keyflip_unprotect_batch(ptr::null_mut(), 3), null);
        assert_eq!(keyflip_unprotect_batch(at.wrapping_add(1).cast(), 1), keyflip_err::Misaligned as i32);
        assert_eq!(keyflip_fanout(ptr::null(), 1, ptr::null_mut(), 0), null);
        assert_eq!(keyflip_on_event(0, None, ptr::null_mut()), null);
        assert_eq!(keyflip_profile_of_name(ptr::null()), null);
        assert_eq!(keyflip_unprotect_rtp_to(session, at, 100, at.add(99), 100), keyflip_err::Overlap as i32);
        assert_eq!(keyflip_protect_rtp_to(session, at, 100, at, 200), keyflip_err::Overlap as i32);
    }
    assert_eq!(octets, packet(1), "nothing was touched");
    assert_eq!(keyflip_session_free(session), 0);
}

#[test]
fn numbers_outside_their_enumeration_are_errors() {
    let session = session(5);
    let (bad, mut new) = (keyflip_err::BadArgument as i32, 0);
    assert_eq!(keyflip_stream_add(session, 3, 1, 0, 0), bad);
    assert_eq!(keyflip_stream_add(session, 0, 1, 0, 0), bad);
    assert_eq!(keyflip_overhead(session, 3), bad);
    let mut make = |config: keyflip_session_config| {
        // SAFETY: all of it lives during the call.
        unsafe { keyflip_session_new(&config, &mut new) }
    };
    assert_eq!(make(keyflip_session_config { profile: 0, ..config() }), keyflip_err::UnknownProfile as i32);
    assert_eq!(make(keyflip_session_config { flags: 64, ..config() }), keyflip_err::BadFlags as i32);
    assert_eq!(make(keyflip_session_config { size: 4, ..config() }), keyflip_err::BadSize as i32);
    assert_eq!(make(keyflip_session_config { inbound_roc_on_rekey: 4, ..config() }), bad);
    assert_eq!(make(keyflip_session_config { cryptex: 3, ..config() }), bad);
    assert_eq!(make(keyflip_session_config { reserved: 1, ..config() }), bad);
    assert_eq!(make(keyflip_session_config { grace_packets: 65536, ..config() }), bad);
    assert_eq!(make(keyflip_session_config { grace_keys: 16, ..config() }), keyflip_err::BadGrace as i32);
    assert_eq!(make(keyflip_session_config { flags: 8, grace_keys: 1, ..config() }), bad);
    assert_eq!(make(keyflip_session_config { domain: 7, ..config() }), BAD_HANDLE);
    assert_eq!(make(keyflip_session_config { replay_window: 63, ..config() }), keyflip_err::BadReplayWindow as i32);
    assert_eq!(keyflip_session_free(session), 0);
}

#[test]
fn sessions_are_freed_and_rekeyed_while_others_use_them() {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    let (shared, stop) = (AtomicU64::new(session(7)), AtomicBool::new(false));
    let calls = std::thread::scope(|scope| {
        let reader = || {
            let mut answers = (0u64, 0u64);
            while !stop.load(Ordering::Relaxed) {
                let session = shared.load(Ordering::Relaxed);
                let mut packet = packet(1);
                match protect(session, &mut packet, PLAIN) {
                    // Only one thread is the first.
                    182 => answers.0 += 1,
                    BAD_HANDLE => answers.1 += 1,
                    error => assert_eq!(error, keyflip_err::IndexReused as i32),
                }
            }
            answers
        };
        let readers = [scope.spawn(reader), scope.spawn(reader)];
        for turn in 0..300u64 {
            let old = shared.load(Ordering::Relaxed);
            assert_eq!(rekey(old, keyflip_direction::Outbound, turn.to_le_bytes()[0] | 1 << 7), 0);
            assert_eq!(keyflip_session_free(old), 0);
            if turn % 10 == 0 {
                std::thread::yield_now();
            }
            shared.store(session(7), Ordering::Relaxed);
        }
        stop.store(true, Ordering::Relaxed);
        readers.map(|reader| reader.join().unwrap())
    });
    assert!(calls.iter().map(|answers| answers.0).sum::<u64>() > 0, "{calls:?}");
    assert_eq!(keyflip_session_free(shared.into_inner()), 0);
    // SAFETY: nothing is given.
    assert_eq!(unsafe { keyflip_synchronize(0, 20_000, ptr::null_mut(), 0, ptr::null_mut()) }, 0);
}
