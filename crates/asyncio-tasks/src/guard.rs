//! Asynchronous clean-up: [`guard`], [`defer`], [`with`], and their local forms.

use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::cleanup;
use crate::scope::{self, Closer, Registration};
use crate::slot::{Giver, slot};

/// Makes the closer of a resource. It does not call the user's function: a panic in that is the closer's.
type Close<T> = Box<dyn FnOnce(Registration, T) -> Closer + Send>;
/// The last is gone when the resource is closed.
type StartLocal<T> = Box<dyn FnOnce(Registration, T, Option<Giver<()>>)>;

/// What is closed asynchronously: a connection that says goodbye, a transaction that is rolled back.
///
/// Implementations may be written `async fn close(self)`.
///
/// # Examples
///
/// ```
/// use asyncio_tasks::AsyncClose;
///
/// struct Connection;
///
/// impl AsyncClose for Connection {
///     async fn close(self) {
///         // Say goodbye, and wait for the answer.
///     }
/// }
/// # asyncio_executor::block_on(Connection.close());
/// ```
pub trait AsyncClose: Sized {
    /// Closes it.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// Keeps a resource, and closes it when the guard is dropped: wherever that is, by the end of a block, `?`, a cancellation, a lost race or a
/// panic.
///
/// A `Drop` cannot await. So the closer moves to the current scope, which starts it at once, beside its body, and does not end before it has. It is
/// shielded: a cancellation does not reach it. Closers that are queued together run one after the other, the guard that was made last first. What
/// outlasts the [grace period](crate::DEFAULT_GRACE) is cut off and reported.
///
/// Outside of any scope it runs on the loop of this thread, whose end waits for it, or else on a thread for such things. A panic of the closer is
/// reported.
///
/// # Examples
///
/// ```
/// use asyncio_tasks::{cancel_scope, guard};
/// use std::sync::{Arc, Mutex};
///
/// let log = Arc::new(Mutex::new(Vec::new()));
/// let out = asyncio_executor::block_on(cancel_scope(async |_| {
///     let connection = guard(log.clone(), |log| async move { log.lock().unwrap().push("closed") });
///     connection.lock().unwrap().push("used");
///     1
/// }));
/// assert_eq!(out, Ok(1));
/// assert_eq!(*log.lock().unwrap(), ["used", "closed"], "the scope has waited for it");
/// ```
#[track_caller]
pub fn guard<T, C, F>(resource: T, close: C) -> Guard<T>
where
    T: Send + 'static,
    C: FnOnce(T) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let close: Close<T> =
        Box::new(|registration, resource| registration.closer(async { close(resource).await }));
    Guard { inner: Some((resource, close)), registration: Registration::new(Location::caller()) }
}

/// Keeps a resource that is closed asynchronously. Made by [`guard`].
#[must_use = "a guard that is dropped at once closes at once"]
pub struct Guard<T: Send + 'static> {
    /// `None` once it was given away.
    inner: Option<(T, Close<T>)>,
    registration: Registration,
}

impl<T: Send + 'static> Guard<T> {
    /// Closes the resource now, and waits for it.
    ///
    /// # Cancel safety
    ///
    /// Closing goes on when this is dropped: the current scope waits for it.
    pub fn finish(mut self) -> Finish {
        let closer = self.closer();
        Finish { closer }
    }

    /// Takes the resource out: it will not be closed.
    ///
    /// # Examples
    ///
    /// ```
    /// let kept = asyncio_tasks::guard(7, |_| async { unreachable!() }).into_inner();
    /// assert_eq!(kept, 7);
    /// ```
    pub fn into_inner(mut self) -> T {
        match self.inner.take() {
            Some((resource, _)) => resource,
            None => unreachable!("it is there until the guard is gone"),
        }
    }

    fn closer(&mut self) -> Option<Closer> {
        let (resource, close) = self.inner.take()?;
        Some(close(self.registration, resource))
    }
}

impl<T: Send + 'static> Deref for Guard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner.as_ref().expect("it is there until the guard is gone").0
    }
}

impl<T: Send + 'static> DerefMut for Guard<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner.as_mut().expect("it is there until the guard is gone").0
    }
}

