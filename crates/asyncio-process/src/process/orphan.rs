//! Children that nobody waits for any more: each is reaped when it ends, by the wake-up itself.
//!
//! - The loop where the child was first waited for, or else that of the thread where it was left, or else the fallback's thread, hears of its end. No task and no
//!   thread waits for it.
//! - Where that loop is closed before, or cannot wait for it, the fallback takes over.
//! - A loop that is not turned hears of nothing, and a process may be out of descriptors. So whenever a child is made or left, some of those that there are are looked
//!   at, in turn.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use asyncio_base::budget;
use asyncio_base::shim::{Arc, AtomicU64, Mutex, Ordering};

use super::{Process, Waits};

/// All of them.
/// std's, since a static must be made without loom.
static ORPHANS: std::sync::Mutex<Orphans> =
    std::sync::Mutex::new(Orphans { by_number: BTreeMap::new(), next: 0 });

#[derive(Default)]
struct Orphans {
    /// In the order in which they were left.
    by_number: BTreeMap<u64, Arc<Orphan>>,
    /// The one that is looked at next.
    next: u64,
}

/// So many are looked at at once: more than one, so that there are fewer in the end.
const LOOKED_AT: usize = 4;

fn orphans() -> MutexGuard<'static, Orphans> {
    // No code of a user's runs under it.
    ORPHANS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes over a child that nobody waits for any more.
pub(super) fn adopt(process: Arc<Process>) {
    static NUMBERS: AtomicU64 = AtomicU64::new(0);
    reap_some();
    if is_running(&process) {
        // Relaxed: a number.
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let orphan = Arc::new(Orphan { number, process, waits: Mutex::new(Some(Waits::default())) });
        orphans().by_number.insert(number, orphan.clone());
        orphan.look();
    }
}

/// Looks at some of them, in turn.
pub(super) fn reap_some() {
    for _ in 0..LOOKED_AT {
        let orphan = {
            let mut orphans = orphans();
            let next = orphans.by_number.range(orphans.next..).next();
            let Some((number, orphan)) = next.map(|(number, orphan)| (*number, orphan.clone())) else {
                orphans.next = 0;
                return;
            };
            orphans.next = number + 1;
            orphan
        };
        if !is_running(&orphan.process) {
            orphan.end();
        }
    }
}

fn is_running(process: &Process) -> bool {
    matches!(process.try_wait(), Ok(None))
}

struct Orphan {
    number: u64,
    process: Arc<Process>,
    /// Taken when it has been reaped.
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
        // One that cannot be waited for at all is looked at in turn.
        if poll.is_ready() && !is_running(&self.process) {
            self.end();
        }
    }

    /// It has been reaped.
    fn end(&self) {
        let former = self.waits.lock().take();
        let listed = orphans().by_number.remove(&self.number);
        drop((former, listed));
    }
}

impl Wake for Orphan {
    fn wake(self: Arc<Self>) {
        self.look();
    }
}
