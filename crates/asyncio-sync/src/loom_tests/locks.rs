//! The short lock, `Mutex`, `RwLock`, `Semaphore`.

use std::pin::pin;

use asyncio_base::shim::{Arc, thread};
use loom::model;

use super::{Touched, block_on, once, poll, with_thread};
use crate::lock::spin;
use crate::{Mutex, RwLock, Semaphore};

#[test]
fn spin_lock_is_exclusive() {
    model(|| {
        let lock = Arc::new(spin::Lock::new(Touched::new()));
        let other = lock.clone();
        with_thread(move || other.lock().add(), || lock.lock().add());
        assert_eq!(lock.lock().get(), 2);
    });
}

#[test]
fn spin_lock_is_not_peeked_into() {
    model(|| {
        let lock = Arc::new(spin::Lock::new(Touched::new()));
        let other = lock.clone();
        with_thread(move || other.lock().add(), || _ = lock.peek(Touched::get));
    });
}

/// Locks, touches, and gives back.
async fn visit(mutex: &Mutex<Touched>) {
    mutex.lock().await.add();
}

#[test]
fn mutex_is_exclusive() {
    model(|| {
        let mutex = Arc::new(Mutex::new(Touched::new()));
        let other = mutex.clone();
        with_thread(move || block_on(visit(&other)), || block_on(visit(&mutex)));
        assert_eq!(mutex.try_lock().unwrap().get(), 2);
    });
}

#[test]
fn mutex_of_three() {
    model(|| {
        let mutex = Arc::new(Mutex::new(Touched::new()));
        let threads = [(); 2].map(|()| {
            let mutex = mutex.clone();
            thread::spawn(move || block_on(visit(&mutex)))
        });
        block_on(visit(&mutex));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(mutex.try_lock().unwrap().get(), 3);
    });
}

#[test]
fn mutex_a_waiter_goes_while_it_is_handed_over() {
    model(|| {
        let mutex = Arc::new(Mutex::new(Touched::new()));
        let guard = mutex.try_lock().unwrap();
        let (goes, stays) = (mutex.clone(), mutex.clone());
        let going = thread::spawn(move || drop(once(goes.lock())));
        let staying = thread::spawn(move || block_on(visit(&stays)));
        guard.add();
        drop(guard);
        going.join().unwrap();
        staying.join().unwrap();
        assert!(mutex.try_lock().is_ok(), "the turn of one who has gone is lost");
    });
}

#[test]
fn mutex_try_lock_against_unlock() {
    model(|| {
        let mutex = Arc::new(Mutex::new(Touched::new()));
        let other = mutex.clone();
        with_thread(
            move || {
                if let Ok(guard) = other.try_lock() {
                    guard.add();
                }
            },
            || block_on(visit(&mutex)),
        );
        assert!(mutex.try_lock().is_ok());
    });
}

#[test]
fn mutex_owned_guard_moves() {
    model(|| {
        let mutex = Arc::new(Mutex::new(Touched::new()));
        let guard = block_on(mutex.clone().lock_owned());
        with_thread(
            move || {
                guard.add();
                drop(guard);
            },
            || block_on(visit(&mutex)),
        );
    });
}

#[test]
fn mutex_waker_is_replaced() {
    model(|| {
        let mutex = Arc::new(Mutex::new(Touched::new()));
        let guard = mutex.try_lock().unwrap();
        let other = mutex.clone();
        let waiting = thread::spawn(move || {
            let mut lock = pin!(other.lock());
            // First with a waker that is of no use.
            match poll(lock.as_mut()) {
                std::task::Poll::Ready(guard) => guard.add(),
                std::task::Poll::Pending => block_on(lock).add(),
            }
        });
        drop(guard);
        waiting.join().unwrap();
    });
}

#[test]
fn rw_lock_two_readers_and_a_writer() {
    model(|| {
        let lock = Arc::new(RwLock::new(Touched::new()));
        let threads = [(); 2].map(|()| {
            let lock = lock.clone();
            thread::spawn(move || _ = block_on(lock.read()).get())
        });
        block_on(lock.write()).add();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(lock.try_read().unwrap().get(), 1);
    });
}

