//! `block_on` parks, wakes, nests, and borrows.

use asyncio_executor::block_on;
use std::time::Duration;

use crate::support::Yield;

#[test]
fn it_is_woken_from_another_thread() {
    let (sender, receiver) = futures::channel::oneshot::channel();
    let thread = std::thread::spawn(move || {
        std::thread::park_timeout(Duration::from_millis(5));
        sender.send(3).unwrap();
    });
    assert_eq!(block_on(receiver), Ok(3));
    thread.join().unwrap();
}

#[test]
fn it_nests() {
    let outer = block_on(async {
        Yield::default().await;
        let inner = block_on(async {
            Yield::default().await;
            1
        });
        Yield::default().await;
        inner + 1
    });
    assert_eq!(outer, 2);
}
