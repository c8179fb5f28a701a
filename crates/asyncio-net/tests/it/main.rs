//! What users of `asyncio-net` may rely on. Everything that moves bytes runs on each selector.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod cancel;
mod connect;
mod foreign;
mod listener;
mod names;
mod stream;
mod udp;
mod workers;
mod worlds;

#[cfg(unix)]
mod readiness;
#[cfg(unix)]
mod unix;
