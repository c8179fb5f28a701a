//! `compio`: on io_uring, or on what it finds instead.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use compio::BufResult;
use compio::buf::{IntoInner, IoBuf};
use compio::io::{AsyncRead, AsyncWriteExt};

use crate::subject::{NotMoved, Subject};

pub struct Compio;

/// compio's handle ends its task when dropped; the others' detach.
pub struct Task<T>(NotMoved<Option<compio::runtime::JoinHandle<T>>>);

impl<T> Future for Task<T> {
    type Output = T;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(self.0.0.as_mut().unwrap()).poll(cx).map(Result::unwrap)
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        if let Some(task) = self.0.0.take() {
            task.detach();
        }
    }
}

impl Subject for Compio {
    const NAME: &'static str = "compio";
    const WORKERS: usize = 1;
    type Runtime = compio::runtime::Runtime;
    type Task<T: Send + 'static> = Task<T>;
    type Sleep = NotMoved<Pin<Box<dyn Future<Output = ()>>>>;

    fn runtime() -> Self::Runtime {
        compio::runtime::Runtime::new().unwrap()
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
        Task(NotMoved(Some(compio::runtime::spawn(future))))
    }

    /// Boxed, so that it can be reset, which compio's cannot.
    fn sleep(duration: Duration) -> Self::Sleep {
        NotMoved(Box::pin(compio::time::sleep(duration)))
    }

    fn reset(mut sleep: Pin<&mut Self::Sleep>, deadline: Instant) {
        sleep.set(NotMoved(Box::pin(compio::time::sleep_until(deadline))));
    }

    fn timeout<F: Future>(duration: Duration, future: F) -> impl Future<Output = Option<F::Output>> {
        async move { compio::time::timeout(duration, future).await.ok() }
    }

    async fn echo(listener: std::net::TcpListener, buffer: usize) -> io::Result<()> {
        let listener = compio::net::TcpListener::from_std(listener)?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            drop(Self::spawn(NotMoved(Box::pin(async move {
                let mut buf = vec![0; buffer];
                loop {
                    let BufResult(read, back) = stream.read(buf).await;
                    let Ok(n @ 1..) = read else { break };
                    let BufResult(written, back) = stream.write_all(back.slice(..n)).await;
                    buf = back.into_inner();
                    if written.is_err() {
                        break;
                    }
                }
            }))));
        }
    }
}
