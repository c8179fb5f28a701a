//! A peer that is gone is an error on every way to write, and never a signal: not even where SIGPIPE kills, as it does in a program whose `main` is not Rust's.
//! A process of its own, since what a signal does is the process's.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::io::{self, IoSlice};
use std::os::fd::AsFd;

use asyncio_net::{TcpListener, TcpStream, UnixStream, copy_bidirectional};
use asyncio_runtime::run;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future::poll_fn};

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

#[test]
fn a_peer_that_is_gone_is_no_signal() {
    sigpipe_kills();
    let path = std::env::temp_dir().join(format!("asyncio-sigpipe-{}", std::process::id()));
    std::fs::write(&path, vec![0; 1 << 20]).unwrap();
    let file = std::fs::File::open(&path).unwrap();
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
        let copying = async move { is_broken(copy_bidirectional(&mut near, &mut far).await) };
        futures::join!(copying, feeding, leaving);
    });
}
