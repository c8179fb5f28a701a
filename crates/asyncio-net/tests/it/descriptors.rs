//! What goes along with the bytes of a Unix socket: descriptors, and who sent them.

use std::fs::File;
use std::future::poll_fn;
use std::io::{ErrorKind, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use asyncio_net::{UnixDatagram, UnixStream};
use asyncio_reactor::{Received, RecvMsg, Waiter};
use asyncio_tasks::{spawn_local, yield_now};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use rustix::io::{FdFlags, fcntl_getfd};

use crate::worlds::{on_each_loop, on_each_real_loop};

/// A pipe whose reading side ends once all copies of the other are closed.
fn pipe() -> (File, File) {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    (reader.into(), writer.into())
}

/// Says whether nobody has the other side any more.
fn has_ended(reader: &mut File) -> bool {
    let flags = rustix::fs::OFlags::NONBLOCK;
    rustix::fs::fcntl_setfl(&*reader, flags).unwrap();
    match reader.read(&mut [0; 8]) {
        Ok(n) => n == 0,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            false
        }
    }
}

#[test]
fn a_descriptor_goes_and_works_and_is_closed_on_exec() {
    on_each_real_loop(async || {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let (mut reader, writer) = pipe();
        assert_eq!(one.send_with_fds(b"take it", &[writer.as_fd()]).await.unwrap(), 7);
        drop(writer);
        let mut buf = [0; 64];
        let (n, mut fds) = other.recv_with_fds(&mut buf).await.unwrap();
        assert_eq!((&buf[..n], fds.len()), (&b"take it"[..], 1));
        assert!(fcntl_getfd(&fds[0]).unwrap().contains(FdFlags::CLOEXEC));
        let mut writer = File::from(fds.remove(0));
        writer.write_all(b"through it").unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through it");
    });
}

#[test]
fn as_many_as_one_message_can_carry_and_not_one_more() {
    on_each_real_loop(async || {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let (mut reader, writer) = pipe();
        let many: Vec<BorrowedFd<'_>> = std::iter::repeat_n(writer.as_fd(), 254).collect();
        let error = one.send_with_fds(b"x", &many).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("253"), "{error}");
        assert_eq!(one.send_with_fds(b"x", &many[..253]).await.unwrap(), 1);
        drop(many);
        drop(writer);
        let mut buf = [0; 4];
        let (n, fds) = other.recv_with_fds(&mut buf).await.unwrap();
        assert_eq!((n, fds.len()), (1, 253));
        assert!(!has_ended(&mut reader));
        drop(fds);
        assert!(has_ended(&mut reader), "one was left open");
    });
}

/// libuv #4358: sent again with what was left of the bytes.
#[test]
fn with_a_part_of_the_bytes_they_go_once() {
    on_each_real_loop(async || {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let (mut reader, writer) = pipe();
        let bytes = vec![7; 4 << 20];
        let taken = spawn_local(async move {
            let (mut all, mut fds) = (0, Vec::new());
            let mut buf = vec![0; 1 << 16];
            loop {
                let (n, came) = other.recv_with_fds(&mut buf).await.unwrap();
                fds.extend(came);
                all += n;
                if n == 0 {
                    return (all, fds);
                }
            }
        });
        let sent = one.send_with_fds(&bytes, &[writer.as_fd()]).await.unwrap();
        assert!(sent < bytes.len(), "more than the socket holds");
        one.write_all(&bytes[sent..]).await.unwrap();
        drop((one, writer));
        let (all, fds) = taken.await.unwrap();
        assert_eq!((all, fds.len()), (bytes.len(), 1));
        drop(fds);
        assert!(has_ended(&mut reader));
    });
}

#[test]
fn a_send_that_has_to_wait_and_is_dropped_sends_none() {
    on_each_real_loop(async || {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let (mut reader, writer) = pipe();
        let full = vec![1; 1 << 16];
        let mut held = 0;
        while let Some(sent) = futures_lite::future::poll_once(one.write(&full)).await {
            held += sent.unwrap();
        }
        assert!(futures_lite::future::poll_once(one.send_with_fds(b"x", &[writer.as_fd()])).await.is_none());
        drop(writer);
        assert!(has_ended(&mut reader), "it was sent, or is kept");
        one.shutdown(std::net::Shutdown::Write).unwrap();
        let mut all = Vec::new();
        other.read_to_end(&mut all).await.unwrap();
        assert_eq!(all.len(), held);
    });
}

#[test]
fn a_receive_that_is_dropped_takes_none() {
    on_each_real_loop(async || {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let (_reader, writer) = pipe();
        let mut buf = [0; 8];
        assert!(futures_lite::future::poll_once(other.recv_with_fds(&mut buf)).await.is_none());
        one.send_with_fds(b"later", &[writer.as_fd()]).await.unwrap();
        yield_now().await;
        let (n, fds) = other.recv_with_fds(&mut buf).await.unwrap();
        assert_eq!((n, fds.len()), (5, 1));
    });
}

