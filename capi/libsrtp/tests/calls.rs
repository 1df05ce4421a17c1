//! libsrtp2's calls, as a client makes them. What the stock library answers is compared in C (`tests/c/answers.c`).
#![allow(clippy::multiple_unsafe_ops_per_block)] // What they share is said once.

use core::ffi::{c_int, c_void};
use core::ptr;
use keyflip_srtp2::abi::*;
use keyflip_srtp2::*;
use std::sync::atomic::{AtomicU32, Ordering};

const SSRC: u32 = 0x0102_0304;

fn policy(kind: u32, value: u32, key: &mut [u8; 30]) -> srtp_policy_t {
    // SAFETY: integers and pointers, for which zero is a value; a setter writes to its place.
    unsafe {
        let mut policy = core::mem::zeroed::<srtp_policy_t>();
        srtp_crypto_policy_set_rtp_default(&mut policy.rtp);
        srtp_crypto_policy_set_rtcp_default(&mut policy.rtcp);
        srtp_policy_t { ssrc: srtp_ssrc_t { kind, value }, key: key.as_mut_ptr(), ..policy }
    }
}

fn create(kind: u32, value: u32, octet: u8) -> srtp_t {
    let mut session = ptr::null_mut();
    // SAFETY: all of it lives during the call.
    assert_eq!(unsafe { srtp_create(&mut session, &policy(kind, value, &mut [octet; 30])) }, Status::Ok);
    assert!(!session.is_null());
    session
}

fn packet(seq: u8) -> [u8; 200] {
    let mut packet = [seq; 200];
    packet[..12].copy_from_slice(&[0x80, 0, 0, seq, 0, 0, 0, 160, 1, 2, 3, 4]);
    packet
}

type Call = unsafe extern "C" fn(srtp_t, *mut c_void, *mut c_int) -> Status;

fn on(call: Call, session: srtp_t, packet: &mut [u8; 200], len: c_int) -> Result<c_int, Status> {
    let mut len = len;
    // SAFETY: a packet with room behind it.
    match unsafe { call(session, packet.as_mut_ptr().cast(), &mut len) } {
        Status::Ok => Ok(len),
        status => Err(status),
    }
}

#[test]
fn an_ended_session_is_a_bad_parameter_to_every_call() {
    let session = create(ANY_OUTBOUND, 0, 1);
    assert_eq!(on(srtp_protect, session, &mut packet(1), 172), Ok(182));
    srtp_set_user_data(session, ptr::without_provenance_mut(7));
    assert_eq!(srtp_get_user_data(session).addr(), 7);
    assert_eq!((srtp_dealloc(session), srtp_dealloc(session)), (Status::Ok, Status::BadParam));
    for made_up in [session, ptr::null_mut(), ptr::without_provenance_mut(usize::MAX), ptr::without_provenance_mut(1)] {
        for call in [srtp_protect as Call, srtp_unprotect, srtp_protect_rtcp, srtp_unprotect_rtcp] {
            assert_eq!(on(call, made_up, &mut packet(2), 172), Err(Status::BadParam));
        }
        assert_eq!(srtp_remove_stream(made_up, SSRC), Status::BadParam);
        assert_eq!(srtp_set_stream_roc(made_up, SSRC, 1), Status::BadParam);
        assert!(srtp_get_user_data(made_up).is_null());
        // SAFETY: all of it lives during the calls.
        unsafe {
            assert_eq!(srtp_update(made_up, &policy(SPECIFIC, SSRC, &mut [1; 30])), Status::BadParam);
            assert_eq!(srtp_get_stream_roc(made_up, SSRC, &mut 0), Status::BadParam);
        }
    }
}

#[test]
fn null_pointers_and_negative_lengths_are_bad_parameters() {
    let session = create(ANY_INBOUND, 0, 1);
    // SAFETY: what is wrong is seen before anything is touched; the rest lives.
    unsafe {
        assert_eq!(srtp_protect(session, ptr::null_mut(), &mut 20), Status::BadParam);
        assert_eq!(srtp_protect(session, packet(1).as_mut_ptr().cast(), ptr::null_mut()), Status::BadParam);
        assert_eq!(srtp_unprotect(session, packet(1).as_mut_ptr().cast(), &mut -1), Status::BadParam);
        assert_eq!(srtp_create(ptr::null_mut(), ptr::null()), Status::BadParam);
        assert_eq!(srtp_add_stream(session, ptr::null()), Status::BadParam);
        assert_eq!(srtp_update(session, ptr::null()), Status::BadParam);
        assert_eq!(srtp_get_protect_trailer_length(session, 0, 0, ptr::null_mut()), Status::BadParam);
        assert_eq!(srtp_set_stream_use_cryptex(session, ptr::null(), 1), Status::BadParam);
        srtp_crypto_policy_set_rtp_default(ptr::null_mut());
    }
    assert_eq!(srtp_dealloc(session), Status::Ok);
}

