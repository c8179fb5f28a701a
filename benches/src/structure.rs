//! What structure costs: groups, scopes, cancelling. Ours alone: each figure is a ratio to something simpler in the same run, or a time.

use std::future::pending;
use std::hint::black_box;
use std::pin::Pin;
use std::time::{Duration, Instant};

use asyncio::{TaskGroup, cancel_scope, guard, run, scope, spawn, task_group, yield_now};
use futures::StreamExt;
use futures::stream::FuturesUnordered;

/// The cases, and their units.
pub const CASES: [(&str, &str); 5] = [
    ("group_spawn_join", "ratio"),
    ("scope_spawn_many", "ratio"),
    ("cancel_100k", "ns"),
    ("cancel_linear", "ratio"),
    ("nest_linear", "ratio"),
];

/// Measures one of them.
pub fn measure(case: &str) -> Option<f64> {
    Some(match case {
        "group_spawn_join" => group_spawn_join(),
        "scope_spawn_many" => scope_spawn_many(),
        "cancel_100k" => cancel(100_000) / 100_000.0,
        // Four times as many, over four times as long.
        "cancel_linear" => cancel(400_000) / (4.0 * cancel(100_000)),
        "nest_linear" => nested(1000) / (10.0 * nested(100)),
        _ => return None,
    })
}

/// The shortest of several, in ns: whoever was disturbed does not count.
fn best(times: usize, measure: impl FnMut() -> Duration) -> f64 {
    std::iter::repeat_with(measure).take(times).min().unwrap_or_default().as_nanos() as f64
}

const SPAWNED: u32 = 20_000;

/// Spawning a child into a group and awaiting it, over the same with a plain task.
fn group_spawn_join() -> f64 {
    let plain = || {
        run(async {
            let start = Instant::now();
            for n in 0..SPAWNED {
                black_box(spawn(async move { black_box(n) }).await.ok());
            }
            start.elapsed()
        })
    };
    let grouped = || {
        run(async {
            let elapsed = task_group(async |group: TaskGroup<()>| {
                let start = Instant::now();
                for n in 0..SPAWNED {
                    black_box(group.spawn(async move { Ok(black_box(n)) }).await.ok());
                }
                Ok(start.elapsed())
            });
            elapsed.await.unwrap_or_default()
        })
    };
    best(20, grouped) / best(20, plain)
}

/// A thousand children of a scope and their outputs, over the same in a `FuturesUnordered`.
fn scope_spawn_many() -> f64 {
    const CHILDREN: u64 = 1000;
    async fn child(n: u64) -> u64 {
        yield_now().await;
        black_box(n)
    }
    let scoped = || {
        run(async {
            let start = Instant::now();
            let sum = scope(async |s| {
                let children: Vec<_> = (0..CHILDREN).map(|n| s.spawn(child(n))).collect();
                let mut sum = 0;
                for child in children {
                    sum += child.await;
                }
                sum
            });
            black_box(sum.await);
            start.elapsed()
        })
    };
    let unordered = || {
        run(async {
            let start = Instant::now();
            let mut children: FuturesUnordered<_> = (0..CHILDREN).map(child).collect();
            let mut sum = 0;
            while let Some(n) = children.next().await {
                sum += n;
            }
            black_box(sum);
            start.elapsed()
        })
    };
    best(200, scoped) / best(200, unordered)
}

/// Cancelling a group of so many tasks, each with clean-up to do: ns.
fn cancel(count: usize) -> f64 {
    let once = || {
        run(async {
            let mut start = Instant::now();
            let out = task_group(async |group: TaskGroup<()>| {
                for _ in 0..count {
                    group.spawn(async {
                        let _guard = guard((), |()| async {});
                        pending::<Result<(), ()>>().await
                    });
                }
                yield_now().await;
                yield_now().await;
                start = Instant::now();
                group.cancel();
                Ok(())
            });
            out.await.unwrap_or_default();
            start.elapsed()
        })
    };
    best(3, once)
}

/// Scopes in scopes, so many deep, that are cancelled: ns.
fn nested(depth: usize) -> f64 {
    fn inside(depth: usize) -> Pin<Box<dyn Future<Output = ()>>> {
        if depth == 0 {
            return Box::pin(pending());
        }
        Box::pin(async move {
            let _ = cancel_scope(async |_| inside(depth - 1).await).await;
        })
    }
    let once = || {
        run(async {
            let start = Instant::now();
            let _ = cancel_scope(async |scope| {
                let handle = scope.handle();
                spawn(async move { handle.cancel() });
                inside(depth).await;
            })
            .await;
            start.elapsed()
        })
    };
    best(20, once)
}
