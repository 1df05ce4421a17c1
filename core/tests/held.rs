//! Packets in buffers that grow and shrink with them: the same octets as by the calls on slices, and nothing changed by a refusal.

mod common;

use common::*;
use keyflip::{Domain, Error, Guard, Inbound, Outbound, PacketBuf, Profile, Result, Session};

/// A kind of buffer: how to make one that has `room` behind `octets`.
trait Held: PacketBuf + AsRef<[u8]> {
    fn holding(octets: &[u8], room: usize) -> Self;
}

impl Held for Vec<u8> {
    fn holding(octets: &[u8], room: usize) -> Self {
        let mut buffer = Self::with_capacity(octets.len() + room);
        buffer.extend_from_slice(octets);
        buffer
    }
}

#[cfg(feature = "bytes")]
impl Held for bytes::BytesMut {
    fn holding(octets: &[u8], room: usize) -> Self {
        let mut buffer = Self::with_capacity(octets.len() + room);
        buffer.extend_from_slice(octets);
        buffer
    }
}

fn protect_in(outbound: &Outbound, guard: &Guard<'_>, protocol: Protocol, packet: &mut impl PacketBuf) -> Result<()> {
    match protocol {
        Protocol::Rtp => outbound.protect_rtp_in(guard, packet),
        Protocol::Rtcp => outbound.protect_rtcp_in(guard, packet),
    }
}

fn unprotect_in(inbound: &Inbound, guard: &Guard<'_>, protocol: Protocol, packet: &mut impl PacketBuf) -> Result<()> {
    match protocol {
        Protocol::Rtp => inbound.unprotect_rtp_in(guard, packet),
        Protocol::Rtcp => inbound.unprotect_rtcp_in(guard, packet),
    }
}

/// What is done to a buffer gives the octets that are sent through slices, and back.
fn as_through_slices<B: Held>(profile: Profile, protocol: Protocol, mki_len: usize, room: usize) {
    let (slices, held) = (Pair::with(profile, mki_len, |builder| builder), Pair::with(profile, mki_len, |b| b));
    held.announce(SSRC);
    for number in 0..3 {
        let plain = plain(protocol, SSRC, number);
        let mut packet = B::holding(&plain, room);
        let guard = held.domain.pin();
        protect_in(held.outbound(), &guard, protocol, &mut packet).unwrap();
        assert_eq!(packet.as_ref(), slices.sealed(protocol, SSRC, number));
        unprotect_in(held.inbound(), &guard, protocol, &mut packet).unwrap();
        assert_eq!(packet.as_ref(), plain);
    }
}

fn each_combination<B: Held>() {
    for (profile, protocol) in ONE_OF_EACH.into_iter().flat_map(|profile| BOTH.map(|protocol| (profile, protocol))) {
        for mki_len in [0, 4] {
            let overhead = trailer_len(profile, protocol, mki_len);
            for room in [0, 1, overhead - 1, overhead, overhead + 100] {
                as_through_slices::<B>(profile, protocol, mki_len, room);
            }
        }
    }
}

#[test]
fn a_vector_grows_and_shrinks_as_slices_would() {
    each_combination::<Vec<u8>>();
}

#[cfg(feature = "bytes")]
#[test]
fn bytes_grow_and_shrink_as_slices_would() {
    each_combination::<bytes::BytesMut>();
}

#[test]
fn a_vector_with_room_stays_where_it_is_and_one_without_grows_by_no_more_than_the_trailer() {
    for protocol in BOTH {
        let pair = Pair::new(Profile::AeadAes128Gcm);
        let overhead = overhead(pair.outbound(), protocol);
        let guard = pair.domain.pin();

        let mut packet = Vec::holding(&plain(protocol, SSRC, 1), overhead);
        let place = (packet.as_ptr(), packet.capacity());
        protect_in(pair.outbound(), &guard, protocol, &mut packet).unwrap();
        unprotect_in(pair.inbound(), &guard, protocol, &mut packet).unwrap();
        assert_eq!((packet.as_ptr(), packet.capacity()), place);

        let mut packet = Vec::holding(&plain(protocol, SSRC, 2), 0);
        let len = packet.len();
        protect_in(pair.outbound(), &guard, protocol, &mut packet).unwrap();
        assert_eq!((packet.len(), packet.capacity()), (len + overhead, len + overhead));
    }
}

