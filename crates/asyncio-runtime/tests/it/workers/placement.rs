//! Where things run.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::Poll;
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use asyncio_reactor::{DefaultSelector, SelectorReactor};
use asyncio_runtime::{EventLoop, Runner};
use asyncio_tasks::{spawn, spawn_local, spawn_pinned, yield_now};
use asyncio_timers::sleep;

use super::{runner, worker};

#[test]
fn tasks_run_at_the_same_time() {
    runner(3).run(async {
        let meet = Arc::new(Barrier::new(3));
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let meet = meet.clone();
                // Blocks its worker until the others are there too.
                spawn(async move { meet.wait().is_leader() })
            })
            .collect();
        let mut leaders = 0;
        for task in tasks {
            leaders += u32::from(task.await.unwrap());
        }
        assert_eq!(leaders, 1);
    });
}

#[test]
fn each_call_runs_its_task_where_it_says() {
    let mut runner = runner(3);
    let loops = runner.event_loops();
    assert_eq!(loops.iter().map(EventLoop::worker).collect::<Vec<_>>(), [0, 1, 2]);
    runner.run(async move {
        let main = thread::current().id();
        for _ in 0..100 {
            let here = Rc::new(());
            let stays = spawn_local(async move {
                yield_now().await;
                drop(here);
                thread::current().id()
            });
            assert_eq!(stays.await.unwrap(), main);
            for (index, event_loop) in loops.iter().enumerate() {
                let targeted = event_loop.spawn(async {
                    let before = worker();
                    sleep(Duration::from_micros(10)).await;
                    (before, worker())
                });
                assert_eq!(targeted.unwrap().await.unwrap(), (index, index));
                let pinned = spawn_pinned(index, || async {
                    let not_send = Rc::new(worker());
                    yield_now().await;
                    (*not_send, worker())
                });
                assert_eq!(pinned.unwrap().await.unwrap(), (index, index));
            }
        }
        assert!(spawn_pinned(3, || async {}).is_err());
    });
}

#[test]
fn a_reactor_is_made_on_the_thread_of_its_worker() {
    let made: Arc<Mutex<Vec<(usize, ThreadId)>>> = Arc::default();
    let note = made.clone();
    let mut runner = Runner::builder()
        .workers(3)
        .thread_name("crew")
        .reactor(move |worker| {
            note.lock().unwrap().push((worker, thread::current().id()));
            SelectorReactor::new(DefaultSelector::new()?)
        })
        .build()
        .unwrap();
    let mut threads = Vec::new();
    runner.run(async {
        for index in 0..3 {
            let there = spawn_pinned(index, || async {
                (worker(), thread::current().id(), thread::current().name().map(str::to_owned))
            });
            let (index, id, name) = there.unwrap().await.unwrap();
            if index > 0 {
                assert_eq!(name, Some(format!("crew-{index}")));
            }
            threads.push((index, id));
        }
    });
    assert_eq!(*made.lock().unwrap(), threads);
}

