//! A runtime of your own, from the layers: an executor, a reactor and timers, and twenty lines that turn them.
//!
//! `cargo run --release --example own_runtime`

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use asyncio::executor::{LocalExecutor, Stopped, TaskOptions, spawn_local};
use asyncio::reactor::{self, DefaultSelector, Reactor, SelectorReactor};
use asyncio::timers::{Idle, MonotonicClock, Timers, sleep};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

/// Wakes a turn that waits.
struct Unpark(Arc<dyn Reactor>);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

fn run<F: Future>(main: F) -> io::Result<F::Output> {
    let reactor: Arc<dyn Reactor> = Arc::new(SelectorReactor::new(DefaultSelector::new()?)?);
    let unpark = Waker::from(Arc::new(Unpark(reactor.clone())));
    let timers = Timers::new(MonotonicClock, unpark.clone());
    let executor = LocalExecutor::new(unpark);
    let _entered = (reactor::enter(reactor.clone()), timers.enter(), executor.enter());

    let mut main = pin!(main);
    let waker = executor.main_waker();
    waker.wake_by_ref();
    loop {
        let ran = executor.run_up_to(61);
        if ran.stopped == Stopped::Main {
            if let Poll::Ready(output) = main.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Ok(output);
            }
        }
        let wait = match timers.idle() {
            _ if executor.is_ready() => Some(Duration::ZERO),
            Idle::For(wait) => Some(wait),
            _ => None,
        };
        reactor.turn(wait)?;
        timers.fire_due();
    }
}

fn main() -> io::Result<()> {
    thread_local!(static DONE: Cell<u32> = const { Cell::new(0) });
    let echo = run(async {
        let listener = asyncio::net::TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let server = async move {
            let (mut stream, _) = listener.accept().await?;
            let mut buf = [0; 5];
            stream.read_exact(&mut buf).await?;
            sleep(Duration::from_millis(5)).await;
            DONE.set(DONE.get() + 1);
            stream.write_all(&buf).await
        };
        let server = spawn_local(TaskOptions::here(), server).map_err(io::Error::other)?;
        let mut stream = asyncio::net::TcpStream::connect(addr).await?;
        stream.write_all(b"hello").await?;
        let mut echo = [0; 5];
        stream.read_exact(&mut echo).await?;
        server.await.ok_or_else(|| io::Error::other("the server was dropped"))??;
        io::Result::Ok(echo)
    })??;
    println!("my own runtime says {:?}", String::from_utf8_lossy(&echo));
    assert_eq!((&echo, DONE.get()), (b"hello", 1));
    Ok(())
}
