//! Wakers that panic, that come back into the primitive, and that are called in the wrong place: the class of tokio #3689, #5429, #5471, #5475, #5578.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, RawWaker, RawWakerVTable, Wake, Waker};

use asyncio_sync::{
    Barrier, Condition, Event, Mutex, Queue, RwLock, Semaphore, broadcast, channel, oneshot, watch,
};

use crate::support::{Hand, once};

/// Does something when woken.
struct Does<F: Fn() + Send + Sync + 'static>(F);

impl<F: Fn() + Send + Sync> Wake for Does<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

fn does(wake: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(Does(wake)))
}

/// A future in line, with a waker of its own.
struct InLine<F: Future>(Pin<Box<F>>);

impl<F: Future> InLine<F> {
    #[track_caller]
    fn new(future: F, waker: &Waker) -> Self {
        let mut future = Box::pin(future);
        assert!(future.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
        Self(future)
    }
}

fn panics(step: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(step)).is_err()
}

#[test]
fn a_waker_may_use_the_primitive_that_wakes_it() {
    static MUTEX: Mutex<u32> = Mutex::new(0);
    static EVENT: Event = Event::new();
    static SEMAPHORE: Semaphore = Semaphore::new(0);
    static QUEUE: Queue<u32> = Queue::new(1);
    let waker = does(|| {
        _ = MUTEX.try_lock();
        _ = format!("{MUTEX:?} {SEMAPHORE:?} {QUEUE:?} {EVENT:?}");
        EVENT.clear();
        SEMAPHORE.add_permits(1).unwrap();
        _ = QUEUE.try_put(1);
    });
    let guard = once(MUTEX.lock()).unwrap();
    let _lock = InLine::new(MUTEX.lock(), &waker);
    drop(guard);
    let _wait = InLine::new(EVENT.wait(), &waker);
    EVENT.set();
    assert!(!EVENT.is_set());
    let _acquire = InLine::new(SEMAPHORE.acquire_many(9), &waker);
    SEMAPHORE.add_permits(9).unwrap();
    QUEUE.try_get().unwrap();
    let _get = InLine::new(QUEUE.get(), &waker);
    QUEUE.try_put(2).unwrap();
}

#[test]
fn a_waker_that_panics_keeps_nobody_else_from_being_woken() {
    let bad = does(|| panic!("on purpose"));
    let event = Event::new();
    let _first = InLine::new(event.wait(), &bad);
    // More than one batch.
    let mut others: Vec<_> = (0..100).map(|_| Hand::waiting(event.wait())).collect();
    let _middle = InLine::new(event.wait(), &bad);
    let mut last = Hand::waiting(event.wait());
    assert!(panics(|| event.set()));
    others.iter_mut().for_each(Hand::woken);
    last.woken();

    let (sender, receiver) = channel::<u32>(1);
    let _receive = InLine::new(receiver.recv(), &bad);
    let mut closed = Hand::waiting(sender.closed());
    assert!(panics(|| _ = sender.close()));
    closed.woken();

    let barrier = Barrier::new(3);
    let _party = InLine::new(barrier.wait(), &bad);
    let mut party = Hand::waiting(barrier.wait());
    assert!(panics(|| _ = once(barrier.wait())));
    assert!(party.woken().is_ok());
}

#[test]
fn a_waker_that_panics_leaves_the_primitive_whole() {
    let bad = does(|| panic!("on purpose"));
    let mutex = Mutex::new(0);
    let guard = once(mutex.lock()).unwrap();
    let waiting = InLine::new(mutex.lock(), &bad);
    assert!(panics(|| drop(guard)));
    assert!(mutex.is_locked(), "it was handed over");
    drop(waiting);
    assert!(!mutex.is_locked());

    let lock = RwLock::new(0);
    let writer = once(lock.write()).unwrap();
    let reading = InLine::new(lock.read(), &bad);
    assert!(panics(|| drop(writer.downgrade())));
    drop(reading);
    assert!(lock.try_write().is_ok());

    let condition = Condition::new(0);
    let mut sleeping = InLine::new(async { condition.lock().await.wait().await }, &bad);
    assert!(panics(|| condition.notify(1)));
    assert!(sleeping.0.as_mut().poll(&mut Context::from_waker(&bad)).is_ready());
    assert!(condition.try_lock().is_ok());

    let (sender, receiver) = oneshot();
    let mut waiting = InLine::new(receiver, &bad);
    assert!(panics(|| sender.send(1).unwrap()));
    assert_eq!(waiting.0.as_mut().poll(&mut Context::from_waker(&bad)), std::task::Poll::Ready(Ok(1)));

    let (sender, mut receiver) = broadcast(2);
    let mut waiting = InLine::new(receiver.recv(), &bad);
    assert!(panics(|| _ = sender.send(1)));
    assert!(waiting.0.as_mut().poll(&mut Context::from_waker(&bad)).is_ready());

    let (sender, mut receiver) = watch(0);
    let mut waiting = InLine::new(receiver.changed(), &bad);
    assert!(panics(|| _ = sender.send(1)));
    assert!(waiting.0.as_mut().poll(&mut Context::from_waker(&bad)).is_ready());
}

