//! Witnesses: values that exist only where the processor has what they stand for.
//!
//! A kernel takes its witness as an argument, so that it cannot be called where its instructions are not. Only `detect` makes one.

use std::arch::is_x86_feature_detected;

/// A witness type: its name, what it stands for, and the features it asks for.
macro_rules! witness {
    ($(#[$doc:meta])* $name:ident: $($feature:tt),+) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $name(());

        impl $name {
            /// `Some` where this processor, and its operating system, support it. A look at a static, after the first call.
            #[inline]
            pub(crate) fn detect() -> Option<Self> {
                ($(is_x86_feature_detected!($feature))&&+).then_some(Self(()))
            }
        }
    };
}

witness! {
    /// AES-NI and PCLMULQDQ, on SSE registers.
    AesNi: "aes", "pclmulqdq", "sse4.1", "ssse3"
}
witness! {
    /// AES and carry-less multiplication on two blocks at once.
    Vaes256: "vaes", "vpclmulqdq", "avx2", "aes", "pclmulqdq"
}
witness! {
    /// AES and carry-less multiplication on four blocks at once.
    Vaes512: "vaes", "vpclmulqdq", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx2", "aes", "pclmulqdq"
}
witness! {
    /// The SHA extensions.
    ShaNi: "sha", "sse4.1", "ssse3"
}
witness! {
    /// Eight 32-bit lanes.
    Avx2: "avx2"
}
witness! {
    /// Eight 32-bit lanes with rotations and three-operand logic.
    Avx512Vl: "avx512f", "avx512vl", "avx512bw", "avx2"
}
witness! {
    /// Sixteen 32-bit lanes with rotations and three-operand logic.
    Avx512: "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx2"
}
