//! Nobody starves: timers and other threads are seen by a loop that is never idle.

use asyncio_tasks::{spawn_local, yield_now};
use asyncio_timers::sleep;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::worlds::on_each;

#[test]
fn timers_fire_while_tasks_never_stop() {
    on_each(async || {
        let stop = Rc::new(Cell::new(false));
        for _ in 0..3 {
            let stop = stop.clone();
            spawn_local(async move {
                while !stop.get() {
                    yield_now().await;
                }
            })
            .detach();
        }
        sleep(Duration::from_millis(5)).await;
        stop.set(true);
    });
}

#[test]
fn a_main_that_wakes_itself_does_not_starve_the_tasks() {
    // monoio: three million wakes of the root ran none of its tasks.
    on_each(async || {
        let task = spawn_local(async {
            for _ in 0..100 {
                yield_now().await;
            }
        });
        let mut polls = 0;
        while !task.is_finished() {
            polls += 1;
            assert!(polls < 1000, "main starves its task");
            yield_now().await;
        }
    });
}

#[test]
fn a_wake_from_another_thread_is_seen_by_a_busy_loop_and_by_an_idle_one() {
    for busy in [true, false] {
        on_each(async || {
            let (sender, receiver) = futures::channel::oneshot::channel();
            let done = Rc::new(Cell::new(false));
            if busy {
                let done = done.clone();
                spawn_local(async move {
                    while !done.get() {
                        yield_now().await;
                    }
                })
                .detach();
            }
            let thread = std::thread::spawn(move || {
                std::thread::park_timeout(Duration::from_millis(2));
                sender.send(7).unwrap();
            });
            assert_eq!(receiver.await, Ok(7));
            done.set(true);
            thread.join().unwrap();
        });
    }
}

/// A main future with long polls that always wakes itself is interrupted for the events after so much time as a task would be.
#[test]
fn timers_fire_while_a_slow_main_never_stops() {
    use std::future::poll_fn;
    use std::task::Poll;
    on_each(async || {
        let timer = spawn_local(sleep(Duration::from_millis(2)));
        let mut polls = 0;
        poll_fn(|cx| {
            polls += 1;
            assert!(polls < 100, "no look at the timers in 100 ms");
            // A poll that takes long: that it blocks the loop is what the test is about.
            std::thread::sleep(Duration::from_millis(1));
            cx.waker().wake_by_ref();
            if timer.is_finished() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    });
}

#[test]
fn a_main_that_is_always_ready_does_not_starve_the_tasks() {
    use asyncio_base::budget;
    use std::future::poll_fn;
    use std::task::{Poll, ready};
    on_each(async || {
        let task = spawn_local(async {});
        // A socket that always has bytes looks like this to the budget.
        let mut operations = 0;
        poll_fn(|cx| {
            loop {
                ready!(budget::poll_proceed(cx));
                budget::spend();
                operations += 1;
                if task.is_finished() {
                    return Poll::Ready(());
                }
                assert!(operations < 1000, "main starves its task");
            }
        })
        .await;
    });
}
