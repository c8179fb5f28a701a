//! Children that nobody waits for any more: each is reaped when it ends, by the wake-up itself.
//!
//! - The loop where the child was waited for last, or else that of the thread where it was left, or else the fallback's thread, hears of its end. No task and no
//!   thread waits for it.
//! - Where that loop is closed before, the fallback takes over.
//! - What cannot be waited for (the process is out of descriptors, say) is looked at whenever a child is made or left.

use std::sync::{MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use asyncio_base::shim::{Arc, Mutex};
use asyncio_base::{budget, is_loop_closed};

use super::{Process, Waits};

/// Those that cannot be waited for.
/// std's, since a static must be made without loom.
static LEFT: std::sync::Mutex<Vec<Arc<Process>>> = std::sync::Mutex::new(Vec::new());

fn left() -> MutexGuard<'static, Vec<Arc<Process>>> {
    // No code of a user's runs under it.
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes over a child that nobody waits for any more.
pub(super) fn adopt(process: Arc<Process>) {
    reap_left();
    if is_running(&process) {
        let orphan = Arc::new(Orphan { process, waits: Mutex::new(Some(Waits::default())) });
        orphan.look();
    }
}

/// Looks at those that cannot be waited for.
pub(super) fn reap_left() {
    left().retain(|process| is_running(process));
}

fn is_running(process: &Process) -> bool {
    matches!(process.try_wait(), Ok(None))
}

struct Orphan {
    process: Arc<Process>,
    /// Taken when it has been reaped; then nobody has this any more.
    waits: Mutex<Option<Waits>>,
}

impl Orphan {
    fn look(self: &Arc<Self>) {
        let waker = Waker::from(self.clone());
        let cx = &mut Context::from_waker(&waker);
        let mut place = self.waits.lock();
        let Some(waits) = &mut *place else { return };
        // It must not be put off, for nobody would poll again; and it waits under the lock, of which the waker must not hear.
        let mut poll = budget::unlimited(|| self.process.poll_wait(cx, waits));
        if matches!(&poll, Poll::Ready(Err(error)) if is_loop_closed(error)) {
            poll = match self.process.notice.move_to_fallback(waits) {
                Ok(()) => budget::unlimited(|| self.process.poll_wait(cx, waits)),
                Err(error) => Poll::Ready(Err(error)),
            };
        }
        if poll.is_pending() {
            return;
        }
        let former = place.take();
        drop(place);
        drop(former);
        if is_running(&self.process) {
            left().push(self.process.clone());
        }
    }
}

impl Wake for Orphan {
    fn wake(self: Arc<Self>) {
        self.look();
    }
}
