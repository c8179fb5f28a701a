//! Streams that are put together: through memory, and where both are sockets of the system through a pipe of the kernel.

use std::sync::Arc;

use asyncio_net::{TcpStream, UnixStream, copy_bidirectional};
use asyncio_tasks::spawn_local;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use crate::refusing::Refusing;
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
                let mut socket = Refusing::new(stream.into());
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

/// A proxy that is given up in the midst: both peers see the end of their connections, and nobody waits.
#[test]
fn one_that_is_given_up_ends_both() {
    on_each_loop(async || {
        for polls in 0..40 {
            let ((mut client, mut near), (mut far, mut server)) = (pair().await, pair().await);
            let mut sent = 0;
            while let Some(n) = futures_lite::future::poll_once(client.write(&[5; 65_536])).await {
                sent += n.unwrap();
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
            assert!(came.len() <= sent && came.iter().all(|byte| *byte == 5));
            drop((client, server));
        }
    });
}

fn _takes_any_two(
    a: &mut TcpStream,
    b: &mut (impl futures::AsyncRead + futures::AsyncWrite + Unpin + 'static),
) {
    drop(copy_bidirectional(a, b));
}
