//! Tags, and how one is compared.

use super::{Authenticated, Frame};
use crate::error::{Error, Result};
use subtle::{Choice, ConstantTimeEq};

/// The longest tag of any suite, before truncation.
pub(crate) const MAX_TAG_LEN: usize = 20;

/// An expected tag, before truncation. It is a secret: whoever finds it can forge the packet it was computed for. The scrub after a packet covers it.
#[derive(Clone, Copy)]
pub(crate) struct FullTag(pub(super) [u8; MAX_TAG_LEN]);

impl FullTag {
    /// A tag of fewer octets is followed by zeros, which no truncation reaches.
    #[inline(always)]
    pub(super) fn of(octets: &[u8]) -> Self {
        let mut tag = [0; MAX_TAG_LEN];
        for (to, from) in tag.iter_mut().zip(octets) {
            *to = *from;
        }
        Self(tag)
    }

    /// Compares it with a packet's tag, in constant time.
    ///
    /// # Errors
    ///
    /// [`Error::AuthenticationFailed`].
    #[inline(always)]
    pub(crate) fn verify(&self, frame: &Frame, tag: &[u8]) -> Result<Authenticated> {
        let expected = self.0.get(..tag.len()).ok_or(Error::AuthenticationFailed)?;
        if same(expected, tag).into() {
            Ok(Authenticated { index: frame.index })
        } else {
            Err(Error::AuthenticationFailed)
        }
    }

    /// Writes it, truncated to the length of `tag`.
    #[inline(always)]
    pub(crate) fn write(&self, tag: &mut [u8]) {
        for (to, from) in tag.iter_mut().zip(&self.0) {
            *to = *from;
        }
    }
}

/// Whether tags of one length are the same, in constant time: by words that overlap, since octet by octet takes as long as hashing a short packet.
#[inline(always)]
fn same(expected: &[u8], tag: &[u8]) -> Choice {
    let ends =
        |octets: &[u8]| Some((u64::from_ne_bytes(*octets.first_chunk()?), u64::from_ne_bytes(*octets.last_chunk()?)));
    match (ends(expected), ends(tag)) {
        (Some((a, b)), Some((c, d))) if expected.len() == tag.len() && tag.len() <= 2 * size_of::<u64>() => {
            a.ct_eq(&c) & b.ct_eq(&d)
        }
        _ => expected.ct_eq(tag),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_octet_makes_the_difference_wherever_it_is() {
        let full = FullTag(core::array::from_fn(|at| u8::try_from(at).unwrap()));
        for len in 0..=MAX_TAG_LEN {
            let mut tag = vec![0; len];
            full.write(&mut tag);
            assert!(bool::from(same(&full.0[..len], &tag)), "{len}");
            for at in 0..len {
                tag[at] ^= 0x80;
                assert!(!bool::from(same(&full.0[..len], &tag)), "{at} of {len}");
                tag[at] ^= 0x80;
            }
        }
    }
}
