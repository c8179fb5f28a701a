//! A SOCKS 5 proxy (RFC 1928) without authentication, for connections that begin here: streams are put together by the system, without a copy where it can do that.
//!
//! `cargo run --release --example socks_proxy` tries it on itself; `… -- 1080` proxies at that port until Ctrl-C, as for `curl --socks5-hostname 127.0.0.1:1080 …`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use asyncio::net::{TcpListener, TcpStream, copy_bidirectional};
use asyncio::reactor::SocketOption;
use asyncio::{OnError, TaskGroup};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

/// How long a client may take to say what it wants, and a server to take its connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where to; a name is for the proxy to resolve.
#[derive(Debug)]
enum Target {
    Addr(SocketAddr),
    Name(String, u16),
}

/// RFC 1928, 6.
#[derive(Clone, Copy, Debug)]
enum Reply {
    Succeeded = 0,
    GeneralFailure = 1,
    NetworkUnreachable = 3,
    HostUnreachable = 4,
    ConnectionRefused = 5,
    CommandNotSupported = 7,
    AddressTypeNotSupported = 8,
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

async fn bytes<const N: usize>(client: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// Agrees on no authentication, and reads what the client wants.
async fn request(client: &mut TcpStream) -> io::Result<Result<Target, Reply>> {
    let [version, methods] = bytes(client).await?;
    if version != 5 {
        return Err(invalid("not SOCKS 5"));
    }
    let mut offered = vec![0; methods.into()];
    client.read_exact(&mut offered).await?;
    if !offered.contains(&0) {
        client.write_all(&[5, 0xff]).await?;
        return Err(invalid("the client does not go without authentication"));
    }
    client.write_all(&[5, 0]).await?;

    let [version, command, _, kind] = bytes(client).await?;
    if version != 5 {
        return Err(invalid("not SOCKS 5"));
    }
    let host = match kind {
        1 => Ok(IpAddr::from(Ipv4Addr::from(bytes::<4>(client).await?))),
        4 => Ok(IpAddr::from(Ipv6Addr::from(bytes::<16>(client).await?))),
        3 => {
            let [len] = bytes(client).await?;
            let mut name = vec![0; len.into()];
            client.read_exact(&mut name).await?;
            Err(String::from_utf8(name).map_err(|_| invalid("a name that is no text"))?)
        }
        _ => return Ok(Err(Reply::AddressTypeNotSupported)),
    };
    let port = u16::from_be_bytes(bytes(client).await?);
    if command != 1 {
        return Ok(Err(Reply::CommandNotSupported));
    }
    Ok(Ok(match host {
        Ok(ip) => Target::Addr(SocketAddr::new(ip, port)),
        Err(name) => Target::Name(name, port),
    }))
}

async fn connect(target: &Target) -> io::Result<TcpStream> {
    match target {
        Target::Addr(addr) => TcpStream::connect(addr).await,
        // All addresses of the name are tried.
        Target::Name(name, port) => TcpStream::connect((&**name, *port)).await,
    }
}

/// What the client is told of why there is no connection.
fn reply_to(error: &io::Error) -> Reply {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Reply::ConnectionRefused,
        io::ErrorKind::NetworkUnreachable => Reply::NetworkUnreachable,
        io::ErrorKind::HostUnreachable | io::ErrorKind::TimedOut | io::ErrorKind::NotFound => {
            Reply::HostUnreachable
        }
        _ => Reply::GeneralFailure,
    }
}

async fn answer(client: &mut TcpStream, reply: Reply, bound: SocketAddr) -> io::Result<()> {
    let mut answer = vec![5, reply as u8, 0];
    match bound.ip() {
        IpAddr::V4(ip) => {
            answer.push(1);
            answer.extend(ip.octets());
        }
        IpAddr::V6(ip) => {
            answer.push(4);
            answer.extend(ip.octets());
        }
    }
    answer.extend(bound.port().to_be_bytes());
    client.write_all(&answer).await
}

async fn serve(mut client: TcpStream) -> io::Result<(u64, u64)> {
    const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    let target = match asyncio::timeout(PATIENCE, request(&mut client)).await?? {
        Ok(target) => target,
        Err(reply) => {
            answer(&mut client, reply, NOWHERE).await?;
            return Err(invalid("the client wants what this proxy does not do"));
        }
    };
    let connected = asyncio::timeout(PATIENCE, connect(&target)).await.map_err(io::Error::from);
    let mut server = match connected.and_then(|connected| connected) {
        Ok(server) => server,
        Err(error) => {
            answer(&mut client, reply_to(&error), NOWHERE).await?;
            return Err(error);
        }
    };
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        // A peer that vanished is noticed in the end.
        stream.socket().set_option(SocketOption::KeepAlive(true))?;
    }
    answer(&mut client, Reply::Succeeded, server.local_addr()?).await?;
    copy_bidirectional(&mut client, &mut server).await
}

