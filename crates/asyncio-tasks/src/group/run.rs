//! The life of a group: its body, its children, and what comes of them.

use std::future::{Future, poll_fn, ready};
use std::panic::{Location, resume_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use asyncio_base::panic::{discard, message};
use asyncio_base::report::Report;
use asyncio_base::shim::Arc;

use super::failures::Kept;
use super::{GroupBuilder, GroupError, Shared, TaskGroup};
use crate::scope::{self, Kind, Outcome, Registration, Scope};

/// The scope around body and children.
struct OfGroup<E>(Arc<Shared<E>>);

impl<E> Kind for OfGroup<E> {
    fn holds(&self) -> bool {
        self.0.members.must_be_awaited()
    }
}

/// The scope of the body.
struct OfBody<E> {
    group: Arc<Shared<E>>,
    /// Whom the group wakes when it is cancelled.
    waits: Option<Waker>,
}

impl<E> Kind for OfBody<E> {
    const PASSES_DEFERRED: bool = true;

    #[inline]
    fn is_cancelled(&mut self, _cx: &mut Context<'_>) -> bool {
        self.group.members.cancelled.is_set()
    }

    #[inline]
    fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> bool {
        if self.waits.as_ref().is_some_and(|waits| waits.will_wake(cx.waker())) {
            return self.group.members.cancelled.is_set();
        }
        self.waits = Some(cx.waker().clone());
        self.group.members.cancelled.poll(cx.waker())
    }

    /// The group waits for it.
    fn tells_of_cancellation(&self, _is_outer_cancelled: bool) -> bool {
        self.group.members.cancelled.is_set()
    }
}

/// G5.
struct AtDrop<E: Send + 'static> {
    group: Arc<Shared<E>>,
    /// Older than those of the body's guards, which come before it.
    registration: Registration,
}

impl<E: Send + 'static> Drop for AtDrop<E> {
    fn drop(&mut self) {
        // A handle that is kept does not keep the task.
        self.group.members.cancelled.forget();
        self.group.members.cancel();
        if self.group.members.close_if_empty() {
            return;
        }
        let (group, place) = (self.group.clone(), self.registration.place());
        let end = async move {
            poll_fn(|cx| group.members.poll_closed(cx)).await;
            let panic = group.failures.take().panic;
            if let Some(panic) = panic {
                let message = message(&*panic);
                Report::new(
                    "tasks",
                    format_args!("a child of the group at {place}, which was dropped, panicked: {message}"),
                )
                .panicked()
                .send();
                discard(panic);
            }
        };
        scope::start(self.registration.closer(end));
    }
}

/// Runs a body in a group.
pub(super) async fn run<B, F, T, E>(
    builder: GroupBuilder<E>,
    place: &'static Location<'static>,
    body: B,
) -> Result<T, GroupError<E>>
where
    B: FnOnce(TaskGroup<E>) -> F,
    F: Future<Output = Result<T, E>>,
    E: Send + 'static,
{
    let group = Arc::new(Shared::new(builder));
    let all = async {
        let _at_drop = AtDrop { group: group.clone(), registration: Registration::new(place) };
        // It may spawn before it returns its future, and panic then.
        let future = body(TaskGroup { shared: group.clone() });
        run_body(&group, future).await
    };
    let ended = Scope::new(all, OfGroup(group.clone())).await.into_value();
    let Kept { errors, panic } = group.failures.take();
    if let Some(panic) = panic {
        resume_unwind(panic);
    }
    if !errors.is_empty() {
        return Err(GroupError::failed(errors));
    }
    if let Some(Ended { value: Some(value), is_cut: false }) = ended {
        return Ok(value);
    }
    // G4: a scope in one that is cancelled is silent, and whoever goes on with it by reference is woken.
    Scope::new(ready(()), OfGroup(group.clone())).await.into_value();
    Err(GroupError::cancelled(group.reason()))
}

/// How body and children have ended.
struct Ended<T> {
    value: Option<T>,
    /// The scope around was cancelled, and something was cut off by that.
    is_cut: bool,
}

/// Waits for the body and for all children.
async fn run_body<F, T, E>(group: &Arc<Shared<E>>, future: F) -> Ended<T>
where
    F: Future<Output = Result<T, E>>,
    E: 'static,
{
    let mut body = pin!(Scope::new(future, OfBody { group: group.clone(), waits: None }));
    let (mut has_ended, mut value, mut is_outer) = (false, None, false);
    poll_fn(|cx| {
        loop {
            if !has_ended {
                if let Poll::Ready(outcome) = body.as_mut().poll(cx) {
                    has_ended = true;
                    value = body_ended(group, outcome);
                }
            }
            if !is_outer && scope::is_cancelled() {
                // G4. The body has been polled once more.
                is_outer = true;
                group.members.cancel();
                continue;
            }
            return if has_ended { group.members.poll_closed(cx) } else { Poll::Pending };
        }
    })
    .await;
    Ended { value, is_cut: is_outer && group.members.is_any_cut() }
}

/// G2.
fn body_ended<T, E: 'static>(group: &Shared<E>, outcome: Outcome<Result<T, E>>) -> Option<T> {
    match outcome {
        Outcome::Value(Ok(value)) => return Some(value),
        Outcome::Value(Err(error)) => group.failures.add_of_body(error),
        Outcome::Panic(panic) => group.failures.keep(panic),
        Outcome::Cancelled | Outcome::Abandoned => {}
    }
    group.members.cancel();
    None
}
