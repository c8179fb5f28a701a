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

use asyncio_base::shim::{Arc, Mutex};
use asyncio_base::wait_point;
use asyncio_executor::{Spawner, TaskOptions};

type Outcome<T, E> = Result<T, CompletionError<E>>;
type Callback<T, E> = Box<dyn FnOnce(Result<&T, &CompletionError<E>>) + Send>;

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
    waiting: Mutex<Waiting<T, E>>,
}

struct Waiting<T, E> {
    next: u64,
    /// In the order of registration.
    entries: BTreeMap<u64, Entry<T, E>>,
}

impl<T, E> Default for Waiting<T, E> {
    fn default() -> Self {
        Self { next: 0, entries: BTreeMap::new() }
    }
}

/// One who waits.
enum Entry<T, E> {
    Waker(Waker),
    /// And the loop on which it was registered.
    Callback(Callback<T, E>, Option<Spawner>),
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

// The bounds are those of callbacks, which may run on another thread.
impl<T: Send + Sync + 'static, E: Send + Sync + 'static> Setter<T, E> {
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
        // Callbacks were put there with the bounds that calling them asks for; see `Shared::abandon`.
        self.shared.abandon();
    }
}

impl<T, E> fmt::Debug for Setter<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setter").field("is_done", &self.is_done()).finish()
    }
}

impl<T, E> Shared<T, E> {
    fn take_entries(&self, outcome: Outcome<T, E>) -> BTreeMap<u64, Entry<T, E>> {
        let mut waiting = self.waiting.lock();
        if self.outcome.set(outcome).is_err() {
            return BTreeMap::new();
        }
        std::mem::take(&mut waiting.entries)
    }

    /// Nothing will come.
    fn abandon(&self) {
        if self.outcome.get().is_some() {
            return;
        }
        for entry in self.take_entries(Err(CompletionError { error: None })).into_values() {
            match entry {
                Entry::Waker(waker) => waker.wake(),
                Entry::Callback(callback, _) => {
                    if let Some(outcome) = self.outcome.get() {
                        callback(outcome.as_ref());
                    }
                }
            }
        }
    }
}

impl<T: Send + Sync + 'static, E: Send + Sync + 'static> Shared<T, E> {
    fn settle(self: &Arc<Self>, outcome: Outcome<T, E>) {
        // P2: wakes and jobs go into the ready queue one after the other.
        for entry in self.take_entries(outcome).into_values() {
            match entry {
                Entry::Waker(waker) => waker.wake(),
                Entry::Callback(callback, home) => self.call(callback, home),
            }
        }
    }

    /// Has a callback called, with the outcome that there is.
    fn call(self: &Arc<Self>, callback: Callback<T, E>, home: Option<Spawner>) {
        let shared = self.clone();
        let call = move || {
            if let Some(outcome) = shared.outcome.get() {
                callback(outcome.as_ref());
            }
        };
        match home {
            Some(home) => {
                // On a loop that is closed nothing is called any more.
                let spawned = home.spawn(TaskOptions::here(), async move { call() });
                spawned.into_iter().for_each(asyncio_executor::Handle::detach);
            }
            None => call(),
        }
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
    /// Has a callback called when it is set, or soon if it is already: on the loop of this thread; where none runs here, where it is set.
    ///
    /// If the setter is dropped instead, it is called there and then.
    pub fn on_done(&self, callback: impl FnOnce(Result<&T, &CompletionError<E>>) + Send + 'static) {
        let home = Spawner::current();
        let mut waiting = self.shared.waiting.lock();
        if self.is_done() {
            drop(waiting);
            return self.shared.call(Box::new(callback), home);
        }
        let number = waiting.next;
        waiting.next += 1;
        waiting.entries.insert(number, Entry::Callback(Box::new(callback), home));
    }
}

impl<T: Clone, E> Future for Completion<T, E> {
    type Output = Result<T, CompletionError<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
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
            return self.poll(cx);
        }
        let key = *this.key.get_or_insert_with(|| {
            let number = waiting.next;
            waiting.next += 1;
            number
        });
        let former = waiting.entries.insert(key, Entry::Waker(waker));
        drop(waiting);
        drop(former);
        wait_point::here("completion");
        Poll::Pending
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
