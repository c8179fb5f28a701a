//! What other threads do to a task at its end, in random orders.

use std::task::Waker;

use asyncio_base::shim::{Arc, AtomicBool, Mutex, Ordering, thread};
use asyncio_executor::LocalExecutor;

use crate::spawn::spawn;

/// A callback that nobody calls is a deadlock, which shuttle sees.
#[test]
fn a_callback_that_is_registered_while_the_task_ends_is_called() {
    shuttle::check_random(
        || {
            let handed_over = Arc::new(Mutex::new(None));
            let (place, main) = (handed_over.clone(), thread::current());
            let runner = thread::spawn(move || {
                let executor = LocalExecutor::new(Waker::noop().clone());
                let _entered = executor.enter();
                *place.lock() = Some(spawn(async { 7 }));
                main.unpark();
                executor.run_round();
            });
            let task = loop {
                if let Some(task) = handed_over.lock().take() {
                    break task;
                }
                thread::park();
            };
            let is_called = Arc::new(AtomicBool::new(false));
            let (flag, main) = (is_called.clone(), thread::current());
            task.on_done(move |result| {
                assert_eq!(result.ok(), Some(&7));
                flag.store(true, Ordering::SeqCst);
                main.unpark();
            });
            while !is_called.load(Ordering::SeqCst) {
                thread::park();
            }
            runner.join().unwrap();
        },
        10_000,
    );
}
