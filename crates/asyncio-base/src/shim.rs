//! Atomics, locks, cells and threads: std's; loom's under `--cfg loom`; shuttle's under `--cfg shuttle`.
//!
//! Every concurrency algorithm of the project takes them from here, so that the model checker sees the code that
//! ships. The key is `cfg(loom)` alone, since `cfg(test)` is not set for a dependency. loom tries every order that a memory model allows, of
//! something small; shuttle tries random orders of something whole, and knows no weak memory.
//!
//! [`Mutex`] does not poison: a panic under one of our locks is a bug of ours that the panic itself reports, and no
//! user code ever runs under one.
//!
//! Not here: anything that blocks on I/O or on time.

#[cfg(not(loom))]
mod imp {
    #[cfg(shuttle)]
    use shuttle::sync;
    #[cfg(not(shuttle))]
    use std::sync;

    #[cfg(shuttle)]
    pub use shuttle::thread;
    #[cfg(not(shuttle))]
    pub use std::thread;

    pub use std::sync::{Arc, Weak};
    pub use sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };

    /// Nothing: between a `SeqCst` write and a `SeqCst` read that must not pass it. Under loom, which takes such accesses for `AcqRel`, it is
    /// the fence that they imply.
    #[inline]
    pub fn seq_cst() {}

    /// A cell whose accesses a model can check; std's, in loom's shape.
    #[derive(Debug, Default)]
    pub struct UnsafeCell<T: ?Sized>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        /// Makes a cell around `value`.
        pub const fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        /// Returns the value inside.
        pub fn into_inner(self) -> T {
            self.0.into_inner()
        }
    }

    impl<T: ?Sized> UnsafeCell<T> {
        /// Runs `f` with a pointer for reading.
        #[inline]
        pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        /// Runs `f` with a pointer for writing.
        #[inline]
        pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }

    /// A mutual exclusion lock that does not poison.
    #[derive(Debug, Default)]
    pub struct Mutex<T: ?Sized>(sync::Mutex<T>);

    /// Unlocks its [`Mutex`] when dropped.
    pub type MutexGuard<'a, T> = sync::MutexGuard<'a, T>;

    impl<T> Mutex<T> {
        /// Makes an unlocked lock around `value`.
        pub const fn new(value: T) -> Self {
            Self(sync::Mutex::new(value))
        }

        /// Returns the value inside.
        pub fn into_inner(self) -> T {
            self.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }

    impl<T: ?Sized> Mutex<T> {
        /// Locks, blocking the thread until the lock is free.
        #[inline]
        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        }

        /// Locks if the lock is free.
        pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            match self.0.try_lock() {
                Ok(guard) => Some(guard),
                Err(sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(sync::TryLockError::WouldBlock) => None,
            }
        }

        /// Reaches the value without locking, since `&mut` proves that nobody else can.
        pub fn get_mut(&mut self) -> &mut T {
            self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }

    /// A lock for many readers or one writer, that does not poison.
    #[derive(Debug, Default)]
    pub struct RwLock<T>(sync::RwLock<T>);

    /// Gives its [`RwLock`] back when dropped.
    pub type RwLockReadGuard<'a, T> = sync::RwLockReadGuard<'a, T>;

    /// Gives its [`RwLock`] back when dropped.
    pub type RwLockWriteGuard<'a, T> = sync::RwLockWriteGuard<'a, T>;

    impl<T> RwLock<T> {
        /// Makes an unlocked lock around `value`.
        pub const fn new(value: T) -> Self {
            Self(sync::RwLock::new(value))
        }

        /// Locks for reading, blocking the thread while somebody writes.
        pub fn read(&self) -> RwLockReadGuard<'_, T> {
            self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner)
        }

        /// Locks for writing, blocking the thread until nobody else has the lock.
        pub fn write(&self) -> RwLockWriteGuard<'_, T> {
            self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }
}

#[cfg(loom)]
mod imp {
    pub use loom::cell::UnsafeCell;
    pub use loom::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
    pub use loom::thread;
    /// The fence that `SeqCst` accesses imply: loom takes them for `AcqRel`.
    pub fn seq_cst() {
        fence(Ordering::SeqCst);
    }

    // std's, since loom's `Arc` cannot hold a `dyn Trait`; the counts are not what the models are about.
    pub use std::sync::{Arc, Weak};

    /// A mutual exclusion lock that does not poison.
    #[derive(Debug, Default)]
    pub struct Mutex<T>(loom::sync::Mutex<T>);

    /// Unlocks its [`Mutex`] when dropped.
    pub type MutexGuard<'a, T> = loom::sync::MutexGuard<'a, T>;

    impl<T> Mutex<T> {
        /// Makes an unlocked lock around `value`.
        pub fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        /// Returns the value inside.
        pub fn into_inner(self) -> T {
            self.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
        }

        /// Locks, blocking the thread until the lock is free.
        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        }

        /// Locks if the lock is free.
        pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok()
        }

        /// Reaches the value without locking, since `&mut` proves that nobody else can.
        pub fn get_mut(&mut self) -> &mut T {
            self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }

    /// A lock for many readers or one writer, that does not poison.
    #[derive(Debug, Default)]
    pub struct RwLock<T>(loom::sync::RwLock<T>);

    /// Gives its [`RwLock`] back when dropped.
    pub type RwLockReadGuard<'a, T> = loom::sync::RwLockReadGuard<'a, T>;

    /// Gives its [`RwLock`] back when dropped.
    pub type RwLockWriteGuard<'a, T> = loom::sync::RwLockWriteGuard<'a, T>;

    impl<T> RwLock<T> {
        /// Makes an unlocked lock around `value`.
        pub fn new(value: T) -> Self {
            Self(loom::sync::RwLock::new(value))
        }

        /// Locks for reading, blocking the thread while somebody writes.
        pub fn read(&self) -> RwLockReadGuard<'_, T> {
            self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner)
        }

        /// Locks for writing, blocking the thread until nobody else has the lock.
        pub fn write(&self) -> RwLockWriteGuard<'_, T> {
            self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }
}

pub use imp::{
    Arc, AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering,
    RwLock, RwLockReadGuard, RwLockWriteGuard, UnsafeCell, Weak, fence, seq_cst, thread,
};

/// Declares what each thread has of its own, with an initial value that is a constant.
///
/// Models run their threads on one thread of the system's: std's `thread_local!` would mix them.
#[cfg(not(any(loom, shuttle)))]
#[macro_export]
macro_rules! per_thread {
    ($($(#[$attribute:meta])* static $name:ident: $type:ty = $init:expr;)*) => {
        ::std::thread_local! { $($(#[$attribute])* static $name: $type = const { $init };)* }
    };
}

/// Declares what each thread of a model has of its own.
#[cfg(loom)]
#[macro_export]
macro_rules! per_thread {
    ($($(#[$attribute:meta])* static $name:ident: $type:ty = $init:expr;)*) => {
        ::loom::thread_local! { $($(#[$attribute])* static $name: $type = $init;)* }
    };
}

/// Declares what each thread of a model has of its own.
#[cfg(shuttle)]
#[macro_export]
macro_rules! per_thread {
    ($($(#[$attribute:meta])* static $name:ident: $type:ty = $init:expr;)*) => {
        ::shuttle::thread_local! { $($(#[$attribute])* static $name: $type = $init;)* }
    };
}
