//! Several workers: where things run, and how the runtime ends, step by step.

#![cfg(unix)]

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use asyncio_executor::SeededRandom;
use asyncio_reactor::{
    BorrowedDescriptor, DefaultSelector, Event, Interest, Mode, Selector, SelectorReactor,
};
use asyncio_runtime::{EventLoop, Runner};
use asyncio_tasks::{spawn, spawn_local, spawn_pinned, yield_now};
use asyncio_timers::sleep;

fn runner(workers: usize) -> Runner {
    Runner::builder().workers(workers).build().unwrap()
}

fn worker() -> usize {
    EventLoop::current().unwrap().worker()
}

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
                told.send((n, thread::current().id())).unwrap();
            }
        })
    });
    // Nobody runs worker 0 here. If the task was there, the other one has taken it, or it waits for the next run.
    let main = thread::current().id();
    let alone = hears.recv_timeout(Duration::from_millis(200)).is_ok_and(|(_, id)| id != main);
    runner.run(task).unwrap();
    let _ = alone;

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

/// What was dropped, on which thread, and whether timers stood.
type Notes = Arc<Mutex<Vec<(&'static str, ThreadId, bool)>>>;

/// Says on which thread it is dropped, and what is possible there.
struct Witness {
    name: &'static str,
    notes: Notes,
}

impl Drop for Witness {
    fn drop(&mut self) {
        // Timers still stand: a sleep can be registered with them.
        let mut nap = sleep(Duration::from_secs(1));
        let stands = std::pin::Pin::new(&mut nap).poll(&mut Context::from_waker(Waker::noop())).is_pending();
        self.notes.lock().unwrap().push((self.name, thread::current().id(), stands));
    }
}

/// W3 and W4.
#[test]
fn closing_drops_each_future_where_it_belongs_while_timers_stand() {
    let notes = Notes::default();
    let witness = |name| Witness { name, notes: notes.clone() };
    let mut runner = runner(2);
    let main = thread::current().id();
    let other = runner.run(async {
        let (anywhere, here, there) = (witness("anywhere"), witness("here"), witness("there"));
        spawn(async move {
            let _witness = anywhere;
            pending::<()>().await;
        })
        .detach();
        spawn_local(async move {
            let _witness = here;
            pending::<()>().await;
        })
        .detach();
        let began = spawn_pinned(1, move || {
            let there = there;
            let mut told = false;
            poll_fn(move |_| {
                let _ = &there;
                if std::mem::replace(&mut told, true) { Poll::Ready(()) } else { Poll::<()>::Pending }
            })
        });
        began.unwrap().detach();
        spawn_pinned(1, || async { thread::current().id() }).unwrap().await.unwrap()
    });
    runner.close();
    let notes = notes.lock().unwrap();
    assert!(notes.contains(&("anywhere", main, true)), "{notes:?}");
    assert!(notes.contains(&("here", main, true)), "{notes:?}");
    assert!(notes.contains(&("there", other, true)), "{notes:?}");
    assert_eq!(notes.len(), 3);
}

/// W2: whoever is in a poll ends it first.
#[test]
fn closing_waits_for_the_polls_that_are_going_on() {
    let mut runner = runner(2);
    let (has_ended, saw_gone) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    struct Gone(Arc<AtomicBool>, Arc<AtomicBool>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.1.store(!self.0.load(Ordering::SeqCst), Ordering::SeqCst);
        }
    }
    let bystander = Gone(has_ended.clone(), saw_gone.clone());
    runner.run(async {
        spawn(async move {
            let _bystander = bystander;
            pending::<()>().await;
        })
        .detach();
        let (told, hears) = mpsc::channel();
        let has_ended = has_ended.clone();
        let busy = spawn_pinned(1, move || async move {
            told.send(()).unwrap();
            thread::sleep(Duration::from_millis(50));
            has_ended.store(true, Ordering::SeqCst);
        });
        busy.unwrap().detach();
        hears.recv().unwrap();
    });
    runner.close();
    assert!(has_ended.load(Ordering::SeqCst), "the poll came to its end");
    assert!(!saw_gone.load(Ordering::SeqCst), "and nothing was dropped before");
}

