//! The servers, in a process of their own. Most echo.

use std::io::Write;
use std::net::{TcpListener, UdpSocket};

use anyhow::Result;

use crate::subject::Subject;
use crate::subjects::{self, Visit, asyncio_net, bulk, raw_epoll, raw_futures, udp};
use crate::{peers, process};

/// Serves until it is killed; prints its port first. The buffers are `size` bytes, on processor `cpu`.
pub fn serve(subject: &str, size: usize, cpu: usize) -> Result<()> {
    process::pin_to(cpu)?;
    if udp::NAMES.contains(&subject) {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        println!("{}", socket.local_addr()?.port());
        return Ok(udp::serve(subject, socket)?);
    }
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
        bulk::SEND_FILE | bulk::READ_WRITE | bulk::SPLICE | bulk::COPY | bulk::TOKIO_COPY => {
            bulk::serve(subject, listener)?
        }
        raw_futures::NAME => raw_futures::serve(&listener, size)?,
        _ => match peers::server(subject) {
            Some(serve) => serve(subject, listener)?,
            None => subjects::with(subject, Serve(listener, size))??,
        },
    }
    Ok(())
}

/// The servers' buffer for messages of `size`: larger by some, so that a whole message is a short read.
pub fn buffer_for(size: usize) -> usize {
    size + 512
}
