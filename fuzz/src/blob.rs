//! Target `blob`: sessions that move to another process, and blobs that nobody exported.
//!
//! 1. A receiver that was moved accepts what its peer sends next, and nothing a second time; a sender that was moved sends no index a second time.
//! 2. Any octets as a blob are refused. What was changed in a blob and sealed again, under the right key, is refused or goes on somehow:
//!    it panics nothing, allocates no more than is there, and can be exported again.

use crate::Case;
use crate::input::{Octets, Protocol, Setup};
use crate::plant;
use arbitrary::Arbitrary;
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use keyflip::moving::{Error as MovingError, Moved, SealingKey};
use keyflip::{Domain, Error, RocOnRekey, Session, SessionBuilder};
use std::time::Duration;

/// The input.
#[derive(Arbitrary, Clone, Debug)]
pub struct Blobs<'a> {
    setup: Setup<'a>,
    steps: Vec<Step>,
    /// What is changed in the state before it is sealed again.
    edits: Vec<(u16, u8)>,
    cut: Option<u16>,
    octets: Octets<'a>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Step {
    Send { rtcp: bool, ssrc: u8, skip: u16 },
    Rekey { key: u8, reset: bool },
    Remove(u8),
    Move,
}

const SEALING: [u8; 32] = [0x5a; 32];
const HEADER_LEN: usize = 8;
const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;

fn sealing() -> SealingKey {
    SealingKey::take(&mut SEALING.clone()).expect("32 octets")
}

/// A state, sealed as an exporter would, without one.
fn sealed(header: &[u8], mut state: Vec<u8>) -> Vec<u8> {
    let nonce = [7; NONCE_LEN];
    let cipher = XChaCha20Poly1305::new(&SEALING.into());
    let tag = cipher.encrypt_inout_detached(&XNonce::from(nonce), header, state.as_mut_slice().into());
    [header, &nonce, &state, &tag.expect("a short text")].concat()
}

/// The state in a blob.
fn opened(blob: &[u8]) -> Vec<u8> {
    let (header, rest) = blob.split_at(HEADER_LEN);
    let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().expect("a nonce");
    let (body, tag) = rest.split_last_chunk::<TAG_LEN>().expect("a tag");
    let mut state = body.to_vec();
    let cipher = XChaCha20Poly1305::new(&SEALING.into());
    let buffer = state.as_mut_slice().into();
    cipher.decrypt_inout_detached(&XNonce::from(*nonce), header, buffer, &(*tag).into()).expect("our own key");
    state
}

