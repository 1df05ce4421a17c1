//! Buffers that packets are worked on in, the same for every implementation.

use std::ops::Range;

/// What is kept free behind a packet: libsrtp wants room for its longest trailer, whatever it writes.
const TAILROOM: usize = keyflip_interop::libsrtp::TRAILER;

/// A cache line: where each buffer begins.
const LINE: usize = 64;

/// Buffers in a row, each with its packet's length.
pub(crate) struct Slots {
    memory: Vec<u8>,
    first: usize,
    stride: usize,
    lens: Vec<usize>,
}

impl Slots {
    /// `count` buffers for packets of up to `longest` octets.
    pub(crate) fn new(count: usize, longest: usize) -> Self {
        let stride = (longest + TAILROOM).next_multiple_of(LINE);
        let memory = vec![0; count * stride + LINE];
        let first = memory.as_ptr().align_offset(LINE);
        Self { memory, first, stride, lens: vec![0; count] }
    }

    /// Puts a packet into buffer `n`.
    pub(crate) fn put(&mut self, n: usize, packet: &[u8]) {
        self.lens[n] = packet.len();
        self.room(n)[..packet.len()].copy_from_slice(packet);
    }

    /// The whole of buffer `n`.
    #[inline]
    pub(crate) fn room(&mut self, n: usize) -> &mut [u8] {
        let place = self.place(n);
        &mut self.memory[place]
    }

    /// The whole of buffer `n`, and the length of its packet.
    #[inline]
    pub(crate) fn slot(&mut self, n: usize) -> (&mut [u8], usize) {
        let len = self.lens[n];
        (self.room(n), len)
    }

    /// The packet in buffer `n`.
    #[inline]
    pub(crate) fn packet(&mut self, n: usize) -> &mut [u8] {
        let (room, len) = self.slot(n);
        &mut room[..len]
    }

    /// All buffers, as one arena.
    #[inline]
    pub(crate) fn memory(&mut self) -> &mut [u8] {
        &mut self.memory
    }

    /// Where buffer `n` is in that.
    #[inline]
    pub(crate) fn place(&self, n: usize) -> Range<usize> {
        let at = self.first + n * self.stride;
        at..at + self.stride
    }

    /// Where the packet in buffer `n` is.
    #[inline]
    pub(crate) fn packet_place(&self, n: usize) -> Range<usize> {
        let at = self.first + n * self.stride;
        at..at + self.lens[n]
    }

    /// The length of the packet in buffer `n`.
    #[inline]
    pub(crate) fn len(&self, n: usize) -> usize {
        self.lens[n]
    }

    /// The whole of each buffer.
    #[inline]
    pub(crate) fn rooms(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.memory[self.first..].chunks_exact_mut(self.stride)
    }

    /// Says how long the packet in buffer `n` has become.
    pub(crate) fn set_len(&mut self, n: usize, len: usize) {
        self.lens[n] = len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_buffer_begins_a_cache_line_and_has_room_for_a_trailer() {
        let mut slots = Slots::new(5, 172);
        for n in 0..5 {
            slots.put(n, &[u8::try_from(n).unwrap(); 172]);
        }
        for n in 0..5 {
            let (room, len) = slots.slot(n);
            assert!(room.as_ptr().addr().is_multiple_of(LINE) && room.len() >= len + TAILROOM);
            assert_eq!(slots.packet(n), [u8::try_from(n).unwrap(); 172]);
        }
    }
}
