//! What a network does to a program: bytes in every cut, ends in every order, peers that misbehave. The other end is a thread with the sockets
//! of the standard library, never a loop of ours.

mod bytes;
mod ends;
mod peers;
mod threads;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;

use asyncio_net::protocol::{Protocol, Transport, connect_accepted_socket};
use asyncio_net::{StreamReader, StreamWriter};
use asyncio_tasks::yield_now;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use crate::worlds::on_each_real_loop;

/// A thread with one end of a connection, and our end.
fn with_a_peer<T: Send + 'static>(
    peer: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (asyncio_net::TcpStream, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    let thread = std::thread::spawn(move || peer(theirs));
    ours.set_nodelay(true).unwrap();
    (asyncio_net::TcpStream::from_std(ours).unwrap(), thread)
}

/// Waits for a thread without holding the loop.
async fn joined<T>(thread: JoinHandle<T>) -> T {
    while !thread.is_finished() {
        yield_now().await;
    }
    thread.join().unwrap()
}

/// A client of the standard library.
fn client(addr: SocketAddr) -> TcpStream {
    TcpStream::connect(addr).unwrap()
}

/// One that goes with a reset.
fn resetting(addr: SocketAddr) -> TcpStream {
    let stream = client(addr);
    socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    stream
}

/// The three ways to have a connection, each of which sends everything back.
#[derive(Clone, Copy, Debug)]
enum Echo {
    Socket,
    Streams,
    Protocol,
}

impl Echo {
    /// Runs a check with each, on each loop.
    fn each(check: impl AsyncFn(Self)) {
        on_each_real_loop(async || {
            for echo in [Self::Socket, Self::Streams, Self::Protocol] {
                check(echo).await;
            }
        });
    }

    /// Sends back what comes, until the peer ends.
    async fn serve(self, stream: asyncio_net::TcpStream) {
        match self {
            Self::Socket => echo_by_socket(stream).await,
            Self::Streams => echo_by_streams(stream.into_streams()).await,
            Self::Protocol => {
                let (_, handle) = connect_accepted_socket(Echoing::default, stream).await.unwrap();
                while !handle.with(|echoing| echoing.is_lost) {
                    yield_now().await;
                }
            }
        }
    }
}

async fn echo_by_socket(mut stream: asyncio_net::TcpStream) {
    let mut buf = vec![0; 50_000];
    loop {
        let n = stream.read(&mut buf).await.unwrap();
        if n == 0 {
            return;
        }
        stream.write_all(&buf[..n]).await.unwrap();
    }
}

async fn echo_by_streams((mut reader, mut writer): (StreamReader, StreamWriter)) {
    loop {
        let bytes = reader.read(50_000).await.unwrap();
        if bytes.is_empty() {
            return writer.close().await.unwrap();
        }
        writer.write_all(&bytes).await.unwrap();
    }
}

#[derive(Default)]
struct Echoing {
    transport: Option<Transport>,
    is_lost: bool,
}

impl Protocol for Echoing {
    fn connection_made(&mut self, transport: Transport) {
        self.transport = Some(transport);
    }

    fn data_received(&mut self, data: &[u8]) {
        self.transport.iter().for_each(|transport| transport.write(data));
    }

    fn pause_writing(&mut self) {
        self.transport.iter().for_each(Transport::pause_reading);
    }

    fn resume_writing(&mut self) {
        self.transport.iter().for_each(Transport::resume_reading);
    }

    fn connection_lost(&mut self, error: Option<std::io::Error>) {
        assert!(error.is_none(), "{error:?}");
        self.is_lost = true;
    }
}
