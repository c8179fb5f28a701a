//! Who is trusted, and what those hear who are not.

use std::io;
use std::time::Duration;

use asyncio_net::tls::{TlsAcceptor, TlsConnector};
use asyncio_net::{ServerOptions, TcpStream, open_connection};
use asyncio_tasks::timeout;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use rcgen::CertificateParams;

use super::{Authority, acceptor, connector};
use crate::worlds::{on_each_loop, pair};

/// What both sides say of a handshake.
async fn handshake(
    connector: &TlsConnector,
    name: &str,
    acceptor: &TlsAcceptor,
) -> (io::Result<()>, io::Result<()>) {
    let (client, server) = pair().await;
    let client = async {
        let mut stream = connector.connect(name, client).await?;
        // In TLS 1.3 a client learns what the server thinks of its certificate with the first bytes.
        stream.read(&mut [0]).await.map(drop)
    };
    let server = async {
        let mut stream = acceptor.accept(server).await?;
        stream.write_all(b"x").await?;
        stream.close().await
    };
    futures::join!(client, server)
}

#[test]
fn a_server_with_another_name_is_not_trusted() {
    on_each_loop(async || {
        let (client, server) =
            handshake(&connector().build().unwrap(), "other.test", &acceptor().build().unwrap()).await;
        let error = client.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("other.test"), "{error}");
        assert!(server.unwrap_err().to_string().contains("TLS: "), "it hears of it");
    });
}

#[test]
fn a_server_that_somebody_else_vouches_for_is_not_trusted() {
    on_each_loop(async || {
        let connector = TlsConnector::builder().roots(Authority::new().roots()).build().unwrap();
        let (client, server) = handshake(&connector, "server.test", &acceptor().build().unwrap()).await;
        assert!(client.unwrap_err().to_string().contains("invalid peer certificate"));
        assert!(server.is_err());
    });
}

#[test]
fn whom_the_platform_does_not_know_is_not_trusted() {
    on_each_loop(async || {
        let connector = TlsConnector::new().unwrap();
        let (client, _) = handshake(&connector, "server.test", &acceptor().build().unwrap()).await;
        assert_eq!(client.unwrap_err().kind(), io::ErrorKind::InvalidData);
    });
}

#[test]
fn a_certificate_of_the_past_is_not_trusted() {
    on_each_loop(async || {
        let mut params = CertificateParams::new(vec!["server.test".to_owned()]).unwrap();
        (params.not_before, params.not_after) =
            (rcgen::date_time_ymd(2001, 1, 1), rcgen::date_time_ymd(2002, 1, 1));
        let (chain, key) = Authority::ours().vouches_by(params);
        let acceptor = TlsAcceptor::new(chain, key).unwrap();
        let (client, _) = handshake(&connector().build().unwrap(), "server.test", &acceptor).await;
        assert!(client.unwrap_err().to_string().contains("expired"));
    });
}

#[test]
fn a_name_that_is_none_is_refused_before_anything_is_said() {
    on_each_loop(async || {
        for name in ["", "a name", "-", &"x".repeat(300)] {
            let (client, mut server) = pair().await;
            let error = connector().build().unwrap().connect(name, client).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name:?}");
            assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
        }
    });
}

#[test]
fn a_client_shows_who_it_is_where_it_is_asked() {
    on_each_loop(async || {
        let acceptor = acceptor().client_roots(Authority::ours().roots()).build().unwrap();
        let (chain, key) = Authority::ours().vouches_for("client.test");
        let known = connector().identity(chain, key).build().unwrap();
        let (client, server) = handshake(&known, "server.test", &acceptor).await;
        (client.unwrap(), server.unwrap()).1
    });
}

#[test]
fn a_client_that_nobody_vouches_for_is_turned_away() {
    on_each_loop(async || {
        let acceptor = acceptor().client_roots(Authority::ours().roots()).build().unwrap();
        let (chain, key) = Authority::new().vouches_for("client.test");
        for connector in [connector(), connector().identity(chain, key)] {
            let (client, server) = handshake(&connector.build().unwrap(), "server.test", &acceptor).await;
            assert_eq!(server.unwrap_err().kind(), io::ErrorKind::InvalidData);
            let error = client.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        }
    });
}

#[test]
fn a_server_of_many_names_shows_the_certificate_that_is_asked_for() {
    on_each_loop(async || {
        let (chain, key) = Authority::ours().vouches_for("other.test");
        let acceptor =
            acceptor().identity_for(|name| name.ends_with("other.test"), chain, key).build().unwrap();
        for name in ["server.test", "other.test"] {
            let (client, _) = handshake(&connector().build().unwrap(), name, &acceptor).await;
            client.unwrap();
        }
        let (client, _) = handshake(&connector().build().unwrap(), "third.test", &acceptor).await;
        client.unwrap_err();
    });
}

