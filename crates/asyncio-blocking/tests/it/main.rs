//! What users of `asyncio-blocking` may rely on.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use asyncio_base::report;
use asyncio_blocking::{Call, Inline, Job, Pool, ThreadPool, to_thread};
use asyncio_executor::block_on;
use asyncio_runtime::Runner;
use asyncio_tasks::{Context as TaskContext, spawn_local};
use static_assertions::assert_impl_all;

assert_impl_all!(Call<u8>: Send, Sync);
assert_impl_all!(ThreadPool: Send, Sync, Pool);

asyncio_tasks::task_local! { static REQUEST: u32; }

#[test]
fn a_call_runs_elsewhere_and_the_loop_goes_on() {
    let here = thread::current().id();
    let (started, finish) = (Arc::new(Barrier::new(2)), channel::<()>());
    let mut runner = Runner::new().unwrap();
    runner.run(async {
        let barrier = started.clone();
        let receiver = finish.1;
        let call = to_thread(move || {
            barrier.wait();
            receiver.recv().unwrap();
            thread::current().id()
        });
        started.wait();
        // The loop polls other things while the call blocks its thread.
        let other = spawn_local(async { 7 });
        assert_eq!(other.await.unwrap(), 7);
        finish.0.send(()).unwrap();
        assert_ne!(call.await.unwrap(), here);
    });
}

#[test]
fn a_panic_comes_back_as_an_error_and_the_thread_lives_on() {
    let pool = ThreadPool::new(1);
    let error = block_on(pool.run(|| panic!("a bug"))).unwrap_err();
    assert_eq!(error.into_panic().downcast_ref(), Some(&"a bug"));
    assert_eq!(block_on(pool.run(|| 1)).unwrap(), 1);
    assert_eq!(pool.threads(), 1);
}

#[test]
fn calls_run_side_by_side_up_to_the_most_and_the_rest_in_order() {
    let pool = ThreadPool::new(2);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let order = Arc::new(Mutex::new(Vec::new()));
    let both = Arc::new(Barrier::new(2));
    let calls: Vec<_> = (0..20)
        .map(|n| {
            let (now, most, order, both) = (now.clone(), most.clone(), order.clone(), both.clone());
            pool.run(move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                order.lock().unwrap().push(n);
                // Two at a time: it hangs if they do not run side by side.
                both.wait();
                now.fetch_sub(1, Ordering::SeqCst);
            })
        })
        .collect();
    calls.into_iter().for_each(|call| block_on(call).unwrap());
    assert_eq!(most.load(Ordering::SeqCst), 2);
    let order = order.lock().unwrap();
    for (place, n) in order.iter().enumerate() {
        assert!(place.abs_diff(*n) <= 1, "first in, first out, but for the two that run: {order:?}");
    }
}

/// A pool of one thread, which waits until it is told to go on.
fn blocked() -> (ThreadPool, impl FnOnce()) {
    let pool = ThreadPool::new(1);
    let (release, released) = channel::<()>();
    let started = Arc::new(Barrier::new(2));
    let barrier = started.clone();
    let call = pool.run(move || {
        barrier.wait();
        let _ = released.recv();
    });
    started.wait();
    // Dropping the future of a call that runs does not stop it.
    drop(call);
    (pool, move || drop(release))
}

#[test]
fn a_call_in_line_is_cancelled_by_being_dropped_and_what_it_holds_is_dropped() {
    let (pool, release) = blocked();
    let held = Arc::new(());
    let inside = held.clone();
    let call = pool.run(move || drop(inside));
    assert_eq!(Arc::strong_count(&held), 2);
    drop(call);
    assert_eq!(Arc::strong_count(&held), 1);
    release();
    assert_eq!(block_on(pool.run(|| 3)).unwrap(), 3);
}

#[test]
fn what_a_call_returns_is_dropped_if_nobody_waits() {
    let (pool, release) = blocked();
    struct Tells(std::sync::mpsc::Sender<thread::ThreadId>);
    impl Drop for Tells {
        fn drop(&mut self) {
            let _ = self.0.send(thread::current().id());
        }
    }
    let (sender, receiver) = channel();
    let (begun, has_begun) = channel();
    let (end, may_end) = channel::<()>();
    let call = pool.run(move || {
        begun.send(()).unwrap();
        let _ = may_end.recv();
        Tells(sender)
    });
    release();
    has_begun.recv().unwrap();
    drop(call);
    drop(end);
    assert_ne!(receiver.recv().unwrap(), thread::current().id());
}

