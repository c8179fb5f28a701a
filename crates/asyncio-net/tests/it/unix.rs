//! Unix sockets: paths, abstract names, no names; streams and datagrams.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use asyncio_net::unix::{OwnedReadHalf, OwnedWriteHalf};
use asyncio_net::{UnixDatagram, UnixListener, UnixStream};
use asyncio_reactor::{Domain, SockAddr, Type};
use asyncio_tasks::{spawn_local, timeout, yield_now};
use futures::StreamExt;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use static_assertions::assert_impl_all;

use crate::worlds::{on_each_loop, on_each_real_loop};

assert_impl_all!(UnixStream: Send, Sync, Unpin);
assert_impl_all!(UnixListener: Send, Sync, Unpin);
assert_impl_all!(UnixDatagram: Send, Sync, Unpin);
assert_impl_all!(OwnedReadHalf: Send, Sync, Unpin);
assert_impl_all!(OwnedWriteHalf: Send, Sync, Unpin);

/// A folder of its own, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("asyncio-unix-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn streams_by_path() {
    on_each_loop(async || {
        let folder = Folder::new();
        let path = folder.path("listener");
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(&*path));
        let mut client = UnixStream::connect(&path).await.unwrap();
        assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(&*path));
        let (mut server, from) = listener.accept().await.unwrap();
        assert!(from.is_unnamed());
        client.write_all(b"hello").await.unwrap();
        let mut buf = [0; 8];
        assert_eq!(server.peek(&mut buf).await.unwrap(), 5);
        client.close().await.unwrap();
        let mut text = String::new();
        server.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello");
        server.write_all(b"half-closed").await.unwrap();
        drop(server);
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "half-closed");
        assert!(client.take_error().unwrap().is_none());
    });
}

#[test]
fn a_megabyte_through_owned_halves() {
    on_each_loop(async || {
        let (one, other) = UnixStream::pair().unwrap();
        let (reader, mut writer) = one.into_split();
        let sending = spawn_local(async move {
            writer.write_all(&vec![7; 1 << 20]).await.unwrap();
            writer
        });
        let (mut other_reader, other_writer) = other.into_split();
        let mut bytes = vec![0; 1 << 20];
        other_reader.read_exact(&mut bytes).await.unwrap();
        assert!(bytes.iter().all(|byte| *byte == 7));
        let writer = sending.await.unwrap();
        assert!(other_reader.reunite(writer).is_err());
        drop(other_writer);
        let _ = reader;
    });
}

