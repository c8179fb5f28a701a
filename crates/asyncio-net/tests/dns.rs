//! A name server of somebody else's, `dnsmasq`, asked by the system and by hickory, in a network of its own.
//!
//! Each test starts this program again, in namespaces where `/etc/resolv.conf` names 127.0.0.1 and nobody else is to be reached. What
//! is not installed, or not allowed, makes it say so and pass; with `ASYNCIO_REQUIRE_PEERS=1` it fails.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![cfg(target_os = "linux")]

mod namespaces;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use asyncio_net::{TcpListener, TcpStream, lookup_host};
use asyncio_runtime::run;

const SCRIPT: &str = r#"
ip addr add 192.0.2.1/32 dev lo
# Whoever is asked for behind this link never answers.
ip link add v0 type veth peer name v1
ip link set v0 up
ip link set v1 up
ip -6 addr add 2001:db8::2/64 dev v0 nodad
mount --bind "$1/resolv.conf" /etc/resolv.conf
mount --bind "$1/hosts" /etc/hosts
# Other services have sockets that a network does not part.
mount --bind "$1/nsswitch.conf" /etc/nsswitch.conf
"#;

/// Runs `test`, which has this name, in a network of its own.
fn in_a_network(name: &str, test: impl FnOnce()) {
    if namespaces::is_inside() {
        return test();
    }
    let conf = std::env::temp_dir().join(format!("asyncio-names-{}-{name}", std::process::id()));
    std::fs::create_dir(&conf).unwrap();
    for (file, content) in [
        ("resolv.conf", "nameserver 127.0.0.1\nsearch search.test\noptions timeout:2 attempts:1\n"),
        ("hosts", "127.0.0.1 localhost\n192.0.2.77 both.hosts.test short\n"),
        ("nsswitch.conf", "hosts: files dns\n"),
    ] {
        std::fs::write(conf.join(file), content).unwrap();
    }
    let outcome = namespaces::run_again(name, SCRIPT, &conf);
    std::fs::remove_dir_all(&conf).unwrap();
    outcome.check();
}

struct NameServer(Child);

