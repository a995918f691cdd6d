//! See `revouch_fuzz::answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: revouch_fuzz::answer::Input| revouch_fuzz::answer::run(&input));
