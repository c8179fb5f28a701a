//! Names and addresses: what is refused, what is looked up, and where.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use asyncio_net::{
    AddrInfoHints, NameInfoOptions, Resolve, Resolving, StaticResolver, TcpListener, TcpStream, getaddrinfo,
    getnameinfo, lookup_host, set_resolver, with_resolver,
};
use asyncio_reactor::{Domain, Type};
use asyncio_runtime::run;

use crate::cancel::polled;

fn threads_for_names() -> usize {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return 0 };
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok())
        .filter(|name| name.trim() == "asyncio-names")
        .count()
}

#[test]
fn addresses_start_no_thread_and_names_do() {
    run(async {
        for text in ["127.0.0.1:80", "[::1]:80"] {
            assert_eq!(lookup_host(text).await.unwrap(), [text.parse().unwrap()]);
        }
        assert_eq!(lookup_host(("::1", 9)).await.unwrap()[0].port(), 9);
        // Other tests of this process may look names up at the same time; so only "some" can be checked here.
        let addrs = lookup_host("localhost:81").await.unwrap();
        assert!(addrs.iter().all(|addr| addr.ip().is_loopback() && addr.port() == 81), "{addrs:?}");
        #[cfg(target_os = "linux")]
        assert!(threads_for_names() > 0, "it was looked up on the loop's own thread");
    });
}

#[test]
fn what_cannot_be_a_name_is_refused_before_anybody_is_asked() {
    let label = "a".repeat(64);
    let long = format!("{}.com", ["abcdefgh"; 30].join("."));
    assert!(long.len() > 253);
    let names = ["", ".", "a..b", "nul\0.com", "white space", &label, &long];
    asyncio_executor::block_on(async {
        for name in names {
            let error = lookup_host((name, 80)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name:?}: {error}");
        }
        for text in [
            "host",
            "host:port",
            "host:65536",
            "host:+80",
            "[::1]:+80",
            "::1:80",
            "a:b:c",
            "[localhost]:80",
            "[[::1]]:80",
            "127.0.0.1%1:80",
        ] {
            let error = lookup_host(text).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text:?}: {error}");
        }
    });
}

#[test]
fn an_unknown_host_is_named() {
    run(async {
        let error = TcpStream::connect("no-such-host.invalid:80").await.unwrap_err();
        assert!(error.to_string().contains("no-such-host.invalid"), "{error}");
    });
}

#[test]
fn more_questions_than_threads_are_all_answered() {
    run(async {
        let tasks: Vec<_> = (0..200).map(|_| asyncio_tasks::spawn(lookup_host("localhost:1"))).collect();
        for task in tasks {
            assert!(!task.await.unwrap().unwrap().is_empty());
        }
        #[cfg(target_os = "linux")]
        assert!(threads_for_names() <= 4);
    });
}

#[test]
fn panicking_wakers_do_not_use_the_threads_up() {
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Wake, Waker};
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker panics on purpose");
        }
    }
    for _ in 0..20 {
        let mut asked = pin!(lookup_host("localhost:1"));
        let panics = Waker::from(Arc::new(Panics));
        let _ = asked.as_mut().poll(&mut Context::from_waker(&panics));
        // Kept until its answer is there, so that the waker is woken.
        std::thread::park_timeout(std::time::Duration::from_millis(2));
    }
    assert!(!asyncio_executor::block_on(lookup_host("localhost:1")).unwrap().is_empty());
}

/// Refuses to be asked.
#[derive(Debug)]
struct Nobody;

impl Resolve for Nobody {
    fn resolve<'a>(&'a self, host: &'a str, _: u16) -> Resolving<'a> {
        panic!("it was asked for {host:?}");
    }
}

#[test]
fn a_resolver_is_asked_for_names_alone() {
    asyncio_executor::block_on(with_resolver(Nobody, async {
        for text in ["127.0.0.1:80", "[::1]:80"] {
            assert_eq!(lookup_host(text).await.unwrap(), [text.parse().unwrap()]);
        }
        for name in ["", "bücher.example", "0x7f.1", "127.1", "a..b"] {
            let error = lookup_host((name, 80)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name:?}: {error}");
        }
    }));
}

#[test]
fn names_mean_what_the_resolver_says_wherever_they_are_used() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let table = StaticResolver::new().with("web.test", ["127.0.0.1".parse().unwrap()]);
        with_resolver(table, async {
            let stream = TcpStream::connect(("WEB.test.", port)).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap().port(), port);
            let server = asyncio_net::start_server(|_, _| async {}, "web.test:0").await.unwrap();
            assert!(server.local_addrs()[0].ip().is_loopback());
        })
        .await;
    });
}

#[test]
fn a_resolver_is_of_its_task_and_of_those_below() {
    let table = |ip: &str| StaticResolver::new().with("x.test", [ip.parse().unwrap()]);
    let ask = async || lookup_host("x.test:1").await.unwrap()[0].ip().to_string();
    run(async {
        let task = asyncio_tasks::spawn_local(async move {
            set_resolver(table("192.0.2.1"));
            let below = asyncio_tasks::spawn_local(async move {
                let inherited = ask().await;
                set_resolver(table("192.0.2.2"));
                (inherited, ask().await)
            });
            let (inherited, own) = below.await.unwrap();
            (inherited, own, ask().await)
        });
        let (inherited, own, after) = task.await.unwrap();
        assert_eq!((&*inherited, &*own, &*after), ("192.0.2.1", "192.0.2.2", "192.0.2.1"));
        assert!(lookup_host("x.test:1").await.is_err(), "nobody set it here");
    });
}