#[test]
fn closing_cancels_those_in_line_and_waits_for_those_that_run() {
    let (pool, release) = blocked();
    let queued = pool.run(|| 1);
    let closer = thread::spawn({
        move || {
            let has_ended = pool.close(Duration::from_secs(60));
            (has_ended, pool)
        }
    });
    let error = block_on(queued).unwrap_err();
    assert!(error.is_cancelled());
    assert_eq!(error.reason(), Some("the pool of threads was closed before the call had begun"));
    release();
    let (has_ended, pool) = closer.join().unwrap();
    assert!(has_ended);
    assert_eq!(pool.threads(), 0);
    assert!(block_on(pool.run(|| 2)).unwrap_err().is_cancelled(), "it takes no more");
}

#[test]
fn closing_has_a_bound() {
    let (pool, release) = blocked();
    let begin = Instant::now();
    assert!(!pool.close(Duration::from_millis(10)));
    assert!(begin.elapsed() >= Duration::from_millis(10));
    release();
}

#[test]
fn the_end_of_a_runtime_waits_for_its_calls() {
    let ended = Arc::new(AtomicUsize::new(0));
    let inside = ended.clone();
    let mut runner = Runner::builder().blocking_threads_max(1).build().unwrap();
    let mut queued = None;
    runner.run(async {
        let (begun, has_begun) = channel();
        let (release, released) = channel::<()>();
        // Forgotten: dropped, it might be cancelled before it begins.
        std::mem::forget(to_thread(move || {
            begun.send(()).unwrap();
            // Until the pool is being closed: then the one in line is dropped.
            let _ = released.recv();
            inside.fetch_add(1, Ordering::SeqCst);
        }));
        has_begun.recv().unwrap();
        queued = Some(to_thread(move || drop(release)));
    });
    runner.close();
    assert_eq!(ended.load(Ordering::SeqCst), 1);
    assert!(block_on(queued.unwrap()).unwrap_err().is_cancelled());
}

#[test]
fn the_context_goes_along() {
    REQUEST.set(7);
    assert_eq!(block_on(to_thread(|| REQUEST.get())).unwrap(), 7);
    let context = TaskContext::capture();
    assert_eq!(block_on(to_thread(move || context.run(|| REQUEST.get()))).unwrap(), 7);
}

#[test]
fn calls_beyond_the_idle_threads_have_threads_started() {
    // Often, since one cannot see from outside when a thread has become idle.
    for _ in 0..200 {
        let pool = ThreadPool::new(2);
        block_on(pool.run(|| ())).unwrap();
        (0..100).for_each(|_| thread::yield_now());
        // Each of these waits for the other.
        let both = Arc::new(Barrier::new(2));
        let calls = [both.clone(), both].map(|barrier| pool.run(move || barrier.wait().is_leader()));
        let leaders = calls.map(|call| block_on(call).unwrap());
        assert_ne!(leaders[0], leaders[1]);
    }
}

#[test]
fn idle_threads_end() {
    let pool = ThreadPool::builder().threads_max(4).keep_alive(Duration::from_millis(1)).build();
    block_on(pool.run(|| ())).unwrap();
    let begin = Instant::now();
    while pool.threads() > 0 {
        assert!(begin.elapsed() < Duration::from_secs(60));
        thread::yield_now();
    }
    assert_eq!(block_on(pool.run(|| 5)).unwrap(), 5);
}

#[test]
fn a_pool_of_somebody_elses() {
    struct Refuses;
    impl Pool for Refuses {
        fn run(&self, job: Job) {
            drop(job);
        }
    }
    let pools: [(&dyn Pool, bool); 2] = [(&Inline, true), (&Refuses, false)];
    for (pool, runs) in pools {
        assert_eq!(block_on(pool.call(|| 1)).is_ok(), runs);
    }
}

#[test]
fn under_executors_of_others() {
    let mut local = futures::executor::LocalPool::new();
    assert_eq!(local.run_until(to_thread(|| 1)).unwrap(), 1);
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(tokio.block_on(to_thread(|| 2)).unwrap(), 2);
}

#[test]
fn many_calls_at_once() {
    let calls: Vec<_> = (0..1000).map(|n| to_thread(move || n)).collect();
    let sum: usize = calls.into_iter().map(|call| block_on(call).unwrap()).sum();
    assert_eq!(sum, 499_500);
}

#[test]
fn threads_that_are_kept_for_ever_and_a_close_without_time() {
    let pool = ThreadPool::builder().threads_max(1).keep_alive(Duration::MAX).build();
    assert_eq!(block_on(pool.run(|| 1)).unwrap(), 1);
    while !pool.close(Duration::ZERO) {
        thread::yield_now();
    }
}

#[test]
fn what_does_not_end_is_named_by_its_place() {
    let (pool, release) = blocked();
    let reports = Rc::new(RefCell::new(Vec::new()));
    let sink = reports.clone();
    report::with_handler(Rc::new(move |report| sink.borrow_mut().push(report.to_string())), || {
        assert!(!pool.close(Duration::from_millis(1)));
    });
    let reports = reports.borrow();
    assert_eq!(reports.len(), 1);
    assert!(reports[0].contains("1 blocking calls") && reports[0].contains(file!()), "{reports:?}");
    release();
}

