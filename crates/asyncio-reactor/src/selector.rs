//! [`Selector`]: how readiness is learnt from the operating system.

use std::fmt::Debug;
use std::io;
use std::time::Duration;

use crate::readiness::Ready;
use crate::sys::BorrowedDescriptor;

/// How readiness is learnt from the operating system: epoll, kqueue, poll, or your own.
///
/// [`SelectorReactor`](crate::SelectorReactor) turns it into a reactor. `conformance::selector` checks the laws:
///
/// 1. **Edge mode**: after [`add`](Self::add) an event comes if the descriptor is ready *now*, and one whenever it becomes ready
///    again after an operation would have blocked, or after a read of a TCP stream that gave less than it had room for, unless what was
///    reported before said [`READ_CLOSED`](crate::Ready::READ_CLOSED) or [`URGENT`](crate::Ready::URGENT). `modify` is not called.
/// 2. **One-shot mode**: after `add` or [`modify`](Self::modify) an event comes as soon as a watched direction is ready, also if it was
///    before; then nothing is watched until the next `modify`.
/// 3. A hang-up or an error is reported as ready in both directions, whatever is watched.
/// 4. An event may be spurious, or come twice. It carries the key of its registration; after [`delete`](Self::delete) has
///    returned, a later `wait` reports the key no more.
/// 5. All methods may be called from any thread, while another thread is in [`wait`](Self::wait), and take effect on it.
/// 6. [`notify`](Self::notify) makes the present `wait`, or else the next one, return. It never blocks, and never fails because
///    of earlier ones.
pub trait Selector: Debug + Send + Sync + 'static {
    /// Says which of laws 1 and 2 holds.
    fn mode(&self) -> Mode;

    /// Watches a descriptor. In edge mode `interest` is always both directions; in one-shot mode it may be none.
    ///
    /// # Errors
    ///
    /// Fails where the descriptor cannot be watched (a regular file), is watched already, or the system lacks memory.
    fn add(&self, source: BorrowedDescriptor<'_>, key: usize, interest: Interest) -> io::Result<()>;

    /// Replaces what is watched, in one-shot mode.
    ///
    /// # Errors
    ///
    /// Fails where the descriptor is not watched.
    fn modify(&self, source: BorrowedDescriptor<'_>, key: usize, interest: Interest) -> io::Result<()>;

    /// Stops watching.
    ///
    /// # Errors
    ///
    /// Fails where the descriptor is not watched.
    fn delete(&self, source: BorrowedDescriptor<'_>) -> io::Result<()>;

    /// Waits for events, at most for `timeout` (`None` is for ever), and appends them to `events`.
    ///
    /// It may return early without an event: on `notify`, and when a signal interrupts it. It never returns early because a
    /// timeout was rounded down to zero.
    ///
    /// # Errors
    ///
    /// Fails only where waiting cannot work at all.
    fn wait(&self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()>;

    /// Makes the present or the next [`wait`](Self::wait) return.
    ///
    /// # Errors
    ///
    /// Fails only where waking cannot work at all.
    fn notify(&self) -> io::Result<()>;

    /// Returns a descriptor that is readable when `wait` has something to report, where there is one.
    fn descriptor(&self) -> Option<BorrowedDescriptor<'_>> {
        None
    }
}

/// How a selector reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Once each time a descriptor becomes ready.
    Edge,
    /// Once after each `add` or `modify`.
    OneShot,
}

/// What is watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete: a descriptor is read or written")]
pub struct Interest {
    /// Whether reading is watched.
    pub readable: bool,
    /// Whether writing is watched.
    pub writable: bool,
}

impl Interest {
    /// Neither direction.
    pub const NONE: Self = Self { readable: false, writable: false };
    /// Both directions.
    pub const BOTH: Self = Self { readable: true, writable: true };
}

/// What happened to a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "selectors of others make it")]
pub struct Event {
    /// The key of its registration.
    pub key: usize,
    /// What it is ready for. A selector that cannot tell a closed peer from bytes says
    /// [`READ_CLOSED`](Ready::READ_CLOSED) with each readable event, which costs one more call and loses nothing.
    pub ready: Ready,
}