#[test]
fn two_messages_are_two_answers() {
    on_each_real_loop(async || {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let (_reader, writer) = pipe();
        one.send_with_fds(b"first", &[writer.as_fd()]).await.unwrap();
        one.send_with_fds(b"second", &[writer.as_fd(), writer.as_fd()]).await.unwrap();
        let mut buf = [0; 64];
        let (n, fds) = other.recv_with_fds(&mut buf).await.unwrap();
        assert_eq!((&buf[..n], fds.len()), (&b"first"[..], 1));
        let (n, fds) = other.recv_with_fds(&mut buf).await.unwrap();
        assert_eq!((&buf[..n], fds.len()), (&b"second"[..], 2));
        drop(one);
        assert_eq!(other.recv_with_fds(&mut buf).await.unwrap().0, 0);
    });
}

#[test]
fn who_does_not_ask_for_them_closes_them() {
    on_each_real_loop(async || {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let (mut reader, writer) = pipe();
        one.send_with_fds(b"four", &[writer.as_fd()]).await.unwrap();
        drop(writer);
        assert!(!has_ended(&mut reader), "it is on its way");
        let mut buf = [0; 4];
        other.read_exact(&mut buf).await.unwrap();
        assert!(has_ended(&mut reader));
    });
}

/// Several datagrams at once do not ask for them either.
#[test]
fn who_takes_datagrams_in_batches_closes_them() {
    on_each_real_loop(async || {
        let (one, other) = UnixDatagram::pair().unwrap();
        let (mut reader, writer) = pipe();
        for _ in 0..3 {
            one.send_with_fds(b"with", &[writer.as_fd(), writer.as_fd()]).await.unwrap();
        }
        drop(writer);
        let (mut memory, mut came) = ([[0; 8]; 4], 0);
        while came < 3 {
            let mut bufs = memory.each_mut().map(|buf| [IoSliceMut::new(buf)]);
            let mut messages = bufs.each_mut().map(|bufs| RecvMsg::new(bufs));
            let (mut waiter, mut received) = (Waiter::new(), [Received::default(); 4]);
            let socket = other.socket();
            let receiving =
                poll_fn(|cx| socket.poll_recv_many(cx, &mut waiter, &mut messages, &mut received));
            came += receiving.await.unwrap();
        }
        assert!(has_ended(&mut reader), "one is open, and nobody's");
    });
}

#[test]
fn a_socket_that_is_dropped_closes_what_is_on_its_way() {
    on_each_real_loop(async || {
        let (mut one, other) = UnixStream::pair().unwrap();
        let (mut reader, writer) = pipe();
        one.send_with_fds(b"four", &[writer.as_fd()]).await.unwrap();
        drop(writer);
        drop((one, other));
        assert!(has_ended(&mut reader));
    });
}

#[test]
fn without_a_byte_they_would_be_lost() {
    on_each_loop(async || {
        let (mut one, _other) = UnixStream::pair().unwrap();
        let (_reader, writer) = pipe();
        let error = one.send_with_fds(b"", &[writer.as_fd()]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(one.send_with_fds(b"", &[]).await.unwrap(), 0);
    });
}

#[test]
fn datagrams_carry_them_too() {
    on_each_real_loop(async || {
        let (one, other) = UnixDatagram::pair().unwrap();
        let (mut reader, writer) = pipe();
        one.send_with_fds(b"with", &[writer.as_fd()]).await.unwrap();
        one.send(b"without").await.unwrap();
        drop(writer);
        let mut buf = [0; 16];
        let (n, fds): (usize, Vec<OwnedFd>) = other.recv_with_fds(&mut buf).await.unwrap();
        assert_eq!((&buf[..n], fds.len()), (&b"with"[..], 1));
        let (n, none) = other.recv_with_fds(&mut buf).await.unwrap();
        assert_eq!((&buf[..n], none.len()), (&b"without"[..], 0));
        drop(fds);
        assert!(has_ended(&mut reader));
    });
}

#[test]
fn a_socket_can_be_passed_and_used() {
    on_each_real_loop(async || {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let (mut near, far) = UnixStream::pair().unwrap();
        one.send_with_fds(b"s", &[far.as_fd()]).await.unwrap();
        drop(far);
        let (_, mut fds) = other.recv_with_fds(&mut [0; 1]).await.unwrap();
        let far = std::os::unix::net::UnixStream::from(fds.remove(0));
        let mut far = UnixStream::from_std(far).unwrap();
        far.write_all(b"hello").await.unwrap();
        let mut buf = [0; 5];
        near.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"hello");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn the_peer_is_this_process() {
    on_each_real_loop(async || {
        let (one, other) = UnixStream::pair().unwrap();
        let peer = one.peer_cred().unwrap();
        assert_eq!(peer.pid(), Some(std::process::id() as i32));
        assert_eq!(peer.uid(), rustix::process::geteuid().as_raw());
        assert_eq!(peer.gid(), rustix::process::getegid().as_raw());
        drop(one);
        assert_eq!(other.peer_cred().unwrap(), peer, "it is known after its end too");
        let unconnected =
            asyncio_reactor::socket(asyncio_reactor::Domain::UNIX, asyncio_reactor::Type::STREAM, None)
                .unwrap();
        assert_eq!(unconnected.peer_cred().unwrap_err().kind(), ErrorKind::NotConnected);
    });
}
