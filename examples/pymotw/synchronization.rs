//! "Synchronization Primitives": a lock, an event, a condition and a queue. All of them are first in, first out.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use asyncio::sync::{Condition, Event, Mutex, Queue, Shutdown};
use asyncio::{EventLoop, join, scope_local, sleep};

use crate::{Outcome, jumping_clock};

const STEP: Duration = Duration::from_millis(100);

/// What the lock protects: who has had it.
type Journal = Mutex<Vec<&'static str>>;

async fn by_scope(journal: &Journal) {
    println!("first user: waits for the lock");
    {
        let mut journal = journal.lock().await;
        println!("first user: has the lock");
        journal.push("first user");
    }
    println!("first user: has left the block, and the lock with it");
}

async fn by_hand(journal: &Journal) {
    println!("second user: waits for the lock, which is free: {}", journal.try_lock().is_ok());
    let mut guard = journal.lock().await;
    println!("second user: has the lock");
    guard.push("second user");
    drop(guard);
    println!("second user: has given the lock back");
}

/// A lock that is held until a timer gives it back, and two who wait for it.
///
/// A lock protects a value here, which nobody can reach without it, and nobody can give back a lock that he has not. To give it back early is to drop
/// the guard; a guard that is owned may go elsewhere, as into the callback of the timer.
pub fn asyncio_lock() -> Outcome {
    jumping_clock::run(async {
        let journal: Arc<Journal> = Arc::default();
        let mut held = journal.clone().lock_owned().await;
        held.push("main");
        println!("main: has the lock, and leaves it to a timer");
        EventLoop::current()?.call_later(STEP, move || {
            println!("timer: gives the lock back");
            drop(held);
        })?;
        join!(by_scope(&journal), by_hand(&journal));
        println!("main: the lock is held: {}", journal.is_locked());
        let journal = journal.lock().await;
        println!("main: it was held by {:?}", *journal);
        Ok(())
    })
}

async fn waiter(name: &str, event: &Event) {
    println!("{name} waiter: waits for the event");
    event.wait().await;
    println!("{name} waiter: goes on");
}

/// An event that a timer sets, and two who wait for it.
pub fn asyncio_event() -> Outcome {
    jumping_clock::run(async {
        let event = Rc::new(Event::new());
        println!("main: the event is set: {}", event.is_set());
        let of_timer = event.clone();
        EventLoop::current()?.call_later(STEP, move || {
            println!("timer: sets the event");
            of_timer.set();
        })?;
        join!(waiter("first", &event), waiter("second", &event));
        println!("main: the event is set: {}", event.is_set());
        Ok(())
    })
}

async fn consumer(condition: &Condition<()>, number: usize) {
    let mut guard = condition.lock().await;
    println!("consumer {number}: waits");
    guard.wait().await;
    println!("consumer {number}: goes on");
}

/// Five consumers wait for a condition, and are notified: one of them, then two, then all that are left.
///
/// A condition has its lock, and the value that it is about, in it; this one is about nothing. The children of the scope borrow it, so there is
/// nothing to share or to count.
pub fn asyncio_condition() -> Outcome {
    jumping_clock::run(async {
        let condition = &Condition::new(());
        scope_local(async |scope| {
            for number in 0..5 {
                scope.spawn(consumer(condition, number)).detach();
            }
            for count in 1..=2 {
                sleep(STEP).await;
                println!("main: notifies {count}");
                condition.lock().await.notify(count);
            }
            sleep(STEP).await;
            println!("main: notifies all who are left");
            condition.lock().await.notify_all();
        })
        .await;
        println!("main: all have gone on");
        Ok(())
    })
}

async fn produce(queue: &Queue<u32>) -> Outcome {
    for item in 1..=6 {
        queue.put(item).await?;
        println!("producer: has put {item}");
    }
    println!("producer: waits until all of it is done");
    queue.join().await;
    println!("producer: all of it is done");
    queue.shutdown(Shutdown::AfterDrain);
    Ok(())
}

async fn consume(queue: &Queue<u32>, name: &str) {
    while let Ok(item) = queue.get().await {
        println!("{name} consumer: has {item}");
        sleep(item * STEP).await;
        queue.task_done();
    }
    println!("{name} consumer: there is no more");
}

/// A queue of two places between a producer and two consumers, who say when they are done with what they got.
///
/// The end is no item here, so there is no `None` for each consumer: the queue is shut down, as asyncio's can be since 3.13.
pub fn asyncio_queue() -> Outcome {
    jumping_clock::run(async {
        let queue = Queue::new(2);
        let (produced, (), ()) = join!(produce(&queue), consume(&queue, "first"), consume(&queue, "second"));
        produced
    })
}