#[test]
fn rw_lock_downgrade_against_a_writer_in_line() {
    model(|| {
        let lock = Arc::new(RwLock::new(Touched::new()));
        let other = lock.clone();
        with_thread(
            move || block_on(other.write()).add(),
            || {
                let writer = block_on(lock.write());
                writer.add();
                let reader = writer.downgrade();
                assert!(reader.get() > 0);
            },
        );
        assert_eq!(lock.try_read().unwrap().get(), 2);
    });
}

#[test]
fn rw_lock_a_writer_who_goes_frees_the_readers_behind() {
    model(|| {
        let lock = Arc::new(RwLock::new(Touched::new()));
        let (writes, reads) = (lock.clone(), lock.clone());
        let reader = lock.try_read().unwrap();
        let writing = thread::spawn(move || drop(once(writes.write())));
        let reading = thread::spawn(move || _ = block_on(reads.read()).get());
        writing.join().unwrap();
        reading.join().unwrap();
        drop(reader);
        assert!(lock.try_write().is_ok());
    });
}

#[test]
fn rw_lock_upgrade_against_a_reader() {
    model(|| {
        let lock = Arc::new(RwLock::new(Touched::new()));
        let other = lock.clone();
        with_thread(
            move || _ = block_on(other.read()).get(),
            || {
                let reader = block_on(lock.upgradable_read());
                block_on(reader.upgrade()).add();
            },
        );
        assert_eq!(lock.try_read().unwrap().get(), 1);
    });
}

#[test]
fn rw_lock_upgrade_that_is_dropped() {
    model(|| {
        let lock = Arc::new(RwLock::new(Touched::new()));
        let upgradable = block_on(lock.clone().upgradable_read_owned());
        let reader = block_on(lock.clone().read_owned());
        // It may be granted between its poll and its drop.
        with_thread(move || drop(reader), || drop(once(upgradable.upgrade())));
        assert!(lock.try_write().is_ok());
    });
}

#[test]
fn semaphore_basic() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let touched = Arc::new(Touched::new());
        let other = (semaphore.clone(), touched.clone());
        let visit = |semaphore: &Semaphore, touched: &Touched| {
            let _permit = block_on(semaphore.acquire()).unwrap();
            touched.add();
        };
        with_thread(move || visit(&other.0, &other.1), || visit(&semaphore, &touched));
        assert_eq!((semaphore.available_permits(), touched.get()), (1, 2));
    });
}

#[test]
fn semaphore_release_of_many() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let threads = [(); 2].map(|()| {
            let semaphore = semaphore.clone();
            thread::spawn(move || block_on(semaphore.acquire()).unwrap().forget())
        });
        semaphore.add_permits(2).unwrap();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(semaphore.available_permits(), 0);
    });
}

#[test]
fn semaphore_a_grant_of_one_who_goes_is_handed_on() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let (goes, stays) = (semaphore.clone(), semaphore.clone());
        let going = thread::spawn(move || drop(once(goes.acquire())));
        let staying = thread::spawn(move || drop(block_on(stays.acquire()).unwrap()));
        semaphore.add_permits(1).unwrap();
        going.join().unwrap();
        staying.join().unwrap();
        assert_eq!(semaphore.available_permits(), 1);
    });
}

#[test]
fn semaphore_one_who_wants_many_goes() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let (many, few) = (semaphore.clone(), semaphore.clone());
        let many = thread::spawn(move || drop(once(many.acquire_many(2))));
        let few = thread::spawn(move || drop(block_on(few.acquire()).unwrap()));
        many.join().unwrap();
        few.join().unwrap();
        assert_eq!(semaphore.available_permits(), 1);
    });
}

#[test]
fn semaphore_close_against_acquire() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let other = semaphore.clone();
        with_thread(move || assert!(block_on(other.acquire()).is_err()), || semaphore.close());
    });
}

#[test]
fn semaphore_forget_against_close() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let other = semaphore.clone();
        with_thread(move || _ = other.forget_permits(1), || semaphore.close());
        assert!(semaphore.is_closed() && semaphore.try_acquire().is_err());
    });
}

#[test]
fn semaphore_limit_against_release() {
    model(|| {
        let semaphore = Arc::new(Semaphore::bounded(3));
        let _kept = semaphore.try_acquire().unwrap();
        let permits = semaphore.clone().try_acquire_many_owned(2).unwrap();
        with_thread(move || drop(permits), || semaphore.set_limit(2));
        assert_eq!(semaphore.available_permits(), 1);
    });
}
