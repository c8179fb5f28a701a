//! [`EventLoop::add_signal_handler`]: callbacks of signals.
//!
//! Such a callback is a task that waits for the signal, again and again; it does not run in the signal's handler, and may do whatever a callback may.

use std::future::poll_fn;
use std::io;

use asyncio_base::report;
use asyncio_base::shim::Arc;
use asyncio_reactor::{SecondTime, SignalSource};
use asyncio_tasks::spawn_local_with;

use crate::callbacks::{Call, CallHandle};
use crate::event_loop::EventLoop;

impl EventLoop {
    /// Has a callback called when a signal has come: asyncio's `add_signal_handler`.
    ///
    /// It is called by this loop, as any callback is. Several signals of a kind that come before it is called are one call, as the system itself has it. A handler for
    /// the same signal that is added later, here or on another loop, does not take its place: each is called.
    ///
    /// While there is one, the signal does not do what it does by default. Once the last one is [cancelled](CallHandle::cancel) it does again, from the next round of the
    /// loop on; the end of the loop cancels it.
    ///
    /// # Errors
    ///
    /// Fails for a number that is none, or is of a signal that cannot be listened to, where the process is out of descriptors, on another thread than the loop's
    /// ([`LoopError`](crate::LoopError) inside), and with `LoopClosed`.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(unix)]
    /// # fn main() -> std::io::Result<()> {
    /// use rustix::process::{Signal, getpid, kill_process};
    ///
    /// let mut runner = asyncio_runtime::Runner::new()?;
    /// let event_loop = runner.event_loop();
    /// let stops = event_loop.clone();
    /// let handler = event_loop.add_signal_handler(Signal::USR1.as_raw(), move || stops.stop())?;
    /// kill_process(getpid(), Signal::USR1)?;
    /// runner.run_forever();
    /// handler.cancel();
    /// # Ok(())
    /// # }
    /// # #[cfg(not(unix))]
    /// # fn main() {}
    /// ```
    #[track_caller]
    pub fn add_signal_handler(
        &self,
        signal: impl Into<i32>,
        mut callback: impl FnMut() + 'static,
    ) -> io::Result<CallHandle> {
        let mut source = SignalSource::new(signal.into(), SecondTime::IsReceived)?;
        source.bind(&**self.reactor())?;
        let call = Call::new(None);
        let of_task = call.clone();
        let spawned = spawn_local_with(self.spawner(), async move {
            loop {
                let received = poll_fn(|cx| source.poll_recv(cx)).await;
                if of_task.is_cancelled() {
                    return;
                }
                if let Err(error) = received {
                    return report::report(
                        "runtime",
                        format_args!(
                            "a signal cannot be waited for any more, and its callback is not called: {error}"
                        ),
                    );
                }
                of_task.call(&mut callback);
                if of_task.is_cancelled() {
                    return;
                }
            }
        });
        match spawned {
            Ok(task) => Ok(CallHandle::new(call, Arc::new(task))),
            Err(error) => Err(self.refused(error).into()),
        }
    }
}
