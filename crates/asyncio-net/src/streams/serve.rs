//! Servers on streams: a handler for each client.

use std::fmt::Display;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Weak;
use std::task::{Context, Poll, Waker, ready};

use asyncio_base::budget;
use asyncio_base::panic::{Payload, catch_and_store, into_message};
use asyncio_base::report::Report;
use asyncio_base::shim::Arc;
use asyncio_reactor::{Socket, Waiter};
use asyncio_tasks::{current_task, spawn_local};

use crate::addr::ToSocketAddrs;
use crate::server::{Presence, Server, ServerOptions, Ticket};
use crate::streams::{Connection, StreamReader, StreamWriter, of_connection};

/// Serves TCP clients on this loop, with the defaults of [`ServerOptions`]: asyncio's `start_server`.
///
/// For each client the handler is called with a reader and a writer, and the future that it gives runs in a task of its own; neither need be `Send`. What
/// comes of it is `()`, or a `Result` whose error is reported; where it fails, or panics, its connection is closed and no other client notices. The server listens at all addresses
/// that a name has, and runs until it is [closed](Server::close).
///
/// # Examples
///
/// ```
/// use asyncio_net::{open_connection, start_server};
/// use std::{cell::Cell, rc::Rc};
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_runtime::run(async {
///     let visits = Rc::new(Cell::new(0));
///     let counter = visits.clone();
///     let server = start_server(
///         move |_reader, mut writer| {
///             counter.set(counter.get() + 1);
///             let greeting = format!("you are visitor {}\n", counter.get());
///             async move {
///                 writer.write(greeting.as_bytes());
///                 writer.close().await
///             }
///         },
///         "127.0.0.1:0",
///     )
///     .await?;
///     let (mut reader, _writer) = open_connection(server.local_addrs()[0]).await?;
///     assert_eq!(reader.read_to_end().await?, b"you are visitor 1\n");
///     assert_eq!(visits.get(), 1);
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
///
/// Fails where the name cannot be resolved, and where one of its addresses cannot be listened at, but for such as this machine does not have if there are
/// others. The error names the address.
///
/// # Panics
///
/// Panics where no loop runs on this thread.
///
/// # Cancel safety
///
/// Nothing is lost by dropping it: it listens nowhere then.
pub async fn start_server<F: Future<Output: HandlerOutput> + 'static>(
    handler: impl Fn(StreamReader, StreamWriter) -> F + 'static,
    addrs: impl ToSocketAddrs,
) -> io::Result<Server> {
    ServerOptions::new().start_server(handler, addrs).await
}

/// Serves TCP clients on every worker of this runtime, with the defaults of [`ServerOptions`].
///
/// Each worker has a listener of its own at the same address, and the system gives each its part of the connections (`SO_REUSEPORT`); so no worker accepts
/// for another, and a client's handler stays where it was accepted. Every worker has a clone of the handler. Otherwise as [`start_server`].
///
/// # Examples
///
/// ```
/// use asyncio_net::{open_connection, start_server_on_workers};
///
/// # fn main() -> std::io::Result<()> {
/// let mut runner = asyncio_runtime::Runner::builder().workers(2).build()?;
/// runner.run(async {
///     let handler = |_reader, mut writer: asyncio_net::StreamWriter| async move {
///         writer.write(b"hello");
///         writer.close().await
///     };
///     let server = start_server_on_workers(handler, "127.0.0.1:0").await?;
///     for _ in 0..4 {
///         let (mut reader, _writer) = open_connection(server.local_addrs()[0]).await?;
///         assert_eq!(reader.read_to_end().await?, b"hello");
///     }
///     server.close();
///     server.wait_closed().await;
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
///
/// As [`start_server`]; and with `Unsupported` where an address cannot be shared (Windows), if there is more than one worker.
///
/// # Panics
///
/// Panics where no loop runs on this thread.
///
/// # Cancel safety
///
/// Nothing is lost by dropping it: it listens nowhere then.
pub async fn start_server_on_workers<F: Future<Output: HandlerOutput> + 'static>(
    handler: impl Fn(StreamReader, StreamWriter) -> F + Clone + Send + 'static,
    addrs: impl ToSocketAddrs,
) -> io::Result<Server> {
    ServerOptions::new().start_server_on_workers(handler, addrs).await
}

