//! [`block_on`]: a future, and the thread that parks until it is done.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use asyncio_base::budget;
use parking::Parker;

thread_local! {
    /// A parker and its waker are made once a thread; a nested `block_on` makes its own.
    static CACHE: RefCell<(Parker, Waker)> = RefCell::new(parker_and_waker());
}

fn parker_and_waker() -> (Parker, Waker) {
    let (parker, unparker) = parking::pair();
    (parker, Waker::from(std::sync::Arc::new(Unpark(unparker))))
}

/// Runs a future to its end on this thread, which parks whenever the future waits.
///
/// For use without a loop: sleeps and sockets then work through their fallback threads. The future may borrow and need not be `Send`. It
/// may be nested, but not from inside a task of a loop, which would stop.
///
/// # Examples
///
/// ```
/// let name = String::from("borrowed");
/// assert_eq!(asyncio_executor::block_on(async { name.len() }), 8);
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    CACHE.with(|cache| match cache.try_borrow_mut() {
        Ok(cached) => run(&cached.0, &cached.1, future),
        // A nested call: the outer one is using the parker.
        Err(_) => {
            let (parker, waker) = parker_and_waker();
            run(&parker, &waker, future)
        }
    })
}

fn run<F: Future>(parker: &Parker, waker: &Waker, future: F) -> F::Output {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(waker);
    loop {
        // Without the budget of a task that this may be called from: nobody else could run meanwhile.
        match budget::unlimited(|| future.as_mut().poll(&mut cx)) {
            Poll::Ready(output) => return output,
            Poll::Pending => parker.park(),
        }
    }
}

struct Unpark(parking::Unparker);

impl std::task::Wake for Unpark {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &std::sync::Arc<Self>) {
        self.0.unpark();
    }
}
