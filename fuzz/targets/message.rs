//! See `revouch_fuzz::message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| revouch_fuzz::message::run(data));
