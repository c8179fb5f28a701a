//! What tasks allocate, and that it comes back: with an allocator that counts, and so a program of its own.
#![expect(unsafe_code, reason = "an allocator is unsafe to write")]
#![cfg(all(target_pointer_width = "64", not(any(loom, shuttle, asan))))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Waker;
use std::thread;

use asyncio_executor::{Handle, LocalExecutor};

/// Only the pieces of this size and alignment are counted, which are the tasks of [`spawn`]: 720 bytes of output and what every task has.
const SIZES: std::ops::RangeInclusive<usize> = 800..=850;

static CALLS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

struct Counting;

/// Returns the bytes that count.
fn counted(layout: Layout) -> usize {
    if SIZES.contains(&layout.size()) && layout.align() == align_of::<u64>() { layout.size() } else { 0 }
}

// SAFETY: everything is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let bytes = counted(layout);
        CALLS.fetch_add(usize::from(bytes > 0), Ordering::SeqCst);
        BYTES.fetch_add(bytes, Ordering::SeqCst);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(counted(layout), Ordering::SeqCst);
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs a test by itself, since all count together, on a thread whose tasks have left nothing yet; and sees that all is given back with that.
fn by_itself(test: impl FnOnce() + Send) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = bytes();
    thread::scope(|scope| scope.spawn(test).join().expect("the test passes"));
    assert_eq!(bytes(), before, "nothing is left of a thread that is over");
}

fn calls() -> usize {
    CALLS.load(Ordering::SeqCst)
}

fn bytes() -> usize {
    BYTES.load(Ordering::SeqCst)
}

fn spawn(executor: &LocalExecutor) -> Handle<[u64; 90]> {
    executor.spawn(async { black_box([7; 90]) })
}

#[test]
fn a_task_is_one_allocation_and_one_after_another_is_none_more() {
    by_itself(|| {
        let executor = LocalExecutor::new(Waker::noop().clone());
        let before = calls();
        for _ in 0..1000 {
            spawn(&executor).detach();
            executor.run_round();
        }
        assert_eq!(calls() - before, 1);
        let _many: Vec<_> = (0..10).map(|_| spawn(&executor)).collect();
        assert_eq!(calls() - before, 10, "and ten at a time are ten");
    });
}

#[test]
fn what_a_burst_of_tasks_took_comes_back() {
    by_itself(|| {
        let executor = LocalExecutor::new(Waker::noop().clone());
        let many: Vec<_> = (0..10_000).map(|_| spawn(&executor)).collect();
        assert!(bytes() > 7_000_000, "{}", bytes());
        executor.run_round();
        drop(many);
        assert!(bytes() <= 256 << 10, "{}", bytes());
    });
}

#[test]
fn who_only_frees_keeps_nothing() {
    by_itself(|| {
        let executor = LocalExecutor::new(Waker::noop().clone());
        let before = bytes();
        let many: Vec<_> = (0..100).map(|_| spawn(&executor)).collect();
        executor.run_round();
        let elsewhere = move || {
            drop(many);
            assert_eq!(bytes(), before);
        };
        thread::scope(|scope| scope.spawn(elsewhere).join().unwrap());
    });
}