#[test]
fn a_connect_waits_for_a_place_in_the_queue() {
    on_each_loop(async || {
        let folder = Folder::new();
        let path = folder.path("busy");
        // A queue of one: ours is longer.
        let socket = asyncio_reactor::socket(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        socket.listen(0).unwrap();
        let listener = UnixListener::from_socket(socket);
        let clients: Vec<_> = (0..5)
            .map(|_| {
                let path = path.clone();
                spawn_local(async move { UnixStream::connect(path).await.unwrap() })
            })
            .collect();
        for _ in 0..10 {
            yield_now().await;
        }
        assert!(!clients.iter().all(asyncio_tasks::Task::is_finished), "the queue is not full");
        let mut incoming = listener.incoming();
        for _ in 0..5 {
            timeout(Duration::from_secs(20), incoming.next()).await.unwrap().unwrap().unwrap();
        }
        for client in clients {
            timeout(Duration::from_secs(20), client).await.unwrap().unwrap();
        }
    });
}

#[test]
fn datagrams_by_path_and_between_two() {
    on_each_loop(async || {
        let folder = Folder::new();
        let (path, own) = (folder.path("receiver"), folder.path("sender"));
        let receiver = UnixDatagram::bind(&path).unwrap();
        let mut buf = [0; 4];

        let unbound = UnixDatagram::unbound().unwrap();
        unbound.send_to(b"none", &path).await.unwrap();
        let (n, from) = receiver.recv_from(&mut buf).await.unwrap();
        assert!(n == 4 && from.is_unnamed());

        let sender = UnixDatagram::bind(&own).unwrap();
        sender.connect(&path).await.unwrap();
        sender.send(b"longer").await.unwrap();
        assert_eq!(receiver.peek(&mut buf).await.unwrap(), 4);
        let (n, from) = receiver.peek_from(&mut buf).await.unwrap();
        assert_eq!((n, from.as_pathname()), (4, Some(&*own)));
        receiver.recv(&mut buf).await.unwrap();
        receiver.send_to_addr(b"back", &from).await.unwrap();
        assert_eq!(sender.recv(&mut buf).await.unwrap(), 4);
        assert_eq!(sender.peer_addr().unwrap().as_pathname(), Some(&*path));

        let (one, other) = UnixDatagram::pair().unwrap();
        one.send(b"").await.unwrap();
        assert_eq!(other.recv(&mut buf).await.unwrap(), 0);
        one.shutdown(Shutdown::Both).unwrap();
        assert!(one.take_error().unwrap().is_none());
    });
}

#[test]
fn a_sender_waits_while_the_receiver_does_not_read() {
    on_each_loop(async || {
        let (one, other) = UnixDatagram::pair().unwrap();
        let sending = spawn_local(async move {
            for n in 0..2000_u32 {
                one.send(&n.to_be_bytes()).await.unwrap();
            }
        });
        // Each turn of the sender is worth 128 datagrams, its budget.
        for _ in 0..100 {
            yield_now().await;
        }
        assert!(!sending.is_finished(), "two thousand datagrams fit into the queue");
        let mut buf = [0; 4];
        for n in 0..2000_u32 {
            let received = timeout(Duration::from_secs(20), other.recv(&mut buf)).await.unwrap();
            assert_eq!((received.unwrap(), u32::from_be_bytes(buf)), (4, n), "in order, none lost");
        }
        sending.await.unwrap();
    });
}

/// Nothing tells a sender that is not connected when the receiver has room again.
#[test]
fn senders_wait_for_a_receiver_by_name_too() {
    on_each_loop(async || {
        for is_connected in [false, true] {
            let folder = Folder::new();
            let path = folder.path("receiver");
            let receiver = UnixDatagram::bind(&path).unwrap();
            let sending = spawn_local(async move {
                let sender = UnixDatagram::unbound().unwrap();
                if is_connected {
                    sender.connect(&path).await.unwrap();
                }
                for n in 0..500_u32 {
                    let sent = match is_connected {
                        true => sender.send(&n.to_be_bytes()).await,
                        false => sender.send_to(&n.to_be_bytes(), &path).await,
                    };
                    assert_eq!(sent.unwrap(), 4);
                }
            });
            for _ in 0..100 {
                yield_now().await;
            }
            assert!(!sending.is_finished(), "five hundred datagrams fit into the queue");
            let mut buf = [0; 4];
            for n in 0..500_u32 {
                let received = timeout(Duration::from_secs(20), receiver.recv(&mut buf)).await.unwrap();
                assert_eq!((received.unwrap(), u32::from_be_bytes(buf)), (4, n), "in order, none lost");
            }
            sending.await.unwrap();
        }
    });
}

/// A send by name must not wait for its own socket: with much of it unread at another receiver, no event comes when this one has room.
#[test]
fn a_send_by_name_does_not_wait_for_somebody_elses_receiver() {
    on_each_loop(async || {
        let folder = Folder::new();
        let (idle, busy) = (folder.path("idle"), folder.path("busy"));
        let _idle = UnixDatagram::bind(&idle).unwrap();
        let receiver = UnixDatagram::bind(&busy).unwrap();
        let sending = spawn_local(async move {
            let sender = UnixDatagram::unbound().unwrap();
            sender.send_to(&[0; 60_000], &idle).await.unwrap();
            for _ in 0..500 {
                sender.send_to(b"x", &busy).await.unwrap();
            }
        });
        timeout(Duration::from_millis(20), std::future::pending::<()>()).await.unwrap_err();
        assert!(!sending.is_finished(), "five hundred datagrams fit into the queue");
        for _ in 0..500 {
            timeout(Duration::from_secs(20), receiver.recv(&mut [0; 4])).await.unwrap().unwrap();
        }
        sending.await.unwrap();
    });
}

#[cfg(target_os = "linux")]
#[test]
fn abstract_names() {
    use std::os::linux::net::SocketAddrExt;
    on_each_loop(async || {
        let name = |which: &str| {
            SocketAddr::from_abstract_name(format!("asyncio-{}-{which}", std::process::id())).unwrap()
        };
        let addr = name("stream");
        let listener = UnixListener::bind_addr(&addr).unwrap();
        assert_eq!(listener.local_addr().unwrap().as_abstract_name(), addr.as_abstract_name());
        let client = UnixStream::connect_addr(&addr).await.unwrap();
        assert_eq!(client.peer_addr().unwrap().as_abstract_name(), addr.as_abstract_name());
        listener.accept().await.unwrap();

        let (one_addr, other_addr) = (name("one"), name("other"));
        let one = UnixDatagram::bind_addr(&one_addr).unwrap();
        let other = UnixDatagram::bind_addr(&other_addr).unwrap();
        one.send_to_addr(b"ping", &other_addr).await.unwrap();
        let mut buf = [0; 8];
        let (n, from) = other.recv_from(&mut buf).await.unwrap();
        assert_eq!((n, from.as_abstract_name()), (4, one_addr.as_abstract_name()));
        other.connect_addr(&one_addr).await.unwrap();
        other.send(b"pong").await.unwrap();
        assert_eq!(one.recv(&mut buf).await.unwrap(), 4);
    });
}

/// Linux lets a path fill the whole of `sun_path`, and then says a length beyond it. Any client may have such a name.
#[cfg(target_os = "linux")]
#[test]
fn a_client_with_a_path_of_any_length_does_not_hurt() {
    use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketType, bind, connect, sendto, socket};
    on_each_real_loop(async || {
        for length in [106, 107, 108] {
            let folder = Folder::new();
            let long = |name: &str| {
                let missing = length - folder.path(name).as_os_str().len();
                folder.path(&format!("{name}{}", "x".repeat(missing)))
            };
            let check = |from: &SocketAddr, path: &Path| {
                assert!(
                    if length < 108 { from.as_pathname() == Some(path) } else { from.is_unnamed() },
                    "{length}"
                );
            };
            let (streams, datagrams) = (folder.path("streams"), folder.path("datagrams"));
            let listener = UnixListener::bind(&streams).unwrap();
            let client = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
            bind(&client, &SocketAddrUnix::new(long("s")).unwrap()).unwrap();
            connect(&client, &SocketAddrUnix::new(&streams).unwrap()).unwrap();
            let (_server, from) = listener.accept().await.unwrap();
            check(&from, &long("s"));

            let receiver = UnixDatagram::bind(&datagrams).unwrap();
            let sender = socket(AddressFamily::UNIX, SocketType::DGRAM, None).unwrap();
            bind(&sender, &SocketAddrUnix::new(long("d")).unwrap()).unwrap();
            sendto(&sender, b"x", SendFlags::empty(), &SocketAddrUnix::new(&datagrams).unwrap()).unwrap();
            let (n, from) = receiver.recv_from(&mut [0; 4]).await.unwrap();
            assert_eq!(n, 1);
            check(&from, &long("d"));
        }
    });
}

