//! `run` and `Runner`: borrowing, order, nesting, panics.

use asyncio_runtime::{EventLoop, run};
use asyncio_tasks::{spawn, spawn_local, yield_now};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use crate::worlds::{on_each, runners};

#[test]
fn main_may_borrow_and_need_not_be_send() {
    for mut runner in runners() {
        let log = RefCell::new(Vec::new());
        let rc = Rc::new(3);
        let out = runner.run(async {
            log.borrow_mut().push(*rc);
            yield_now().await;
            &log
        });
        assert_eq!(*out.borrow(), [3]);
    }
}

#[test]
fn main_has_its_turn_among_the_tasks() {
    on_each(async || {
        let log = Rc::new(RefCell::new(Vec::new()));
        for n in ["a", "b"] {
            let log = log.clone();
            spawn_local(async move {
                for step in 0..2 {
                    log.borrow_mut().push(format!("{n}{step}"));
                    yield_now().await;
                }
            })
            .detach();
        }
        for step in 0..2 {
            log.borrow_mut().push(format!("m{step}"));
            yield_now().await;
        }
        assert_eq!(*log.borrow(), ["m0", "a0", "b0", "m1", "a1", "b1"][..log.borrow().len()]);
        assert!(log.borrow().len() >= 4);
    });
}

#[test]
fn one_loop_runs_many_times_and_keeps_its_tasks() {
    for mut runner in runners() {
        let count = Rc::new(Cell::new(0));
        let task = runner.run(async {
            let count = count.clone();
            spawn_local(async move {
                for _ in 0..10 {
                    count.set(count.get() + 1);
                    yield_now().await;
                }
                "done"
            })
        });
        for _ in 0..3 {
            runner.run(async { yield_now().await });
        }
        assert!(count.get() >= 3);
        assert_eq!(runner.run(task).unwrap(), "done");
    }
}

#[test]
fn a_nested_run_panics_and_names_the_way_out() {
    let panic = catch_unwind(|| run(async { run(async {}) })).unwrap_err();
    let message = asyncio_base::panic::message(&*panic);
    for way in ["Runner", "spawn_local", "to_thread"] {
        assert!(message.contains(way), "{message}");
    }
    run(async {});
}

#[test]
fn a_panic_of_main_goes_on_after_it_was_dropped() {
    struct InLoop<'a>(&'a Cell<bool>);
    impl Drop for InLoop<'_> {
        fn drop(&mut self) {
            self.0.set(EventLoop::current().is_ok());
        }
    }
    for mut runner in runners() {
        let was_in_loop = Cell::new(false);
        let panic = catch_unwind(AssertUnwindSafe(|| {
            runner.run(async {
                let _in_loop = InLoop(&was_in_loop);
                yield_now().await;
                panic!("main");
            })
        }));
        assert_eq!(asyncio_base::panic::message(&*panic.unwrap_err()), "main");
        assert!(was_in_loop.get());
        assert!(EventLoop::current().is_err());
        assert_eq!(runner.run(async { 5 }), 5, "the loop goes on");
    }
}

#[test]
fn a_panic_of_a_task_does_not_take_the_loop_down() {
    on_each(async || {
        assert!(spawn_local(async { panic!("task") }).await.unwrap_err().is_panic());
        assert!(spawn(async { panic!("task") }).await.unwrap_err().is_panic());
        assert_eq!(spawn_local(async { 1 }).await.unwrap(), 1);
        assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
    });
}

#[test]
fn two_loops_in_one_process_do_not_mix() {
    let threads: Vec<_> = (0..4)
        .map(|n| {
            std::thread::spawn(move || {
                run(async move {
                    for _ in 0..100 {
                        asyncio_timers::sleep(std::time::Duration::from_micros(50)).await;
                        assert_eq!(spawn_local(async move { n }).await.unwrap(), n);
                    }
                })
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}