/// Serves until it is cancelled; and with it end those who are served.
async fn proxy(listener: TcpListener) -> io::Result<()> {
    // A client that fails is no matter to the others.
    let clients = TaskGroup::<io::Error>::builder().on_error(OnError::KeepGoing);
    let served = clients.run(async |group| -> io::Result<()> {
        loop {
            let (client, from) = listener.accept().await?;
            group.spawn_local(async move {
                match serve(client).await {
                    Ok((up, down)) => eprintln!("{from}: {up} bytes up, {down} down"),
                    Err(error) => eprintln!("{from}: {error}"),
                }
                Ok(())
            });
        }
    });
    served.await.map_err(io::Error::other)
}

/// A client of the proxy: what curl does.
async fn through(proxy: SocketAddr, request: &[u8]) -> io::Result<(TcpStream, u8)> {
    let mut stream = TcpStream::connect(proxy).await?;
    stream.write_all(&[5, 1, 0]).await?;
    assert_eq!(bytes(&mut stream).await?, [5, 0]);
    stream.write_all(request).await?;
    let [5, reply, 0, 1] = bytes(&mut stream).await? else { return Err(invalid("no answer of SOCKS 5")) };
    bytes::<6>(&mut stream).await?;
    Ok((stream, reply))
}

async fn try_it(proxy: SocketAddr) -> io::Result<()> {
    let upstream = TcpListener::bind("127.0.0.1:0").await?;
    let port = upstream.local_addr()?.port();
    let by_name = [&[5, 1, 0, 3, 9][..], b"localhost", &port.to_be_bytes()].concat();
    let (mut stream, reply) = through(proxy, &by_name).await?;
    assert_eq!(reply, Reply::Succeeded as u8);
    let (mut server, _) = upstream.accept().await?;
    let question: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let asking = async {
        stream.write_all(&question).await?;
        stream.close().await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.map(|_| answer)
    };
    let answering = async {
        let mut all = Vec::new();
        server.read_to_end(&mut all).await?;
        server.write_all(&all).await?;
        server.close().await
    };
    let (answer, ()) = asyncio::try_join!(asking, answering)?;
    assert!(answer == question, "four megabytes went there and back");

    drop(upstream);
    let by_address = [&[5, 1, 0, 1, 127, 0, 0, 1][..], &port.to_be_bytes()].concat();
    assert_eq!(through(proxy, &by_address).await?.1, Reply::ConnectionRefused as u8);
    let to_listen = [&[5, 2, 0, 1, 127, 0, 0, 1][..], &port.to_be_bytes()].concat();
    assert_eq!(through(proxy, &to_listen).await?.1, Reply::CommandNotSupported as u8);
    println!("{} bytes went through, and back", answer.len());
    Ok(())
}

#[asyncio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1);
    let listener = TcpListener::bind(format!("127.0.0.1:{}", port.as_deref().unwrap_or("0"))).await?;
    let addr = listener.local_addr()?;
    let ends = async {
        if port.is_none() {
            return try_it(addr).await;
        }
        println!("listening at {addr}");
        asyncio::signal::ctrl_c().await
    };
    // Whichever ends first ends the other; the proxy does so only by an error.
    asyncio::race!(proxy(listener), ends)?;
    Ok(())
}
