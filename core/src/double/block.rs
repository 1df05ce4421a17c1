//! The original header block (RFC 8723 4): what header fields were before somebody on the way changed them.
//!
//! ```text
//!   [ PT (1 octet) ] [ SEQ (2 octets) ] config (1 octet): R R R R B M P Q
//! ```
//!
//! It ends the payload of the outer layer, and is read from its end: the config octet says which fields are before it. P and Q stand for PT and SEQ,
//! M for the marker, whose value is B. What nobody has changed is not in it.

use crate::error::{Error, Result};
use crate::wire::{MAX_PACKET_LEN, Plain, Protocol};

const B: u8 = 1 << 3;
const M: u8 = 1 << 2;
const P: u8 = 1 << 1;
const Q: u8 = 1 << 0;
const RESERVED: u8 = 0xf0;

/// By how many octets [`rewrite`] makes a packet longer, at most: those of a payload type and of a sequence number.
pub const MAX_GROWTH: usize = 3;

const MARKER: u8 = 0x80;
/// Octets of an RTP header up to the end of the fields that may be changed.
const FIELDS_END: usize = 4;

/// The fields of an RTP header that may be changed on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fields {
    /// 0 to 127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence_number: u16,
    /// Marker bit.
    pub marker: bool,
}

/// What a media distributor changes in a header; `None` leaves a field as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rewrite {
    /// 0 to 127.
    pub payload_type: Option<u8>,
    /// Sequence number.
    pub sequence_number: Option<u16>,
    /// Marker bit.
    pub marker: Option<bool>,
}

impl Fields {
    /// Those of a packet that was parsed.
    pub(super) fn of(packet: &[u8]) -> Self {
        let Some(&[_, second, high, low]) = packet.first_chunk::<FIELDS_END>() else {
            return Self { payload_type: 0, sequence_number: 0, marker: false };
        };
        let sequence_number = u16::from_be_bytes([high, low]);
        Self { payload_type: second & !MARKER, sequence_number, marker: second & MARKER != 0 }
    }

    pub(super) fn write(self, packet: &mut [u8]) {
        if let Some([_, second, high, low]) = packet.first_chunk_mut::<FIELDS_END>() {
            *second = if self.marker { self.payload_type | MARKER } else { self.payload_type };
            [*high, *low] = self.sequence_number.to_be_bytes();
        }
    }
}

/// An original header block: the fields that it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    payload_type: Option<u8>,
    sequence_number: Option<u16>,
    marker: Option<bool>,
}

impl Block {
    /// Reads the block that ends a payload.
    ///
    /// # Errors
    ///
    /// [`Error::BadHeaderBlock`] if the payload is too short for its fields, or a bit is set that must not be.
    pub(super) fn read(payload: &[u8]) -> Result<Self> {
        let (&config, fields) = payload.split_last().ok_or(Error::BadHeaderBlock)?;
        // No value of a marker without the marker (RFC 8723 4).
        if config & RESERVED != 0 || config & (B | M) == B {
            return Err(Error::BadHeaderBlock);
        }
        let (fields, sequence_number) = if config & Q == 0 {
            (fields, None)
        } else {
            let (fields, octets) = fields.split_last_chunk().ok_or(Error::BadHeaderBlock)?;
            (fields, Some(u16::from_be_bytes(*octets)))
        };
        let payload_type = if config & P == 0 { None } else { Some(*fields.last().ok_or(Error::BadHeaderBlock)?) };
        if payload_type.is_some_and(|of| of & MARKER != 0) {
            return Err(Error::BadHeaderBlock);
        }
        let marker = (config & M != 0).then_some(config & B != 0);
        Ok(Self { payload_type, sequence_number, marker })
    }

    /// Octets of it.
    pub(super) fn len(self) -> usize {
        1 + usize::from(self.payload_type.is_some()) + 2 * usize::from(self.sequence_number.is_some())
    }

    /// Writes it to `place`, as far as that goes.
    fn write(self, place: &mut [u8]) {
        let sequence_number = self.sequence_number.map(u16::to_be_bytes);
        let marker = self.marker.map_or(0, |value| if value { B | M } else { M });
        let config = marker | self.payload_type.map_or(0, |_| P) | sequence_number.map_or(0, |_| Q);
        let octets = self.payload_type.into_iter().chain(sequence_number.into_iter().flatten()).chain([config]);
        place.iter_mut().zip(octets).for_each(|(to, from)| *to = from);
    }

