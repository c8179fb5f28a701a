//! What a peer may do that means harm, and versions and names of every kind.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use asyncio_net::tls::{TlsAcceptor, TlsConnector, TlsInfo};
use asyncio_net::{ServerOptions, StreamReader, StreamWriter, TcpListener, TcpStream};
use asyncio_tasks::{spawn_local, yield_now};
use asyncio_timers::ManualClock;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion,
    version,
};

use super::{Authority, acceptor, connector, on_each, tls_pair_and_below};
use crate::around::Around;
use crate::worlds::{on_each_loop, on_each_real_loop, pair, pattern};

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn server_of(versions: &[&'static SupportedProtocolVersion]) -> TlsAcceptor {
    TlsAcceptor::from_config(server_config(versions))
}

fn server_config(versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
    let (chain, key) = Authority::ours().vouches_for("server.test");
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions).unwrap();
    builder.with_no_client_auth().with_single_cert(chain, key).unwrap()
}

fn client_of(versions: &[&'static SupportedProtocolVersion]) -> TlsConnector {
    TlsConnector::from_config(client_config(versions))
}

fn client_config(versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(Authority::ours().roots().as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(versions).unwrap();
    builder.with_root_certificates(roots).with_no_client_auth()
}

/// TL-F2, in both versions, from both sides: an end with close_notify is one, and without it is an error, behind all that came.
#[test]
fn how_it_ends_is_told_apart_in_every_version() {
    on_each_loop(async || {
        for version in [&version::TLS12, &version::TLS13] {
            for (by_the_server, is_clean) in [(false, false), (false, true), (true, false), (true, true)] {
                let (client, server) = pair().await;
                let below = if by_the_server { &server } else { &client };
                let below = TcpStream::from_socket(below.socket().clone());
                let (connector, acceptor) = (client_of(&[version]), server_of(&[version]));
                let (client, server) =
                    futures::join!(connector.connect("server.test", client), acceptor.accept(server));
                let (client, server) = (client.unwrap(), server.unwrap());
                let (mut ends, mut reads) = if by_the_server { (server, client) } else { (client, server) };
                let bytes = pattern(40_000);
                ends.write_all(&bytes).await.unwrap();
                ends.flush().await.unwrap();
                if is_clean {
                    AsyncWriteExt::close(&mut ends).await.unwrap();
                } else {
                    below.shutdown(Shutdown::Write).unwrap();
                }
                let mut came = Vec::new();
                let end = reads.read_to_end(&mut came).await;
                assert!(came == bytes, "all that came before");
                match end {
                    Ok(_) => assert!(is_clean),
                    Err(error) => {
                        assert!(!is_clean);
                        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{error}");
                    }
                }
            }
        }
    });
}

/// TL-F4, CVE-2023-40217: plaintext in front of a handshake that does not come never reaches a handler.
#[test]
fn plaintext_without_a_handshake_is_nobodys() {
    on_each_loop(async || {
        let served = Rc::new(Cell::new(0));
        let count = served.clone();
        let never = move |_: StreamReader, _: StreamWriter| {
            count.set(count.get() + 1);
            async {}
        };
        let server = ServerOptions::new()
            .tls(acceptor().build().unwrap())
            .start_server(never, "127.0.0.1:0")
            .await
            .unwrap();
        for resets in [false, true] {
            let mut client = TcpStream::connect(server.local_addrs()[0]).await.unwrap();
            while server.clients() == 0 {
                yield_now().await;
            }
            client.write_all(b"USER root\r\nPASS secret\r\n").await.unwrap();
            if resets {
                client.socket().reset().unwrap();
            } else {
                client.shutdown(Shutdown::Write).unwrap();
                let mut said = Vec::new();
                let _ = client.read_to_end(&mut said).await;
                // An alert in plain, if anything.
                assert!(said.is_empty() || said[0] == 21, "{said:?}");
            }
        }
        while server.clients() > 0 {
            yield_now().await;
        }
        assert_eq!(served.get(), 0, "a client without TLS is served");
    });
}

/// TL-F6, RUSTSEC-2020-0019: whoever does not read does not have records heaped up for him.
#[test]
fn who_does_not_read_keeps_no_more_than_a_little() {
    on_each_loop(async || {
        let (client, server) = pair().await;
        let below = Arc::new(Around::new(server.into()));
        let (connector, acceptor) = (connector().build().unwrap(), acceptor().build().unwrap());
        let (client, server) = futures::join!(
            connector.connect("server.test", client),
            acceptor.accept(TcpStream::from_socket(below.clone()))
        );
        let (mut client, mut server) = (client.unwrap(), server.unwrap());
        let before = below.received();
        let sending = spawn_local(async move {
            client.write_all(&vec![7; 8 << 20]).await.unwrap();
            AsyncWriteExt::close(&mut client).await.unwrap();
        });
        // Looked at, and read, one byte at a time, while much more is there.
        for _ in 0..200 {
            assert_eq!(server.read(&mut [0]).await.unwrap(), 1);
            yield_now().await;
        }
        let kept = below.received() - before;
        assert!(kept <= 2 * (5 + 16_384 + 256), "{kept} bytes were taken from the socket for 200");
        let mut rest = Vec::new();
        server.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest.len() + 200, 8 << 20);
        sending.await.unwrap();
    });
}

/// A peer of its own, on a thread, that asks for new keys without end, and reads nothing; gives how many bytes it was sent.
fn asks_for_new_keys(addr: SocketAddr) -> thread::JoinHandle<usize> {
    thread::spawn(move || {
        let mut stream = std::net::TcpStream::connect(addr).unwrap();
        let mut client = {
            let config = Arc::new(client_config(&[&version::TLS13]));
            ClientConnection::new(config, "server.test".try_into().unwrap()).unwrap()
        };
        while client.is_handshaking() {
            client.complete_io(&mut stream).unwrap();
        }
        'flood: for _ in 0..10_000 {
            client.refresh_traffic_keys().unwrap();
            while client.wants_write() {
                if client.write_tls(&mut stream).is_err() {
                    break 'flood;
                }
            }
        }
        let mut sent = Vec::new();
        // It may end by a reset.
        let _ = stream.read_to_end(&mut sent);
        sent.len()
    })
}

