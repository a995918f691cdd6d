//! See `revouch_fuzz::record`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| revouch_fuzz::record::run(data));
