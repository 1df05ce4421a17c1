//! Feeds `keyflip_fuzz::double`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keyflip_fuzz::run("double", data));
