//! [`EventLoop::add_reader`] and [`EventLoop::add_writer`]: callbacks of descriptors.
//!
//! Such a callback is a task that waits for the descriptor, again and again. By level, as asyncio's: it is called once a round for as long as an
//! operation would not block, and the system is asked before each call.

use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;

use asyncio_base::report;
use asyncio_base::shim::Arc;
use asyncio_reactor::{Direction, Waiter, Watched};
use asyncio_tasks::{spawn_local_with, yield_now};

use crate::callbacks::{Call, CallHandle};
use crate::event_loop::EventLoop;

impl EventLoop {
    /// Has a callback called whenever a descriptor can be read without blocking: once a round for as long as that is so. asyncio's `add_reader`.
    ///
    /// The loop keeps `source` until the callback is [cancelled](CallHandle::cancel), or the loop is closed; an `Arc` of it, to go on using it here.
    /// A panic of the callback goes to the [exception handler](Self::set_exception_handler), and it is called again.
    ///
    /// # Errors
    ///
    /// Fails where the system cannot wait for the descriptor, where it is watched already, on another thread than the loop's ([`LoopError`](crate::LoopError) inside),
    /// and with `LoopClosed`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use std::os::unix::net::UnixStream;
    /// use std::sync::Arc;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut runner = asyncio_runtime::Runner::new()?;
    /// let event_loop = runner.event_loop();
    /// let (one, mut other) = UnixStream::pair()?;
    /// let one = Arc::new(one);
    /// let stops = event_loop.clone();
    /// let reader = event_loop.add_reader(one.clone(), move || {
    ///     let mut buf = [0; 4];
    ///     (&*one).read_exact(&mut buf).unwrap();
    ///     assert_eq!(&buf, b"ping");
    ///     stops.stop();
    /// })?;
    /// other.write_all(b"ping")?;
    /// runner.run_forever();
    /// reader.cancel();
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn add_reader<S: AsFd + 'static>(
        &self,
        source: S,
        callback: impl FnMut() + 'static,
    ) -> io::Result<CallHandle> {
        self.watch(source, Direction::Read, callback)
    }

    /// Has a callback called whenever a descriptor can be written to without blocking. asyncio's `add_writer`; as [`add_reader`](Self::add_reader) otherwise.
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn add_writer<S: AsFd + 'static>(
        &self,
        source: S,
        callback: impl FnMut() + 'static,
    ) -> io::Result<CallHandle> {
        self.watch(source, Direction::Write, callback)
    }

    #[track_caller]
    fn watch<S: AsFd + 'static>(
        &self,
        source: S,
        direction: Direction,
        mut callback: impl FnMut() + 'static,
    ) -> io::Result<CallHandle> {
        let watched = Watched::new(source);
        watched.bind(&**self.reactor())?;
        let call = Call::new(None);
        let of_task = call.clone();
        let spawned = spawn_local_with(self.spawner(), async move {
            loop {
                let mut waiter = Waiter::new();
                let ready = poll_fn(|cx| watched.poll_ready(cx, &mut waiter, direction)).await;
                if of_task.is_cancelled() {
                    return;
                }
                if let Err(error) = ready {
                    return report::report(
                        "runtime",
                        format_args!(
                            "a descriptor cannot be watched any more, and its callback is not called: {error}"
                        ),
                    );
                }
                of_task.call(&mut callback);
                yield_now().await;
            }
        });
        match spawned {
            Ok(task) => Ok(CallHandle::new(call, Arc::new(task))),
            Err(error) => Err(self.refused(error).into()),
        }
    }
}
