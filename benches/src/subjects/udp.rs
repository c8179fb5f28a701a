//! `asyncio-udp-batches`, `asyncio-udp` and `tokio-udp`: datagrams that are sent back, in batches and one by one.

use std::io;
use std::net::UdpSocket;

use asyncio::net::DatagramBatch;

use crate::subject::Subject;
use crate::subjects::tokio::TokioCt;

pub const BATCHES: &str = "asyncio-udp-batches";
pub const ASYNCIO: &str = "asyncio-udp";
pub const TOKIO: &str = "tokio-udp";
pub const NAMES: [&str; 3] = [BATCHES, ASYNCIO, TOKIO];

/// Serves for ever.
pub fn serve(subject: &str, socket: UdpSocket) -> io::Result<()> {
    match subject {
        TOKIO => TokioCt::run(on_tokio(socket)),
        ASYNCIO => asyncio::run(one_by_one(socket)),
        _ => asyncio::run(in_batches(socket)),
    }
}

async fn one_by_one(socket: UdpSocket) -> io::Result<()> {
    let socket = asyncio::net::UdpSocket::from_std(socket)?;
    let mut buf = vec![0; 1500];
    loop {
        let (n, from) = socket.recv_from(&mut buf).await?;
        socket.send_to(&buf[..n], from).await?;
    }
}

async fn in_batches(socket: UdpSocket) -> io::Result<()> {
    let socket = asyncio::net::UdpSocket::from_std(socket)?;
    socket.set_gro(true)?;
    let mut batch = DatagramBatch::new(64, 65_535);
    loop {
        socket.recv_many(&mut batch).await?;
        let answers: Vec<_> = batch.iter().map(|datagram| (datagram.bytes, datagram.from)).collect();
        let mut left = &answers[..];
        while !left.is_empty() {
            left = &left[socket.send_many_to(left).await?..];
        }
    }
}

async fn on_tokio(socket: UdpSocket) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let socket = tokio::net::UdpSocket::from_std(socket)?;
    let mut buf = vec![0; 1500];
    loop {
        let (n, from) = socket.recv_from(&mut buf).await?;
        socket.send_to(&buf[..n], from).await?;
    }
}
