//! getcpu(2), which needs no system call.

pub(crate) fn current() -> usize {
    rustix::thread::sched_getcpu()
}
