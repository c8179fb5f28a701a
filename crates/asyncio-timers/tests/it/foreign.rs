//! Alone, under executors that know nothing of it: futures' `LocalPool`, and tokio.

use asyncio_timers::{interval, sleep};
use futures::future::join_all;
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);

async fn sleeps_in_order() {
    let start = Instant::now();
    let order = std::cell::RefCell::new(Vec::new());
    join_all([30, 10, 20].map(|ms| {
        let order = &order;
        async move {
            sleep(ms * MS).await;
            assert!(start.elapsed() >= ms * MS, "early");
            order.borrow_mut().push(ms);
        }
    }))
    .await;
    assert_eq!(*order.borrow(), [10, 20, 30]);
    let mut ticks = interval(MS);
    let first = ticks.tick().await;
    assert_eq!(ticks.tick().await, first + MS);
}

#[test]
fn under_local_pool() {
    futures::executor::LocalPool::new().run_until(sleeps_in_order());
}

#[test]
fn under_tokio() {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(sleeps_in_order());
}
