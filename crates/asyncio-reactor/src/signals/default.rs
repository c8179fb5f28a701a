//! [`Suspended`]: what a signal does by default, while somebody listens.
//!
//! A handler, once there, stays for as long as the process lives, since others may have come to it. So the first listener of a signal leaves one behind that does
//! what the signal does by default, unless somebody listens. Where the signal was ignored, as under `nohup`, or somebody else had a handler, it goes on as it was:
//! signal-hook does nothing for the one, and calls the other. All of this is of the process, as signals are.
//!
//! Who comes *after* us is not known here: a handler that somebody else registers once our last listener is gone is called, and then the default comes.

use std::collections::BTreeMap;
use std::io;
use std::sync::{MutexGuard, PoisonError};

use asyncio_base::shim::Arc;

use super::imp;

/// Of each signal that was ever listened to: how many listen, and what its handler asks.
/// std's, since a static must be made without loom; no model goes here.
static LISTENED: std::sync::Mutex<BTreeMap<i32, Listened>> = std::sync::Mutex::new(BTreeMap::new());

fn listened() -> MutexGuard<'static, BTreeMap<i32, Listened>> {
    // No code of a user's runs under it.
    LISTENED.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Listened {
    count: usize,
    is_by_default: Arc<std::sync::atomic::AtomicBool>,
}

/// While it lives, the signal does not do what it does by default.
pub(super) struct Suspended {
    signal: i32,
}

impl Suspended {
    pub(super) fn new(signal: i32) -> io::Result<Self> {
        let mut listened = listened();
        if let Some(listened) = listened.get_mut(&signal) {
            listened.count += 1;
            listened.set();
            return Ok(Self { signal });
        }
        let is_by_default = Arc::default();
        if imp::is_by_default(signal) {
            imp::register_default(signal, Arc::clone(&is_by_default))?;
        }
        listened.insert(signal, Listened { count: 1, is_by_default });
        Ok(Self { signal })
    }
}

impl Listened {
    fn set(&self) {
        self.is_by_default.store(self.count == 0, std::sync::atomic::Ordering::SeqCst);
    }
}

impl Drop for Suspended {
    fn drop(&mut self) {
        if let Some(listened) = listened().get_mut(&self.signal) {
            listened.count -= 1;
            listened.set();
        }
    }
}
