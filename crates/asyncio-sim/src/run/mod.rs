//! A simulation: what it consists of, how it runs, and what it finds.

mod builder;
mod commands;
mod failure;
mod faults;
mod handle;
mod locks;
mod outcome;
pub(crate) mod panics;
mod process;
mod sim;
mod stall;

pub use self::builder::Builder;
pub use self::failure::{Failure, FailureKind};
pub use self::faults::Faults;
pub use self::handle::{Handle, current};
pub use self::outcome::Outcome;
pub use self::sim::{Sim, Summary};
