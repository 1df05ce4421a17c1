//! Feeds `keyflip_fuzz::batch`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keyflip_fuzz::run("batch", data));
