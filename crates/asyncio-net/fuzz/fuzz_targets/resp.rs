//! The commands of `redis_like`, however their bytes are cut.

#![no_main]

#[path = "../../../../examples/redis_like/server/resp.rs"]
#[allow(dead_code, reason = "the example checks itself with it")]
mod resp;

libfuzzer_sys::fuzz_target!(|input: &[u8]| resp::check(input));
