//! Lines and messages with their length in front, however their bytes are cut.

#![no_main]

#[path = "../../tests/fuzzed/framing.rs"]
mod framing;
#[path = "../../tests/it/scripted.rs"]
#[allow(dead_code, reason = "what other tests need of it")]
mod scripted;

libfuzzer_sys::fuzz_target!(|input: &[u8]| framing::check(input));
