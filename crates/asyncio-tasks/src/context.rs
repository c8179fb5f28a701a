//! [`Context`] and [`TaskLocal`]: values that go along with a task, into its children, its callbacks and the threads that work for it.
//!
//! asyncio's `contextvars` (PEP 567), with the same laws:
//!
//! - V1: a task begins with a copy of the context in which it was spawned; what it changes later nobody else sees.
//! - V2: a context is a persistent map: a copy costs one count, and a change copies the map if it is shared.
//! - V3: the context of a task hangs on its one rare pointer, and is looked up there: polls do not touch it, and a task without one pays nothing.
//!   Outside of tasks each thread has one; a runner gives that of main its own, over all its runs.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{self, Poll};

use asyncio_base::shim::Arc;
use asyncio_executor::{Header, TaskId, TaskOptions, current_header};
use pin_project_lite::pin_project;

use crate::scope::Attached;

type Value = Arc<dyn Any + Send + Sync>;

/// The values of all task locals, as they were in one place at one time. Cheap to clone.
///
/// # Examples
///
/// ```
/// use asyncio_tasks::Context;
///
/// asyncio_tasks::task_local! { static REQUEST: u64; }
///
/// REQUEST.set(7);
/// let context = Context::capture();
/// REQUEST.set(8);
/// assert_eq!(context.run(|| REQUEST.get()), 7);
/// assert_eq!(REQUEST.get(), 8);
/// ```
#[derive(Clone, Default)]
pub struct Context {
    /// By the addresses of the task locals. `None` if there is nothing.
    values: Option<Arc<BTreeMap<usize, Value>>>,
}

thread_local! {
    /// The contexts that are entered on this thread by [`Context::run`], with the task in which they were, and below them that of the thread.
    static ENTERED: RefCell<Vec<(Option<TaskId>, Context)>> = const { RefCell::new(Vec::new()) };
}

impl Context {
    /// Takes the present one: that of the task that is being polled, or of this thread.
    pub fn capture() -> Self {
        if is_any_in_use() { with_current(|context| context.clone()) } else { Self::default() }
    }

    /// Runs `f` in a copy of this context: what it changes is gone afterwards.
    ///
    /// # Panics
    ///
    /// A panic of `f` goes on.
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        let _entered = enter(self.clone());
        f()
    }

    /// Says whether no task local has a value in it.
    pub fn is_empty(&self) -> bool {
        self.values.as_ref().is_none_or(|values| values.is_empty())
    }

    fn value(&self, key: usize) -> Option<Value> {
        self.values.as_ref()?.get(&key).cloned()
    }

    /// Puts a value in the place of the former one.
    fn replace(&mut self, key: usize, value: Option<Value>) -> Option<Value> {
        match value {
            Some(value) => Arc::make_mut(self.values.get_or_insert_default()).insert(key, value),
            None => Arc::make_mut(self.values.as_mut()?).remove(&key),
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values.as_ref().map_or(0, |values| values.len());
        f.debug_struct("Context").field("values", &values).finish()
    }
}

fn current_id() -> Option<TaskId> {
    current_header(Header::id)
}

/// Runs `f` with the present context. No code of a user's runs in it.
fn with_current<R>(f: impl FnOnce(&mut Context) -> R) -> R {
    let id = current_id();
    let mut f = Some(f);
    let of_thread = ENTERED.try_with(|entered| {
        let mut entered = entered.borrow_mut();
        if id.is_none() && entered.is_empty() {
            entered.push((None, Context::default()));
        }
        // What was entered outside of this task, or in one that polls this one, is not its own.
        match entered.last_mut() {
            Some((entered_in, context)) if *entered_in == id => f.take().map(|f| f(context)),
            _ => None,
        }
    });
    if let Ok(Some(result)) = of_thread {
        return result;
    }
    let in_task = current_header(|header| {
        let f = f.take()?;
        Some(f(&mut Attached::attach(header).context.lock()))
    });
    match in_task.flatten() {
        Some(result) => result,
        // At the end of the thread.
        None => f.take().expect("it was not called")(&mut Context::default()),
    }
}

