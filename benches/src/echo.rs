//! The echo servers, in a process of their own.

use std::io::Write;
use std::net::TcpListener;

use anyhow::{Result, bail};

use crate::process;
use crate::subject::Subject;
use crate::subjects::{
    asyncio::{AsyncioLocal, AsyncioWorkers2}, raw_epoll, raw_futures, smol::{SmolLocal, SmolMt2}, tokio::{TokioCt, TokioMt2},
};

/// Serves until it is killed; prints its port first. The buffers are `size` bytes, on processor `cpu`.
pub fn serve(subject: &str, size: usize, cpu: usize) -> Result<()> {
    process::pin_to(cpu)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    std::io::stdout().flush()?;
    match subject {
        raw_epoll::NAME => raw_epoll::serve(&listener, size)?,
        raw_futures::NAME => raw_futures::serve(&listener, size)?,
        AsyncioLocal::NAME => AsyncioLocal::run(AsyncioLocal::echo(listener, size))?,
        TokioCt::NAME => TokioCt::run(TokioCt::echo(listener, size))?,
        SmolLocal::NAME => SmolLocal::run(SmolLocal::echo(listener, size))?,
        AsyncioWorkers2::NAME => AsyncioWorkers2::run(AsyncioWorkers2::echo(listener, size))?,
        TokioMt2::NAME => TokioMt2::run(TokioMt2::echo(listener, size))?,
        SmolMt2::NAME => SmolMt2::run(SmolMt2::echo(listener, size))?,
        _ => bail!("no such subject: {subject}"),
    }
    Ok(())
}

/// The servers' buffer for messages of `size`: larger by some, so that a whole message is a short read.
pub fn buffer_for(size: usize) -> usize {
    size + 512
}
