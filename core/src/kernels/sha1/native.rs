//! Which of the kernels does the next messages.

use super::{HmacJob, Midstates, SUFFIX_LEN, TAG_LEN, avx2, avx512, avx512vl, sha_ni};
use crate::kernels::choice::Kernels;
use crate::kernels::cpu::{Avx2, Avx512, Avx512Vl, ShaNi};

/// The longest message, in octets, whose length in bits fits a lane. Packets are far shorter.
const LONGEST: usize = 1 << 28;

/// The kernels of a set, as far as the processor has them.
///
/// A set of lanes takes the SHA extensions for the few messages that remain, where there are any.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Native {
    sixteen: Option<Avx512>,
    eight: Option<Avx512Vl>,
    eight_plain: Option<Avx2>,
    interleaved: Option<ShaNi>,
}

impl Native {
    pub(super) fn of(set: Kernels) -> Self {
        let none = Self::default();
        match set {
            Kernels::Portable => none,
            Kernels::Avx2 => Self { eight_plain: Avx2::detect(), ..none },
            Kernels::ShaNi => Self { interleaved: ShaNi::detect(), ..none },
            Kernels::Avx512Vl => Self { eight: Avx512Vl::detect(), interleaved: ShaNi::detect(), ..none },
            Kernels::Avx512 => Self { sixteen: Avx512::detect(), ..Self::of(Kernels::Avx512Vl) },
        }
    }

    /// Does one message, if there is a kernel for it; says whether.
    #[inline]
    pub(super) fn one(
        self,
        key: &Midstates,
        message: &[u8],
        suffix: [u8; SUFFIX_LEN],
        tag: &mut [u8; TAG_LEN],
    ) -> bool {
        if let Some(has) = self.interleaved {
            sha_ni::hmac_one(has, key, message, suffix, tag);
        }
        self.interleaved.is_some()
    }

    /// Does the first of some messages; says how many. If none, there is no kernel for them.
    pub(super) fn some(self, jobs: &mut [HmacJob<'_>]) -> usize {
        let count = self.next(jobs.len());
        let (jobs, _) = jobs.split_at_mut(count.min(jobs.len()));
        if jobs.iter().any(|job| job.message.len() > LONGEST) {
            return 0;
        }
        self.run(jobs);
        count
    }

    /// How many of the messages that are left the next kernel takes.
    ///
    /// What it costs, in cycles for a block of each message: interleaved 1 / 2 / 3 / 4: 123 / 140 / 160 / 208; eight 303, without AVX-512 456;
    /// sixteen 530. Each line is the cheapest way to the end, by these numbers; lanes that stay empty are in them.
    const fn next(self, left: usize) -> usize {
        let interleaved = self.interleaved.is_some();
        match left {
            13.. if self.sixteen.is_some() => at_most(left, 16),
            9.. if self.sixteen.is_some() && !interleaved => at_most(left, 16),
            5.. if self.eight.is_some() && interleaved => at_most(left, 8),
            1.. if self.eight.is_some() && !interleaved => at_most(left, 8),
            2.. if self.eight_plain.is_some() => at_most(left, 8),
            5 | 6 | 9 if interleaved => 3,
            1.. if interleaved => at_most(left, 4),
            _ => 0,
        }
    }

    /// Runs the narrowest kernel that has a lane for each of these messages.
    fn run(self, jobs: &mut [HmacJob<'_>]) {
        if let Some(has) = self.interleaved {
            match jobs {
                [a] => return sha_ni::hmac_one(has, a.key, a.message, a.suffix, &mut a.tag),
                [a, b] => return sha_ni::hmac(has, [a, b]),
                [a, b, c] => return sha_ni::hmac(has, [a, b, c]),
                [a, b, c, d] => return sha_ni::hmac(has, [a, b, c, d]),
                _ => {}
            }
        }
        match (self.eight, self.sixteen, self.eight_plain) {
            (Some(has), ..) if jobs.len() <= avx512vl::LANES => avx512vl::hmac(has, jobs),
            (_, Some(has), _) => avx512::hmac(has, jobs),
            (.., Some(has)) => avx2::hmac(has, jobs),
            _ => {}
        }
    }
}

const fn at_most(left: usize, lanes: usize) -> usize {
    if left < lanes { left } else { lanes }
}
