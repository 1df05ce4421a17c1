//! Target `double`: original header blocks (RFC 8723 4), as media distributors change headers and as anybody might write them.
//!
//! 1. The verdict on any octets, and what they say, is that of a reader written from the RFC once more.
//! 2. However often a header is changed on the way, the receiver has what the sender sent, and what the last hop wrote where that counts.
//! 3. A refusal leaves a packet as it was.

use crate::Case;
use crate::input::Octets;
use crate::plant;
use arbitrary::Arbitrary;
use keyflip::double::{self, Endpoint, Fields, MAX_GROWTH, Rewrite};
use keyflip::{Domain, Error, Guard, MasterKey, Profile, Session};

/// The input.
#[derive(Arbitrary, Clone, Debug)]
pub struct Blocks<'a> {
    first: Change,
    csrcs: u8,
    extension: Option<u8>,
    /// What each media distributor changes, and whether it has to do without room for it.
    hops: Vec<(Change, bool)>,
    /// An octet that the last hop changes and should not.
    spoil: Option<(u16, u8)>,
    octets: Octets<'a>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Change {
    payload_type: Option<u8>,
    sequence_number: Option<u16>,
    marker: Option<bool>,
}

impl Change {
    fn rewrite(self) -> Rewrite {
        let Self { payload_type, sequence_number, marker } = self;
        Rewrite { payload_type, sequence_number, marker }
    }

    fn on(self, fields: Fields) -> Fields {
        Fields {
            payload_type: self.payload_type.unwrap_or(fields.payload_type),
            sequence_number: self.sequence_number.unwrap_or(fields.sequence_number),
            marker: self.marker.unwrap_or(fields.marker),
        }
    }
}

/// RFC 3550 5.1 and 5.3.1: where the payload begins.
fn payload_at(packet: &[u8]) -> Option<usize> {
    if packet.len() < 12 || packet[0] >> 6 != 2 {
        return None;
    }
    let mut at = 12 + 4 * usize::from(packet[0] & 15);
    if packet[0] & 16 != 0 {
        let words = packet.get(at + 2..at + 4)?;
        at += 4 + 4 * (usize::from(words[0]) << 8 | usize::from(words[1]));
    }
    (packet.len() >= at).then_some(at)
}

fn fields(packet: &[u8]) -> Fields {
    let sequence_number = u16::from_be_bytes([packet[2], packet[3]]);
    Fields { payload_type: packet[1] & 0x7f, sequence_number, marker: packet[1] >> 7 == 1 }
}

/// What the block at the end of a packet says of its fields; `None` if it must be refused.
fn original(packet: &[u8]) -> Option<Fields> {
    let mut rest = packet[payload_at(packet)?..].to_vec();
    let mut said = fields(packet);
    let config = rest.pop()?;
    if config > 0x0f || config & 0x0c == 0x08 {
        return None;
    }
    if config & 1 == 1 {
        let low = rest.pop()?;
        said.sequence_number = u16::from_be_bytes([rest.pop()?, low]);
    }
    if config & 2 == 2 {
        said.payload_type = rest.pop().filter(|octet| *octet < 128)?;
    }
    if config & 4 == 4 {
        said.marker = config & 8 == 8 && !plant::is_on();
    }
    Some(said)
}

