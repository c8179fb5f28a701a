//! Clients of our own, on the other processor: each runs for a while, and prints how much it was given.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use asyncio::net::DatagramBatch;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use crate::process;
use crate::subjects::bulk::{CONGESTION_CONTROL, FILE_SIZE};

pub fn main(kind: &str, port: u16, milliseconds: u64) -> Result<()> {
    process::pin_to(1)?;
    let end = Instant::now() + Duration::from_millis(milliseconds);
    let count = match kind {
        "tls_echo" => tls_echo(port, end)?,
        "tls_handshake" => tls_handshakes(port, end)?,
        "udp" => datagrams(port, end)?,
        "udp_many" => datagrams_of_many(port, end)?,
        "file" => files(port, end)?,
        "proxy" => proxied(port, end)?,
        "lines" => lines(port, end)?,
        _ => bail!("no such client: {kind}"),
    };
    println!("{count}");
    Ok(())
}

fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Messages of 16 KiB, one under way on each of eight connections.
fn tls_echo(port: u16, end: Instant) -> Result<u64> {
    let message = vec![7; 16 * 1024];
    let mut answer = vec![0; message.len()];
    let config = trusting(true)?;
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(tls(port, &config)?);
    }
    let mut count = 0;
    while Instant::now() < end {
        for stream in &mut streams {
            stream.write_all(&message)?;
            stream.flush()?;
        }
        for stream in &mut streams {
            stream.read_exact(&mut answer)?;
            count += 1;
        }
    }
    Ok(count)
}

/// Whole handshakes, one after the other, each with its end.
fn tls_handshakes(port: u16, end: Instant) -> Result<u64> {
    let config = trusting(false)?;
    let mut count = 0;
    while Instant::now() < end {
        let mut stream = tls(port, &config)?;
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        stream.conn.send_close_notify();
        while stream.conn.wants_write() {
            stream.conn.write_tls(&mut stream.sock)?;
        }
        // Until the server says goodbye too.
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest)?;
        ensure!(rest.is_empty(), "the server said something");
        count += 1;
    }
    Ok(count)
}

fn tls(port: u16, config: &Arc<ClientConfig>) -> Result<StreamOwned<ClientConnection, TcpStream>> {
    let name = ServerName::try_from("localhost")?;
    Ok(StreamOwned::new(ClientConnection::new(config.clone(), name)?, connect(port)?))
}

/// A client that takes any certificate; `resumes` says whether it takes a shorter way the second time.
fn trusting(resumes: bool) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustsAnybody(provider)))
        .with_no_client_auth();
    if !resumes {
        config.resumption = rustls::client::Resumption::disabled();
    }
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct TrustsAnybody(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustsAnybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Datagrams of 64 bytes from one socket, 64 at a time in one message, so many under way as a socket holds for sure.
fn datagrams(port: u16, end: Instant) -> Result<u64> {
    const AT_A_TIME: usize = 64;
    asyncio::run(async {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(("127.0.0.1", port))?;
        let socket = asyncio::net::UdpSocket::from_std(socket)?;
        let datagrams = vec![&[7_u8; 64][..]; AT_A_TIME];
        let mut batch = DatagramBatch::new(AT_A_TIME, 128);
        let mut count = 0;
        while Instant::now() < end {
            let mut sent = 0;
            while sent < AT_A_TIME {
                sent += socket.send_many(&datagrams[sent..]).await?;
            }
            let mut came = 0;
            while came < AT_A_TIME {
                let receiving = socket.recv_many(&mut batch);
                came +=
                    asyncio::timeout(Duration::from_secs(5), receiving).await.context("one was lost")??;
            }
            count += came as u64;
        }
        Ok(count)
    })
}

/// The same from sixteen sockets, of which each sends four, one by one, and waits for them.
fn datagrams_of_many(port: u16, end: Instant) -> Result<u64> {
    const AT_A_TIME: u64 = 4;
    let mut sockets = Vec::new();
    for _ in 0..16 {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(("127.0.0.1", port))?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        sockets.push(socket);
    }
    let mut count = 0;
    while Instant::now() < end {
        for socket in &sockets {
            for _ in 0..AT_A_TIME {
                socket.send(&[7; 64])?;
            }
        }
        for socket in &sockets {
            for _ in 0..AT_A_TIME {
                ensure!(socket.recv(&mut [0; 128]).context("one was lost")? == 64, "another one came");
            }
            count += AT_A_TIME;
        }
    }
    Ok(count)
}

/// Counts MiB.
fn files(port: u16, end: Instant) -> Result<u64> {
    let mut buf = vec![0; 256 * 1024];
    let mut count = 0;
    while Instant::now() < end {
        let all = read_all(&mut connect(port)?, &mut buf)?;
        ensure!(all == FILE_SIZE, "the file ended after {all} bytes");
        count += FILE_SIZE >> 20;
    }
    Ok(count)
}

/// Counts MiB, which one connection sends and another receives.
fn proxied(port: u16, end: Instant) -> Result<u64> {
    let (mut writer, mut reader) = (connect(port)?, connect(port)?);
    rustix::net::sockopt::set_tcp_congestion(&writer, CONGESTION_CONTROL)?;
    let reading = std::thread::spawn(move || read_all(&mut reader, &mut vec![0; 256 * 1024]));
    let chunk = vec![7; 256 * 1024];
    while Instant::now() < end {
        writer.write_all(&chunk)?;
    }
    drop(writer);
    let all = reading.join().map_err(|_| anyhow::Error::msg("the reader panicked"))??;
    Ok(all >> 20)
}

fn read_all(stream: &mut TcpStream, buf: &mut [u8]) -> Result<u64> {
    let mut all = 0;
    while let n @ 1.. = stream.read(buf)? {
        all += n as u64;
    }
    Ok(all)
}

/// Lines of 32 bytes, 16 under way on each of 16 connections.
fn lines(port: u16, end: Instant) -> Result<u64> {
    const AT_A_TIME: usize = 16;
    let some = format!("{:31}\n", "a line").repeat(AT_A_TIME).into_bytes();
    let mut answer = vec![0; some.len()];
    let mut streams = (0..16).map(|_| connect(port)).collect::<Result<Vec<_>>>()?;
    let mut count = 0;
    while Instant::now() < end {
        for stream in &mut streams {
            stream.write_all(&some)?;
        }
        for stream in &mut streams {
            stream.read_exact(&mut answer)?;
            ensure!(answer == some, "lines came otherwise");
            count += AT_A_TIME as u64;
        }
    }
    Ok(count)
}
