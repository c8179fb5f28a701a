//! The subjects, one file each.

pub mod asyncio_local;
pub mod raw_epoll;
pub mod raw_futures;
pub mod smol_local;
pub mod tokio_ct;
