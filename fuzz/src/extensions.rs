//! Target `extensions`: header extensions whose elements are encrypted (RFC 6904), and headers under Cryptex (RFC 9335).
//!
//! 1. The verdict on any packet is that of a reader written from RFC 8285 and RFC 9335 once more.
//! 2. Of a header, exactly those octets are hidden that must be; ids, lengths, padding and all else stay.
//! 3. What was protected is unprotected to the same octets, in place as between buffers. A refusal changes nothing.

use crate::Case;
use crate::ends::{Room, open, seal};
use crate::input::{AnyProfile, Form, Octets, Protocol, Setup};
use crate::plant;
use crate::reader::{encrypts, overhead};
use arbitrary::Arbitrary;
use keyflip::{Cryptex, Domain, Error, HeaderKeystream, Session, SessionBuilder};
use std::collections::BTreeSet;

/// The input.
#[derive(Arbitrary, Clone, Debug)]
pub struct Extensions<'a> {
    profile: AnyProfile,
    ids: [u8; 3],
    libsrtp: bool,
    required: bool,
    form: Form,
    csrcs: u8,
    extension: Option<(Id, Octets<'a>)>,
    octets: Octets<'a>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Id {
    OneByte,
    TwoByte(u8),
    Other(u16),
}

impl Id {
    fn number(self) -> u16 {
        match self {
            Self::OneByte => 0xbede,
            Self::TwoByte(bits) => 0x1000 | u16::from(bits & 15),
            Self::Other(number) => number,
        }
    }
}

/// The octets of an extension's body that belong to elements of these ids; `None` if an element reaches past the end.
fn selected(id: u16, body: &[u8], ids: &BTreeSet<u8>) -> Option<BTreeSet<usize>> {
    let mut hidden = BTreeSet::new();
    let mut at = 0;
    let one_byte = id == 0xbede;
    if !one_byte && id >> 4 != 0x100 {
        return Some(hidden);
    }
    while at < body.len() {
        if body[at] == 0 {
            at += 1;
            continue;
        }
        let (element, header, len) = if one_byte {
            let (element, len) = (body[at] >> 4, usize::from(body[at] & 15) + 1);
            if element == 0 || element == 15 {
                break;
            }
            (element, 1, len)
        } else {
            (body[at], 2, usize::from(*body.get(at + 1)?))
        };
        let data = at + header..at + header + len;
        if data.end > body.len() {
            return None;
        }
        if ids.contains(&element) {
            hidden.extend(data.clone());
        }
        at = data.end;
    }
    Some(hidden)
}

