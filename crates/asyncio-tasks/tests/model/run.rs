//! Runs a tree, and checks the laws.

use std::collections::BTreeSet;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::time::Duration;

use asyncio_base::report;
use asyncio_executor::{LocalExecutor, SeededRandom, TaskOptions};
use asyncio_tasks::{
    Cleanup, cancel_scope, defer, defer_local, guard, guard_local, join, race, shield, spawn, spawn_local,
    timeout, try_join, yield_now,
};
use asyncio_timers::{Clock, ManualClock, Timers, now, sleep};
use futures::stream::{FuturesUnordered, StreamExt};

use crate::tree::Tree;
use crate::witness::{Path, Scope, Witness};

/// What the panics of trees say.
pub(crate) const PANIC: &str = "a tree panics on purpose";
/// Whatever would wait for ever ends then.
const END: u64 = 200;
/// A tree that has not ended by then is stuck.
const STUCK: u64 = 100_000;

type Step = Pin<Box<dyn Future<Output = Result<(), ()>> + Send>>;

/// Where a step stands.
#[derive(Clone)]
pub(crate) struct At {
    pub(crate) witness: Witness,
    pub(crate) path: Path,
}

/// Says how a node ended, when it is dropped.
struct Ending {
    at: At,
    kind: &'static str,
    has_ended: bool,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if !self.has_ended {
            let end = match self.at.why_dropped() {
                _ if std::thread::panicking() => "panic",
                Some(why) => why,
                None => "drop",
            };
            self.at.witness.saw(self.kind, end);
        }
    }
}

impl At {
    /// Enters a scope.
    pub(crate) fn inside(&self, what: impl FnOnce(&mut Scope)) -> (Self, Scope) {
        let mut scope = Scope {
            id: self.witness.fresh(),
            is_cancelled: Arc::new(AtomicBool::new(false)),
            is_shield: false,
            is_foreign: false,
            is_apart: false,
            deadline: None,
        };
        what(&mut scope);
        let mut path = (*self.path).clone();
        path.push(scope.clone());
        (Self { witness: self.witness.clone(), path: Arc::new(path) }, scope)
    }

