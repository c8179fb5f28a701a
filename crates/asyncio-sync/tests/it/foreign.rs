//! Under executors of others: futures' `LocalPool` and tokio, with one thread and with two; and our own, by itself.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use asyncio_sync::{
    Barrier, Condition, Event, Mutex, OnceCell, Queue, RwLock, Semaphore, Shutdown, broadcast, channel,
    oneshot, watch,
};
use futures::executor::LocalPool;
use futures::task::LocalSpawnExt;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One program with every primitive in it, as tasks that need each other.
fn program() -> (Vec<Task>, impl Future<Output = ()> + Send) {
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

#[test]
fn under_the_local_pool_of_futures() {
    let mut pool = LocalPool::new();
    let (tasks, end) = program();
    for task in tasks {
        pool.spawner().spawn_local(task).unwrap();
    }
    pool.run_until(end);
}

fn under_tokio(runtime: tokio::runtime::Runtime) {
    runtime.block_on(async {
        let (tasks, end) = program();
        let tasks: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
        tokio::spawn(end).await.unwrap();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn under_tokio_on_one_thread() {
    under_tokio(tokio::runtime::Builder::new_current_thread().build().unwrap());
}

#[test]
fn under_tokio_on_two_threads() {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    under_tokio(builder.worker_threads(2).build().unwrap());
}

#[test]
fn from_plain_threads_that_block() {
    let (tasks, end) = program();
    std::thread::scope(|scope| {
        for task in tasks {
            scope.spawn(move || futures_lite::future::block_on(task));
        }
        futures_lite::future::block_on(end);
    });
}
