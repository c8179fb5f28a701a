//! How a runtime of several workers ends, step by step (`crew.rs`).

use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;

use asyncio_runtime::{EventLoop, Runner};
use asyncio_tasks::{spawn, spawn_local, spawn_pinned, yield_now};
use asyncio_timers::sleep;

use super::runner;

/// A runner whose closing does not wait for tasks that would not end.
fn hurried(workers: usize) -> Runner {
    Runner::builder().workers(workers).cleanup_grace(Duration::ZERO).build().unwrap()
}

/// Tasks of the executor alone: they do not know what it is to be cancelled, and so are left for the steps of closing.
mod stubborn {
    use asyncio_executor::TaskOptions;
    use std::future::Future;

    pub(super) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
        asyncio_executor::spawn(TaskOptions::here(), future).unwrap().detach();
    }

    pub(super) fn spawn_local(future: impl Future<Output = ()> + 'static) {
        asyncio_executor::spawn_local(TaskOptions::here(), future).unwrap().detach();
    }

    pub(super) fn spawn_pinned<F>(worker: usize, make: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + 'static,
    {
        asyncio_executor::spawn_pinned(worker, TaskOptions::here(), make).unwrap().detach();
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
    let mut runner = hurried(2);
    let main = thread::current().id();
    let other = runner.run(async {
        let (anywhere, here, there) = (witness("anywhere"), witness("here"), witness("there"));
        stubborn::spawn(async move {
            let _witness = anywhere;
            pending::<()>().await;
        });
        stubborn::spawn_local(async move {
            let _witness = here;
            pending::<()>().await;
        });
        stubborn::spawn_pinned(1, move || {
            let there = there;
            let mut told = false;
            poll_fn(move |_| {
                let _ = &there;
                if std::mem::replace(&mut told, true) { Poll::Ready(()) } else { Poll::<()>::Pending }
            })
        });
        spawn_pinned(1, || async { thread::current().id() }).unwrap().await.unwrap()
    });
    runner.close();
    let notes = notes.lock().unwrap();
    assert!(notes.contains(&("anywhere", main, true)), "{notes:?}");
    assert!(notes.contains(&("here", main, true)), "{notes:?}");
    assert!(notes.contains(&("there", other, true)), "{notes:?}");
    assert_eq!(notes.len(), 3);
}

/// W3: where the drops of futures that may run anywhere spawn, and sleep, as they may with one worker.
#[test]
fn a_drop_at_closing_may_use_its_loop() {
    struct Spawns(Arc<AtomicUsize>);
    impl Drop for Spawns {
        fn drop(&mut self) {
            let count = self.0.clone();
            spawn(async {}).detach();
            spawn_local(async {}).detach();
            assert!(EventLoop::current().is_err(), "none runs any more");
            count.fetch_add(1, Ordering::SeqCst);
        }
    }
    for workers in [1, 2] {
        let count = Arc::new(AtomicUsize::new(0));
        let mut runner = hurried(workers);
        runner.run(async {
            let (one, two) = (Spawns(count.clone()), Spawns(count.clone()));
            stubborn::spawn(async move {
                let _both = (one, two);
                pending::<()>().await;
            });
            yield_now().await;
        });
        runner.close();
        assert_eq!(count.load(Ordering::SeqCst), 2, "{workers} workers");
    }
}

/// W2: whoever is in a poll ends it first.
#[test]
fn closing_waits_for_the_polls_that_are_going_on() {
    struct Gone(Arc<AtomicBool>, Arc<AtomicBool>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.1.fetch_or(!self.0.load(Ordering::SeqCst), Ordering::SeqCst);
        }
    }
    let mut runner = hurried(3);
    let main = runner.event_loop();
    let (has_ended, saw_gone) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let bystander = || Gone(has_ended.clone(), saw_gone.clone());
    runner.run(async {
        let (anywhere, here, there) = (bystander(), bystander(), bystander());
        let waits = |gone| async move {
            let _gone: Gone = gone;
            pending::<()>().await;
        };
        stubborn::spawn(waits(anywhere));
        stubborn::spawn_local(waits(here));
        stubborn::spawn_pinned(2, move || waits(there));
        let (told, hears) = mpsc::channel();
        let has_ended = has_ended.clone();
        let busy = spawn_pinned(1, move || async move {
            told.send(()).unwrap();
            while !main.is_closed() {
                thread::yield_now();
            }
            // Closing has begun. One that does not wait for this poll gets the time to show it; one that does passes whatever time this takes.
            thread::sleep(Duration::from_millis(20));
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
    // To join a thread is to learn that it runs nothing any more; Linux takes it off its list a moment later
    // (`mm_release` wakes who joins, `release_task` comes after it). A worker that was not joined stays for good.
    while named("ended") > 0 {
        thread::yield_now();
    }
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
    let mut runner = hurried(2);
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
