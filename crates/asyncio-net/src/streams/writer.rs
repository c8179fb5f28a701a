//! [`StreamWriter`]: the writing direction of a connection. What it writes is sent at once, or kept and sent in the background.

use std::fs::File;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::ops::RangeBounds;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use asyncio_base::shim::Arc;
use asyncio_base::{budget, debug};
use asyncio_reactor::Socket;
use asyncio_tasks::debug::report_mistake;

use crate::send_file::send_file;
use crate::streams::connection::Connection;
use crate::tcp::to_ip;

/// The writing direction of a connection: asyncio's `StreamWriter`.
///
/// [`write`](Self::write) never waits: it gives the bytes to the system, and keeps what that does not take, to send it in the background.
/// [`drain`](Self::drain) waits while too much is kept, so a loop that writes drains. The bytes of a later write never pass those of an earlier one.
///
/// Dropping it ends the direction, as [`write_eof`](Self::write_eof) does: what was written is sent, then the peer sees the end; once the reader is gone
/// too, the connection is closed. The end of the loop waits for that as long as for clean-up; where no loop of ours runs, a thread in the background sends,
/// and whoever ends the process waits for it first ([`close`](Self::close)).
///
/// # Examples
///
/// ```
/// use asyncio_net::UnixStream;
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_executor::block_on(async {
///     let (one, other) = UnixStream::pair()?;
///     let ((mut reader, _), (_, mut writer)) = (one.into_streams(), other.into_streams());
///     for n in 0..3 {
///         writer.write(format!("{n} ").as_bytes());
///         writer.drain().await?;
///     }
///     writer.close().await?;
///     assert_eq!(reader.read_to_end().await?, b"0 1 2 ");
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct StreamWriter {
    connection: Arc<Connection>,
}

impl StreamWriter {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self { connection }
    }

    /// Writes all of `bytes`, without waiting: what the system does not take is kept and sent in the background.
    ///
    /// It does not fail. Bytes for a connection that has failed, or that were written after the end, are dropped; the next [`drain`](Self::drain) says so.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) {
        self.connection.write(bytes);
    }

    /// Writes the bytes of several buffers, one after the other, as [`write`](Self::write) does: asyncio's `writelines`. They go out in one call.
    pub fn writev(&mut self, bufs: &[IoSlice<'_>]) {
        self.connection.writev(bufs);
    }

    /// Sends a part of a file, up to its end at most, and returns how many bytes: asyncio's `sendfile`. The system copies them by itself where it can (Linux); elsewhere, and under TLS, they are
    /// read by another thread. The position of the file does not matter, and stays.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_net::UnixStream;
    /// use futures_lite::AsyncReadExt;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("asyncio-doc-send-file-{}", std::process::id()));
    /// std::fs::write(&path, "0123456789")?;
    /// let file = std::fs::File::open(&path)?;
    /// # std::fs::remove_file(&path)?;
    /// asyncio_runtime::run(async {
    ///     let (one, mut other) = UnixStream::pair()?;
    ///     let (_reader, mut writer) = one.into_streams();
    ///     assert_eq!(writer.send_file(&file, 3..7).await?, 4);
    ///     let mut text = [0; 4];
    ///     other.read_exact(&mut text).await?;
    ///     assert_eq!(&text, b"3456");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails where the file cannot be read, and with what the connection says.
    ///
    /// # Cancel safety
    ///
    /// How much was sent is lost if it is dropped.
    pub async fn send_file(&mut self, file: &File, range: impl RangeBounds<u64>) -> io::Result<u64> {
        // What was written comes before.
        poll_fn(|cx| self.connection.poll_flushed(cx)).await?;
        self.connection.check_open()?;
        send_file(&**self.connection.socket(), file, range).await
    }

    /// Writes, and drains.
    ///
    /// # Errors
    ///
    /// As [`drain`](Self::drain).
    ///
    /// # Cancel safety
    ///
    /// The bytes are written at its first poll; dropping it afterwards loses nothing.
    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes);
        self.drain().await
    }

    /// Waits until so little is unsent that one may go on: nothing if it is not more than the high [limit](Self::set_write_buffer_limits), or else until it is
    /// down to the low one.
    ///
    /// # Errors
    ///
    /// Fails where the connection has failed, also where the reader has seen that first; and where something was written after the end.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it: what was written is sent.
    pub async fn drain(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_drain(cx)).await
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // It stands for the write in front of it, which has called the system.
        ready!(budget::poll_proceed(cx));
        let drained = ready!(self.connection.poll_drain(cx));
        budget::spend();
        Poll::Ready(drained)
    }

    /// Closes the connection after what is unsent has been sent: at once, or else in the background. The future waits for that.
    ///
    /// Reads give what had come, and then the end; under TLS, where what still comes is taken for the goodbye, the end alone. Where the halves are dropped and the peer has sent what nobody read, the system makes a reset of the end
    /// (RFC 2525, section 2.17), by which the peer may lose what it has not read itself. Whoever cannot have that reads to the end first.
    ///
    /// # Errors
    ///
    /// The future fails where something could not be sent, or was written after the end.
    ///
    /// # Cancel safety
    ///
    /// The connection is closed by calling this; the future only waits.
    pub fn close(&mut self) -> Closing<'_> {
        self.connection.close();
        Closing { writer: self }
    }

    /// Waits until the connection is closed, by [`close`](Self::close) or [`abort`](Self::abort), or has failed.
    ///
    /// # Errors
    ///
    /// Fails where the connection has failed, something could not be sent, or was written after the end; but not for an [`abort`](Self::abort).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    pub async fn wait_closed(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.connection.poll_closed(cx)).await
    }

    /// Ends this direction after what is unsent: the peer sees the end, and may still send.
    pub fn write_eof(&mut self) {
        self.connection.write_eof();
    }

    /// Closes the connection at once: what is unsent is dropped, and the peer sees a reset (on a Unix socket, the end).
    pub fn abort(&mut self) {
        self.connection.abort();
    }

    /// Says whether the connection has been closed from this side, or is being closed.
    pub fn is_closing(&self) -> bool {
        self.connection.is_closing()
    }

    /// Sets above how many unsent bytes [`drain`](Self::drain) waits, and down to how many. The defaults are 64 KiB and 16 KiB, asyncio's.
    ///
    /// # Panics
    ///
    /// Panics if `low` is more than `high`.
    pub fn set_write_buffer_limits(&mut self, high: usize, low: usize) {
        assert!(low <= high, "the low limit of a write buffer, {low}, is above the high one, {high}");
        self.connection.set_limits(high, low);
    }

    /// Returns the high and the low limit.
    pub fn write_buffer_limits(&self) -> (usize, usize) {
        self.connection.limits()
    }

    /// Returns how many bytes are unsent.
    pub fn write_buffer_size(&self) -> usize {
        self.connection.unsent()
    }

    /// Returns this side's address.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, and where it is not an IP address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        to_ip(&self.socket().local_addr()?)
    }

    /// Returns the peer's address.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, as in "not connected"; and where it is not an IP address.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        to_ip(&self.socket().peer_addr()?)
    }

    /// Returns the socket below, for its options. What is sent on it passes by what this writer has kept.
    pub fn socket(&self) -> &Arc<dyn Socket> {
        self.connection.socket()
    }
}

