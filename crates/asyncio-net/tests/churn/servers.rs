//! Three servers that send back what they get, each made in another way. Whoever says [`CUT`] is cut off.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use asyncio_net::protocol::{Protocol, Transport, create_server_on_workers};
use asyncio_net::{
    Server, StreamReader, StreamWriter, TcpListener, TcpStream, open_connection, start_server_on_workers,
};
use asyncio_tasks::{Task, spawn};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use crate::message::CUT;

#[derive(Default)]
struct Echo(Option<Transport>);

impl Protocol for Echo {
    fn connection_made(&mut self, transport: Transport) {
        self.0 = Some(transport);
    }

    fn data_received(&mut self, data: &[u8]) {
        let transport = self.0.as_ref().unwrap();
        if data == CUT {
            return transport.abort();
        }
        transport.write(data);
    }

    fn pause_writing(&mut self) {
        self.0.as_ref().unwrap().pause_reading();
    }

    fn resume_writing(&mut self) {
        self.0.as_ref().unwrap().resume_reading();
    }
}

async fn by_streams(mut reader: StreamReader, mut writer: StreamWriter) {
    // What fails here is a client that has gone, as clients do here.
    while let Ok(bytes) = reader.read(16 * 1024).await {
        if bytes.is_empty() {
            let _ = writer.close().await;
            return;
        }
        if bytes == CUT {
            return writer.abort();
        }
        if writer.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

async fn by_socket(mut stream: TcpStream) {
    let mut buf = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut buf).await {
        if buf[..n] == *CUT {
            let _ = stream.socket().reset();
            return;
        }
        if stream.write_all(&buf[..n]).await.is_err() {
            return;
        }
    }
}

/// How many tasks of theirs a worker may see, while there are no clients: each accepts.
pub(crate) const TASKS: usize = 3;

pub(crate) struct Servers {
    protocols: Server,
    streams: Server,
    sockets: Task<()>,
    addr: SocketAddr,
    sockets_alive: Arc<AtomicUsize>,
}

pub(crate) async fn start() -> Servers {
    let protocols = create_server_on_workers(Echo::default, "0.0.0.0:0").await.unwrap();
    let streams = start_server_on_workers(by_streams, "0.0.0.0:0").await.unwrap();
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let sockets_alive = Arc::new(AtomicUsize::new(0));
    let alive = sockets_alive.clone();
    let sockets = spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            alive.fetch_add(1, Ordering::Relaxed);
            let alive = alive.clone();
            spawn(async move {
                by_socket(stream).await;
                alive.fetch_sub(1, Ordering::Relaxed);
            })
            .detach();
        }
    });
    Servers { protocols, streams, sockets, addr, sockets_alive }
}

impl Servers {
    pub(crate) fn ports(&self) -> [u16; 3] {
        [self.protocols.local_addrs()[0], self.streams.local_addrs()[0], self.addr].map(|addr| addr.port())
    }

    /// Some clients of each, whom the workers share, who come and go.
    pub(crate) async fn greet(&self) {
        for port in self.ports().repeat(10) {
            let (mut reader, mut writer) = open_connection(("127.0.0.1", port)).await.unwrap();
            writer.write(b"hello");
            assert_eq!(reader.read_exact(5).await.unwrap(), b"hello");
        }
        while self.clients() > 0 {
            asyncio_timers::sleep(Duration::from_millis(1)).await;
        }
    }

    pub(crate) fn clients(&self) -> usize {
        self.protocols.clients() + self.streams.clients() + self.sockets_alive.load(Ordering::Relaxed)
    }

    pub(crate) async fn close(self) {
        self.protocols.close();
        self.streams.close();
        self.protocols.wait_closed().await;
        self.streams.wait_closed().await;
        self.sockets.cancel();
        assert!(self.sockets.await.unwrap_err().is_cancelled());
    }
}