/// Two panics at once would end the process.
#[test]
fn a_guard_that_is_dropped_by_a_panic_wakes_a_waker_that_panics() {
    let bad = does(|| panic!("on purpose"));
    let mutex = Mutex::new(0);
    let guard = once(mutex.lock()).unwrap();
    let _waiting = InLine::new(mutex.lock(), &bad);
    let semaphore = Semaphore::new(1);
    let permit = once(semaphore.acquire()).unwrap();
    let _acquiring = InLine::new(semaphore.acquire(), &bad);
    assert!(panics(|| {
        let (_guard, _permit) = (guard, permit);
        panic!("on purpose");
    }));
}

/// A waker whose clone panics: at that moment nothing is locked, and nothing is queued.
#[test]
fn a_waker_that_cannot_be_cloned_leaves_nothing_behind() {
    static TABLE: RawWakerVTable = RawWakerVTable::new(|_| panic!("on purpose"), |_| {}, |_| {}, |_| {});
    // SAFETY: nothing is behind the pointer, and no function of the table uses it.
    let bad = unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &TABLE)) };
    let cx = &mut Context::from_waker(&bad);
    let mutex = Mutex::new(0);
    let guard = once(mutex.lock()).unwrap();
    {
        let mut lock = pin!(mutex.lock());
        assert!(panics(|| _ = lock.as_mut().poll(cx)));
        assert_eq!(mutex.statistics().waiting, 0);
    }
    drop(guard);
    assert!(!mutex.is_locked());

    let condition = Condition::new(0);
    let mut guard = once(condition.lock()).unwrap();
    {
        let mut wait = pin!(guard.wait());
        assert!(panics(|| _ = wait.as_mut().poll(cx)));
    }
    assert_eq!(*guard, 0, "it did not fall asleep, so it has the lock");
    drop(guard);
    assert!(condition.try_lock().is_ok());

    let (sender, receiver) = oneshot();
    let mut receiver = pin!(receiver);
    assert!(panics(|| _ = receiver.as_mut().poll(cx)));
    sender.send(1).unwrap();
    assert_eq!(once(receiver), Some(Ok(1)));
}

/// The waker that wakes it frees the future that waits: nothing of it is touched afterwards.
#[test]
fn a_waker_that_frees_the_future_it_wakes() {
    type Shared = Arc<std::sync::Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>>;
    let event = Arc::new(Event::new());
    let futures: Vec<Shared> = (0..70).map(|_| Shared::default()).collect();
    for slot in &futures {
        let (own, event) = (slot.clone(), event.clone());
        let mut future: Pin<Box<dyn Future<Output = ()> + Send>> =
            Box::pin(async move { event.wait().await });
        let waker = does(move || drop(own.lock().unwrap().take()));
        assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        *slot.lock().unwrap() = Some(future);
    }
    event.set();
    assert!(futures.iter().all(|slot| slot.lock().unwrap().is_none()));
}

/// async-channel #49: a future that is forgotten. Its place stays; what was not chosen for it goes on.
#[test]
fn a_future_that_is_forgotten_keeps_its_place_and_its_memory() {
    let event = Box::new(Event::new());
    std::mem::forget(Hand::waiting(event.wait()));
    let mut other = Hand::waiting(event.wait());
    event.set();
    other.woken();
    drop(other);

    let mutex = Mutex::new(0);
    let guard = once(mutex.lock()).unwrap();
    let other = Hand::waiting(mutex.lock());
    std::mem::forget(Hand::waiting(mutex.lock()));
    drop(guard);
    drop(other);
    assert!(mutex.is_locked(), "it belongs to the one that was forgotten, as with a guard");
}
