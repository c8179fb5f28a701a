//! One program with every primitive in it, whose tasks need each other: whoever misses a wake hangs the whole. The tests of the facade run it, too.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use asyncio_sync::{
    Barrier, Condition, Event, Mutex, OnceCell, Queue, RwLock, Semaphore, Shutdown, broadcast, channel,
    oneshot, watch,
};

pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Returns its tasks, and what ends when they have done their work.
pub(crate) fn program() -> (Vec<Task>, impl Future<Output = ()> + Send) {
    const WORKERS: usize = 8;
    const ITEMS: usize = 50;
    let total = Arc::new(Mutex::new(0));
    let seen = Arc::new(RwLock::new(Vec::new()));
    let (queue, limit) = (Arc::new(Queue::new(4)), Arc::new(Semaphore::new(3)));
    let (started, barrier) = (Arc::new(Event::new()), Arc::new(Barrier::new(WORKERS)));
    let (finished, setting) = (Arc::new(Condition::new(0)), Arc::new(OnceCell::new()));
    let (results, receiver) = channel(2);
    let (news, _) = broadcast(64);
    let (progress, mut followed) = watch(0);
    let (answer, question) = oneshot();
    let mut tasks: Vec<Task> = Vec::new();
    for n in 0..WORKERS {
        let (total, seen, queue, limit) = (total.clone(), seen.clone(), queue.clone(), limit.clone());
        let (started, barrier, finished, setting) =
            (started.clone(), barrier.clone(), finished.clone(), setting.clone());
        let (results, mut news, progress) = (results.clone(), news.subscribe(), progress.clone());
        tasks.push(Box::pin(async move {
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
        }));
    }
    drop(results);
    let producer = queue.clone();
    tasks.push(Box::pin(async move {
        started.set();
        for item in 0..ITEMS {
            producer.put(item).await.unwrap();
        }
        producer.join().await;
        producer.shutdown(Shutdown::AfterDrain);
        news.send("over").unwrap();
        answer.send(seen.read().await.len()).unwrap();
    }));
    let end = async move {
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
    };
    (tasks, end)
}
