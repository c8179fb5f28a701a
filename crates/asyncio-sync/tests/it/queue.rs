//! `Queue`, `LifoQueue`, `PriorityQueue`: the laws of asyncio's.

use asyncio_sync::{
    LifoQueue, PriorityQueue, PutError, Queue, QueueShutDown, Shutdown, TooManyDone, TryRecvError,
};

use crate::support::{Hand, block_on, once, threads};

#[test]
fn each_kind_has_its_order() {
    let (queue, stack, heap) = (Queue::unbounded(), LifoQueue::unbounded(), PriorityQueue::unbounded());
    for n in [2, 1, 3] {
        queue.try_put(n).unwrap();
        stack.try_put(n).unwrap();
        heap.try_put(n).unwrap();
    }
    let all = |get: &dyn Fn() -> Option<i32>| std::iter::from_fn(get).collect::<Vec<_>>();
    assert_eq!(all(&|| queue.try_get().ok()), [2, 1, 3]);
    assert_eq!(all(&|| stack.try_get().ok()), [3, 1, 2]);
    assert_eq!(all(&|| heap.try_get().ok()), [1, 2, 3]);
}

#[test]
fn of_equal_priorities_the_first_comes_first() {
    #[derive(PartialEq, Eq, Debug)]
    struct Job(u8, u8);
    impl Ord for Job {
        fn cmp(&self, other: &Self) -> std::cmp::Ordering {
            self.0.cmp(&other.0)
        }
    }
    impl PartialOrd for Job {
        fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }
    let queue = PriorityQueue::new(0);
    for n in 0..20 {
        queue.try_put(Job(n % 2, n)).unwrap();
    }
    let order: Vec<u8> = std::iter::from_fn(|| queue.try_get().ok()).map(|job| job.1).collect();
    assert_eq!(order, (0..20).step_by(2).chain((1..20).step_by(2)).collect::<Vec<_>>());
}

#[test]
fn a_full_queue_makes_those_wait_who_put_in_order() {
    let queue = Queue::new(1);
    queue.try_put(1).unwrap();
    assert!(queue.is_full());
    let mut one = Hand::waiting(queue.put(2));
    let mut two = Hand::waiting(queue.put(3));
    assert_eq!(queue.try_get(), Ok(1));
    assert_eq!(one.woken(), Ok(()));
    assert!(!two.is_woken());
    assert_eq!((queue.try_get(), queue.try_get()), (Ok(2), Ok(3)));
    assert_eq!(two.woken(), Ok(()));
    assert_eq!((queue.maxsize(), Queue::<u8>::new(0).maxsize()), (Some(1), None));
}

#[test]
fn a_get_that_goes_loses_no_item() {
    let queue = Queue::new(2);
    let going = Hand::waiting(queue.get());
    let mut next = Hand::waiting(queue.get());
    queue.try_put(1).unwrap();
    drop(going);
    assert_eq!(next.woken(), Ok(1));
}

#[test]
fn join_waits_until_all_is_done() {
    let queue = Queue::new(5);
    assert!(once(queue.join()).is_some());
    queue.try_put(1).unwrap();
    queue.try_put(2).unwrap();
    let mut joins = [Hand::waiting(queue.join()), Hand::waiting(queue.join())];
    assert_eq!(queue.try_get(), Ok(1));
    queue.task_done();
    assert_eq!(queue.try_get(), Ok(2));
    assert!(!joins[0].is_woken(), "it was got, and is not done");
    queue.task_done();
    joins.iter_mut().for_each(Hand::woken);
    assert_eq!(queue.try_task_done(), Err(TooManyDone));
}

#[test]
#[should_panic = "`task_done` was called more often than there were items"]
fn too_many_are_done() {
    Queue::<u8>::new(1).task_done();
}

#[test]
fn a_shut_down_queue_gives_the_item_back_and_is_drained() {
    let queue = Queue::new(1);
    queue.try_put(1).unwrap();
    let mut waiting = Hand::waiting(queue.put(2));
    queue.shutdown(Shutdown::AfterDrain);
    assert_eq!(waiting.woken(), Err(PutError(2)));
    assert_eq!(once(queue.put(3)), Some(Err(PutError(3))));
    let mut join = Hand::waiting(queue.join());
    assert_eq!(once(queue.get()), Some(Ok(1)));
    assert_eq!(once(queue.get()), Some(Err(QueueShutDown)));
    assert_eq!(queue.try_get(), Err(TryRecvError::Closed));
    queue.task_done();
    join.woken();
    assert!(queue.is_shut_down());
}

