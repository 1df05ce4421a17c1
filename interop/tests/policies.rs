//! Policies of single sources, bodies in the clear and forced rollover counters, held against libsrtp.

#![cfg(feature = "libsrtp")]

use keyflip::{Domain, Error, MasterKey, NewStreams, Profile, Roc, Session, SessionBuilder, SrtcpEncryption};
use keyflip_interop::libsrtp::LibsrtpPeer;
use keyflip_interop::{Direction, Peer, PeerConfig, PeerProfile, Protocol};

const BOTH: [Protocol; 2] = [Protocol::Rtp, Protocol::Rtcp];
const OWN: u32 = 0x0bad_cafe;
const OTHER: u32 = 0x0bad_caff;

/// Key number `n`.
fn config(profile: PeerProfile, n: u8) -> PeerConfig {
    PeerConfig::new(profile, &vec![n; profile.key_len()], &vec![n ^ 0x55; profile.salt_len()], Direction::Send)
}

fn builder(config: &PeerConfig) -> SessionBuilder {
    let profile: Profile = config.profile.sdes_name().parse().expect("Keyflip has every profile");
    let key = || MasterKey::take_parts(&mut config.key.clone(), &mut config.salt.clone());
    Session::builder(profile).inbound(key()).outbound(key())
}

fn plain(protocol: Protocol, ssrc: u32, number: u16) -> Vec<u8> {
    let mut packet = match protocol {
        Protocol::Rtp => vec![0x80, 96],
        Protocol::Rtcp => vec![0x80, 201, 0, 1],
    };
    if protocol == Protocol::Rtp {
        packet.extend(number.to_be_bytes());
        packet.extend([0; 4]);
    }
    packet.extend(ssrc.to_be_bytes());
    packet.extend([number.to_be_bytes()[1]; 24]);
    packet
}

fn protect(session: &Session, protocol: Protocol, plain: &[u8]) -> Vec<u8> {
    let mut packet = plain.to_vec();
    let guard = session.outbound().domain().pin();
    match protocol {
        Protocol::Rtp => session.outbound().protect_rtp_in(&guard, &mut packet),
        Protocol::Rtcp => session.outbound().protect_rtcp_in(&guard, &mut packet),
    }
    .expect("a packet to send");
    packet
}

fn unprotect(session: &Session, protocol: Protocol, wire: &[u8]) -> keyflip::Result<Vec<u8>> {
    let mut packet = wire.to_vec();
    let guard = session.inbound().domain().pin();
    match protocol {
        Protocol::Rtp => session.inbound().unprotect_rtp_in(&guard, &mut packet),
        Protocol::Rtcp => session.inbound().unprotect_rtcp_in(&guard, &mut packet),
    }
    .map(|()| packet)
}

/// Sends packets both ways, of each of `sources`; each must arrive as it was.
fn converse(keyflip: &Session, sender: &mut LibsrtpPeer, receiver: &mut LibsrtpPeer, sources: &[u32]) {
    for number in 1..40 {
        for ssrc in sources {
            for protocol in BOTH {
                let plain = plain(protocol, *ssrc, number);
                let wire = sender.protect(protocol, &plain).expect("libsrtp sends");
                assert_eq!(unprotect(keyflip, protocol, &wire), Ok(plain.clone()), "{protocol:?} {ssrc:x} {number}");
                assert_eq!(receiver.unprotect(protocol, &protect(keyflip, protocol, &plain)), Ok(plain));
            }
        }
    }
}

fn peers(config: &PeerConfig) -> (LibsrtpPeer, LibsrtpPeer) {
    let open = |direction| LibsrtpPeer::new(&config.facing(direction)).expect("a session");
    (open(Direction::Send), open(Direction::Receive))
}

#[test]
fn a_source_with_a_policy_of_its_own_is_understood_both_ways() {
    let session_key = config(PeerProfile::Aes128CmSha1_80, 1);
    for profile in [PeerProfile::Aes128CmSha1_80, PeerProfile::AeadAes256Gcm, PeerProfile::Aes256CmSha1_32] {
        let own = config(profile, 2);
        let (mut sender, mut receiver) = peers(&session_key);
        sender.add_source(OWN, &own).expect("a source");
        receiver.add_source(OWN, &own.facing(Direction::Receive)).expect("a source");
        let keyflip = builder(&session_key).build(&Domain::new()).expect("a session");
        keyflip.inbound().give_ssrc_keys(OWN, builder(&own)).expect("keys");
        keyflip.outbound().give_ssrc_keys(OWN, builder(&own)).expect("keys");
        converse(&keyflip, &mut sender, &mut receiver, &[OWN, OTHER]);

        // The control: without its keys, the source is not understood.
        let without = builder(&session_key).build(&Domain::new()).expect("a session");
        let wire = sender.protect(Protocol::Rtp, &plain(Protocol::Rtp, OWN, 50)).expect("libsrtp sends");
        assert_eq!(unprotect(&without, Protocol::Rtp, &wire), Err(Error::AuthenticationFailed));
    }
}

