//! What users of `asyncio-reactor` may rely on.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod bounds;
mod conformance;
mod foreign;
mod one_shot;
