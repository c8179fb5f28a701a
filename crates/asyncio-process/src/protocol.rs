//! [`SubprocessProtocol`]: a child process that calls back.
//!
//! Each pipe is a connection of the loop's one driver of protocols (`asyncio_net::protocol`), which calls what is here; a task waits for the end of the child. So
//! nothing is called from inside of something else.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::io;
use std::process::ExitStatus;
use std::rc::Rc;

use asyncio_base::panic::{catch_and_store, into_message};
use asyncio_base::report::Report;
use asyncio_base::shim::Arc;
use asyncio_net::protocol::{OnEof, Protocol, Transport, connect_accepted_socket};
use asyncio_reactor::Socket;
use asyncio_signal::unix::SignalKind;
use asyncio_tasks::spawn_local;

use crate::child::Child;
use crate::command::Command;

/// Which of a child's standard streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "complete: there are three")]
pub enum StandardStream {
    /// What the child reads: 0.
    Stdin,
    /// What it writes: 1.
    Stdout,
    /// What it writes about what goes wrong: 2.
    Stderr,
}

/// What happens to a child process, told by callbacks: asyncio's `SubprocessProtocol`.
///
/// They come in this order: [`connection_made`](Self::connection_made) once; then, of each pipe, [`pipe_data_received`](Self::pipe_data_received) any number of
/// times, and [`pipe_connection_lost`](Self::pipe_connection_lost) once; [`process_exited`](Self::process_exited) once, before or after those; and, after all of
/// that, [`connection_lost`](Self::connection_lost) once. They are called by the loop, on its thread, one at a time. A callback that panics is reported.
pub trait SubprocessProtocol: 'static {
    /// The child has been started.
    fn connection_made(&mut self, transport: SubprocessTransport) {
        let _ = transport;
    }

    /// The child has written something.
    fn pipe_data_received(&mut self, stream: StandardStream, data: &[u8]) {
        let _ = (stream, data);
    }

    /// A pipe has ended: the child, and whoever else had it, has closed it, or it has failed.
    fn pipe_connection_lost(&mut self, stream: StandardStream, error: Option<io::Error>) {
        let _ = (stream, error);
    }

    /// The child has ended; [`SubprocessTransport::status`] says how.
    fn process_exited(&mut self) {}

    /// The child has ended, and so has each pipe: nothing comes any more. `error` says why its end could not be waited for.
    fn connection_lost(&mut self, error: Option<io::Error>) {
        let _ = error;
    }

    /// More is unsent to what the child reads than the high water mark says: whoever writes should wait.
    fn pause_writing(&mut self) {}

    /// It is down to the low water mark.
    fn resume_writing(&mut self) {}
}

