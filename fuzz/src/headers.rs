//! Target `headers`: any octets as a plain packet, and as a protected one.
//!
//! 1. Keyflip's verdict is that of [`reader`], error by error. What is refused leaves the buffer and all state as they were.
//! 2. What is protected is as long as it must be, keeps the octets of its header, and hides every octet behind it under the keystream of its index:
//!    that of a packet with the shortest header and the same index. So the header is measured as the RFCs say, to the octet.
//! 3. What was protected is unprotected to the same octets.

use crate::Case;
use crate::ends::{Room, open, open_into_less, seal, seal_beyond};
use crate::input::{AnyProfile, Form, Octets, Protocol, Setup};
use crate::reader::{self, Head, Parts};
use crate::state::Shown;
use arbitrary::Arbitrary;
use keyflip::{Domain, Error, Inbound, Outbound, Profile, Roc, Session};

/// The input.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Headers<'a> {
    profile: AnyProfile,
    mki: Octets<'a>,
    protocol: Protocol,
    form: Form,
    /// Octets of room that are missing, or to spare.
    missing: u8,
    spare: u8,
    /// The MKI that the keys carry is written where the protected packet has it.
    own_mki: bool,
    octets: Octets<'a>,
}

impl<'a> Case<'a> for Headers<'a> {
    fn check(&self) {
        let domain = Domain::without_reclaimer();
        self.as_plain(&domain);
        self.as_protected(&domain);
    }
}

