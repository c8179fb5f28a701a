//! [`StreamReader`]: the reading direction of a connection, by lines, separators and counts.

use std::future::poll_fn;
use std::io::{self, IoSliceMut};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use asyncio_base::budget::{self, Leave};
use asyncio_base::shim::Arc;
use asyncio_reactor::{RecvMsg, Socket, Waiter};
use futures_core::Stream;

use crate::streams::buffer::ReadBuffer;
use crate::streams::connection::{Connection, End};
use crate::streams::error::ReadError;
use crate::streams::separators::Separators;

/// asyncio's, 64 KiB.
const LIMIT: usize = 64 * 1024;

/// The reading direction of a connection: asyncio's `StreamReader`.
///
/// It reads [bytes as they come](Self::read), [so many](Self::read_exact), [a line](Self::read_line), [up to a separator](Self::read_until) or
/// [everything](Self::read_to_end). What has come and was not asked for yet stays in it, and it has a buffer only while there is such; it is also a
/// [`futures_io::AsyncRead`] and [`AsyncBufRead`](futures_io::AsyncBufRead). Bytes are received when somebody reads: a peer who sends more has to wait.
///
/// Once the connection has failed, every later read says so.
///
/// # Cancel safety
///
/// All of its reads lose nothing when dropped: what has come stays in the reader, for whoever reads next.
///
/// # Examples
///
/// ```
/// use asyncio_net::UnixStream;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// asyncio_executor::block_on(async {
///     let (one, other) = UnixStream::pair()?;
///     let ((mut reader, _), (_, mut writer)) = (one.into_streams(), other.into_streams());
///     writer.write(b"HELO there\r\n5:hello");
///     drop(writer);
///     assert_eq!(reader.read_until(b"\r\n").await?, b"HELO there\r\n");
///     assert_eq!(reader.read_until(b":").await?, b"5:");
///     assert_eq!(reader.read_exact(5).await?, b"hello");
///     assert_eq!(reader.read_line().await?, None);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct StreamReader {
    connection: Arc<Connection>,
    waiter: Waiter,
    buffer: ReadBuffer,
    limit: usize,
}

/// The task of a handler that is an `async fn` has it twice: the compiler keeps an argument where it was given, and where it is used.
#[cfg(all(not(any(loom, shuttle)), target_os = "linux", target_pointer_width = "64"))]
const _: () = assert!(size_of::<StreamReader>() <= 48, "see above");