#[test]
fn a_refused_packet_is_untouched() {
    let (sender, receiver) = (create(ANY_OUTBOUND, 0, 1), create(ANY_INBOUND, 0, 2));
    let mut sealed = packet(1);
    assert_eq!(on(srtp_protect, sender, &mut sealed, 172), Ok(182));
    let before = sealed;
    assert_eq!(on(srtp_unprotect, receiver, &mut sealed, 182), Err(Status::AuthFail));
    assert_eq!(sealed, before);
    assert_eq!((srtp_dealloc(sender), srtp_dealloc(receiver)), (Status::Ok, Status::Ok));
}

#[test]
fn a_session_goes_on_when_its_template_comes_late_or_turns_to_cryptex() {
    let (sender, receiver) = (create(SPECIFIC, SSRC, 1), create(SPECIFIC, SSRC, 1));
    let both = |call: &dyn Fn(srtp_t) -> Status| assert_eq!((call(sender), call(receiver)), (Status::Ok, Status::Ok));
    let pass = |seq: u8| {
        let mut octets = packet(seq);
        // CSRCs, for Cryptex to hide: of a packet that has an extension.
        octets[0] = 0x90;
        octets[12..16].copy_from_slice(&[0xbe, 0xde, 0, 1]);
        let plain = octets;
        let len = on(srtp_protect, sender, &mut octets, 172).unwrap();
        let hidden = octets[16..20] != plain[16..20];
        assert_eq!(on(srtp_unprotect, receiver, &mut octets, len), Ok(172));
        assert_eq!(octets[..172], plain[..172]);
        hidden
    };
    assert!(!pass(1));
    // SAFETY: all of it lives during the calls.
    both(&|session| unsafe { srtp_add_stream(session, &policy(ANY_INBOUND, 0, &mut [9; 30])) });
    assert!(!pass(2));
    let this = srtp_ssrc_t { kind: SPECIFIC, value: SSRC };
    // SAFETY: as above.
    both(&|session| unsafe { srtp_set_stream_use_cryptex(session, &this, 1) });
    assert!(pass(3), "an extension is hidden by Cryptex");
    // SAFETY: as above.
    both(&|session| unsafe { srtp_update_stream(session, &policy(SPECIFIC, SSRC, &mut [3; 30])) });
    assert!(pass(4), "and still is after an update");
    both(&|session| srtp_dealloc(session));
}

static COLLISIONS: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" fn handler(data: *mut srtp_event_data_t) {
    // SAFETY: it lives during the call.
    let data = unsafe { *data };
    if (data.event, data.ssrc) == (COLLISION, SSRC) {
        // It may call anything.
        assert_eq!(srtp_dealloc(data.session), Status::Ok);
        COLLISIONS.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_handler_hears_of_a_collision_and_may_end_the_session() {
    let (sender, receiver) = (create(ANY_OUTBOUND, 0, 5), create(ANY_INBOUND, 0, 5));
    assert_eq!(srtp_install_event_handler(Some(handler)), Status::Ok);
    let mut sealed = packet(1);
    assert_eq!(on(srtp_protect, sender, &mut sealed, 172), Ok(182));
    assert_eq!(on(srtp_unprotect, receiver, &mut sealed, 182), Ok(172));
    assert_eq!(COLLISIONS.load(Ordering::Relaxed), 0);
    assert_eq!(on(srtp_protect, receiver, &mut packet(2), 172), Ok(182));
    assert_eq!(COLLISIONS.load(Ordering::Relaxed), 1);
    assert_eq!(on(srtp_protect, receiver, &mut packet(3), 172), Err(Status::BadParam));
    assert_eq!(srtp_install_event_handler(None), Status::Ok);
    assert_eq!(srtp_dealloc(sender), Status::Ok);
}
