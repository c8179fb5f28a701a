//! The reactor alone: an echo server on bare sockets, under an executor that knows nothing of us (`futures_lite`'s `block_on`).
//!
//! `cargo run --release --package reactor_only`

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::sync::Arc;

use asyncio_reactor::{Domain, Socket, Type, socket};
use futures_lite::future::{block_on, try_zip};

async fn send_all(socket: &dyn Socket, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = socket.send(bytes).await?;
        bytes = &bytes[n..];
    }
    Ok(())
}

async fn echo(listener: Arc<dyn Socket>) -> io::Result<usize> {
    let (socket, _from) = listener.accept().await?;
    let mut buf = [0; 4096];
    let mut total = 0;
    loop {
        let n = socket.recv(&mut buf).await?;
        if n == 0 {
            return Ok(total);
        }
        send_all(&*socket, &buf[..n]).await?;
        total += n;
    }
}

async fn client(addr: SocketAddr) -> io::Result<usize> {
    let socket = socket(Domain::IPV4, Type::STREAM, None)?;
    socket.connect(&addr.into()).await?;
    let mut buf = [0; 4096];
    let mut total = 0;
    for n in 0..1000_u32 {
        let message = n.to_be_bytes();
        send_all(&*socket, &message).await?;
        let received = socket.recv(&mut buf).await?;
        assert_eq!(&buf[..received], message);
        total += received;
    }
    socket.shutdown(Shutdown::Write)?;
    assert_eq!(socket.recv(&mut buf).await?, 0, "the server has seen the end");
    Ok(total)
}

fn main() -> io::Result<()> {
    let listener = socket(Domain::IPV4, Type::STREAM, None)?;
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    listener.listen(1)?;
    let addr = listener.local_addr()?.as_socket().ok_or_else(|| io::Error::other("not an IP address"))?;
    let (echoed, received) = block_on(try_zip(echo(listener), client(addr)))?;
    println!("{echoed} bytes echoed, {received} received");
    assert_eq!((echoed, received), (4000, 4000));
    Ok(())
}