    /// Says what the scopes around were ended by.
    fn why_dropped(&self) -> Option<&'static str> {
        for scope in self.path.iter().rev().take_while(|scope| !scope.is_shield) {
            if scope.is_cancelled.load(Ordering::Relaxed) {
                return Some("cancel");
            }
            if scope.deadline.is_some_and(|deadline| deadline <= now()) {
                return Some("timeout");
            }
        }
        None
    }

    /// Says whether a scope around is cancelled, and nothing makes that uncertain.
    fn is_surely_cancelled(&self) -> bool {
        for scope in self.path.iter().rev() {
            if scope.is_shield || scope.is_foreign || scope.is_apart {
                return false;
            }
            if scope.is_cancelled.load(Ordering::Relaxed) {
                return true;
            }
        }
        false
    }

    /// M4: waits, and must not come back where it should have been dropped.
    async fn wait(&self, wait: impl Future<Output = ()>) {
        let mut wait = std::pin::pin!(wait);
        let mut has_begun_cancelled = false;
        poll_fn(|cx| {
            let poll = wait.as_mut().poll(cx);
            if poll.is_pending() {
                has_begun_cancelled |= self.is_surely_cancelled();
            } else if has_begun_cancelled {
                self.witness.fault(String::from("M4: a wait in a cancelled scope has come to an end"));
            }
            poll
        })
        .await;
    }

    fn ending(&self, kind: &'static str) -> Ending {
        Ending { at: self.clone(), kind, has_ended: false }
    }

    /// Registers a closer of a tree: it says when it begins and when it ends.
    fn closer(&self, tree: &Arc<Tree>) -> (usize, impl Future<Output = ()> + Send + use<>) {
        let number = self.witness.closer(&self.path);
        let witness = self.witness.clone();
        // Inside of clean-up nothing around is cancelled.
        let inside = Self { witness: witness.clone(), path: Path::default() };
        let tree = tree.clone();
        let closer = async move {
            witness.begins(number);
            let _ = inside.step(&tree).await;
            witness.ends(number);
        };
        (number, closer)
    }

    /// Runs what is in a scope, and says how that ended.
    pub(crate) async fn scope<T>(
        &self,
        kind: &'static str,
        scope: &Scope,
        run: impl Future<Output = T>,
        end: impl FnOnce(&T) -> &'static str,
    ) -> T {
        let mut ending = self.ending(kind);
        let out = run.await;
        ending.has_ended = true;
        self.witness.saw(kind, end(&out));
        self.witness.returned(kind, scope.id);
        out
    }

    pub(crate) fn step(&self, tree: &Arc<Tree>) -> Step {
        let (at, tree) = (self.clone(), tree.clone());
        let alive = self.witness.lives(&self.path);
        Box::pin(async move {
            let out = at.run(&tree).await;
            drop(alive);
            out
        })
    }

    async fn run(&self, tree: &Tree) -> Result<(), ()> {
        match tree {
            Tree::Ready => {}
            Tree::Yield => self.wait(yield_now()).await,
            Tree::Sleep(time) => self.wait(sleep(Duration::from_millis(*time))).await,
            Tree::Pending => pending().await,
            Tree::Panic => panic!("{PANIC}"),
            Tree::Error => return Err(()),
            Tree::Sequence(steps) => {
                for step in steps {
                    self.step(step).await?;
                }
            }
            Tree::Guard { .. } | Tree::DropGuard { .. } | Tree::Defer { .. } | Tree::Finish { .. } => {
                return self.run_clean_up(tree).await;
            }
            Tree::Timeout(..) | Tree::CancelScope { .. } | Tree::Shield(_) => {
                return self.run_scope(tree).await;
            }
            Tree::Group(group) => return self.run_group(group).await,
            Tree::Scope { children, body, awaits } => {
                return self.run_children(children, body, *awaits).await;
            }
            Tree::Task { is_local, cancelled_at, body } => {
                return self.run_task(*is_local, *cancelled_at, body).await;
            }
            _ => return self.run_together(tree).await,
        }
        Ok(())
    }

    async fn run_scope(&self, tree: &Tree) -> Result<(), ()> {
        match tree {
            Tree::Timeout(time, body) => {
                let start = now();
                let deadline = Some(start + Duration::from_millis(*time));
                let (at, scope) = self.inside(|scope| scope.deadline = deadline);
                let run = timeout(Duration::from_millis(*time), at.step(body));
                let out =
                    self.scope("timeout", &scope, run, |out| end_of(out.as_ref().ok(), "timeout")).await;
                if out.is_err() && now() < start + Duration::from_millis(*time) {
                    self.witness.fault(String::from("a timeout came too early"));
                }
                out.unwrap_or(Ok(()))
            }
            Tree::CancelScope { at: time, body } => {
                let (at, scope) = self.inside(|_| {});
                let flag = scope.is_cancelled.clone();
                let (time, body) = (*time, body.clone());
                let run = cancel_scope(async move |cancel| {
                    if let Some(time) = time {
                        let handle = cancel.handle();
                        in_the_background(async move {
                            sleep(Duration::from_millis(time)).await;
                            flag.store(true, Ordering::Relaxed);
                            handle.cancel();
                        });
                    }
                    at.step(&body).await
                });
                let out =
                    self.scope("cancel scope", &scope, run, |out| end_of(out.as_ref().ok(), "cancel")).await;
                out.unwrap_or(Ok(()))
            }
            Tree::Shield(body) => {
                let (at, scope) = self.inside(|scope| scope.is_shield = true);
                let is_in_foreign = self.path.iter().any(|scope| scope.is_foreign);
                let witness = self.witness.clone();
                let body = body.clone();
                let run = shield(async move {
                    let mut unbroken = Unbroken { witness, is_armed: !is_in_foreign };
                    let out = at.step(&body).await;
                    unbroken.is_armed = false;
                    out
                });
                let out = self.scope("shield", &scope, run, |out| end_of(Some(out), "")).await;
                // It has outlived that.
                if let Some(why) = self.why_dropped() {
                    self.witness.saw("shield", why);
                }
                out
            }
            _ => unreachable!("it is a scope"),
        }
    }

    async fn run_together(&self, tree: &Tree) -> Result<(), ()> {
        match tree {
            Tree::Race(one, two) => {
                let (at, scope) = self.inside(|_| {});
                // A loser is told to be cancelled by the race, which its steps do not know.
                let run = async { race!(at.step(one), at.step(two)) };
                return self.scope("race", &scope, run, |out| end_of(Some(out), "")).await;
            }
            Tree::Join(one, two) => {
                let (at, scope) = self.inside(|_| {});
                let run = async { join!(at.step(one), at.step(two)) };
                let (one, two) =
                    self.scope("join", &scope, run, |out| end_of(Some(&out.0.and(out.1)), "")).await;
                return one.and(two);
            }
            Tree::TryJoin(one, two) => {
                let (at, scope) = self.inside(|_| {});
                let run = async { try_join!(at.step(one), at.step(two)) };
                let out = self.scope("try_join", &scope, run, |out| end_of(Some(&out.map(drop)), "")).await;
                return out.map(drop);
            }
            Tree::Select(one, two) => {
                let (at, _) = self.inside(|scope| scope.is_foreign = true);
                return futures::future::select(at.step(one), at.step(two)).await.factor_first().0;
            }
            Tree::Unordered(all) => {
                let (at, _) = self.inside(|scope| scope.is_foreign = true);
                let mut all: FuturesUnordered<_> = all.iter().map(|tree| at.step(tree)).collect();
                while let Some(out) = all.next().await {
                    out?;
                }
            }
            _ => unreachable!("several are awaited together"),
        }
        Ok(())
    }

    async fn run_clean_up(&self, tree: &Tree) -> Result<(), ()> {
        match tree {
            Tree::Guard { closer, is_local, body } => {
                let mut ending = self.ending("guard");
                let (number, closer) = self.closer(closer);
                let due = Due { witness: self.witness.clone(), number };
                let guard = guard((due, closer), |(due, closer)| {
                    drop(due);
                    closer
                });
                let out = self.step(body).await;
                if *is_local {
                    // A guard of an `Rc` must not live over an await here, so it is made where it is dropped.
                    drop(guard_local(guard.into_inner(), |(due, closer)| {
                        drop(due);
                        closer
                    }));
                } else {
                    drop(guard);
                }
                ending.has_ended = true;
                self.witness.saw("guard", end_of(Some(&out), ""));
                return out;
            }
            Tree::DropGuard { closer } => {
                let (number, closer) = self.closer(closer);
                self.witness.due(number);
                drop(guard(closer, |closer| closer));
            }
            Tree::Defer { closer, is_local } => {
                let (number, closer) = self.closer(closer);
                self.witness.due(number);
                if *is_local {
                    defer_local(closer);
                } else {
                    defer(closer);
                }
            }
            Tree::Finish { closer } => {
                let (number, closer) = self.closer(closer);
                self.witness.due(number);
                guard(closer, |closer| closer).finish().await;
            }
            _ => unreachable!("it is clean-up"),
        }
        Ok(())
    }

    /// A task whose end is waited for, though whoever waits may be dropped meanwhile.
    async fn run_task(&self, is_local: bool, cancelled_at: Option<u64>, body: &Arc<Tree>) -> Result<(), ()> {
        let (at, scope) = Self { witness: self.witness.clone(), path: Path::default() }.inside(|_| {});
        let body = at.step(body);
        let task = if is_local { spawn_local(body) } else { spawn(body) };
        let task = Arc::new(std::sync::Mutex::new(Some(task)));
        if let Some(time) = cancelled_at {
            let (task, flag) = (task.clone(), scope.is_cancelled.clone());
            in_the_background(async move {
                sleep(Duration::from_millis(time)).await;
                if let Some(task) = &*task.lock().unwrap() {
                    flag.store(true, Ordering::Relaxed);
                    task.cancel();
                }
            });
        }
        let mut ending = self.ending("task");
        let out = poll_fn(|cx| Pin::new(task.lock().unwrap().as_mut().unwrap()).poll(cx)).await;
        task.lock().unwrap().take();
        ending.has_ended = true;
        let end = match &out {
            Ok(out) => end_of(Some(out), ""),
            Err(error) if error.is_panic() => "panic",
            Err(_) => "cancel",
        };
        self.witness.saw("task", end);
        self.witness.returned("task", scope.id);
        out.unwrap_or(Ok(()))
    }
}

