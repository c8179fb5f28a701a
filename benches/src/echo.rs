//! The servers, in a process of their own. Most echo.

use std::io::Write;
use std::net::TcpListener;

use anyhow::Result;

use crate::process;
use crate::subject::Subject;
use crate::subjects::{self, Visit, asyncio_net, hyper, raw_epoll, raw_futures, redis};

/// Serves until it is killed; prints its port first. The buffers are `size` bytes, on processor `cpu`.
pub fn serve(subject: &str, size: usize, cpu: usize) -> Result<()> {
    process::pin_to(cpu)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    std::io::stdout().flush()?;
    struct Serve(TcpListener, usize);
    impl Visit for Serve {
        type Output = std::io::Result<()>;
        fn visit<S: Subject>(self) -> std::io::Result<()> {
            S::run(S::echo(self.0, self.1))
        }
    }
    match subject {
        raw_epoll::NAME => raw_epoll::serve(&listener, size)?,
        asyncio_net::PROTOCOL | asyncio_net::STREAMS => asyncio_net::serve(subject, listener)?,
        hyper::ASYNCIO | hyper::TOKIO => hyper::serve(subject, listener)?,
        redis::LIKE => redis::serve(listener)?,
        raw_futures::NAME => raw_futures::serve(&listener, size)?,
        _ => subjects::with(subject, Serve(listener, size))??,
    }
    Ok(())
}

/// The servers' buffer for messages of `size`: larger by some, so that a whole message is a short read.
pub fn buffer_for(size: usize) -> usize {
    size + 512
}