/// Makes a context the one of this thread, until the guard is dropped.
fn enter(context: Context) -> Entered {
    let id = current_id();
    let depth = ENTERED.try_with(|entered| {
        let mut entered = entered.borrow_mut();
        entered.push((id, context));
        entered.len()
    });
    Entered { depth: depth.unwrap_or(0), _not_send: PhantomData }
}

struct Entered {
    depth: usize,
    _not_send: PhantomData<*mut ()>,
}

impl Entered {
    /// Takes it out, with those that were entered in it and not left.
    fn leave(&self) -> Option<Context> {
        let left = ENTERED.try_with(|entered| {
            let mut entered = entered.borrow_mut();
            let place = self.depth.checked_sub(1).filter(|place| *place < entered.len())?;
            Some(entered.split_off(place))
        });
        // Outside of the borrow: values of a user's are dropped.
        left.ok().flatten()?.into_iter().next().map(|(_, context)| context)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        drop(self.leave());
    }
}

/// A context that outlives the times in which it is entered: that of a runner, over all its runs.
///
/// For those who build a runtime from the layers.
#[derive(Debug, Default)]
pub struct ContextKeeper {
    context: RefCell<Context>,
}

impl ContextKeeper {
    /// Makes one that begins as a copy of the present context.
    pub fn new() -> Self {
        Self { context: RefCell::new(Context::capture()) }
    }

    /// Makes this the context of this thread, outside of tasks, until the guard is dropped; then it keeps what was changed.
    #[must_use = "it is left when the guard is dropped"]
    pub fn enter(&self) -> ContextGuard<'_> {
        ContextGuard { keeper: self, entered: enter(self.context.take()) }
    }
}

/// Leaves a [`ContextKeeper`] when dropped.
pub struct ContextGuard<'a> {
    keeper: &'a ContextKeeper,
    entered: Entered,
}

impl Drop for ContextGuard<'_> {
    fn drop(&mut self) {
        if let Some(context) = self.entered.leave() {
            let former = self.keeper.context.replace(context);
            drop(former);
        }
        self.entered.depth = 0;
    }
}

impl fmt::Debug for ContextGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextGuard").finish_non_exhaustive()
    }
}

/// Gives a task that is to be spawned its context (V1).
#[inline]
pub(crate) fn inherit(options: TaskOptions) -> TaskOptions {
    if is_any_in_use() { inherit_present(options) } else { options }
}

#[cold]
fn inherit_present(options: TaskOptions) -> TaskOptions {
    with_context(options, Context::capture())
}

pub(crate) fn with_context(options: TaskOptions, context: Context) -> TaskOptions {
    if context.is_empty() { options } else { options.attach(Attached::in_context(context)) }
}

/// Not the shim's: a static. Whoever has set a task local has seen itself do so, and passes that on with the task.
static IN_USE: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// Says whether any task local of the process has had a value.
#[inline]
fn is_any_in_use() -> bool {
    IN_USE.load(std::sync::atomic::Ordering::Relaxed)
}

/// A value that goes along with a task. Declared by [`task_local!`](crate::task_local); asyncio's `ContextVar`.
pub struct TaskLocal<T: 'static> {
    /// Its address is the key, so it must have one.
    _address: u8,
    value: PhantomData<fn() -> T>,
}

impl<T: 'static> TaskLocal<T> {
    fn key(&'static self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    fn replace(&'static self, value: Option<Value>) -> Option<Value> {
        IN_USE.store(true, std::sync::atomic::Ordering::Relaxed);
        with_current(|context| context.replace(self.key(), value))
    }
}

