//! What is in memory needs no thread. Alone in its process, whose threads are counted.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::io::IoSliceMut;

use asyncio_blocking::fs::{self, File};
use asyncio_runtime::run;
use futures_lite::AsyncReadExt;
use rustix::io::{ReadWriteFlags, preadv2};

fn threads_of_the_pool() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with("asyncio-blockin")).count()
}

/// Reads it a hundred times, and says whether there was no thread.
fn is_read_without_a_thread(path: &str, text: &[u8]) -> bool {
    run(async {
        for _ in 0..100 {
            assert_eq!(fs::read(path).await.unwrap(), text);
        }
        let mut read = vec![0; text.len()];
        File::from_std(std::fs::File::open(path).unwrap()).read_exact(&mut read).await.unwrap();
        assert_eq!(read, text);
        threads_of_the_pool() == 0
    })
}

#[test]
fn a_small_file_that_is_in_memory_is_read_without_a_thread() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let text = std::fs::read(path).unwrap();
    let file = std::fs::File::open(path).unwrap();
    let mut buf = vec![0; text.len()];
    if preadv2(&file, &mut [IoSliceMut::new(&mut buf)], 0, ReadWriteFlags::NOWAIT) != Ok(text.len()) {
        return eprintln!("skipped: this file system does not say what is in memory");
    }
    // While something is renamed anywhere, the system may say that it does not know; then the pool of that loop has a thread.
    assert!((0..20).any(|_| is_read_without_a_thread(path, &text)));
    run(async {
        fs::metadata(path).await.unwrap();
        assert_eq!(threads_of_the_pool(), 1, "the rest has one");
    });
}
