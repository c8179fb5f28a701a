//! The errors of the primitives. Those of sending give the value back.

use std::{error, fmt};

/// Declares an error that says one thing.
macro_rules! plain_errors {
    ($($(#[$attribute:meta])* pub struct $name:ident = $message:literal;)*) => {$(
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name;

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($message)
            }
        }

        impl error::Error for $name {}
    )*};
}

plain_errors! {
    /// Somebody has the lock. The error of `try_lock` and its kin.
    pub struct TryLockError = "the lock is held by somebody else";
    /// The semaphore is closed. The error of [`Semaphore::acquire`](crate::Semaphore::acquire).
    pub struct AcquireError = "the semaphore is closed";
    /// More permits would come back than the semaphore has. The error of [`Semaphore::add_permits`](crate::Semaphore::add_permits).
    pub struct OverRelease = "more permits would be given back than the semaphore has";
    /// The barrier was reset or aborted. The error of [`Barrier::wait`](crate::Barrier::wait).
    pub struct BrokenBarrier = "the barrier was reset or aborted while a party waited at it, or is broken";
    /// Nothing comes any more: all senders are gone, or the channel was closed, and what was in it has been received.
    pub struct RecvError = "the channel is empty and closed";
    /// The channel is closed: all receivers are gone, or it was closed by hand.
    pub struct Closed = "the channel is closed";
    /// The queue was shut down, and nothing is left in it. The error of `get`.
    pub struct QueueShutDown = "the queue was shut down";
    /// All items have been reported as done already. The error of `task_done`.
    pub struct TooManyDone = "`task_done` was called more often than there were items";
}

/// Why no permit was to be had at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TryAcquireError {
    /// Too few permits are left, or others wait for them already.
    NoPermits,
    /// The semaphore is closed.
    Closed,
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPermits => "no permits are left, or others wait for them",
            Self::Closed => "the semaphore is closed",
        })
    }
}

impl error::Error for TryAcquireError {}

/// Why nothing was to be had at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TryRecvError {
    /// Nothing is there yet.
    Empty,
    /// Nothing is there, and nothing comes any more.
    Closed,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "nothing is there yet",
            Self::Closed => "nothing is there, and nothing comes any more",
        })
    }
}

impl error::Error for TryRecvError {}

/// Declares an error that gives the value back.
macro_rules! giving_back {
    ($($(#[$attribute:meta])* pub struct $name:ident<T> = $message:literal;)*) => {$(
        $(#[$attribute])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name<T>(pub T);

        impl<T> $name<T> {
            /// Returns the value that could not be sent.
            pub fn into_inner(self) -> T {
                self.0
            }
        }

        // By hand, so that the value need not be `Debug` for the error to be one.
        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }

        impl<T> fmt::Display for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($message)
            }
        }

        impl<T> error::Error for $name<T> {}
    )*};
}

giving_back! {
    /// Nobody can receive it any more; here it is again.
    pub struct SendError<T> = "the channel is closed, so nobody can receive the value";
    /// The queue was shut down; here is the item again.
    pub struct PutError<T> = "the queue was shut down, so the item was not put into it";
}

/// Why it was not sent at once; it comes with the error.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TrySendError<T> {
    /// There is no room, or others wait for it already.
    Full(T),
    /// Nobody can receive it any more.
    Closed(T),
}

impl<T> TrySendError<T> {
    /// Returns the value that could not be sent.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(value) | Self::Closed(value) => value,
        }
    }

    /// Says whether it was for want of room.
    pub const fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    /// Says whether nobody can receive it any more.
    pub const fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "no room is left, or others wait for it",
            Self::Closed(_) => "it is closed, so nobody can receive the value",
        })
    }
}

impl<T> error::Error for TrySendError<T> {}

/// Why nothing was received from a broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BroadcastError {
    /// The receiver was too slow: so many values are lost to it. The next call gives the oldest one that is left.
    Lagged(u64),
    /// All senders are gone, and everything has been received.
    Closed,
}

impl fmt::Display for BroadcastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lagged(count) => write!(f, "the receiver was too slow: {count} values are lost to it"),
            Self::Closed => f.write_str("the broadcast is over: all senders are gone"),
        }
    }
}

impl error::Error for BroadcastError {}

/// Why a broadcast gave nothing at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TryBroadcastError {
    /// Nothing is there yet.
    Empty,
    /// The receiver was too slow: so many values are lost to it. The next call gives the oldest one that is left.
    Lagged(u64),
    /// All senders are gone, and everything has been received.
    Closed,
}

impl fmt::Display for TryBroadcastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("nothing is there yet"),
            Self::Lagged(count) => BroadcastError::Lagged(*count).fmt(f),
            Self::Closed => BroadcastError::Closed.fmt(f),
        }
    }
}

impl error::Error for TryBroadcastError {}

/// Why a [`OnceCell`](crate::OnceCell) was not set; the value comes with the error.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SetError<T> {
    /// It has a value already.
    AlreadySet(T),
    /// Somebody is making its value.
    BeingSet(T),
}

impl<T> SetError<T> {
    /// Returns the value that could not be set.
    pub fn into_inner(self) -> T {
        match self {
            Self::AlreadySet(value) | Self::BeingSet(value) => value,
        }
    }
}

impl<T> fmt::Debug for SetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadySet(_) => "AlreadySet(..)",
            Self::BeingSet(_) => "BeingSet(..)",
        })
    }
}

impl<T> fmt::Display for SetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadySet(_) => "the cell has a value already",
            Self::BeingSet(_) => "the value of the cell is being made by somebody else",
        })
    }
}

impl<T> error::Error for SetError<T> {}