/// Each refusal, with the octets that must be there before and after it.
fn refused<B: Held>() {
    for (profile, protocol) in ONE_OF_EACH.into_iter().flat_map(|profile| BOTH.map(|protocol| (profile, protocol))) {
        let pair = Pair::new(profile);
        let guard = pair.domain.pin();
        let stranger = Domain::new();
        let keyless = Session::builder(profile).build(&pair.domain).unwrap();
        let plain = plain(protocol, SSRC, 7);
        let sealed = pair.sealed(protocol, SSRC, 7);
        let mut forged = sealed.clone();
        *forged.last_mut().unwrap() ^= 1;

        let to_protect = |outbound: &Outbound, guard: &Guard<'_>, octets: &[u8], expected| {
            for room in [0, 100] {
                let mut packet = B::holding(octets, room);
                assert_eq!(protect_in(outbound, guard, protocol, &mut packet), Err(expected));
                assert_eq!(packet.as_ref(), octets, "{expected:?}");
            }
        };
        to_protect(pair.outbound(), &stranger.pin(), &plain, Error::ForeignGuard);
        to_protect(keyless.outbound(), &guard, &plain, Error::NoKey);
        to_protect(pair.outbound(), &guard, &plain[..7], Error::PacketTooShort);
        to_protect(pair.outbound(), &guard, &[], Error::PacketTooShort);
        if protocol == Protocol::Rtp {
            to_protect(pair.outbound(), &guard, &plain, Error::IndexReused);
        }

        let to_unprotect = |guard: &Guard<'_>, octets: &[u8], expected| {
            let mut packet = B::holding(octets, 0);
            assert_eq!(unprotect_in(pair.inbound(), guard, protocol, &mut packet), Err(expected));
            assert_eq!(packet.as_ref(), octets, "{expected:?}");
        };
        to_unprotect(&stranger.pin(), &sealed, Error::ForeignGuard);
        to_unprotect(&guard, &forged, Error::AuthenticationFailed);
        to_unprotect(&guard, &[], Error::PacketTooShort);
        let mut packet = B::holding(&sealed, 0);
        unprotect_in(pair.inbound(), &guard, protocol, &mut packet).unwrap();
        assert_eq!(packet.as_ref(), plain, "the control");
        to_unprotect(&guard, &sealed, Error::Replayed);
    }
}

#[test]
fn p08_a_refused_vector_is_as_it_was() {
    refused::<Vec<u8>>();
}

#[cfg(feature = "bytes")]
#[test]
fn p08_refused_bytes_are_as_they_were() {
    refused::<bytes::BytesMut>();
}

#[cfg(feature = "bytes")]
#[test]
fn bytes_that_were_split_off_leave_their_neighbours_alone() {
    let pair = Pair::new(Profile::Aes128CmSha1_80);
    let guard = pair.domain.pin();
    // As a receive buffer is cut into packets: they share one allocation, without room between them.
    let mut rest =
        bytes::BytesMut::holding(&[plain(Protocol::Rtp, SSRC, 1), plain(Protocol::Rtp, SSRC, 2)].concat(), 0);
    let mut first = rest.split_to(32);
    pair.outbound().protect_rtp_in(&guard, &mut first).unwrap();
    assert_eq!(rest, plain(Protocol::Rtp, SSRC, 2));
    pair.inbound().unprotect_rtp_in(&guard, &mut first).unwrap();
    assert_eq!(first, plain(Protocol::Rtp, SSRC, 1));
}
