//! Streams that are put together: through memory, and where both are sockets of the system through a pipe of the kernel.

use std::sync::Arc;

use asyncio_net::{TcpStream, UnixStream, copy_bidirectional};
use asyncio_tasks::spawn_local;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use crate::around::Around;
use crate::worlds::{on_each_loop, pair, pattern};

#[test]
fn two_are_put_together_until_both_have_ended() {
    on_each_loop(async || {
        let ((client, mut near), (mut far, server)) = (pair().await, pair().await);
        let copying = spawn_local(async move { copy_bidirectional(&mut near, &mut far).await });
        let ((mut client_in, mut client_out), (mut server_in, mut server_out)) =
            (client.into_streams(), server.into_streams());
        let (question, answer) = (pattern(2_000_000), pattern(3_000_001));
        client_out.write(&question);
        client_out.write_eof();
        assert!(server_in.read_to_end().await.unwrap() == question, "and its end");
        assert!(!copying.is_finished());
        server_out.write(&answer);
        server_out.write_eof();
        assert!(client_in.read_to_end().await.unwrap() == answer);
        assert_eq!(copying.await.unwrap().unwrap(), (2_000_000, 3_000_001));
    });
}

/// A reset of one is an error, though the other direction waits for ever.
#[test]
fn one_that_fails_ends_it() {
    on_each_loop(async || {
        let ((client, mut near), (mut far, server)) = (pair().await, pair().await);
        let copying = spawn_local(async move { copy_bidirectional(&mut near, &mut far).await });
        client.set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(client);
        copying.await.unwrap().unwrap_err();
        assert_eq!(server.into_streams().0.read_to_end().await.unwrap(), b"", "and the other sees it");
    });
}

/// Nothing is kept back while nothing else comes.
#[test]
fn every_byte_is_passed_on_at_once() {
    on_each_loop(async || {
        let ((client, mut near), (mut far, server)) = (pair().await, pair().await);
        let copying = spawn_local(async move { copy_bidirectional(&mut near, &mut far).await });
        let ((mut client_in, mut client_out), (mut server_in, mut server_out)) =
            (client.into_streams(), server.into_streams());
        for n in 0..100_u8 {
            client_out.write(&[n]);
            assert_eq!(server_in.read_exact(1).await.unwrap(), [n]);
            server_out.write(&[n]);
            assert_eq!(client_in.read_exact(1).await.unwrap(), [n]);
        }
        client_out.write_eof();
        server_out.write_eof();
        assert_eq!(copying.await.unwrap().unwrap(), (100, 100));
    });
}

#[test]
fn while_one_does_not_read_the_other_has_to_wait() {
    on_each_loop(async || {
        let ((mut client, mut near), (mut far, mut server)) = (pair().await, pair().await);
        let copying = spawn_local(async move { copy_bidirectional(&mut near, &mut far).await });
        let mut sent = 0;
        let mut waits = 0;
        while waits < 100 {
            match futures_lite::future::poll_once(client.write(&[7; 65_536])).await {
                Some(n) => (sent, waits) = (sent + n.unwrap(), 0),
                None => waits += 1,
            }
            asyncio_tasks::yield_now().await;
        }
        assert!(sent > 0);
        let mut read = vec![0; sent];
        server.read_exact(&mut read).await.unwrap();
        drop((client, server));
        let _ = copying.await.unwrap();
    });
}

