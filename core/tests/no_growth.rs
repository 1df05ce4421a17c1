//! What the data path allocates, counted by the allocator of this binary: nothing, but for a stream's first good packet.

mod common;

use common::*;
use keyflip::{Domain, Error, Profile, RocOnRekey, Session};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, with what each thread asked of it.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static HELD: Cell<i64> = const { Cell::new(0) };
}

fn note(allocations: u64, octets: i64) {
    // A thread that is going has no counters, and nothing here looks at them any more.
    let _ = ALLOCATIONS.try_with(|counter| counter.set(counter.get() + allocations));
    let _ = HELD.try_with(|counter| counter.set(counter.get() + octets));
}

// SAFETY: the system's allocator does the work. Counting touches neither its memory nor the allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size().try_into().unwrap_or(i64::MAX));
        // SAFETY: the caller keeps to the contract of `alloc`, which is this one's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(0, -i64::try_from(layout.size()).unwrap_or(i64::MAX));
        // SAFETY: `pointer` came from `System` by the method above, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of `work` on this thread, and the octets it left behind: below 0 if it freed what others had retired.
fn cost(work: impl FnOnce()) -> (u64, i64) {
    let before = (ALLOCATIONS.get(), HELD.get());
    work();
    (ALLOCATIONS.get() - before.0, HELD.get() - before.1)
}

/// `work` allocates nothing, not even for a while.
fn is_free(work: impl FnOnce(), what: &str) {
    let (allocations, held) = cost(work);
    assert!(allocations == 0 && held <= 0, "{what}: {allocations} allocations, {held} octets kept");
}

const FORGERIES: u32 = if cfg!(debug_assertions) { 200_000 } else { 1_000_000 };

#[test]
fn the_allocator_counts() {
    let mut kept = Vec::new();
    assert_eq!(cost(|| kept = vec![0u8; 1000]), (1, 1000));
    assert_eq!(cost(|| drop(std::hint::black_box(vec![0u8; 50]))), (1, 0));
    assert_eq!(kept.len(), 1000);
}

/// Delivers `packet` under so many SSRCs that it was not made for.
fn forge(pair: &Pair, protocol: Protocol, packet: &mut [u8], expected: Error) {
    let at = if protocol == Protocol::Rtp { 8 } else { 4 };
    for n in 0..FORGERIES {
        // Scattered over the hash table; never one of the SSRCs that are in use.
        let ssrc = n.wrapping_mul(0x9e37_79b9) | 1 << 31;
        packet[at..at + 4].copy_from_slice(&ssrc.to_be_bytes());
        let guard = pair.domain.pin();
        let result = unprotect(pair.inbound(), &guard, protocol, packet).map(|plain| plain.len());
        assert_eq!(result, Err(expected));
    }
    packet[at..at + 4].copy_from_slice(&SSRC.to_be_bytes());
}

fn forged_ssrcs_grow_nothing(profile: Profile, protocol: Protocol, expected: Error) {
    let pair = Pair::new(profile);
    let genuine = pair.sealed(protocol, SSRC, 1);
    let mut packet = genuine.clone();
    is_free(|| forge(&pair, protocol, &mut packet, expected), profile.name());
    assert_eq!(packet, genuine);
    assert_eq!(pair.inbound().streams(), []);
    let counts = pair.inbound().refused();
    assert_eq!(counts.authentication_failed + counts.unknown_ssrc, u64::from(FORGERIES));
    pair.announce(SSRC);
    assert_eq!(pair.open(protocol, &genuine), Ok(plain(protocol, SSRC, 1)));
    assert_eq!(pair.inbound().streams().len(), 1);
}

#[test]
fn p08_forged_ssrcs_grow_nothing_srtp() {
    forged_ssrcs_grow_nothing(Profile::Aes128CmSha1_80, Protocol::Rtp, Error::AuthenticationFailed);
}

#[test]
fn p08_forged_ssrcs_grow_nothing_srtcp() {
    forged_ssrcs_grow_nothing(Profile::Aes128CmSha1_80, Protocol::Rtcp, Error::AuthenticationFailed);
}

#[test]
fn p08_forged_ssrcs_grow_nothing_gcm() {
    forged_ssrcs_grow_nothing(Profile::AeadAes128Gcm, Protocol::Rtp, Error::AuthenticationFailed);
}

