//! Callbacks of the loop: [`EventLoop::call_soon`] and its kin, and their [`CallHandle`].
//!
//! A callback is a task that is ready at once, or that sleeps first: there is one kind of entry in the ready queue, so callbacks and tasks are first
//! in, first out among each other.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use asyncio_base::LoopClosed;
use asyncio_base::panic::{catch_and_store, discard, message};
use asyncio_base::report::Report;
use asyncio_base::shim::{Arc, AtomicU8, Ordering};
use asyncio_tasks::debug::report_mistake;
use asyncio_tasks::{
    Builder, Context, SpawnLocalError, Task, current_task, spawn_local_with, spawn_with, yield_now,
};
use asyncio_timers::sleep_until;

use crate::event_loop::EventLoop;

/// Why a callback was not registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoopError {
    /// The loop is closed.
    Closed(LoopClosed),
    /// This is not the loop's thread.
    WrongThread,
}

impl fmt::Display for LoopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(closed) => write!(f, "a callback was not registered: {closed}"),
            Self::WrongThread => f.write_str(
                "a callback was not registered, since this is not the loop's thread: use `call_soon_threadsafe`, or `EventLoop::spawn`",
            ),
        }
    }
}

impl std::error::Error for LoopError {}

impl From<LoopError> for std::io::Error {
    fn from(error: LoopError) -> Self {
        match error {
            LoopError::Closed(closed) => closed.into(),
            LoopError::WrongThread => Self::other(error),
        }
    }
}

impl From<SpawnLocalError> for LoopError {
    fn from(error: SpawnLocalError) -> Self {
        match error {
            SpawnLocalError::Closed(closed) => Self::Closed(closed),
            _ => Self::WrongThread,
        }
    }
}

/// A callback that was registered with a loop. Dropping it changes nothing; clones are of the same callback.
#[derive(Clone)]
pub struct CallHandle {
    call: Arc<Call>,
    task: Arc<Task<()>>,
}

/// One callback.
pub(crate) struct Call {
    /// `WAITS`, and then one of the others.
    stage: AtomicU8,
    when: Option<Instant>,
    place: &'static Location<'static>,
}

const WAITS: u8 = 0;
const BEGUN: u8 = 1;
const CANCELLED: u8 = 2;

impl CallHandle {
    pub(crate) fn new(call: Arc<Call>, task: Arc<Task<()>>) -> Self {
        Self { call, task }
    }

    /// Cancels the callback: if it has not begun it never runs, and is dropped. From any thread.
    pub fn cancel(&self) {
        if self.call.move_to(CANCELLED) {
            self.task.cancel();
        }
    }

    /// Says whether it was cancelled before it had begun.
    pub fn is_cancelled(&self) -> bool {
        self.call.is_cancelled()
    }

    /// Returns when it is due; `None` for one of [`call_soon`](EventLoop::call_soon), and for one that is never due.
    pub fn when(&self) -> Option<Instant> {
        self.call.when
    }
}

impl fmt::Debug for CallHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallHandle")
            .field("registered_at", &format_args!("{}", self.call.place))
            .field("when", &self.when())
            .field("is_cancelled", &self.is_cancelled())
            .finish()
    }
}

impl Call {
    #[track_caller]
    pub(crate) fn new(when: Option<Instant>) -> Arc<Self> {
        Arc::new(Self { stage: AtomicU8::new(WAITS), when, place: Location::caller() })
    }

