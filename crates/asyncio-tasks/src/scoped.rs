//! [`scope`](fn@scope) and [`scope_local`]: children that borrow.
//!
//! The children are owned and polled by the scope's own future: concurrent, not parallel. So they may borrow whatever outlives that future, and
//! forgetting it leaves nothing behind that could dangle.
//!
//! - O1: the scope ends when its body and all its children have, each with its clean-up. Its value is that of the body.
//! - O2: a panic of the body or of a child cancels the others, and goes on when all have ended.
//! - O3: a child that is spawned while the body is polled begins in the same poll of the scope; any other one in the next.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use asyncio_base::panic::Payload;
use asyncio_base::shim::{Arc, Mutex};
use asyncio_base::wait_point;

use crate::branch::{All, AnyBranch, Branch, Fate, assert_not_continued};
use crate::children::{self, Children, Many, Output, Owned, Woken};
use crate::scope::{self, Scope as Inner};

/// Runs a body that may start children which borrow, and waits for all of them: Trio's nursery.
///
/// A child may borrow whatever outlives the scope, and is `Send`: so a scope may be used inside of a task that moves. Its future is polled
/// inside of this one: children take turns, and none runs beside another one. A panic of one cancels the others, and goes on when all have ended.
///
/// # Panics
///
/// A panic of the body or of a child goes on here.
///
/// # Cancel safety
///
/// Dropping it drops body and children; their clean-up moves to the scope around.
///
/// # Examples
///
/// ```
/// let words = vec![String::from("bor"), String::from("rowed")];
/// let length = asyncio_executor::block_on(asyncio_tasks::scope(async |s| {
///     let [first, second] = [0, 1].map(|n| s.spawn({
///         let words = &words;
///         async move { words[n].len() }
///     }));
///     first.await + second.await
/// }));
/// assert_eq!(length, 8);
/// ```
pub async fn scope<'env, B, F>(body: B) -> F::Output
where
    B: FnOnce(Scope<'env>) -> F,
    F: Future,
{
    run(Arc::new(Shared::default()), |shared| body(Scope { shared })).await
}

/// As [`scope`](fn@scope), with children that need not be `Send`.
///
/// # Panics
///
/// A panic of the body or of a child goes on here.
///
/// # Cancel safety
///
/// Dropping it drops body and children; their clean-up moves to the scope around.
///
/// # Examples
///
/// ```
/// let count = std::cell::Cell::new(0);
/// asyncio_executor::block_on(asyncio_tasks::scope_local(async |s| {
///     for _ in 0..3 {
///         s.spawn(async { count.set(count.get() + 1) }).detach();
///     }
/// }));
/// assert_eq!(count.get(), 3);
/// ```
pub async fn scope_local<'env, B, F>(body: B) -> F::Output
where
    B: FnOnce(LocalScope<'env>) -> F,
    F: Future,
{
    #[expect(clippy::arc_with_non_send_sync, reason = "one kind of scope, with children of either sort")]
    let shared = Arc::new(Shared::default());
    run(shared, |shared| body(LocalScope { shared })).await
}

type SendChild<'env> = dyn AnyBranch + Send + 'env;
type LocalChild<'env> = dyn AnyBranch + 'env;

/// Starts children in a [`scope`](fn@scope). Cheap to clone.
#[derive(Clone)]
pub struct Scope<'env> {
    shared: Arc<Shared<SendChild<'env>>>,
}

/// Starts children in a [`scope_local`]. Cheap to clone.
#[derive(Clone)]
pub struct LocalScope<'env> {
    shared: Arc<Shared<LocalChild<'env>>>,
}

impl<'env> Scope<'env> {
    /// Starts a child. Dropping its handle detaches it: the scope waits for it anyhow.
    ///
    /// # Panics
    ///
    /// Panics if the scope has ended.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> Child<F::Output>
    where
        F: Future + Send + 'env,
        F::Output: Send + 'env,
    {
        let (child, output) = children::send(future, &self.shared.woken);
        self.shared.push(child);
        Child { output }
    }
}

impl<'env> LocalScope<'env> {
    /// Starts a child. Dropping its handle detaches it: the scope waits for it anyhow.
    ///
    /// # Panics
    ///
    /// Panics if the scope has ended.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> Child<F::Output>
    where
        F: Future + 'env,
        F::Output: 'env,
    {
        let (child, output) = children::local(future, &self.shared.woken);
        self.shared.push(child);
        Child { output }
    }
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}

impl fmt::Debug for LocalScope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalScope").finish_non_exhaustive()
    }
}

/// The handle to a child of a [`scope`](fn@scope): a future of its output.
///
/// Dropping it detaches: the child goes on, and the scope waits for it. A panic of the child is the scope's: this one does not end then.
///
/// # Cancel safety
///
/// Nothing is lost by dropping a borrow of it: the output waits for the next await.
///
/// # Panics
///
/// Panics if it is awaited where the child was cancelled with its scope and this await was not: under a [shield](crate::shield), or when the scope has
/// ended; and if it is awaited again after it gave its output.
pub struct Child<T> {
    output: Output<T>,
}

impl<T> Child<T> {
    /// Lets the child go on by itself, as dropping the handle does.
    pub fn detach(self) {}
}

