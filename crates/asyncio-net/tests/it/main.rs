//! What users of `asyncio-net` may rely on.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
