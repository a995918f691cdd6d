//! See `revouch_fuzz::certificate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| revouch_fuzz::certificate::run(data));