impl Blobs<'_> {
    fn builder(&self) -> SessionBuilder {
        Session::builder(self.setup.profile.0).movable().max_streams(64)
    }

    fn exported(&self, session: &Session) -> [Vec<u8>; 2] {
        let within = Duration::from_secs(60);
        let export = [session.inbound().export(&sealing(), within), session.outbound().export(&sealing(), within)];
        export.map(|blob| blob.expect("no reader stalls"))
    }

    fn moved(&self, domain: &Domain, blobs: &[Vec<u8>]) -> keyflip::Result<Session> {
        let open = |blob: &Vec<u8>| Moved::open(&sealing(), blob).expect("our own blob");
        blobs.iter().map(open).fold(self.builder(), SessionBuilder::go_on_with).build(domain)
    }

    /// Invariant 1. Returns where the session is at the end.
    fn live(&self, domain: &Domain) -> Session {
        let key = |n| self.setup.key(n).master();
        let new = || self.builder().outbound(key(0)).inbound(key(0)).build(domain).expect("a good key");
        let (peer, mut here) = (new(), new());
        let mut sent: Vec<(Protocol, Vec<u8>)> = Vec::new();
        let mut left: Vec<(Protocol, Vec<u8>)> = Vec::new();
        let mut number = 65_000u16;
        for step in self.steps.iter().take(40) {
            match *step {
                Step::Send { rtcp, ssrc, skip } => {
                    number = number.wrapping_add(1 + skip % 9000);
                    let protocol = if rtcp { Protocol::Rtcp } else { Protocol::Rtp };
                    let mut plain = if rtcp { vec![0x80, 201, 0, 1] } else { vec![0x80, 96, 0, 0, 0, 0, 0, 0] };
                    plain.extend([0, 0, 0, ssrc % 4]);
                    if !rtcp {
                        plain[2..4].copy_from_slice(&number.to_be_bytes());
                    }
                    plain.extend(number.to_be_bytes());
                    for (from, packets) in [(&peer, &mut sent), (&here, &mut left)] {
                        let packet = crate::ends::seal(
                            from.outbound(),
                            protocol,
                            crate::input::Form::InPlace,
                            crate::ends::Room::Spare(0),
                            &plain,
                        );
                        packets.extend(packet.ok().map(|packet| (protocol, packet)));
                    }
                    if let Some((protocol, packet)) = sent.last() {
                        // It may have been removed, or be of a cycle that cannot be told; never a second time.
                        let _ = self.arrive(&here, *protocol, packet);
                        let again = self.arrive(&here, *protocol, packet);
                        assert!(again.is_err(), "accepted twice");
                    }
                }
                Step::Rekey { key: n, reset } => {
                    let roc = if reset { RocOnRekey::Reset } else { RocOnRekey::Keep };
                    let both = [peer.outbound(), here.outbound()].map(|outbound| outbound.rekey_with(key(n), roc));
                    assert_eq!(both[0], both[1], "a sender that moved, and one that did not");
                    let _ = here.inbound().rekey_with(key(n), roc);
                }
                Step::Remove(ssrc) => drop(here.inbound().remove_stream(u32::from(ssrc % 4))),
                Step::Move => {
                    here = self.moved(domain, &self.exported(&here)).expect("the same policy");
                    for (protocol, packet) in &sent {
                        let again = self.arrive(&here, *protocol, packet);
                        assert_eq!(again.is_err(), !plant::is_on(), "accepted again after a move");
                    }
                }
            }
            // The peer and the session that moves send the same under the same indices: one left that did not go on where it stood would show.
            assert_eq!(sent, left, "a sender that moved, and one that did not");
        }
        here
    }

    fn arrive(&self, session: &Session, protocol: Protocol, packet: &[u8]) -> Result<Vec<u8>, Error> {
        crate::ends::open(session.inbound(), protocol, crate::input::Form::Between, packet, 0)
    }

    /// Invariant 2.
    fn forged(&self, domain: &Domain, here: &Session) {
        assert!(Moved::open(&sealing(), self.octets.0).is_err(), "a blob out of nothing");
        for blob in self.exported(here) {
            let mut state = opened(&blob);
            assert_eq!(sealed(&blob[..HEADER_LEN], state.clone()).len(), blob.len());
            for (at, octet) in &self.edits {
                let at = usize::from(*at) % state.len();
                state[at] = *octet;
            }
            if let Some(cut) = self.cut {
                state.truncate(usize::from(cut));
                state.extend(self.octets.0);
            }
            match Moved::open(&sealing(), &sealed(&blob[..HEADER_LEN], state)) {
                Err(error) => assert_eq!(error, MovingError::Malformed),
                Ok(moved) => {
                    assert!(!format!("{moved:?}").is_empty());
                    let Ok(session) = self.builder().go_on_with(moved).build(domain) else { continue };
                    let plain = [0x80, 96, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 5];
                    let mut packet = [&plain[..], &[0; 200]].concat();
                    let _ = session.outbound().protect_rtp_autopin(&mut packet, plain.len());
                    let _ = session.inbound().unprotect_rtp_autopin(&mut packet);
                    let _ = session.inbound().rekey(self.setup.key(9).master());
                    let again = self.exported(&session);
                    assert!(self.moved(domain, &again).is_ok(), "what goes on, goes on again");
                }
            }
        }
    }
}

impl<'a> Case<'a> for Blobs<'a> {
    fn check(&self) {
        // Without tags nothing is refused as a replay but by its index, and streams are not added.
        if !self.setup.profile.0.is_authenticated() {
            return;
        }
        let domain = Domain::without_reclaimer();
        let here = self.live(&domain);
        self.forged(&domain, &here);
    }
}
