//! `TcpListener`: many clients, clients that are gone, listeners that are not tied to a loop.

use std::time::Duration;

use asyncio_net::{TcpListener, TcpStream};
use asyncio_runtime::run;
use asyncio_tasks::{spawn_local, timeout};
use futures::StreamExt;
use futures_lite::AsyncReadExt;

use crate::worlds::{on_each_loop, on_each_real_loop};

#[test]
fn many_tasks_accept_from_one_listener() {
    on_each_loop(async || {
        let listener = std::rc::Rc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let addr = listener.local_addr().unwrap();
        let accepting: Vec<_> = (0..10)
            .map(|_| {
                let listener = listener.clone();
                spawn_local(async move { listener.accept().await.unwrap() })
            })
            .collect();
        let mut clients = Vec::new();
        for _ in 0..10 {
            clients.push(TcpStream::connect(addr).await.unwrap());
        }
        for task in accepting {
            timeout(Duration::from_secs(20), task).await.unwrap().unwrap();
        }
    });
}

#[test]
fn clients_that_are_gone_do_not_stop_it() {
    on_each_loop(async || {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        for _ in 0..5 {
            let client = TcpStream::connect(addr).await.unwrap();
            client.set_linger(Some(Duration::ZERO)).unwrap();
            drop(client); // a reset, while it waits to be accepted
        }
        let mut good = TcpStream::connect(addr).await.unwrap();
        let local = good.local_addr().unwrap();
        let mut incoming = listener.incoming();
        loop {
            let stream = timeout(Duration::from_secs(20), incoming.next()).await.unwrap().unwrap().unwrap();
            if stream.peer_addr().is_ok_and(|addr| addr == local) {
                break;
            }
        }
        assert_eq!(good.read(&mut [0; 1]).await.unwrap(), 0);
    });
}

#[test]
fn one_that_was_bound_before_the_loop_belongs_to_the_loop() {
    let listener = asyncio_executor::block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let addr = listener.local_addr().unwrap();
    run(async {
        let accepting = spawn_local(async move { listener.accept().await.map(|_| listener) });
        TcpStream::connect(addr).await.unwrap();
        accepting.await.unwrap().unwrap();
    });
}

#[test]
fn a_taken_address_is_named() {
    on_each_loop(async || {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let error = TcpListener::bind(addr).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&addr.to_string()), "{error}");
    });
}

#[test]
fn std_and_back() {
    on_each_real_loop(async || {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let back = TcpListener::from_std(listener.into_std().unwrap()).unwrap();
        assert_eq!(back.local_addr().unwrap(), addr);
    });
}

/// Two listeners at one address, on two workers: the kernel gives each its part.
#[cfg(unix)]
#[test]
fn listeners_of_one_address_share_its_connections() {
    use asyncio_runtime::Runner;
    use asyncio_tasks::spawn_pinned;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const CLIENTS: usize = 600;
    Runner::builder().workers(2).build().unwrap().run(async {
        let first = TcpListener::bind_shared("127.0.0.1:0").await.unwrap();
        let addr = first.local_addr().unwrap();
        assert!(TcpListener::bind(addr).await.is_err(), "one that does not share is refused");
        let counts: [Arc<AtomicUsize>; 2] = Default::default();
        for (worker, count) in counts.clone().into_iter().enumerate() {
            let serve = move || async move {
                let listener = TcpListener::bind_shared(addr).await.unwrap();
                loop {
                    let accepted = listener.accept().await.unwrap();
                    // First: the client may see the end before this worker goes on.
                    count.fetch_add(1, Ordering::SeqCst);
                    drop(accepted);
                }
            };
            spawn_pinned(worker, serve).unwrap().detach();
            // It listens when the next thing that is pinned there has run.
            spawn_pinned(worker, || async {}).unwrap().await.unwrap();
        }
        let turned_up_here = first.close().unwrap().len();
        assert_eq!(turned_up_here, 0);
        for _ in 0..CLIENTS {
            let mut client = TcpStream::connect(addr).await.unwrap();
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "served, and closed");
        }
        let [one, two] = counts.map(|count| count.load(Ordering::SeqCst));
        assert_eq!(one + two, CLIENTS);
        assert!(one.min(two) * 3 > one.max(two), "{one} and {two}");
    });
}

#[test]
fn a_listener_that_is_closed_turns_nobody_away_who_is_in_its_queue() {
    on_each_real_loop(async || {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        // It has waited once: what is known of its readiness is from then.
        assert!(timeout(Duration::from_millis(1), listener.accept()).await.is_err());
        let clients: Vec<_> = (0..200).map(|_| std::net::TcpStream::connect(addr).unwrap()).collect();
        let accepted = listener.close().unwrap();
        assert_eq!(accepted.len(), clients.len());
        for (stream, _) in accepted {
            drop(stream);
        }
        for client in clients {
            let mut client = TcpStream::from_std(client).unwrap();
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "closed in order, not reset");
        }
        assert!(TcpStream::connect(addr).await.is_err(), "and nobody listens any more");
    });
}
