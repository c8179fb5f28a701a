//! Reads of a stream, however its bytes are split.

#![no_main]

#[path = "../../tests/it/scripted.rs"]
#[allow(dead_code, reason = "what other tests need of it")]
mod scripted;
#[path = "../../tests/fuzzed/splitting.rs"]
mod splitting;

libfuzzer_sys::fuzz_target!(|input: &[u8]| splitting::check(input));
