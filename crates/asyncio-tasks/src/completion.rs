//! [`completion`]: a result that is set once, for many who wait. asyncio's `Future`.
//!
//! - P1: it is set once, or never: by its [`Setter`], or by that being dropped.
//! - P2: whoever waits, by awaiting or by a callback, goes on in the order of registration. Callbacks are never called inline: they are jobs of the
//!   loop on which they were registered.
//! - P3: an await of one that is set does not wait.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use asyncio_base::panic::{catch_and_store, discard, message};
use asyncio_base::report::Report;
use asyncio_base::shim::{Arc, Mutex};
use asyncio_base::wait_point;
use asyncio_executor::{Spawner, TaskOptions};

use crate::context::Context as TaskContext;
use crate::scope::wake;

type Outcome<T, E> = Result<T, CompletionError<E>>;
type Job = Box<dyn FnOnce() + Send>;

/// Makes a result that is set later, and that many may wait for: asyncio's `loop.create_future()`.
///
/// For one who waits there is no lighter thing in this crate than awaiting the task itself.
///
/// # Examples
///
/// ```
/// use asyncio_tasks::completion;
/// use std::io;
///
/// let (setter, completion) = completion::<u32, io::Error>();
/// let other = completion.clone();
/// setter.set(7);
/// assert_eq!(asyncio_executor::block_on(completion).unwrap(), 7);
/// assert_eq!(asyncio_executor::block_on(other).unwrap(), 7);
/// ```
pub fn completion<T, E>() -> (Setter<T, E>, Completion<T, E>) {
    let shared = Arc::new(Shared { outcome: OnceLock::new(), waiting: Mutex::default() });
    (Setter { shared: shared.clone() }, Completion { shared, key: None })
}

struct Shared<T, E> {
    outcome: OnceLock<Outcome<T, E>>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    /// In the order of registration.
    entries: BTreeMap<u64, Entry>,
}

/// One who waits.
enum Entry {
    Waker(Waker),
    /// A callback, and the loop on which it was registered. It has the outcome to look at, in a circle that ends when it is set.
    Callback(Job, Option<Spawner>),
}

/// Sets a [`Completion`]. Dropping it unset tells those who wait that nothing will come.
pub struct Setter<T, E> {
    shared: Arc<Shared<T, E>>,
}

impl<T, E> Setter<T, E> {
    /// Says whether it is set. It is not, while there is this.
    pub fn is_done(&self) -> bool {
        self.shared.outcome.get().is_some()
    }
}

impl<T, E> Setter<T, E> {
    /// Sets the value, and has all who wait go on.
    pub fn set(self, value: T) {
        self.shared.settle(Ok(value));
    }

    /// Sets an error, and has all who wait go on.
    pub fn fail(self, error: E) {
        self.shared.settle(Err(CompletionError { error: Some(Arc::new(error)) }));
    }
}

impl<T, E> Drop for Setter<T, E> {
    fn drop(&mut self) {
        if !self.is_done() {
            self.shared.settle(Err(CompletionError { error: None }));
        }
    }
}

impl<T, E> fmt::Debug for Setter<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setter").field("is_done", &self.is_done()).finish()
    }
}

impl<T, E> Shared<T, E> {
    fn settle(&self, outcome: Outcome<T, E>) {
        let entries = {
            let mut waiting = self.waiting.lock();
            // OK because there is one setter, which sets it once.
            let is_first = self.outcome.set(outcome).is_ok();
            debug_assert!(is_first, "it is set once");
            std::mem::take(&mut waiting.entries)
        };
        // P2: wakes and jobs go into the ready queue one after the other.
        for entry in entries.into_values() {
            match entry {
                Entry::Waker(waker) => wake(|| waker.wake()),
                Entry::Callback(job, home) => call(job, home),
            }
        }
    }
}

/// Has a callback called: as a job of the loop on which it was registered, or here where there was none.
fn call(job: Job, home: Option<Spawner>) {
    let job = move || {
        let mut panic = None;
        catch_and_store(&mut panic, job);
        if let Some(panic) = panic {
            Report::new("tasks", format_args!("a callback of a completion panicked: {}", message(&*panic)))
                .panicked()
                .send();
            discard(panic);
        }
    };
    match home {
        Some(home) => {
            // On a loop that is closed nothing is called any more.
            let spawned = home.spawn(TaskOptions::here(), async move { job() });
            spawned.into_iter().for_each(asyncio_executor::Handle::detach);
        }
        None => job(),
    }
}