/// TL-F8: such a peer is left, and answers are not heaped up for it.
#[test]
fn new_keys_without_end() {
    on_each_real_loop(async || {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hostile = asks_for_new_keys(listener.local_addr().unwrap());
        let (server, _) = listener.accept().await.unwrap();
        let mut server = server_of(&[&version::TLS13]).accept(server).await.unwrap();
        let error = server.read(&mut [0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("KeyUpdate"), "{error}");
        drop(server);
        let sent = hostile.join().unwrap();
        assert!(sent < 20_000, "{sent} bytes for nothing");
    });
}

/// T6, TL-F8: the server's tickets are nothing that such a client reads; they must not cost the server what it was sent.
#[test]
fn a_client_that_only_writes_is_heard_to_the_end() {
    on_each_loop(async || {
        let lengths = Rc::new(RefCell::new(Vec::new()));
        let heard = lengths.clone();
        let hears = move |mut reader: StreamReader, mut writer: StreamWriter| {
            let heard = heard.clone();
            async move {
                for _ in 0..5 {
                    yield_now().await;
                }
                let all = reader.read_to_end().await;
                heard.borrow_mut().push(all.map(|all| all.len()).map_err(|error| error.to_string()));
                writer.close().await
            }
        };
        let acceptor = acceptor().build().unwrap();
        let server = ServerOptions::new().tls(acceptor).start_server(hears, "127.0.0.1:0").await.unwrap();
        let connector = connector().build().unwrap();
        let sizes = [1, 100_000, 300_000, 3_000_000];
        for size in sizes {
            let client = TcpStream::connect(server.local_addrs()[0]).await.unwrap();
            let mut client = connector.connect("server.test", client).await.unwrap();
            client.write_all(&vec![1; size]).await.unwrap();
            AsyncWriteExt::close(&mut client).await.unwrap();
            drop(client);
            while lengths.borrow().is_empty() {
                yield_now().await;
            }
            assert_eq!(lengths.borrow_mut().pop(), Some(Ok(size)));
        }
    });
}

/// A server of its own, on a thread, which hears one client to the end, slowly; gives how much it has heard.
fn hears_slowly(listener: std::net::TcpListener) -> thread::JoinHandle<io::Result<usize>> {
    thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        let mut server = ServerConnection::new(Arc::new(server_config(&[&version::TLS13]))).unwrap();
        let (mut all, mut buf) = (0, vec![0; 64 * 1024]);
        let mut stream = rustls::Stream::new(&mut server, &mut stream);
        loop {
            // So that the client has gone long before.
            thread::sleep(Duration::from_millis(2));
            match stream.read(&mut buf)? {
                0 => return Ok(all),
                n => all += n,
            }
        }
    })
}

