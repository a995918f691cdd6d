//! See `revouch_fuzz::configuration`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| revouch_fuzz::configuration::run(data));
