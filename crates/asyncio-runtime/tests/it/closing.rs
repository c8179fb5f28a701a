//! The end of a loop: everything is dropped in place, in order, and what outlives it says so.

use asyncio_reactor::{Domain, Socket, Type, Waiter, socket};
use asyncio_runtime::{EventLoop, Runner, run};
use asyncio_tasks::{spawn, spawn_local};
use asyncio_timers::{Sleep, sleep};
use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::worlds::{on_each, runners};

#[test]
fn what_is_left_is_dropped_before_run_returns() {
    struct Flag(Rc<Cell<u32>>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    for mut runner in runners() {
        let dropped = Rc::new(Cell::new(0));
        runner.run(async {
            for _ in 0..10 {
                let flag = Flag(dropped.clone());
                spawn_local(async move {
                    let _flag = flag;
                    sleep(Duration::from_secs(3600)).await;
                })
                .detach();
            }
        });
        drop(runner);
        assert_eq!(dropped.get(), 10);
    }
}

#[test]
fn a_socket_that_outlives_its_loop_says_so() {
    runners().into_iter().for_each(outlive);
}

fn outlive(mut runner: Runner) {
    let listener = runner.run(async {
        let listener: Arc<dyn Socket> = socket(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(1).unwrap();
        let accepting = listener.clone();
        spawn_local(async move { accepting.accept().await.map(drop) }).detach();
        asyncio_tasks::yield_now().await;
        listener
    });
    drop(runner);
    let error = asyncio_executor::block_on(listener.accept()).unwrap_err();
    assert!(asyncio_base::is_loop_closed(&error), "{error}");
    let mut waiter = Waiter::new();
    let again = asyncio_executor::block_on(poll_fn(|cx| listener.poll_accept(cx, &mut waiter)));
    assert!(again.is_err());
}

#[test]
fn a_sleep_that_outlives_its_loop_goes_on_elsewhere() {
    for mut runner in runners() {
        let mut nap: Sleep = sleep(Duration::from_millis(2));
        runner.run(async {
            poll_fn(|cx| {
                let _ = std::pin::Pin::new(&mut nap).poll(cx);
                std::task::Poll::Ready(())
            })
            .await
        });
        drop(runner);
        asyncio_executor::block_on(nap);
    }
}

#[test]
fn handles_know_that_the_loop_is_closed() {
    for mut runner in runners() {
        let event_loop: EventLoop = runner.event_loop();
        assert!(!event_loop.is_closed());
        let tasks = runner.run(async { [spawn_local(pending::<()>()), spawn(pending::<()>())] });
        runner.close();
        runner.close();
        assert!(event_loop.is_closed());
        for task in tasks {
            assert!(asyncio_executor::block_on(task).unwrap_err().is_cancelled());
        }
    }
}

#[test]
fn a_thousand_loops_leave_nothing_behind() {
    let descriptors = || std::fs::read_dir("/proc/self/fd").map(Iterator::count).unwrap_or(0);
    let before = descriptors();
    for _ in 0..1000 {
        run(async { sleep(Duration::ZERO).await });
    }
    // Other tests of this process open and close some meanwhile.
    assert!(descriptors() < before + 100);
}

#[test]
fn a_runner_in_a_thread_local_ends_with_its_thread() {
    use std::cell::RefCell;
    thread_local!(static RUNNER: RefCell<Option<Runner>> = const { RefCell::new(None) });
    std::thread::spawn(|| {
        RUNNER.with(|place| {
            let mut runner = Runner::new().unwrap();
            runner.run(async { spawn_local(sleep(Duration::from_secs(3600))).detach() });
            *place.borrow_mut() = Some(runner);
        });
    })
    .join()
    .unwrap();
}

#[test]
fn a_task_handle_does_not_keep_the_loops_descriptors_open() {
    let reactors: Vec<_> = (0..50)
        .map(|_| {
            let mut runner = Runner::new().unwrap();
            runner.run(async { spawn_local(pending::<()>()) })
        })
        .collect();
    let open = std::fs::read_dir("/proc/self/fd").map(Iterator::count).unwrap_or(0);
    assert_eq!(reactors.len(), 50);
    // Two a loop; other tests of this process have some open, too.
    assert!(open < 90, "{open} descriptors are open");
}

#[test]
fn a_panicking_waker_of_somebody_else_does_not_end_the_loop() {
    use std::task::{Context, Wake, Waker};
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker panics on purpose");
        }
    }
    on_each(async || {
        let panics = Waker::from(Arc::new(Panics));
        let mut nap = sleep(Duration::from_millis(1));
        assert!(std::pin::Pin::new(&mut nap).poll(&mut Context::from_waker(&panics)).is_pending());
        sleep(Duration::from_millis(5)).await;
        nap.await;
    });
}