#[test]
fn an_immediate_shutdown_drops_what_is_there_and_wakes_who_joins() {
    let item = std::rc::Rc::new(());
    let queue = Queue::new(5);
    queue.try_put(item.clone()).unwrap();
    queue.try_put(item.clone()).unwrap();
    let mut join = Hand::waiting(queue.join());
    drop(queue.try_get());
    queue.task_done();
    queue.shutdown(Shutdown::Immediate);
    join.woken();
    assert_eq!(std::rc::Rc::strong_count(&item), 1);
    assert_eq!(once(queue.get()), Some(Err(QueueShutDown)));
    assert_eq!(queue.statistics().unfinished, 0);
}

#[test]
fn what_was_got_and_is_not_done_is_waited_for_after_an_immediate_shutdown() {
    let queue = Queue::new(5);
    queue.try_put(1).unwrap();
    queue.try_put(2).unwrap();
    queue.try_get().unwrap();
    queue.shutdown(Shutdown::Immediate);
    let mut join = Hand::waiting(queue.join());
    queue.task_done();
    join.woken();
}

#[test]
fn a_shutdown_tells_those_who_get() {
    for how in [Shutdown::Immediate, Shutdown::AfterDrain] {
        let queue = Queue::<u8>::new(5);
        let mut waiting = [Hand::waiting(queue.get()), Hand::waiting(queue.get())];
        queue.shutdown(how);
        waiting.iter_mut().for_each(|hand| assert_eq!(hand.woken(), Err(QueueShutDown)));
    }
}

/// cpython gh-96471's laws: a shutdown by itself does not end a `join`.
#[test]
fn a_shutdown_alone_does_not_end_a_join() {
    for how in [Shutdown::AfterDrain, Shutdown::Immediate] {
        let queue = Queue::new(5);
        queue.try_put(1).unwrap();
        if how == Shutdown::Immediate {
            queue.try_get().unwrap();
        }
        let mut join = Hand::waiting(queue.join());
        queue.shutdown(how);
        assert!(!join.is_woken() && join.poll().is_pending());
        _ = queue.try_get();
        queue.task_done();
        join.woken();
    }
}

#[test]
fn a_join_that_comes_after_all_was_done_waits_for_what_was_put_since() {
    let queue = Queue::new(5);
    queue.try_put(1).unwrap();
    let mut early = Hand::waiting(queue.join());
    queue.task_done();
    queue.try_put(2).unwrap();
    let late = Hand::waiting(queue.join());
    early.woken();
    assert!(!late.is_woken());
}

#[test]
fn an_item_that_is_reported_before_it_is_got_may_be_dropped_by_a_shutdown() {
    let queue = Queue::new(5);
    queue.try_put(1).unwrap();
    queue.task_done();
    queue.shutdown(Shutdown::Immediate);
    assert!(once(queue.join()).is_some());
    assert_eq!((queue.is_full(), queue.try_task_done()), (false, Err(TooManyDone)));
}

/// The item was claimed when the queue was cleared under its feet.
#[test]
fn one_who_was_chosen_before_an_immediate_shutdown_gets_nothing() {
    let queue = Queue::new(5);
    let mut chosen = Hand::waiting(queue.get());
    let gone = Hand::waiting(queue.get());
    queue.try_put(1).unwrap();
    queue.try_put(2).unwrap();
    queue.shutdown(Shutdown::Immediate);
    drop(gone);
    assert_eq!(chosen.woken(), Err(QueueShutDown));
    assert_eq!((queue.len(), queue.statistics().unfinished), (0, 0));
}

#[test]
fn a_static_queue_works_for_threads() {
    static QUEUE: Queue<usize> = Queue::new(3);
    const EACH: usize = 5_000;
    threads(4, |n| match n {
        0 | 1 => (0..EACH).for_each(|k| QUEUE.put_blocking(k).unwrap()),
        2 => {
            for _ in 0..EACH {
                QUEUE.get_blocking().unwrap();
                QUEUE.task_done();
            }
        }
        _ => block_on(async {
            for _ in 0..EACH {
                QUEUE.get().await.unwrap();
                QUEUE.task_done();
            }
            QUEUE.join().await;
        }),
    });
    assert_eq!(QUEUE.statistics().unfinished, 0);
}