/// Starts a child, and gives it to a protocol: asyncio's `subprocess_exec`, and with [`Command::shell`] its `subprocess_shell`.
///
/// Standard streams that are not set are pipes. The factory is called once the child has been started; then
/// [`connection_made`](SubprocessProtocol::connection_made), and then this returns. The end of the loop leaves the child as a dropped [`Child`] is left.
///
/// # Errors
///
/// Fails as [`Command::spawn`] does.
///
/// # Panics
///
/// Panics where no loop runs on this thread.
///
/// # Cancel safety
///
/// Dropped, it leaves the child as a dropped [`Child`] is left.
///
/// # Examples
///
/// ```
/// use asyncio_process::{Command, StandardStream, SubprocessProtocol, SubprocessTransport, subprocess_exec};
/// use std::io;
///
/// #[derive(Default)]
/// struct Collects {
///     output: Vec<u8>,
///     done: Option<asyncio_sync::oneshot::Sender<Vec<u8>>>,
/// }
///
/// impl SubprocessProtocol for Collects {
///     fn connection_made(&mut self, transport: SubprocessTransport) {
///         let stdin = transport.pipe_transport(StandardStream::Stdin).unwrap();
///         stdin.write(b"text");
///         stdin.close();
///     }
///
///     fn pipe_data_received(&mut self, _stream: StandardStream, data: &[u8]) {
///         self.output.extend_from_slice(data);
///     }
///
///     fn connection_lost(&mut self, _error: Option<io::Error>) {
///         let output = std::mem::take(&mut self.output);
///         self.done.take().map(|done| done.send(output));
///     }
/// }
///
/// # fn main() -> io::Result<()> {
/// asyncio_runtime::run(async {
///     let (done, output) = asyncio_sync::oneshot();
///     let factory = || Collects { output: Vec::new(), done: Some(done) };
///     subprocess_exec(factory, Command::new("tr").args(["a-z", "A-Z"])).await?;
///     assert_eq!(output.await.unwrap(), b"TEXT");
///     Ok(())
/// })
/// # }
/// ```
pub async fn subprocess_exec<P: SubprocessProtocol>(
    factory: impl FnOnce() -> P,
    command: &mut Command,
) -> io::Result<(SubprocessTransport, SubprocessHandle<P>)> {
    let mut child = command.spawn_piped()?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let transport = SubprocessTransport { child: Rc::new(child), pipes: Rc::default() };
    let link = Rc::new(Link {
        transport: transport.clone(),
        protocol: OnceCell::new(),
        open: Cell::new(1),
        error: RefCell::new(None),
    });
    let starting = Starting(&transport);
    if let Some(stdin) = stdin {
        link.connect(StandardStream::Stdin, stdin.into_pipe()).await?;
    }
    if let Some(stdout) = stdout {
        link.connect(StandardStream::Stdout, stdout.into_pipe()).await?;
    }
    if let Some(stderr) = stderr {
        link.connect(StandardStream::Stderr, stderr.into_pipe()).await?;
    }
    let protocol = Rc::new(RefCell::new(factory()));
    std::mem::forget(starting);
    link.begin(protocol.clone());
    link.call(|protocol| protocol.connection_made(transport.clone()));
    // Nothing has come before.
    transport.pipes.borrow().iter().for_each(|(_, pipe)| pipe.resume_reading());
    spawn_local(link.wait());
    Ok((transport, SubprocessHandle { protocol }))
}

/// Lets the pipes of a child go of which nobody was told.
struct Starting<'a>(&'a SubprocessTransport);

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.0.pipes.borrow().iter().for_each(|(_, pipe)| pipe.abort());
    }
}

/// A child and its protocol, as its pipes and the task that waits have them: they go with the loop.
struct Link {
    transport: SubprocessTransport,
    /// How many have not ended: the child, and each pipe.
    open: Cell<usize>,
    /// Why the end of the child is not known.
    error: RefCell<Option<io::Error>>,
    /// There once all pipes are connected.
    protocol: OnceCell<Rc<RefCell<dyn SubprocessProtocol>>>,
}

impl Link {
    async fn connect(
        self: &Rc<Self>,
        stream: StandardStream,
        pipe: impl Into<Arc<dyn Socket>>,
    ) -> io::Result<()> {
        self.open.set(self.open.get() + 1);
        let (transport, _) = connect_accepted_socket(|| Pipe { link: self.clone(), stream }, pipe).await?;
        self.transport.pipes.borrow_mut().push((stream, transport));
        Ok(())
    }

    fn begin(&self, protocol: Rc<RefCell<dyn SubprocessProtocol>>) {
        // OK because it is set here alone, and this is called once.
        assert!(self.protocol.set(protocol).is_ok(), "it begins once");
    }

    /// Calls the protocol, if there is one yet.
    fn call(&self, call: impl FnOnce(&mut dyn SubprocessProtocol)) {
        let Some(protocol) = self.protocol.get() else { return };
        let mut panic = None;
        catch_and_store(&mut panic, || call(&mut *protocol.borrow_mut()));
        if let Some(payload) = panic {
            let text = into_message(payload);
            Report::new(
                "process",
                format_args!("a callback of a protocol of a child process panicked: {text}"),
            )
            .panicked()
            .send();
        }
    }

    /// One of those that are to end has ended.
    fn leave(&self) {
        self.open.set(self.open.get() - 1);
        if self.open.get() == 0 {
            let error = self.error.borrow_mut().take();
            self.call(|protocol| protocol.connection_lost(error));
        }
    }

