//! What `"host:port"` means.

#![no_main]

#[path = "../../tests/fuzzed/addresses.rs"]
mod addresses;

libfuzzer_sys::fuzz_target!(|input: &[u8]| addresses::check(input));
