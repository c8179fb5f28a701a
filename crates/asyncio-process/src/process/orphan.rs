//! Children that nobody waits for any more: each is reaped when it ends, by the wake-up itself.
//!
//! - The loop where the child was first waited for, or else that of the thread where it was left, or else the fallback's thread, hears of its end. No task and no
//!   thread waits for it.
//! - Where that loop is closed before, or cannot wait for it, the fallback takes over.
//! - A loop that is not turned hears of nothing, and a process may be out of descriptors. So whenever a child is made or left, some of those that there are are looked
//!   at, in turn.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::task::{Context, Poll, Wake, Waker};

use asyncio_base::budget;
use asyncio_base::shim::{Arc, Mutex};

use super::{Process, Waits};

/// All of them, but for those that have been reaped since somebody looked.
/// std's, since a static must be made without loom.
static ORPHANS: std::sync::Mutex<VecDeque<Arc<Orphan>>> = std::sync::Mutex::new(VecDeque::new());

/// So many are looked at at once: more than one, so that there are fewer in the end.
const LOOKED_AT: usize = 4;

/// Takes over a child that nobody waits for any more.
pub(super) fn adopt(process: Arc<Process>) {
    reap_some();
    if is_running(&process) {
        let orphan = Arc::new(Orphan { process, waits: Mutex::new(Some(Waits::default())) });
        orphan.look();
        keep(orphan);
    }
}

fn keep(orphan: Arc<Orphan>) {
    // No code of a user's runs under it.
    ORPHANS.lock().unwrap_or_else(PoisonError::into_inner).push_back(orphan);
}

/// Looks at some of them.
pub(super) fn reap_some() {
    for _ in 0..LOOKED_AT {
        let next = ORPHANS.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(orphan) = next else { return };
        if is_running(&orphan.process) {
            keep(orphan);
        } else {
            orphan.end();
        }
    }
}

fn is_running(process: &Process) -> bool {
    matches!(process.try_wait(), Ok(None))
}

struct Orphan {
    process: Arc<Process>,
    /// Taken when it has been reaped; then only the list above has this.
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
        if matches!(poll, Poll::Ready(Err(_))) && is_running(&self.process) {
            poll = match self.process.notice.move_to_fallback(waits) {
                Ok(()) => budget::unlimited(|| self.process.poll_wait(cx, waits)),
                Err(error) => Poll::Ready(Err(error)),
            };
        }
        drop(place);
        if poll.is_ready() {
            self.end();
        }
    }

    /// It has been reaped, or cannot be waited for.
    fn end(&self) {
        let former = self.waits.lock().take();
        drop(former);
    }
}

impl Wake for Orphan {
    fn wake(self: Arc<Self>) {
        self.look();
    }
}
