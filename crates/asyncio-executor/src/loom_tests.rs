//! Loom models of the remote side of the queue and of parking.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p asyncio-executor --lib`. Loom does not see into `async-task`, so what goes through
//! a task's own state is left to ThreadSanitizer; here stand the queue and the flag that a parked loop is woken by.

use asyncio_base::shim::{Arc, AtomicBool, Ordering, thread};
use concurrent_queue::ConcurrentQueue;
use loom::model;
use loom::sync::Notify;

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
