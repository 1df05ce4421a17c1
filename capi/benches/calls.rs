//! What a call through the C interfaces costs more than the Rust call that pins for itself.
//!
//!     capi/install.sh PREFIX && capi/libsrtp/install.sh PREFIX && cargo bench -p keyflip-capi --bench calls -- PREFIX
//!
//! The libraries are loaded, as programs load them. Each figure is the least of many short samples, taken in turn. Times include the copy of a packet.

use core::ffi::{c_int, c_void};
use core::hint::black_box;
use keyflip::{Domain, MasterKey, Profile, Session};
use keyflip_c::{keyflip_key, keyflip_session_config};
use keyflip_srtp2::abi::{ANY_INBOUND, ANY_OUTBOUND, srtp_crypto_policy_t, srtp_policy_t, srtp_ssrc_t, srtp_t};
use libloading::{Library, Symbol};
use std::time::Instant;

const AT_ONCE: usize = 64;
const SAMPLES: u32 = 4000;
const ROOM: usize = 1300;

type New = unsafe extern "C" fn(*const keyflip_session_config, *mut u64) -> i32;
type Protect = unsafe extern "C" fn(u64, *mut u8, usize, usize) -> i32;
type Unprotect = unsafe extern "C" fn(u64, *mut u8, usize) -> i32;
type SrtpCreate = unsafe extern "C" fn(*mut srtp_t, *const srtp_policy_t) -> c_int;
type SrtpCall = unsafe extern "C" fn(srtp_t, *mut c_void, *mut c_int) -> c_int;
type Setter = unsafe extern "C" fn(*mut srtp_crypto_policy_t);

type Packets = Vec<[u8; ROOM]>;
type Call<'a> = Box<dyn FnMut(&mut [u8; ROOM], usize) -> usize + 'a>;

fn main() {
    let prefix = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let Some(prefix) = prefix else {
        println!("usage: cargo bench -p keyflip-capi --bench calls -- PREFIX");
        return;
    };
    let load = |name: &str| {
        // SAFETY: libraries of this workspace, whose initializers do nothing.
        unsafe { Library::new(format!("{prefix}/lib/{name}")) }.expect("installed")
    };
    let (keyflip, srtp) = (load("libkeyflip.so"), load("libsrtp2.so.1"));
    println!("{:<28}{:>8}{:>12}{:>12}{:>14}", "ns a packet", "Rust", "keyflip.h", "libsrtp2", "more, in %");
    let suites = [
        (Profile::Aes128CmSha1_80, 1u32, 30, "srtp_crypto_policy_set_rtp_default"),
        (Profile::AeadAes128Gcm, 7, 28, "srtp_crypto_policy_set_aes_gcm_128_16_auth"),
    ];
    for (profile, number, key_len, setter) in suites {
        for len in [160, 1200] {
            let key = vec![7u8; key_len];
            let ours = rust(profile, &key);
            let (handle, c) = (c_session(&keyflip, number, &key), &keyflip);
            let (sender, receiver) =
                (srtp_session(&srtp, setter, &key, ANY_OUTBOUND), srtp_session(&srtp, setter, &key, ANY_INBOUND));
            // SAFETY: the function has this type.
            let protect: Symbol<'_, Protect> = unsafe { c.get(b"keyflip_protect_rtp") }.expect("exported");
            // SAFETY: as above.
            let unprotect: Symbol<'_, Unprotect> = unsafe { c.get(b"keyflip_unprotect_rtp") }.expect("exported");
            // SAFETY: as above.
            let srtp_protect: Symbol<'_, SrtpCall> = unsafe { srtp.get(b"srtp_protect") }.expect("exported");
            // SAFETY: as above.
            let srtp_unprotect: Symbol<'_, SrtpCall> = unsafe { srtp.get(b"srtp_unprotect") }.expect("exported");
            let srtp_call = |function: SrtpCall, session: srtp_t| -> Call<'_> {
                Box::new(move |packet, len| {
                    let mut len = c_int::try_from(len).expect("short");
                    // SAFETY: a packet with room behind it.
                    assert_eq!(unsafe { function(session, packet.as_mut_ptr().cast(), &raw mut len) }, 0);
                    usize::try_from(len).expect("a length")
                })
            };
            let length = |outcome: i32| usize::try_from(outcome).expect("no error");
            let outbound: [Call<'_>; 3] = [
                Box::new(|packet, len| ours.outbound().protect_rtp_autopin(packet, len).expect("room")),
                // SAFETY: a packet with room behind it.
                Box::new(|packet, len| length(unsafe { protect(handle, packet.as_mut_ptr(), len, ROOM) })),
                srtp_call(*srtp_protect, sender),
            ];
            let inbound: [Call<'_>; 3] = [
                Box::new(|packet, len| ours.inbound().unprotect_rtp_autopin(&mut packet[..len]).expect("good").len()),
                // SAFETY: a packet.
                Box::new(|packet, len| length(unsafe { unprotect(handle, packet.as_mut_ptr(), len) })),
                srtp_call(*srtp_unprotect, receiver),
            ];
            let (sent, received) = measure(len, outbound, inbound);
            for (name, figures) in [("protect", sent), ("unprotect", received)] {
                let [rust, c, srtp] = figures;
                let more = |figure: f64| 100.0 * (figure / rust - 1.0);
                println!(
                    "{:<28}{rust:>8.1}{c:>12.1}{srtp:>12.1}{:>8.1}{:>6.1}",
                    format!("{profile:?} {len} {name}"),
                    more(c),
                    more(srtp)
                );
            }
        }
    }
}

