//! Feeds `keyflip_fuzz::differential`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keyflip_fuzz::run("differential", data));
