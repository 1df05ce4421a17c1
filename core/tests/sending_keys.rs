//! Which key the sending direction uses, and when: staged keys, keys chosen by id, retransmission; and when a grace ends for one stream.

#[path = "common/kernels.rs"]
mod kernels;

use keyflip::{Domain, Error, Grace, KeyRole, MasterKey, Outbound, Profile, Rekeyed, Session, SessionBuilder};

const PROFILE: Profile = Profile::Aes128CmSha1_80;

fn key(number: u8) -> MasterKey {
    kernels::use_kernels_asked_for();
    MasterKey::take(&mut [number; 30])
}

fn named(number: u8) -> MasterKey {
    key(number).with_mki(&[number]).unwrap()
}

fn session(builder: SessionBuilder) -> (Domain, Session) {
    let domain = Domain::new();
    let session = builder.build(&domain).unwrap();
    (domain, session)
}

/// An RTP packet of 20 octets, protected.
fn sent(outbound: &Outbound, seq: u16) -> Result<Vec<u8>, Error> {
    let mut packet = vec![0; 64];
    packet[0] = 0x80;
    packet[2..4].copy_from_slice(&seq.to_be_bytes());
    let len = outbound.protect_rtp_autopin(&mut packet, 20)?;
    packet.truncate(len);
    Ok(packet)
}

#[test]
fn p02_a_staged_key_takes_effect_when_it_is_activated() {
    let (domain, session) = session(Session::builder(PROFILE).outbound(key(1)).inbound(key(1)).grace(Grace::NONE));
    let (outbound, inbound) = (session.outbound(), session.inbound());
    assert_eq!(outbound.activate_staged_key(), Err(Error::NoStagedKey));
    assert!(matches!(outbound.stage_key(key(1)), Ok(Rekeyed::Unchanged(_))));
    assert!(matches!(outbound.stage_key(key(8)), Ok(Rekeyed::Switched(_))));
    let Ok(Rekeyed::Switched(staged)) = outbound.stage_key(key(2)) else { panic!("not staged") };
    assert!(inbound.unprotect_rtp_autopin(&mut sent(outbound, 1).unwrap()).is_ok(), "the old key until then");
    inbound.rekey(key(2)).unwrap();
    assert_eq!(outbound.activate_staged_key(), Ok(Rekeyed::Switched(staged)));
    assert!(inbound.unprotect_rtp_autopin(&mut sent(outbound, 2).unwrap()).is_ok(), "the new one from then on");
    assert_eq!(outbound.activate_staged_key(), Err(Error::NoStagedKey));
    outbound.stage_key(key(3)).unwrap();
    drop(session);
    domain.synchronize(std::time::Duration::from_secs(20)).unwrap();
    let stats = domain.stats();
    assert_eq!((stats.keys_created, stats.keys_retired), (stats.keys_wiped, stats.keys_wiped));
}

#[test]
fn p03_the_sender_chooses_among_its_keys_and_the_receiver_follows_the_mki() {
    let builder = Session::builder(PROFILE).outbound(named(1)).inbound(named(1)).inbound(named(2)).inbound(named(3));
    let (_domain, session) = session(builder);
    let (outbound, inbound) = (session.outbound(), session.inbound());
    let first = outbound.keys()[0].id;
    let ids = [first, outbound.add_key(named(2)).unwrap(), outbound.add_key(named(3)).unwrap()];
    for (seq, choice) in [0usize, 2, 1, 0, 0, 2, 1, 2].into_iter().enumerate() {
        outbound.send_under(ids[choice]).unwrap();
        let mut packet = sent(outbound, u16::try_from(seq).unwrap()).unwrap();
        assert_eq!(packet[20], [1, 2, 3][choice], "the MKI on the wire");
        assert!(inbound.unprotect_rtp_autopin(&mut packet).is_ok());
        let mut rtcp = vec![0; 64];
        rtcp[..2].copy_from_slice(&[0x80, 200]);
        let len = outbound.protect_rtcp_autopin(&mut rtcp, 8).unwrap();
        assert!(inbound.unprotect_rtcp_autopin(&mut rtcp[..len]).is_ok(), "an older key may send SRTCP again");
    }
    let roles: Vec<_> = outbound.keys().iter().map(|key| key.role).collect();
    assert_eq!(roles, [KeyRole::Current, KeyRole::Added, KeyRole::Added]);
    outbound.send_under(first).unwrap();
    assert_eq!(outbound.retire_key(first), Err(Error::KeyIsCurrent));
    outbound.retire_key(ids[1]).unwrap();
    assert_eq!(outbound.send_under(ids[1]), Err(Error::UnknownKey));
}

#[test]
fn p03_a_grace_ends_for_a_stream_that_has_settled_under_the_new_key() {
    let grace = Grace::LAST.until_packets(3);
    let (domain, receiver) = session(Session::builder(PROFILE).inbound(key(1)).grace(grace));
    let old = Session::builder(PROFILE).outbound(key(1)).build(&domain).unwrap();
    let new = Session::builder(PROFILE).outbound(key(2)).build(&domain).unwrap();
    let inbound = receiver.inbound();
    let receive = |mut packet: Vec<u8>| inbound.unprotect_rtp_autopin(&mut packet).map(|plain| plain.len());
    assert_eq!(receive(sent(old.outbound(), 1).unwrap()), Ok(20));
    inbound.rekey(key(2)).unwrap();
    for seq in 2..5 {
        assert_eq!(receive(sent(old.outbound(), seq * 2).unwrap()), Ok(20), "late, and in grace");
        assert_eq!(receive(sent(new.outbound(), seq * 2 + 1).unwrap()), Ok(20));
    }
    assert_eq!(receive(sent(old.outbound(), 20).unwrap()), Err(Error::AuthenticationFailed), "the stream has settled");
    assert_eq!(receive(sent(new.outbound(), 21).unwrap()), Ok(20));
    inbound.rekey(key(3)).unwrap();
    assert_eq!(receive(sent(new.outbound(), 22).unwrap()), Ok(20), "a new rekey, a new grace");
}

#[test]
fn p06_an_index_is_sent_again_only_by_who_vouches_for_it() {
    let (_domain, strict) = session(Session::builder(PROFILE).outbound(key(1)));
    sent(strict.outbound(), 1).unwrap();
    assert_eq!(sent(strict.outbound(), 1), Err(Error::IndexReused));
    let (_domain, vouching) =
        session(Session::builder(PROFILE).outbound(key(1)).dangerously_allow_identical_retransmission());
    let first = sent(vouching.outbound(), 1).unwrap();
    sent(vouching.outbound(), 2).unwrap();
    assert_eq!(sent(vouching.outbound(), 1), Ok(first), "the same packet, octet for octet");
    sent(vouching.outbound(), 3000).unwrap();
    assert_eq!(sent(vouching.outbound(), 1), Err(Error::IndexTooOld), "beyond the window nobody knows its index");
}

#[test]
fn p07_an_owner_sees_a_key_wear_out() {
    let (_domain, session) = session(Session::builder(PROFILE).outbound(key(1)));
    let left = |session: &Session| {
        let outbound = session.outbound();
        outbound.packets_left(outbound.keys()[0].id).unwrap().srtp_packets
    };
    let before = left(&session);
    for seq in 0..3000 {
        sent(session.outbound(), seq).unwrap();
    }
    assert!(left(&session) <= before - 3000 && left(&session) > before - 6000);
}
