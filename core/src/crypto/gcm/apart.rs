//! The tag of a received Cryptex packet with CSRCs (RFC 9335 6.2): what is encrypted lies in two parts, with octets in the clear between them, and must
//! not be moved before the tag has verified.

use super::{AesGcm, BLOCK, Keys, TAG_LEN};
use crate::crypto::Frame;
use crate::wire::rtp::{FIXED_LEN, WORD};
use ghash::universal_hash::UniversalHash;
use ghash::{GHash, Key};
use zeroize::Zeroizing;

/// Octets of the longest CSRC list.
const MOST_CSRCS: usize = 15 * WORD;

impl AesGcm {
    /// The tag over `fixed header || extension header` as additional data, and `CSRCs || the rest` as ciphertext.
    #[cold]
    pub(super) fn tag_apart(&self, frame: Frame, csrcs: u8, protected: &[u8]) -> [u8; TAG_LEN] {
        let (fixed, rest) = part(protected, FIXED_LEN);
        let (csrcs, rest) = part(rest, usize::from(csrcs) * WORD);
        let (extension, rest) = part(rest, WORD);

        let h = Zeroizing::new(self.encrypt_block(0));
        let mut hash = GHash::new(<&Key>::from(&*h));
        let mut block = [0; BLOCK];
        fill(&mut block, fixed.iter().chain(extension));
        hash.update(&[block.into()]);
        // Up to where a block ends, the two parts meet; from there on, the second is hashed where it lies.
        let (first, second) = part(rest, csrcs.len().next_multiple_of(BLOCK) - csrcs.len());
        let mut blocks = [0; MOST_CSRCS.next_multiple_of(BLOCK)];
        fill(&mut blocks, csrcs.iter().chain(first));
        hash.update_padded(blocks.get(..csrcs.len() + first.len()).unwrap_or_default());
        hash.update_padded(second);
        let bits = |octets: usize| u128::from(octets as u64 * 8);
        let lengths = bits(fixed.len() + extension.len()) << 64 | bits(csrcs.len() + rest.len());
        hash.update(&[lengths.to_be_bytes().into()]);

        let mut tag: [u8; TAG_LEN] = hash.finalize().into();
        let mask = Zeroizing::new(self.encrypt_block(self.block(&frame, 1)));
        for (to, from) in tag.iter_mut().zip(mask.iter()) {
            *to ^= *from;
        }
        tag
    }

    fn encrypt_block(&self, block: u128) -> [u8; BLOCK] {
        let mut encrypted = [0; BLOCK];
        match &self.keys {
            // It begins with the block after the one that it is given.
            Some(Keys::Kernel(key)) => key.crypt(block.wrapping_sub(1), (&mut encrypted[..]).into()),
            Some(Keys::Portable { aes, .. }) => encrypted = aes.encrypt_block(block).to_be_bytes(),
            None => {}
        }
        encrypted
    }
}

/// The first `len` octets, or all if there are fewer, and the others.
fn part(octets: &[u8], len: usize) -> (&[u8], &[u8]) {
    octets.split_at_checked(len).unwrap_or((octets, &[]))
}

fn fill<'a>(place: &mut [u8], octets: impl Iterator<Item = &'a u8>) {
    for (to, from) in place.iter_mut().zip(octets) {
        *to = *from;
    }
}
