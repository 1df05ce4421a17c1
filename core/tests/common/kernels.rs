//! Which kernels a test uses: those that `KEYFLIP_KERNELS` names, else the best that the processor has. The library itself reads no environment.

use keyflip::{Kernels, KernelsUnavailable};
use std::sync::Once;

/// The name of a set: `portable`, `avx2`, `sha-ni`, `avx512vl` or `avx512`.
const ASKED_FOR: &str = "KEYFLIP_KERNELS";

/// Forces the set that the environment asks for, once. To be called before a key is derived; whatever makes a master key in `common` does.
///
/// # Panics
///
/// If there is no such set, or the processor does not have it: a test that silently used another would prove nothing.
pub(crate) fn use_kernels_asked_for() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let Ok(name) = std::env::var(ASKED_FOR) else { return };
        let set = name.parse::<Kernels>().unwrap_or_else(|error| panic!("{ASKED_FOR}: {error}"));
        set.force().unwrap_or_else(|KernelsUnavailable(set)| panic!("{ASKED_FOR}: this processor has no {set}"));
    });
}