/// Enough for a pipe, and then little, and much again; through two kinds of sockets.
#[test]
fn much_and_little_by_turns() {
    on_each_loop(async || {
        let ((client, mut near), (mut far, server)) = (pair().await, UnixStream::pair().unwrap());
        let copying = spawn_local(async move { copy_bidirectional(&mut near, &mut far).await });
        let (mut client, mut server) = (client, server);
        let mut sent = 0;
        for (size, up) in
            [(9_000_001, true), (3, true), (40_000, false), (7_000_003, false), (1, true), (5_000_000, true)]
        {
            let bytes = pattern(size);
            sent += if up { size as u64 } else { 0 };
            let mut came = vec![0; size];
            let (writer, reader): (
                &mut (dyn futures_io::AsyncWrite + Unpin),
                &mut (dyn futures_io::AsyncRead + Unpin),
            ) = if up { (&mut client, &mut server) } else { (&mut server, &mut client) };
            futures_lite::future::try_zip(writer.write_all(&bytes), reader.read_exact(&mut came))
                .await
                .unwrap();
            assert!(came == bytes, "{size} bytes came otherwise");
        }
        drop(client);
        assert_eq!(server.read(&mut [0; 1]).await.unwrap(), 0);
        drop(server);
        assert_eq!(copying.await.unwrap().unwrap(), (sent, 7_040_003));
    });
}

/// A reader that takes a little at a time, so that the pipe is never emptied at once.
#[test]
fn a_pipe_that_is_emptied_bit_by_bit() {
    on_each_loop(async || {
        let ((mut client, mut near), (mut far, mut server)) = (pair().await, pair().await);
        let copying = spawn_local(async move { copy_bidirectional(&mut near, &mut far).await });
        let bytes = pattern(20_000_000);
        let expected = bytes.clone();
        let sending = spawn_local(async move {
            client.write_all(&bytes).await.unwrap();
            client.close().await.unwrap();
            client
        });
        let (mut came, mut buf) = (Vec::<u8>::new(), vec![0; 10_007]);
        loop {
            match server.read(&mut buf).await.unwrap() {
                0 => break,
                n => came.extend(&buf[..n]),
            }
        }
        assert!(came == expected);
        drop((server, sending.await));
        copying.await.unwrap().unwrap();
    });
}

/// What is in the pipe already when the writer refuses it is not lost.
#[test]
fn sockets_that_cannot_move_bytes_have_them_copied() {
    for refuses_reading in [true, false] {
        on_each_loop(async || {
            let ((client, near), (far, server)) = (pair().await, pair().await);
            let refusing = |stream: TcpStream| {
                let mut socket = Around::new(stream.into());
                socket.refuses_reading = refuses_reading;
                TcpStream::from_socket(Arc::new(socket))
            };
            let (mut near, mut far) = (refusing(near), refusing(far));
            let copying = spawn_local(async move { copy_bidirectional(&mut near, &mut far).await });
            let bytes = pattern(6_000_000);
            let back = {
                let (mut client, mut server) = (client, server);
                let sending = async {
                    client.write_all(&bytes).await?;
                    client.close().await?;
                    let mut all = Vec::new();
                    client.read_to_end(&mut all).await.map(|_| all)
                };
                let answering = async {
                    let mut all = Vec::new();
                    server.read_to_end(&mut all).await?;
                    server.write_all(&all).await?;
                    server.close().await
                };
                futures_lite::future::try_zip(sending, answering).await.unwrap().0
            };
            assert!(back == bytes);
            assert_eq!(copying.await.unwrap().unwrap(), (6_000_000, 6_000_000));
        });
    }
}

/// A proxy that is given up in the midst: both peers see the end of their connections, nobody waits, and no byte of one is ever in another one's stream.
#[test]
fn one_that_is_given_up_ends_both() {
    on_each_loop(async || {
        for polls in 0..40_usize {
            let ((mut client, mut near), (mut far, mut server)) = (pair().await, pair().await);
            let bytes: Vec<u8> = pattern(65_536).iter().map(|byte| byte ^ polls as u8).collect();
            let mut sent = Vec::new();
            while let Some(n) = futures_lite::future::poll_once(client.write(&bytes)).await {
                sent.extend(&bytes[..n.unwrap()]);
            }
            {
                let mut copying = Box::pin(copy_bidirectional(&mut near, &mut far));
                for _ in 0..polls {
                    assert!(futures_lite::future::poll_once(&mut copying).await.is_none());
                    asyncio_tasks::yield_now().await;
                }
            }
            drop((near, far));
            let mut came = Vec::new();
            let _ = server.read_to_end(&mut came).await;
            assert!(sent.starts_with(&came), "{} bytes after {polls} polls", came.len());
            drop((client, server));
        }
    });
}

