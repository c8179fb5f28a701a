//! Dumps: what every task waits for, and a program that goes on unharmed.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;

use std::task::Poll;
use std::time::Duration;

use asyncio_runtime::Runner;
use asyncio_tasks::debug::{Dump, await_chain, dump};
use asyncio_tasks::{
    Builder, Task, TaskId, completion, gather_all, join, race, scope, spawn, spawn_local, spawn_pinned,
    task_group, yield_now,
};
use asyncio_timers::sleep;
use futures::channel::mpsc;
use futures::stream::FuturesUnordered;
use futures::{SinkExt, StreamExt};

const LONG: Duration = Duration::from_secs(1000);

fn on_workers(test: impl AsyncFn()) {
    for workers in [1, 2] {
        let mut runner = Runner::builder().workers(workers).build().unwrap();
        runner.run(test());
    }
}

/// Until all of these wait.
async fn waiting(tasks: &[TaskId]) {
    let are_there = || {
        let all = asyncio_tasks::all_tasks();
        let waits = |id: &TaskId| {
            all.iter().any(|task| task.id() == *id && task.state() == asyncio_tasks::TaskState::Waiting)
        };
        tasks.iter().all(waits)
    };
    while !are_there() {
        yield_now().await;
    }
}

fn operations(dump: &Dump, task: TaskId) -> Vec<&'static str> {
    dump.task(task).unwrap().waits().iter().map(|wait| wait.operation()).collect()
}

#[inline(never)]
async fn inner() {
    sleep(LONG).await;
}

#[inline(never)]
async fn outer() {
    inner().await;
}

#[test]
fn a_task_shows_what_it_waits_for_and_by_way_of_what() {
    on_workers(async || {
        let local = Builder::new().name("a local one").spawn_local(outer());
        let shared = Builder::new().name("one that may move").spawn(outer());
        waiting(&[local.id(), shared.id()]).await;
        let dump = dump().await;
        for task in [local.id(), shared.id()] {
            let dumped = dump.task(task).unwrap();
            assert_eq!(operations(&dump, task), ["sleep"], "{dump}");
            let functions: Vec<&str> =
                dumped.waits()[0].frames().iter().map(|frame| frame.function()).collect();
            let ends_with =
                |nth: usize, name: &str| functions[nth].ends_with(name) || functions[nth] == "async fn";
            assert!(functions.len() == 2 && ends_with(0, "outer") && ends_with(1, "inner"), "{functions:?}");
            for frame in dumped.waits()[0].frames() {
                assert!(frame.file().unwrap().ends_with("debugging/dumps.rs") && frame.line().is_some());
            }
            assert!(dumped.info().spawned_at().file().ends_with("debugging/dumps.rs"));
        }
        let text = dump.to_string();
        assert!(text.contains("\"a local one\"") && text.contains("\"one that may move\""), "{text}");
        assert!(dump.silent_workers().is_empty());
        assert!(
            dump.main().iter().any(|wait| wait.operation() == "dump"),
            "main waits for this very dump: {text}"
        );
    });
}

#[test]
fn all_branches_of_what_is_awaited_together_are_shown() {
    on_workers(async || {
        let tasks: Vec<Task<()>> = vec![
            spawn(async { drop(join!(sleep(LONG), pending::<()>(), completion::<u8, u8>().1)) }),
            spawn(async { race!(sleep(LONG), inner()) }),
            spawn(async { drop(gather_all([sleep(LONG), sleep(2 * LONG), sleep(3 * LONG)]).await) }),
            spawn(async {
                scope(async |s| {
                    s.spawn(sleep(LONG));
                    s.spawn(sleep(LONG)).await;
                })
                .await;
            }),
            spawn(async {
                let _ = task_group(async |group| {
                    group.spawn(async {
                        sleep(LONG).await;
                        Ok::<(), String>(())
                    });
                    Ok(())
                })
                .await;
            }),
        ];
        let ids: Vec<TaskId> = tasks.iter().map(Task::id).collect();
        waiting(&ids).await;
        let dump = dump().await;
        let seen: Vec<_> = ids.iter().map(|&id| operations(&dump, id)).collect();
        assert_eq!(seen[0], ["sleep", "completion"], "{dump}");
        assert_eq!(seen[1], ["sleep", "sleep"]);
        assert_eq!(seen[2], ["sleep", "sleep", "sleep"]);
        let mut of_scope = seen[3].clone();
        of_scope.sort_unstable();
        assert_eq!(of_scope, ["child", "sleep", "sleep"]);
        assert_eq!(seen[4], ["task group"]);
    });
}

