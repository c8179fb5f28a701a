//! Sockets and several workers: a socket lives where it first waits.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use asyncio_net::{TcpListener, TcpStream};
use asyncio_runtime::{EventLoop, Runner};
use asyncio_tasks::{spawn, spawn_pinned, timeout};
use futures::{AsyncReadExt, AsyncWriteExt};

/// The task of an accepted connection is taken by the other worker; then this one is held up, and the connection does not mind.
#[test]
fn a_connection_whose_task_was_stolen_before_its_first_poll_lives_there() {
    Runner::builder().workers(2).build().unwrap().run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let client = thread::spawn(move || {
            use std::io::{Read, Write};
            let mut client = std::net::TcpStream::connect(addr).unwrap();
            let mut echo = [0; 4];
            for _ in 0..3 {
                // So that the server has to wait for each message: it is then that its socket gets a home.
                thread::sleep(Duration::from_millis(2));
                client.write_all(b"ping").unwrap();
                client.read_exact(&mut echo).unwrap();
            }
        });
        let (mut peer, _) = listener.accept().await.unwrap();
        let (told, hears) = mpsc::channel();
        spawn(async move {
            let mut buf = [0; 4];
            while peer.read_exact(&mut buf).await.is_ok() {
                peer.write_all(&buf).await.unwrap();
            }
            told.send(EventLoop::current().unwrap().worker()).unwrap();
        })
        .detach();
        // Worker 0 does nothing else until the connection has ended.
        let worker = hears.recv_timeout(Duration::from_secs(20)).expect("it does not need worker 0");
        assert_eq!(worker, 1);
        client.join().unwrap();
    });
}

/// A connection that was first used on one worker, and then moves: its events come through the loop where it is registered.
#[test]
fn a_connection_may_move_between_workers_while_it_is_used() {
    Runner::builder().workers(2).build().unwrap().run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let server = spawn_pinned(1, move || async move {
            let (mut peer, _) = listener.accept().await.unwrap();
            let mut buf = [0; 1];
            while peer.read_exact(&mut buf).await.is_ok() {
                peer.write_all(&buf).await.unwrap();
            }
        });
        let mut stream = TcpStream::connect(addr).await.unwrap();
        for n in 0..200_u8 {
            let there = usize::from(n % 2);
            stream = spawn_pinned(there, move || async move {
                let mut echo = [0];
                stream.write_all(&[n]).await.unwrap();
                let read = timeout(Duration::from_secs(20), stream.read_exact(&mut echo)).await;
                read.expect("its events reach it").unwrap();
                assert_eq!(echo, [n]);
                stream
            })
            .unwrap()
            .await
            .unwrap();
        }
        drop(stream);
        server.unwrap().await.unwrap();
    });
}

#[test]
fn many_connections_on_two_workers_get_every_byte() {
    const CONNECTIONS: usize = 100;
    const MESSAGES: u32 = 50;
    Runner::builder().workers(2).build().unwrap().run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let server = spawn(async move {
            for _ in 0..CONNECTIONS {
                let (mut peer, _) = listener.accept().await.unwrap();
                spawn(async move {
                    let mut buf = [0; 64];
                    while let n @ 1.. = peer.read(&mut buf).await.unwrap() {
                        peer.write_all(&buf[..n]).await.unwrap();
                    }
                })
                .detach();
            }
        });
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                spawn(async move {
                    let mut stream = TcpStream::connect(addr).await.unwrap();
                    for n in 0..MESSAGES {
                        let message = n.to_be_bytes();
                        stream.write_all(&message).await.unwrap();
                        let mut echo = [0; 4];
                        stream.read_exact(&mut echo).await.unwrap();
                        assert_eq!(echo, message);
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        server.await.unwrap();
    });
}
