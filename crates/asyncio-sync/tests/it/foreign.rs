//! Under executors of others: futures' `LocalPool`, tokio with one thread and with two, and threads that block.

use futures::executor::LocalPool;
use futures::task::LocalSpawnExt;

use crate::program::program;

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
