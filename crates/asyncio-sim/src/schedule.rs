//! [`SimSchedule`]: which ready task of a host is next, by the choice function.

use asyncio_base::shim::Arc;
use asyncio_executor::{ReadyTasks, Schedule};

use crate::choice::Stream;
use crate::net::{HostId, Net};
use crate::trace::Kind;

#[derive(Debug)]
pub(crate) struct SimSchedule {
    net: Arc<Net>,
    host: HostId,
    /// First in, first out, instead of any.
    is_fifo: bool,
}

impl SimSchedule {
    pub(crate) fn new(net: Arc<Net>, host: HostId, is_fifo: bool) -> Self {
        Self { net, host, is_fifo }
    }
}

impl Schedule for SimSchedule {
    fn next(&mut self, ready: ReadyTasks<'_>) -> usize {
        let count = ready.len() as u64;
        self.net.with(|world| {
            let place =
                if self.is_fifo { 0 } else { world.choices.choose(Stream::tasks_of(self.host), count) };
            world.event(self.host, Kind::Poll, [count, place]);
            world.polls += 1;
            place as usize
        })
    }
}
