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
        let count = self.next(jobs.len()).min(jobs.len());
        let (jobs, _) = jobs.split_at_mut(count);
        if jobs.iter().any(|job| job.message.len() > LONGEST) {
            return 0;
        }
        self.run(jobs);
        count
    }

    /// How many lanes the next kernel has, when so many messages are left.
    ///
    /// What a kernel costs, in cycles for a block of each of its messages, whether lanes are empty or not: interleaved 123 / 140 / 160 / 208 for one to four;
    /// eight 303, without AVX-512 456; sixteen 530. Each line leads the cheapest way to the end, by these numbers.
    const fn next(self, left: usize) -> usize {
        let interleaved = self.interleaved.is_some();
        match left {
            13.. if self.sixteen.is_some() => 16,
            9.. if self.sixteen.is_some() && !interleaved => 16,
            5.. if self.eight.is_some() => 8,
            1.. if self.eight.is_some() && !interleaved => 8,
            2.. if self.eight_plain.is_some() => 8,
            5 | 6 | 9 if interleaved => 3,
            1.. if interleaved => 4,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Lanes and cycles of each kernel a set may have.
    fn costs(native: Native) -> Vec<(usize, u32)> {
        let mut costs = Vec::new();
        if native.interleaved.is_some() {
            costs.extend([(1, 123), (2, 140), (3, 160), (4, 208)]);
        }
        costs.extend(native.eight.map(|_| (8, 303)));
        costs.extend(native.sixteen.map(|_| (16, 530)));
        costs
    }

    /// The least that so many messages can cost.
    fn cheapest(costs: &[(usize, u32)], up_to: usize) -> Vec<u32> {
        let mut cheapest: Vec<u32> = vec![0];
        for left in 1..=up_to {
            let way = |(lanes, cost): &(usize, u32)| cost + cheapest[left.saturating_sub(*lanes)];
            cheapest.push(costs.iter().map(way).min().unwrap());
        }
        cheapest
    }

    #[test]
    fn every_way_is_all_but_the_cheapest() {
        const UP_TO: usize = 100;
        let all = Native::of(Kernels::Avx512);
        let sets = [
            all,
            Native { interleaved: None, ..all },
            Native { sixteen: None, ..all },
            Native { sixteen: None, interleaved: None, ..all },
            Native { interleaved: all.interleaved, ..Native::default() },
        ];
        for native in sets {
            let costs = costs(native);
            if costs.is_empty() {
                continue;
            }
            for (count, cheapest) in cheapest(&costs, UP_TO).into_iter().enumerate() {
                let (mut left, mut cost) = (count, 0);
                while left > 0 {
                    let lanes = native.next(left);
                    // What runs is the narrowest kernel with so many lanes.
                    let taken = lanes.min(left);
                    cost += costs.iter().filter(|(lanes, _)| *lanes >= taken).map(|(_, cost)| cost).min().unwrap();
                    left -= taken;
                }
                assert!(cost * 100 <= cheapest * 102, "{native:?}: {cost} instead of {cheapest} for {count}");
            }
        }
    }
}
