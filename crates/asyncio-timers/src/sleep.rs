//! [`Sleep`]: a future that is ready at a deadline.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use asyncio_base::{budget, wait_point};

use crate::home::{Registered, Timers, Updated, now};
use crate::wheel::Key;

/// Sleeps for `duration`, counted from this call.
///
/// asyncio's `sleep`. It never ends early. `Duration::MAX`, and whatever else reaches past the end of time, is for ever.
///
/// # Cancel safety
///
/// Nothing is lost by dropping it.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
///
/// futures::executor::block_on(async {
///     let start = Instant::now();
///     asyncio_timers::sleep(Duration::from_millis(1)).await;
///     assert!(start.elapsed() >= Duration::from_millis(1));
/// });
/// ```
pub fn sleep(duration: Duration) -> Sleep {
    Sleep::at(now().checked_add(duration), !duration.is_zero())
}

/// Sleeps until `deadline`.
///
/// # Cancel safety
///
/// Nothing is lost by dropping it.
///
/// # Examples
///
/// ```
/// let past = std::time::Instant::now();
/// futures::executor::block_on(asyncio_timers::sleep_until(past));
/// assert!(std::time::Instant::now() >= past);
/// ```
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep::at(Some(deadline), false)
}

/// A future that is ready at a deadline. Made by [`sleep`] and [`sleep_until`].
///
/// It allocates nothing, is `Unpin + Send`, and may be moved between polls, also to another thread: its home is the
/// loop of its first poll.
///
/// # Cancel safety
///
/// Nothing is lost by dropping it, and it leaves nothing behind.
#[must_use = "a sleep does nothing unless it is awaited"]
pub struct Sleep {
    /// `None` is never.
    deadline: Option<Instant>,
    /// The deadline was ahead of the clock when it was set, so the first poll need not read the clock again.
    was_ahead: bool,
    /// Where it is registered since its first pending poll, and stays.
    home: Option<Timers>,
    timer: Option<Timer>,
}

struct Timer {
    key: Key,
    /// When the home will fire: never later than the deadline.
    fires_at: Instant,
    /// The home's count of changes when it was last known to wait, and whom it wakes (H4 in `home.rs`).
    changes: u64,
    wakes: WakerId,
}

/// Tells wakers apart. The home holds a clone for as long as this is compared, so its address is not another's by then.
#[derive(Clone, Copy, PartialEq, Eq)]
struct WakerId(usize, usize);

impl WakerId {
    #[inline]
    fn of(waker: &Waker) -> Self {
        Self(waker.data().addr(), std::ptr::from_ref(waker.vtable()).addr())
    }
}

impl Sleep {
    fn at(deadline: Option<Instant>, was_ahead: bool) -> Self {
        Self { deadline, was_ahead, home: None, timer: None }
    }

    /// Makes a sleep that never ends.
    pub fn never() -> Self {
        Self::at(None, true)
    }

    /// Moves the deadline.
    ///
    /// A later deadline is only stored: the timer stays where it is, and goes on when it fires. So pushing an idle
    /// timeout along with each message costs nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    ///
    /// let mut sleep = asyncio_timers::sleep(Duration::from_secs(3600));
    /// sleep.reset(Instant::now());
    /// assert!(sleep.is_elapsed());
    /// futures::executor::block_on(sleep);
    /// ```
    pub fn reset(&mut self, deadline: Instant) {
        self.set_deadline(Some(deadline));
    }

    /// Moves the deadline to `duration` from now.
    pub fn reset_after(&mut self, duration: Duration) {
        self.set_deadline(now().checked_add(duration));
    }

    fn set_deadline(&mut self, deadline: Option<Instant>) {
        let fires_at = self.timer.as_ref().map(|timer| timer.fires_at);
        if fires_at.zip(deadline).is_some_and(|(fires_at, deadline)| deadline < fires_at) {
            self.deregister();
        }
        self.deadline = deadline;
        self.was_ahead = false;
    }

    /// Returns the deadline, or `None` for never.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Says whether the deadline has passed.
    pub fn is_elapsed(&self) -> bool {
        let now = self.home.as_ref().map_or_else(now, Timers::now);
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Says whether it waits as it did when it was polled last (H4).
    #[inline]
    fn still_waits(&self, waker: &Waker) -> bool {
        match (&self.timer, &self.home) {
            (Some(timer), Some(home)) => timer.changes == home.changes() && timer.wakes == WakerId::of(waker),
            _ => false,
        }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let (Some(timer), Some(home)) = (&mut self.timer, &self.home) {
            let (changes, wakes) = (home.changes(), WakerId::of(cx.waker()));
            match home.update(timer.key, cx.waker()) {
                Updated::Waiting => {
                    (timer.changes, timer.wakes) = (changes, wakes);
                    return Poll::Pending;
                }
                // It fires at its deadline, never before; so the clock need not be read, unless the deadline was moved since.
                Updated::Fired if self.deadline == Some(timer.fires_at) => return Poll::Ready(()),
                Updated::Fired | Updated::Closed => {}
            }
            self.timer = None;
            self.was_ahead = false;
        }
        let Some(deadline) = self.deadline else { return Poll::Pending };
        if !self.was_ahead && self.is_elapsed() {
            return Poll::Ready(());
        }
        self.was_ahead = false;
        let entered = self.home.take().or_else(Timers::entered);
        match entered.and_then(|home| self.register(home, deadline, cx.waker())) {
            Some(poll) => poll,
            None => self.register_in_fallback(deadline, cx.waker()),
        }
    }

    /// Begins to wait in `home`; `None` if that is closed.
    #[inline]
    fn register(&mut self, home: Timers, deadline: Instant, waker: &Waker) -> Option<Poll<()>> {
        let changes = home.changes();
        match home.insert(deadline, waker) {
            Registered::Waiting(key) => {
                self.home = Some(home);
                let wakes = WakerId::of(waker);
                self.timer = Some(Timer { key, fires_at: deadline, changes, wakes });
                Some(Poll::Pending)
            }
            Registered::Due => Some(Poll::Ready(())),
            Registered::Closed => None,
        }
    }

    /// Where no loop is entered, and where it is closed, which it is while it ends: there time goes on in the fallback.
    #[cold]
    #[inline(never)]
    fn register_in_fallback(&mut self, deadline: Instant, waker: &Waker) -> Poll<()> {
        let home = Timers::fallback();
        home.and_then(|home| self.register(home, deadline, waker)).unwrap_or_else(|| {
            // No thread for it is to be had, which was reported. Polling again and again is all that is left, and loses nothing.
            waker.wake_by_ref();
            Poll::Pending
        })
    }

    #[inline(never)]
    fn poll_on(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let poll = self.poll_deadline(cx);
        match poll {
            Poll::Ready(()) => budget::spend_steps(1),
            Poll::Pending => wait_point::here("sleep"),
        }
        poll
    }

    #[inline(never)]
    fn deregister(&mut self) {
        if let (Some(timer), Some(home)) = (self.timer.take(), &self.home) {
            home.remove(timer.key);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(budget::poll_proceed(cx));
        if self.still_waits(cx.waker()) {
            wait_point::here("sleep");
            return Poll::Pending;
        }
        self.poll_on(cx)
    }
}

impl Drop for Sleep {
    #[inline]
    fn drop(&mut self) {
        if self.timer.is_some() {
            self.deregister();
        }
    }
}

impl std::fmt::Debug for Sleep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sleep")
            .field("deadline", &self.deadline)
            .field("is_registered", &self.timer.is_some())
            .finish()
    }
}
