//! See `revouch_fuzz::tlsa`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: revouch_fuzz::tlsa::Input| revouch_fuzz::tlsa::run(&input));