/// In front of the mark of urgent data splice(2) stops for ever, and says that nothing is there, or that this is the end; what is behind it is not lost.
#[cfg(target_os = "linux")]
#[test]
fn what_is_behind_an_urgent_mark_is_not_lost() {
    crate::worlds::on_each_real_loop(async || {
        for ends in [false, true] {
            let ((client, mut near), (mut far, mut server)) = (pair().await, pair().await);
            let copying = spawn_local(async move { copy_bidirectional(&mut near, &mut far).await });
            let before = pattern(3_000_000);
            let client = client.into_std().unwrap();
            client.set_nonblocking(false).unwrap();
            let (expected, blocking) = (before.clone(), client.try_clone().unwrap());
            let sending = std::thread::spawn(move || {
                use std::io::Write;
                (&blocking).write_all(&before).unwrap();
                socket2::SockRef::from(&blocking).send_out_of_band(b"!").unwrap();
                (&blocking).write_all(b"behind it").unwrap();
                if ends {
                    blocking.shutdown(std::net::Shutdown::Write).unwrap();
                }
            });
            let mut came = vec![0; expected.len() + 9];
            let reading = server.read_exact(&mut came);
            asyncio_tasks::timeout(std::time::Duration::from_secs(20), reading).await.unwrap().unwrap();
            assert!(came[..expected.len()] == expected && came.ends_with(b"behind it"));
            sending.join().unwrap();
            drop((client, server));
            let _ = copying.await;
        }
    });
}

/// A stream in memory that is always ready, and counts what it gives and takes.
#[derive(Default)]
struct Endless {
    given: u64,
    taken: u64,
}

impl futures_io::AsyncRead for Endless {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        buf: &mut [u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        self.given += buf.len() as u64;
        std::task::Poll::Ready(Ok(buf.len()))
    }
}

impl futures_io::AsyncWrite for Endless {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        self.taken += buf.len() as u64;
        std::task::Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_close(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

/// Streams that are always ready leave the others their turn, and each other.
#[test]
fn two_that_never_wait_hold_nobody_up() {
    on_each_loop(async || {
        let (mut one, mut other) = (Endless::default(), Endless::default());
        let mut turns = 0;
        {
            let mut copying = std::pin::pin!(copy_bidirectional(&mut one, &mut other));
            while turns < 100 {
                assert!(futures_lite::future::poll_once(&mut copying).await.is_none());
                turns += 1;
            }
        }
        assert!(one.taken > 0 && one.taken.abs_diff(other.taken) <= one.taken / 10);
    });
}

/// Both directions of two connections whose ends are always ready: neither is starved by the other.
#[test]
fn both_directions_get_on() {
    on_each_loop(async || {
        let ((client, mut near), (mut far, server)) = (pair().await, pair().await);
        let copying = spawn_local(async move { copy_bidirectional(&mut near, &mut far).await });
        let bytes = pattern(10_000_000);
        let both = |stream: TcpStream| {
            let bytes = &bytes;
            async move {
                let (mut reader, mut writer) = stream.into_split();
                let mut came = Vec::new();
                let sending = async {
                    writer.write_all(bytes).await?;
                    writer.close().await
                };
                futures_lite::future::try_zip(sending, reader.read_to_end(&mut came)).await.unwrap();
                came
            }
        };
        let (one, other) = futures_lite::future::zip(both(client), both(server)).await;
        assert!(one == bytes && other == bytes);
        assert_eq!(copying.await.unwrap().unwrap(), (10_000_000, 10_000_000));
    });
}

fn _takes_any_two(
    a: &mut TcpStream,
    b: &mut (impl futures::AsyncRead + futures::AsyncWrite + Unpin + 'static),
) {
    drop(copy_bidirectional(a, b));
}
