//! What users of `asyncio-executor` may rely on.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::duplicate_mod, reason = "the suite runs on an executor by itself and as a worker")]

mod alone;
mod as_worker;
mod block_on;
mod support;
mod workers;
