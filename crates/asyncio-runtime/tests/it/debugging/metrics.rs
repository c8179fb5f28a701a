//! What is measured of a loop.

use std::time::Duration;

use asyncio_runtime::{EventLoop, Metrics, Runner};
use asyncio_tasks::{spawn, spawn_local, yield_now};
use asyncio_timers::sleep;

fn measured() -> Runner {
    Runner::builder().metrics(true).build().unwrap()
}

#[test]
fn nothing_is_measured_where_nobody_asks() {
    let mut runner = Runner::builder().debug(false).build().unwrap();
    let metrics = runner.run(async {
        sleep(Duration::from_millis(1)).await;
        EventLoop::current().unwrap().metrics()
    });
    assert_eq!(metrics, Metrics::default());
}

#[test]
fn polls_and_the_wakes_among_them_are_counted() {
    let mut runner = measured();
    runner.run(async {
        spawn_local(async {}).await.unwrap();
        let wakes_itself = async {
            for _ in 0..10 {
                yield_now().await;
            }
        };
        spawn(wakes_itself).await.unwrap();
    });
    let metrics = runner.event_loop().metrics();
    assert_eq!((metrics.polls, metrics.wakes), (12, 10));
    assert!(metrics.busy > Duration::ZERO);
}

#[test]
fn turns_timers_and_time_without_work_are_counted() {
    let mut runner = measured();
    runner.run(async {
        for _ in 0..3 {
            sleep(Duration::from_millis(2)).await;
        }
        spawn_local(sleep(Duration::from_secs(1000))).detach();
        sleep(Duration::from_millis(1)).await;
    });
    let metrics = runner.event_loop().metrics();
    assert_eq!(metrics.timers_fired, 4);
    assert_eq!((metrics.timers, metrics.tasks), (1, 1), "as the loop saw them last");
    assert!(metrics.turns >= 4, "{metrics:?}");
    assert!(metrics.idle >= Duration::from_millis(7), "it has waited for four timers: {metrics:?}");
    assert_eq!(metrics.io_events, 0);
}

#[cfg(unix)]
#[test]
fn events_are_counted() {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    let mut runner = measured();
    let (mut one, other) = UnixStream::pair().unwrap();
    let event_loop = runner.event_loop();
    let reader = event_loop
        .add_reader(other, {
            let event_loop = event_loop.clone();
            move || event_loop.stop()
        })
        .unwrap();
    one.write_all(b"x").unwrap();
    runner.run_forever();
    reader.cancel();
    assert!(event_loop.metrics().io_events > 0);
}

#[test]
fn a_loop_that_is_held_lags() {
    let mut runner = measured();
    runner.run(async {
        sleep(Duration::from_millis(1)).await;
        // Holds the loop, which is what is measured.
        std::thread::sleep(Duration::from_millis(20));
        sleep(Duration::from_millis(1)).await;
    });
    let event_loop = runner.event_loop();
    let before = event_loop.metrics().lag;
    assert!(before.max() >= Duration::from_millis(20), "{before}");
    // What is done between two runs is nobody's lag.
    std::thread::sleep(Duration::from_secs(1));
    runner.run(sleep(Duration::from_millis(1)));
    let lag = event_loop.metrics().lag;
    assert!(lag.count() > before.count());
    // A class is known to a factor of two.
    let as_long = |lag: &asyncio_runtime::Histogram| {
        lag.classes()
            .filter(|(below, _)| *below > Duration::from_secs(1))
            .map(|(_, count)| count)
            .sum::<u64>()
    };
    assert_eq!(as_long(&lag), as_long(&before), "{lag}");
}

#[test]
fn each_worker_is_measured_by_itself() {
    let mut runner = Runner::builder().workers(2).metrics(true).build().unwrap();
    runner.run(async {
        for _ in 0..5 {
            asyncio_tasks::spawn_pinned(1, || async {}).unwrap().await.unwrap();
        }
    });
    let event_loops = runner.event_loops();
    let polls = || event_loops.iter().map(|event_loop| event_loop.metrics().polls).collect::<Vec<u64>>();
    // A poll is counted when it is over, which is after whoever awaits was woken by it.
    while polls()[1] < 5 {
        std::thread::yield_now();
    }
    assert_eq!(polls(), [0, 5]);
}

#[test]
fn what_a_turn_of_a_host_polls_last_lags_too() {
    let mut runner = measured();
    let event_loop = runner.event_loop();
    // Due in the look of the turn, and called after it.
    let was_called = std::rc::Rc::new(std::cell::Cell::new(false));
    let flag = was_called.clone();
    let holds = move || {
        // Holds the turn, which is what is measured.
        std::thread::sleep(Duration::from_millis(20));
        flag.set(true);
    };
    event_loop.call_later(Duration::from_millis(1), holds).unwrap();
    while !was_called.get() {
        runner.turn(None).unwrap();
    }
    assert!(event_loop.metrics().lag.max() >= Duration::from_millis(20), "{}", event_loop.metrics().lag);
}
