//! Whether this thread runs a simulated host, which has nothing of the machine that it runs on.
//!
//! What would start a thread, a child process, or listen to a signal asks [`check`] first. In a simulation that is an error that names the place; anywhere
//! else it is one thread-local load.

use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::panic::Location;

thread_local! {
    static IS_CLOSED: Cell<bool> = const { Cell::new(false) };
}

/// Says whether this thread runs a simulated host.
#[inline]
pub fn is_entered() -> bool {
    IS_CLOSED.try_with(Cell::get).unwrap_or(false)
}

/// Refuses `what`, as in "a thread", on a thread that runs a simulated host.
///
/// # Errors
///
/// Fails with `Unsupported` in a simulation.
#[inline]
#[track_caller]
pub fn check(what: &str) -> io::Result<()> {
    if is_entered() { Err(refused(what, Location::caller())) } else { Ok(()) }
}

#[cold]
fn refused(what: &str, place: &Location<'_>) -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!(
            "{place}: a simulated host was asked for {what}, and has nothing of the machine that it runs on"
        ),
    )
}

/// Says that this thread runs a simulated host, until the guard is dropped.
///
/// # Examples
///
/// ```
/// use asyncio_base::closed_world;
///
/// let entered = closed_world::enter();
/// assert!(closed_world::check("a thread").unwrap_err().to_string().contains("a thread"));
/// drop(entered);
/// assert!(closed_world::check("a thread").is_ok());
/// ```
#[must_use = "the world is open again when the guard is dropped"]
pub fn enter() -> ClosedWorldGuard {
    ClosedWorldGuard { former: IS_CLOSED.replace(true), _not_send: PhantomData }
}

/// Puts the former state of a thread back when dropped. Made by [`enter`].
#[derive(Debug)]
pub struct ClosedWorldGuard {
    former: bool,
    _not_send: PhantomData<*mut ()>,
}

impl Drop for ClosedWorldGuard {
    fn drop(&mut self) {
        // At the end of the thread there is nothing to put back.
        let _ = IS_CLOSED.try_with(|is_closed| is_closed.set(self.former));
    }
}
