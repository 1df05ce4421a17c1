//! Which kernels are used: the best the processor has, unless the program says otherwise.

use crate::primitive::atomic::Ordering;
use crate::primitive::{StaticBool, StaticU8};
use core::fmt;
use core::str::FromStr;

/// A set of kernels: the machine instructions that encrypt and authenticate.
///
/// All sets give the same octets. The best one that the processor has is chosen at the first use; [`force`](Self::force) chooses another, for tests and
/// measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kernels {
    /// The portable implementations of the `aes`, `ghash` and `sha1` crates, which use what instructions they know of.
    Portable,
    /// AVX2: SHA-1 in eight lanes; AES-NI and PCLMULQDQ, two blocks at once where there is VAES.
    Avx2,
    /// SHA extensions, up to four streams interleaved; AES-NI and PCLMULQDQ, two blocks at once where there is VAES.
    ShaNi,
    /// AVX-512 on 256-bit registers: SHA-1 in eight lanes, AES and GHASH by two blocks.
    Avx512Vl,
    /// AVX-512: SHA-1 in sixteen lanes, AES and GHASH by four blocks.
    Avx512,
}

/// What was asked for is not to be had on this processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this processor has no {0} kernels")]
pub struct KernelsUnavailable(pub Kernels);

/// No set of kernels has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no set of kernels: use portable, avx2, sha-ni, avx512vl or avx512")]
pub struct UnknownKernels(String);

/// The active set, as its place in [`Kernels::ALL`] plus one; zero while none is chosen.
static ACTIVE: StaticU8 = StaticU8::new(0);

/// Whether the portable set has ever been the active one, so that there may be keys that use it.
static PORTABLE_IS_KNOWN: StaticBool = StaticBool::new(false);

/// Whether there may be keys of the portable set. Who has got such a key from another thread sees it.
#[inline]
pub(super) fn portable_is_known() -> bool {
    // Acquire: pairs with the store in `set`, by way of whoever derived the key.
    PORTABLE_IS_KNOWN.load(Ordering::Acquire)
}

impl Kernels {
    /// All sets, the portable one first.
    pub const ALL: [Self; 5] = [Self::Portable, Self::Avx2, Self::ShaNi, Self::Avx512Vl, Self::Avx512];

    /// The set in use.
    #[must_use]
    #[inline]
    pub fn active() -> Self {
        // Acquire: pairs with the store in `set`. Who derives keys of the portable set knows of it.
        let place = usize::from(ACTIVE.load(Ordering::Acquire));
        match place.checked_sub(1).and_then(|place| Self::ALL.get(place)) {
            Some(set) => *set,
            None => Self::choose(),
        }
    }

    /// Uses this set for keys derived from now on: for tests and measurements. Keys derived before keep theirs.
    ///
    /// # Errors
    ///
    /// [`KernelsUnavailable`], and nothing changes, if the processor lacks the instructions.
    pub fn force(self) -> Result<(), KernelsUnavailable> {
        if !self.is_available() {
            return Err(KernelsUnavailable(self));
        }
        self.set();
        Ok(())
    }

    /// Whether the processor has the instructions of this set.
    #[must_use]
    pub fn is_available(self) -> bool {
        has(self)
    }

    /// The name, as [`FromStr`] takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::ShaNi => "sha-ni",
            Self::Avx512Vl => "avx512vl",
            Self::Avx512 => "avx512",
        }
    }

    #[cold]
    fn choose() -> Self {
        let best = || Self::ALL.into_iter().rev().find(|set| set.is_available()).unwrap_or(Self::Portable);
        let chosen = asked_for().unwrap_or_else(best);
        chosen.set();
        chosen
    }

    fn set(self) {
        let place = Self::ALL.iter().position(|set| *set == self).unwrap_or_default();
        if self == Self::Portable {
            // Release: pairs with the load in `portable_is_known`.
            PORTABLE_IS_KNOWN.store(true, Ordering::Release);
        }
        // Release: pairs with the load in `active`. Two threads that choose at once choose alike.
        ACTIVE.store(u8::try_from(place + 1).unwrap_or(1), Ordering::Release);
    }
}

#[cfg(target_arch = "x86_64")]
fn has(set: Kernels) -> bool {
    use super::cpu::{AesNi, Avx2, Avx512, Avx512Vl, ShaNi, Vaes256, Vaes512};
    match set {
        Kernels::Portable => true,
        Kernels::Avx2 => Avx2::detect().is_some() && AesNi::detect().is_some(),
        Kernels::ShaNi => ShaNi::detect().is_some() && AesNi::detect().is_some(),
        Kernels::Avx512Vl => Avx512Vl::detect().is_some() && Vaes256::detect().is_some(),
        Kernels::Avx512 => Avx512::detect().is_some() && Vaes512::detect().is_some(),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn has(set: Kernels) -> bool {
    set == Kernels::Portable
}

impl fmt::Display for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kernels {
    type Err = UnknownKernels;

    fn from_str(name: &str) -> Result<Self, UnknownKernels> {
        let found = Self::ALL.into_iter().find(|set| set.name() == name);
        found.ok_or_else(|| UnknownKernels(name.to_owned()))
    }
}

/// The library reads no environment.
#[cfg(not(test))]
const fn asked_for() -> Option<Kernels> {
    None
}

#[cfg(test)]
use tests::asked_for;

#[cfg(test)]
mod tests {
    use super::*;

    /// The set that the environment asks this crate's own tests to use.
    pub(super) fn asked_for() -> Option<Kernels> {
        let name = std::env::var("KEYFLIP_KERNELS").ok()?;
        let set = name.parse::<Kernels>().unwrap_or_else(|error| panic!("KEYFLIP_KERNELS: {error}"));
        assert!(set.is_available(), "KEYFLIP_KERNELS: {}", KernelsUnavailable(set));
        Some(set)
    }

    #[test]
    fn the_tests_use_the_set_they_are_asked_to() {
        if let Some(set) = asked_for() {
            assert_eq!(Kernels::active(), set);
        }
    }

    #[test]
    fn names_go_there_and_back() {
        for set in Kernels::ALL {
            assert_eq!(set.name().parse(), Ok(set));
        }
        assert!("avx1024".parse::<Kernels>().unwrap_err().to_string().contains("sha-ni"));
    }

    #[test]
    fn the_portable_set_is_always_there_and_the_active_one_is_available() {
        assert!(Kernels::Portable.is_available());
        assert!(Kernels::active().is_available());
    }
}
