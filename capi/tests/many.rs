//! Batches, fan-outs, and keys from signalling.

#![allow(clippy::multiple_unsafe_ops_per_block)] // What they share is said once.

mod common;

use common::*;
use core::ptr;
use keyflip_c::*;

#[test]
fn a_batch_of_sessions_of_all_domains_is_answered_packet_by_packet() {
    let mut domain = 0;
    // SAFETY: it lives during the call.
    assert_eq!(unsafe { keyflip_domain_new(0, 0, &mut domain) }, 0);
    let sessions = [session(1), session_in(domain, 2), session(3)];
    let mut buffers: Vec<[u8; 200]> = (0..300).map(packet).collect();
    let mut packets: Vec<_> =
        buffers.iter_mut().enumerate().map(|(at, buffer)| batch(sessions[at % 3], buffer, PLAIN)).collect();
    packets[5].session = 99;
    packets[70].protocol = 3;
    packets[71].capacity = 180;
    packets[72].len = 201;
    packets[73].data = ptr::null_mut();
    // SAFETY: slices that live; what is wrong can be seen.
    assert_eq!(unsafe { keyflip_protect_batch(packets.as_mut_ptr(), packets.len()) }, 295);
    let wrong = [
        (5, keyflip_err::BadHandle),
        (70, keyflip_err::BadArgument),
        (71, keyflip_err::OutputTooSmall),
        (72, keyflip_err::LengthExceedsBuffer),
        (73, keyflip_err::NullPointer),
    ];
    for (at, error) in wrong {
        assert_eq!(packets[at].status, error as i32, "{at}");
    }
    let good: Vec<_> = packets.iter().filter(|packet| packet.status == 0).collect();
    assert!(good.len() == 295 && good.iter().all(|packet| packet.len == SEALED));
    let mut received: Vec<_> = packets.iter().filter(|packet| packet.status == 0).copied().collect();
    // SAFETY: as above.
    assert_eq!(unsafe { keyflip_unprotect_batch(received.as_mut_ptr(), received.len()) }, 295);
    assert!(received.iter().all(|packet| (packet.status, packet.len) == (0, PLAIN)));
    assert_eq!(buffers[299][..PLAIN], packet(299)[..PLAIN]);
    // SAFETY: as above.
    assert_eq!(unsafe { keyflip_unprotect_batch(received.as_mut_ptr(), received.len()) }, 0, "once each");
    assert_eq!(sessions.map(|session| keyflip_session_free(session)), [0; 3]);
    assert_eq!(keyflip_domain_free(domain), 0);
}

#[test]
fn packets_that_overlap_are_refused_both_and_harm_no_other() {
    let session = session(1);
    let mut arena = [packet(1), packet(2), packet(3)].concat();
    let at = |offset: usize, arena: &mut Vec<u8>| batch(session, &mut arena[offset..offset + 200], PLAIN);
    let mut packets = [at(400, &mut arena), at(0, &mut arena), at(199, &mut arena)];
    // SAFETY: octets that live.
    assert_eq!(unsafe { keyflip_protect_batch(packets.as_mut_ptr(), 3) }, 1);
    let overlap = keyflip_err::Overlap as i32;
    assert_eq!(packets.map(|packet| packet.status), [0, overlap, overlap]);
    // The array of packets itself, given as a packet.
    packets[1].data = packets.as_mut_ptr().cast();
    packets[2].data = arena.as_mut_ptr();
    // SAFETY: as above.
    assert_eq!(unsafe { keyflip_protect_batch(packets[1..].as_mut_ptr(), 2) }, 1);
    assert_eq!((packets[1].status, packets[2].status), (overlap, 0));
    assert_eq!(keyflip_session_free(session), 0);
}

fn target(session: u64, header: &[u8], output: &mut [u8]) -> keyflip_target {
    keyflip_target {
        session,
        header: header.as_ptr(),
        header_len: header.len(),
        prefix: ptr::null(),
        prefix_len: 0,
        output: output.as_mut_ptr(),
        capacity: output.len(),
        len: 0,
        status: 1,
        reserved: 0,
    }
}

#[test]
fn a_payload_is_fanned_out_under_one_header() {
    let sessions: Vec<u64> = (1..=80).map(session).collect();
    let mut outputs = vec![[0u8; 200]; 80];
    let plain = packet(7);
    let (header, payload) = plain[..PLAIN].split_at(12);
    let mut targets: Vec<_> =
        sessions.iter().zip(&mut outputs).map(|(session, output)| target(*session, header, output)).collect();
    targets[3].prefix = b"own".as_ptr();
    targets[3].prefix_len = 3;
    targets[4].header_len = 11;
    targets[5].output = payload.as_ptr().cast_mut();
    // SAFETY: slices that live; what is wrong can be seen.
    assert_eq!(unsafe { keyflip_fanout(payload.as_ptr(), payload.len(), targets.as_mut_ptr(), 80) }, 78);
    assert_eq!(targets[4].status, keyflip_err::PacketTooShort as i32);
    assert_eq!(targets[5].status, keyflip_err::Overlap as i32);
    assert_eq!(plain, packet(7));
    for at in [0, 3, 79] {
        assert_eq!((targets[at].status, targets[at].len), (0, SEALED));
        assert_eq!(unprotect(sessions[at], &mut outputs[at][..SEALED]), 172);
    }
    assert_eq!(outputs[79][..PLAIN], plain[..PLAIN]);
    assert_eq!((&outputs[3][12..15], &outputs[3][15..PLAIN]), (&b"own"[..], &plain[15..PLAIN]));
    sessions.into_iter().for_each(|session| assert_eq!(keyflip_session_free(session), 0));
}

