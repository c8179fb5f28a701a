//! [`copy_bidirectional`]: two streams put together.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};

use crate::receive_buffer::ReceiveBuffer;

/// How much one direction has on its way at most.
const BUFFER_SIZE: usize = 64 * 1024;

/// Passes on what comes from either stream to the other, until both have ended; says how many bytes went from `a` to `b`, and from `b` to `a`.
///
/// The end of one direction is passed on, and the other goes on by itself: what a peer says after it has heard all is not lost. A side that is slower holds the other up;
/// no more than 64 KiB a direction are kept.
///
/// # Errors
///
/// Fails with the first error of either stream, at once. Then whoever owns the streams drops them, and both peers see it.
///
/// # Cancel safety
///
/// Bytes that are on their way are lost if it is dropped.
///
/// # Examples
///
/// ```
/// use asyncio_net::{TcpListener, TcpStream, copy_bidirectional};
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_executor::block_on(async {
///     let (proxy, upstream) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
///     let mut client = TcpStream::connect(proxy.local_addr()?).await?;
///     let (mut near, _) = proxy.accept().await?;
///     let mut far = TcpStream::connect(upstream.local_addr()?).await?;
///     let (mut server, _) = upstream.accept().await?;
///     let ends = async {
///         client.write_all(b"a question").await?;
///         client.close().await?;
///         let mut question = String::new();
///         server.read_to_string(&mut question).await?;
///         server.write_all(b"an answer to ").await?;
///         server.write_all(question.as_bytes()).await?;
///         server.close().await?;
///         let mut answer = String::new();
///         client.read_to_string(&mut answer).await?;
///         Ok(answer)
///     };
///     let (copied, answer) = futures::try_join!(copy_bidirectional(&mut near, &mut far), ends)?;
///     assert_eq!((copied, answer.as_str()), ((10, 23), "an answer to a question"));
///     Ok(())
/// })
/// # }
/// ```
pub async fn copy_bidirectional<A, B>(a: &mut A, b: &mut B) -> io::Result<(u64, u64)>
where
    A: AsyncRead + AsyncWrite + Unpin + ?Sized,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let (mut up, mut down) = (Direction::new(), Direction::new());
    poll_fn(|cx| {
        let (there, back) = (up.poll(cx, a, b)?, down.poll(cx, b, a)?);
        if there.is_ready() && back.is_ready() {
            Poll::Ready(Ok((up.count, down.count)))
        } else {
            Poll::Pending
        }
    })
    .await
}

/// One direction.
struct Direction {
    buffer: ReceiveBuffer,
    /// What was read and not written.
    from: usize,
    to: usize,
    has_ended: bool,
    is_over: bool,
    needs_flush: bool,
    count: u64,
}

impl Direction {
    fn new() -> Self {
        Self {
            buffer: ReceiveBuffer::new(BUFFER_SIZE),
            from: 0,
            to: 0,
            has_ended: false,
            is_over: false,
            needs_flush: false,
            count: 0,
        }
    }

    fn poll<R, W>(&mut self, cx: &mut Context<'_>, reader: &mut R, writer: &mut W) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin + ?Sized,
        W: AsyncWrite + Unpin + ?Sized,
    {
        while !self.is_over {
            if self.from < self.to {
                let bytes = &self.buffer[self.from..self.to];
                let n = ready!(Pin::new(&mut *writer).poll_write(cx, bytes))?;
                if n == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.from += n;
                self.count += n as u64;
                self.needs_flush = true;
            } else if self.has_ended {
                ready!(Pin::new(&mut *writer).poll_close(cx))?;
                self.is_over = true;
            } else {
                match Pin::new(&mut *reader).poll_read(cx, &mut self.buffer) {
                    Poll::Ready(n) => (self.from, self.to) = (0, n?),
                    Poll::Pending => {
                        // A writer that keeps bytes must not keep them while nothing else comes.
                        if self.needs_flush {
                            ready!(Pin::new(&mut *writer).poll_flush(cx))?;
                            self.needs_flush = false;
                        }
                        return Poll::Pending;
                    }
                }
                self.has_ended = self.to == 0;
            }
        }
        Poll::Ready(Ok(()))
    }
}
