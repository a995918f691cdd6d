//! See `revouch_fuzz::path`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: revouch_fuzz::path::Input| revouch_fuzz::path::run(&input));
