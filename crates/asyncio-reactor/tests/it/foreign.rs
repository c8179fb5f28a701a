//! Alone, under executors that know nothing of it: futures' `LocalPool`, and tokio. The fallback thread drives.

use asyncio_reactor::{Domain, SockAddr, Socket, Type, socket};
use futures::future::join;
use std::net::SocketAddr;
use std::sync::Arc;

fn listener() -> (Arc<dyn Socket>, SockAddr) {
    let listener = socket(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(8).unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

async fn echo() {
    let (listener, addr) = listener();
    let server = async {
        let (socket, _) = listener.accept().await.unwrap();
        let mut buf = [0; 16];
        loop {
            let n = socket.recv(&mut buf).await.unwrap();
            if n == 0 {
                return;
            }
            assert_eq!(socket.send(&buf[..n]).await.unwrap(), n);
        }
    };
    let client = async {
        let socket = socket(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.connect(&addr).await.unwrap();
        let mut buf = [0; 16];
        for n in 0..100_u8 {
            socket.send(&[n]).await.unwrap();
            assert_eq!(socket.recv(&mut buf).await.unwrap(), 1);
            assert_eq!(buf[0], n);
        }
    };
    join(server, client).await;
}

#[test]
fn under_local_pool() {
    futures::executor::LocalPool::new().run_until(echo());
}

#[test]
fn under_tokio() {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(echo());
}

#[test]
fn from_many_threads_at_once() {
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| futures::executor::block_on(echo()));
        }
    });
}
