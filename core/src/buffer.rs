//! A packet in one buffer, or on its way from one to another.

use crate::error::{Error, Result};
use cipher::inout::InOutBuf;
use core::ops::Range;

/// Where a packet is read and where its successor is written: the same place, or two.
pub(crate) struct Buffer<'a> {
    /// The packet, if it is not at the start of `to`.
    from: Option<&'a [u8]>,
    to: &'a mut [u8],
    /// Octets of the packet.
    len: usize,
}

impl<'a> Buffer<'a> {
    /// The first `len` octets of `storage` are the packet; what follows is room.
    pub(crate) const fn in_place(storage: &'a mut [u8], len: usize) -> Result<Self> {
        if len > storage.len() {
            return Err(Error::LengthExceedsBuffer);
        }
        Ok(Self { from: None, to: storage, len })
    }

    pub(crate) const fn between(from: &'a [u8], to: &'a mut [u8]) -> Self {
        Self { len: from.len(), from: Some(from), to }
    }

    /// The packet as it came.
    pub(crate) fn packet(&self) -> &[u8] {
        match self.from {
            Some(from) => from,
            None => self.to.get(..self.len).unwrap_or_default(),
        }
    }

    /// Octets of the output.
    pub(crate) const fn room(&self) -> usize {
        self.to.len()
    }

    /// Carries the octets before `body` to the output as they are, and gives the body, to be read and written once.
    pub(crate) fn body(&mut self, body: Range<usize>) -> InOutBuf<'_, '_, u8> {
        self.parts(body).1
    }

    /// As [`Self::body`], with the octets before it as they are in the output, and the output behind it.
    pub(crate) fn parts(&mut self, body: Range<usize>) -> (&mut [u8], InOutBuf<'_, '_, u8>, &mut [u8]) {
        let (packet, room) = self.to.split_at_mut_checked(body.end).unwrap_or_default();
        let (head, to) = packet.split_at_mut_checked(body.start).unwrap_or_default();
        let Some(from) = self.from else {
            return (head, to.into(), room);
        };
        if let Some(from) = from.get(..body.start) {
            head.copy_from_slice(from);
        }
        // Of one length, since `room` was asked first; nothing is better than a part.
        let both = InOutBuf::new(from.get(body).unwrap_or_default(), to).unwrap_or_else(|_| (&mut [][..]).into());
        (head, both, room)
    }

    /// Carries the first `len` octets of the packet to the output, and gives that.
    pub(crate) fn carried(&mut self, len: usize) -> &mut [u8] {
        if let Some(from) = self.from {
            for (to, from) in self.to.iter_mut().zip(from).take(len) {
                *to = *from;
            }
        }
        self.to
    }

    /// The output.
    pub(crate) const fn output(&mut self) -> &mut [u8] {
        self.to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_place_and_between_give_the_same_views() {
        let mut storage = *b"headbody....";
        let mut buffer = Buffer::in_place(&mut storage, 8).unwrap();
        assert_eq!(buffer.packet(), b"headbody");
        assert_eq!(buffer.body(4..8).get_in(), b"body");
        assert_eq!(buffer.room(), 12);

        let mut output = [0u8; 12];
        let mut buffer = Buffer::between(b"headbody", &mut output);
        assert_eq!(buffer.packet(), b"headbody");
        let mut body = buffer.body(4..8);
        assert_eq!(body.get_in(), b"body");
        body.get_out().copy_from_slice(b"BODY");
        assert_eq!(&output[..8], b"headBODY");
    }

    #[test]
    fn a_length_beyond_the_buffer_is_refused() {
        assert!(matches!(Buffer::in_place(&mut [0; 4], 5), Err(Error::LengthExceedsBuffer)));
    }
}
