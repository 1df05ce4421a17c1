//! How deep calls reach, seen by paint on the stack.

use super::scrub::{AT_LENGTH_DEPTH, CONSTRUCTION_DEPTH, DERIVATION_DEPTH, PACKET_DEPTH};
use crate::crypto::Suites;
use crate::crypto::aes::Aes;
use crate::{Cryptex, Domain, MasterKey, Outgoing, Profile, Received, Roc, Session};
use core::arch::asm;

/// Deeper than anything here reaches.
const PAINTED: usize = 512 * 1024;
/// The frame of who scrubs, and what aligning costs.
const SLACK: usize = if cfg!(debug_assertions) { 2048 } else { 1024 };
const PAINT: u64 = 0xa5c3_5a3c_a5c3_5a3c;

/// What `work` wrote below the stack pointer: how deep, in octets, and how many octets above that it left as they were.
#[inline(never)]
fn reach(work: &mut dyn FnMut()) -> (usize, usize) {
    // SAFETY: nothing is alive below the stack pointer: the block does not say that it leaves the stack alone. The test's thread has room for the paint.
    unsafe {
        asm!(
            "mov rax, rsp",
            "2:",
            "sub rax, 8",
            "mov qword ptr [rax], {paint}",
            "dec {words}",
            "jnz 2b",
            paint = in(reg) PAINT,
            words = inout(reg) PAINTED / 8 => _,
            out("rax") _,
        );
    }
    work();
    let (reach, untouched): (usize, usize);
    // SAFETY: it reads what the block before has painted, and writes nothing.
    unsafe {
        asm!(
            "lea rax, [rsp - {painted}]",
            "2:",
            "cmp qword ptr [rax], {paint}",
            "jne 3f",
            "add rax, 8",
            "cmp rax, rsp",
            "jne 2b",
            "3:",
            "mov {reach}, rsp",
            "sub {reach}, rax",
            "4:",
            "cmp rax, rsp",
            "je 6f",
            "cmp qword ptr [rax], {paint}",
            "jne 5f",
            "add {untouched}, 8",
            "5:",
            "add rax, 8",
            "jmp 4b",
            "6:",
            painted = const PAINTED,
            paint = in(reg) PAINT,
            reach = out(reg) reach,
            untouched = inout(reg) 0usize => untouched,
            out("rax") _,
        );
    }
    (reach, untouched)
}

/// Runs a test where there is room for the paint.
fn with_room(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(4 * PAINTED).spawn(test).unwrap().join().unwrap();
}

fn key(profile: Profile, fill: u8) -> MasterKey {
    MasterKey::take(&mut vec![fill; profile.key_len() + profile.salt_len()])
}

