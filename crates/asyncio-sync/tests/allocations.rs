//! Waiting allocates nothing, and leaving is O(1): counted.
#![cfg(not(any(loom, shuttle)))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use asyncio_sync::{
    Barrier, Condition, Event, Mutex, OnceCell, Queue, RwLock, Semaphore, broadcast, channel, oneshot, watch,
};

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: it hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Polls a future that has to wait, twice, and drops it. Says how often that allocated.
#[track_caller]
fn allocations<F: Future>(future: F) -> usize {
    let before = COUNT.get();
    {
        let mut future = pin!(future);
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(cx).is_pending());
        assert!(future.as_mut().poll(cx).is_pending());
    }
    COUNT.get() - before
}

#[test]
fn waiting_allocates_nothing() {
    let mutex = Mutex::new(());
    let _guard = mutex.try_lock();
    assert_eq!(allocations(mutex.lock()), 0);
    let lock = RwLock::new(());
    let _writer = lock.try_write();
    assert_eq!(allocations(lock.read()) + allocations(lock.write()) + allocations(lock.upgradable_read()), 0);
    assert_eq!(allocations(Semaphore::new(0).acquire()), 0);
    assert_eq!(allocations(Event::new().wait()), 0);
    let condition = Condition::new(());
    let mut guard = condition.try_lock().unwrap();
    assert_eq!(allocations(guard.wait()), 0);
    assert_eq!(allocations(Barrier::new(2).wait()), 0);
    let cell = OnceCell::<u32>::new();
    assert_eq!(allocations(cell.wait()), 0);
    assert_eq!(allocations(cell.get_or_init(std::future::pending)), 0);
    let queue = Queue::new(1);
    assert_eq!(allocations(queue.get()), 0);
    queue.try_put(1).unwrap();
    assert_eq!(allocations(queue.put(2)) + allocations(queue.join()), 0);
    let (sender, receiver) = channel(1);
    assert_eq!(allocations(receiver.recv()), 0);
    sender.try_send(1).unwrap();
    assert_eq!(allocations(sender.send(2)) + allocations(sender.reserve()) + allocations(sender.closed()), 0);
    let (sender, mut receiver) = broadcast::<u32>(1);
    assert_eq!(allocations(receiver.recv()) + allocations(sender.closed()), 0);
    let (sender, mut receiver) = watch(0);
    assert_eq!(allocations(receiver.changed()) + allocations(sender.closed()), 0);
    let (mut sender, mut receiver) = oneshot::<u32>();
    assert_eq!(allocations(&mut receiver), 0);
    assert_eq!(allocations(sender.closed()), 0);
}

#[test]
fn a_oneshot_is_one_allocation_and_a_value_for_one_receiver_none() {
    let before = COUNT.get();
    let (sender, mut receiver) = oneshot();
    sender.send(1).unwrap();
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(COUNT.get() - before, 1);
    let (sender, mut receiver) = broadcast(4);
    let before = COUNT.get();
    sender.send(1).unwrap();
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(COUNT.get() - before, 0);
}

/// Leaving from the middle of a long line takes no walk: a hundred thousand leave from the middle, which with a walk each would be
/// 2,500,000,000 steps, minutes in a build like this one.
#[test]
fn a_long_line_is_left_from_the_middle() {
    const WAITING: usize = 100_000;
    let event = Event::new();
    let cx = &mut Context::from_waker(Waker::noop());
    let mut line: Vec<_> = (0..WAITING).map(|_| Box::pin(event.wait())).collect();
    line.iter_mut().for_each(|wait| assert!(wait.as_mut().poll(cx).is_pending()));
    while !line.is_empty() {
        drop(line.swap_remove(line.len() / 2));
    }
    assert_eq!(event.statistics().waiting, 0);
}
