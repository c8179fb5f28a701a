//! Every primitive on our own loop: with one worker, with two, and between a loop and plain threads.

#![allow(clippy::unwrap_used, reason = "a test that finds nothing fails, also in a helper")]

use std::sync::Arc;
use std::time::Duration;

use asyncio::sync::{
    Barrier, Condition, Event, Mutex, OnceCell, Queue, RwLock, Semaphore, Shutdown, broadcast, channel,
    oneshot, watch,
};

const WORKERS: usize = 8;
const ITEMS: usize = 200;

/// Tasks that need each other: whoever misses a wake hangs the whole.
async fn program() {
    let total = Arc::new(Mutex::new(0));
    let seen = Arc::new(RwLock::new(Vec::new()));
    let (queue, limit) = (Arc::new(Queue::new(4)), Arc::new(Semaphore::new(3)));
    let (started, barrier) = (Arc::new(Event::new()), Arc::new(Barrier::new(WORKERS)));
    let (finished, setting) = (Arc::new(Condition::new(0)), Arc::new(OnceCell::new()));
    let (results, receiver) = channel(2);
    let (news, _) = broadcast(64);
    let (progress, mut followed) = watch(0);
    let (answer, question) = oneshot();
    for n in 0..WORKERS {
        let (total, seen, queue, limit) = (total.clone(), seen.clone(), queue.clone(), limit.clone());
        let (started, barrier, finished, setting) =
            (started.clone(), barrier.clone(), finished.clone(), setting.clone());
        let (results, mut news, progress) = (results.clone(), news.subscribe(), progress.clone());
        asyncio::spawn(async move {
            started.wait().await;
            barrier.wait().await.unwrap();
            let factor = *setting.get_or_init(async || 2).await;
            while let Ok(item) = queue.get().await {
                let _permit = limit.acquire().await.unwrap();
                *total.lock().await += item * factor;
                seen.write().await.push(item);
                progress.send_modify(|done| *done += 1);
                queue.task_done();
            }
            assert_eq!(news.recv().await, Ok("over"));
            results.send(n).await.unwrap();
            let mut guard = finished.lock().await;
            *guard += 1;
            guard.notify_all();
        });
    }
    drop(results);
    let producer = queue.clone();
    asyncio::spawn(async move {
        started.set();
        for item in 0..ITEMS {
            producer.put(item).await.unwrap();
        }
        producer.join().await;
        producer.shutdown(Shutdown::AfterDrain);
        news.send("over").unwrap();
        answer.send(seen.read().await.len()).unwrap();
    });
    followed.wait_for(|done| *done == ITEMS).await.unwrap();
    assert_eq!(question.await, Ok(ITEMS));
    let mut done = Vec::new();
    while let Ok(n) = receiver.recv().await {
        done.push(n);
    }
    done.sort_unstable();
    assert_eq!(done, (0..WORKERS).collect::<Vec<_>>());
    finished.lock().await.wait_for(|n| *n == WORKERS).await;
    assert_eq!(*total.lock().await, ITEMS * (ITEMS - 1));
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
