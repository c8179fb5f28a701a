//! Where a thread is: not known on this platform, where a signal cannot be sent to a thread without the danger that it has ended.

use asyncio_tasks::debug::Stack;

/// A thread, for those who ask where it is.
#[derive(Clone, Copy)]
pub(super) struct ThreadId;

impl ThreadId {
    /// Returns that of this thread.
    pub(super) fn here() -> Self {
        Self
    }

    /// Returns where the thread is.
    pub(super) fn stack(self) -> Option<Stack> {
        None
    }
}