#[test]
fn no_protocol_in_common_is_no_connection() {
    on_each_loop(async || {
        let (connector, acceptor) =
            (connector().alpn(["h3"]).build().unwrap(), acceptor().alpn(["h2"]).build().unwrap());
        let (client, server) = handshake(&connector, "server.test", &acceptor).await;
        assert!(client.is_err() && server.is_err());
    });
}

#[test]
fn what_cannot_be_read_says_what_it_was() {
    let says = |error: io::Error, what: &str| {
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(what), "{error}");
    };
    let (chain, key) = Authority::ours().vouches_for("server.test");
    let (_, other) = Authority::ours().vouches_for("server.test");
    says(TlsAcceptor::new("", key.as_str()).unwrap_err(), "reading certificates");
    says(TlsAcceptor::new(chain.as_str(), "no key").unwrap_err(), "reading a private key");
    says(TlsAcceptor::new(chain.as_str(), other).unwrap_err(), "the certificate and its key");
    says(TlsConnector::builder().roots("none").build().unwrap_err(), "reading certificates");
    let builder = TlsAcceptor::builder(chain, key.as_str());
    assert!(
        !format!("{builder:?} {:?}", builder.clone().build().unwrap()).contains("PRIVATE"),
        "no key in debug output"
    );
}

/// A client that says nothing has its time; the others are served meanwhile.
#[test]
fn a_silent_client_holds_nobody_up() {
    on_each_loop(async || {
        let limit = Duration::from_millis(100);
        let acceptor = acceptor().handshake_timeout(limit).build().unwrap();
        let greet = async |_, mut writer: asyncio_net::StreamWriter| {
            writer.write(b"hello");
            writer.close().await
        };
        let server = ServerOptions::new().tls(acceptor).start_server(greet, "127.0.0.1:0").await.unwrap();
        let addr = server.local_addrs()[0];
        let mut silent = Vec::new();
        for _ in 0..20 {
            silent.push(TcpStream::connect(addr).await.unwrap());
        }
        let options = asyncio_net::ConnectOptions::new().tls(connector().build().unwrap(), "server.test");
        let (mut reader, _writer) = options.open_connection(addr).await.unwrap();
        assert_eq!(reader.read_exact(5).await.unwrap(), b"hello");
        for mut stream in silent {
            let end = timeout(Duration::from_secs(20), stream.read(&mut [0])).await.unwrap();
            assert!(matches!(end, Ok(0) | Err(_)));
        }
    });
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    on_each_loop(async || {
        let (client, _silent) = pair().await;
        let connector = connector().handshake_timeout(Duration::from_millis(30)).build().unwrap();
        let error = connector.connect("server.test", client).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
        assert!(error.to_string().contains("handshake"), "{error}");
    });
}

/// What speaks something else is told apart at once, by either side.
#[test]
fn one_that_speaks_no_tls() {
    on_each_loop(async || {
        let (client, server) = pair().await;
        let (_reader, mut writer) = client.into_streams();
        writer.write(b"GET / HTTP/1.1\r\nHost: server.test\r\n\r\n");
        let error = acceptor().build().unwrap().accept(server).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");

        let server = asyncio_net::start_server(
            |_reader, mut writer: asyncio_net::StreamWriter| async move {
                writer.write(b"220 mail.test ESMTP\r\n")
            },
            "127.0.0.1:0",
        );
        let addr = server.await.unwrap().local_addrs()[0];
        drop(open_connection(addr).await);
    });
}

/// Whoever says which certificate is shown panics: one client's affair, and reported.
#[test]
fn a_panic_in_the_choice_of_a_certificate_is_one_clients_affair() {
    let (runner, reports) = crate::worlds::reporting();
    runner.build().unwrap().run(async {
        let (chain, key) = Authority::ours().vouches_for("other.test");
        let choose = |name: &str| name == "panic.test" && panic!("a choice panics on purpose");
        let acceptor = acceptor().identity_for(choose, chain, key).build().unwrap();
        let greet = async |_, mut writer: asyncio_net::StreamWriter| {
            writer.write(b"hello");
            writer.close().await
        };
        let server = ServerOptions::new().tls(acceptor).start_server(greet, "127.0.0.1:0").await.unwrap();
        let addr = server.local_addrs()[0];
        let to = |name: &str| asyncio_net::ConnectOptions::new().tls(connector().build().unwrap(), name);
        assert!(to("panic.test").open_connection(addr).await.is_err());
        let (mut reader, _writer) = to("server.test").open_connection(addr).await.unwrap();
        assert_eq!(reader.read_exact(5).await.unwrap(), b"hello");
    });
    assert!(reports.lock().unwrap()[0].contains("a choice panics on purpose"));
}