    /// Says whether it waited until now.
    fn move_to(&self, stage: u8) -> bool {
        self.stage.compare_exchange(WAITS, stage, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Waits until it is due, and runs the callback; not in the first poll, if that comes with the registration.
    async fn run(self: Arc<Self>, is_eager: bool, callback: impl FnOnce()) {
        if let Some(when) = self.when {
            let mut sleep = sleep_until(when);
            let is_due = poll_fn(|cx| Poll::Ready(Pin::new(&mut sleep).poll(cx).is_ready())).await;
            match is_due {
                true if is_eager => {
                    yield_now().await;
                    if current_task().is_some_and(|me| me.is_cancelled()) {
                        // As if it had not begun: the loop comes to its end.
                        return;
                    }
                }
                true => {}
                false => sleep.await,
            }
        }
        if self.move_to(BEGUN) {
            self.call(callback);
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.stage.load(Ordering::Acquire) == CANCELLED
    }

    /// Calls the callback. A panic is reported.
    pub(crate) fn call(&self, callback: impl FnOnce()) {
        let mut panic = None;
        catch_and_store(&mut panic, callback);
        if let Some(panic) = panic {
            let (place, message) = (self.place, message(&*panic));
            let id = current_task().map_or(0, |task| task.id().get());
            Report::new(
                "runtime",
                format_args!("the callback that was registered at {place} panicked: {message}"),
            )
            .about(id, place)
            .panicked()
            .send();
            discard(panic);
        }
    }
}

impl EventLoop {
    /// Has a callback called in the next round of the loop. asyncio's `call_soon`.
    ///
    /// Callbacks and tasks are first in, first out among each other; each callback is called once. One that is registered by a callback comes in
    /// the round after. A panic of it goes to the [exception handler](Self::set_exception_handler).
    ///
    /// # Errors
    ///
    /// Fails with [`LoopError`] on another thread than the loop's, and where the loop is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_runtime::EventLoop;
    /// use std::{cell::RefCell, rc::Rc};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut runner = asyncio_runtime::Runner::new()?;
    /// let (event_loop, order) = (runner.event_loop(), Rc::new(RefCell::new(Vec::new())));
    /// for n in [1, 2] {
    ///     let order = order.clone();
    ///     event_loop.call_soon(move || order.borrow_mut().push(n))?;
    /// }
    /// event_loop.call_soon({
    ///     let event_loop = event_loop.clone();
    ///     move || event_loop.stop()
    /// })?;
    /// runner.run_forever();
    /// assert_eq!(*order.borrow(), [1, 2]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn call_soon(&self, callback: impl FnOnce() + 'static) -> Result<CallHandle, LoopError> {
        self.register(None, callback)
    }

    /// Has a callback called in the next round of the loop, in a copy of this context instead of one of the present context.
    ///
    /// # Errors
    ///
    /// As [`call_soon`](Self::call_soon).
    #[track_caller]
    pub fn call_soon_in(
        &self,
        context: &Context,
        callback: impl FnOnce() + 'static,
    ) -> Result<CallHandle, LoopError> {
        let context = context.clone();
        self.register(None, move || context.run(callback))
    }

    /// Has a callback called after `delay`, by the loop's clock. Order is by deadline, and of those with the same one by registration. (Those that are
    /// over when they are registered, or were registered before the loop runs and are over by then, come in the order of registration.)
    ///
    /// # Errors
    ///
    /// As [`call_soon`](Self::call_soon).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut runner = asyncio_runtime::Runner::new()?;
    /// let event_loop = runner.event_loop();
    /// let never = event_loop.call_later(Duration::from_millis(1), || unreachable!("it was cancelled"))?;
    /// event_loop.call_later(Duration::from_millis(2), {
    ///     let event_loop = event_loop.clone();
    ///     move || event_loop.stop()
    /// })?;
    /// never.cancel();
    /// runner.run_forever();
    /// assert!(never.is_cancelled());
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn call_later(
        &self,
        delay: Duration,
        callback: impl FnOnce() + 'static,
    ) -> Result<CallHandle, LoopError> {
        // One that is past all time is never due.
        let Some(when) = self.time().checked_add(delay) else { return self.call_never(callback) };
        self.register(Some(when), callback)
    }

    /// Has a callback called at a point of [time](Self::time), never before.
    ///
    /// # Errors
    ///
    /// As [`call_soon`](Self::call_soon).
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_runtime::EventLoop;
    /// use std::time::Duration;
    ///
    /// asyncio_runtime::run(async {
    ///     let event_loop = EventLoop::current().unwrap();
    ///     let when = event_loop.time() + Duration::from_millis(1);
    ///     let call = event_loop.call_at(when, || {}).unwrap();
    ///     assert_eq!(call.when(), Some(when));
    /// });
    /// ```
    #[track_caller]
    pub fn call_at(&self, when: Instant, callback: impl FnOnce() + 'static) -> Result<CallHandle, LoopError> {
        self.register(Some(when), callback)
    }

    #[track_caller]
    fn register(
        &self,
        when: Option<Instant>,
        callback: impl FnOnce() + 'static,
    ) -> Result<CallHandle, LoopError> {
        let call = Call::new(when);
        // A timer is set at once, if that can be: one of two that are both over when the loop comes to them is then the earlier one.
        let is_eager = when.is_some() && Self::current().is_ok_and(|current| current.is_same(self));
        let run = call.clone().run(is_eager, callback);
        match Builder::new().eager(is_eager).spawn_local_with(self.spawner(), run) {
            Ok(task) => Ok(CallHandle::new(call, Arc::new(task))),
            Err(error) => Err(self.refused(error)),
        }
    }

    #[track_caller]
    fn call_never(&self, callback: impl FnOnce() + 'static) -> Result<CallHandle, LoopError> {
        let call = Call::new(None);
        let spawned = spawn_local_with(self.spawner(), async move {
            let _callback = callback;
            std::future::pending().await
        });
        match spawned {
            Ok(task) => Ok(CallHandle::new(call, Arc::new(task))),
            Err(error) => Err(self.refused(error)),
        }
    }

    /// Says why a callback was not registered. A wrong thread is reported, too, where the loop is in debug mode: the error of a callback is easily
    /// passed over.
    #[track_caller]
    pub(crate) fn refused(&self, error: SpawnLocalError) -> LoopError {
        let error = LoopError::from(error);
        if error == LoopError::WrongThread && self.is_debugged() {
            // This thread may be nobody's.
            let _reports = self.runtime().listen();
            report_mistake("runtime", format_args!("{error}: at {}", Location::caller()));
        }
        error
    }

    /// Has a callback called in the next round of the loop, from any thread; a loop that waits is woken. asyncio's `call_soon_threadsafe`.
    ///
    /// # Errors
    ///
    /// Fails with [`LoopClosed`] where the loop is closed; the callback is dropped here.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_runtime::EventLoop;
    /// use std::sync::mpsc::channel;
    ///
    /// asyncio_runtime::run(async {
    ///     let event_loop = EventLoop::current().unwrap();
    ///     let (sender, receiver) = channel();
    ///     std::thread::spawn(move || event_loop.call_soon_threadsafe(move || sender.send(7).unwrap()));
    ///     while receiver.try_recv() != Ok(7) {
    ///         asyncio_tasks::yield_now().await;
    ///     }
    /// });
    /// ```
    #[track_caller]
    pub fn call_soon_threadsafe(
        &self,
        callback: impl FnOnce() + Send + 'static,
    ) -> Result<CallHandle, LoopClosed> {
        let call = Call::new(None);
        let task = spawn_with(self.spawner(), call.clone().run(false, callback))?;
        Ok(CallHandle::new(call, Arc::new(task)))
    }

    /// Ends [`run_forever`](crate::Runner::run_forever), when the round is over that is under way; from any thread. If it does not run, the next one ends
    /// after its first round.
    pub fn stop(&self) {
        self.runtime().stop();
    }

    /// Sets what is done with what goes wrong where nobody can be told of it, on all workers of the runtime. asyncio's `set_exception_handler`; the
    /// builder's [`on_unhandled`](crate::Builder::on_unhandled) sets it from the beginning.
    ///
    /// A handler that panics is replaced by stderr for that once.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::mpsc::channel;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut runner = asyncio_runtime::Runner::new()?;
    /// let (event_loop, (sender, receiver)) = (runner.event_loop(), channel());
    /// event_loop.set_exception_handler(move |what| sender.send((what.is_panic(), what.to_string())).unwrap());
    /// event_loop.call_soon(|| panic!("a bug"))?;
    /// runner.turn(Some(std::time::Duration::ZERO))?;
    /// let (is_panic, what) = receiver.recv().unwrap();
    /// assert!(is_panic && what.contains("a bug"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_exception_handler(
        &self,
        handler: impl Fn(&crate::unhandled::Unhandled) + Send + Sync + 'static,
    ) {
        self.runtime().set_handler(Arc::new(handler));
    }
}
