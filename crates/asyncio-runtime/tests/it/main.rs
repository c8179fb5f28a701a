//! What users of `asyncio-runtime` may rely on.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::async_yields_async, reason = "a task is what these futures are to give")]

mod bounds;
mod callbacks;
mod closing;
mod debugging;
mod drain;
mod fairness;
mod guest;
mod idle;
mod injected;
#[cfg(unix)]
mod interrupt;
mod old_clock;
mod portal;
#[cfg(unix)]
mod readers;
mod run;
mod time;
mod watched;
mod workers;
mod worlds;
