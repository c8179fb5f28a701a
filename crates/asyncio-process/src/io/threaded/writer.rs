//! [`ThreadedWriter`]: takes bytes at once while it has few, and writes them in order.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Condvar, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

use asyncio_base::shim::{Arc, Mutex};
use asyncio_base::wait_point;

use super::{CHUNK, PAUSE, Waits};

/// A writer that blocks, as one that does not. Clones are of the same one.
///
/// Bytes that it has taken are written also after it is gone, but for the end of the process, which waits for nobody: who wants to know flushes.
#[derive(Clone)]
pub(crate) struct ThreadedWriter {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
}

struct Shared {
    name: &'static str,
    /// std's, since a condition variable needs it.
    state: std::sync::Mutex<State>,
    /// There are bytes, or nobody is there any more.
    changed: Condvar,
    /// Taken by the thread.
    sink: Mutex<Option<Box<dyn Write + Send>>>,
}

#[derive(Default)]
struct State {
    /// What was taken and is not with the thread yet.
    bytes: Vec<u8>,
    /// The thread writes some.
    is_writing: bool,
    /// Why bytes were not written: told once, to whoever writes or flushes next.
    error: Option<io::Error>,
    waits: Waits,
    has_thread: bool,
    /// Nobody is there any more.
    is_left: bool,
}

impl ThreadedWriter {
    pub(crate) fn new(name: &'static str, sink: impl Write + Send + 'static) -> Self {
        let shared = Shared {
            name,
            state: std::sync::Mutex::default(),
            changed: Condvar::new(),
            sink: Mutex::new(Some(Box::new(sink))),
        };
        Self { handle: Arc::new(Handle { shared: Arc::new(shared) }) }
    }

    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let shared = &self.handle.shared;
        let waker = cx.waker().clone();
        let mut state = shared.lock();
        if let Some(error) = state.error.take() {
            return Poll::Ready(Err(error));
        }
        let n = buf.len().min(CHUNK.saturating_sub(state.bytes.len()));
        if n == 0 && !buf.is_empty() {
            return Self::wait(state, waker);
        }
        if !state.has_thread {
            if let Err(error) = shared.start() {
                return Poll::Ready(Err(error));
            }
            state.has_thread = true;
        }
        state.bytes.extend_from_slice(&buf[..n]);
        drop(state);
        shared.changed.notify_one();
        Poll::Ready(Ok(n))
    }

    /// Waits until everything is written.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let waker = cx.waker().clone();
        let mut state = self.handle.shared.lock();
        match state.error.take() {
            Some(error) => Poll::Ready(Err(error)),
            None if state.bytes.is_empty() && !state.is_writing => Poll::Ready(Ok(())),
            None => Self::wait(state, waker),
        }
    }

    fn wait<T>(mut state: MutexGuard<'_, State>, waker: Waker) -> Poll<T> {
        let former = state.waits.put(waker);
        drop(state);
        drop(former);
        wait_point::here("write on a thread");
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
        let Some(mut sink) = self.sink.lock().take() else { return };
        let mut bytes = Vec::new();
        while self.next(&mut bytes) {
            let written = write_all(&mut *sink, &bytes).and_then(|()| sink.flush());
            bytes.clear();
            let mut state = self.lock();
            state.is_writing = false;
            if let Err(error) = written {
                // What came behind would be torn from what is lost.
                state.bytes.clear();
                state.error = Some(error);
            }
            let waits = state.waits.take();
            drop(state);
            waits.wake();
        }
    }

    /// Waits for bytes; says `false` if there are none, and nobody is there any more.
    fn next(&self, bytes: &mut Vec<u8>) -> bool {
        let mut state = self.lock();
        while state.bytes.is_empty() {
            if state.is_left {
                return false;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut state.bytes, bytes);
        state.is_writing = true;
        // There is room.
        let waits = state.waits.take();
        drop(state);
        waits.wake();
        true
    }
}

/// Also where somebody has it not block, for whom it is, too.
fn write_all(sink: &mut (dyn Write + Send), mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match sink.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.lock().is_left = true;
        self.shared.changed.notify_one();
    }
}

impl fmt::Debug for ThreadedWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadedWriter").field("thread", &self.handle.shared.name).finish_non_exhaustive()
    }
}
