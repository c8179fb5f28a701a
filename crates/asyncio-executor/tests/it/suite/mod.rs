//! What holds of an executor, wherever it stands: the module around says how it is made.

use super::{executor, executor_with};

mod closing;
mod order;
mod panics;
mod remote;
mod spawner;
mod task;
