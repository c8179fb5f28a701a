//! `Queue`: joining and shutting down.

use asyncio_base::shim::{Arc, thread};
use loom::model;

use super::{block_on, once, with_thread};
use crate::{Queue, Shutdown};

#[test]
fn queue_join_against_the_last_that_is_done() {
    model(|| {
        let queue = Arc::new(Queue::new(1));
        queue.try_put(1).unwrap();
        let other = queue.clone();
        with_thread(
            move || {
                other.try_get().unwrap();
                other.task_done();
            },
            || block_on(queue.join()),
        );
    });
}

#[test]
fn queue_shutdown_against_put_and_get() {
    model(|| {
        let queue = Arc::new(Queue::new(1));
        queue.try_put(1).unwrap();
        let (puts, gets) = (queue.clone(), queue.clone());
        let putting = thread::spawn(move || block_on(puts.put(2)).is_ok());
        let getting = thread::spawn(move || std::iter::from_fn(|| block_on(gets.get()).ok()).count());
        queue.shutdown(Shutdown::AfterDrain);
        let has_put = putting.join().unwrap();
        assert_eq!(getting.join().unwrap(), 1 + usize::from(has_put));
    });
}

#[test]
fn queue_immediate_shutdown_against_get() {
    model(|| {
        let queue = Arc::new(Queue::new(2));
        let other = queue.clone();
        let getting = thread::spawn(move || {
            if block_on(other.get()).is_ok() {
                other.task_done();
            }
        });
        _ = queue.try_put(1);
        queue.shutdown(Shutdown::Immediate);
        getting.join().unwrap();
        block_on(queue.join());
        assert!(queue.is_empty());
    });
}

#[test]
fn queue_a_get_that_goes_against_put() {
    model(|| {
        let queue = Arc::new(Queue::new(1));
        let other = queue.clone();
        let going = thread::spawn(move || once(other.get()).is_some());
        block_on(queue.put(1)).unwrap();
        let has_gone_with_it = going.join().unwrap();
        assert_eq!(queue.try_get().is_ok(), !has_gone_with_it);
    });
}
