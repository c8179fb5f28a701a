//! Datagrams that come back: a server that receives and answers them in batches, and clients that know that the network may lose one.
//!
//! `cargo run --release --example udp_echo`

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use asyncio::net::{DatagramBatch, UdpSocket};

/// Answers until it is cancelled.
async fn serve(socket: UdpSocket) -> io::Result<()> {
    // What one sender sends at once passes through the system as one, where it can do that.
    let place = if socket.set_gro(true).is_ok() { 65_535 } else { 2048 };
    let mut batch = DatagramBatch::new(16, place);
    loop {
        match socket.recv_many(&mut batch).await {
            // Some systems tell here that an answer found nobody.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => continue,
            received => received?,
        };
        let answers: Vec<(&[u8], SocketAddr)> = batch
            .iter()
            // A part of one is no answer.
            .filter(|datagram| !datagram.is_truncated)
            .map(|datagram| (datagram.bytes, datagram.from))
            .collect();
        let mut sent = 0;
        while sent < answers.len() {
            match socket.send_many_to(&answers[sent..]).await {
                Ok(n) => sent += n,
                // This one cannot be answered; the others can.
                Err(error) => {
                    eprintln!("no answer to {}: {error}", answers[sent].1);
                    sent += 1;
                }
            }
        }
    }
}

/// Asks until it is answered; a datagram or its answer may be lost, and an answer may come late.
async fn ask(socket: &UdpSocket, question: &str) -> io::Result<u32> {
    let mut buf = [0; 2048];
    for tries in 1..=10 {
        socket.send(question.as_bytes()).await?;
        let answered = asyncio::timeout(Duration::from_millis(500), async {
            loop {
                let n = socket.recv(&mut buf).await?;
                if buf[..n] == *question.as_bytes() {
                    return Ok::<_, io::Error>(());
                }
            }
        });
        match answered.await {
            Ok(answered) => return answered.map(|()| tries),
            Err(_) => eprintln!("{question:?} is asked again"),
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, format!("{question:?} had no answer")))
}

async fn client(server: SocketAddr, number: usize) -> io::Result<usize> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    // Only what comes from the server is received, and that nobody listens there is an error.
    socket.connect(server).await?;
    for question in 0..50 {
        ask(&socket, &format!("question {question} of client {number}")).await?;
    }
    Ok(50)
}

#[asyncio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let addr = socket.local_addr()?;
    let serving = asyncio::spawn(serve(socket));
    let answers: Vec<usize> = asyncio::gather((0..20).map(|number| client(addr, number))).await?;
    assert_eq!(answers.iter().sum::<usize>(), 1000);
    serving.cancel();
    assert!(serving.await.is_err_and(|error| error.is_cancelled()));

    // Nobody listens there any more, and that is told.
    let error = client(addr, 0).await.unwrap_err();
    println!("1000 questions were answered; and now: {error}");
    Ok(())
}