/// T6: a program that connects, writes, closes, and ends.
#[test]
fn a_program_that_only_writes_is_heard_to_the_end() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let server = hears_slowly(listener);
    asyncio_runtime::run(async {
        let client = TcpStream::connect(addr).await.unwrap();
        let mut client = connector().build().unwrap().connect("server.test", client).await.unwrap();
        client.write_all(&vec![1; 3_000_000]).await.unwrap();
        AsyncWriteExt::close(&mut client).await.unwrap();
    });
    assert_eq!(server.join().unwrap().unwrap(), 3_000_000);
}

/// T6: a server that never ends keeps what is left of its client for two seconds.
#[test]
fn what_is_left_of_a_client_does_not_stay_for_ever() {
    let clock = ManualClock::new();
    let mut runner = asyncio_runtime::Runner::builder().clock(clock.clone()).build().unwrap();
    runner.run(async {
        let (mut client, mut server, [below, _]) = tls_pair_and_below().await;
        let below: Arc<dyn asyncio_reactor::Socket> = below.into();
        client.write_all(b"that is all").await.unwrap();
        AsyncWriteExt::close(&mut client).await.unwrap();
        drop(client);
        let mut came = Vec::new();
        server.read_to_end(&mut came).await.unwrap();
        assert_eq!(came, b"that is all");
        clock.advance(Duration::from_millis(1999));
        for _ in 0..500 {
            yield_now().await;
        }
        assert_eq!(Arc::strong_count(&below), 2, "it is kept");
        clock.advance(Duration::from_millis(1));
        // By the system's clock: that of the loop stands still.
        let end = std::time::Instant::now() + Duration::from_secs(60);
        while Arc::strong_count(&below) > 1 {
            assert!(std::time::Instant::now() < end, "it is kept still");
            yield_now().await;
        }
    });
}

/// TL-F10: each says what it was.
#[test]
fn no_version_in_common_is_no_connection() {
    on_each_loop(async || {
        for (ours, theirs) in [(&version::TLS12, &version::TLS13), (&version::TLS13, &version::TLS12)] {
            let (client, server) = pair().await;
            let (connector, acceptor) = (client_of(&[ours]), server_of(&[theirs]));
            let (client, server) =
                futures::join!(connector.connect("server.test", client), acceptor.accept(server));
            for error in [client.unwrap_err(), server.unwrap_err()] {
                assert_eq!(error.kind(), io::ErrorKind::InvalidData);
                let said = error.to_string();
                assert!(said.contains("incompatible") || said.contains("ProtocolVersion"), "{said}");
            }
        }
    });
}

/// What is set nowhere is the safe choice: TLS 1.2 and later, and no data before the handshake is over.
#[test]
fn the_defaults_are_safe() {
    on_each(async |client, server| {
        for stream in [&client, &server] {
            let info = TlsInfo::of(&**stream.socket()).unwrap();
            assert_eq!(info.version, Some(rustls::ProtocolVersion::TLSv1_3));
        }
    });
    on_each_loop(async || {
        // A hello of TLS 1.0, by hand: the version of its record and its own are 3.1, and it has one cipher of then.
        let mut hello = vec![0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 1];
        hello.extend([5; 32]);
        hello.extend([0, 0, 2, 0, 0x2f, 1, 0]);
        let (mut client, server) = pair().await;
        client.write_all(&hello).await.unwrap();
        let error = acceptor().build().unwrap().accept(server).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        let mut alert = Vec::new();
        client.read_to_end(&mut alert).await.unwrap();
        // Of level 2: fatal (RFC 8446, 6).
        assert_eq!((alert[0], alert[5]), (21, 2), "{alert:?}");
    });
}

/// TL-F14: an alert is an error that names it, and what came before it can be read.
#[test]
fn an_alert_in_the_midst_says_which() {
    on_each_loop(async || {
        let (mut client, mut server, [_, below]) = tls_pair_and_below().await;
        server.write_all(b"before").await.unwrap();
        server.flush().await.unwrap();
        // A record that nobody has encrypted for us: its fault is told to the peer, by an alert.
        let mut below = below;
        below.write_all(&[23, 3, 3, 0, 32]).await.unwrap();
        below.write_all(&[9; 32]).await.unwrap();
        let mut read = [0; 6];
        client.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"before");
        let error = client.read(&mut read).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("decrypt"), "{error}");
        let error = server.read(&mut read).await.unwrap_err();
        assert!(error.to_string().contains("BadRecordMac"), "the alert by its name: {error}");
    });
}

