//! An echo server and its clients, by streams: a handler for each client, which reads lines.
//!
//! `cargo run --release --example echo_streams`

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use asyncio::net::{StreamReader, StreamWriter, open_connection, start_server};

async fn echo(mut reader: StreamReader, mut writer: StreamWriter) -> io::Result<()> {
    // `None` is the end; a line that is too long is an error, which closes this connection and is reported.
    while let Some(line) = reader.read_line().await? {
        writer.write(&line);
        writer.drain().await?;
    }
    writer.close().await
}

async fn client(addr: SocketAddr, number: usize) -> io::Result<usize> {
    let (mut reader, mut writer) = open_connection(addr).await?;
    let mut lines = 0;
    for message in 0..10 {
        let line = format!("message {message} of client {number}\n");
        writer.write(line.as_bytes());
        let answer = asyncio::timeout(Duration::from_secs(20), reader.read_line()).await??;
        assert_eq!(answer.as_deref(), Some(line.as_bytes()));
        lines += 1;
    }
    // The server sees the end, and closes its side.
    writer.write_eof();
    assert_eq!(reader.read_line().await?, None);
    Ok(lines)
}

#[asyncio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = start_server(echo, "127.0.0.1:0").await?;
    let addr = server.local_addrs()[0];
    let lines: Vec<usize> = asyncio::gather((0..500).map(|number| client(addr, number))).await?;
    assert_eq!(lines.iter().sum::<usize>(), 5000);
    server.close();
    server.wait_closed().await;
    println!("{} lines came back", lines.iter().sum::<usize>());
    Ok(())
}