impl Headers<'_> {
    fn profile(&self) -> Profile {
        self.profile.0
    }

    /// A key under which nobody protected the octets.
    fn setup(&self) -> Setup<'_> {
        Setup { profile: self.profile, key: Octets(&[]), mki: self.mki }
    }

    fn sender(&self, domain: &Domain) -> Outbound {
        let builder = Session::builder(self.profile()).outbound(self.setup().key(0).master());
        builder.build(domain).expect("a good key").outbound().clone()
    }

    fn receiver(&self, domain: &Domain, ssrc: u32) -> Inbound {
        let builder = Session::builder(self.profile()).inbound(self.setup().key(0).master());
        let inbound = builder.build(domain).expect("a good key").inbound().clone();
        if !self.profile().is_authenticated() {
            inbound.add_stream(ssrc, Roc(0)).expect("a new stream");
        }
        inbound
    }

    fn as_plain(&self, domain: &Domain) {
        let outbound = self.sender(domain);
        let before = outbound.state();
        let spare = Room::Spare(usize::from(self.spare));
        let expected = reader::head(self.protocol, self.octets.0);
        seal_beyond(&outbound, self.protocol, self.octets.0, 1 + usize::from(self.missing));

        let head = match expected {
            Ok(head) => head,
            Err(error) => {
                assert_eq!(seal(&outbound, self.protocol, self.form, spare, self.octets.0), Err(error));
                outbound.state().check_refused(&before, "a malformed packet");
                assert_eq!(outbound.refused().malformed, 1);
                return;
            }
        };
        let overhead = reader::overhead(self.profile(), self.protocol, self.setup().mki_len());
        if overhead > 0 {
            let room = Room::Short(1 + usize::from(self.missing) % overhead);
            assert_eq!(seal(&outbound, self.protocol, self.form, room, self.octets.0), Err(Error::OutputTooSmall));
            outbound.state().check_refused(&before, "a lack of room");
        }
        let sealed = seal(&outbound, self.protocol, self.form, spare, self.octets.0).expect("a well-formed packet");
        self.check_sealed(domain, &head, &sealed);
        let index = if self.protocol == Protocol::Rtp { u64::from(head.seq) } else { 0 };
        assert_eq!(outbound.state().track(head.ssrc, self.protocol), Some((Some(index), 0, 1, 0)));

        let inbound = self.receiver(domain, head.ssrc);
        if let Some(room) = self.octets.0.len().checked_sub(1 + usize::from(self.missing)) {
            open_into_less(&inbound, self.protocol, &sealed, room);
        }
        let opened = open(&inbound, self.protocol, self.form, &sealed, usize::from(self.spare));
        assert_eq!(opened.as_deref(), Ok(self.octets.0), "what was protected is not what was unprotected");
        assert_eq!(inbound.state().track(head.ssrc, self.protocol), Some((Some(index), 0, 1, 0)));
    }

    /// Invariant 2.
    fn check_sealed(&self, domain: &Domain, head: &Head, sealed: &[u8]) {
        let (profile, len) = (self.profile(), self.octets.0.len());
        let parts = reader::parts(profile, self.protocol, self.setup().mki_len(), sealed).expect("a protected packet");
        assert_eq!((parts.plain.end, parts.head), (len, *head));
        assert_eq!(&sealed[parts.mki], &self.setup().key(0).mki[..], "MKI");
        if self.protocol == Protocol::Rtcp {
            assert_eq!((parts.encrypted, parts.low), (reader::encrypts(profile), 0), "E flag and index");
        }
        assert!(sealed[..head.len] == self.octets.0[..head.len], "the header does not stay in the clear");

        let body_len = len - head.len;
        let mut shortest = match self.protocol {
            Protocol::Rtp => vec![0x80, 0, (head.seq >> 8) as u8, head.seq as u8, 0, 0, 0, 0],
            Protocol::Rtcp => vec![0x80, 200, 0, 0],
        };
        shortest.extend(head.ssrc.to_be_bytes());
        let start = shortest.len();
        shortest.resize(start + body_len, 0);
        let keystream = seal(&self.sender(domain), self.protocol, Form::Between, Room::Spare(0), &shortest);
        let keystream = &keystream.expect("a well-formed packet")[start..start + body_len];
        let hidden = self.octets.0[head.len..].iter().zip(keystream).map(|(octet, key)| octet ^ key);
        assert!(hidden.eq(sealed[head.len..len].iter().copied()), "encryption does not start behind the header");
        assert!(reader::encrypts(profile) || keystream.iter().all(|octet| *octet == 0), "a NULL cipher encrypts");
    }

    fn as_protected(&self, domain: &Domain) {
        let mut packet = self.octets.0.to_vec();
        let mki_len = self.setup().mki_len();
        let parts = reader::parts(self.profile(), self.protocol, mki_len, &packet);
        if let (true, Ok(parts)) = (self.own_mki, &parts) {
            packet[parts.mki.clone()].copy_from_slice(&self.setup().key(0).mki);
        }
        let inbound = self.receiver(domain, parts.as_ref().map_or(0, |parts| parts.head.ssrc));
        let before = inbound.state();
        let opened = open(&inbound, self.protocol, self.form, &packet, usize::from(self.spare));
        match parts.and_then(|parts| self.verdict(&packet, parts)) {
            Err(error) => {
                assert_eq!(opened.as_deref(), Err(&error));
                inbound.state().check_refused(&before, "a packet that is not genuine");
            }
            Ok(parts) => {
                assert_eq!(opened.as_deref(), Ok(&packet[parts.plain]), "a packet without protection");
                let index = u64::from(parts.low);
                assert_eq!(inbound.state().track(parts.head.ssrc, self.protocol), Some((Some(index), 0, 1, 0)));
            }
        }
    }

    /// What a receiver must say of a well-formed packet that nobody protected.
    fn verdict(&self, packet: &[u8], parts: Parts) -> Result<Parts, Error> {
        let profile = self.profile();
        if !parts.encrypted && reader::encrypts(profile) {
            Err(Error::UnencryptedSrtcp)
        } else if packet[parts.mki.clone()] != self.setup().key(0).mki {
            Err(Error::UnknownMki)
        } else if profile.is_authenticated() {
            Err(Error::AuthenticationFailed)
        } else {
            Ok(parts)
        }
    }
}