/// W6, and what comes too late.
#[test]
fn after_closing_the_threads_are_gone_and_spawning_fails() {
    let named = |prefix: &str| {
        let threads = std::fs::read_dir("/proc/self/task").unwrap();
        let names =
            threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
        names.filter(|name| name.starts_with(prefix)).count()
    };
    let mut runner = Runner::builder().workers(4).thread_name("ended").build().unwrap();
    let loops = runner.event_loops();
    assert_eq!(named("ended"), 3);
    let left = runner.run(async { spawn(pending::<()>()) });
    runner.close();
    runner.close();
    assert_eq!(named("ended"), 0);
    assert!(asyncio_executor::block_on(left).unwrap_err().is_cancelled());
    for event_loop in loops {
        assert!(event_loop.is_closed());
        assert!(event_loop.spawn(async {}).is_err());
    }
}

#[test]
fn a_drop_that_spawns_and_panics_while_closing_holds_nothing_up() {
    struct Busy(Arc<AtomicUsize>);
    impl Drop for Busy {
        fn drop(&mut self) {
            let gone = Gone(self.0.clone());
            spawn(async move {
                let _gone = gone;
                pending::<()>().await;
            })
            .detach();
            panic!("a drop panics on purpose");
        }
    }
    struct Gone(Arc<AtomicUsize>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let gone = Arc::new(AtomicUsize::new(0));
    let mut runner = runner(2);
    runner.run(async {
        for index in 0..2 {
            let busy = Busy(gone.clone());
            let task = spawn_pinned(index, move || async move {
                let _busy = busy;
                pending::<()>().await;
            });
            task.unwrap().detach();
        }
        // So that both have been polled.
        for index in 0..2 {
            spawn_pinned(index, || async {}).unwrap().await.unwrap();
        }
    });
    drop(runner);
    assert_eq!(gone.load(Ordering::SeqCst), 2, "what they spawned is gone too");
}

#[test]
fn a_panic_of_main_ends_all_workers() {
    let left = Arc::new(());
    let kept = left.clone();
    let caught = std::panic::catch_unwind(move || {
        runner(3).run(async move {
            spawn(async move {
                let _kept = kept;
                pending::<()>().await;
            })
            .detach();
            panic!("main panics on purpose");
        })
    });
    assert!(caught.is_err());
    assert_eq!(Arc::strong_count(&left), 1);
}

#[test]
fn what_cannot_be_built_says_why_and_leaves_nothing() {
    let error = Runner::builder().workers(2).schedule(SeededRandom::new(1)).build().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    let made = Arc::new(AtomicUsize::new(0));
    let count = made.clone();
    let make = move |worker| {
        if worker == 2 {
            return Err(io::Error::other("no third one today"));
        }
        count.fetch_add(1, Ordering::SeqCst);
        SelectorReactor::new(DefaultSelector::new()?)
    };
    let error = Runner::builder().workers(4).reactor(make).build().unwrap_err();
    assert_eq!(error.to_string(), "no third one today");
    assert_eq!(made.load(Ordering::SeqCst), 2);
}

/// Fails when it is told to.
#[derive(Debug)]
struct Failing(DefaultSelector, Arc<AtomicBool>);

impl Selector for Failing {
    fn mode(&self) -> Mode {
        self.0.mode()
    }

    fn add(&self, source: BorrowedDescriptor<'_>, key: usize, interest: Interest) -> io::Result<()> {
        self.0.add(source, key, interest)
    }

    fn modify(&self, source: BorrowedDescriptor<'_>, key: usize, interest: Interest) -> io::Result<()> {
        self.0.modify(source, key, interest)
    }

    fn delete(&self, source: BorrowedDescriptor<'_>) -> io::Result<()> {
        self.0.delete(source)
    }

    fn wait(&self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        self.0.wait(events, timeout)?;
        if self.1.load(Ordering::SeqCst) { Err(io::Error::other("the selector is broken")) } else { Ok(()) }
    }

    fn notify(&self) -> io::Result<()> {
        self.0.notify()
    }
}

#[test]
fn a_worker_that_cannot_go_on_ends_run() {
    let broken = Arc::new(AtomicBool::new(false));
    let switch = broken.clone();
    let mut runner = Runner::builder()
        .workers(2)
        .reactor(move |worker| {
            let switch = if worker == 1 { switch.clone() } else { Arc::default() };
            SelectorReactor::new(Failing(DefaultSelector::new()?, switch))
        })
        .build()
        .unwrap();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        runner.run(async {
            broken.store(true, Ordering::SeqCst);
            let _ = spawn_pinned(1, || async {}).unwrap().await;
            pending::<()>().await;
        });
    }));
    let panic = caught.unwrap_err().downcast::<String>().unwrap();
    assert!(panic.contains("the selector is broken"), "{panic}");
    runner.close();
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