#[test]
fn what_cannot_be_seen_is_said_to_be_invisible() {
    on_workers(async || {
        let silent = spawn(pending::<()>());
        let foreign = spawn(async {
            let mut some: FuturesUnordered<_> = [sleep(LONG), sleep(LONG)].into_iter().collect();
            some.next().await;
        });
        waiting(&[silent.id(), foreign.id()]).await;
        let dump = dump().await;
        for task in [silent.id(), foreign.id()] {
            assert!(operations(&dump, task).is_empty());
            assert!(dump.task(task).unwrap().to_string().contains("not visible"));
        }
    });
}

#[test]
fn the_chain_goes_from_task_to_task_and_sees_a_circle() {
    on_workers(async || {
        let last = Builder::new().name("last").spawn(inner());
        let middle = Builder::new().name("middle").spawn(async { last.await.unwrap() });
        let first = Builder::new().name("first").spawn_local(async { middle.await.unwrap() });
        let last_id = loop {
            let all = asyncio_tasks::all_tasks();
            if let Some(last) = all.iter().find(|task| task.name() == Some("last") && task.polls() > 0) {
                break last.id();
            }
            yield_now().await;
        };
        waiting(&[first.id(), last_id]).await;
        let chain = await_chain(first.id()).await.unwrap();
        let names: Vec<_> = chain.tasks().iter().map(|task| task.info().name().unwrap()).collect();
        assert_eq!(names, ["first", "middle", "last"], "{chain}");
        assert!(!chain.is_circle());
        assert_eq!(chain.tasks()[2].waits()[0].operation(), "sleep");
        assert!(await_chain(spawn(async {}).id()).await.is_none_or(|chain| chain.tasks().len() == 1));
    });
    let mut runner = Runner::new().unwrap();
    runner.run(async {
        let place: Rc<Cell<Option<Task<()>>>> = Rc::default();
        let one = spawn_local({
            let place = place.clone();
            async move {
                yield_now().await;
                drop(place.take().unwrap().await);
            }
        });
        let id = one.id();
        place.set(Some(spawn_local(async move { drop(one.await) })));
        for _ in 0..10 {
            yield_now().await;
        }
        let chain = await_chain(id).await.unwrap();
        assert!(chain.is_circle() && chain.tasks().len() == 2, "{chain}");
        assert!(chain.to_string().contains("a circle"));
    });
}

#[test]
fn a_worker_that_is_held_does_not_hold_the_dump() {
    let mut runner = Runner::builder().workers(3).build().unwrap();
    runner.run(async {
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (begun, has_begun) = std::sync::mpsc::channel();
        let held = spawn_pinned(1, move || async move {
            begun.send(()).unwrap();
            released.recv().unwrap_err();
        })
        .unwrap();
        has_begun.recv().unwrap();
        let seen = spawn_pinned(2, || async { inner().await }).unwrap();
        let dumped = dump().await;
        assert_eq!(dumped.silent_workers(), [1], "{dumped}");
        assert!(dumped.to_string().contains("worker 1 has not answered"));
        assert_eq!(operations(&dumped, seen.id()), ["sleep"], "those of the others are seen");
        drop(release);
        held.await.unwrap();
        assert!(dump().await.silent_workers().is_empty());
    });
}

#[test]
fn dumps_that_are_taken_all_the_time_harm_nobody() {
    on_workers(async || {
        let (sender, mut receiver) = mpsc::channel::<u32>(4);
        let senders: Vec<_> = (0..8)
            .map(|_| {
                let mut sender = sender.clone();
                spawn(async move {
                    for n in 0..500 {
                        sender.send(n).await.unwrap();
                        if n % 50 == 0 {
                            sleep(Duration::from_millis(1)).await;
                        }
                    }
                })
            })
            .collect();
        drop(sender);
        let sum = spawn(async move {
            let mut sum = 0;
            while let Some(n) = receiver.next().await {
                sum += u64::from(n);
            }
            sum
        });
        let mut dumps = 0;
        while !sum.is_finished() {
            drop(dump().await);
            dumps += 1;
        }
        assert_eq!(sum.await.unwrap(), 8 * 499 * 500 / 2);
        for sender in senders {
            sender.await.unwrap();
        }
        assert!(dumps > 0);
    });
}

