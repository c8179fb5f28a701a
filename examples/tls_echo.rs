//! An echo server under TLS and its clients: the certificate is made on the spot, and nobody but its maker is trusted.
//!
//! `cargo run --release --example tls_echo`

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use asyncio::net::tls::{TlsAcceptor, TlsConnector, TlsInfo};
use asyncio::net::{ConnectOptions, ServerOptions, StreamReader, StreamWriter};
use rcgen::{CertifiedKey, generate_simple_self_signed};

const NAME: &str = "echo.test";

async fn echo(mut reader: StreamReader, mut writer: StreamWriter) -> Result<(), Box<dyn std::error::Error>> {
    while let Some(line) = reader.read_line().await? {
        writer.write(&line);
        writer.drain().await?;
    }
    // Says goodbye by close_notify, and waits for the client's.
    Ok(writer.close().await?)
}

async fn client(connector: TlsConnector, addr: SocketAddr, number: usize) -> io::Result<usize> {
    let options = ConnectOptions::new().tls(connector, NAME);
    let (mut reader, mut writer) = options.open_connection(addr).await?;
    let mut lines = 0;
    for message in 0..10 {
        let line = format!("message {message} of client {number}\n");
        writer.write(line.as_bytes());
        let answer = asyncio::timeout(Duration::from_secs(20), reader.read_line()).await??;
        assert_eq!(answer.as_deref(), Some(line.as_bytes()));
        lines += 1;
    }
    if number == 0 {
        println!("{:?}", TlsInfo::of(&**writer.socket()).expect("it is of TLS"));
    }
    // The server sees the end, and says goodbye.
    writer.write_eof();
    assert_eq!(reader.read_line().await?, None);
    Ok(lines)
}

#[asyncio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([NAME.to_owned()])?;
    let acceptor = TlsAcceptor::new(cert.pem(), signing_key.serialize_pem())?;
    let connector = TlsConnector::builder().roots(cert.pem()).build()?;

    let server = ServerOptions::new().tls(acceptor).start_server(echo, "127.0.0.1:0").await?;
    let addr = server.local_addrs()[0];
    let clients = (0..100).map(|number| client(connector.clone(), addr, number));
    let lines: Vec<usize> = asyncio::gather(clients).await?;
    assert_eq!(lines.iter().sum::<usize>(), 1000);
    server.close();
    server.wait_closed().await;
    println!("{} lines came back, and nobody else has read them", lines.iter().sum::<usize>());
    Ok(())
}