impl Extensions<'_> {
    fn packet(&self) -> Vec<u8> {
        let csrcs = self.csrcs % 16;
        let mut packet = vec![0x80 | csrcs | u8::from(self.extension.is_some()) << 4, 96, 0, 1, 0, 0, 0, 7, 1, 2, 3, 4];
        packet.extend((0..csrcs).flat_map(|n| [n; 4]));
        if let Some((id, body)) = self.extension {
            packet.extend(id.number().to_be_bytes());
            packet.extend(u16::try_from(body.0.len() / 4).unwrap_or(0).to_be_bytes());
            packet.extend(&body.0[..body.0.len() / 4 * 4]);
        }
        packet.extend(self.octets.0);
        packet
    }

    /// Where the extension's header and its body are.
    fn body(&self) -> Option<(u16, usize, &[u8])> {
        let (id, body) = self.extension?;
        Some((id.number(), 12 + 4 * usize::from(self.csrcs % 16) + 4, &body.0[..body.0.len() / 4 * 4]))
    }

    fn session(&self, domain: &Domain, configure: impl FnOnce(SessionBuilder) -> SessionBuilder) -> Session {
        let setup = Setup { profile: self.profile, key: Octets(&[]), mki: Octets(&[]) };
        let key = || setup.key(0).master();
        let builder = Session::builder(self.profile.0).outbound(key()).inbound(key());
        configure(builder).build(domain).expect("a good policy")
    }

    fn elements(&self, domain: &Domain) {
        let ids: BTreeSet<u8> = self.ids.into_iter().filter(|id| *id != 0).collect();
        if ids.is_empty() {
            return;
        }
        let list: Vec<u8> = ids.iter().copied().collect();
        let keystream = if self.libsrtp { HeaderKeystream::Libsrtp } else { HeaderKeystream::Rfc6904 };
        let session = self.session(domain, |builder| {
            builder.encrypted_header_extensions(&list).header_extension_keystream(keystream)
        });
        let plain = self.packet();
        let sealed = seal(session.outbound(), Protocol::Rtp, self.form, Room::Spare(3), &plain);
        let found = self.body().map_or(Some(BTreeSet::new()), |(id, _, body)| selected(id, body, &ids));
        if !self.libsrtp {
            assert_eq!(sealed.is_err(), found.is_none(), "whether an element reaches past the end");
        }
        let Ok(sealed) = sealed else {
            assert_eq!(sealed, Err(Error::ElementOverrun));
            // Received, it is refused for the same reason, and before its tag is looked at.
            let mut forged = plain;
            forged.resize(forged.len() + overhead(self.profile.0, Protocol::Rtp, 0), 0);
            assert_eq!(open(session.inbound(), Protocol::Rtp, self.form, &forged, 0), Err(Error::ElementOverrun));
            return;
        };
        if let (Some(hidden), Some((_, start, body)), false) = (found, self.body(), self.libsrtp) {
            let payload = start + body.len();
            for at in 0..payload {
                let may_differ = at >= start && hidden.contains(&(at - start));
                assert!(sealed[at] == plain[at] || may_differ, "octet {at} of the header is hidden");
            }
            // Some dozen hidden octets do not all stay as they were by chance.
            let same = hidden.iter().filter(|at| sealed[start + **at] == plain[start + **at]).count();
            assert!(hidden.len() < 12 || same < hidden.len(), "nothing is hidden");
        }
        assert_eq!(open(session.inbound(), Protocol::Rtp, self.form, &sealed, 2).as_deref(), Ok(&plain[..]));
    }

    fn cryptex(&self, domain: &Domain) {
        let mode = if self.required { Cryptex::Required } else { Cryptex::Enabled };
        let session = self.session(domain, |builder| builder.cryptex(mode));
        let plain = self.packet();
        let csrcs = usize::from(self.csrcs % 16);
        // An empty extension is given to a packet with CSRCs and without one.
        let given = csrcs > 0 && self.extension.is_none() && !plant::is_on();
        let mut expected = plain.clone();
        if given {
            expected[0] |= 0x10;
            let at = 12 + 4 * csrcs;
            expected.splice(at..at, [0xbe, 0xde, 0, 0]);
        }
        // `seal` is for packets that grow by their trailer alone.
        let mut buffer = plain.clone();
        buffer.resize(plain.len() + session.outbound().rtp_overhead(), 0xee);
        let before = buffer.clone();
        let sealed = session.outbound().protect_rtp(&domain.pin(), &mut buffer, plain.len());
        let known = self.body().is_none_or(|(id, ..)| id == 0xbede || id == 0x1000);
        if !known {
            assert_eq!((sealed, &buffer), (Err(Error::UnknownExtensionForm), &before));
            return;
        }
        let len = sealed.expect("a well-formed packet");
        assert_eq!(len, expected.len() + overhead(self.profile.0, Protocol::Rtp, 0));
        buffer.truncate(len);
        if csrcs > 0 || self.extension.is_some() {
            let at = 12 + 4 * csrcs;
            let two = self.body().is_some_and(|(id, ..)| id == 0x1000);
            assert_eq!(buffer[at..at + 2], if two { [0xc2, 0xde] } else { [0xc0, 0xde] });
            assert_eq!(buffer[at + 2..at + 4], expected[at + 2..at + 4], "the extension's length");
        }
        assert_eq!((buffer[0], &buffer[1..12]), (expected[0], &expected[1..12]));
        assert_eq!(open(session.inbound(), Protocol::Rtp, self.form, &buffer, 5).as_deref(), Ok(&expected[..]));
    }

    /// Any octets, to receivers that do something to headers.
    fn received(&self, domain: &Domain) {
        let with = |cryptex| {
            self.session(domain, |builder| {
                if cryptex { builder.cryptex(Cryptex::Required) } else { builder.encrypted_header_extensions(&[1, 3]) }
            })
        };
        for session in [with(true), with(false)] {
            for packet in [self.octets.0, &self.packet()] {
                let opened = open(session.inbound(), Protocol::Rtp, self.form, packet, 0);
                assert!(opened.is_err(), "a packet that nobody protected");
                assert!(session.inbound().streams().is_empty());
            }
        }
    }
}

impl<'a> Case<'a> for Extensions<'a> {
    fn check(&self) {
        // Tags of 32 bits and none are forged by chance and by anybody.
        let profile = self.profile.0;
        if !encrypts(profile) || profile.srtp_tag_len() < 8 {
            return;
        }
        let domain = Domain::without_reclaimer();
        self.elements(&domain);
        self.cryptex(&domain);
        self.received(&domain);
    }
}