/// All packets are scrubbed from the same frame and equally deep. So if the work for one reached deeper than that, more would be seen of it than of
/// a packet of `NULL_NULL`, whose work is all but nothing.
#[test]
fn p10_no_packet_reaches_deeper_than_its_scrub() {
    with_room(|| {
        let domain = Domain::without_reclaimer();
        let mut reached = Vec::new();
        for profile in Profile::ALL {
            let builder = Session::builder(profile).inbound(key(profile, 7)).outbound(key(profile, 7));
            let session = builder.build(&domain).unwrap();
            session.inbound().add_stream(0, Roc(0)).unwrap();
            let guard = domain.pin();
            // The first packet of a stream is another matter: it is not measured.
            for (seq, len) in (0u8..).zip([12, 12, 28, 176, 1212, 1500]) {
                for rtcp in [false, true] {
                    let mut packet = vec![0; len + 64];
                    packet[..4].copy_from_slice(&if rtcp { [0x80, 200, 0, 1] } else { [0x80, 0, 0, seq] });
                    let mut sealed = 0;
                    let (protecting, _) = reach(&mut || {
                        let outbound = session.outbound();
                        let done = if rtcp {
                            outbound.protect_rtcp(&guard, &mut packet, len)
                        } else {
                            outbound.protect_rtp(&guard, &mut packet, len)
                        };
                        sealed = done.unwrap();
                    });
                    let (unprotecting, _) = reach(&mut || {
                        let (inbound, packet) = (session.inbound(), &mut packet[..sealed]);
                        let done = if rtcp {
                            inbound.unprotect_rtcp(&guard, packet)
                        } else {
                            inbound.unprotect_rtp(&guard, packet)
                        };
                        assert!(done.is_ok());
                    });
                    let (refusing, _) = reach(&mut || {
                        let (inbound, packet) = (session.inbound(), &mut packet[..sealed]);
                        let done = if rtcp {
                            inbound.unprotect_rtcp(&guard, packet)
                        } else {
                            inbound.unprotect_rtp(&guard, packet)
                        };
                        // Decrypted, it does not verify any more; or else it is a replay.
                        assert!(done.is_err());
                    });
                    if seq > 0 {
                        reached.push((rtcp, profile, len, [protecting, unprotecting, refusing]));
                    }
                }
            }
        }
        for (rtcp, profile, len, depths) in &reached {
            let idle = reached.iter().find(|idle| idle.0 == *rtcp && !idle.1.is_authenticated()).unwrap();
            assert_eq!(*depths, idle.3, "{profile}, {len} octets");
        }
    });
}

/// Whether a scrub overwrites all of its depth, and how far beyond it writes, in octets.
fn check_scrub<const DEPTH: usize>(scrub: unsafe fn()) {
    with_room(move || {
        let (written, untouched) = reach(&mut || {
            // SAFETY: the thread has room, and the test asked for the feature.
            unsafe { scrub() };
        });
        assert!((DEPTH..DEPTH + SLACK).contains(&written), "{written} of {DEPTH}");
        assert!(untouched <= written - DEPTH, "{untouched} of {DEPTH}");
    });
}

#[test]
fn p10_every_form_of_the_scrub_reaches_its_depth() {
    use super::scrub::x86_64::{with_avx, with_avx512, with_sse};
    check_scrub::<4096>(with_sse::<4096>);
    check_scrub::<65536>(with_sse::<65536>);
    if std::arch::is_x86_feature_detected!("avx") {
        check_scrub::<4096>(with_avx::<4096>);
        check_scrub::<65536>(with_avx::<65536>);
    }
    if std::arch::is_x86_feature_detected!("avx512f") {
        check_scrub::<4096>(with_avx512::<4096>);
        check_scrub::<65536>(with_avx512::<65536>);
    }
}

/// All groups are scrubbed from the same frame and equally deep, as single packets are.
#[test]
fn p10_no_group_of_packets_reaches_deeper_than_its_scrub() {
    with_room(|| {
        let domain = Domain::without_reclaimer();
        let mut reached = Vec::new();
        for profile in Profile::ALL {
            let builder = Session::builder(profile).inbound(key(profile, 7)).outbound(key(profile, 7));
            let session = builder.build(&domain).unwrap();
            session.inbound().add_stream(0, Roc(0)).unwrap();
            let mut guard = domain.pin();
            // The first packet of a stream is another matter: the first group is not measured.
            for first in [0u8, 64] {
                let mut packets = vec![vec![0u8; 1200]; 64];
                for (seq, packet) in (first..).zip(&mut packets) {
                    packet[..12].copy_from_slice(&[0x80, 0, 0, seq, 0, 0, 0, 0, 0, 0, 0, 0]);
                }
                let lens: Vec<usize> = (0..64).map(|at| 12 + at * 17).collect();
                let mut outgoing: Vec<Outgoing<'_>> = (packets.iter_mut().zip(&lens))
                    .map(|(packet, len)| Outgoing::rtp(session.outbound(), packet, *len))
                    .collect();
                let (protecting, _) = reach(&mut || crate::protect_batch(&mut guard, &mut outgoing));
                let sealed: Vec<usize> = outgoing.iter().map(|packet| packet.result().unwrap()).collect();
                let mut received: Vec<Received<'_>> = (packets.iter_mut().zip(sealed))
                    .map(|(packet, len)| Received::rtp(session.inbound(), &mut packet[..len]))
                    .collect();
                let (unprotecting, _) = reach(&mut || crate::unprotect_batch(&mut guard, &mut received));
                assert!(received.iter().all(|packet| packet.result().is_ok()));
                if first > 0 {
                    reached.push((profile, protecting, unprotecting));
                }
            }
        }
        for (profile, protecting, unprotecting) in &reached {
            let idle = reached.iter().find(|idle| !idle.0.is_authenticated()).unwrap();
            // Less where the tags are made on the way.
            assert!(
                *protecting <= idle.1 && *unprotecting <= idle.2,
                "{profile}: {protecting}, {unprotecting}, {idle:?}"
            );
        }
    });
}