#[test]
fn two_dumps_at_once_both_see_all_and_one_that_is_dropped_leaves_nothing() {
    on_workers(async || {
        let task = spawn(inner());
        waiting(&[task.id()]).await;
        let (one, two) = join!(dump(), dump());
        assert!([&one, &two].iter().any(|dump| operations(dump, task.id()) == ["sleep"]));
        for polls in 0..6 {
            let mut dropped = pin!(dump());
            let mut left = polls;
            poll_fn(|cx| {
                let is_over = dropped.as_mut().poll(cx).is_ready() || left == 0;
                left = i32::max(left - 1, 0);
                if is_over { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
        // The jobs of those that were dropped end by themselves.
        for _ in 0..100 {
            yield_now().await;
        }
        let dump = dump().await;
        assert_eq!(operations(&dump, task.id()), ["sleep"]);
        while asyncio_tasks::all_tasks().iter().any(|task| task.name() == Some("dump")) {
            yield_now().await;
        }
        assert!(!asyncio_base::wait_point::is_recording());
    });
}

#[test]
fn main_is_seen_once_and_tasks_that_come_meanwhile_do_not_hold_the_dump_up() {
    let mut runner = Runner::builder().workers(2).build().unwrap();
    runner.run(async {
        let (release, released) = std::sync::mpsc::channel::<()>();
        let held = spawn_pinned(1, move || async move { released.recv().unwrap_err() }).unwrap();
        // Without end, and each of them waits once.
        let busy = spawn_local(async {
            loop {
                spawn_local(yield_now()).detach();
                let (setter, completion) = completion::<u8, u8>();
                let waits = spawn_local(completion);
                yield_now().await;
                drop(setter);
                drop(waits.await);
                yield_now().await;
            }
        });
        let begin = std::time::Instant::now();
        let (dump, ()) = join!(dump(), sleep(Duration::from_millis(1)));
        assert!(begin.elapsed() < Duration::from_secs(8), "it has given up long before its limit");
        assert_eq!(dump.silent_workers(), [1]);
        let of_main: Vec<_> = dump.main().iter().map(|wait| wait.operation()).collect();
        assert!(of_main.len() <= 2 && of_main.contains(&"dump"), "{of_main:?}");
        busy.cancel();
        drop(release);
        held.await.unwrap();
    });
}

#[test]
fn tasks_that_may_move_are_seen_also_where_main_is_held() {
    let mut runner = Runner::builder().workers(2).build().unwrap();
    let (dumped, was_dumped) = std::sync::mpsc::channel();
    runner.run(async {
        let moves = spawn(inner());
        waiting(&[moves.id()]).await;
        let id = moves.id();
        let pinned = spawn_pinned(1, move || async move {
            let dump = dump().await;
            dumped.send((operations(&dump, id), dump.silent_workers().to_vec())).unwrap();
        });
        // Main holds worker 0 until that is done.
        let (seen, silent) = was_dumped.recv().unwrap();
        assert_eq!((seen, silent), (vec!["sleep"], vec![0]));
        pinned.unwrap().await.unwrap();
    });
}

#[test]
fn a_clock_that_jumps_does_not_jump_for_a_dump() {
    let mut runner = Runner::builder().clock(asyncio_timers::ManualClock::jumping()).build().unwrap();
    runner.run(async {
        let event_loop = asyncio_runtime::EventLoop::current().unwrap();
        let sleeper = spawn_local(sleep(LONG));
        yield_now().await;
        let before = event_loop.time();
        drop(dump().await);
        assert_eq!(event_loop.time(), before);
        assert!(!sleeper.is_finished());
    });
}

#[test]
fn main_is_seen_where_there_is_no_task() {
    let mut runner = Runner::new().unwrap();
    let dump = runner.run(dump());
    assert_eq!(dump.main().len(), 1, "{dump}");
    assert!(dump.tasks().is_empty());
}
