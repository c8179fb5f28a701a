//! What synchronisation costs: ours beside other libraries', all of them on our own loop, so that only the primitive differs.

mod channels;
mod locks;
mod peers;
mod sizes;

use anyhow::{Result, bail};

/// The libraries, in the order of the report.
pub const LIBRARIES: [&str; 7] =
    ["asyncio", "tokio", "async-lock", "futures", "async-channel", "kanal", "flume"];

const LOCKS: &[&str] = &["asyncio", "tokio", "async-lock", "futures"];
const FAIR_LOCKS: &[&str] = &["asyncio", "tokio", "async-lock"];
const CHANNELS: &[&str] = &["asyncio", "tokio", "async-channel", "kanal", "flume"];
const ONESHOTS: &[&str] = &["asyncio", "tokio", "futures"];
const TOKIO: &[&str] = &["asyncio", "tokio"];

/// A case, its unit, and the libraries that have it.
pub const CASES: [(&str, &str, &[&str]); 24] = [
    ("sync_mutex", "ns", LOCKS),
    ("sync_mutex_contended", "ns", LOCKS),
    ("sync_mutex_contended_workers2", "ns", LOCKS),
    ("sync_rw_lock_read", "ns", FAIR_LOCKS),
    ("sync_rw_lock_write", "ns", FAIR_LOCKS),
    ("sync_semaphore", "ns", FAIR_LOCKS),
    ("sync_oneshot", "ns", ONESHOTS),
    ("sync_oneshot_wait", "ns", ONESHOTS),
    ("sync_channel_1", "ns", CHANNELS),
    ("sync_channel_4", "ns", CHANNELS),
    ("sync_channel_threads", "ns", CHANNELS),
    ("sync_queue", "ns", &["asyncio"]),
    ("sync_broadcast_1", "ns", TOKIO),
    ("sync_broadcast_10", "ns", TOKIO),
    ("sync_broadcast_1000", "ns", TOKIO),
    ("sync_watch_1", "ns", TOKIO),
    ("sync_watch_10", "ns", TOKIO),
    ("sync_watch_1000", "ns", TOKIO),
    ("sync_event_1000", "ns", TOKIO),
    ("sync_event_10000", "ns", TOKIO),
    ("sync_size_mutex", "bytes", FAIR_LOCKS),
    ("sync_size_event", "bytes", TOKIO),
    ("sync_size_mutex_future", "bytes", FAIR_LOCKS),
    ("sync_size_event_future", "bytes", TOKIO),
];

/// Measures a case of one library.
pub fn measure(case: &str, library: &str) -> Result<f64> {
    if let Some(bytes) = sizes::of(case, library) {
        return Ok(bytes as f64);
    }
    // The count is found by doubling until a run takes 0.2 s.
    let mut count = 10_000;
    loop {
        let elapsed = run(case, library, count)?;
        if elapsed.as_millis() >= 200 {
            return Ok(elapsed.as_nanos() as f64 / count as f64);
        }
        count *= 2;
    }
}

/// Does the operation of a case `count` times.
pub fn run(case: &str, library: &str, count: usize) -> Result<std::time::Duration> {
    let done = locks::run(case, library, count).or_else(|| channels::run(case, library, count));
    match done {
        Some(elapsed) => Ok(elapsed),
        None => bail!("{library} has no case {case}"),
    }
}
