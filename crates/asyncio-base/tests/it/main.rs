//! What a layer may rely on in `asyncio-base`.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod budget;
mod report;
mod wait_point;
mod wake_list;
