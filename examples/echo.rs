//! An echo server and a thousand clients, on one loop.
//!
//! `cargo run --release --example echo`

use std::io;
use std::time::Duration;

use asyncio::net::{TcpListener, TcpStream};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

const CLIENTS: usize = 1000;
const MESSAGES: usize = 10;

async fn serve(listener: TcpListener) -> io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        asyncio::spawn(async move {
            let mut buf = [0; 1024];
            // A client that breaks off ends its own task alone.
            while let Ok(n @ 1..) = stream.read(&mut buf).await {
                if stream.write_all(&buf[..n]).await.is_err() {
                    break;
                }
            }
        })
        .detach();
    }
}

async fn client(addr: std::net::SocketAddr, number: usize) -> io::Result<usize> {
    let mut stream = TcpStream::connect(addr).await?;
    let mut echoed = 0;
    for message in 0..MESSAGES {
        let text = format!("message {message} of client {number}");
        stream.write_all(text.as_bytes()).await?;
        let mut echo = vec![0; text.len()];
        asyncio::timeout(Duration::from_secs(20), stream.read_exact(&mut echo)).await??;
        assert_eq!(echo, text.as_bytes());
        echoed += echo.len();
    }
    stream.close().await?;
    // The server sees the end, and closes its side.
    assert_eq!(stream.read(&mut [0; 1]).await?, 0);
    Ok(echoed)
}

#[asyncio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    asyncio::spawn(serve(listener)).detach();
    let clients: Vec<_> = (0..CLIENTS).map(|number| asyncio::spawn(client(addr, number))).collect();
    let mut bytes = 0;
    for client in clients {
        bytes += client.await??;
    }
    println!("{CLIENTS} clients had {bytes} bytes echoed");
    assert!(bytes > CLIENTS * MESSAGES * 20);
    Ok(())
}
