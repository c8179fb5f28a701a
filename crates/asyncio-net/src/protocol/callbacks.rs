//! What a protocol is: [`Protocol`] and [`BufferedProtocol`].

use std::io;

use crate::protocol::Transport;

/// What happens to a connection, told by callbacks: asyncio's `Protocol`.
///
/// They come in this order: [`connection_made`](Self::connection_made) once; [`data_received`](Self::data_received) any number of times, then
/// [`eof_received`](Self::eof_received) at most once; [`connection_lost`](Self::connection_lost) once, and nothing after it.
/// [`pause_writing`](Self::pause_writing) and [`resume_writing`](Self::resume_writing) take turns in between.
///
/// They are called by the loop, on its thread, one at a time: never from inside of a call of the [`Transport`], and never inside of each other. Nothing
/// else happens on the loop meanwhile, so they are to be short. A callback that panics is reported, and its connection is closed.
///
/// All protocols of a loop run in one task: what is [deferred](asyncio_tasks::defer()) in a callback comes when the loop ends, and a task local that one sets the others
/// see. A task that is spawned in a callback is like any other.
///
/// # Examples
///
/// A server that sends back what it gets, and one who asks it:
///
/// ```
/// use asyncio_net::protocol::{Protocol, Transport, create_connection, create_server};
/// use std::{cell::RefCell, io, rc::Rc};
///
/// #[derive(Default)]
/// struct Echo(Option<Transport>);
///
/// impl Protocol for Echo {
///     fn connection_made(&mut self, transport: Transport) {
///         self.0 = Some(transport);
///     }
///
///     fn data_received(&mut self, data: &[u8]) {
///         self.0.iter().for_each(|transport| transport.write(data));
///     }
/// }
///
/// struct Asks(Option<asyncio_sync::oneshot::Sender<Vec<u8>>>);
///
/// impl Protocol for Asks {
///     fn connection_made(&mut self, transport: Transport) {
///         transport.write(b"anybody there?");
///     }
///
///     fn data_received(&mut self, data: &[u8]) {
///         self.0.take().map(|answer| answer.send(data.to_vec()));
///     }
/// }
///
/// # fn main() -> io::Result<()> {
/// asyncio_runtime::run(async {
///     let server = create_server(Echo::default, "127.0.0.1:0").await?;
///     let (sender, answer) = asyncio_sync::oneshot();
///     let (transport, _) = create_connection(|| Asks(Some(sender)), server.local_addrs()[0]).await?;
///     assert_eq!(answer.await.unwrap(), b"anybody there?");
///     transport.close();
///     Ok(())
/// })
/// # }
/// ```
pub trait Protocol: 'static {
    /// The connection is made. The transport may be kept.
    fn connection_made(&mut self, transport: Transport) {
        let _ = transport;
    }

    /// Bytes have come. They lie in a buffer that all connections of the loop share, and are gone when this returns.
    fn data_received(&mut self, data: &[u8]);

    /// The peer sends no more. Says whether this side goes on to send.
    fn eof_received(&mut self) -> OnEof {
        OnEof::Close
    }

    /// The connection is over: with an error, or without one if it was closed by either side, or aborted by this one.
    fn connection_lost(&mut self, error: Option<io::Error>) {
        let _ = error;
    }

    /// More than the high water mark is unsent: whoever writes should wait. It comes right after the callback that wrote too much, or else soon after the write.
    fn pause_writing(&mut self) {}

    /// No more than the low water mark is unsent any more.
    fn resume_writing(&mut self) {}
}

/// A protocol that has bytes received into a buffer of its own: asyncio's `BufferedProtocol`.
///
/// Otherwise it is as a [`Protocol`].
///
/// # Examples
///
/// ```
/// use asyncio_net::protocol::{BufferedProtocol, OnEof, connect_accepted_socket};
///
/// /// Collects what comes, without a copy.
/// #[derive(Default)]
/// struct Collects {
///     bytes: Vec<u8>,
///     filled: usize,
///     is_over: bool,
/// }
///
/// impl BufferedProtocol for Collects {
///     fn get_buffer(&mut self, size_hint: usize) -> &mut [u8] {
///         self.bytes.resize(self.filled + size_hint, 0);
///         &mut self.bytes[self.filled..]
///     }
///
///     fn buffer_updated(&mut self, n: usize) {
///         self.filled += n;
///     }
///
///     fn eof_received(&mut self) -> OnEof {
///         self.is_over = true;
///         OnEof::Close
///     }
/// }
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_runtime::run(async {
///     let (one, other) = asyncio_net::UnixStream::pair()?;
///     let (_, collects) = connect_accepted_socket(Collects::default, one).await?;
///     let (_, mut writer) = other.into_streams();
///     writer.write(b"some bytes");
///     writer.close().await?;
///     while !collects.with(|protocol| protocol.is_over) {
///         asyncio_tasks::yield_now().await;
///     }
///     assert!(collects.with(|protocol| protocol.bytes.starts_with(b"some bytes") && protocol.filled == 10));
///     Ok(())
/// })
/// # }
/// ```
pub trait BufferedProtocol: 'static {
    /// The connection is made. The transport may be kept.
    fn connection_made(&mut self, transport: Transport) {
        let _ = transport;
    }

    /// Gives the buffer for the next bytes, of about the size that is wished or of another; an empty one closes the connection with an error. It may be called
    /// again before there are any.
    fn get_buffer(&mut self, size_hint: usize) -> &mut [u8];

    /// So many bytes are in the buffer that was given last, from its beginning on.
    fn buffer_updated(&mut self, n: usize);

    /// As [`Protocol::eof_received`].
    fn eof_received(&mut self) -> OnEof {
        OnEof::Close
    }

    /// As [`Protocol::connection_lost`].
    fn connection_lost(&mut self, error: Option<io::Error>) {
        let _ = error;
    }

    /// As [`Protocol::pause_writing`].
    fn pause_writing(&mut self) {}

    /// As [`Protocol::resume_writing`].
    fn resume_writing(&mut self) {}
}

/// What becomes of a connection when the peer sends no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "one sends on, or one does not")]
pub enum OnEof {
    /// It is closed, after what is unsent.
    Close,
    /// It stays half open: this side may send, and closes the transport some time.
    KeepOpen,
}
