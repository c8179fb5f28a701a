//! [`Signal`]: something that happens once, on any thread, and one who waits for it.

use std::task::Waker;

use asyncio_base::shim::{AtomicBool, Mutex, Ordering};

#[derive(Default)]
pub(crate) struct Signal {
    is_set: AtomicBool,
    /// Whoever waits.
    waker: Mutex<Option<Waker>>,
}

impl Signal {
    /// Sets it, and wakes whoever waits. Says whether it was not set before.
    pub(crate) fn set(&self) -> bool {
        if !self.set_in_silence() {
            return false;
        }
        self.wake();
        true
    }

    /// Sets it, and leaves it to the caller to [wake](Self::wake) whoever waits. Says whether it was not set before.
    pub(crate) fn set_in_silence(&self) -> bool {
        // SeqCst: whoever waits leaves a waker and then looks; this side sets and then looks for the waker. One sees the other.
        !self.is_set.swap(true, Ordering::SeqCst)
    }

    /// Wakes whoever waits, though nothing has happened.
    pub(crate) fn wake(&self) {
        let waker = self.waker.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Nobody waits any more.
    pub(crate) fn forget(&self) {
        let waker = self.waker.lock().take();
        drop(waker);
    }

    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        self.is_set.load(Ordering::SeqCst)
    }

    /// Says whether it is set; if not, it wakes `waker` when it is.
    pub(crate) fn poll(&self, waker: &Waker) -> bool {
        if self.is_set() {
            return true;
        }
        let is_same = self.waker.lock().as_ref().is_some_and(|former| former.will_wake(waker));
        if !is_same {
            let waker = waker.clone();
            let former = self.waker.lock().replace(waker);
            drop(former);
        }
        // It may have been set before the waker was there.
        self.is_set()
    }
}
