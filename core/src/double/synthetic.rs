//! A packet as the inner layer sees it (RFC 8723 5.1, 5.3): without its header extension.
//!
//! The extension is not cut out of the packet, but put before it, and back again: the header moves, and the payload stays where it is.

use crate::error::Result;
use crate::wire::rtp::{FIXED_LEN, WORD};
use crate::wire::{Plain, Protocol};

const X_FLAG: u8 = 0x10;
/// Octets of the longest header without extension.
pub(super) const MAX_BASE: usize = FIXED_LEN + 15 * WORD;

/// Where a header has its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Octets of the fixed header and the CSRCs.
    pub(super) base: usize,
    /// Octets of the extension behind them, its own header included.
    pub(super) extension: usize,
}

impl Head {
    /// # Errors
    ///
    /// [`Fault::Packet`](crate::Fault::Packet).
    pub(super) fn of(packet: &[u8]) -> Result<Self> {
        let head = Plain::parse(Protocol::Rtp, packet)?.head;
        let base = FIXED_LEN + WORD * usize::from(packet.first().map_or(0, |first| first & 0x0f));
        Ok(Self { base, extension: head.saturating_sub(base) })
    }

    pub(super) const fn len(self) -> usize {
        self.base + self.extension
    }

    /// The header that the inner layer sees.
    pub(super) fn synthetic(self, packet: &[u8]) -> [u8; MAX_BASE] {
        let mut header = [0; MAX_BASE];
        for (to, from) in header.iter_mut().zip(packet).take(self.base) {
            *to = *from;
        }
        let [first, ..] = &mut header;
        *first &= !X_FLAG;
        header
    }

    /// Calls `work` with the packet as the inner layer sees it, and all that follows it in `buffer`.
    pub(super) fn without_extension<R>(self, buffer: &mut [u8], work: impl FnOnce(&mut [u8]) -> R) -> R {
        if self.extension == 0 {
            return work(buffer);
        }
        let header = buffer.get_mut(..self.len()).unwrap_or_default();
        header.rotate_left(self.base.min(header.len()));
        let packet = buffer.get_mut(self.extension..).unwrap_or_default();
        set_x(packet, false);
        let result = work(packet);
        set_x(packet, true);
        let header = buffer.get_mut(..self.len()).unwrap_or_default();
        header.rotate_right(self.base.min(header.len()));
        result
    }
}

fn set_x(packet: &mut [u8], on: bool) {
    if let Some(first) = packet.first_mut() {
        *first = if on { *first | X_FLAG } else { *first & !X_FLAG };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_is_out_of_the_way_and_comes_back() {
        for csrcs in [0u8, 2, 15] {
            for words in [None, Some(0u8), Some(3)] {
                let x = if words.is_some() { X_FLAG } else { 0 };
                let mut base = vec![0x80 | x | csrcs, 96, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4];
                base.extend((0..csrcs).flat_map(|n| [n; 4]));
                let mut extension = words.map_or(vec![], |words| vec![0xbe, 0xde, 0, words]);
                extension.extend((0..words.unwrap_or(0)).flat_map(|n| [0x40 | n; 4]));
                let packet = [&base[..], &extension, b"payload"].concat();
                let head = Head::of(&packet).unwrap();
                assert_eq!(head, Head { base: base.len(), extension: extension.len() });

                base[0] &= !X_FLAG;
                assert_eq!(head.synthetic(&packet)[..base.len()], base);
                let mut buffer = packet.clone();
                head.without_extension(&mut buffer, |inner| assert_eq!(inner, [&base[..], b"payload"].concat()));
                assert_eq!(buffer, packet);
            }
        }
    }
}