impl StreamReader {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self { connection, waiter: Waiter::new(), buffer: ReadBuffer::default(), limit: LIMIT }
    }

    /// Reads at most `n_max` bytes, as many as there are; waits only where there are none. At the end it gives none.
    ///
    /// # Errors
    ///
    /// Fails where the connection has failed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    pub async fn read(&mut self, n_max: usize) -> io::Result<Vec<u8>> {
        if n_max == 0 {
            return Ok(Vec::new());
        }
        poll_fn(|cx| self.poll_read_some(cx, n_max)).await
    }

    fn poll_read_some(&mut self, cx: &mut Context<'_>, n_max: usize) -> Poll<io::Result<Vec<u8>>> {
        ready!(self.poll_some(cx))?;
        Poll::Ready(Ok(self.buffer.take(n_max.min(self.buffer.len()))))
    }

    /// Waits until something is there, or the end is. What is there costs the budget a step, as in [`has_bytes`](Self::has_bytes).
    #[inline]
    fn poll_some(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.buffer.is_empty() {
            ready!(self.poll_fill(cx))?;
        } else {
            ready!(budget::poll_leave(cx)).spend_step();
        }
        Poll::Ready(Ok(()))
    }

    /// Reads everything up to the end.
    ///
    /// # Errors
    ///
    /// Fails where the connection has failed; what has come before stays, and comes with the next reads.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    pub async fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        while self.fill().await? {}
        Ok(self.buffer.take_all())
    }

    /// Reads exactly `n` bytes; the limit does not count. asyncio's `readexactly`.
    ///
    /// # Errors
    ///
    /// Fails with [`ReadError::Incomplete`] where the stream ends before, which has what came.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    pub async fn read_exact(&mut self, n: usize) -> Result<Vec<u8>, ReadError> {
        while !self.has_bytes(n).await {
            if !self.fill().await? {
                return Err(ReadError::Incomplete { partial: self.buffer.take_all() });
            }
        }
        Ok(self.buffer.take(n))
    }

    /// Reads a line with its `\n`. What stands behind the last one is a line too; after that there is `None`.
    ///
    /// # Errors
    ///
    /// Fails with [`ReadError::LimitOverrun`] where the line is longer than the [limit](Self::set_limit). It stays in the stream then.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    pub async fn read_line(&mut self) -> Result<Option<Vec<u8>>, ReadError> {
        match self.read_until(b"\n").await {
            Ok(line) => Ok(Some(line)),
            Err(ReadError::Incomplete { partial }) => Ok((!partial.is_empty()).then_some(partial)),
            Err(error) => Err(error),
        }
    }

    /// Returns the lines up to the end, as a stream, which ends after an error too.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_net::UnixStream;
    /// use futures_lite::StreamExt;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # asyncio_executor::block_on(async {
    /// let (one, other) = UnixStream::pair()?;
    /// let ((mut reader, _), (_, mut writer)) = (one.into_streams(), other.into_streams());
    /// writer.write(b"one\ntwo");
    /// drop(writer);
    /// let lines: Vec<_> = reader.read_lines().try_collect().await?;
    /// assert_eq!(lines, [&b"one\n"[..], b"two"]);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn read_lines(&mut self) -> Lines<'_> {
        Lines { reader: self, passed: 0, is_over: false }
    }

    /// Reads up to a separator, and gives it too.
    ///
    /// # Errors
    ///
    /// Fails with [`ReadError::Incomplete`] where the stream ends before, which has what came; and with [`ReadError::LimitOverrun`] where there are more
    /// bytes than the [limit](Self::set_limit) in front of the separator. They stay in the stream then.
    ///
    /// # Panics
    ///
    /// Panics if the separator is empty.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    pub async fn read_until(&mut self, separator: &[u8]) -> Result<Vec<u8>, ReadError> {
        self.read_until_any(&[separator]).await
    }

    /// Reads up to the one of several separators that ends first: asyncio's `readuntil` of a tuple.
    ///
    /// # Errors
    ///
    /// As [`read_until`](Self::read_until).
    ///
    /// # Panics
    ///
    /// Panics if there is no separator, or an empty one.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    pub async fn read_until_any(&mut self, separators: &[&[u8]]) -> Result<Vec<u8>, ReadError> {
        let separators = Separators::new(separators)
            .expect("`read_until` needs a separator, and one of no bytes separates nothing");
        let mut passed = 0;
        poll_fn(|cx| self.poll_until(cx, &separators, &mut passed)).await
    }

    /// Before `passed` there is no separator.
    fn poll_until(
        &mut self,
        cx: &mut Context<'_>,
        separators: &Separators<'_>,
        passed: &mut usize,
    ) -> Poll<Result<Vec<u8>, ReadError>> {
        loop {
            let data = self.buffer.data();
            if let Some(found) = separators.find(data, *passed) {
                ready!(budget::poll_leave(cx)).spend_step();
                if found.start > self.limit {
                    return Poll::Ready(Err(ReadError::LimitOverrun { consumed: found.start }));
                }
                return Poll::Ready(Ok(self.buffer.take(found.end)));
            }
            *passed = separators.passed(data.len());
            if *passed > self.limit {
                return Poll::Ready(Err(ReadError::LimitOverrun { consumed: *passed }));
            }
            if !ready!(self.poll_fill(cx))? {
                return Poll::Ready(Err(ReadError::Incomplete { partial: self.buffer.take_all() }));
            }
        }
    }

    /// Says whether everything has been read, and the end has been seen.
    pub fn at_eof(&self) -> bool {
        self.connection.end() == End::Clean && self.buffer.is_empty()
    }

    /// Sets how many bytes may stand in front of a separator. The default is 64 KiB, asyncio's.
    ///
    /// # Panics
    ///
    /// Panics if the limit is 0.
    pub fn set_limit(&mut self, limit: usize) {
        assert!(limit > 0, "the limit of a stream is at least 1");
        self.limit = limit;
    }

    /// Returns how many bytes may stand in front of a separator.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Returns the socket below.
    pub fn socket(&self) -> &Arc<dyn Socket> {
        self.connection.socket()
    }

    /// Takes the connection of both out, unless something was received and not read.
    #[cfg(feature = "tls")]
    pub(super) fn into_connection(self, writer: &super::StreamWriter) -> io::Result<Arc<Connection>> {
        assert!(writer.is_of(&self.connection), "the reader and the writer are of two connections");
        let unread = self.buffer.len();
        if unread > 0 {
            let what = format!("{unread} bytes were received before TLS began, and may be anybody's");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(self.connection)
    }

    /// Says whether so many bytes are there. They cost the budget a step: no call of the system may come between many reads.
    async fn has_bytes(&mut self, n: usize) -> bool {
        let has_bytes = self.buffer.len() >= n;
        if has_bytes {
            poll_fn(|cx| budget::poll_leave(cx).map(Leave::spend_step)).await;
        }
        has_bytes
    }

    /// Receives some more behind what is there; says whether there was more.
    async fn fill(&mut self) -> io::Result<bool> {
        poll_fn(|cx| self.poll_fill(cx)).await
    }

    #[inline]
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.poll_receive(|this| {
            this.buffer.poll_fill(|buf| {
                let socket = this.connection.socket();
                socket.poll_recv_one(cx, &mut this.waiter, buf).map_ok(|received| received.n)
            })
        })
        .map_ok(|n| n > 0)
    }

    /// Receives by `receive`, and knows how it ended.
    #[inline]
    fn poll_receive(
        &mut self,
        receive: impl FnOnce(&mut Self) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match self.connection.end() {
            End::NotYet => {}
            End::Clean => return Poll::Ready(Ok(0)),
            End::Failed => return Poll::Ready(Err(self.connection.error())),
        }
        let end = match ready!(receive(self)) {
            Ok(0) if self.connection.has_failed() => End::Failed,
            Ok(0) => End::Clean,
            Ok(n) => return Poll::Ready(Ok(n)),
            Err(error) => {
                self.connection.fail(error);
                End::Failed
            }
        };
        self.connection.set_end(end);
        self.waiter.leave();
        Poll::Ready(if end == End::Clean { Ok(0) } else { Err(self.connection.error()) })
    }
}

