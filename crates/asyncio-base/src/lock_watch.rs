//! Who holds which lock, and who waits for it, when somebody asks.
//!
//! The locks of `asyncio-sync` say here when they are taken, waited for and given back; the debug mode listens, and names the holder of a lock
//! that is waited for too long. When nobody listens, which is nearly always, each of these is one load.
//!
//! 1. One watch listens in a process at a time: the first that was installed, until its guard is dropped. Locks belong to no loop. A thread may have one of its own
//!    ([`enter`]), which then hears of that thread instead.
//! 2. A watch that is installed while locks are held learns of their holders only when they are taken the next time.
//! 3. A watch is called without any lock of ours, on the thread that it is about. What it panics with is dropped: it only looks on.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
// std's, since statics need constants; no model looks at them.
use std::sync::{self as outside, Arc, atomic};

use crate::panic::{catch_and_store, discard};

/// Which lock: its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LockId(usize);

impl LockId {
    /// The lock whose state lies there.
    pub fn of<T>(lock: &T) -> Self {
        Self(std::ptr::from_ref(lock).addr())
    }
}

/// Which future waits: its address, where it stays as long as it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WaitId(usize);

impl WaitId {
    /// The future of which this is a part.
    pub fn of<T>(part: &T) -> Self {
        Self(std::ptr::from_ref(part).addr())
    }
}

/// Somebody who wants to know of locks.
pub trait LockWatch: Send + Sync {
    /// A future has begun to wait. `place` is where the lock was asked for.
    fn waits(&self, wait: WaitId, lock: LockId, place: &'static Location<'static>);
    /// It has got the lock, or has gone.
    fn waits_no_more(&self, wait: WaitId);
    /// Somebody has got the lock.
    fn taken(&self, lock: LockId, place: &'static Location<'static>);
    /// It was given back.
    fn released(&self, lock: LockId);
}

/// How many listen: one for the process, and those of threads.
static LISTENING: atomic::AtomicUsize = atomic::AtomicUsize::new(0);

thread_local! {
    static OF_THREAD: RefCell<Option<Arc<dyn LockWatch>>> = const { RefCell::new(None) };
}

static WATCH: outside::Mutex<Option<Arc<dyn LockWatch>>> = outside::Mutex::new(None);

/// Says whether a watch is installed. Ask it first.
#[inline]
pub fn is_on() -> bool {
    // Relaxed: what a watch misses while it is installed, it misses.
    !cfg!(loom) && LISTENING.load(atomic::Ordering::Relaxed) > 0
}

/// Tells the watch of a future that has begun to wait.
#[cold]
pub fn waits(wait: WaitId, lock: LockId, place: &'static Location<'static>) {
    tell(|watch| watch.waits(wait, lock, place));
}

/// Tells the watch that it waits no more.
#[cold]
pub fn waits_no_more(wait: WaitId) {
    tell(|watch| watch.waits_no_more(wait));
}

/// Tells the watch that somebody has got a lock.
#[cold]
pub fn taken(lock: LockId, place: &'static Location<'static>) {
    tell(|watch| watch.taken(lock, place));
}

/// Tells the watch that a lock was given back.
#[cold]
pub fn released(lock: LockId) {
    tell(|watch| watch.released(lock));
}

fn tell(of: impl FnOnce(&dyn LockWatch)) {
    let of_thread = OF_THREAD.try_with(|watch| watch.borrow().clone()).ok().flatten();
    let watch = of_thread.or_else(|| slot().clone());
    let mut panic = None;
    catch_and_store(&mut panic, move || {
        if let Some(watch) = watch {
            of(&*watch);
        }
    });
    panic.into_iter().for_each(discard);
}

fn slot() -> outside::MutexGuard<'static, Option<Arc<dyn LockWatch>>> {
    WATCH.lock().unwrap_or_else(outside::PoisonError::into_inner)
}

/// Installs a watch until the guard is dropped. `None` if there is one already.
///
/// # Examples
///
/// ```
/// use asyncio_base::lock_watch::{self, LockId, LockWatch, WaitId};
/// use std::panic::Location;
/// use std::sync::{Arc, Mutex};
///
/// #[derive(Default)]
/// struct Count(Mutex<u32>);
/// impl LockWatch for Count {
///     fn waits(&self, _: WaitId, _: LockId, _: &'static Location<'static>) {}
///     fn waits_no_more(&self, _: WaitId) {}
///     fn taken(&self, _: LockId, _: &'static Location<'static>) {
///         *self.0.lock().unwrap() += 1;
///     }
///     fn released(&self, _: LockId) {}
/// }
///
/// let count = Arc::new(Count::default());
/// let guard = lock_watch::install(count.clone()).expect("there is no other");
/// lock_watch::taken(LockId::of(&1), Location::caller());
/// drop(guard);
/// assert!(!lock_watch::is_on());
/// assert_eq!(*count.0.lock().unwrap(), 1);
/// ```
pub fn install(watch: Arc<dyn LockWatch>) -> Option<WatchGuard> {
    let mut slot = slot();
    if slot.is_some() {
        return None;
    }
    *slot = Some(watch);
    LISTENING.fetch_add(1, atomic::Ordering::Relaxed);
    Some(WatchGuard { _private: () })
}

/// Ends a watch when dropped. Made by [`install`].
#[derive(Debug)]
#[must_use = "the watch ends when the guard is dropped"]
pub struct WatchGuard {
    _private: (),
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        let mut slot = slot();
        LISTENING.fetch_sub(1, atomic::Ordering::Relaxed);
        let watch = slot.take();
        // A user's, maybe: outside of the lock.
        drop(slot);
        drop(watch);
    }
}

/// Has `watch` hear of what this thread does with locks, until the guard is dropped; that of the process does not hear of it meanwhile.
#[must_use = "the former watch comes back when the guard is dropped"]
pub fn enter(watch: Arc<dyn LockWatch>) -> ThreadWatchGuard {
    LISTENING.fetch_add(1, atomic::Ordering::Relaxed);
    ThreadWatchGuard { former: OF_THREAD.replace(Some(watch)), _not_send: PhantomData }
}

/// Ends the watch of a thread when dropped. Made by [`enter`].
pub struct ThreadWatchGuard {
    former: Option<Arc<dyn LockWatch>>,
    _not_send: PhantomData<*mut ()>,
}

impl Drop for ThreadWatchGuard {
    fn drop(&mut self) {
        LISTENING.fetch_sub(1, atomic::Ordering::Relaxed);
        let former = self.former.take();
        // At the end of the thread there is nothing to put back.
        let left = OF_THREAD.try_with(|watch| watch.replace(former));
        drop(left);
    }
}

impl fmt::Debug for ThreadWatchGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadWatchGuard").finish_non_exhaustive()
    }
}