impl<T> Future for Child<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match self.output.poll_take(cx) {
            Poll::Ready(Ok(output)) => Poll::Ready(output),
            Poll::Ready(Err(_)) if scope::is_cancelled() => Poll::Pending,
            Poll::Ready(Err(_)) => {
                panic!(
                    "a child was awaited that was cancelled with its scope, under a shield or afterwards; or its output was taken"
                )
            }
            Poll::Pending => {
                wait_point::here("child");
                Poll::Pending
            }
        }
    }
}

impl<T> fmt::Debug for Child<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").finish_non_exhaustive()
    }
}

/// What a scope shares with its handles.
struct Shared<C: ?Sized> {
    state: Mutex<State<C>>,
    /// Who of the children is to be polled.
    woken: Arc<Woken>,
}

struct State<C: ?Sized> {
    /// Children that were spawned, and are to be taken in.
    new: Vec<Owned<C>>,
    is_over: bool,
    /// The scope is being polled: it looks before it waits.
    is_polled: bool,
    /// Whoever polls the scope, if it waits.
    waits: Option<Waker>,
}

impl<C: ?Sized> Default for Shared<C> {
    fn default() -> Self {
        let state = State { new: Vec::new(), is_over: false, is_polled: false, waits: None };
        Self { state: Mutex::new(state), woken: Arc::default() }
    }
}

impl<C: ?Sized> Shared<C> {
    #[track_caller]
    fn push(&self, child: Owned<C>) {
        let waits = {
            let mut state = self.state.lock();
            if state.is_over {
                drop(state);
                panic!("a child was spawned into a scope that has ended");
            }
            state.new.push(child);
            if state.is_polled { None } else { state.waits.take() }
        };
        if let Some(waits) = waits {
            waits.wake();
        }
    }

    fn take_new(&self) -> Vec<Owned<C>> {
        let mut state = self.state.lock();
        state.is_polled = true;
        std::mem::take(&mut state.new)
    }

    /// The scope is about to wait. Says whether there are new children; those that come later wake it.
    fn wait(&self, waker: &Waker) -> bool {
        let waker = waker.clone();
        let mut state = self.state.lock();
        state.is_polled = false;
        let former = state.waits.replace(waker);
        let is_any = !state.new.is_empty();
        drop(state);
        drop(former);
        is_any
    }

    /// Ends the scope, unless there are new children.
    fn end(&self) -> bool {
        let mut state = self.state.lock();
        state.is_over = state.new.is_empty();
        state.is_over
    }
}

/// Ends the scope, however it ends: what is spawned later is refused, and what was spawned and not taken in is dropped.
struct AtDrop<'a, C: ?Sized>(&'a Shared<C>);

impl<C: ?Sized> Drop for AtDrop<'_, C> {
    fn drop(&mut self) {
        let (new, waits) = {
            let mut state = self.0.state.lock();
            state.is_over = true;
            (std::mem::take(&mut state.new), state.waits.take())
        };
        drop((new, waits));
    }
}

async fn run<C, B, F>(shared: Arc<Shared<C>>, body: B) -> F::Output
where
    C: AnyBranch + ?Sized,
    B: FnOnce(Arc<Shared<C>>) -> F,
    F: Future,
{
    let (value, panic) = Inner::new(run_body(&shared, body), Many).await.into_value().unwrap_or((None, None));
    if let Some(panic) = panic {
        resume_unwind(panic);
    }
    match value {
        Some(value) => value,
        // Nothing cancels it but the scopes around, and then it does not come back.
        None => unreachable!("a scope that was not cancelled has a value"),
    }
}

/// Polls the body and all children, until all have ended (O1).
async fn run_body<C, B, F>(shared: &Arc<Shared<C>>, body: B) -> (Option<F::Output>, Option<Payload>)
where
    C: AnyBranch + ?Sized,
    B: FnOnce(Arc<Shared<C>>) -> F,
    F: Future,
{
    let _at_drop = AtDrop(shared);
    // It may spawn before it returns its future, and panic then.
    let mut body = pin!(Branch::<F, All>::new(body(shared.clone())));
    let mut all: Children<C> = Children::of(shared.woken.clone());
    let mut fate = Fate::default();
    poll_fn(|cx| {
        loop {
            let was_decided = fate.is_decided;
            let has_body_ended = body.as_mut().poll_end(cx);
            if has_body_ended {
                fate.look_at(body.as_mut());
            }
            let mut new = shared.take_new();
            if fate.is_decided {
                // O2: they came after the others were cancelled, or are about to be.
                new.iter_mut().for_each(|child| child.branch_mut().cancel());
            }
            all.insert_all(new);
            let children = all.poll(cx, |_, child| {
                fate.look_at(child);
                was_decided || !fate.is_decided
            });
            let have_all_ended = has_body_ended && children.is_ready();
            if fate.is_decided && !was_decided && !have_all_ended {
                // O2.
                body.as_mut().cancel();
                all.cancel();
                continue;
            }
            let is_held = || body.is_holding() || all.is_any_holding();
            if !fate.is_decided && !have_all_ended && scope::is_cancelled() && is_held() {
                // The others are dropped, each for itself.
                let is_idle = body.is_idle();
                if is_idle {
                    body.as_mut().cancel();
                }
                if all.cancel_those_that_wait() || is_idle {
                    fate.is_abandoned = true;
                    continue;
                }
            }
            if have_all_ended && (fate.is_decided || !fate.is_abandoned) && shared.end() {
                return Poll::Ready(());
            }
            if fate.is_abandoned {
                assert_not_continued();
            }
            if shared.wait(cx.waker()) {
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
    })
    .await;
    (body.take_value(), fate.panic)
}
