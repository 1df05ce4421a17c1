//! A stalled reader costs a bounded number of retired keys: beyond it a rekey is refused, until the reader moves on.

#[path = "common/kernels.rs"]
mod kernels;

use keyflip::{Domain, Error, Grace, MasterKey, Profile, Roc, Session};
use std::time::Duration;

fn key(number: u8) -> MasterKey {
    kernels::use_kernels_asked_for();
    MasterKey::take(&mut [number; 30])
}

#[test]
fn p09_a_stalled_reader_is_bounded_by_the_backlog() {
    const BACKLOG: u64 = 8;
    let domain = Domain::with_backlog(BACKLOG);
    let session = Session::builder(Profile::Aes128CmSha1_80).inbound(key(0)).grace(Grace::NONE).build(&domain).unwrap();
    let stalled = domain.pin();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let refused = (1..=255).find_map(|number| session.inbound().rekey(key(number)).err());
            assert_eq!(refused, Some(Error::TooManyRetired));
            assert!(domain.stats().items_waiting <= BACKLOG + 1);
            let before = session.inbound().keys();
            assert_eq!(session.inbound().rekey(key(255)), Err(Error::TooManyRetired));
            assert_eq!(session.inbound().add_key(key(255)), Err(Error::TooManyRetired));
            assert_eq!(session.inbound().keys(), before, "the keys in use stay");
            // A session of its own can still be set up: it retires no key.
            assert!(Session::builder(Profile::Aes128CmSha1_80).inbound(key(1)).build(&domain).is_ok());
        });
    });
    drop(stalled);
    domain.synchronize(Duration::from_secs(20)).unwrap();
    assert!(session.inbound().rekey(key(255)).is_ok());
}

#[test]
fn p09_streams_that_come_and_go_under_a_stalled_reader_are_bounded_by_the_backlog() {
    const BACKLOG: u64 = 8;
    let domain = Domain::with_backlog(BACKLOG);
    let session = Session::builder(Profile::Aes128CmSha1_80).inbound(key(0)).build(&domain).unwrap();
    let inbound = session.inbound();
    let stalled = domain.pin();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let refused = (0..1000).find_map(|_| {
                inbound.add_stream(7, Roc(0)).unwrap();
                inbound.remove_stream(7).err()
            });
            assert_eq!(refused, Some(Error::TooManyRetired));
            assert!(domain.stats().items_waiting <= BACKLOG + 2);
            assert_eq!(inbound.streams().len(), 1, "the stream stays");
            assert_eq!(inbound.forget_stream(7), refused.map_or(Ok(()), Err));
            assert_eq!(inbound.force_roc(7, Roc(1)), refused.map_or(Ok(()), Err));
            assert_eq!(inbound.roc(7), Ok(Roc(0)), "what replaces nothing is not refused");
            // Whole sessions come and go as they like: none of it waits.
            let before = domain.stats().items_waiting;
            for number in 1..100 {
                drop(Session::builder(Profile::Aes128CmSha1_80).inbound(key(number)).build(&domain).unwrap());
            }
            let stats = domain.stats();
            assert_eq!((stats.items_waiting, stats.keys_created - stats.keys_wiped), (before, 1));
        });
    });
    drop(stalled);
    domain.synchronize(Duration::from_secs(20)).unwrap();
    inbound.remove_stream(7).unwrap();
}
