//! [`gather`], [`gather_all`], [`first_ok`] and [`as_completed`]: many futures that are awaited together.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use asyncio_base::panic::Payload;
use futures_core::Stream;

use crate::branch::{All, AllOk, AnyBranch, Branch, Fate, FirstOk, Policy, assert_not_continued};
use crate::children::{Children, Many};
use crate::scope::{self, Scope};

/// What many futures have come to.
struct Gathered<T> {
    /// In the order of the arguments; `None` for one that was cancelled.
    values: Vec<Option<T>>,
    /// Whose value made the others superfluous.
    decided: Option<usize>,
}

/// Awaits all, or until one makes the others superfluous; then those are dropped, and their clean-up ends. A panic does so too, and goes on
/// afterwards.
async fn gather_by<F, P>(futures: impl IntoIterator<Item = F>) -> Gathered<F::Output>
where
    F: Future,
    P: Policy<F::Output>,
{
    let mut children = Children::new(futures.into_iter().map(Branch::<F, P>::new));
    let mut values: Vec<_> = (0..children.left()).map(|_| None).collect();
    let mut decided = None;
    let mut fate = Fate::default();
    let body = poll_fn(|cx| {
        loop {
            let was_decided = fate.is_decided;
            let poll = children.poll(cx, |index, mut branch| {
                fate.look_at(branch.as_mut());
                if branch.is_decisive() && !fate.is_decided {
                    fate.is_decided = true;
                    decided = Some(index);
                }
                values[index] = branch.take_value();
                was_decided || !fate.is_decided
            });
            if fate.is_decided && !was_decided && poll.is_pending() {
                children.cancel();
                continue;
            }
            if !fate.is_decided && poll.is_pending() && scope::is_cancelled() && children.is_any_holding() {
                // The others are dropped, each for itself: then there is nothing to give any more.
                if children.cancel_those_that_wait() {
                    fate.is_abandoned = true;
                    continue;
                }
            }
            if fate.is_abandoned && !(poll.is_ready() && fate.panic.is_some()) {
                assert_not_continued();
                return Poll::Pending;
            }
            return poll;
        }
    });
    // Nothing cancels it but the scopes around, and then it does not come back.
    Scope::new(body, Many).await.into_value();
    if let Some(panic) = fate.panic {
        resume_unwind(panic);
    }
    Gathered { values, decided }
}

/// Awaits many futures that give `Result`s of one error type: all values in the order of the arguments, or the first error.
///
/// asyncio's `gather`, but that on an error the others do not go on unsupervised: they are dropped, and their clean-up ends before this returns. A
/// panic of one does the same, and then goes on. Each future is polled only when it was woken.
///
/// # Errors
///
/// Gives the error that came first.
///
/// # Cancel safety
///
/// Dropping it drops them all.
///
/// # Examples
///
/// ```
/// use asyncio_tasks::gather;
///
/// asyncio_executor::block_on(async {
///     let squares = gather((0..3).map(|n| async move { Ok::<u32, String>(n * n) })).await;
///     assert_eq!(squares, Ok(vec![0, 1, 4]));
///     let odd = gather((0..3).map(|n| async move { if n % 2 == 0 { Ok(n) } else { Err(format!("{n} is odd")) } })).await;
///     assert_eq!(odd, Err(String::from("1 is odd")));
/// });
/// ```
pub async fn gather<F, T, E>(futures: impl IntoIterator<Item = F>) -> Result<Vec<T>, E>
where
    F: Future<Output = Result<T, E>>,
{
    let mut gathered = gather_by::<F, AllOk>(futures).await;
    let error = gathered.decided.and_then(|index| gathered.values[index].take()?.err());
    match error {
        Some(error) => Err(error),
        None => Ok(gathered.values.into_iter().filter_map(|value| value?.ok()).collect()),
    }
}

