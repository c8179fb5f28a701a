//! Every primitive on our own loop: with one worker, with two, and between a loop and plain threads.

#![allow(clippy::unwrap_used, reason = "a test that finds nothing fails, also in a helper")]

#[path = "../../asyncio-sync/tests/it/program.rs"]
mod program;

use std::sync::Arc;
use std::time::Duration;

use asyncio::sync::{Condition, Mutex, channel, oneshot};

async fn program() {
    let (tasks, end) = program::program();
    tasks.into_iter().for_each(|task| _ = asyncio::spawn(task));
    end.await;
}

#[asyncio::test]
async fn on_one_worker() {
    asyncio::timeout(Duration::from_secs(30), program()).await.unwrap();
}

#[asyncio::test(workers = 2)]
async fn on_two_workers() {
    for _ in 0..20 {
        asyncio::timeout(Duration::from_secs(30), program()).await.unwrap();
    }
}

#[asyncio::test]
async fn between_a_loop_and_threads() {
    let (requests, received) = channel(2);
    let thread = std::thread::spawn(move || {
        while let Ok((n, answer)) = received.recv_blocking() {
            let answer: asyncio::sync::oneshot::Sender<u32> = answer;
            answer.send(n * 2).unwrap();
        }
    });
    for n in 0..1000 {
        let (answer, question) = oneshot();
        requests.send((n, answer)).await.unwrap();
        assert_eq!(question.await, Ok(n * 2));
    }
    drop(requests);
    thread.join().unwrap();
}

/// A timeout around anything that waits: the next in line goes on.
#[asyncio::test]
async fn a_timeout_gives_its_turn_to_the_next() {
    let mutex = Arc::new(Mutex::new(0));
    let guard = mutex.lock().await;
    let late = asyncio::timeout(Duration::from_millis(5), mutex.lock()).await;
    assert!(late.is_err());
    let next = asyncio::spawn({
        let mutex = mutex.clone();
        async move { *mutex.lock().await += 1 }
    });
    asyncio::yield_now().await;
    drop(guard);
    next.await.unwrap();
    let condition = Condition::new(1);
    let mut guard = condition.lock().await;
    assert!(asyncio::timeout(Duration::from_millis(5), guard.wait()).await.is_err());
    guard.relock().await;
    assert_eq!(*guard, 1);
}