#[test]
fn errors_name_the_path() {
    on_each_loop(async || {
        let folder = Folder::new();
        let path = folder.path("nobody");
        let names_it = |error: &io::Error| error.to_string().contains(path.to_str().unwrap());
        let error = UnixStream::connect(&path).await.unwrap_err();
        assert!(error.kind() == io::ErrorKind::NotFound && names_it(&error), "{error}");
        let datagram = UnixDatagram::unbound().unwrap();
        let error = datagram.send_to(b"x", &path).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
        let error = datagram.connect(&path).await.unwrap_err();
        assert!(error.kind() == io::ErrorKind::NotFound && names_it(&error), "{error}");
        let _taken = UnixListener::bind(&path).unwrap();
        let error = UnixListener::bind(&path).unwrap_err();
        assert!(error.kind() == io::ErrorKind::AddrInUse && names_it(&error), "{error}");

        let too_long = Path::new("/").join("x".repeat(200));
        assert_eq!(UnixListener::bind(&too_long).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(UnixListener::bind("").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        for zero in ["\0abstract?", "cut\0off"] {
            assert_eq!(UnixListener::bind(zero).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        let nameless = SocketAddr::from_pathname("").unwrap();
        assert_eq!(UnixListener::bind_addr(&nameless).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    });
}

/// The file of a listener that is gone.
#[test]
fn a_file_that_is_left_is_in_the_way() {
    on_each_real_loop(async || {
        let folder = Folder::new();
        let path = folder.path("nobody");
        let names_it = |error: &io::Error| error.to_string().contains(path.to_str().unwrap());
        drop(UnixListener::bind(&path).unwrap());
        let error = UnixListener::bind(&path).unwrap_err();
        assert!(error.kind() == io::ErrorKind::AddrInUse && names_it(&error), "{error}");
        let error = UnixStream::connect(&path).await.unwrap_err();
        assert!(error.kind() == io::ErrorKind::ConnectionRefused && names_it(&error), "{error}");
    });
}

#[test]
fn std_and_back() {
    on_each_real_loop(async || {
        let (one, other) = UnixStream::pair().unwrap();
        let one = UnixStream::from_std(one.into_std().unwrap()).unwrap();
        one.shutdown(Shutdown::Write).unwrap();
        let mut other = other;
        assert_eq!(other.read(&mut [0; 1]).await.unwrap(), 0);
        let (one, _other) = UnixDatagram::pair().unwrap();
        UnixDatagram::from_std(one.into_std().unwrap()).unwrap();
    });
}
