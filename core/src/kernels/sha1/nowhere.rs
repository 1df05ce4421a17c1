//! What stands for the kernels where there are none.

use super::{HmacJob, Midstates, SUFFIX_LEN, TAG_LEN};
use crate::kernels::choice::Kernels;

#[derive(Clone, Copy, Debug)]
pub(super) struct Native;

impl Native {
    pub(super) const fn of(_: Kernels) -> Self {
        Self
    }

    pub(super) const fn one(self, _: &Midstates, _: &[u8], _: [u8; SUFFIX_LEN], _: &mut [u8; TAG_LEN]) -> bool {
        false
    }

    pub(super) const fn some(self, _: &mut [HmacJob<'_>]) -> usize {
        0
    }
}