impl<T: Clone + Send + Sync + 'static> TaskLocal<T> {
    #[doc(hidden)]
    pub const fn new() -> Self {
        Self { _address: 0, value: PhantomData }
    }

    /// Returns a clone of the value.
    ///
    /// # Panics
    ///
    /// Panics where it has none; see [`try_get`](Self::try_get).
    #[track_caller]
    pub fn get(&'static self) -> T {
        self.try_get().expect("a task local was read where it has no value: set it, or use `try_get`")
    }

    /// Returns a clone of the value, if it has one here.
    pub fn try_get(&'static self) -> Option<T> {
        if !is_any_in_use() {
            return None;
        }
        let value = with_current(|context| context.value(self.key()))?;
        value.downcast_ref::<T>().cloned()
    }

    /// Sets the value, from here on: in this task and those that it will spawn, or on this thread outside of tasks.
    pub fn set(&'static self, value: T) {
        let former = self.replace(Some(Arc::new(value)));
        drop(former);
    }

    /// Runs a future in which it has this value. What is spawned in it inherits that.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future, which has the value until it is gone.
    ///
    /// # Examples
    ///
    /// ```
    /// asyncio_tasks::task_local! { static REQUEST: u64; }
    ///
    /// let seen = asyncio_executor::block_on(REQUEST.scope(7, async { REQUEST.get() }));
    /// assert_eq!(seen, 7);
    /// assert_eq!(REQUEST.try_get(), None);
    /// ```
    pub fn scope<F: Future>(&'static self, value: T, future: F) -> WithLocal<T, F> {
        WithLocal { local: self, value: Some(Arc::new(value)), future: Some(future) }
    }

    /// The same for what does not wait.
    pub fn scope_sync<R>(&'static self, value: T, f: impl FnOnce() -> R) -> R {
        let mut value: Option<Value> = Some(Arc::new(value));
        let _swapped = Swapped::in_place_of(self, &mut value);
        f()
    }
}

impl<T> fmt::Debug for TaskLocal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskLocal").finish_non_exhaustive()
    }
}

/// The value of a task local and a former one, exchanged while this lives.
struct Swapped<'a, T: 'static> {
    local: &'static TaskLocal<T>,
    other: &'a mut Option<Value>,
}

impl<'a, T: 'static> Swapped<'a, T> {
    fn in_place_of(local: &'static TaskLocal<T>, other: &'a mut Option<Value>) -> Self {
        *other = local.replace(other.take());
        Self { local, other }
    }
}

impl<T: 'static> Drop for Swapped<'_, T> {
    fn drop(&mut self) {
        *self.other = self.local.replace(self.other.take());
    }
}

pin_project! {
    /// Made by [`TaskLocal::scope`].
    #[must_use = "a future does nothing unless it is awaited"]
    pub struct WithLocal<T: 'static, F> {
        local: &'static TaskLocal<T>,
        // Between the polls its own value, during them that of the surroundings.
        value: Option<Value>,
        // `None` once it has ended.
        #[pin]
        future: Option<F>,
    }

    impl<T: 'static, F> PinnedDrop for WithLocal<T, F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                let _swapped = Swapped::in_place_of(*this.local, this.value);
                this.future.set(None);
            }
        }
    }
}

impl<T: Clone + Send + Sync + 'static, F: Future> Future for WithLocal<T, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let _swapped = Swapped::in_place_of(*this.local, this.value);
        let future = this.future.as_mut().as_pin_mut();
        let poll = future.expect("a future is not polled any more when it has ended").poll(cx);
        if poll.is_ready() {
            this.future.set(None);
        }
        poll
    }
}

impl<T: 'static, F> fmt::Debug for WithLocal<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithLocal").finish_non_exhaustive()
    }
}

/// Declares [task locals](TaskLocal): values that go along with a task, and into the tasks that it spawns.
///
/// # Examples
///
/// ```
/// asyncio_tasks::task_local! {
///     /// The number of the request that is being answered.
///     static REQUEST: u64;
///     pub static USER: String;
/// }
///
/// assert_eq!(REQUEST.scope_sync(7, || REQUEST.get()), 7);
/// assert!(USER.try_get().is_none());
/// ```
#[macro_export]
macro_rules! task_local {
    ($($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty);* $(;)?) => {
        $($(#[$attribute])* $visibility static $name: $crate::TaskLocal<$type> = $crate::TaskLocal::new();)*
    };
}