    /// What the fields of a packet were, which are `received` now.
    pub(super) fn original(self, received: Fields) -> Fields {
        Fields {
            payload_type: self.payload_type.unwrap_or(received.payload_type),
            sequence_number: self.sequence_number.unwrap_or(received.sequence_number),
            marker: self.marker.unwrap_or(received.marker),
        }
    }

    /// The block of a packet whose fields were `received` and are `sent` from here on (RFC 8723 5.2).
    fn after(self, received: Fields, sent: Fields) -> Self {
        fn field<T: PartialEq + Copy>(noted: Option<T>, received: T, sent: T) -> Option<T> {
            if received == sent {
                return noted;
            }
            // The first to change a field notes it; who changes it back takes the note away.
            Some(noted.unwrap_or(received)).filter(|original| *original != sent)
        }
        Self {
            payload_type: field(self.payload_type, received.payload_type, sent.payload_type),
            sequence_number: field(self.sequence_number, received.sequence_number, sent.sequence_number),
            marker: field(self.marker, received.marker, sent.marker),
        }
    }
}

/// Changes the header of a packet on its way from one hop to the next, and notes what was there before in its original header block: for a media
/// distributor, which has no inner key (RFC 8723 5.2). Returns the new length.
///
/// The packet is the first `len` octets of `buffer`, as the outer layer's [`unprotect_rtp`](crate::Inbound::unprotect_rtp) leaves it. It may grow by up to
/// [`MAX_GROWTH`] octets, and shrink where a field gets back its original value. Its header extension may be changed beside this: nothing notes that.
/// Packets with the outer layer alone (repair packets, RTCP) have no such block, and are not for this.
///
/// Where sequence numbers are changed, the next hop counts rollovers by the new ones, the inner layer by the original ones.
///
/// # Errors
///
/// [`Fault::Packet`](crate::Fault::Packet) if it is no RTP packet; [`Error::BadHeaderBlock`]; [`Error::BadPayloadType`], [`Error::LengthExceedsBuffer`],
/// [`Error::OutputTooSmall`], [`Error::PacketTooLong`]. The buffer is untouched then.
///
/// # Performance
///
/// A few loads and stores at either end of the packet; nothing is moved.
pub fn rewrite(buffer: &mut [u8], len: usize, changes: Rewrite) -> Result<usize> {
    let packet = buffer.get(..len).ok_or(Error::LengthExceedsBuffer)?;
    let (block, received) = read(packet)?;
    if changes.payload_type.is_some_and(|payload_type| payload_type & MARKER != 0) {
        return Err(Error::BadPayloadType);
    }
    let sent = Fields {
        payload_type: changes.payload_type.unwrap_or(received.payload_type),
        sequence_number: changes.sequence_number.unwrap_or(received.sequence_number),
        marker: changes.marker.unwrap_or(received.marker),
    };
    let after = block.after(received, sent);
    let start = len - block.len();
    let end = start + after.len();
    if end > MAX_PACKET_LEN {
        return Err(Error::PacketTooLong);
    }
    after.write(buffer.get_mut(start..end).ok_or(Error::OutputTooSmall)?);
    sent.write(buffer);
    Ok(end)
}

/// What the header of a packet was when its sender sent it, by its original header block, which is not authenticated to a media distributor any further
/// than to the hop before. The packet is as in [`rewrite`].
///
/// # Errors
///
/// [`Fault::Packet`](crate::Fault::Packet) if it is no RTP packet; [`Error::BadHeaderBlock`].
pub fn original(packet: &[u8]) -> Result<Fields> {
    read(packet).map(|(block, received)| block.original(received))
}

