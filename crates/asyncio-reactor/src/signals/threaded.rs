//! Where a handler runs on a thread of its own, as on Windows, and may wake.

#![expect(unsafe_code, reason = "what a signal's handler does is allowed there")]

use std::io;
use std::task::{Context, Poll, Waker};

use asyncio_base::shim::{Arc, AtomicBool, AtomicUsize, Mutex, Ordering};
use signal_hook::SigId;

use super::SecondTime;
use crate::reactor::Reactor;

pub(super) struct Source {
    shared: Arc<Shared>,
    id: SigId,
}

#[derive(Default)]
struct Shared {
    /// How often it has come since it was received.
    count: AtomicUsize,
    waits: Mutex<Option<Waker>>,
}

/// Nobody can say.
pub(super) fn is_by_default(_signal: i32) -> bool {
    true
}

/// Has a signal do what it does by default for as long as the flag says so.
pub(super) fn register_default(signal: i32, flag: Arc<std::sync::atomic::AtomicBool>) -> io::Result<()> {
    signal_hook::flag::register_conditional_default(signal, flag).map(drop)
}

impl Source {
    pub(super) fn new(signal: i32, second: SecondTime) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (inside, is_second) = (shared.clone(), AtomicBool::new(false));
        let handler = move || {
            inside.count.fetch_add(1, Ordering::SeqCst);
            if is_second.swap(true, Ordering::SeqCst) && second == SecondTime::Kills {
                std::process::abort();
            }
            let waits = inside.waits.lock().take();
            if let Some(waits) = waits {
                waits.wake();
            }
        };
        // SAFETY: `register` asks for what is safe in a handler. The C runtime calls that of Ctrl-C on a thread made for it, where locks are allowed.
        let id = unsafe { signal_hook::low_level::register(signal, handler) }?;
        Ok(Self { shared, id })
    }

    /// The handler wakes by itself.
    pub(super) fn bind(&self, _reactor: &dyn Reactor) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let waker = cx.waker().clone();
        let former = self.shared.waits.lock().replace(waker);
        drop(former);
        // After the waker is there: SeqCst, as the handler counts before it looks for one.
        if self.shared.count.swap(0, Ordering::SeqCst) > 0 { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        signal_hook::low_level::unregister(self.id);
    }
}
