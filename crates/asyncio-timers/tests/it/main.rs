//! What users of `asyncio-timers` may rely on.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod foreign;
mod interval;
mod sleep;
mod wheel;