impl NameServer {
    /// `None` where it is not installed, and need not be.
    fn start() -> Option<Self> {
        let mut command = Command::new("dnsmasq");
        // Not `--no-daemon`, under which one connection holds all others up.
        command.args([
            "--keep-in-foreground",
            "--user=",
            "--group=",
            "--conf-file=/dev/null",
            "--no-hosts",
            "--no-resolv",
            "--pid-file=",
        ]);
        command.args(["--bind-interfaces", "--listen-address=127.0.0.1", "--local=/test/"]);
        command.arg("--host-record=both.test,192.0.2.1,2001:db8::1");
        command.arg("--host-record=four.test,192.0.2.1");
        command.arg("--txt-record=text.test,no address");
        // What `/etc/hosts` has otherwise.
        command.arg("--host-record=both.hosts.test,192.0.2.78,2001:db8::78");
        command.arg("--host-record=short.search.test,192.0.2.78");
        command.arg("--address=/a_b.test/192.0.2.79");
        command.args((0..50).map(|n| format!("--host-record=n{n}.test,192.0.2.{}", n + 100)));
        command.args((0..50).map(|n| format!("--cname=a{n}.test,n{n}.test")));
        // More than a datagram takes.
        command.args((0..250).map(|n| format!("--host-record=many.test,198.51.100.{n}")));
        match command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
            Ok(mut child) => {
                // It listens by TCP as soon as by UDP.
                while std::net::TcpStream::connect("127.0.0.1:53").is_err() {
                    assert!(child.try_wait().unwrap().is_none(), "dnsmasq has ended");
                    std::thread::yield_now();
                }
                Some(Self(child))
            }
            Err(error) if std::env::var_os("ASYNCIO_REQUIRE_PEERS").is_none_or(|value| value != "1") => {
                eprintln!("skipped: dnsmasq cannot be started: {error}");
                None
            }
            Err(error) => panic!("dnsmasq cannot be started: {error}"),
        }
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn ips(addrs: &[SocketAddr]) -> Vec<String> {
    addrs.iter().map(|addr| addr.ip().to_string()).collect()
}

/// A server at the IPv4 address of `both.test`, and a connection by that name, whose IPv6 address never answers.
async fn connects_past_the_silent_address() {
    let listener = TcpListener::bind("192.0.2.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let began = Instant::now();
    let stream = TcpStream::connect(("both.test", port)).await.unwrap();
    // The system itself would give the silent one up after three seconds.
    assert!(began.elapsed() < Duration::from_millis(2500), "{:?}", began.elapsed());
    assert_eq!(stream.peer_addr().unwrap().ip(), IpAddr::from([192, 0, 2, 1]));
}

#[test]
fn the_system_asks_its_name_server() {
    in_a_network("the_system_asks_its_name_server", || {
        let Some(_server) = NameServer::start() else { return };
        run(async {
            let addrs = lookup_host("four.test:80").await.unwrap();
            assert_eq!(addrs, ["192.0.2.1:80".parse().unwrap()]);
            let mut both = ips(&lookup_host("both.test:80").await.unwrap());
            both.sort();
            assert_eq!(both, ["192.0.2.1", "2001:db8::1"]);
            for name in ["none.test", "text.test"] {
                let error = lookup_host((name, 80)).await.unwrap_err();
                assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
            }
            assert_eq!(lookup_host("many.test:80").await.unwrap().len(), 250);
            connects_past_the_silent_address().await;
        });
    });
}

/// Two hundred questions that nobody answers hold neither the loop up, nor blocking work, nor the end of the process.
#[test]
fn look_ups_that_hang_hold_nothing_up() {
    in_a_network("look_ups_that_hang_hold_nothing_up", || {
        // It hears everything, and says nothing.
        let _silent = UdpSocket::bind("127.0.0.1:53").unwrap();
        run(async {
            let questions: Vec<_> = (0..200)
                .map(|n| {
                    asyncio_tasks::spawn_local(async move { lookup_host((format!("h{n}.test"), 80)).await })
                })
                .collect();
            asyncio_timers::sleep(Duration::from_millis(50)).await;
            let done = asyncio_blocking::to_thread(|| 7).await.unwrap();
            assert_eq!(done, 7);
            assert!(questions.iter().all(|question| !question.is_finished()), "somebody answered");
            questions.iter().for_each(|question| _ = question.cancel());
            for question in questions {
                assert!(question.await.unwrap_err().is_cancelled());
            }
        });
        // The process ends while the threads still wait; the one that started it waits for that.
    });
}

#[cfg(feature = "hickory")]
mod hickory {
    use std::io::ErrorKind;

    use super::*;
    use asyncio_net::{HickoryResolver, Resolve, set_resolver, with_resolver};
    use hickory_resolver::config::{
        LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts, ServerOrderingStrategy,
    };
    use hickory_resolver::proto::xfer::Protocol;

    fn descriptors() -> usize {
        std::fs::read_dir("/proc/self/fd").unwrap().count()
    }

    fn threads() -> usize {
        std::fs::read_dir("/proc/self/task").unwrap().count()
    }

    #[test]
    fn it_asks_the_name_server_without_a_thread() {
        in_a_network("hickory::it_asks_the_name_server_without_a_thread", || {
            let Some(_server) = NameServer::start() else { return };
            let before = threads();
            run(async {
                let resolver = HickoryResolver::from_system().unwrap();
                assert!(format!("{resolver:?}").contains("127.0.0.1:53"), "{resolver:?}");
                set_resolver(resolver);
                let both = lookup_host("both.test:80").await.unwrap();
                assert_eq!(ips(&both), ["2001:db8::1", "192.0.2.1"]);
                for name in ["none.test", "text.test"] {
                    let error = lookup_host((name, 80)).await.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
                    assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
                }
                // The answer does not fit, so it is asked for by TCP.
                assert_eq!(ips(&lookup_host("a_b.test:1").await.unwrap()), ["192.0.2.79"]);
                let many = lookup_host("many.test:80").await.unwrap();
                assert_eq!(many.len(), 250);
                connects_past_the_silent_address().await;
            });
            assert_eq!(threads(), before);
        });
    }

    #[test]
    fn many_questions_at_once_are_all_answered() {
        in_a_network("hickory::many_questions_at_once_are_all_answered", || {
            let Some(_server) = NameServer::start() else { return };
            let resolver = HickoryResolver::from_system().unwrap();
            run(with_resolver(resolver, async {
                let questions = (0..500).map(|n| async move {
                    let kind = if n % 2 == 0 { 'a' } else { 'n' };
                    let number = n / 2 % 50;
                    let addrs = lookup_host((format!("{kind}{number}.test"), 7)).await?;
                    assert_eq!(ips(&addrs), [format!("192.0.2.{}", number + 100)]);
                    std::io::Result::Ok(())
                });
                asyncio_tasks::gather(questions).await.unwrap();
            }));
        });
    }

    #[test]
    fn what_the_table_of_hosts_has_is_the_answer() {
        in_a_network("hickory::what_the_table_of_hosts_has_is_the_answer", || {
            let Some(_server) = NameServer::start() else { return };
            let resolver = HickoryResolver::from_system().unwrap();
            run(async {
                for name in ["both.hosts.test", "BOTH.hosts.test.", "short"] {
                    assert_eq!(ips(&resolver.resolve(name, 1).await.unwrap()), ["192.0.2.77"], "{name}");
                }
                assert_eq!(ips(&resolver.resolve("localhost", 1).await.unwrap()), ["127.0.0.1"]);
                let config = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
                let mut options = ResolverOpts::default();
                options.ip_strategy = LookupIpStrategy::Ipv6Only;
                let answer = HickoryResolver::new(config, options).resolve("short", 1).await;
                assert!(answer.is_err(), "it has no such address, and nobody else is there to ask");
                // By the search list.
                let answer = resolver.resolve("short.search.test", 1).await.unwrap();
                assert_eq!(ips(&answer), ["192.0.2.78"]);
            });
        });
    }

    /// A server that has nobody to ask refuses: that says nothing of the name.
    #[test]
    fn a_refusal_does_not_say_that_there_is_no_such_name() {
        in_a_network("hickory::a_refusal_does_not_say_that_there_is_no_such_name", || {
            let Some(_server) = NameServer::start() else { return };
            let resolver = HickoryResolver::from_system().unwrap();
            let error = run(async { resolver.resolve("example.org.", 1).await }).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Other, "{error}");
        });
    }

    /// Its connections are the first loop's, which is there, and does not run.
    #[test]
    fn a_loop_does_not_wait_for_another() {
        in_a_network("hickory::a_loop_does_not_wait_for_another", || {
            let Some(_server) = NameServer::start() else { return };
            let resolver = std::sync::Arc::new(HickoryResolver::from_system().unwrap());
            let ask = |name: &'static str| {
                let resolver = resolver.clone();
                async move { ips(&resolver.resolve(name, 1).await.unwrap()) }
            };
            let mut kept = asyncio_runtime::Runner::new().unwrap();
            assert_eq!(kept.run(ask("n1.test")), ["192.0.2.101"]);
            assert_eq!(run(ask("n2.test")), ["192.0.2.102"]);
            let other = ask("n3.test");
            assert_eq!(std::thread::spawn(|| run(other)).join().unwrap(), ["192.0.2.103"]);
            assert_eq!(asyncio_executor::block_on(ask("n4.test")), ["192.0.2.104"]);
            assert_eq!(kept.run(ask("n5.test")), ["192.0.2.105"]);
        });
    }