/// Serves clients of a Unix socket on this loop, with the defaults of [`ServerOptions`]: asyncio's `start_unix_server`.
///
/// The file of a server that is dead is replaced, and the file is removed when the server closes. Otherwise as [`start_server`].
///
/// # Errors
///
/// Fails where the path cannot be listened at, as where another server does. The error names the path.
///
/// # Panics
///
/// Panics where no loop runs on this thread.
///
/// # Cancel safety
///
/// Nothing is lost by dropping it: it listens nowhere then.
#[cfg(unix)]
pub async fn start_unix_server<F: Future<Output: HandlerOutput> + 'static>(
    handler: impl Fn(StreamReader, StreamWriter) -> F + 'static,
    path: impl AsRef<std::path::Path>,
) -> io::Result<Server> {
    ServerOptions::new().start_unix_server(handler, path).await
}

impl ServerOptions {
    /// Serves TCP clients on this loop, as [`start_server`] does.
    ///
    /// # Errors
    ///
    /// As `start_server`.
    ///
    /// # Panics
    ///
    /// Panics where no loop runs on this thread.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it: it listens nowhere then.
    pub async fn start_server<F: Future<Output: HandlerOutput> + 'static>(
        &self,
        handler: impl Fn(StreamReader, StreamWriter) -> F + 'static,
        addrs: impl ToSocketAddrs,
    ) -> io::Result<Server> {
        self.start(addrs, serving(handler)).await
    }

    /// Serves TCP clients on every worker, as [`start_server_on_workers`] does.
    ///
    /// # Errors
    ///
    /// As `start_server_on_workers`.
    ///
    /// # Panics
    ///
    /// Panics where no loop runs on this thread.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it: it listens nowhere then.
    pub async fn start_server_on_workers<F: Future<Output: HandlerOutput> + 'static>(
        &self,
        handler: impl Fn(StreamReader, StreamWriter) -> F + Clone + Send + 'static,
        addrs: impl ToSocketAddrs,
    ) -> io::Result<Server> {
        self.start_on_workers(addrs, move || serving(handler.clone())).await
    }

    /// Serves on this loop whoever comes to a listener that exists already, such as one that was inherited: asyncio's `start_server(sock=…)`.
    ///
    /// # Panics
    ///
    /// Panics where no loop runs on this thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_net::{ServerOptions, TcpListener, open_connection};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// asyncio_runtime::run(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let server = ServerOptions::new().start_server_with(|_reader, mut writer| async move { writer.write(b"hello") }, listener);
    ///     let (mut reader, _writer) = open_connection(server.local_addrs()[0]).await?;
    ///     assert_eq!(reader.read_to_end().await?, b"hello");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn start_server_with<F: Future<Output: HandlerOutput> + 'static>(
        &self,
        handler: impl Fn(StreamReader, StreamWriter) -> F + 'static,
        listener: impl Into<Arc<dyn Socket>>,
    ) -> Server {
        self.start_with(listener.into(), serving(handler))
    }

    /// Serves clients of a Unix socket on this loop, as [`start_unix_server`] does.
    ///
    /// # Errors
    ///
    /// As `start_unix_server`.
    ///
    /// # Panics
    ///
    /// Panics where no loop runs on this thread.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it: it listens nowhere then.
    #[cfg(unix)]
    pub async fn start_unix_server<F: Future<Output: HandlerOutput> + 'static>(
        &self,
        handler: impl Fn(StreamReader, StreamWriter) -> F + 'static,
        path: impl AsRef<std::path::Path>,
    ) -> io::Result<Server> {
        self.start_unix(path.as_ref(), serving(handler)).await
    }
}

/// What the handler of a client may return: nothing, or a `Result` whose error is reported.
pub trait HandlerOutput {
    /// The text of the error, if it is one.
    fn into_error(self) -> Option<String>;
}

