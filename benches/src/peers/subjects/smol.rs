//! `smol-local`: smol's `LocalExecutor` under `smol::block_on`; and `smol-mt2`: its `Executor` on two threads.

use std::cell::RefCell;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Once;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use smol::LocalExecutor;
use smol::io::{AsyncReadExt, AsyncWriteExt};

use crate::subject::Subject;

pub struct Smol<const WORKERS: usize>;

pub type SmolLocal = Smol<1>;
pub type SmolMt2 = Smol<2>;

/// Runs on its own threads, from the first use on.
static SHARED: smol::Executor<'static> = smol::Executor::new();

thread_local! {
    static EXECUTOR: RefCell<Option<Rc<LocalExecutor<'static>>>> = const { RefCell::new(None) };
}

/// smol's handle ends its task when dropped; the others' detach.
pub struct Task<T>(Option<smol::Task<T>>);

impl<T> Future for Task<T> {
    type Output = T;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(self.0.as_mut().unwrap()).poll(cx)
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.detach();
        }
    }
}

impl<const WORKERS: usize> Subject for Smol<WORKERS> {
    const NAME: &'static str = if WORKERS == 1 { "smol-local" } else { "smol-mt2" };
    const WORKERS: usize = WORKERS;
    type Runtime = Rc<LocalExecutor<'static>>;
    type Task<T: Send + 'static> = Task<T>;
    type Sleep = Sleep;

    fn runtime() -> Self::Runtime {
        static START: Once = Once::new();
        if WORKERS > 1 {
            START.call_once(|| {
                for _ in 0..WORKERS {
                    std::thread::spawn(|| smol::block_on(SHARED.run(pending::<()>())));
                }
            });
        }
        Rc::new(LocalExecutor::new())
    }

    fn block_on<F: Future>(runtime: &mut Self::Runtime, future: F) -> F::Output {
        if WORKERS > 1 {
            return smol::block_on(future);
        }
        EXECUTOR.set(Some(runtime.clone()));
        smol::block_on(runtime.run(future))
    }

    #[inline]
    fn spawn<F>(future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        if WORKERS > 1 {
            return Task(Some(SHARED.spawn(future)));
        }
        EXECUTOR.with_borrow(|executor| Task(Some(executor.as_ref().unwrap().spawn(future))))
    }

    #[inline]
    fn sleep(duration: Duration) -> Self::Sleep {
        Sleep(smol::Timer::after(duration))
    }

    #[inline]
    fn reset(sleep: Pin<&mut Self::Sleep>, deadline: Instant) {
        sleep.get_mut().0.set_at(deadline);
    }

    #[inline]
    fn timeout<F: Future>(duration: Duration, future: F) -> impl Future<Output = Option<F::Output>> {
        smol::future::or(async { Some(future.await) }, async move {
            smol::Timer::after(duration).await;
            None
        })
    }

    async fn echo(listener: std::net::TcpListener, buffer: usize) -> io::Result<()> {
        let listener = smol::net::TcpListener::from(smol::Async::new(listener)?);
        loop {
            let (mut stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            drop(Self::spawn(async move {
                let mut buf = vec![0; buffer];
                while let Ok(n @ 1..) = stream.read(&mut buf).await {
                    if stream.write_all(&buf[..n]).await.is_err() {
                        break;
                    }
                }
            }));
        }
    }
}

/// smol's timer gives an instant.
pub struct Sleep(smol::Timer);

impl Future for Sleep {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(drop)
    }
}
