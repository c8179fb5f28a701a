//! The public face of `asyncio-sync`: a module for each type, and several for laws that hold of all.
//!
//! Under loom the models in `src` take their place.
#![cfg(not(any(loom, shuttle)))]
#![allow(clippy::unwrap_used, reason = "a test that finds nothing fails, also in a helper")]

mod program;
mod support;

mod barrier;
mod broadcast;
mod channel;
mod condition;
mod event;
mod mutex;
mod once_cell;
mod oneshot;
mod queue;
mod rw_lock;
mod semaphore;
mod watch;

mod bounds;
mod every_poll;
mod evil;
mod foreign;
mod history;
mod traps;
