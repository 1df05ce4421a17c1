//! A key of HMAC-SHA1, as the kernels take it.

use super::State;
use sha1::block_api::compress;
use zeroize::{Zeroize, Zeroizing};

const BLOCK: usize = 64;
/// SHA-1's initial state (FIPS 180-4 5.3.1).
const INITIAL: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

/// SHA-1's states after the block of `key XOR ipad` and after that of `key XOR opad`. They wipe themselves.
///
/// The kernels load it as ten words in a row.
#[repr(C)]
pub(crate) struct Midstates {
    pub(super) inner: State,
    pub(super) outer: State,
}

impl Midstates {
    /// Room for a key.
    pub(crate) const fn vacant() -> Self {
        Self { inner: INITIAL, outer: INITIAL }
    }

    /// Keys it afresh, with at most one block of key.
    pub(crate) fn set_key(&mut self, key: &[u8]) {
        for (state, pad) in [(&mut self.inner, 0x36), (&mut self.outer, 0x5c)] {
            let mut block = Zeroizing::new([pad; BLOCK]);
            for (octet, key) in block.iter_mut().zip(key) {
                *octet ^= key;
            }
            *state = INITIAL;
            compress(state, core::slice::from_ref(&*block));
        }
    }
}

impl Drop for Midstates {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}
