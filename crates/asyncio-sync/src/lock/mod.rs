//! [`Lock`]: the short lock that each primitive keeps its state under.
//!
//! What is done under it is a few dozen instructions of ours: no system call, no allocation but where a queue grows or a
//! receiver of a broadcast comes or goes, and no code of a user's but the `Ord` of a priority queue (wakers are cloned before it is taken, and woken and dropped after it was given back). So it spins: `spin.rs`, one atomic
//! read-modify-write for locking and a plain store for unlocking, which is half of what a lock costs that can be slept on.
//!
//! Under loom and shuttle it is their mutex (`modelled.rs`), since a spinning thread is not a step of a model. The spinning itself has
//! a loom model of its own.

#[cfg(any(loom, shuttle))]
mod modelled;
#[cfg(any(not(any(loom, shuttle)), all(loom, test)))]
pub(crate) mod spin;

#[cfg(any(loom, shuttle))]
pub(crate) use modelled::Lock;
#[cfg(not(any(loom, shuttle)))]
pub(crate) use spin::Lock;
