//! A process out of descriptors: accepting pauses, says so once, and goes on. A process of its own, since the limit is the process's.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::cell::RefCell;
use std::fs::File;
use std::rc::Rc;
use std::time::Duration;

use asyncio_base::report;
use asyncio_net::{TcpListener, TcpStream};
use asyncio_runtime::{Runner, run};
use asyncio_tasks::{spawn_local, timeout};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const MS: Duration = Duration::from_millis(1);

/// Opens what there is to open.
fn exhaust() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

#[cfg(target_os = "linux")]
async fn an_attempt_waits_for_a_descriptor() {
    let silent = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    silent.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    silent.listen(0).unwrap();
    let addr = silent.local_addr().unwrap().as_socket().unwrap();
    // Its queue is full, so whoever else asks has no answer.
    let queued = std::net::TcpStream::connect(addr).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addrs = [addr, listener.local_addr().unwrap()];
    let connecting = spawn_local(async move { TcpStream::connect(&addrs[..]).await });
    asyncio_timers::sleep(20 * MS).await;
    let filling = exhaust();
    asyncio_timers::sleep(400 * MS).await;
    assert!(!connecting.is_finished(), "there was no descriptor for the second one");
    drop(filling);
    let stream = timeout(Duration::from_secs(20), connecting).await.unwrap().unwrap().unwrap();
    assert_eq!(stream.peer_addr().unwrap(), addrs[1]);
    drop(queued);
}

/// With room for one of three: an error, and none is kept.
#[cfg(target_os = "linux")]
async fn descriptors_that_find_no_room_are_all_closed() {
    use std::os::fd::AsFd;
    let (mut one, mut other) = asyncio_net::UnixStream::pair().unwrap();
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
    one.send_with_fds(b"three", &[writer.as_fd(), writer.as_fd(), writer.as_fd()]).await.unwrap();
    drop(writer);
    let mut filling = exhaust();
    filling.pop();
    let error = other.recv_with_fds(&mut [0; 8]).await.unwrap_err();
    assert!(error.to_string().contains("as many descriptors as it can"), "{error}");
    assert_eq!(rustix::io::read(&reader, &mut [0; 1]), Ok(0), "one is still open");
    drop(filling);
    one.write_all(b"and on").await.unwrap();
    assert_eq!(other.recv_with_fds(&mut [0; 8]).await.unwrap().0, 6);
}

#[test]
fn accepting_pauses_with_one_warning_and_goes_on() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(128), maximum: limit.maximum }).unwrap();
    let lines = Rc::new(RefCell::new(Vec::new()));
    let sink = lines.clone();
    report::with_handler(Rc::new(move |line| sink.borrow_mut().push(line.to_string())), || {
        run(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            // One connection that lives already, and three that wait to be accepted.
            let mut old = TcpStream::connect(addr).await.unwrap();
            let (mut old_server, _) = listener.accept().await.unwrap();
            let mut waiting = Vec::new();
            for _ in 0..3 {
                waiting.push(TcpStream::connect(addr).await.unwrap());
            }
            let filling = exhaust();
            let accepting = spawn_local(async move {
                let mut accepted = Vec::new();
                for _ in 0..3 {
                    accepted.push(listener.accept().await.unwrap());
                }
                accepted.len()
            });
            // While accepting pauses, everything else goes on.
            for _ in 0..5 {
                old.write_all(b"x").await.unwrap();
                old_server.read_exact(&mut [0; 1]).await.unwrap();
                assert!(timeout(20 * MS, std::future::pending::<()>()).await.is_err());
            }
            assert!(!accepting.is_finished());
            drop(filling);
            assert_eq!(timeout(Duration::from_secs(20), accepting).await.unwrap().unwrap(), 3);

            // An address whose turn comes meanwhile is tried later, not passed over.
            #[cfg(target_os = "linux")]
            an_attempt_waits_for_a_descriptor().await;

            #[cfg(target_os = "linux")]
            descriptors_that_find_no_room_are_all_closed().await;

            // One that closes meanwhile gives what it could accept, and says that this was not all.
            let closing = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = closing.local_addr().unwrap();
            let waiting = [TcpStream::connect(addr).await.unwrap(), TcpStream::connect(addr).await.unwrap()];
            let mut filling = exhaust();
            filling.pop();
            assert_eq!(closing.close().unwrap().len(), 1);
            drop((filling, waiting));
        });
    });
    let lines = lines.take();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("accepting pauses"), "{lines:?}");
    assert!(lines[1].contains("turns away who is left in its queue"), "{lines:?}");

    let filling = exhaust();
    let error = Runner::new().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(24), "EMFILE: {error}");
    drop(filling);
    Runner::new().unwrap();
}
