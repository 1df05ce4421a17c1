//! AES-GCM by machine instructions: the keystream, and GHASH over additional data and ciphertext (NIST SP 800-38D).
//!
//! 1. Blocks are turned round octet by octet, so that a field element is a polynomial with its lowest coefficient in the lowest bit, but for one thing:
//!    the product of two comes out divided by x^128. So the key is kept times x^128 (and each power of it), which the shift by one bit that
//!    turning round calls for is part of. This is POLYVAL's field (RFC 8452 3, and appendix A on GHASH).
//! 2. The n-th block from the end of what is hashed is to be multiplied by the n-th power of the key. A key keeps eight powers, and products are added up
//!    before they are reduced: once for a group of blocks, not once for each.
//! 3. So groups of blocks are laid out from the end: the first group is the one that may be short.

mod additional;
mod clmul128;
mod clmul256;
mod clmul512;
mod product;
mod quads;
mod seal512;

use super::aes::{BLOCK, Engine, RoundKeys, Run, by_key_size};
use additional::Additional;
use cipher::inout::InOutBuf;
use zeroize::Zeroize;

/// How many powers of its key GHASH keeps.
const POWERS: usize = 8;

/// The powers of a key, the highest first.
#[repr(align(16))]
struct Powers([[u8; BLOCK]; POWERS]);

impl Powers {
    /// Where the power `exponent` lies, and the lower ones after it.
    #[inline(always)]
    fn from(&self, exponent: usize) -> *const u8 {
        self.0.as_ptr().wrapping_add(POWERS - exponent).cast()
    }
}

/// An AES-GCM key: the round keys, and powers of the hash key. It wipes itself.
pub(crate) struct GcmKey {
    keys: RoundKeys,
    powers: Powers,
}

impl GcmKey {
    /// Room for a key. What it makes before [`Self::expand`] is worth nothing.
    pub(crate) const fn vacant(engine: Engine) -> Self {
        Self { keys: RoundKeys::vacant(engine), powers: Powers([[0; BLOCK]; POWERS]) }
    }

    /// Expands a key of 16, 24 or 32 octets, in place; `None` if it has another length.
    pub(crate) fn expand(&mut self, key: &[u8]) -> Option<()> {
        self.keys.expand(key)?;
        let (schedule, powers) = (&self.keys.schedule, &mut self.powers);
        // SAFETY: every engine's witness says that the processor has AES-NI and PCLMULQDQ.
        by_key_size!(self.keys.size, MIDDLE => unsafe { clmul128::fill::<MIDDLE>(schedule, powers) });
        Some(())
    }

    /// Encrypts or decrypts a body. `block` is as in [`Self::tag`].
    #[inline]
    pub(crate) fn crypt(&self, block: u128, body: InOutBuf<'_, '_, u8>) {
        // The count is 1, so nothing carries.
        self.keys.counter_mode(block.wrapping_add(1), body);
    }

    /// Encrypts a packet and makes its tag. All arguments are as in [`Self::tag`].
    #[inline]
    pub(crate) fn seal(
        &self,
        block: u128,
        head: &[u8],
        word: Option<[u8; 4]>,
        mut body: InOutBuf<'_, '_, u8>,
    ) -> [u8; BLOCK] {
        if let Engine::Vaes512(_) = self.keys.engine {
            let (additional, run) = (Additional { head, word }, Run::new(body));
            return by_key_size!(self.keys.size, MIDDLE => {
                // SAFETY: the engine's witness says that the processor has the instructions.
                unsafe { seal512::seal::<MIDDLE>(self, block, additional, run) }
            });
        }
        self.crypt(block, body.reborrow());
        self.tag(block, head, word, body.get_out())
    }

    /// The tag of a packet that is encrypted already: over `head || word` as additional data, and the ciphertext. `block` is the one before the first of
    /// the keystream, which ends in a count of 1.
    #[inline]
    pub(crate) fn tag(&self, block: u128, head: &[u8], word: Option<[u8; 4]>, ciphertext: &[u8]) -> [u8; BLOCK] {
        let additional = Additional { head, word };
        by_key_size!(self.keys.size, MIDDLE => match self.keys.engine {
            // SAFETY: the engine's witness says that the processor has the instructions.
            Engine::Ni(_) => unsafe { clmul128::tag::<MIDDLE>(self, block, additional, ciphertext) },
            // SAFETY: as above.
            Engine::Vaes256(_) => unsafe { clmul256::tag::<MIDDLE>(self, block, additional, ciphertext) },
            // SAFETY: as above.
            Engine::Vaes512(_) => unsafe { clmul512::tag::<MIDDLE>(self, block, additional, ciphertext) },
        })
    }
}

impl Drop for GcmKey {
    fn drop(&mut self) {
        self.powers.0.zeroize();
    }
}

#[cfg(all(test, unix, not(miri)))]
mod tests;
