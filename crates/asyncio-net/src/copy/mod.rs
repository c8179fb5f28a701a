//! [`copy_bidirectional`]: two streams put together.

mod direction;

#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "pipe/linux.rs"]
mod pipe;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[path = "pipe/none.rs"]
mod pipe;

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use futures_io::{AsyncRead, AsyncWrite};

use self::direction::Direction;

/// Passes on what comes from either stream to the other, until both have ended; says how many bytes went from `a` to `b`, and from `b` to `a`.
///
/// The end of one direction is passed on, and the other goes on by itself: what a peer says after it has heard all is not lost. A side that is slower holds the other up;
/// no more than 64 KiB a direction are kept.
///
/// Where both are a [`TcpStream`](crate::TcpStream) or a [`UnixStream`](crate::UnixStream) and much comes, the bytes do not come into this process at all: the system moves them from
/// one to the other through a pipe, of up to 256 KiB a direction (Linux: splice(2)). To see what they are, it needs them `'static`.
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
    A: AsyncRead + AsyncWrite + Unpin + 'static,
    B: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (mut up, mut down) = (Direction::new(), Direction::new());
    let mut up_is_first = false;
    poll_fn(|cx| {
        // By turns: the first may use up what this task may do in one poll.
        up_is_first = !up_is_first;
        let first = if up_is_first { up.poll(cx, a, b)? } else { down.poll(cx, b, a)? };
        let second = if up_is_first { down.poll(cx, b, a)? } else { up.poll(cx, a, b)? };
        if first.is_ready() && second.is_ready() {
            Poll::Ready(Ok((up.count, down.count)))
        } else {
            Poll::Pending
        }
    })
    .await
}
