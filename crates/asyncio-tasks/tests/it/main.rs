//! What users of `asyncio-tasks` may rely on.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod cancel;
mod combinators;
mod done;
mod every_poll;
mod foreign;
mod group;
mod guard;
mod nasty;
mod scoped;
mod stream;
mod support;
mod task;
mod timeout;