impl Blocks<'_> {
    /// Invariant 1.
    fn read(&self, packet: &[u8]) {
        let said = double::original(packet).ok();
        assert_eq!(said, original(packet));
        for (change, tight) in &self.hops {
            let mut buffer = packet.to_vec();
            buffer.extend(vec![0xee; if *tight { 0 } else { MAX_GROWTH }]);
            let before = buffer.clone();
            match double::rewrite(&mut buffer, packet.len(), change.rewrite()) {
                Ok(len) => {
                    let after = &buffer[..len];
                    assert_eq!(double::original(after).ok(), said, "the original is lost");
                    assert_eq!(fields(after), change.on(fields(packet)));
                    assert_eq!(after[4..packet.len().min(len) - 4], packet[4..packet.len().min(len) - 4]);
                }
                Err(error) => {
                    assert_eq!(buffer, before, "{error:?} left traces");
                    let bad = change.payload_type.is_some_and(|of| of > 127);
                    let small = *tight && error == Error::OutputTooSmall;
                    assert!(said.is_none() || bad || small, "{error:?}");
                }
            }
        }
    }

    fn packet(&self) -> Vec<u8> {
        let start = Fields { payload_type: 96, sequence_number: 0, marker: false };
        let Fields { payload_type, sequence_number, marker } = self.first.on(start);
        let (csrcs, extended) = (self.csrcs % 16, u8::from(self.extension.is_some()) << 4);
        let mut packet = vec![0x80 | extended | csrcs, payload_type & 0x7f | u8::from(marker) << 7];
        packet.extend(sequence_number.to_be_bytes());
        packet.extend([0, 0, 0, 7, 0xca, 0xfe, 0xba, 0xbe]);
        packet.extend((0..csrcs).flat_map(|n| [n; 4]));
        if let Some(words) = self.extension {
            packet.extend([0xbe, 0xde, 0, words % 8]);
            packet.extend((0..words % 8).flat_map(|n| [n | 0xf0; 4]));
        }
        packet.extend(self.octets.0);
        packet
    }

    /// Invariants 2 and 3.
    fn relay(&self) {
        let domain = Domain::without_reclaimer();
        let guard = domain.pin();
        let plain = self.packet();
        let sent = fields(&plain);
        let key = |n: u8| MasterKey::take(&mut [n; 28]);
        let session = |n| {
            let builder = Session::builder(Profile::AeadAes128Gcm).outbound(key(n)).inbound(key(n));
            builder.build(&domain).expect("a good key")
        };
        let inner = session(0);
        let endpoint = |n| Endpoint::new(&inner, &session(n)).expect("two layers");
        let mut buffer = plain.clone();
        buffer.resize(plain.len() + endpoint(1).outbound().rtp_overhead() + MAX_GROWTH, 0);
        let mut len =
            endpoint(1).outbound().protect_rtp(&guard, &mut buffer, plain.len()).expect("a well-formed packet");

        let (mut hop, mut now) = (1u8, sent);
        let changes = self.hops.iter().map(|(change, _)| *change).take(8);
        for change in changes.filter(|change| change.payload_type.is_none_or(|of| of < 128)) {
            len = session(hop).inbound().unprotect_rtp(&guard, &mut buffer[..len]).expect("the hop's key").len();
            len = double::rewrite(&mut buffer, len, change.rewrite()).expect("there is room");
            now = change.on(now);
            hop += 1;
            len = session(hop).outbound().protect_rtp(&guard, &mut buffer, len).expect("there is room");
        }
        buffer.truncate(len);
        if let Some((at, octet)) = self.spoil {
            self.spoilt(&guard, &session(hop), &buffer, (usize::from(at), octet), &endpoint(hop));
        }
        let opened = endpoint(hop);
        let opened = opened.inbound().unprotect_rtp(&guard, &mut buffer).expect("both keys");
        assert_eq!(opened.original, sent);
        let mut expected = plain;
        expected[1] = now.payload_type | u8::from(sent.marker) << 7;
        expected[2..4].copy_from_slice(&now.sequence_number.to_be_bytes());
        assert_eq!(opened.octets, expected);
    }

    /// What a hop changes beside the fields that it may, and the extension, the receiver refuses.
    fn spoilt(&self, guard: &Guard<'_>, hop: &Session, packet: &[u8], (at, octet): (usize, u8), receiver: &Endpoint) {
        let mut spoilt = packet.to_vec();
        let len = hop.inbound().unprotect_rtp(guard, &mut spoilt).expect("the hop's key").len();
        let before = spoilt[..len].to_vec();
        let at = at % len;
        spoilt[at] ^= octet;
        // Another hop's session, since this one's has sent the index.
        let again = Session::builder(Profile::AeadAes128Gcm).outbound(MasterKey::take(&mut [0x77; 28]));
        let again = again.inbound(MasterKey::take(&mut [0x77; 28])).build(hop.outbound().domain()).expect("a good key");
        let Ok(sealed) = again.outbound().protect_rtp(guard, &mut spoilt, len) else { return };
        let base = 12 + 4 * usize::from(before[0] & 15);
        let head = payload_at(&before).expect("a packet");
        let allowed = octet == 0 || (base..head).contains(&at);
        let was = spoilt[..sealed].to_vec();
        let receiver = Endpoint::new(
            &Session::builder(Profile::AeadAes128Gcm)
                .inbound(MasterKey::take(&mut [0; 28]))
                .build(receiver.inbound().outer().domain())
                .expect("a good key"),
            &again,
        );
        let receiver = receiver.expect("two layers");
        match receiver.inbound().unprotect_rtp(guard, &mut spoilt[..sealed]) {
            // A block may say what is so anyway, and fields may be put right again.
            Ok(opened) => {
                assert!(allowed || opened.original == fields(&self.packet()), "octet {at} was changed unseen");
            }
            Err(error) => {
                assert!(octet != 0, "{error:?}");
                assert_eq!(spoilt[..sealed], was, "{error:?} left traces");
            }
        }
    }
}

impl<'a> Case<'a> for Blocks<'a> {
    fn check(&self) {
        self.read(self.octets.0);
        // The octets behind a header, so that they are a payload, and their end a block.
        self.read(&self.packet());
        self.relay();
    }
}