/// Awaits many futures, and gives all outputs in the order of the arguments, errors among them: asyncio's `gather` with `return_exceptions`.
///
/// # Cancel safety
///
/// Dropping it drops them all.
///
/// # Examples
///
/// ```
/// asyncio_executor::block_on(async {
///     let outputs = asyncio_tasks::gather_all((0..3).map(|n| async move { 10 * n })).await;
///     assert_eq!(outputs, [0, 10, 20]);
/// });
/// ```
pub async fn gather_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    gather_by::<F, All>(futures).await.values.into_iter().flatten().collect()
}

/// Awaits many futures until one gives a value: that one, or all errors in the order of the arguments.
///
/// The others are dropped, and their clean-up ends before this returns. Of none at all there is no first: the error is an empty list.
///
/// # Errors
///
/// Gives all errors, if none gave a value.
///
/// # Cancel safety
///
/// Dropping it drops them all.
///
/// # Examples
///
/// ```
/// asyncio_executor::block_on(async {
///     let first = asyncio_tasks::first_ok((0..3).map(|n| async move { if n == 2 { Ok("two") } else { Err(n) } }));
///     assert_eq!(first.await, Ok("two"));
///     let none = asyncio_tasks::first_ok((0..3).map(|n| async move { Err::<(), _>(n) }));
///     assert_eq!(none.await, Err(vec![0, 1, 2]));
/// });
/// ```
pub async fn first_ok<F, T, E>(futures: impl IntoIterator<Item = F>) -> Result<T, Vec<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut gathered = gather_by::<F, FirstOk>(futures).await;
    let value = gathered.decided.and_then(|index| gathered.values[index].take()?.ok());
    match value {
        Some(value) => Ok(value),
        None => Err(gathered.values.into_iter().filter_map(|value| value?.err()).collect()),
    }
}

/// Awaits many futures, and gives each output as it comes: a stream in the order of completion. asyncio's `as_completed`.
///
/// Each future is a scope of its own: its output comes when its clean-up has ended. One that panics ends the stream with that.
///
/// # Cancel safety
///
/// Dropping the stream drops those that have not ended; their clean-up moves to the current scope. Nothing is lost by dropping a wait for the next
/// one.
///
/// # Examples
///
/// ```
/// use futures::StreamExt;
///
/// asyncio_executor::block_on(async {
///     let mut outputs = asyncio_tasks::as_completed((1..4).rev().map(|n| async move {
///         for _ in 0..n {
///             asyncio_tasks::yield_now().await;
///         }
///         n
///     }));
///     let mut order = Vec::new();
///     while let Some(n) = outputs.next().await {
///         order.push(n);
///     }
///     assert_eq!(order, [1, 2, 3]);
/// });
/// ```
pub fn as_completed<F: Future>(futures: impl IntoIterator<Item = F>) -> AsCompleted<F> {
    AsCompleted { children: Children::new(futures.into_iter().map(Branch::new)), done: VecDeque::new() }
}

/// Made by [`as_completed`].
#[must_use = "a stream does nothing unless it is polled"]
pub struct AsCompleted<F: Future> {
    children: Children<Branch<F, All>>,
    /// Those that have ended and were not given yet.
    done: VecDeque<Result<F::Output, Payload>>,
}

// The children are in boxes of their own, and the outputs are not pinned.
impl<F: Future> Unpin for AsCompleted<F> {}

impl<F: Future> Stream for AsCompleted<F> {
    type Item = F::Output;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let this = &mut *self;
        if this.done.is_empty() && this.children.left() > 0 {
            let poll = this.children.poll(cx, |_, mut branch| {
                let panic = branch.as_mut().take_panic().map(Err);
                this.done.extend(panic.or_else(|| branch.take_value().map(Ok)));
                true
            });
            if this.done.is_empty() {
                ready!(poll);
            }
        }
        Poll::Ready(match this.done.pop_front() {
            Some(Ok(output)) => Some(output),
            Some(Err(panic)) => resume_unwind(panic),
            None => None,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.children.left() + self.done.len();
        (left, Some(left))
    }
}

impl<F: Future> fmt::Debug for AsCompleted<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("left", &self.children.left()).finish_non_exhaustive()
    }
}
