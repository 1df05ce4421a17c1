//! Feeds `keyflip_fuzz::unprotect`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keyflip_fuzz::run("unprotect", data));
