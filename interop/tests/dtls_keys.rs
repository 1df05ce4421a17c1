//! Keying material of DTLS-SRTP, split by Keyflip at one end and by `rtc-srtp` at the other: both ends understand each other.

use keyflip::dtls::{self, Keys, ProtectionProfile, Role};
use keyflip::{Domain, Profile, Session};
use keyflip_interop::packets::PacketGen;
use keyflip_interop::{Direction, PeerConfig, PeerKind, PeerProfile, Protocol};
use rtc_srtp::config::{Config, LABEL_EXTRACTOR_DTLS_SRTP};
use rtc_srtp::protection_profile::ProtectionProfile as Native;

/// The profiles that both can negotiate: as Keyflip, the interoperability tests and `rtc-srtp` call them.
const PROFILES: [(Profile, PeerProfile, Native); 4] = [
    (Profile::Aes128CmSha1_80, PeerProfile::Aes128CmSha1_80, Native::Aes128CmHmacSha1_80),
    (Profile::Aes128CmSha1_32, PeerProfile::Aes128CmSha1_32, Native::Aes128CmHmacSha1_32),
    (Profile::AeadAes128Gcm, PeerProfile::AeadAes128Gcm, Native::AeadAes128Gcm),
    (Profile::AeadAes256Gcm, PeerProfile::AeadAes256Gcm, Native::AeadAes256Gcm),
];

#[test]
fn numbers_lengths_and_label_are_those_of_the_peer() {
    assert_eq!(dtls::EXPORTER_LABEL, LABEL_EXTRACTOR_DTLS_SRTP);
    for (profile, _, native) in PROFILES {
        assert_eq!(ProtectionProfile::of(profile).map(|id| id.0), Some(native as u16));
        let config = Config { profile: native, ..Config::default() };
        assert_eq!(dtls::keying_material_len(profile), config.keying_material_len());
    }
}

#[test]
fn each_end_unprotects_what_the_other_protects() {
    let mut packets = PacketGen::new(5764);
    for (profile, peer_profile, native) in PROFILES {
        for role in [Role::Client, Role::Server] {
            let mut material = packets.octets(dtls::keying_material_len(profile));
            // The peer is the other end.
            let mut config = Config { profile: native, ..Config::default() };
            config.set_session_keys_from_keying_material(&material, role == Role::Server).expect("the length is right");
            let peer = |key: &[u8], salt: &[u8], direction| {
                PeerKind::Rtc.open(&PeerConfig::new(peer_profile, key, salt, direction)).expect("a peer")
            };
            let keys = &config.keys;
            let mut sender = peer(&keys.local_master_key, &keys.local_master_salt, Direction::Send);
            let mut receiver = peer(&keys.remote_master_key, &keys.remote_master_salt, Direction::Receive);

            let keys = Keys::take(profile, role, &mut material).expect("the length is right");
            let builder = Session::builder(profile).outbound(keys.outbound).inbound(keys.inbound);
            let session = builder.build(&Domain::new()).expect("a session");

            let plain = packets.rtp(0x5eed, 1, 160);
            let mut wire = sender.protect(Protocol::Rtp, &plain).expect("the peer protects");
            assert_eq!(session.inbound().unprotect_rtp_autopin(&mut wire).expect("from the peer"), plain, "{role:?}");
            let mut wire = plain.clone();
            session.outbound().protect_rtp_in(&session.outbound().domain().pin(), &mut wire).expect("a packet");
            assert_eq!(receiver.unprotect(Protocol::Rtp, &wire).expect("from Keyflip"), plain, "{role:?}");
        }
    }
}
