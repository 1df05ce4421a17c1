//! One message after the other, by the `sha1` crate.

use super::{Midstates, State, TAG_LEN};
use ::sha1::block_api::compress;
use zeroize::Zeroizing;

const BLOCK: usize = 64;
/// Octets of the length field that ends the last block.
const LENGTH_LEN: usize = 8;

/// The MAC of `message || suffix`.
pub(super) fn hmac(key: &Midstates, message: &[u8], suffix: &[u8], tag: &mut [u8; TAG_LEN]) {
    let mut state = Zeroizing::new(key.inner);
    absorb(&mut state, message, suffix);
    let mut digest = Zeroizing::new([0u8; TAG_LEN]);
    write_digest(&state, &mut digest);
    *state = key.outer;
    absorb(&mut state, &*digest, &[]);
    write_digest(&state, tag);
}

/// Hashes `message || suffix` and the final padding, after the one block the state has seen.
fn absorb(state: &mut State, message: &[u8], suffix: &[u8]) {
    let (blocks, rest) = message.as_chunks::<BLOCK>();
    compress(state, blocks);
    // What is left, the suffix, the padding bit and the length: one block, or two.
    let mut last = [[0u8; BLOCK]; 2];
    let end = rest.len() + suffix.len();
    let octets = last.as_flattened_mut();
    for (to, from) in octets.iter_mut().zip(rest.iter().chain(suffix).chain(&[0x80])) {
        *to = *from;
    }
    let count = if end + 1 + LENGTH_LEN <= BLOCK { 1 } else { 2 };
    let bits = (BLOCK + message.len() + suffix.len()) as u64 * 8;
    if let Some((used, _)) = octets.split_at_mut_checked(count * BLOCK)
        && let Some(length) = used.last_chunk_mut()
    {
        *length = bits.to_be_bytes();
    }
    compress(state, last.get(..count).unwrap_or_default());
}

fn write_digest(state: &State, digest: &mut [u8; TAG_LEN]) {
    for (to, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
        *to = word.to_be_bytes();
    }
}
