//! The two things that may happen to a panic that must not pass.
//!
//! User code (futures, wakers, `Drop`) may panic anywhere. Where a frame of ours cannot be unwound, one of two guards
//! stands, and its name says what it does: [`abort_on_panic`], or [`catch_and_store`].

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a panic carries.
pub type Payload = Box<dyn Any + Send + 'static>;

/// What a panic carries of which somebody has been told already: in it is what was told.
#[derive(Debug)]
pub struct Told(pub Payload);

/// Runs `f`; a panic in it ends the process, because unwinding on would leave memory that is not valid.
pub fn abort_on_panic<R>(f: impl FnOnce() -> R) -> R {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            std::process::abort();
        }
    }
    let bomb = Bomb;
    let result = f();
    std::mem::forget(bomb);
    result
}

/// Runs `f`; a panic in it is kept in `first` if that is empty, and forgotten otherwise.
///
/// # Examples
///
/// ```
/// let mut first = None;
/// assert_eq!(asyncio_base::panic::catch_and_store(&mut first, || 1), Some(1));
/// assert_eq!(asyncio_base::panic::catch_and_store(&mut first, || panic!("boom")), None::<u8>);
/// assert_eq!(asyncio_base::panic::message(&*first.unwrap()), "boom");
/// ```
pub fn catch_and_store<R>(first: &mut Option<Payload>, f: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(value) => Some(value),
        Err(payload) => {
            match first {
                None => *first = Some(payload),
                Some(_) => discard(payload),
            }
            None
        }
    }
}

/// Drops what a panic carried, whose own `Drop` may panic, and must not pass either.
pub fn discard(mut payload: Payload) {
    // What the drop of a payload panics with is a payload again, and mostly a plain text.
    for _ in 0..8 {
        match catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            Ok(()) => return,
            Err(again) => payload = again,
        }
    }
    std::mem::forget(payload);
}

/// Returns the text of a panic, or says that it has none.
pub fn message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic whose payload is not a string")
}

/// Says what a panic said, and [discards](discard) what it carried.
///
/// # Examples
///
/// ```
/// let mut panic = None;
/// asyncio_base::panic::catch_and_store(&mut panic, || panic!("boom"));
/// assert_eq!(asyncio_base::panic::into_message(panic.unwrap()), "boom");
/// ```
pub fn into_message(payload: Payload) -> String {
    let text = message(&*payload).to_owned();
    discard(payload);
    text
}
