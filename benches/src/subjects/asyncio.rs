//! `asyncio-local` and `asyncio-workers2`: ours, with one loop and with two.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use asyncio::net::TcpListener;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use crate::subject::Subject;

pub struct Asyncio<const WORKERS: usize>;

pub type AsyncioLocal = Asyncio<1>;
pub type AsyncioWorkers2 = Asyncio<2>;

/// A handle whose panics go on, as the others' do.
pub struct Task<T>(asyncio::Task<T>);

impl<T> Future for Task<T> {
    type Output = T;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(cx).map(Result::unwrap)
    }
}

impl<const WORKERS: usize> Subject for Asyncio<WORKERS> {
    const NAME: &'static str = if WORKERS == 1 { "asyncio-local" } else { "asyncio-workers2" };
    const WORKERS: usize = WORKERS;
    type Runtime = asyncio::Runner;
    type Task<T: Send + 'static> = Task<T>;
    type Sleep = asyncio::Sleep;

    fn runtime() -> Self::Runtime {
        asyncio::Runner::builder().workers(WORKERS).build().unwrap()
    }

    fn block_on<F: Future>(runtime: &mut Self::Runtime, future: F) -> F::Output {
        runtime.run(future)
    }

    #[inline]
    fn spawn<F>(future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Task(asyncio::spawn(future))
    }

    #[inline]
    fn sleep(duration: Duration) -> Self::Sleep {
        asyncio::sleep(duration)
    }

    #[inline]
    fn reset(sleep: Pin<&mut Self::Sleep>, deadline: Instant) {
        sleep.get_mut().reset(deadline);
    }

    #[inline]
    fn timeout<F: Future>(duration: Duration, future: F) -> impl Future<Output = Option<F::Output>> {
        async move { asyncio::timeout(duration, future).await.ok() }
    }

    async fn echo(listener: std::net::TcpListener, buffer: usize) -> io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            asyncio::spawn(async move {
                let mut buf = vec![0; buffer];
                while let Ok(n @ 1..) = stream.read(&mut buf).await {
                    if stream.write_all(&buf[..n]).await.is_err() {
                        break;
                    }
                }
            })
            .detach();
        }
    }
}
