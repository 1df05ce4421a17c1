//! Every kernel by itself, for tests and benches.

use super::{HmacJob, portable};

type Run = dyn Fn(&mut [HmacJob<'_>]);

/// A kernel.
pub(crate) struct Kernel {
    pub(crate) name: &'static str,
    /// How many messages it takes at most.
    pub(crate) lanes: usize,
    /// Whether it must be given a message for each of its lanes.
    pub(crate) only_full: bool,
    pub(crate) hmac: Box<Run>,
}

impl Kernel {
    fn new(name: &'static str, lanes: usize, only_full: bool, hmac: impl Fn(&mut [HmacJob<'_>]) + 'static) -> Self {
        Self { name, lanes, only_full, hmac: Box::new(hmac) }
    }

    /// Those that this processor has, the portable one first.
    pub(crate) fn available() -> Vec<Self> {
        let portable = Self::new("portable", 1, false, |jobs| {
            for job in jobs {
                portable::hmac(job.key, job.message, &job.suffix, &mut job.tag);
            }
        });
        core::iter::once(portable).chain(native()).collect()
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn native() -> impl Iterator<Item = Kernel> {
    core::iter::empty()
}

#[cfg(target_arch = "x86_64")]
fn native() -> impl Iterator<Item = Kernel> {
    use super::{avx2, avx512, avx512vl, sha_ni};
    use crate::kernels::cpu::{Avx2, Avx512, Avx512Vl, ShaNi};

    fn interleaved<const N: usize>(name: &'static str, has: ShaNi) -> Kernel {
        Kernel::new(name, N, true, move |jobs| {
            if let Ok(jobs) = <&mut [HmacJob<'_>; N]>::try_from(jobs) {
                sha_ni::hmac(has, jobs.each_mut());
            }
        })
    }
    let interleaved = ShaNi::detect().into_iter().flat_map(|has| {
        [
            Kernel::new("sha-ni", 1, true, move |jobs| {
                if let [job] = jobs {
                    sha_ni::hmac_one(has, job.key, job.message, job.suffix, &mut job.tag);
                }
            }),
            interleaved::<2>("sha-ni-x2", has),
            interleaved::<3>("sha-ni-x3", has),
            interleaved::<4>("sha-ni-x4", has),
        ]
    });
    let plain = Avx2::detect().map(|has| Kernel::new("avx2-x8", avx2::LANES, false, move |jobs| avx2::hmac(has, jobs)));
    let eight = Avx512Vl::detect();
    let eight =
        eight.map(|has| Kernel::new("avx512vl-x8", avx512vl::LANES, false, move |jobs| avx512vl::hmac(has, jobs)));
    let sixteen = Avx512::detect();
    let sixteen =
        sixteen.map(|has| Kernel::new("avx512-x16", avx512::LANES, false, move |jobs| avx512::hmac(has, jobs)));
    interleaved.chain(plain).chain(eight).chain(sixteen)
}