#[test]
#[cfg(target_os = "linux")]
fn an_address_may_name_its_interface() {
    asyncio_executor::block_on(with_resolver(Nobody, async {
        let addrs = lookup_host("[fe80::1%lo]:80").await.unwrap();
        let SocketAddr::V6(addr) = addrs[0] else { panic!("{addrs:?}") };
        assert_eq!((addr.ip().to_string(), addr.scope_id(), addr.port()), ("fe80::1".into(), 1, 80));
        assert!(lookup_host("[fe80::1%no-such-interface]:80").await.is_err());
        let infos = getaddrinfo(Some("fe80::1%lo"), Some("80"), AddrInfoHints::new()).await.unwrap();
        assert_eq!(infos[0].addr, addrs[0]);
    }));
}

#[test]
fn what_a_resolver_does_not_know_says_which_name() {
    #[derive(Debug)]
    struct Empty;
    impl Resolve for Empty {
        fn resolve<'a>(&'a self, _: &'a str, _: u16) -> Resolving<'a> {
            Box::pin(async { Ok(Vec::new()) })
        }
    }
    asyncio_executor::block_on(async {
        let error = with_resolver(Empty, lookup_host("none.test:1")).await.unwrap_err();
        assert_eq!(error.to_string(), "looking up \"none.test\": it has no address");
        let table = StaticResolver::new().with("a.test", []).or_else(Empty);
        for name in ["a.test:1", "b.test:1"] {
            let error = with_resolver(table.clone(), lookup_host(name)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        }
    });
}

async fn infos(host: &str, service: &str, hints: AddrInfoHints) -> io::Result<Vec<SocketAddr>> {
    let infos = getaddrinfo(Some(host), Some(service), hints).await?;
    Ok(infos.into_iter().map(|info| info.addr).collect())
}

#[test]
fn hints_are_the_systems() {
    run(async {
        let stream = AddrInfoHints::new().socket_type(Type::STREAM);
        let four = stream.domain(Domain::IPV4);
        assert_eq!(infos("localhost", "81", four).await.unwrap(), ["127.0.0.1:81".parse().unwrap()]);
        assert_eq!(infos("::1", "81", stream).await.unwrap(), ["[::1]:81".parse().unwrap()]);
        assert!(infos("::1", "81", four).await.is_err(), "of another family");

        let any = getaddrinfo(Some("127.0.0.1"), Some("81"), AddrInfoHints::new()).await.unwrap();
        let types: Vec<Type> = any.iter().map(|info| info.socket_type).collect();
        assert!(
            types.contains(&Type::STREAM) && types.contains(&Type::DGRAM),
            "once for each type: {types:?}"
        );
        assert!(any.iter().all(|info| info.domain == Domain::IPV4 && info.canonical_name.is_none()));

        let named = getaddrinfo(Some("localhost"), None, four.canonical_name(true)).await.unwrap();
        assert!(named[0].canonical_name.is_some());
        assert_eq!(named[0].addr.port(), 0);

        let nowhere = getaddrinfo(None, Some("81"), four.passive(true)).await.unwrap();
        assert_eq!(nowhere[0].addr, "0.0.0.0:81".parse().unwrap());
        let here = getaddrinfo(None, Some("81"), four).await.unwrap();
        assert_eq!(here[0].addr, "127.0.0.1:81".parse().unwrap());

        let error = infos("localhost", "81", four.numeric_host(true)).await.unwrap_err();
        assert!(error.to_string().starts_with("looking up \"localhost\": "), "{error}");
    });
}

#[test]
fn what_getaddrinfo_cannot_be_asked_is_refused() {
    asyncio_executor::block_on(async {
        let hints = AddrInfoHints::new();
        assert_eq!(getaddrinfo(None, None, hints).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        for (host, service) in [("a\0b", "80"), ("localhost", "8\x00"), ("0x7f.1", "80"), ("", "80")] {
            let error = getaddrinfo(Some(host), Some(service), hints).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{host:?} {service:?}: {error}");
        }
    });
}

#[test]
fn an_address_has_names_or_numbers() {
    run(async {
        let numbers = NameInfoOptions::new().numeric_host(true).numeric_service(true);
        let of = |text: &str| -> SocketAddr { text.parse().unwrap() };
        assert_eq!(
            getnameinfo(of("192.0.2.1:80"), numbers).await.unwrap(),
            ("192.0.2.1".into(), "80".into())
        );
        assert_eq!(getnameinfo(of("[::1]:9"), numbers).await.unwrap(), ("::1".into(), "9".into()));
        let (host, _) = getnameinfo(of("127.0.0.1:80"), numbers.numeric_host(false)).await.unwrap();
        assert!(!host.is_empty());
        let error = getnameinfo(of("127.0.0.1:80"), numbers.name_required(true)).await.unwrap_err();
        assert!(error.to_string().contains("127.0.0.1:80"), "a number is no name: {error}");
    });
}

#[test]
fn dropped_at_every_poll_they_are_forgotten() {
    run(async {
        for polls in 0..3 {
            let hints = AddrInfoHints::new();
            polled(getaddrinfo(Some("localhost"), None, hints), polls).await;
            polled(getnameinfo("127.0.0.1:1".parse().unwrap(), NameInfoOptions::new()), polls).await;
            let table = StaticResolver::new().with("x.test", ["192.0.2.1".parse().unwrap()]);
            polled(with_resolver(table, lookup_host("x.test:1")), polls).await;
        }
        assert!(lookup_host("x.test:1").await.is_err(), "nothing was left behind");
    });
}
