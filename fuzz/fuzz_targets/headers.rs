//! Feeds `keyflip_fuzz::headers`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keyflip_fuzz::run("headers", data));