impl<T: Send + 'static> Drop for Guard<T> {
    fn drop(&mut self) {
        if let Some(closer) = self.closer() {
            scope::start(closer);
        }
    }
}

impl<T: Send + fmt::Debug + 'static> fmt::Debug for Guard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guard").field(&**self).finish()
    }
}

/// Made by [`Guard::finish`].
#[must_use = "closing starts when this is awaited, or dropped"]
pub struct Finish {
    closer: Option<Closer>,
}

impl Future for Finish {
    type Output = ();

    /// A panic of the closer goes on here.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Taken out, so that it is gone if it panics.
        let Some(mut closer) = self.closer.take() else { return Poll::Ready(()) };
        let poll = scope::shielded(|| closer.poll_for_caller(cx));
        if poll.is_pending() {
            self.closer = Some(closer);
        }
        poll
    }
}

impl Drop for Finish {
    fn drop(&mut self) {
        if let Some(closer) = self.closer.take() {
            scope::start(closer);
        }
    }
}

impl fmt::Debug for Finish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finish").field("is_finished", &self.closer.is_none()).finish()
    }
}

/// Does something asynchronous when the current scope ends, however it ends.
///
/// Go's `defer`, asyncio's `AsyncExitStack.push_async_callback`. It is shielded, and takes its turn among the [guards](guard) that are closed
/// then: what was registered last comes first. Outside of any scope there is no end to wait for: it starts at once.
///
/// # Examples
///
/// ```
/// use asyncio_tasks::{cancel_scope, defer};
/// use std::sync::{Arc, Mutex};
///
/// let log = Arc::new(Mutex::new(Vec::new()));
/// let (first, second) = (log.clone(), log.clone());
/// let _ = asyncio_executor::block_on(cancel_scope(async move |_| {
///     defer(async move { first.lock().unwrap().push("registered first") });
///     defer(async move { second.lock().unwrap().push("registered last") });
/// }));
/// assert_eq!(*log.lock().unwrap(), ["registered last", "registered first"]);
/// ```
#[track_caller]
pub fn defer(closer: impl Future<Output = ()> + Send + 'static) {
    scope::defer(Registration::new(Location::caller()).closer(closer));
}

/// Uses a resource, and closes it before this returns: asyncio's `async with`.
///
/// It is closed however `body` ends: by a value, by a panic, or by being cancelled; then by the scope around.
///
/// # Examples
///
/// ```
/// use asyncio_tasks::{AsyncClose, with};
///
/// struct Connection;
///
/// impl AsyncClose for Connection {
///     async fn close(self) {}
/// }
///
/// let answer = asyncio_executor::block_on(with(Connection, async |_connection: &mut Connection| 42));
/// assert_eq!(answer, 42);
/// ```
#[track_caller]
pub fn with<R, T, B>(resource: R, body: B) -> impl Future<Output = T>
where
    R: AsyncClose + Send + 'static,
    B: AsyncFnOnce(&mut R) -> T,
{
    let mut guard = guard(resource, AsyncClose::close);
    async move {
        let value = body(&mut guard).await;
        guard.finish().await;
        value
    }
}

/// Keeps a resource that is not `Send`, as [`guard`] does.
///
/// Its closer is a job of the loop of the thread where the guard is dropped, and the scope waits for that.
///
/// # Examples
///
/// ```
/// # let executor = asyncio_executor::LocalExecutor::new(std::task::Waker::noop().clone());
/// # let cleanup = asyncio_tasks::Cleanup::new(asyncio_tasks::DEFAULT_GRACE);
/// # let (_executor, _cleanup) = (executor.enter(), cleanup.enter());
/// use asyncio_tasks::{guard_local, spawn_local};
/// use std::{cell::Cell, rc::Rc};
///
/// let closed = Rc::new(Cell::new(false));
/// let resource = closed.clone();
/// spawn_local(async { drop(guard_local(resource, |closed| async move { closed.set(true) })) }).detach();
/// # while executor.run_round() > 0 {}
/// assert!(closed.get());
/// ```
#[track_caller]
pub fn guard_local<T, C, F>(resource: T, close: C) -> LocalGuard<T>
where
    T: 'static,
    C: FnOnce(T) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    let start: StartLocal<T> = Box::new(|registration, resource, end| {
        cleanup::start_local(registration, async move {
            close(resource).await;
            drop(end);
        })
    });
    LocalGuard { inner: Some((resource, start)), registration: Registration::new(Location::caller()) }
}

