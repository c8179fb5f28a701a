//! What users of `asyncio-sim` may rely on.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod finds;
mod fresh;
mod network;
mod reactor;
mod worlds;