/// If the work reached deeper than the scrub before or after it, so would what is written.
#[test]
fn p10_no_derivation_reaches_deeper_than_its_scrubs() {
    with_room(|| {
        for profile in Profile::ALL {
            let spec = profile.spec();
            let (key, salt) = (vec![7; spec.key_len], vec![8; spec.salt_len]);
            let within = |depth: usize, written: usize| {
                assert!((depth..depth + SLACK).contains(&written), "{profile}: {written} of {depth}");
            };
            let mut schedule = None;
            within(CONSTRUCTION_DEPTH, reach(&mut || Aes::expand_in(&mut schedule, &key).unwrap()).0);
            let mut suites = Suites::vacant(spec);
            within(DERIVATION_DEPTH, reach(&mut || suites.derive(&key, &salt, spec).unwrap()).0);
        }
    });
}

/// Fifteen CSRCs and an extension, by either way to encrypt headers.
#[test]
fn p10_no_packet_whose_header_is_encrypted_reaches_deeper_than_its_scrub() {
    with_room(|| {
        let domain = Domain::without_reclaimer();
        let csrcs = [5; 60];
        let header =
            |seq| [&[0x9f, 0, 0, seq, 0, 0, 0, 0, 0, 0, 0, 0][..], &csrcs, &[0xbe, 0xde, 0, 1, 0x12, 1, 2, 3]].concat();
        for profile in Profile::ALL.into_iter().filter(|profile| !profile.name().starts_with("NULL")) {
            for cryptex in [true, false] {
                let builder = Session::builder(profile).inbound(key(profile, 7)).outbound(key(profile, 7));
                let builder = if cryptex {
                    builder.cryptex(Cryptex::Required)
                } else {
                    builder.encrypted_header_extensions(&[1])
                };
                let session = builder.build(&domain).unwrap();
                let guard = domain.pin();
                for seq in 0..3 {
                    let mut packet = [&header(seq)[..], &[6; 1100]].concat();
                    let len = packet.len();
                    packet.resize(len + 20, 0);
                    let mut sealed = 0;
                    let (protecting, _) =
                        reach(&mut || sealed = session.outbound().protect_rtp(&guard, &mut packet, len).unwrap());
                    let mut forged = packet.clone();
                    forged[80] ^= 1;
                    let (refusing, _) =
                        reach(&mut || assert!(session.inbound().unprotect_rtp(&guard, &mut forged[..sealed]).is_err()));
                    let (unprotecting, _) = reach(&mut || {
                        assert_eq!(session.inbound().unprotect_rtp(&guard, &mut packet[..sealed]).unwrap().len(), len);
                    });
                    for written in [protecting, refusing, unprotecting] {
                        // That scrub begins below the frame of the other's work.
                        let depths = AT_LENGTH_DEPTH..AT_LENGTH_DEPTH + PACKET_DEPTH + SLACK;
                        assert!(seq == 0 || depths.contains(&written), "{profile}, Cryptex {cryptex}: {written}");
                    }
                }
            }
        }
    });
}