/// The lines of a stream. Made by [`StreamReader::read_lines`].
#[derive(Debug)]
#[must_use = "a stream does nothing unless it is polled"]
pub struct Lines<'a> {
    reader: &'a mut StreamReader,
    passed: usize,
    is_over: bool,
}

impl Stream for Lines<'_> {
    type Item = Result<Vec<u8>, ReadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.is_over {
            return Poll::Ready(None);
        }
        let newline = [&b"\n"[..]];
        let separators = Separators::new(&newline).expect("it is there, and has a byte");
        let line = ready!(this.reader.poll_until(cx, &separators, &mut this.passed));
        this.passed = 0;
        Poll::Ready(match line {
            Err(ReadError::Incomplete { partial }) if partial.is_empty() => None,
            Err(ReadError::Incomplete { partial }) => Some(Ok(partial)),
            Err(error) => {
                this.is_over = true;
                Some(Err(error))
            }
            line => Some(line),
        })
    }
}

impl futures_io::AsyncRead for StreamReader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_read_vectored(cx, &mut [IoSliceMut::new(buf)])
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if bufs.iter().all(|buf| buf.is_empty()) {
            // Not the end: nobody asked.
            return Poll::Ready(Ok(0));
        }
        // A call of the system does not fill any number of buffers, and what begins with empty ones would look like the end.
        let first = bufs.iter().take_while(|buf| buf.is_empty()).count();
        let bufs = &mut bufs[first..];
        if this.buffer.is_empty() {
            // Without a detour.
            return this.poll_receive(|this| {
                let message = &mut RecvMsg::new(bufs);
                let socket = this.connection.socket();
                socket.poll_recv(cx, &mut this.waiter, message).map_ok(|received| received.n)
            });
        }
        ready!(budget::poll_leave(cx)).spend_step();
        let n = io::Read::read_vectored(&mut this.buffer.data(), bufs)?;
        this.buffer.consume(n);
        Poll::Ready(Ok(n))
    }
}

impl futures_io::AsyncBufRead for StreamReader {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.poll_some(cx))?;
        Poll::Ready(Ok(this.buffer.data()))
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        self.get_mut().buffer.consume(n);
    }
}