#[test]
fn a_session_without_a_template_knows_its_sources_only() {
    let own = config(PeerProfile::AeadAes128Gcm, 3);
    let (mut sender, _) = peers(&own);
    let keyflip = builder(&own).new_streams(NewStreams::ByCall).build(&Domain::new()).expect("a session");
    keyflip.inbound().add_stream(OWN, Roc(0)).expect("a stream");
    let mut wire = |ssrc| sender.protect(Protocol::Rtp, &plain(Protocol::Rtp, ssrc, 1)).expect("libsrtp sends");
    assert!(unprotect(&keyflip, Protocol::Rtp, &wire(OWN)).is_ok());
    assert_eq!(unprotect(&keyflip, Protocol::Rtp, &wire(OTHER)), Err(Error::UnknownSsrc));
}

#[test]
fn bodies_in_the_clear_are_understood_both_ways() {
    // The others libsrtp cannot judge: in counter mode it refuses SRTCP in the clear, and by GCM it encrypts SRTP whatever its policy says.
    let cases = [
        (PeerProfile::Aes128CmSha1_80, Protocol::Rtp),
        (PeerProfile::Aes256CmSha1_32, Protocol::Rtp),
        (PeerProfile::AeadAes128Gcm, Protocol::Rtcp),
        (PeerProfile::AeadAes256Gcm, Protocol::Rtcp),
    ];
    for (profile, protocol) in cases {
        let encrypted = config(profile, 4);
        let clear = encrypted.clone().with_in_the_clear(protocol);
        let (mut sender, mut receiver) = peers(&clear);
        let configured = |builder: SessionBuilder| match protocol {
            Protocol::Rtp => builder.unencrypted_srtp(),
            Protocol::Rtcp => builder.srtcp_encryption(SrtcpEncryption::Off),
        };
        let keyflip = configured(builder(&clear)).build(&Domain::new()).expect("a session");
        let strict = builder(&encrypted).build(&Domain::new()).expect("a session");
        for number in 1..20 {
            let plain = plain(protocol, OWN, number);
            let wire = sender.protect(protocol, &plain).expect("libsrtp sends");
            assert!(wire.starts_with(&plain), "{profile} {protocol:?}");
            assert_eq!(unprotect(&keyflip, protocol, &wire), Ok(plain.clone()), "{profile} {protocol:?}");
            if protocol == Protocol::Rtcp {
                assert_eq!(unprotect(&strict, protocol, &wire), Err(Error::UnencryptedSrtcp));
            }
            let ours = protect(&keyflip, protocol, &plain);
            assert!(ours.starts_with(&plain));
            assert_eq!(receiver.unprotect(protocol, &ours), Ok(plain), "{profile} {protocol:?}");
        }
    }
}

#[test]
fn authentication_alone_accepts_what_libsrtp_sends() {
    for profile in [PeerProfile::Aes128CmSha1_32, PeerProfile::AeadAes128Gcm] {
        let key = config(profile, 5);
        let (mut sender, _) = peers(&key);
        let keyflip = builder(&key).build(&Domain::new()).expect("a session");
        let inbound = keyflip.inbound();
        for number in 1..20 {
            for protocol in BOTH {
                let plain = plain(protocol, OWN, number);
                let mut wire = sender.protect(protocol, &plain).expect("libsrtp sends");
                let authenticate = |wire: &[u8]| match protocol {
                    Protocol::Rtp => inbound.authenticate_rtp(&inbound.domain().pin(), wire),
                    Protocol::Rtcp => inbound.authenticate_rtcp(&inbound.domain().pin(), wire),
                };
                wire[14] ^= 1;
                assert_eq!(authenticate(&wire), Err(Error::AuthenticationFailed));
                wire[14] ^= 1;
                assert_eq!(authenticate(&wire), Ok(plain.len()));
                assert_eq!(authenticate(&wire), Err(Error::Replayed));
            }
        }
    }
}

#[test]
fn a_rollover_counter_is_forced_back_to_where_libsrtp_is() {
    let key = config(PeerProfile::Aes128CmSha1_80, 6);
    let keyflip = builder(&key).build(&Domain::new()).expect("a session");
    for roc in [9, 2] {
        let (mut sender, mut receiver) = peers(&key);
        sender.set_roc(OWN, roc).expect("a rollover counter");
        receiver.set_roc(OWN, roc).expect("a rollover counter");
        if keyflip.inbound().force_roc(OWN, Roc(roc)).is_err() {
            keyflip.inbound().add_stream(OWN, Roc(roc)).expect("a stream");
            keyflip.outbound().add_stream(OWN, Roc(roc), 1).expect("a stream");
        } else {
            assert_eq!(keyflip.inbound().set_roc(OWN, Roc(0)), Err(Error::IndexBackward));
            keyflip.outbound().force_roc(OWN, Roc(roc)).expect("a stream");
        }
        for number in [40_000, 40_001] {
            let plain = plain(Protocol::Rtp, OWN, number);
            let wire = sender.protect_rtp(&plain).expect("libsrtp sends");
            assert_eq!(unprotect(&keyflip, Protocol::Rtp, &wire), Ok(plain.clone()), "{roc}");
            assert_eq!(receiver.unprotect_rtp(&protect(&keyflip, Protocol::Rtp, &plain)), Ok(plain), "{roc}");
        }
    }
}