#[test]
fn a_line_may_have_a_bound() {
    let pool = ThreadPool::builder().threads_max(1).calls_max(2).name("bounded").build();
    let (begun, has_begun) = channel();
    let (release, released) = channel::<()>();
    let running = pool.run(move || {
        begun.send(thread::current().name().map(str::to_owned)).unwrap();
        let _ = released.recv();
    });
    assert_eq!(has_begun.recv().unwrap().as_deref(), Some("bounded-1"));
    let waiting = [pool.run(|| 1), pool.run(|| 2)];
    let error = block_on(pool.run(|| 3)).unwrap_err();
    assert!(error.is_cancelled() && error.reason().unwrap().contains("as many calls wait"), "{error}");
    drop(release);
    assert_eq!(waiting.map(|call| block_on(call).unwrap()), [1, 2], "those that may wait run, in order");
    block_on(running).unwrap();
}

#[test]
fn ten_thousand_panics_are_ten_thousand_errors() {
    std::panic::set_hook(Box::new(|_| ()));
    let pool = ThreadPool::new(3);
    let calls: Vec<_> = (0..10_000).map(|n| pool.run(move || std::panic::panic_any(n))).collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(block_on(call).unwrap_err().into_panic().downcast_ref(), Some(&(n as i32)));
    }
    assert!(pool.threads() <= 3);
    let _ = std::panic::take_hook();
    assert_eq!(block_on(pool.run(|| 1)).unwrap(), 1);
}

#[test]
fn a_call_may_call_and_block() {
    let nested = to_thread(|| {
        let inner = block_on(to_thread(|| asyncio_runtime::run(async { to_thread(|| 3).await.unwrap() })));
        inner.unwrap() + 1
    });
    assert_eq!(block_on(nested).unwrap(), 4);
}

/// A thread that is about to end takes it, or another one is started.
#[test]
fn a_call_that_comes_when_an_idle_thread_ends_is_run() {
    let pool = ThreadPool::builder().threads_max(2).keep_alive(Duration::from_micros(100)).build();
    for n in 0..3000_u64 {
        assert_eq!(block_on(pool.run(move || n)).unwrap(), n);
        // About as long as a thread is kept, more and less.
        let until = Instant::now() + Duration::from_nanos(60_000 + n % 80 * 1000);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
    }
}

#[test]
fn many_submitters_lose_nothing() {
    let pool = Arc::new(ThreadPool::new(4));
    let submitters: Vec<_> = (0..8)
        .map(|_| {
            let pool = pool.clone();
            thread::spawn(move || {
                let calls: Vec<_> = (0..10_000_u64).map(|n| pool.run(move || n)).collect();
                calls.into_iter().map(|call| block_on(call).unwrap()).sum::<u64>()
            })
        })
        .collect();
    for submitter in submitters {
        assert_eq!(submitter.join().unwrap(), 49_995_000);
    }
}

/// The system gives no more threads: those that there are do it all, and where there is none it is an error.
#[cfg(target_os = "linux")]
#[test]
fn threads_that_cannot_be_started() {
    use rustix::process::{Resource, Rlimit, getuid, setrlimit};
    use std::os::unix::process::CommandExt;
    if std::env::var_os("ASYNCIO_SCENE").is_some() {
        let pool = ThreadPool::new(4);
        block_on(pool.run(|| ())).unwrap();
        setrlimit(Resource::Nproc, Rlimit { current: Some(0), maximum: Some(0) }).unwrap();
        let calls: Vec<_> = (0..100_000_u64).map(|n| pool.run(move || n)).collect();
        let sum: u64 = calls.into_iter().map(|call| block_on(call).unwrap()).sum();
        assert_eq!((sum, pool.threads()), (4_999_950_000, 1));
        let other = ThreadPool::new(4);
        for _ in 0..3 {
            let error = block_on(other.run(|| ())).unwrap_err();
            assert_eq!(error.reason(), Some("no thread could be started for the call"));
        }
        assert_eq!(other.threads(), 0);
        return;
    }
    // A copy, which nobody may execute: the limit does not hold for root.
    let copy = std::env::temp_dir().join(format!("asyncio-blocking-{}", std::process::id()));
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let mut command = std::process::Command::new(&copy);
    if getuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    let output = command
        .args(["--exact", "threads_that_cannot_be_started"])
        .env("ASYNCIO_SCENE", "1")
        .current_dir("/")
        .output();
    std::fs::remove_file(&copy).unwrap();
    assert!(output.as_ref().unwrap().status.success(), "{output:?}");
}
