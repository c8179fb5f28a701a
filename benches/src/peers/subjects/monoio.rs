//! `monoio-epoll` and `monoio-uring`: monoio on either of its drivers.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::time::TimeDriver;
use monoio::{IoUringDriver, LegacyDriver, Runtime, RuntimeBuilder};

use crate::subject::{NotMoved, Subject};

pub struct Monoio<const URING: bool>;

pub type MonoioEpoll = Monoio<false>;
pub type MonoioUring = Monoio<true>;

pub struct Task<T>(NotMoved<monoio::task::JoinHandle<T>>);

impl<T> Future for Task<T> {
    type Output = T;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0.0).poll(cx)
    }
}

pub enum Driven {
    Epoll(Runtime<TimeDriver<LegacyDriver>>),
    Uring(Runtime<TimeDriver<IoUringDriver>>),
}

impl<const URING: bool> Subject for Monoio<URING> {
    const NAME: &'static str = if URING { "monoio-uring" } else { "monoio-epoll" };
    const WORKERS: usize = 1;
    type Runtime = Driven;
    type Task<T: Send + 'static> = Task<T>;
    type Sleep = NotMoved<monoio::time::Sleep>;

    fn runtime() -> Driven {
        if URING {
            Driven::Uring(RuntimeBuilder::<IoUringDriver>::new().enable_timer().build().unwrap())
        } else {
            Driven::Epoll(RuntimeBuilder::<LegacyDriver>::new().enable_timer().build().unwrap())
        }
    }

    fn block_on<F: Future>(runtime: &mut Driven, future: F) -> F::Output {
        match runtime {
            Driven::Epoll(runtime) => runtime.block_on(future),
            Driven::Uring(runtime) => runtime.block_on(future),
        }
    }

    #[inline]
    fn spawn<F>(future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Task(NotMoved(monoio::spawn(future)))
    }

    #[inline]
    fn sleep(duration: Duration) -> Self::Sleep {
        NotMoved(monoio::time::sleep(duration))
    }

    #[inline]
    fn reset(sleep: Pin<&mut Self::Sleep>, deadline: Instant) {
        sleep.inner().reset(deadline.into());
    }

    #[inline]
    fn timeout<F: Future>(duration: Duration, future: F) -> impl Future<Output = Option<F::Output>> {
        async move { monoio::time::timeout(duration, future).await.ok() }
    }

    async fn echo(listener: std::net::TcpListener, buffer: usize) -> io::Result<()> {
        // It takes std's as it is; on epoll a blocking one would stop the loop.
        listener.set_nonblocking(!URING)?;
        let listener = monoio::net::TcpListener::from_std(listener)?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            monoio::spawn(async move {
                let mut buf = vec![0; buffer];
                loop {
                    let (read, back) = stream.read(buf).await;
                    let Ok(n @ 1..) = read else { break };
                    let (written, back) = stream.write_all(monoio::buf::IoBuf::slice(back, ..n)).await;
                    buf = back.into_inner();
                    if written.is_err() {
                        break;
                    }
                }
            });
        }
    }
}
