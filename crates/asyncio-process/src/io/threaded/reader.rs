//! [`ThreadedReader`]: reads when somebody waits for bytes, and never before.

use std::fmt;
use std::io::{self, Read};
use std::sync::{Condvar, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread;

use asyncio_base::shim::{Arc, Mutex};
use asyncio_base::wait_point;

use super::{CHUNK, PAUSE, Waits};

/// A reader that blocks, as one that does not. Clones are of the same one: what was read and not taken is there for whoever reads next.
#[derive(Clone)]
pub(crate) struct ThreadedReader {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
}

struct Shared {
    name: &'static str,
    /// std's, since a condition variable needs it.
    state: std::sync::Mutex<State>,
    /// Bytes are wanted, or nobody is there any more.
    changed: Condvar,
    /// Taken by the thread.
    source: Mutex<Option<Box<dyn Read + Send>>>,
}

#[derive(Default)]
struct State {
    phase: Phase,
    /// What was read, from `taken` on.
    bytes: Vec<u8>,
    taken: usize,
    waits: Waits,
    has_thread: bool,
    /// Nobody is there any more.
    is_left: bool,
}

#[derive(Default)]
enum Phase {
    #[default]
    Idle,
    /// The thread is to read, or does.
    Reading,
    /// What it came to, which was not bytes: told once, since a terminal may go on after its end.
    Ended(io::Result<()>),
}

impl ThreadedReader {
    pub(crate) fn new(name: &'static str, source: impl Read + Send + 'static) -> Self {
        let shared = Shared {
            name,
            state: std::sync::Mutex::default(),
            changed: Condvar::new(),
            source: Mutex::new(Some(Box::new(source))),
        };
        Self { handle: Arc::new(Handle { shared: Arc::new(shared) }) }
    }

    /// Reads; none at the end.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let shared = &self.handle.shared;
        let waker = cx.waker().clone();
        let mut state = shared.lock();
        let here = &state.bytes[state.taken..];
        if !here.is_empty() || buf.is_empty() {
            let n = here.len().min(buf.len());
            buf[..n].copy_from_slice(&here[..n]);
            state.taken += n;
            return Poll::Ready(Ok(n));
        }
        match std::mem::replace(&mut state.phase, Phase::Reading) {
            Phase::Ended(ended) => {
                state.phase = Phase::Idle;
                return Poll::Ready(ended.map(|()| 0));
            }
            Phase::Reading => {}
            Phase::Idle if state.has_thread => shared.changed.notify_one(),
            Phase::Idle => {
                if let Err(error) = shared.start() {
                    state.phase = Phase::Idle;
                    return Poll::Ready(Err(error));
                }
                state.has_thread = true;
            }
        }
        let former = state.waits.put(waker);
        drop(state);
        drop(former);
        wait_point::here("read on a thread");
        Poll::Pending
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of a user's runs under it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(self: &Arc<Self>) -> io::Result<()> {
        let shared = self.clone();
        thread::Builder::new().name(self.name.into()).spawn(move || shared.work()).map(drop)
    }

    /// What the thread does.
    fn work(&self) {
        let Some(mut source) = self.source.lock().take() else { return };
        let mut bytes = Vec::new();
        while self.is_wanted() {
            bytes.resize(CHUNK, 0);
            let read = loop {
                match source.read(&mut bytes) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // Somebody has it not block, for whom it is, too.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
                    read => break read,
                }
            };
            let mut state = self.lock();
            state.phase = match read {
                Ok(0) => Phase::Ended(Ok(())),
                Err(error) => Phase::Ended(Err(error)),
                Ok(n) => {
                    bytes.truncate(n);
                    std::mem::swap(&mut state.bytes, &mut bytes);
                    state.taken = 0;
                    Phase::Idle
                }
            };
            let waits = state.waits.take();
            drop(state);
            waits.wake();
        }
    }

    /// Waits until bytes are wanted; says `false` if nobody is there any more.
    fn is_wanted(&self) -> bool {
        let mut state = self.lock();
        while !matches!(state.phase, Phase::Reading) && !state.is_left {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !state.is_left
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.lock().is_left = true;
        self.shared.changed.notify_one();
    }
}

impl fmt::Debug for ThreadedReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadedReader").field("thread", &self.handle.shared.name).finish_non_exhaustive()
    }
}
