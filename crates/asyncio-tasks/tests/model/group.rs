//! Runs groups, and children that may borrow.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use asyncio_tasks::{GroupError, OnError, Task, TaskGroup};
use asyncio_timers::sleep;

use crate::run::{At, end_of, in_the_background};
use crate::tree::{Group, Tree};

/// What is counted in a group (M6).
#[derive(Default)]
struct Counts {
    errors: AtomicUsize,
    running: AtomicUsize,
}

/// A child that runs.
struct Running(Arc<Counts>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

type Child = Pin<Box<dyn Future<Output = Result<(), ()>> + Send>>;

impl At {
    fn child(&self, tree: &Arc<Tree>, counts: &Arc<Counts>, limit: Option<usize>) -> Child {
        // It is a task: it hears of what happens around the group when that is polled.
        let (at, scope) = self.inside(|scope| scope.is_apart = true);
        let (step, counts) = (at.step(tree), counts.clone());
        Box::pin(async move {
            let running = counts.running.fetch_add(1, Ordering::Relaxed) + 1;
            let guard = Running(counts.clone());
            if limit.is_some_and(|limit| running > limit) {
                at.witness.fault(format!("M6: {running} children run, of {limit:?}"));
            }
            let out = step.await;
            counts.errors.fetch_add(usize::from(out.is_err()), Ordering::Relaxed);
            drop((guard, scope));
            out
        })
    }

    pub(crate) async fn run_group(&self, tree: &Group) -> Result<(), ()> {
        let (at, scope) = self.inside(|_| {});
        let counts = Arc::new(Counts::default());
        let children: Vec<_> =
            tree.children.iter().map(|child| at.child(child, &counts, tree.limit)).collect();
        let (step, errors) = (at.step(&tree.body), counts.clone());
        let body = async move |group: TaskGroup<()>| {
            if let Some(time) = tree.cancelled_at {
                let group = group.clone();
                in_the_background(async move {
                    sleep(Duration::from_millis(time)).await;
                    group.cancel();
                });
            }
            let mut tasks: Vec<Task<()>> = Vec::new();
            for child in children {
                tasks.push(match (tree.waits_for_room, tree.is_local) {
                    (true, _) => group.spawn_when_free(child).await,
                    (false, true) => group.spawn_local(child),
                    (false, false) => group.spawn(child),
                });
            }
            let out = step.await;
            if tree.awaits && out.is_ok() {
                for task in tasks {
                    let _ = task.await;
                }
            }
            errors.errors.fetch_add(usize::from(out.is_err()), Ordering::Relaxed);
            out
        };
        let mut builder = TaskGroup::builder();
        if let Some(limit) = tree.limit {
            builder = builder.limit(limit);
        }
        if tree.keeps_going {
            builder = builder.on_error(OnError::KeepGoing);
        }
        let out =
            self.scope("group", &scope, builder.run(body), |out| end_of(without_cancel(out), "cancel")).await;
        let (given, expected) =
            (out.as_ref().map_or_else(|error| error.errors().len(), |()| 0), &counts.errors);
        if given != expected.load(Ordering::Relaxed) {
            self.witness.fault(format!("M6: a group gave {given} errors of {expected:?}"));
        }
        *without_cancel(&out).unwrap_or(&Ok(()))
    }

    pub(crate) async fn run_children(
        &self,
        children: &[Arc<Tree>],
        body: &Arc<Tree>,
        awaits: bool,
    ) -> Result<(), ()> {
        let (at, scope) = self.inside(|_| {});
        let children: Vec<_> = children.iter().map(|child| at.step(child)).collect();
        let step = at.step(body);
        let run = asyncio_tasks::scope(async move |scope| {
            let children: Vec<_> = children.into_iter().map(|child| scope.spawn(child)).collect();
            let mut out = step.await;
            if awaits {
                for child in children {
                    out = out.and(child.await);
                }
            }
            out
        });
        self.scope("scope", &scope, run, |out| end_of(Some(out), "")).await
    }
}

/// Nothing, for a group that was cancelled by hand.
fn without_cancel(out: &Result<(), GroupError<()>>) -> Option<&'static Result<(), ()>> {
    match out {
        Ok(()) => Some(&Ok(())),
        Err(error) if error.is_cancelled() => None,
        Err(_) => Some(&Err(())),
    }
}
