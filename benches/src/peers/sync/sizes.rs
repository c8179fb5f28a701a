//! How large things are.

use std::mem::{size_of, size_of_val};

/// The bytes of a case of one library.
pub fn of(case: &str, library: &str) -> Option<usize> {
    Some(match (case, library) {
        ("sync_size_mutex", "asyncio") => size_of::<asyncio::sync::Mutex<()>>(),
        ("sync_size_mutex", "tokio") => size_of::<tokio::sync::Mutex<()>>(),
        ("sync_size_mutex", "async-lock") => size_of::<async_lock::Mutex<()>>(),
        ("sync_size_event", "asyncio") => size_of::<asyncio::sync::Event>(),
        ("sync_size_event", "tokio") => size_of::<tokio::sync::Notify>(),
        ("sync_size_mutex_future", "asyncio") => size_of_val(&asyncio::sync::Mutex::new(()).lock()),
        ("sync_size_mutex_future", "tokio") => size_of_val(&tokio::sync::Mutex::new(()).lock()),
        ("sync_size_mutex_future", "async-lock") => size_of_val(&async_lock::Mutex::new(()).lock()),
        ("sync_size_event_future", "asyncio") => size_of_val(&asyncio::sync::Event::new().wait()),
        ("sync_size_event_future", "tokio") => size_of_val(&tokio::sync::Notify::new().notified()),
        _ => return None,
    })
}
