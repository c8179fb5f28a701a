//! Prints how many allocations a task costs, by subject: the same as `bench`, but with an allocator that counts.
#![expect(unsafe_code, reason = "an allocator is unsafe to write")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is handed to the system's allocator as it came; counting touches a thread-local without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const TASKS: u64 = 10_000;

fn main() {
    let subject = std::env::args().nth(1).unwrap_or_default();
    let allocations = match subject.as_str() {
        "asyncio-local" => asyncio::run(count(async || asyncio::spawn(async {}).await.unwrap())),
        "tokio-ct" => {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(count(async || tokio::spawn(async {}).await.unwrap()))
        }
        #[cfg(feature = "peers")]
        "smol-local" => {
            let executor = smol::LocalExecutor::new();
            smol::block_on(executor.run(count(async || executor.spawn(async {}).await)))
        }
        _ if cfg!(not(feature = "peers")) => {
            panic!("this build has no peers: build with the feature `peers`")
        }
        _ => panic!("usage: allocs SUBJECT"),
    };
    println!("{}", allocations as f64 / TASKS as f64);
}

/// Counts the allocations of many tasks, after some that pay for what is made once.
fn count(spawn: impl AsyncFn()) -> impl Future<Output = u64> {
    async move {
        for _ in 0..100 {
            spawn().await;
        }
        let before = COUNT.get();
        for _ in 0..TASKS {
            spawn().await;
        }
        COUNT.get() - before
    }
}
