//! See `revouch_fuzz::text`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| revouch_fuzz::text::run(data));
