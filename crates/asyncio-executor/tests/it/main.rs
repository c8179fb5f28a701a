//! What users of `asyncio-executor` may rely on.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod block_on;
mod closing;
mod order;
mod panics;
mod remote;
mod spawner;
mod support;
mod task;
mod workers;