/// Says how something ended that may have had no value, for that reason.
pub(crate) fn end_of(out: Option<&Result<(), ()>>, without: &'static str) -> &'static str {
    match out {
        Some(Ok(())) => "value",
        Some(Err(())) => "error",
        None => without,
    }
}

/// A task that belongs to no scope of the tree.
pub(crate) fn in_the_background(work: impl Future<Output = ()> + 'static) {
    asyncio_executor::spawn_local(TaskOptions::here(), work).unwrap().detach();
}

/// From its drop on the closer may run.
struct Due {
    witness: Witness,
    number: usize,
}

impl Drop for Due {
    fn drop(&mut self) {
        self.witness.due(self.number);
    }
}

/// M3: a shield that began is not dropped.
struct Unbroken {
    witness: Witness,
    is_armed: bool,
}

impl Drop for Unbroken {
    fn drop(&mut self) {
        if self.is_armed && !std::thread::panicking() {
            self.witness.fault(String::from("M3: a shield was dropped"));
        }
    }
}

/// Runs a tree, its tasks first in, first out, or in an order of that seed; returns what occurred in it, or which laws it broke.
pub(crate) fn run(
    tree: &Arc<Tree>,
    order: Option<u64>,
) -> Result<BTreeSet<(&'static str, &'static str)>, Vec<String>> {
    let clock = ManualClock::new();
    let executor = match order {
        None => LocalExecutor::new(Waker::noop().clone()),
        Some(seed) => LocalExecutor::with_schedule(Waker::noop().clone(), SeededRandom::new(seed)),
    };
    let cleanup = Cleanup::new(asyncio_tasks::DEFAULT_GRACE);
    let timers = Timers::new(clock.clone(), Waker::noop().clone());
    let witness = Witness::default();
    let reports = witness.clone();
    let _reports = report::enter(|_| {
        Rc::new(move |report| {
            // The panics of a tree are a part of it; nothing else goes wrong.
            if !report.is_panic {
                reports.fault(format!("M5: {report}"));
            }
        })
    });
    let (_executor, _cleanup, _timers) = (executor.enter(), cleanup.enter(), timers.enter());
    let start = clock.now();
    let at = At { witness: witness.clone(), path: Path::default() };
    let body = tree.clone();
    let main = spawn(async move {
        let deadline = Some(now() + Duration::from_millis(END));
        let (inside, scope) = at.inside(|scope| scope.deadline = deadline);
        let run = timeout(Duration::from_millis(END), inside.step(&body));
        let _ = at.scope("timeout", &scope, run, |out| end_of(out.as_ref().ok(), "timeout")).await;
    });
    loop {
        while executor.run_round() > 0 {}
        let Some(deadline) = timers.next_deadline() else { break };
        if deadline > start + Duration::from_millis(STUCK) {
            break;
        }
        clock.advance(deadline.saturating_duration_since(clock.now()));
        timers.fire_due();
    }
    let mut faults = witness.faults();
    if !main.is_finished() {
        faults.push(String::from("M5: the tree has not ended"));
    }
    if (executor.len(), cleanup.jobs(), timers.len()) != (0, 0, 0) {
        faults.push(format!(
            "M5: {} tasks, {} jobs, {} timers are left",
            executor.len(),
            cleanup.jobs(),
            timers.len()
        ));
    }
    if faults.is_empty() { Ok(witness.pairs()) } else { Err(faults) }
}
