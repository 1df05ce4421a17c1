//! A lifetime that came with a master key, and the one the builder sets: the lower counts (P7).

mod common;

use common::*;
use keyflip::{Domain, Error, Inbound, KeyLifetime, MasterKey, Outbound, Profile, Session, SessionBuilder};

const PROFILE: Profile = Profile::AeadAes128Gcm;

fn key(n: u8, lifetime: Option<u64>) -> MasterKey {
    let key = Key::nth(PROFILE, n, 0).master();
    match lifetime {
        Some(packets) => key.with_lifetime(packets).unwrap(),
        None => key,
    }
}

/// A session that speaks with itself.
fn session(keys: [Option<u64>; 2], configure: impl Fn(SessionBuilder) -> SessionBuilder) -> Session {
    let [outbound, inbound] = keys.map(|lifetime| key(0, lifetime));
    configure(Session::builder(PROFILE)).outbound(outbound).inbound(inbound).build(&Domain::new()).unwrap()
}

/// Sends until the key is worn out; returns what was sent.
fn send_all(outbound: &Outbound, protocol: Protocol, first: u16) -> Vec<Vec<u8>> {
    let packet = |number| match seal(outbound, protocol, &plain(protocol, SSRC, number)) {
        Err(Error::KeyExpired) => None,
        sealed => Some(sealed.unwrap()),
    };
    (first..first + 100).map_while(packet).collect()
}

fn accept_all(inbound: &Inbound, protocol: Protocol, packets: &[Vec<u8>]) -> usize {
    let accepted = |packet: &Vec<u8>| match open(inbound, protocol, packet) {
        Err(Error::KeyExpired) => None,
        opened => Some(opened.unwrap()),
    };
    packets.iter().map_while(accepted).count()
}

#[test]
fn p07_the_lifetime_of_a_key_ends_its_use_in_its_own_direction() {
    for protocol in BOTH {
        let sender = session([Some(20), Some(7)], |builder| builder);
        let packets = send_all(sender.outbound(), protocol, 0);
        assert_eq!((packets.len(), accept_all(sender.inbound(), protocol, &packets)), (20, 7));

        // A key that replaces it lives by its own lifetime, and one without by the session's.
        sender.outbound().rekey(key(1, Some(3))).unwrap();
        assert_eq!(send_all(sender.outbound(), protocol, 20).len(), 3);
        sender.outbound().rekey(key(2, None)).unwrap();
        assert_eq!(send_all(sender.outbound(), protocol, 40).len(), 100);
    }
}

#[test]
fn p07_of_two_lifetimes_the_lower_counts() {
    for protocol in BOTH {
        let limit = |builder: SessionBuilder| builder.key_lifetime(KeyLifetime { srtp_packets: 10, srtcp_packets: 5 });
        let most = if protocol == Protocol::Rtp { 10 } else { 5 };
        assert_eq!(send_all(session([Some(4), None], limit).outbound(), protocol, 0).len(), 4);
        assert_eq!(send_all(session([Some(50), None], limit).outbound(), protocol, 0).len(), most);
        assert_eq!(send_all(session([None, None], limit).outbound(), protocol, 0).len(), most);
    }
}

#[test]
fn p07_srtcp_has_its_own_upper_limit() {
    let outbound = session([Some(1 << 40), None], |builder| builder).outbound().clone();
    let left = outbound.packets_left(outbound.keys()[0].id).unwrap();
    assert_eq!(left, KeyLifetime { srtp_packets: 1 << 40, srtcp_packets: 1 << 31 });
}

#[test]
fn a_lifetime_is_at_least_one_packet_and_within_rfc3711() {
    let with = |packets| Key::nth(PROFILE, 0, 0).master().with_lifetime(packets).map(drop);
    assert_eq!((with(1), with(1 << 48)), (Ok(()), Ok(())));
    assert_eq!((with(0), with((1 << 48) + 1)), (Err(Error::BadKeyLifetime), Err(Error::BadKeyLifetime)));
}