/// The least time a packet of each, both ways.
fn measure(len: usize, mut outbound: [Call<'_>; 3], mut inbound: [Call<'_>; 3]) -> ([f64; 3], [f64; 3]) {
    let (mut sent, mut received) = ([f64::MAX; 3], [f64::MAX; 3]);
    let mut index = 0u32;
    for _ in 0..SAMPLES {
        for (of, (protect, unprotect)) in outbound.iter_mut().zip(&mut inbound).enumerate() {
            let mut packets: Packets = (0..AT_ONCE).map(|at| packet(index + u32::try_from(at).expect("few"))).collect();
            let mut sealed = 0;
            let start = Instant::now();
            for packet in &mut packets {
                sealed = black_box(protect(packet, len));
            }
            sent[of] = sent[of].min(per_packet(start));
            let start = Instant::now();
            for packet in &mut packets {
                black_box(unprotect(packet, sealed));
            }
            received[of] = received[of].min(per_packet(start));
        }
        index += u32::try_from(AT_ONCE).expect("few");
    }
    (sent, received)
}

#[expect(clippy::cast_precision_loss)] // Nanoseconds of a short sample.
fn per_packet(start: Instant) -> f64 {
    start.elapsed().as_nanos() as f64 / AT_ONCE as f64
}

fn packet(index: u32) -> [u8; ROOM] {
    let mut packet = [0x5a; ROOM];
    packet[..12].copy_from_slice(&[0x80, 96, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
    packet[2..4].copy_from_slice(&index.to_be_bytes()[2..]);
    packet
}

fn rust(profile: Profile, key: &[u8]) -> Session {
    let key = || MasterKey::take(&mut key.to_vec());
    Session::builder(profile).inbound(key()).outbound(key()).build(&Domain::new()).expect("a session")
}

fn c_session(library: &Library, profile: u32, key: &[u8]) -> u64 {
    // SAFETY: integers and pointers, for which zero is a value.
    let zero = unsafe { core::mem::zeroed::<keyflip_session_config>() };
    let nothing = core::ptr::null();
    let key = keyflip_key {
        key: key.as_ptr(),
        key_len: key.len(),
        salt: nothing,
        salt_len: 0,
        mki: nothing,
        mki_len: 0,
        lifetime: 0,
    };
    let config = keyflip_session_config {
        size: size_of_val(&zero),
        profile,
        inbound: &raw const key,
        inbound_count: 1,
        outbound: &raw const key,
        ..zero
    };
    let mut session = 0;
    // SAFETY: the function has this type.
    let new: Symbol<'_, New> = unsafe { library.get(b"keyflip_session_new") }.expect("exported");
    // SAFETY: all of it lives during the call.
    assert_eq!(unsafe { new(&raw const config, &raw mut session) }, 0);
    session
}

fn srtp_session(library: &Library, setter: &str, key: &[u8], kind: u32) -> srtp_t {
    // SAFETY: integers and pointers, for which zero is a value.
    let zero = unsafe { core::mem::zeroed::<srtp_policy_t>() };
    let key = key.as_ptr().cast_mut();
    let mut policy = srtp_policy_t { ssrc: srtp_ssrc_t { kind, value: 0 }, key, window_size: 1024, ..zero };
    // SAFETY: the function has this type.
    let set: Symbol<'_, Setter> = unsafe { library.get(setter.as_bytes()) }.expect("exported");
    // SAFETY: a place for a policy.
    unsafe { set(&raw mut policy.rtp) };
    // SAFETY: as above.
    unsafe { set(&raw mut policy.rtcp) };
    let mut session = core::ptr::null_mut();
    // SAFETY: the function has this type.
    let create: Symbol<'_, SrtpCreate> = unsafe { library.get(b"srtp_create") }.expect("exported");
    // SAFETY: all of it lives during the call.
    assert_eq!(unsafe { create(&raw mut session, &raw const policy) }, 0);
    session
}
