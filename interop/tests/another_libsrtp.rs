//! A libsrtp of the system's, loaded in place of the one built in. Where there is none, there is nothing to try.

#![cfg(feature = "libsrtp")]

use keyflip_interop::libsrtp::{load, versions};
use keyflip_interop::packets::PacketGen;
use keyflip_interop::{Direction, PeerKind, PeerProfile};
use std::path::Path;

/// Alone in its process: a process calls one libsrtp.
#[test]
fn a_libsrtp_that_is_loaded_puts_the_same_octets_on_the_wire() {
    if let Err(error) = load(Path::new("libsrtp2.so.1")) {
        eprintln!("not tried: {error}");
        return;
    }
    let (loaded, _) = versions().expect("a version");
    assert!(loaded.starts_with("libsrtp2 ") && !loaded.starts_with("libsrtp2 2.3"), "{loaded} is not the one built in");
    let mut packets = PacketGen::new(1);
    for profile in [PeerProfile::Aes128CmSha1_80, PeerProfile::AeadAes128Gcm] {
        let config = packets.config(profile, Direction::Send);
        let mut rtc = PeerKind::Rtc.open(&config).expect("a sender");
        let mut sender = PeerKind::Libsrtp.open(&config).expect("a sender");
        let mut receiver = PeerKind::Libsrtp.open(&config.facing(Direction::Receive)).expect("a receiver");
        for seq in 0..100 {
            let packet = packets.rtp(3, seq, 0);
            let wire = sender.protect_rtp(&packet).expect("protected");
            assert_eq!(wire, rtc.protect_rtp(&packet).expect("protected"), "{loaded}, {profile}");
            assert_eq!(receiver.unprotect_rtp(&wire).expect("genuine"), packet, "{loaded}, {profile}");
        }
    }
}
