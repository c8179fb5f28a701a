//! TLS on a connection that has been used without.

use std::io;

use asyncio_net::protocol::connect_accepted_socket;
use asyncio_net::tls::{TlsInfo, Upgrade, start_tls};
use asyncio_net::{StreamReader, StreamWriter, open_connection, start_server};
use asyncio_tasks::{spawn_local, yield_now};
use futures_lite::AsyncReadExt;

use super::{acceptor, connector};
use crate::protocol::{Log, Recorder};
use crate::worlds::{on_each_loop, pair, pattern};

/// Greets, and begins TLS when it is asked to.
async fn mail(mut reader: StreamReader, mut writer: StreamWriter) -> Result<(), Box<dyn std::error::Error>> {
    writer.write(b"220 ready\r\n");
    assert_eq!(reader.read_line().await?.as_deref(), Some(&b"STARTTLS\r\n"[..]));
    writer.write(b"220 go ahead\r\n");
    let acceptor = acceptor().build()?;
    let (mut reader, mut writer) = writer.start_tls(reader, Upgrade::server(&acceptor)).await?;
    while let Some(line) = reader.read_line().await? {
        writer.write(&line);
        writer.drain().await?;
    }
    Ok(writer.close().await?)
}

#[test]
fn a_server_and_a_client_agree_on_it() {
    on_each_loop(async || {
        let server = start_server(mail, "127.0.0.1:0").await.unwrap();
        let (mut reader, mut writer) = open_connection(server.local_addrs()[0]).await.unwrap();
        assert_eq!(reader.read_line().await.unwrap().unwrap(), b"220 ready\r\n");
        writer.write(b"STARTTLS\r\n");
        assert_eq!(reader.read_line().await.unwrap().unwrap(), b"220 go ahead\r\n");
        let connector = connector().build().unwrap();
        let upgrade = Upgrade::client(&connector, "server.test");
        let (mut reader, mut writer) = start_tls(reader, writer, upgrade).await.unwrap();
        assert!(TlsInfo::of(&**writer.socket()).is_some());
        writer.write(b"a secret\n");
        assert_eq!(reader.read_line().await.unwrap().unwrap(), b"a secret\n");
        assert_eq!(server.clients(), 1, "it has its place still");
        writer.close().await.unwrap();
        while server.clients() > 0 {
            yield_now().await;
        }
    });
}

/// Whoever stands in between could have put them there: they are not taken for the peer's.
#[test]
fn bytes_that_came_before_are_refused() {
    on_each_loop(async || {
        let (client, server) = pair().await;
        let ((_client_in, mut client_out), (mut reader, writer)) =
            (client.into_streams(), server.into_streams());
        client_out.write(b"STARTTLS\r\nRCPT TO: <somebody@else.test>\r\n");
        assert_eq!(reader.read_line().await.unwrap().unwrap(), b"STARTTLS\r\n");
        let acceptor = acceptor().build().unwrap();
        let error = start_tls(reader, writer, Upgrade::server(&acceptor)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("31 bytes"), "{error}");
    });
}

#[test]
fn what_was_written_before_is_sent_before() {
    on_each_loop(async || {
        let (client, server) = pair().await;
        let ((mut client_in, client_out), (server_in, mut server_out)) =
            (client.into_streams(), server.into_streams());
        let bytes = pattern(3_000_000);
        server_out.write(&bytes);
        let (connector, acceptor) = (connector().build().unwrap(), acceptor().build().unwrap());
        let serving = start_tls(server_in, server_out, Upgrade::server(&acceptor));
        let asking = async {
            assert!(client_in.read_exact(bytes.len()).await.unwrap() == bytes);
            start_tls(client_in, client_out, Upgrade::client(&connector, "server.test")).await
        };
        let ((_, mut server_out), (mut client_in, _client_out)) =
            futures::try_join!(serving, asking).unwrap();
        server_out.write(b"under TLS");
        assert_eq!(client_in.read_exact(9).await.unwrap(), b"under TLS");
    });
}

#[test]
fn a_server_that_is_not_trusted_is_left() {
    on_each_loop(async || {
        let (client, server) = pair().await;
        let ((client_in, client_out), (server_in, server_out)) =
            (client.into_streams(), server.into_streams());
        let (connector, acceptor) = (connector().build().unwrap(), acceptor().build().unwrap());
        let (client, server) = futures::join!(
            start_tls(client_in, client_out, Upgrade::client(&connector, "other.test")),
            start_tls(server_in, server_out, Upgrade::server(&acceptor)),
        );
        assert_eq!(client.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(server.is_err());
    });
}

/// A protocol at each side: what was written is sent before, and the handshake is none of its bytes.
#[test]
fn a_transport_begins_tls() {
    on_each_loop(async || {
        let (client, server) = pair().await;
        let (near, far) = (Log::default(), Log::default());
        let at = |log: &Log,
                  agreement: &'static str,
                  answer: &'static str,
                  upgrade: Upgrade,
                  then: &'static str| {
            Recorder::that(log, move |event, transport| {
                if event == agreement {
                    transport.write(answer.as_bytes());
                    let (shaking, transport) = (transport.start_tls(upgrade.clone()), transport.clone());
                    spawn_local(async move {
                        shaking.await.unwrap();
                        assert!(TlsInfo::of(&*transport.socket().unwrap()).is_some());
                        transport.write(then.as_bytes());
                    })
                    .detach();
                }
            })
        };
        let (connector, acceptor) = (connector().build().unwrap(), acceptor().build().unwrap());
        let client_side = at(&near, "data go", "", Upgrade::client(&connector, "server.test"), "a secret");
        let server_side = at(&far, "data STARTTLS", "go", Upgrade::server(&acceptor), "an answer");
        let (near_end, _) = connect_accepted_socket(|| client_side, client).await.unwrap();
        let (_far_end, _) = connect_accepted_socket(|| server_side, server).await.unwrap();
        near_end.write(b"STARTTLS");
        near.until("data an answer").await;
        far.until("data a secret").await;
        near_end.close();
        near.until("lost").await;
        far.until("lost").await;
        assert_eq!(near.take(), ["made", "data go", "data an answer", "lost"]);
        assert_eq!(far.take(), ["made", "data STARTTLS", "data a secret", "eof", "lost"]);
    });
}

