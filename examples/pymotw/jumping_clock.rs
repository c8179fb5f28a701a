//! A loop for programs that do nothing but sleep: its clock jumps to the next deadline whenever nothing is ready, so they take no time, and what
//! they measure is exact.

use asyncio::Runner;
use asyncio::timers::ManualClock;

use crate::Outcome;

/// Runs a program on such a loop.
pub fn run(program: impl Future<Output = Outcome>) -> Outcome {
    let mut runner = Runner::builder().clock(ManualClock::jumping()).build()?;
    runner.run(program)
}