fn read(packet: &[u8]) -> Result<(Block, Fields)> {
    let head = Plain::parse(Protocol::Rtp, packet)?.head;
    let block = Block::read(packet.get(head..).unwrap_or_default())?;
    Ok((block, Fields::of(packet)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields() -> impl Strategy<Value = Fields> {
        (0u8..128, any::<u16>(), any::<bool>()).prop_map(|(payload_type, sequence_number, marker)| Fields {
            payload_type,
            sequence_number,
            marker,
        })
    }

    fn changes() -> impl Strategy<Value = Rewrite> {
        // Few values, so that fields get back what they had.
        let (pt, seq) = (prop::option::of(0u8..3), prop::option::of(0u16..3));
        (pt, seq, any::<Option<bool>>()).prop_map(|(payload_type, sequence_number, marker)| Rewrite {
            payload_type,
            sequence_number,
            marker,
        })
    }

    /// A packet of an outer layer, with a payload of which nothing matters but its end.
    fn packet(fields: Fields, block: &[u8]) -> Vec<u8> {
        let mut packet = [&[0x80, 0, 0, 0, 9, 9, 9, 9, 1, 2, 3, 4][..], &[0xaa; 20], block].concat();
        fields.write(&mut packet);
        packet
    }

    proptest! {
        #[test]
        fn rfc8723_the_original_survives_every_hop(first in fields(), hops in prop::collection::vec(changes(), 0..6)) {
            let mut now = first;
            let mut buffer = packet(first, &[0]);
            let mut len = buffer.len();
            buffer.resize(len + MAX_GROWTH, 0xee);
            for hop in hops {
                len = rewrite(&mut buffer, len, hop).unwrap();
                now.payload_type = hop.payload_type.unwrap_or(now.payload_type);
                now.sequence_number = hop.sequence_number.unwrap_or(now.sequence_number);
                now.marker = hop.marker.unwrap_or(now.marker);
                prop_assert_eq!(Fields::of(&buffer), now);
                prop_assert_eq!(original(&buffer[..len]), Ok(first));
                // The shortest block that says so.
                let changed = usize::from(now.payload_type != first.payload_type) + 2 * usize::from(now.sequence_number != first.sequence_number);
                prop_assert_eq!(len, 33 + changed);
                prop_assert_eq!(&buffer[12..32], &[0xaa; 20]);
            }
        }

        #[test]
        fn what_is_read_is_what_was_written(payload_type in prop::option::of(0u8..128), sequence_number: Option<u16>, marker: Option<bool>) {
            let block = Block { payload_type, sequence_number, marker };
            let mut octets = vec![0xee; block.len()];
            block.write(&mut octets);
            prop_assert_eq!(Block::read(&octets), Ok(block));
            prop_assert_eq!(Block::read(&octets[1..]), Err(Error::BadHeaderBlock), "an octet is missing");
        }
    }

    #[test]
    fn rfc8723_the_octets_of_blocks() {
        let block = |payload_type, sequence_number, marker| Block { payload_type, sequence_number, marker };
        for (octets, expected) in [
            (&[0x00][..], block(None, None, None)),
            (&[0x04], block(None, None, Some(false))),
            (&[0x0c], block(None, None, Some(true))),
            (&[0x61, 0x02], block(Some(97), None, None)),
            (&[0x12, 0x34, 0x01], block(None, Some(0x1234), None)),
            (&[0x7f, 0xff, 0xfe, 0x0f], block(Some(127), Some(0xfffe), Some(true))),
        ] {
            assert_eq!(Block::read(octets), Ok(expected), "{octets:x?}");
        }
    }

    #[test]
    fn rfc8723_bits_that_must_be_0_and_fields_that_are_not_there_are_refused() {
        for config in 0..=255u8 {
            let octets = [0x11, 0x22, 0x33, config];
            let expected = config & RESERVED == 0 && config & (B | M) != B;
            assert_eq!(Block::read(&octets).is_ok(), expected, "{config:#x}");
        }
        for short in [&[][..], &[P], &[Q], &[0x22, Q], &[0x22, 0x33, P | Q], &[0x80, P]] {
            assert_eq!(Block::read(short), Err(Error::BadHeaderBlock), "{short:x?}");
        }
    }

    #[test]
    fn a_refused_change_leaves_the_buffer_as_it_was() {
        let first = Fields { payload_type: 96, sequence_number: 1, marker: true };
        let change = Rewrite { sequence_number: Some(2), ..Rewrite::default() };
        let refused = |octets: &[u8], len: usize, changes| {
            let mut buffer = octets.to_vec();
            let error = rewrite(&mut buffer, len, changes).unwrap_err();
            assert_eq!(buffer, octets, "{error:?}");
            error
        };
        let good = packet(first, &[0]);
        assert_eq!(refused(&good, good.len(), change), Error::OutputTooSmall);
        assert_eq!(refused(&good, good.len() + 1, change), Error::LengthExceedsBuffer);
        let bad = Rewrite { payload_type: Some(128), ..Rewrite::default() };
        assert_eq!(refused(&good, good.len(), bad), Error::BadPayloadType);
        let bad = packet(first, &[0x10]);
        assert_eq!(refused(&bad, bad.len(), Rewrite::default()), Error::BadHeaderBlock);
        assert_eq!(refused(&good[..12], 12, change), Error::BadHeaderBlock);
        assert_eq!(refused(&good[..11], 11, change), Error::PacketTooShort);
    }
}
