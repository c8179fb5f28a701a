//! "Using SSL": the echo server and its client under TLS, with a certificate that is made on the spot.
//!
//! The message ends with a zero byte, as in the originals, since Python's TLS cannot end one direction alone. Here it could: `write_eof` says
//! close_notify, and the other direction goes on.

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use asyncio::net::tls::{TlsAcceptor, TlsConnector, TlsInfo};
use asyncio::net::{ConnectOptions, ServerOptions, StreamReader, StreamWriter};
use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::{Outcome, partner};

/// Whose certificate it is.
const NAME: &str = "pymotw.test";

/// What the server shows, and whom the client trusts: this certificate, and no other.
fn identity() -> Result<(TlsAcceptor, TlsConnector), Box<dyn Error>> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([NAME.to_owned()])?;
    let acceptor = TlsAcceptor::new(cert.pem(), signing_key.serialize_pem())?;
    let connector = TlsConnector::builder().roots(cert.pem()).build()?;
    Ok((acceptor, connector))
}

/// Sends a message back, without the zero byte at its end; returns it.
async fn echo(reader: &mut StreamReader, writer: &mut StreamWriter) -> io::Result<String> {
    let mut message = reader.read_until(b"\0").await?;
    message.pop();
    writer.write(&message);
    writer.drain().await?;
    String::from_utf8(message).map_err(io::Error::other)
}

async fn echo_aloud(mut reader: StreamReader, mut writer: StreamWriter) -> io::Result<()> {
    println!("server: a client has connected, and they have shaken hands");
    let message = echo(&mut reader, &mut writer).await?;
    println!("server: the client has sent {message:?}, and then a zero byte");
    // This waits until the client has said goodbye, too.
    writer.close().await?;
    println!("server: the connection is closed");
    Ok(())
}

async fn echo_silently(mut reader: StreamReader, mut writer: StreamWriter) -> io::Result<()> {
    echo(&mut reader, &mut writer).await?;
    writer.close().await
}

/// Sends the pieces and then a zero byte, and returns what the server has answered by its goodbye.
async fn ask(connector: TlsConnector, addr: SocketAddr) -> io::Result<String> {
    let (mut reader, mut writer) = ConnectOptions::new().tls(connector, NAME).open_connection(addr).await?;
    for part in partner::PARTS {
        writer.write(part.as_bytes());
    }
    writer.write(b"\0");
    let answer = reader.read_to_end().await?;
    String::from_utf8(answer).map_err(io::Error::other)
}

/// A server whose clients speak TLS. The handshake is a part of connecting, so the handler is that of any other server.
///
/// asyncio makes a context of two files. Here an acceptor is made of two texts in PEM, and what it cannot use is an error at once. The server's end
/// of TLS is in order: both sides say goodbye, and an end without that is an error of whoever reads.
pub fn asyncio_echo_server_ssl() -> Outcome {
    asyncio::run(async {
        let (acceptor, connector) = identity()?;
        let server = ServerOptions::new().tls(acceptor).start_server(echo_aloud, "127.0.0.1:0").await?;
        println!("main: the server listens");
        let answer = ask(connector, server.local_addrs()[0]).await?;
        server.close();
        server.wait_closed().await;
        println!("main: the server has ended, and has sent all of it back: {}", partner::is_echo(&answer));
        Ok(())
    })
}

/// A client under TLS, which trusts one certificate and insists on the name in it.
///
/// The original looks at no name, since its certificate has none that fits. That cannot be switched off here, and need not: the name is said, and it is
/// another one than the address.
pub fn asyncio_echo_client_ssl() -> Outcome {
    asyncio::run(async {
        let (acceptor, connector) = identity()?;
        let server = ServerOptions::new().tls(acceptor).start_server(echo_silently, "127.0.0.1:0").await?;
        let options = ConnectOptions::new().tls(connector, NAME);
        let (mut reader, mut writer) = options.open_connection(server.local_addrs()[0]).await?;
        let info = TlsInfo::of(&**writer.socket()).ok_or("it is of TLS")?;
        let version = info.version.ok_or("they have agreed on one")?;
        println!("client: has found {NAME} to be who it is, and speaks {version:?}");
        for part in partner::PARTS {
            println!("client: sends {part:?}");
            writer.write(part.as_bytes());
        }
        println!("client: sends a zero byte");
        writer.write(b"\0");
        writer.drain().await?;
        let answer = String::from_utf8(reader.read_to_end().await?)?;
        println!("client: has {answer:?}");
        writer.close().await?;
        println!("client: the connection is over, and all of it came back: {}", partner::is_echo(&answer));
        server.close();
        server.wait_closed().await;
        Ok(())
    })
}
