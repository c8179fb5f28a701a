//! Time on a loop, by a clock that is played with.

use asyncio_runtime::Runner;
use asyncio_tasks::spawn_local;
use asyncio_timers::{Clock, Interval, ManualClock, now, sleep};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_jumping_clock_takes_no_time() {
    let mut runner = Runner::builder().clock(ManualClock::jumping()).build().unwrap();
    let real = std::time::Instant::now();
    let log = Rc::new(RefCell::new(Vec::new()));
    runner.run(async {
        let start = now();
        let tasks = [3, 1, 2].map(|hours| {
            let log = log.clone();
            spawn_local(async move {
                sleep(hours * HOUR).await;
                log.borrow_mut().push((hours, now().duration_since(start).as_secs() / 3600));
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
        let mut ticks = Interval::new(HOUR);
        for _ in 0..1000 {
            ticks.tick().await;
        }
    });
    assert_eq!(*log.borrow(), [(1, 1), (2, 2), (3, 3)]);
    assert!(real.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_standing_clock_is_moved_from_another_thread() {
    let clock = ManualClock::new();
    let mut runner = Runner::builder().clock(clock.clone()).build().unwrap();
    let start = clock.now();
    let (sender, receiver) = std::sync::mpsc::channel();
    let mover = std::thread::spawn({
        let clock = clock.clone();
        move || {
            receiver.recv().unwrap();
            clock.advance(10 * HOUR);
        }
    });
    let end = runner.run(async {
        spawn_local(async move { sender.send(()).unwrap() }).detach();
        sleep(HOUR).await;
        now()
    });
    assert_eq!(end - start, 10 * HOUR);
    mover.join().unwrap();
}
