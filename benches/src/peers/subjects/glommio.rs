//! `glommio`: io_uring, one executor.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::timer::Timer;
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};

use crate::subject::{NotMoved, Subject};

pub struct Glommio;

/// glommio's handle ends its task when dropped; the others' detach.
pub struct Task<T: 'static>(NotMoved<Option<glommio::Task<T>>>);

impl<T> Future for Task<T> {
    type Output = T;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(self.0.0.as_mut().unwrap()).poll(cx)
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        if let Some(task) = self.0.0.take() {
            drop(task.detach());
        }
    }
}

/// Its timer gives a duration.
pub struct Sleep(NotMoved<Timer>);

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0.0).poll(cx).map(drop)
    }
}

impl Subject for Glommio {
    const NAME: &'static str = "glommio";
    const WORKERS: usize = 1;
    type Runtime = LocalExecutor;
    type Task<T: Send + 'static> = Task<T>;
    type Sleep = Sleep;

    fn runtime() -> LocalExecutor {
        LocalExecutorBuilder::new(Placement::Unbound).make().unwrap()
    }

    fn block_on<F: Future>(runtime: &mut LocalExecutor, future: F) -> F::Output {
        runtime.run(future)
    }

    #[inline]
    fn spawn<F>(future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Task(NotMoved(Some(glommio::spawn_local(future))))
    }

    fn sleep(duration: Duration) -> Sleep {
        Sleep(NotMoved(Timer::new(duration)))
    }

    fn reset(mut sleep: Pin<&mut Sleep>, deadline: Instant) {
        sleep.0.0.reset(deadline.saturating_duration_since(Instant::now()));
    }

    fn timeout<F: Future>(duration: Duration, future: F) -> impl Future<Output = Option<F::Output>> {
        async move { glommio::timer::timeout(duration, async { Ok(future.await) }).await.ok() }
    }

    async fn echo(listener: std::net::TcpListener, buffer: usize) -> io::Result<()> {
        // It takes over no listener of std's; the port is the same, since both share it.
        let addr = listener.local_addr()?;
        drop(listener);
        let listener = glommio::net::TcpListener::bind(addr)?;
        loop {
            let mut stream = listener.accept().await?;
            stream.set_nodelay(true)?;
            glommio::spawn_local(async move {
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