/// Counts the waits of the selector that it hands everything on to.
#[derive(Debug)]
struct Counting(DefaultSelector, Arc<AtomicUsize>);

impl Selector for Counting {
    fn mode(&self) -> Mode {
        self.0.mode()
    }

    fn add(&self, source: BorrowedDescriptor<'_>, key: usize, interest: Interest) -> io::Result<()> {
        self.0.add(source, key, interest)
    }

    fn modify(&self, source: BorrowedDescriptor<'_>, key: usize, interest: Interest) -> io::Result<()> {
        self.0.modify(source, key, interest)
    }

    fn delete(&self, source: BorrowedDescriptor<'_>) -> io::Result<()> {
        self.0.delete(source)
    }

    fn wait(&self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.wait(events, timeout)
    }

    fn notify(&self) -> io::Result<()> {
        self.0.notify()
    }
}

fn counting(waits: &Arc<AtomicUsize>) -> impl Fn(usize) -> io::Result<SelectorReactor<Counting>> + use<> {
    let counted = waits.clone();
    move |_| SelectorReactor::new(Counting(DefaultSelector::new()?, counted.clone()))
}

#[test]
fn eight_workers_with_nothing_to_do_do_nothing() {
    let waits = Arc::new(AtomicUsize::new(0));
    let mut runner = Runner::builder().workers(8).reactor(counting(&waits)).build().unwrap();
    let idle = runner.run(async {
        let tasks: Vec<_> = (0..1_000).map(|_| spawn(async { yield_now().await })).collect();
        for task in tasks {
            task.await.unwrap();
        }
        sleep(Duration::from_millis(20)).await;
        let before = waits.load(Ordering::Relaxed);
        sleep(Duration::from_millis(300)).await;
        waits.load(Ordering::Relaxed) - before
    });
    // One wait of worker 0 to the deadline, a few for its way down the wheel; none of the others.
    assert!(idle <= 5, "{idle} wake-ups in an idle third of a second");
}

#[test]
fn a_loop_that_spins_looks_before_it_waits_and_still_sleeps() {
    let waits = Arc::new(AtomicUsize::new(0));
    let mut runner =
        Runner::builder().spin(Duration::from_micros(50)).reactor(counting(&waits)).build().unwrap();
    let spun = runner.run(async {
        sleep(Duration::from_millis(1)).await;
        let before = waits.load(Ordering::Relaxed);
        sleep(Duration::from_millis(50)).await;
        waits.load(Ordering::Relaxed) - before
    });
    assert!(spun > 3, "it looked {spun} times");
    assert!(spun < 50_000, "and not all the time: {spun} looks in 50 ms");
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