/// A result that comes later. Clones are of the same; each may be awaited, once.
///
/// # Cancel safety
///
/// Dropping it loses nothing: others may go on waiting.
pub struct Completion<T, E> {
    shared: Arc<Shared<T, E>>,
    /// Its place among those who wait.
    key: Option<u64>,
}

// Nothing in it is pinned.
impl<T, E> Unpin for Completion<T, E> {}

impl<T, E> Completion<T, E> {
    /// Says whether it is set.
    pub fn is_done(&self) -> bool {
        self.shared.outcome.get().is_some()
    }

    /// Returns the outcome, if it is set.
    pub fn outcome(&self) -> Option<Result<&T, &CompletionError<E>>> {
        self.shared.outcome.get().map(Result::as_ref)
    }

    fn leave(&mut self) {
        if let Some(key) = self.key.take() {
            let left = self.shared.waiting.lock().entries.remove(&key);
            drop(left);
        }
    }
}

impl<T: Send + Sync + 'static, E: Send + Sync + 'static> Completion<T, E> {
    /// Has a callback called when it is set, or soon if it is already: on the loop of this thread, in the present [context](crate::Context). Where no loop
    /// runs here, it is called where it is set. Those that are left when the setter is dropped hear that nothing will come.
    pub fn on_done(&self, callback: impl FnOnce(Result<&T, &CompletionError<E>>) + Send + 'static) {
        let (home, shared, context) = (Spawner::current(), self.shared.clone(), TaskContext::capture());
        let job: Job = Box::new(move || {
            if let Some(outcome) = shared.outcome.get() {
                context.run(|| callback(outcome.as_ref()));
            }
        });
        let mut waiting = self.shared.waiting.lock();
        if self.is_done() {
            drop(waiting);
            return call(job, home);
        }
        let number = waiting.next;
        waiting.next += 1;
        waiting.entries.insert(number, Entry::Callback(job, home));
    }
}

impl<T: Clone, E> Completion<T, E> {
    /// Polls it for one that says itself what it waits for.
    pub(crate) fn poll_silently(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, CompletionError<E>>> {
        let this = &mut *self;
        if let Some(outcome) = this.shared.outcome.get() {
            let outcome = outcome.clone();
            this.leave();
            return Poll::Ready(outcome);
        }
        let waker = cx.waker().clone();
        let mut waiting = this.shared.waiting.lock();
        if this.shared.outcome.get().is_some() {
            drop(waiting);
            drop(waker);
            return self.poll_silently(cx);
        }
        let key = *this.key.get_or_insert_with(|| {
            let number = waiting.next;
            waiting.next += 1;
            number
        });
        let former = waiting.entries.insert(key, Entry::Waker(waker));
        drop(waiting);
        drop(former);
        Poll::Pending
    }
}

impl<T: Clone, E> Future for Completion<T, E> {
    type Output = Result<T, CompletionError<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.poll_silently(cx);
        if polled.is_pending() {
            wait_point::here("completion");
        }
        polled
    }
}

impl<T, E> Clone for Completion<T, E> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), key: None }
    }
}

impl<T, E> Drop for Completion<T, E> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<T, E> fmt::Debug for Completion<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion").field("is_done", &self.is_done()).finish()
    }
}

/// Why a [`Completion`] has no value: it failed, or its setter was dropped. The error is shared by all who wait.
pub struct CompletionError<E> {
    /// `None` if the setter was dropped.
    error: Option<Arc<E>>,
}

impl<E> CompletionError<E> {
    /// Returns the error that was set; `None` if the setter was dropped.
    pub fn error(&self) -> Option<&Arc<E>> {
        self.error.as_ref()
    }

    /// Says whether the setter was dropped, so that nothing will come.
    pub fn is_abandoned(&self) -> bool {
        self.error.is_none()
    }
}

impl<E> Clone for CompletionError<E> {
    fn clone(&self) -> Self {
        Self { error: self.error.clone() }
    }
}

impl<E: fmt::Display> fmt::Display for CompletionError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Some(error) => error.fmt(f),
            None => f.write_str("the one who was to complete this has gone"),
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for CompletionError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompletionError").field("error", &self.error).finish()
    }
}

impl<E: fmt::Debug + fmt::Display> Error for CompletionError<E> {}

impl<E: fmt::Debug + fmt::Display + Send + Sync + 'static> From<CompletionError<E>> for std::io::Error {
    fn from(error: CompletionError<E>) -> Self {
        Self::other(error)
    }
}
