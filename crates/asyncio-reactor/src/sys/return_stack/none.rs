//! Elsewhere: nothing is done behind a system call.

pub(crate) fn prepare() {}

#[cfg(unix)]
#[inline(always)]
pub(crate) fn refill() {}