impl HandlerOutput for () {
    fn into_error(self) -> Option<String> {
        None
    }
}

impl<E: Display> HandlerOutput for Result<(), E> {
    fn into_error(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}

/// What a server does with a client: it gives it a task, and the handler to that.
fn serving<F: Future<Output: HandlerOutput> + 'static>(
    handler: impl Fn(StreamReader, StreamWriter) -> F + 'static,
) -> impl Fn(Arc<dyn Socket>, Ticket<'_>) + Clone + 'static {
    let handler = Rc::new(handler);
    move |socket, ticket| {
        let connection = Connection::new(socket);
        let (seat, presence) = ticket.sit(&connection);
        connection.sit(seat);
        let served =
            Served { connection: Arc::downgrade(&connection), aborts: presence.clients().aborts(), presence };
        let socket = connection.socket().clone();
        let streams = of_connection(connection);
        let (mut cx, mut waiter) = (Context::from_waker(Waker::noop()), Waiter::new());
        match budget::unlimited(|| socket.poll_handshake(&mut cx, &mut waiter)) {
            Poll::Ready(Ok(())) => serve(&*handler, served, streams),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                let handler = handler.clone();
                let task = async move {
                    // What a client says instead of shaking hands is its own affair.
                    if poll_fn(|cx| socket.poll_handshake(cx, &mut waiter)).await.is_ok() {
                        serve(&*handler, served, streams);
                    }
                };
                spawn_local(task).detach();
            }
        }
    }
}

/// Gives a client to the handler, and what that makes of it a task.
fn serve<F: Future<Output: HandlerOutput> + 'static>(
    handler: &impl Fn(StreamReader, StreamWriter) -> F,
    served: Served,
    (reader, writer): (StreamReader, StreamWriter),
) {
    let mut panic = None;
    match catch_and_store(&mut panic, || handler(reader, writer)) {
        Some(future) => spawn_local(Serving { served, future }).detach(),
        None => served.failed(&Failure::of_panic(panic)),
    }
}

/// A client, as its handler's task knows it. V2 of a server: its end waits for this, whoever has the connection by then.
struct Served {
    connection: Weak<Connection>,
    /// How often all clients had been thrown out before it came.
    aborts: u32,
    presence: Presence,
}

impl Served {
    /// V3: what goes wrong is reported, and the connection closed, wherever its halves are.
    #[cold]
    fn failed(&self, failure: &Failure) {
        // What a handler says of a client that was thrown out is known.
        if self.presence.clients().aborts() == self.aborts {
            failure.report();
        }
        let connection = self.connection.upgrade();
        connection.into_iter().for_each(|connection| connection.close());
    }
}

pin_project_lite::pin_project! {
    /// The task of a handler: by hand, since the state of an `async` block has what it was given twice.
    struct Serving<F> {
        served: Served,
        #[pin]
        future: F,
    }
}

impl<F: Future<Output: HandlerOutput>> Future for Serving<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let mut panic = None;
        let failure = match catch_and_store(&mut panic, || this.future.poll(cx)) {
            Some(output) => ready!(output).into_error().map(Failure::Error),
            None => Some(Failure::of_panic(panic)),
        };
        failure.iter().for_each(|failure| this.served.failed(failure));
        Poll::Ready(())
    }
}

/// How a handler has failed.
enum Failure {
    Error(String),
    Panic(String),
}

impl Failure {
    fn of_panic(panic: Option<Payload>) -> Self {
        Self::Panic(panic.map(into_message).unwrap_or_default())
    }

    fn report(&self) {
        let place = current_task().map(|task| (task.id().get(), task.spawned_at()));
        let send = |report: Report<'_>| match place {
            Some((id, spawned_at)) => report.about(id, spawned_at).send(),
            None => report.send(),
        };
        match self {
            Self::Error(error) => {
                send(Report::new("net", format_args!("the handler of a client failed: {error}")))
            }
            Self::Panic(text) => {
                send(Report::new("net", format_args!("the handler of a client panicked: {text}")).panicked());
            }
        }
    }
}
