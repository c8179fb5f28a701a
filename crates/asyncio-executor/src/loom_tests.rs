//! Loom models: the remote side of the queue, parking, and tasks between threads.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p asyncio-executor --lib`. That every task is freed is part of each model (`Core::_track`).

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, Wake, Waker};

use asyncio_base::shim::{Arc, AtomicBool, AtomicU32, Mutex, Ordering, thread};
use concurrent_queue::ConcurrentQueue;
use loom::model;
use loom::sync::Notify;

use crate::{LocalExecutor, TaskOptions};

/// What a parked thread waits on.
struct Park(Notify);

impl Park {
    fn new() -> (Arc<Self>, Waker) {
        let park = Arc::new(Self(Notify::new()));
        (park.clone(), Waker::from(park))
    }
}

impl Wake for Park {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

/// Polls tasks until all have ended. A wake that is lost leaves it parked for ever, which loom reports.
fn run_all(executor: &LocalExecutor, park: &Park) {
    let _entered = executor.enter();
    while !executor.is_empty() {
        if executor.run_round() == 0 {
            park.0.wait();
        }
    }
}

/// Waits for the flag that another thread sets before it takes the waker and wakes it.
#[derive(Default)]
struct Slot {
    is_set: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Slot {
    async fn wait(&self) {
        poll_fn(|cx| {
            *self.waker.lock() = Some(cx.waker().clone());
            if self.is_set.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn set(&self) {
        // Relaxed: that the poll sees it is for the wake to bring about (K3).
        self.is_set.store(true, Ordering::Relaxed);
        let waker = self.waker.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Spawns a task that ends when it is polled and `is_done`, polls it once, and returns its waker.
fn waker_of(executor: &LocalExecutor, is_done: impl Fn() -> bool + 'static) -> Waker {
    let slot = Arc::new(Mutex::new(None));
    let place = slot.clone();
    executor.spawn(poll_fn(move |cx| {
        place.lock().get_or_insert_with(|| cx.waker().clone());
        if is_done() { Poll::Ready(()) } else { Poll::Pending }
    }));
    let _entered = executor.enter();
    executor.run_round();
    let waker = slot.lock().take();
    waker.unwrap()
}

/// Counts its drops.
struct Counted(Arc<AtomicU32>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn remote_wake_against_poll() {
    model(|| {
        let (park, unpark) = Park::new();
        let executor = LocalExecutor::new(unpark);
        let slot = Arc::new(Slot::default());
        executor.spawn({
            let slot = slot.clone();
            async move { slot.wait().await }
        });
        let remote = thread::spawn(move || slot.set());
        run_all(&executor, &park);
        remote.join().unwrap();
    });
}

/// Two wakes of one task: K3's flag makes one push of them, or two, and what either published is seen.
#[test]
fn two_remote_wakes_against_poll() {
    model(|| {
        let (park, unpark) = Park::new();
        let executor = LocalExecutor::new(unpark);
        let flags = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let seen = flags.clone();
        let waker = waker_of(&executor, move || seen.iter().all(|flag| flag.load(Ordering::Relaxed)));
        let remotes = [0, 1].map(|n| {
            let (flags, waker) = (flags.clone(), waker.clone());
            thread::spawn(move || {
                flags[n].store(true, Ordering::Relaxed);
                waker.wake();
            })
        });
        drop(waker);
        run_all(&executor, &park);
        remotes.into_iter().for_each(|remote| remote.join().unwrap());
    });
}

#[test]
fn handle_awaited_on_another_thread() {
    model(|| {
        let (park, unpark) = Park::new();
        let executor = LocalExecutor::new(unpark);
        let handle = executor.spawn(async { 7 });
        let remote = thread::spawn(move || {
            let mut handle = pin!(handle);
            // The first waker is replaced before the task may have woken it.
            let (_, first) = Park::new();
            if let Poll::Ready(output) = handle.as_mut().poll(&mut Context::from_waker(&first)) {
                return output;
            }
            let (park, waker) = Park::new();
            loop {
                if let Poll::Ready(output) = handle.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return output;
                }
                park.0.wait();
            }
        });
        run_all(&executor, &park);
        assert_eq!(remote.join().unwrap(), Some(7));
    });
}

/// A handle that waits, and goes at the moment of the end: its waker is dropped and the output is, once.
#[test]
fn handle_dropped_on_another_thread() {
    model(|| {
        let (park, unpark) = Park::new();
        let executor = LocalExecutor::new(unpark);
        let drops = Arc::new(AtomicU32::new(0));
        let output = Counted(drops.clone());
        let mut handle = executor.spawn(async move { output });
        let remote = thread::spawn(move || {
            let (_, waker) = Park::new();
            let _ = std::pin::Pin::new(&mut handle).poll(&mut Context::from_waker(&waker));
        });
        run_all(&executor, &park);
        remote.join().unwrap();
        drop(executor);
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

/// Wakers that are cloned and dropped elsewhere while the task ends and settles its counts.
#[test]
fn waker_dropped_against_end() {
    model(|| {
        let (park, unpark) = Park::new();
        let executor = LocalExecutor::new(unpark);
        let waker = Arc::new(Mutex::new(None));
        executor.spawn({
            let place = waker.clone();
            let mut has_waited = false;
            poll_fn(move |cx| {
                if std::mem::replace(&mut has_waited, true) {
                    place.lock().take();
                    return Poll::Ready(());
                }
                *place.lock() = Some(cx.waker().clone());
                cx.waker().wake_by_ref();
                Poll::Pending
            })
        });
        let remote = thread::spawn({
            let place = waker.clone();
            move || {
                let waker = place.lock().clone();
                if let Some(waker) = waker {
                    drop(waker.clone());
                    waker.wake_by_ref();
                }
            }
        });
        run_all(&executor, &park);
        remote.join().unwrap();
    });
}

/// E3: closing drops the future here, whatever a wake is in the midst of there.
#[test]
fn remote_wake_against_close() {
    model(|| {
        let (_, unpark) = Park::new();
        let executor = LocalExecutor::new(unpark);
        let drops = Arc::new(AtomicU32::new(0));
        let guard = Counted(drops.clone());
        let waker = waker_of(&executor, move || {
            let _ = &guard;
            false
        });
        let remote = thread::spawn(move || waker.wake());
        // Keeps the queue until the end: `Arc` is std's, so loom does not see that its last drop comes after all others.
        let _keeps_queue = executor.main_waker();
        drop(executor);
        assert_eq!(drops.load(Ordering::Relaxed), 1, "before the wake has gone through");
        remote.join().unwrap();
    });
}

/// Push against park: whoever parks after it has found the queue empty is woken.
#[test]
fn push_against_park() {
    model(|| {
        let queue = Arc::new(ConcurrentQueue::unbounded());
        let unpark = Arc::new(Notify::new());
        let remote = thread::spawn({
            let (queue, unpark) = (queue.clone(), unpark.clone());
            move || {
                assert!(queue.push(7).is_ok());
                unpark.notify();
            }
        });
        loop {
            if let Ok(item) = queue.pop() {
                assert_eq!(item, 7);
                break;
            }
            unpark.wait();
        }
        remote.join().unwrap();
    });
}

/// Push against close: the item is taken by the owner, or comes back to the pusher; it is never left inside.
#[test]
fn push_against_close() {
    model(|| {
        let queue = Arc::new(ConcurrentQueue::unbounded());
        let came_back = Arc::new(AtomicBool::new(false));
        let remote = thread::spawn({
            let (queue, came_back) = (queue.clone(), came_back.clone());
            move || came_back.store(queue.push(7).is_err(), Ordering::Release)
        });
        queue.close();
        let mut taken = 0;
        loop {
            match queue.pop() {
                Ok(_) => taken += 1,
                Err(concurrent_queue::PopError::Closed) => break,
                Err(concurrent_queue::PopError::Empty) => thread::yield_now(),
            }
        }
        remote.join().unwrap();
        assert_eq!(taken + usize::from(came_back.load(Ordering::Acquire)), 1);
    });
}

/// A task that comes from another thread while the executor closes: its future is dropped once, and the handle knows.
#[test]
fn remote_spawn_against_close() {
    model(|| {
        let (_, unpark) = Park::new();
        let executor = LocalExecutor::new(unpark);
        let drops = Arc::new(AtomicU32::new(0));
        let (spawner, guard) = (executor.spawner(), Counted(drops.clone()));
        let remote = thread::spawn(move || {
            let task = async move { drop(guard) };
            let handle = spawner.spawn(TaskOptions::here(), task);
            (handle.is_ok_and(|handle| !handle.is_finished()), spawner)
        });
        executor.run_round();
        drop(executor);
        // The spawner keeps the queue until here, as in the model above.
        let (_, _keeps_queue) = remote.join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}