#[test]
fn dtls_material_is_split_as_the_library_splits_it() {
    let material: Vec<u8> = (0..60).collect();
    let empty = key(&[]);
    let (mut inbound, mut outbound) = (empty, empty);
    let mut split = |role, len| {
        // SAFETY: slices that live.
        unsafe { keyflip_dtls_keys(1, role, material.as_ptr(), len, &mut inbound, &mut outbound) }
    };
    assert_eq!(keyflip_dtls_material_len(1), 60);
    assert_eq!(keyflip_dtls_profile(1), 1);
    assert_eq!((keyflip_dtls_profile(7), keyflip_dtls_profile_id(7)), (7, 7));
    assert_eq!(keyflip_dtls_profile(9), keyflip_err::UnknownProfile as i32);
    assert_eq!(split(1, 59), keyflip_err::WrongMaterialLength as i32);
    assert_eq!(split(3, 60), keyflip_err::BadArgument as i32);
    assert_eq!(split(1, 60), 0);
    let config = keyflip_session_config { inbound: &inbound, inbound_count: 1, outbound: &outbound, ..config() };
    let mut ours = 0;
    // SAFETY: all of it lives during the call.
    assert_eq!(unsafe { keyflip_session_new(&config, &mut ours) }, 0);
    let mut theirs = material.clone();
    let theirs = keyflip::dtls::Keys::take(keyflip::Profile::Aes128CmSha1_80, keyflip::dtls::Role::Server, &mut theirs);
    let theirs = theirs.unwrap();
    let theirs = keyflip::Session::builder(keyflip::Profile::Aes128CmSha1_80)
        .inbound(theirs.inbound)
        .outbound(theirs.outbound)
        .build(&keyflip::Domain::new())
        .unwrap();
    let mut octets = packet(1);
    assert_eq!(protect(ours, &mut octets, PLAIN), 182);
    assert_eq!(theirs.inbound().unprotect_rtp_autopin(&mut octets[..SEALED]).unwrap(), &packet(1)[..PLAIN]);
    let mut octets = packet(2);
    assert_eq!(theirs.outbound().protect_rtp_autopin(&mut octets, PLAIN), Ok(SEALED));
    assert_eq!(unprotect(ours, &mut octets[..SEALED]), 172);
    assert_eq!(keyflip_session_free(ours), 0);
}

#[test]
fn crypto_attributes_make_sessions() {
    let write = |octet: u8, capacity: usize, line: &mut [core::ffi::c_char; 256]| {
        let octets = [octet; 30];
        // SAFETY: all of it lives during the call.
        unsafe { keyflip_sdes_write(1, 1, &key(&octets), line.as_mut_ptr(), capacity) }
    };
    let (mut ours, mut theirs) = ([7; 256], [7; 256]);
    let len = write(1, 256, &mut ours);
    assert!(len > 60, "{len}");
    let exactly = usize::try_from(len).unwrap() + 1;
    assert_eq!(write(2, exactly - 1, &mut theirs), keyflip_err::OutputTooSmall as i32);
    assert_eq!(write(2, exactly, &mut theirs), len);
    assert_eq!((theirs[exactly - 1], theirs[exactly]), (0, 7));
    let (mut alice, mut bob) = (0, 0);
    // SAFETY: all of it lives during the calls.
    unsafe {
        let mut info = core::mem::zeroed::<keyflip_sdes_info>();
        info.size = size_of::<keyflip_sdes_info>();
        assert_eq!(keyflip_sdes_read(ours.as_ptr(), &mut info), 0);
        assert_eq!((info.tag, info.profile, info.keys, info.flags), (1, 1, 1, 0));
        assert_eq!(keyflip_sdes_read(c"a=crypto:1".as_ptr(), &mut info), keyflip_err::SdesIncomplete as i32);
        assert_eq!(keyflip_sdes_session(ours.as_ptr(), theirs.as_ptr(), ptr::null(), &mut alice), 0);
        let wide = keyflip_session_config { profile: 0, replay_window: 2048, ..config() };
        assert_eq!(keyflip_sdes_session(theirs.as_ptr(), ours.as_ptr(), &wide, &mut bob), 0);
        assert_eq!(keyflip_sdes_session(ours.as_ptr(), theirs.as_ptr(), &config(), &mut 0), -506);
    }
    let mut octets = packet(1);
    assert_eq!(protect(alice, &mut octets, PLAIN), 182);
    assert_eq!(unprotect(bob, &mut octets[..SEALED]), 172);
    // SAFETY: a text that lives.
    assert_eq!(unsafe { keyflip_sdes_rekey(bob, 1, theirs.as_ptr()) }, 0);
    assert_eq!((keyflip_session_free(alice), keyflip_session_free(bob)), (0, 0));
}
