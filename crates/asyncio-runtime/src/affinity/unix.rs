//! [`Pinned`]: a thread that stays on one CPU (`sched_setaffinity(2)`).

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// While it lives, the thread that made it runs on one CPU.
#[derive(Debug)]
pub(crate) struct Pinned {
    former: CpuSet,
}

impl Pinned {
    pub(crate) fn to(cpu: usize) -> io::Result<Self> {
        if cpu >= CpuSet::MAX_CPU {
            let message = format!("the system knows CPUs up to {}", CpuSet::MAX_CPU - 1);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let former = sched_getaffinity(None)?;
        let mut only = CpuSet::new();
        only.set(cpu);
        sched_setaffinity(None, &only)?;
        Ok(Self { former })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // It was allowed before. If the system has taken those CPUs away since, the thread stays where it is.
        let _ = sched_setaffinity(None, &self.former);
    }
}
