//! T6: what is left of a client that has said goodbye and is gone.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use asyncio_base::budget;
use asyncio_base::shim::Arc;
use asyncio_reactor::Waiter;
use asyncio_tasks::{guard, spawn_background};
use asyncio_timers::{Sleep, sleep};

use super::socket::Shared;

/// How long the tickets may take to come, and what is on its way to go: several round trips of the longest ways there are.
const LIMIT: Duration = Duration::from_secs(2);

/// The same, once its loop has ended: a program is not to wait long for one who does not answer. On a clock that stands still this waits as all clean-up does.
const LIMIT_AT_THE_END: Duration = Duration::from_secs(1);

/// Keeps the socket below for a while, and takes in what comes.
pub(super) fn linger(shared: Arc<Shared>) {
    let (mut cx, mut waiter) = (Context::from_waker(Waker::noop()), Waiter::new());
    let mut left = Left { shared, deadline: sleep(LIMIT) };
    if budget::unlimited(|| left.poll(&mut cx, &mut waiter)).is_ready() {
        return;
    }
    let mut left = guard(left, Left::finish);
    spawn_background(async move {
        left.run().await;
        drop(left.into_inner());
    });
}

/// It belongs to the task that waits, or to the clean-up after it: a program that only writes may end at once.
struct Left {
    shared: Arc<Shared>,
    deadline: Sleep,
}

impl Left {
    fn poll(&mut self, cx: &mut Context<'_>, waiter: &mut Waiter) -> Poll<()> {
        self.shared.session.lock().poll_linger(cx, waiter, self.shared.below())
    }

    async fn run(&mut self) {
        let mut waiter = Waiter::new();
        poll_fn(|cx| {
            // Whether it was long enough or not, there is nobody to be told.
            if Pin::new(&mut self.deadline).poll(cx).is_ready() {
                Poll::Ready(())
            } else {
                self.poll(cx, &mut waiter)
            }
        })
        .await;
    }

    async fn finish(mut self) {
        self.deadline = sleep(LIMIT_AT_THE_END);
        self.run().await;
    }
}