/// Keeps a resource that is closed asynchronously and is not `Send`. Made by [`guard_local`].
#[must_use = "a guard that is dropped at once closes at once"]
pub struct LocalGuard<T: 'static> {
    /// `None` once it was given away.
    inner: Option<(T, StartLocal<T>)>,
    registration: Registration,
}

impl<T: 'static> LocalGuard<T> {
    /// Closes the resource now, and waits for it. Closing has begun when this returns.
    ///
    /// # Cancel safety
    ///
    /// Closing goes on when this is dropped: the current scope waits for it.
    ///
    /// # Examples
    ///
    /// ```
    /// # let executor = asyncio_executor::LocalExecutor::new(std::task::Waker::noop().clone());
    /// # let cleanup = asyncio_tasks::Cleanup::new(asyncio_tasks::DEFAULT_GRACE);
    /// # let _entered = (executor.enter(), cleanup.enter());
    /// use std::{cell::Cell, rc::Rc};
    ///
    /// let is_closed = Rc::new(Cell::new(false));
    /// let connection = is_closed.clone();
    /// let task = asyncio_tasks::spawn_local(async move {
    ///     asyncio_tasks::guard_local(connection, |connection| async move { connection.set(true) }).finish().await;
    ///     is_closed.get()
    /// });
    /// # while executor.run_round() > 0 {}
    /// assert!(asyncio_executor::block_on(task).unwrap());
    /// ```
    pub fn finish(mut self) -> impl Future<Output = ()> + use<T> {
        let end = self.inner.take().map(|(resource, start)| {
            let (end, has_ended) = slot();
            start(self.registration, resource, Some(end));
            has_ended
        });
        async move {
            if let Some(mut has_ended) = end {
                // Nothing is given: the other side goes when it has ended, or was cut off.
                let _ = poll_fn(|cx| has_ended.poll_take(cx)).await;
            }
        }
    }

    /// Takes the resource out: it will not be closed.
    pub fn into_inner(mut self) -> T {
        match self.inner.take() {
            Some((resource, _)) => resource,
            None => unreachable!("it is there until the guard is gone"),
        }
    }
}

impl<T: 'static> Deref for LocalGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner.as_ref().expect("it is there until the guard is gone").0
    }
}

impl<T: 'static> DerefMut for LocalGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner.as_mut().expect("it is there until the guard is gone").0
    }
}

impl<T: 'static> Drop for LocalGuard<T> {
    fn drop(&mut self) {
        if let Some((resource, start)) = self.inner.take() {
            start(self.registration, resource, None);
        }
    }
}

impl<T: fmt::Debug + 'static> fmt::Debug for LocalGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LocalGuard").field(&**self).finish()
    }
}

/// Does something asynchronous that is not `Send` when the current scope ends, as [`defer`] does.
///
/// # Examples
///
/// ```
/// # let executor = asyncio_executor::LocalExecutor::new(std::task::Waker::noop().clone());
/// # let cleanup = asyncio_tasks::Cleanup::new(asyncio_tasks::DEFAULT_GRACE);
/// # let _entered = (executor.enter(), cleanup.enter());
/// use std::{cell::RefCell, rc::Rc};
///
/// let log = Rc::new(RefCell::new(Vec::new()));
/// let inside = log.clone();
/// let task = asyncio_tasks::spawn_local(async move {
///     let last = inside.clone();
///     asyncio_tasks::defer_local(async move { last.borrow_mut().push("last") });
///     inside.borrow_mut().push("first");
/// });
/// # while executor.run_round() > 0 {}
/// assert!(task.is_finished());
/// assert_eq!(*log.borrow(), ["first", "last"]);
/// ```
#[track_caller]
pub fn defer_local(closer: impl Future<Output = ()> + 'static) {
    cleanup::defer_local(Registration::new(Location::caller()), closer);
}