/// Names that a certificate has, and those that it only seems to have.
#[test]
fn whom_a_certificate_is_for() {
    let cases: [(&[&str], &str, bool); 12] = [
        (&["server.test"], "server.test", true),
        (&["server.test"], "SERVER.test", true),
        (&["server.test"], "www.server.test", false),
        (&["*.server.test"], "www.server.test", true),
        (&["*.server.test"], "server.test", false),
        (&["*.server.test"], "a.b.server.test", false),
        (&["server.test", "other.test"], "other.test", true),
        (&["127.0.0.1"], "127.0.0.1", true),
        (&["127.0.0.1"], "127.0.0.2", false),
        (&["::1"], "::1", true),
        (&["localhost"], "127.0.0.1", false),
        (&["xn--bcher-kva.test"], "xn--bcher-kva.test", true),
    ];
    on_each_loop(async || {
        for (names, asked, is_right) in cases {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let (chain, key) = Authority::ours().vouches_by(rcgen::CertificateParams::new(names).unwrap());
            let (client, server) = pair().await;
            let (connector, acceptor) = (connector().build().unwrap(), TlsAcceptor::new(chain, key).unwrap());
            let (client, _) = futures::join!(connector.connect(asked, client), acceptor.accept(server));
            match client {
                Ok(_) => assert!(is_right, "{asked} is taken for one of another name"),
                Err(error) => assert!(!is_right && error.to_string().contains(asked), "{asked}: {error}"),
            }
        }
    });
}

/// TL-F9: what is wrong with a certificate, each in its own words.
#[test]
fn what_is_wrong_with_a_certificate_is_said() {
    use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, date_time_ymd};
    let named = || CertificateParams::new(vec!["server.test".to_owned()]).unwrap();
    let mut early = named();
    early.not_before = date_time_ymd(4000, 1, 1);
    let mut late = named();
    late.not_after = date_time_ymd(2001, 1, 1);
    let mut for_clients = named();
    for_clients.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let mut authority = named();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let stranger = Authority::new();
    let cases = [
        (Authority::ours().vouches_by(early), "not valid yet"),
        (Authority::ours().vouches_by(late), "expired"),
        (Authority::ours().vouches_by(for_clients), "extended key usage"),
        (Authority::ours().vouches_by(authority), "CaUsedAsEndEntity"),
        // It has the name of ours.
        (stranger.vouches_by(named()), "BadSignature"),
    ];
    on_each_loop(async || {
        for ((chain, key), expected) in cases.clone() {
            let (client, server) = pair().await;
            let acceptor = TlsAcceptor::new(chain, key).unwrap();
            let connector = connector().build().unwrap();
            let (client, server) =
                futures::join!(connector.connect("server.test", client), acceptor.accept(server));
            let error = client.unwrap_err();
            assert!(error.to_string().contains(expected), "{expected}: {error}");
            assert!(server.is_err(), "{expected}");
        }
    });
}

/// A peer that goes, or says nothing more, in each state of a connection leaves nobody waiting.
#[test]
fn a_peer_that_vanishes_in_any_state() {
    on_each_loop(async || {
        let limit = Duration::from_millis(50);
        for is_reset in [false, true] {
            // While the server is read from, and while it writes more than anybody takes.
            for writes in [false, true] {
                let (client, mut server, [below, _]) = tls_pair_and_below().await;
                let busy = spawn_local(async move {
                    loop {
                        let mut buf = [1; 4096];
                        let moved =
                            if writes { server.write(&buf).await } else { server.read(&mut buf).await };
                        if !matches!(moved, Ok(1..)) {
                            return moved;
                        }
                    }
                });
                // Whoever only shuts down answers with a reset what comes then; where nothing fits in any more, nothing comes.
                let turns = if writes && !is_reset { 0 } else { 20 };
                for _ in 0..turns {
                    yield_now().await;
                }
                if is_reset {
                    below.socket().reset().unwrap();
                } else {
                    below.shutdown(Shutdown::Both).unwrap();
                }
                busy.await.unwrap().unwrap_err();
                drop(client);
            }
            // While each waits for the other's goodbye.
            let (client, server) = pair().await;
            let below = TcpStream::from_socket(client.socket().clone());
            let connector = connector().shutdown_timeout(limit).build().unwrap();
            let acceptor = acceptor().shutdown_timeout(limit).build().unwrap();
            let (client, server) =
                futures::join!(connector.connect("server.test", client), acceptor.accept(server));
            let (_client, server) = (client.unwrap(), server.unwrap());
            let (_reader, mut writer) = server.into_streams();
            writer.write(b"the last word");
            if is_reset {
                below.socket().reset().unwrap();
            }
            let error = writer.close().await.unwrap_err();
            assert_eq!(error.kind() == io::ErrorKind::TimedOut, !is_reset, "{error}");
        }
    });
}