#[cfg(feature = "tls")]
impl StreamWriter {
    pub(super) fn is_of(&self, connection: &Arc<Connection>) -> bool {
        Arc::ptr_eq(&self.connection, connection)
    }

    pub(super) fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_flushed(cx)
    }

    /// Begins TLS on the connection: [`tls::start_tls`](crate::tls::start_tls), asyncio's `StreamWriter.start_tls`.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Panics
    ///
    /// Panics if the reader is of another connection.
    ///
    /// # Cancel safety
    ///
    /// The connection is closed if it is dropped.
    pub async fn start_tls(
        self,
        reader: super::StreamReader,
        upgrade: crate::tls::Upgrade,
    ) -> io::Result<(super::StreamReader, Self)> {
        crate::tls::start_tls(reader, self, upgrade).await
    }
}

impl StreamWriter {
    #[cold]
    fn report_unclosed(&self) {
        let peer = self.peer_addr().map(|peer| format!(" to {peer}")).unwrap_or_default();
        report_mistake(
            "net",
            format_args!(
                "a stream{peer} was dropped without `close`: what is unsent is sent, and who would hear of an error is gone"
            ),
        );
    }
}

impl Drop for StreamWriter {
    fn drop(&mut self) {
        if debug::is_on() && self.connection.is_open() {
            self.report_unclosed();
        }
        self.connection.write_eof();
    }
}

impl futures_io::AsyncWrite for StreamWriter {
    /// Takes all of the bytes, once less than the high limit is unsent.
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        this.connection.check_open()?;
        this.writev(bufs);
        Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()))
    }

    /// Waits until everything is with the system.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_flushed(cx)
    }

    /// Ends this direction, as [`write_eof`](Self::write_eof) does, and waits for it.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.write_eof();
        self.connection.poll_flushed(cx)
    }
}

/// Waits until a connection is closed. Made by [`StreamWriter::close`]; whoever need not wait drops it.
#[derive(Debug)]
pub struct Closing<'a> {
    writer: &'a mut StreamWriter,
}

impl Future for Closing<'_> {
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.writer.connection.poll_closed(cx)
    }
}
