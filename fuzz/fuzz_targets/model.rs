//! Feeds `keyflip_fuzz::model`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keyflip_fuzz::run("model", data));
