//! The subjects, one file each.

pub mod asyncio;
pub mod raw_epoll;
pub mod raw_futures;
pub mod smol;
pub mod tokio;
