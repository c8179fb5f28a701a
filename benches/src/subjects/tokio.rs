//! `tokio-ct` and `tokio-mt2`: tokio's current_thread runtime, and its multi_thread one with two workers.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::subject::Subject;

pub struct Tokio<const WORKERS: usize>;

pub type TokioCt = Tokio<1>;
pub type TokioMt2 = Tokio<2>;

pub struct Task<T>(tokio::task::JoinHandle<T>);

impl<T> Future for Task<T> {
    type Output = T;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(cx).map(Result::unwrap)
    }
}

impl<const WORKERS: usize> Subject for Tokio<WORKERS> {
    const NAME: &'static str = if WORKERS == 1 { "tokio-ct" } else { "tokio-mt2" };
    const WORKERS: usize = WORKERS;
    type Runtime = tokio::runtime::Runtime;
    type Task<T: Send + 'static> = Task<T>;
    type Sleep = tokio::time::Sleep;

    fn runtime() -> Self::Runtime {
        use tokio::runtime::Builder;
        let mut builder = match WORKERS {
            1 => Builder::new_current_thread(),
            _ => Builder::new_multi_thread(),
        };
        // The one on the thread that blocks is not counted.
        builder.worker_threads(WORKERS).enable_all().build().unwrap()
    }

    fn block_on<F: Future>(runtime: &mut Self::Runtime, future: F) -> F::Output {
        runtime.block_on(future)
    }

    #[inline]
    fn spawn<F>(future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Task(tokio::spawn(future))
    }

    #[inline]
    fn sleep(duration: Duration) -> Self::Sleep {
        tokio::time::sleep(duration)
    }

    #[inline]
    fn reset(sleep: Pin<&mut Self::Sleep>, deadline: Instant) {
        sleep.reset(deadline.into());
    }

    #[inline]
    fn timeout<F: Future>(duration: Duration, future: F) -> impl Future<Output = Option<F::Output>> {
        async move { tokio::time::timeout(duration, future).await.ok() }
    }

    async fn echo(listener: std::net::TcpListener, buffer: usize) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                let mut buf = vec![0; buffer];
                while let Ok(n @ 1..) = stream.read(&mut buf).await {
                    if stream.write_all(&buf[..n]).await.is_err() {
                        break;
                    }
                }
            });
        }
    }
}
