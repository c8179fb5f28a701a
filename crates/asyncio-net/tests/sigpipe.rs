//! A peer that is gone is an error on every way to write, and never a signal: not even where SIGPIPE kills, as it does in a program whose `main` is not Rust's.
//! A process of its own, since what a signal does is the process's.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fs::File;
use std::io::{self, IoSlice, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use asyncio_net::{Socket, TcpListener, TcpStream, UnixStream, copy_bidirectional};
use asyncio_runtime::run;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future::poll_fn};
use rustix::net::SendFlags;

/// Has SIGPIPE do what it does to a program of C's.
#[expect(unsafe_code, reason = "what a signal does is set by a call that takes a function")]
fn sigpipe_kills() {
    // SAFETY: the default action of a signal that exists.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// A stream whose peer has read nothing and is gone, which is known by now.
async fn to_nobody() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    drop(listener.accept().await.unwrap());
    while stream.write_all(b"x").await.is_ok() {
        asyncio_tasks::yield_now().await;
    }
    stream
}

fn is_broken<T: std::fmt::Debug>(result: io::Result<T>) {
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

/// One end of a connection, and the other for a thread; of TCP and of a Unix socket by turns.
async fn ends(is_tcp: bool) -> (Arc<dyn Socket>, File) {
    if is_tcp {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        return (stream.into(), OwnedFd::from(listener.accept().unwrap().0).into());
    }
    let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
    (UnixStream::from_std(one).unwrap().into(), OwnedFd::from(other).into())
}

/// A peer on a thread of its own, which goes in the midst of a call: the kernel moves bytes in pieces, and raises the signal though some of them went.
async fn goes_in_the_midst(file: &File) {
    for n in 0..400_usize {
        let (socket, mut peer) = ends(n % 2 == 0).await;
        let reading = std::thread::spawn(move || peer.read_exact(&mut vec![0; 7919 * n % 900_000]));
        let mut stream = TcpStream::from_socket(socket);
        while stream.send_file(file, ..).await.is_ok() {}
        let _ = reading.join().unwrap();
    }
    for n in 0..400_usize {
        let ((near, source), (far, mut sink)) = (ends(n % 2 == 0).await, ends(n % 4 < 2).await);
        let feeding = std::thread::spawn(move || {
            // Not by `write`, which raises the signal itself.
            while rustix::net::send(&source, &[1; 1 << 18], SendFlags::NOSIGNAL).is_ok() {}
        });
        let reading = std::thread::spawn(move || sink.read_exact(&mut vec![0; 200_000 + 7919 * n % 900_000]));
        let (mut near, mut far) = (TcpStream::from_socket(near), TcpStream::from_socket(far));
        copy_bidirectional(&mut near, &mut far).await.unwrap_err();
        drop((near, far));
        let _ = (feeding.join().unwrap(), reading.join().unwrap());
    }
}

#[test]
fn a_peer_that_is_gone_is_no_signal() {
    sigpipe_kills();
    let path = std::env::temp_dir().join(format!("asyncio-sigpipe-{}", std::process::id()));
    std::fs::write(&path, vec![0; 1 << 20]).unwrap();
    let file = File::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    run(async {
        let mut stream = to_nobody().await;
        is_broken(stream.write(b"plain").await);
        is_broken(
            poll_fn(|cx| {
                let bufs = [IoSlice::new(b"two"), IoSlice::new(b"slices")];
                futures_io::AsyncWrite::poll_write_vectored(std::pin::Pin::new(&mut stream), cx, &bufs)
            })
            .await,
        );
        is_broken(stream.send_file(&file, ..).await);
        let (_reader, mut writer) = stream.into_streams();
        writer.write(b"kept for later");
        writer.close().await.unwrap_err();

        let (mut one, other) = UnixStream::pair().unwrap();
        drop(other);
        is_broken(one.send_with_fds(b"x", &[file.as_fd()]).await);
        is_broken(one.send_file(&file, ..).await);

        // Through a pipe of the kernel: much comes, and the peer goes in the midst of it.
        let (mut source, mut near) = UnixStream::pair().unwrap();
        let (mut far, mut sink) = UnixStream::pair().unwrap();
        let feeding = async move {
            let chunk = vec![1; 1 << 20];
            while source.write_all(&chunk).await.is_ok() {}
        };
        let leaving = async move {
            sink.read_exact(&mut vec![0; 8 << 20]).await.unwrap();
        };
        let copying = async move { copy_bidirectional(&mut near, &mut far).await.unwrap_err() };
        futures::join!(copying, feeding, leaving);
        goes_in_the_midst(&file).await;
    });
}
