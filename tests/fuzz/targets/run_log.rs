//! Fuzzes `foreign`'s target of this name.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| foreign::body("run_log")(bytes));