    /// Waits until the child has ended.
    async fn wait(self: Rc<Self>) {
        match self.transport.child.ended().await {
            Ok(_) => self.call(|protocol| protocol.process_exited()),
            Err(error) => *self.error.borrow_mut() = Some(error),
        }
        self.leave();
    }
}

/// A pipe of the child.
struct Pipe {
    link: Rc<Link>,
    stream: StandardStream,
}

impl Protocol for Pipe {
    fn connection_made(&mut self, transport: Transport) {
        // Until the protocol of the child is told that there is one.
        transport.pause_reading();
    }

    fn data_received(&mut self, data: &[u8]) {
        self.link.call(|protocol| protocol.pipe_data_received(self.stream, data));
    }

    fn eof_received(&mut self) -> OnEof {
        OnEof::Close
    }

    fn connection_lost(&mut self, error: Option<io::Error>) {
        // A child that reads no more has read enough, as one that has ended has.
        let error = error.filter(|error| {
            self.stream != StandardStream::Stdin || error.kind() != io::ErrorKind::BrokenPipe
        });
        self.link.call(|protocol| protocol.pipe_connection_lost(self.stream, error));
        self.link.leave();
    }

    fn pause_writing(&mut self) {
        self.link.call(|protocol| protocol.pause_writing());
    }

    fn resume_writing(&mut self) {
        self.link.call(|protocol| protocol.resume_writing());
    }
}

/// A child process of a protocol: asyncio's `SubprocessTransport`. It may be cloned and kept, and stays on the loop's thread.
///
/// The child is dropped with the last of these, or with the loop if that is later.
#[derive(Clone)]
pub struct SubprocessTransport {
    // Not the link, which has the protocol, which has this.
    child: Rc<Child>,
    pipes: Rc<RefCell<Vec<(StandardStream, Transport)>>>,
}

impl SubprocessTransport {
    /// Returns the child's number: asyncio's `get_pid`.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns how the child has ended, if it has: asyncio's `get_returncode`.
    ///
    /// # Errors
    ///
    /// Fails where somebody else in this process has reaped it.
    pub fn status(&self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Returns a pipe of the child, to write to, and to pause: asyncio's `get_pipe_transport`. There is none where the stream is no pipe.
    pub fn pipe_transport(&self, stream: StandardStream) -> Option<Transport> {
        let pipes = self.pipes.borrow();
        pipes.iter().find(|(of, _)| *of == stream).map(|(_, transport)| transport.clone())
    }

    /// Sends a signal, as [`Child::send_signal`] does.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn send_signal(&self, signal: impl Into<SignalKind>) -> io::Result<()> {
        self.child.send_signal(signal)
    }

    /// Asks it to end, as [`Child::terminate`] does.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn terminate(&self) -> io::Result<()> {
        self.child.terminate()
    }

    /// Ends it at once, as [`Child::kill`] does.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn kill(&self) -> io::Result<()> {
        self.child.kill()
    }

    /// Closes all pipes, and ends the child if it has not ended. The protocol is told of all of that.
    pub fn close(&self) {
        self.pipes.borrow().iter().for_each(|(_, pipe)| pipe.close());
        // One that may not be ended goes on.
        let _ = self.kill();
    }
}

impl fmt::Debug for SubprocessTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SubprocessTransport").field(&self.child).finish()
    }
}

/// The protocol of a child, for whoever has made it.
pub struct SubprocessHandle<P> {
    protocol: Rc<RefCell<P>>,
}

impl<P> SubprocessHandle<P> {
    /// Does something with the protocol.
    ///
    /// # Panics
    ///
    /// Panics inside of one of its callbacks.
    pub fn with<R>(&self, f: impl FnOnce(&mut P) -> R) -> R {
        f(&mut self.protocol.borrow_mut())
    }
}

impl<P> Clone for SubprocessHandle<P> {
    fn clone(&self) -> Self {
        Self { protocol: self.protocol.clone() }
    }
}

impl<P> fmt::Debug for SubprocessHandle<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubprocessHandle").finish_non_exhaustive()
    }
}
