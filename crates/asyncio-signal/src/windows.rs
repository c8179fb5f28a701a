//! What a console of Windows tells its programs: [`ctrl_break`], [`ctrl_close`], [`ctrl_logoff`], [`ctrl_shutdown`]. SetConsoleCtrlHandler of Windows.
//!
//! The system calls a handler on a thread that it makes for it, which may wake. While somebody listens to an event it does not do what it does by default.
//!
//! After a close, a logoff or a shutdown the process is ended as soon as the handler returns, and after some seconds in any case. So it does not return: whoever
//! listens has those seconds.

#![expect(unsafe_code, reason = "the system calls a function of ours")]

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};
use std::thread;

use asyncio_base::panic::{catch_and_store, discard};
use asyncio_base::shim::{Arc, Mutex};
use asyncio_base::wait_point;
use futures_core::Stream;
use windows_sys::Win32::System::Console::{
    CTRL_BREAK_EVENT, CTRL_CLOSE_EVENT, CTRL_LOGOFF_EVENT, CTRL_SHUTDOWN_EVENT, SetConsoleCtrlHandler,
};

/// Listens to Ctrl-Break.
///
/// # Errors
///
/// Fails where the system does not take a handler.
pub fn ctrl_break() -> io::Result<ConsoleEvent> {
    ConsoleEvent::new(CTRL_BREAK_EVENT)
}

/// Listens to the closing of the console.
///
/// # Errors
///
/// Fails where the system does not take a handler.
pub fn ctrl_close() -> io::Result<ConsoleEvent> {
    ConsoleEvent::new(CTRL_CLOSE_EVENT)
}

/// Listens to the user's logging off: of services alone, as the system has it.
///
/// # Errors
///
/// Fails where the system does not take a handler.
pub fn ctrl_logoff() -> io::Result<ConsoleEvent> {
    ConsoleEvent::new(CTRL_LOGOFF_EVENT)
}

/// Listens to the system's shutting down: of services alone, as the system has it.
///
/// # Errors
///
/// Fails where the system does not take a handler.
pub fn ctrl_shutdown() -> io::Result<ConsoleEvent> {
    ConsoleEvent::new(CTRL_SHUTDOWN_EVENT)
}

/// Listens to an event of the console. Made by [`ctrl_break`] and its like.
#[must_use = "it listens while it is kept"]
pub struct ConsoleEvent {
    listener: Arc<Listener>,
}

struct Listener {
    event: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    has_come: bool,
    waits: Option<Waker>,
}

/// All of them. They are of the process, as its console is.
static LISTENERS: Mutex<Vec<Arc<Listener>>> = Mutex::new(Vec::new());

impl ConsoleEvent {
    fn new(event: u32) -> io::Result<Self> {
        static INSTALLED: OnceLock<()> = OnceLock::new();
        if INSTALLED.get().is_none() {
            // SAFETY: the function is there for as long as the process is.
            if unsafe { SetConsoleCtrlHandler(Some(handle), 1) } == 0 {
                return Err(io::Error::last_os_error());
            }
            // Twice would be one call more, which finds nobody.
            let _ = INSTALLED.set(());
        }
        let listener = Arc::new(Listener { event, state: Mutex::default() });
        LISTENERS.lock().push(listener.clone());
        Ok(Self { listener })
    }

    /// Waits until the event has come since it was last received, or since this was made. It always gives `Some`, as signals elsewhere do for as long as their loop is open.
    ///
    /// # Cancel safety
    ///
    /// One that came is not lost by dropping it.
    pub async fn recv(&mut self) -> Option<()> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Polls for [`recv`](Self::recv).
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        let waker = cx.waker().clone();
        let mut state = self.listener.state.lock();
        if std::mem::take(&mut state.has_come) {
            return Poll::Ready(Some(()));
        }
        let former = state.waits.replace(waker);
        drop(state);
        drop(former);
        wait_point::here("console event");
        Poll::Pending
    }
}

impl Stream for ConsoleEvent {
    type Item = ();

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<()>> {
        self.poll_recv(cx)
    }
}

impl Drop for ConsoleEvent {
    fn drop(&mut self) {
        LISTENERS.lock().retain(|other| !Arc::ptr_eq(other, &self.listener));
    }
}

impl fmt::Debug for ConsoleEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsoleEvent").field("event", &self.listener.event).finish_non_exhaustive()
    }
}

/// What the system calls; says by its result whether somebody has heard.
unsafe extern "system" fn handle(event: u32) -> i32 {
    let listeners: Vec<_> =
        LISTENERS.lock().iter().filter(|listener| listener.event == event).cloned().collect();
    if listeners.is_empty() {
        return 0;
    }
    for listener in listeners {
        let waits = {
            let mut state = listener.state.lock();
            state.has_come = true;
            state.waits.take()
        };
        let mut panic = None;
        catch_and_store(&mut panic, || waits.into_iter().for_each(Waker::wake));
        panic.into_iter().for_each(discard);
    }
    if event == CTRL_BREAK_EVENT {
        return 1;
    }
    // The end of this is the end of the process.
    loop {
        thread::park();
    }
}
