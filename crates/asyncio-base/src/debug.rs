//! Whether this thread is one of a loop in debug mode, which wants to hear of what is legal and yet nearly always a mistake.
//!
//! A resource that is dropped without being closed, a panic that nobody reads: where it costs something to see, or where an orderly program may
//! do it too, it is reported in debug mode alone. By thread, as reports are, so that two loops in one process do not disturb each other. Ask
//! [`is_on`] first; it is one thread-local load.

use std::cell::Cell;
use std::marker::PhantomData;

thread_local! {
    static IS_ON: Cell<bool> = const { Cell::new(false) };
}

/// Says whether this thread is in debug mode.
#[inline]
pub fn is_on() -> bool {
    IS_ON.try_with(Cell::get).unwrap_or(false)
}

/// Puts this thread into debug mode, or takes it out, until the guard is dropped. The former mode comes back then.
///
/// # Examples
///
/// ```
/// use asyncio_base::debug;
///
/// let entered = debug::enter(true);
/// assert!(debug::is_on());
/// drop(entered);
/// assert!(!debug::is_on());
/// ```
#[must_use = "the former mode comes back when the guard is dropped"]
pub fn enter(is_on: bool) -> DebugGuard {
    DebugGuard { former: IS_ON.replace(is_on), _not_send: PhantomData }
}

/// Puts the former mode of a thread back when dropped. Made by [`enter`].
#[derive(Debug)]
pub struct DebugGuard {
    former: bool,
    _not_send: PhantomData<*mut ()>,
}

impl Drop for DebugGuard {
    fn drop(&mut self) {
        // At the end of the thread there is nothing to put back.
        let _ = IS_ON.try_with(|is_on| is_on.set(self.former));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_former_mode_comes_back_when_a_loop_is_left() {
        let outer = enter(true);
        {
            let _inner = enter(false);
            assert!(!is_on(), "the inner loop's mode");
        }
        assert!(is_on(), "the outer one's");
        drop(outer);
        assert!(!is_on(), "nobody's");
    }
}