#[test]
fn sleeps_end_on_every_worker() {
    runner(2).run(async {
        let tasks: Vec<_> = (0..200_u64)
            .map(|n| {
                spawn(async move {
                    let nap = Duration::from_micros(50 * (n % 20));
                    let start = Instant::now();
                    for _ in 0..10 {
                        sleep(nap).await;
                    }
                    assert!(start.elapsed() >= 10 * nap, "none ends early");
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// A sleep is at home where it was first polled; its task may have moved since.
#[test]
fn a_sleep_whose_task_moved_ends_too() {
    let mut runner = runner(2);
    let there = runner.event_loops()[1].clone();
    runner.run(async move {
        for _ in 0..200 {
            let mut nap = sleep(Duration::from_micros(200));
            let first = poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut nap).poll(cx))).await;
            let moved = there.spawn(nap).unwrap();
            if first.is_pending() {
                // Busy here, so that it is registered with a loop that does not wait.
                yield_now().await;
            }
            moved.await.unwrap();
        }
    });
}

#[test]
fn others_go_on_between_two_runs() {
    let mut runner = runner(2);
    let (told, hears) = mpsc::channel();
    let task = runner.run(async move {
        spawn(async move {
            for n in 0..3 {
                sleep(Duration::from_millis(1)).await;
                told.send(n).unwrap();
            }
        })
    });
    // Nobody runs worker 0 here. If the task was there, the other one has taken it, or it waits for the next run.
    // Wherever it slept when main ended: it is there in the next run, if not before.
    runner.run(task).unwrap();
    assert_eq!(hears.iter().collect::<Vec<_>>(), [0, 1, 2]);

    let main = thread::current().id();
    let ready = runner.run(async { spawn(async { thread::current().id() }) });
    let start = Instant::now();
    while !ready.is_finished() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "what was ready on worker 0 is left to the other one"
        );
        thread::yield_now();
    }
    assert_ne!(runner.run(ready).unwrap(), main);
}

/// What is ready on worker 0 when its turn ends is not kept from the others, though nobody needed to be told of it during the turn.
#[test]
fn what_a_turn_leaves_is_for_the_others() {
    let mut runner = runner(2);
    let polled_by = Arc::new(Mutex::new(None));
    let note = polled_by.clone();
    let begin = runner.event_loop().spawn(async move {
        spawn(async move {
            loop {
                *note.lock().unwrap() = Some(thread::current().id());
                yield_now().await;
            }
        })
        .detach();
    });
    begin.unwrap().detach();
    let host = thread::current().id();
    let start = Instant::now();
    // The host takes its time between two turns.
    loop {
        runner.turn(Some(Duration::ZERO)).unwrap();
        let turned = Instant::now();
        while turned.elapsed() < Duration::from_millis(200) {
            if polled_by.lock().unwrap().is_some_and(|thread| thread != host) {
                return;
            }
            thread::yield_now();
        }
        assert!(start.elapsed() < Duration::from_secs(20), "nobody takes what the host has left");
    }
}

#[test]
fn a_host_drives_worker_0_and_the_others_drive_themselves() {
    let mut runner = runner(2);
    let events = runner.event_loop();
    let here = events.spawn(async { sleep(Duration::from_millis(1)).await }).unwrap();
    let there = runner.event_loops()[1].spawn(async { sleep(Duration::from_millis(1)).await }).unwrap();
    while !(here.is_finished() && there.is_finished()) {
        runner.turn(Some(Duration::from_millis(1))).unwrap();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn workers_stay_on_their_cpu_and_the_caller_gets_his_back() {
    use rustix::thread::sched_getaffinity;
    let cpus = || sched_getaffinity(None).unwrap();
    thread::spawn(move || {
        let before = cpus();
        let allowed: Vec<usize> =
            (0..rustix::thread::CpuSet::MAX_CPU).filter(|&cpu| before.is_set(cpu)).collect();
        let mut runner = Runner::builder().workers(3).cpus(allowed.clone()).build().unwrap();
        runner.run(async {
            for index in 0..3 {
                let there = spawn_pinned(index, move || async move { sched_getaffinity(None).unwrap() });
                let there = there.unwrap().await.unwrap();
                assert_eq!(there.count(), 1);
                assert!(there.is_set(allowed[index % allowed.len()]));
            }
        });
        drop(runner);
        assert_eq!(cpus(), before);
    })
    .join()
    .unwrap();
    let error = Runner::builder().cpus([100_000]).build().unwrap_err();
    assert!(error.to_string().starts_with("worker 0 cannot be kept on CPU 100000: "), "{error}");
}

/// Local wakes on worker threads are local: a value that is not `Send` is touched on its thread alone.
#[test]
fn local_tasks_of_each_worker_talk_on_their_thread() {
    runner(2).run(async {
        let tasks: Vec<_> = (0..2)
            .map(|index| {
                spawn_pinned(index, || async {
                    let log = Rc::new(RefCell::new(Vec::new()));
                    let others: Vec<_> = (0..10)
                        .map(|n| {
                            let log = log.clone();
                            spawn_local(async move {
                                yield_now().await;
                                log.borrow_mut().push(n);
                            })
                        })
                        .collect();
                    for other in others {
                        other.await.unwrap();
                    }
                    log.take()
                })
                .unwrap()
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), (0..10).collect::<Vec<_>>(), "first in, first out");
        }
    });
}
