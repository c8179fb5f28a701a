//! Much of it: a file to a socket, and a socket to another one; by the system, and through memory.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::net::TcpListener;
use std::pin::Pin;
use std::task::{Context, Poll};

use asyncio::net::{TcpStream, copy_bidirectional};
use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::AsyncWriteExt;

use crate::subject::Subject;
use crate::subjects::tokio::TokioCt;

pub const SEND_FILE: &str = "asyncio-send_file";
pub const READ_WRITE: &str = "read+write";
pub const SPLICE: &str = "asyncio-splice";
pub const COPY: &str = "asyncio-copied";
pub const TOKIO_COPY: &str = "tokio-copied";

/// What each client of a file gets.
pub const FILE_SIZE: u64 = 64 << 20;

/// How a connection finds out what the network carries: not by sending at intervals (BBR), which on one machine costs several times what is measured here.
pub const CONGESTION_CONTROL: &str = "reno";

/// Serves for ever.
pub fn serve(subject: &str, listener: TcpListener) -> io::Result<()> {
    // Those who are accepted inherit it.
    rustix::net::sockopt::set_tcp_congestion(&listener, CONGESTION_CONTROL)?;
    match subject {
        SEND_FILE | READ_WRITE => asyncio::run(files(listener, subject == SEND_FILE)),
        TOKIO_COPY => TokioCt::run(pairs_on_tokio(listener)),
        _ => asyncio::run(pairs(listener, subject == SPLICE)),
    }
}

/// Each client gets the file.
async fn files(listener: TcpListener, by_the_system: bool) -> io::Result<()> {
    let listener = asyncio::net::TcpListener::from_std(listener)?;
    let path = std::env::temp_dir().join(format!("asyncio-bench-{}", std::process::id()));
    let bytes = vec![7; FILE_SIZE as usize];
    std::fs::write(&path, bytes)?;
    let mut file = File::open(&path)?;
    std::fs::remove_file(&path)?;
    let mut buf = vec![0; 64 * 1024];
    loop {
        let (mut stream, _) = listener.accept().await?;
        // That a client has had enough is no news.
        let _ = async {
            if by_the_system {
                return stream.send_file(&file, ..).await.map(drop);
            }
            file.rewind()?;
            while let n @ 1.. = file.read(&mut buf)? {
                stream.write_all(&buf[..n]).await?;
            }
            Ok(())
        }
        .await;
    }
}

/// Each two that come are put together.
async fn pairs(listener: TcpListener, by_the_system: bool) -> io::Result<()> {
    let listener = asyncio::net::TcpListener::from_std(listener)?;
    loop {
        let ((mut one, _), (mut other, _)) = (listener.accept().await?, listener.accept().await?);
        let proxy = async move {
            // That a client goes is no news.
            let _ = if by_the_system {
                copy_bidirectional(&mut one, &mut other).await
            } else {
                copy_bidirectional(&mut Veiled(one), &mut Veiled(other)).await
            };
        };
        asyncio::spawn_local(proxy).detach();
    }
}

async fn pairs_on_tokio(listener: TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let ((mut one, _), (mut other, _)) = (listener.accept().await?, listener.accept().await?);
        tokio::spawn(async move {
            let _ = tokio::io::copy_bidirectional_with_sizes(&mut one, &mut other, 65_536, 65_536).await;
        });
    }
}

/// A stream of which nobody sees that it is a socket.
struct Veiled(TcpStream);

impl AsyncRead for Veiled {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Veiled {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}