/// From the call on everything is encrypted, also what is written while the rest of before is still on its way; and whoever is paused goes on.
#[test]
fn what_a_transport_writes_after_the_call_is_encrypted() {
    on_each_loop(async || {
        let (client, server) = asyncio_net::UnixStream::pair().unwrap();
        let log = Log::default();
        let (transport, _) = connect_accepted_socket(|| Recorder::new(&log), client).await.unwrap();
        let bytes = pattern(2_000_000);
        transport.write(&bytes);
        log.until("pause").await;
        let shaking = transport.start_tls(Upgrade::client(&connector().build().unwrap(), "server.test"));
        transport.write(b"a secret");
        let shaking = spawn_local(shaking);
        let (mut server, mut read) = (server, vec![0; bytes.len()]);
        server.read_exact(&mut read).await.unwrap();
        assert!(read == bytes);
        let mut server = acceptor().build().unwrap().accept(server).await.unwrap();
        shaking.await.unwrap().unwrap();
        server.read_exact(&mut read[..8]).await.unwrap();
        assert_eq!(&read[..8], b"a secret");
        log.until("resume").await;
        transport.abort();
        log.until("lost").await;
    });
}

/// With more unsent than is ever taken, whoever waits hears of the end.
#[test]
fn a_transport_that_is_lost_before_its_handshake() {
    on_each_loop(async || {
        for is_closed_by_the_peer in [false, true] {
            let (client, server) = asyncio_net::UnixStream::pair().unwrap();
            let log = Log::default();
            let (transport, _) = connect_accepted_socket(|| Recorder::new(&log), client).await.unwrap();
            transport.write(&pattern(2_000_000));
            let upgrade = Upgrade::client(&connector().build().unwrap(), "server.test");
            let shaking = spawn_local(transport.start_tls(upgrade));
            for _ in 0..10 {
                yield_now().await;
            }
            if is_closed_by_the_peer {
                drop(server);
            } else {
                transport.abort();
            }
            shaking.await.unwrap().unwrap_err();
            let is_lost = || log.take().iter().any(|event| event.starts_with("lost"));
            while !is_lost() {
                yield_now().await;
            }
        }
    });
}

#[test]
fn a_transport_whose_handshake_fails_is_aborted() {
    on_each_loop(async || {
        for is_given_up in [false, true] {
            let (client, server) = pair().await;
            let log = Log::default();
            let (transport, _) = connect_accepted_socket(|| Recorder::new(&log), client).await.unwrap();
            let shaking = transport.start_tls(Upgrade::client(&connector().build().unwrap(), "server.test"));
            if is_given_up {
                drop(shaking);
            } else {
                let (_reader, mut writer) = server.into_streams();
                writer.write(b"no TLS at all, but enough of it for a record of that");
                assert_eq!(shaking.await.unwrap_err().kind(), io::ErrorKind::InvalidData);
            }
            log.until("lost").await;
            let late =
                transport.start_tls(Upgrade::client(&connector().build().unwrap(), "server.test")).await;
            assert_eq!(late.unwrap_err().kind(), io::ErrorKind::NotConnected);
        }
    });
}

#[test]
#[should_panic(expected = "the reader and the writer are of two connections")]
fn halves_of_two_connections_are_a_mistake() {
    asyncio_runtime::run(async {
        let ((one, other), connector) = (pair().await, connector().build().unwrap());
        let ((reader, _kept), (_also, writer)) = (one.into_streams(), other.into_streams());
        let _ = start_tls(reader, writer, Upgrade::client(&connector, "server.test")).await;
    });
}

#[test]
fn a_transport_begins_tls_once() {
    on_each_loop(async || {
        let (client, server) = pair().await;
        let log = Log::default();
        let (transport, _) = connect_accepted_socket(|| Recorder::new(&log), client).await.unwrap();
        let connector = connector().build().unwrap();
        let wrong = transport.start_tls(Upgrade::client(&connector, "no name")).await.unwrap_err();
        assert_eq!(wrong.kind(), io::ErrorKind::InvalidInput, "and the connection is as it was");
        let first = transport.start_tls(Upgrade::client(&connector, "server.test"));
        let second = transport.start_tls(Upgrade::client(&connector, "server.test")).await.unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AlreadyExists);
        let acceptor = acceptor().build().unwrap();
        let (mut server, ()) = futures::try_join!(acceptor.accept(server), first).unwrap();
        transport.write(b"once");
        let mut read = [0; 4];
        server.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"once");
    });
}