#[test]
fn p08_forged_ssrcs_grow_nothing_without_authentication() {
    let profile = Profile::NullWithoutAuthentication;
    forged_ssrcs_grow_nothing(profile, Protocol::Rtp, Error::UnknownSsrc);
}

#[test]
fn p08_forgeries_allocate_nothing_at_all() {
    for profile in Profile::ALL {
        for protocol in BOTH {
            let pair = Pair::new(profile);
            pair.announce(SSRC);
            pair.send(protocol, SSRC, 1);
            let genuine = pair.sealed(protocol, SSRC, 2);
            let mut packets = Vec::new();
            for bit in 0..genuine.len() * 8 {
                packets.push(genuine.clone());
                packets[bit][bit / 8] ^= 0x80 >> (bit % 8);
            }
            let deliver = || {
                for packet in &mut packets {
                    let refused = unprotect(pair.inbound(), &pair.domain.pin(), protocol, packet).is_err();
                    assert!(refused || !profile.is_authenticated());
                }
            };
            is_free(deliver, profile.name());
        }
    }
}

#[test]
fn p01_readers_and_senders_allocate_at_a_streams_first_packet_only() {
    const PACKETS: u16 = 300;
    for profile in Profile::ALL {
        for protocol in BOTH {
            let pair = Pair::new(profile);
            pair.announce(SSRC);
            // Around the wrap, and with a new key halfway.
            let mut buffers: Vec<_> = (0..PACKETS).map(|n| plain(protocol, SSRC, n.wrapping_sub(50))).collect();
            let len = buffers[0].len();
            let room = overhead(pair.outbound(), protocol);
            let mut buffers: Vec<_> = buffers.iter_mut().map(|packet| [packet, &vec![0; room][..]].concat()).collect();
            let round_trip = |of: &mut [Vec<u8>]| {
                for packet in of {
                    let sealed = protect(pair.outbound(), &pair.domain.pin(), protocol, packet, len).unwrap();
                    assert_eq!(sealed, len + room);
                    unprotect(pair.inbound(), &pair.domain.pin(), protocol, packet).unwrap();
                }
            };
            let (first, rest) = buffers.split_at_mut(1);
            round_trip(first);
            let (rest, after) = rest.split_at_mut(100);
            is_free(|| round_trip(rest), "packets after the first");
            pair.outbound().rekey(pair.key(1).master()).unwrap();
            pair.inbound().rekey(pair.key(1).master()).unwrap();
            is_free(|| round_trip(after), "packets after a rekey");
        }
    }
}

#[test]
fn a_stream_with_a_window_of_1024_takes_a_kibioctet_at_most() {
    const STREAMS: u32 = 1000;
    let pair = Pair::new(Profile::Aes128CmSha1_80);
    let packets: Vec<_> = (0..STREAMS).map(|ssrc| pair.sealed(Protocol::Rtp, ssrc, 1)).collect();
    let (_, held) = cost(|| packets.iter().for_each(|packet| drop(pair.open(Protocol::Rtp, packet))));
    let each = held / i64::from(STREAMS);
    assert!(each > 700 && each <= 1024, "{each} octets a stream");
}

#[test]
fn p05_index_spaces_come_and_go_and_leave_nothing() {
    const STREAMS: u32 = 20;
    let domain = Domain::without_reclaimer();
    let profile = Profile::NullSha1_80;
    let key = |n: u8| Key::nth(profile, n, 0).master();
    let receiver = Session::builder(profile).inbound(key(0)).build(&domain).unwrap();
    let round = |n: u8| {
        let roc = if n.is_multiple_of(40) { RocOnRekey::Reset } else { RocOnRekey::Probe };
        receiver.inbound().rekey_with(key(n), roc).unwrap();
        let sender = Session::builder(profile).outbound(key(n)).build(&domain).unwrap();
        // Some stay silent.
        for ssrc in (0..STREAMS).filter(|ssrc| ssrc % 3 != u32::from(n) % 3) {
            let packet = seal(sender.outbound(), Protocol::Rtp, &rtp(ssrc, 1)).unwrap();
            open(receiver.inbound(), Protocol::Rtp, &packet).unwrap();
        }
        drop(sender);
        domain.reclaim();
    };
    (1..60).for_each(round);
    let (_, held) = cost(|| (60..240).for_each(round));
    // What is kept of each key to know it again; a round that is just silent may hold fewer streams.
    assert!(held <= 8 * 1024 + 4096, "{held} octets more after three times as many rekeys");
    assert_eq!(domain.stats().items_waiting, 0);
}
