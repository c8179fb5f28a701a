//! [`Runtime`]: what all loops of one runtime share.

use std::sync::OnceLock;
use std::task::Waker;

use asyncio_base::debug::{self, DebugGuard};
use asyncio_base::report::{self, HandlerGuard};
use asyncio_base::shim::{Arc, AtomicBool, Mutex, Ordering};
use std::rc::Rc;

use crate::unhandled::Unhandled;

type Handler = Arc<dyn Fn(&Unhandled) + Send + Sync>;

#[derive(Default)]
pub(crate) struct Runtime {
    /// Whether `run_forever` is to end.
    is_stopping: AtomicBool,
    /// Wakes worker 0, whose that is.
    first: OnceLock<Waker>,
    /// Whether its threads are in debug mode. Set when it is built.
    is_debugged: AtomicBool,
    /// What is done with what nobody handles; `None` is what the thread does anyhow.
    handler: Mutex<Option<Handler>>,
}

impl Runtime {
    /// Says what wakes worker 0. Once.
    pub(crate) fn set_first(&self, waker: Waker) {
        let _ = self.first.set(waker);
    }

    pub(crate) fn stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        if let Some(first) = self.first.get() {
            first.wake_by_ref();
        }
    }

    /// Says whether somebody has asked for the end, which is answered by this.
    pub(crate) fn take_stop(&self) -> bool {
        self.is_stopping.swap(false, Ordering::SeqCst)
    }

    pub(crate) fn set_handler(&self, handler: Handler) {
        let former = self.handler.lock().replace(handler);
        drop(former);
    }

    /// Forgets the handler, which may have a handle to the loop: in a circle nothing would be dropped.
    pub(crate) fn forget_handler(&self) {
        let former = self.handler.lock().take();
        drop(former);
    }

    pub(crate) fn set_debugged(&self, is_debugged: bool) {
        self.is_debugged.store(is_debugged, Ordering::Relaxed);
    }

    pub(crate) fn is_debugged(&self) -> bool {
        self.is_debugged.load(Ordering::Relaxed)
    }

    /// Has the reports of this thread go to the handler of this runtime, until the guard is dropped; and has it in debug mode, if the runtime is.
    pub(crate) fn listen(self: &Arc<Self>) -> Listening {
        let runtime = self.clone();
        let _debug = debug::enter(self.is_debugged());
        let _reports = report::enter(move |former| {
            Rc::new(move |report| {
                let handler = runtime.handler.lock().clone();
                match (handler, &former) {
                    (Some(handler), _) => handler(&Unhandled::of(report)),
                    (None, former) => report.pass_on(former.as_ref()),
                }
            })
        });
        Listening { _reports, _debug }
    }
}

/// While it lives, what this thread reports goes to a runtime. Made by [`Runtime::listen`].
pub(crate) struct Listening {
    _reports: HandlerGuard,
    _debug: DebugGuard,
}
