//! A door to the kernels, for benches and fuzzing: behind the feature `internals`, and no part of the interface.

mod hmac_sha1;

pub use hmac_sha1::{HmacJobs, HmacKernel, HmacKey};