    /// Its connections were the first loop's.
    #[test]
    fn it_outlives_a_loop() {
        in_a_network("hickory::it_outlives_a_loop", || {
            let Some(_server) = NameServer::start() else { return };
            let resolver = HickoryResolver::from_system().unwrap();
            for n in 0..5 {
                for name in [format!("n{n}.test"), "many.test".to_owned()] {
                    let addrs = run(async { resolver.resolve(&name, 1).await }).unwrap();
                    assert!(!addrs.is_empty());
                }
                resolver.clear_cache();
            }
        });
    }

    #[test]
    fn a_silent_server_is_given_up_and_a_dead_one_passed_over() {
        in_a_network("hickory::a_silent_server_is_given_up_and_a_dead_one_passed_over", || {
            let Some(_server) = NameServer::start() else { return };
            let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
            let asking = |ports: &[u16]| {
                let mut config = ResolverConfig::new();
                for port in ports {
                    config.add_name_server(NameServerConfig::new(
                        ([127, 0, 0, 1], *port).into(),
                        Protocol::Udp,
                    ));
                }
                let mut options = ResolverOpts::default();
                options.timeout = Duration::from_millis(100);
                options.attempts = 1;
                // One after the other.
                options.num_concurrent_reqs = 1;
                options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
                HickoryResolver::new(config, options)
            };
            run(async {
                let port = silent.local_addr().unwrap().port();
                let given_up = asking(&[port]).resolve("n1.test.", 1).await.unwrap_err();
                assert_eq!(given_up.kind(), ErrorKind::TimedOut, "{given_up}");
                let answer = asking(&[port, 53]).resolve("n1.test.", 1).await.unwrap();
                assert_eq!(ips(&answer), ["192.0.2.101"]);
                // Where nobody listens.
                let answer = asking(&[9, 53]).resolve("n2.test.", 1).await.unwrap();
                assert_eq!(ips(&answer), ["192.0.2.102"]);
                // Given up while it asks, at every moment.
                let before = descriptors();
                for polls in 0..20 {
                    let resolver = asking(&[53]);
                    let mut asked = resolver.resolve("n3.test.", 1);
                    for _ in 0..polls {
                        if futures_lite::future::poll_once(&mut asked).await.is_some() {
                            break;
                        }
                        asyncio_tasks::yield_now().await;
                    }
                }
                // Those before may have had something left too.
                while descriptors() > before || !asyncio_tasks::all_tasks().is_empty() {
                    asyncio_timers::sleep(Duration::from_millis(1)).await;
                }
            });
        });
    }
}
