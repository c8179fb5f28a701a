//! Closers that are not `Send`: each is a job of the loop of its thread, and the scope waits for a token of it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use asyncio_base::report;
use asyncio_base::shim::{Arc, Ordering};
use asyncio_executor::TaskOptions;

use super::Cleanup;
use crate::scope::{self, Registration, Scope, Signal};

/// What a job and its token share.
#[derive(Default)]
struct Link {
    /// The job may start.
    start: Signal,
    /// The job is not waited for any more: it ends where it stands.
    abandoned: Signal,
    /// The job has ended, in whichever way.
    ended: Signal,
}

/// The token of a local closer: the part of it that a scope holds.
struct Token(Arc<Link>);

impl Drop for Token {
    fn drop(&mut self) {
        if !self.0.ended.is_set() {
            self.0.abandoned.set();
            self.0.start.set();
        }
    }
}

struct Ended(Arc<Link>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.ended.set();
    }
}

/// Has a local closer started now, beside the body of the current scope.
pub(crate) fn start_local(registration: Registration, closer: impl Future<Output = ()> + 'static) {
    if let Some(token) = spawn(registration, closer) {
        scope::start(registration.closer(wait_for(token)));
    }
}

/// Has a local closer started when the body of the current scope has ended.
pub(crate) fn defer_local(registration: Registration, closer: impl Future<Output = ()> + 'static) {
    if let Some(token) = spawn(registration, closer) {
        scope::defer(registration.closer(wait_for(token)));
    }
}

/// Lets the job run, and waits for its end.
async fn wait_for(token: Token) {
    token.0.start.set();
    poll_fn(|cx| if token.0.ended.poll(cx.waker()) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// Makes the job, which waits for its token to let it start.
fn spawn(registration: Registration, closer: impl Future<Output = ()> + 'static) -> Option<Token> {
    let Some(cleanup) = Cleanup::open() else {
        if Cleanup::current().is_some_and(|cleanup| cleanup.shared.is_abandoned.load(Ordering::Acquire)) {
            return None;
        }
        let place = registration.place();
        report::report(
            "tasks",
            format_args!(
                "the local clean-up that was registered at {place} is dropped unrun: no loop runs on this thread"
            ),
        );
        return None;
    };
    let link = Arc::new(Link::default());
    let (token, ended) = (Token(link.clone()), Ended(link.clone()));
    let body = async move {
        let _ended = ended;
        poll_fn(|cx| if link.start.poll(cx.waker()) { Poll::Ready(()) } else { Poll::Pending }).await;
        let mut closer = pin!(closer);
        poll_fn(|cx| {
            if link.abandoned.poll(cx.waker()) {
                return Poll::Ready(());
            }
            closer.as_mut().poll(cx)
        })
        .await;
    };
    let job = Scope::new(body, cleanup.job());
    let job = async move {
        // A panic of the closer is reported by the executor's handle, which nobody awaits: so by the token's scope it is seen as an end.
        if let scope::Outcome::Panic(panic) = job.await {
            let (place, message) = (registration.place(), asyncio_base::panic::message(&*panic));
            report::report(
                "tasks",
                format_args!("the local clean-up that was registered at {place} panicked: {message}"),
            );
            asyncio_base::panic::discard(panic);
        }
    };
    // Where it fails the token finds that the job has ended.
    if let Ok(handle) = asyncio_executor::spawn_local(TaskOptions::here().name("clean-up"), job) {
        handle.detach();
    }
    Some(token)
}
