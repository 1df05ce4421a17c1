//! Feeds `keyflip_fuzz::sdes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keyflip_fuzz::run("sdes", data));
