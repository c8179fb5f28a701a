//! Programs on simulated hosts: what they see is the simulation's, and the same seed gives the same run.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use asyncio_base::random;
use asyncio_net::{TcpListener, TcpStream, UdpSocket};
use asyncio_sim::{Builder, Faults, Latency, Link, Sim, Summary};
use asyncio_tasks::{spawn_local, timeout};
use asyncio_timers::sleep;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

/// Answers every message with itself.
pub(crate) async fn echo_server() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        spawn_local(async move {
            let mut buf = [0; 512];
            while let Ok(n @ 1..) = stream.read(&mut buf).await {
                if stream.write_all(&buf[..n]).await.is_err() {
                    return;
                }
            }
        })
        .detach();
    }
}

async fn echo_client(messages: usize) -> io::Result<()> {
    let mut stream = TcpStream::connect("server:7").await?;
    for n in 0..messages {
        let message = (n as u64).to_be_bytes();
        stream.write_all(&message).await?;
        let mut back = [0; 8];
        stream.read_exact(&mut back).await?;
        assert_eq!(back, message);
    }
    Ok(())
}

fn echo(builder: Builder) -> Sim {
    let sim = builder.build();
    sim.host("server", "10.0.0.1", echo_server);
    sim.client("client", "10.0.0.2", || echo_client(100));
    sim
}

#[test]
fn time_jumps_and_messages_take_theirs() {
    let link = Link::new().latency(Latency::fixed(Duration::from_millis(10)));
    let summary = echo(Sim::builder().link(link)).run().unwrap();
    // A round trip for the connection, and one for each message.
    assert_eq!(summary.elapsed.as_millis() / 20, 101, "{:?}", summary.elapsed);
}

#[test]
fn the_same_seed_is_the_same_run_and_another_is_another() {
    let run = |seed| {
        let builder = Sim::builder().seed(seed).link(Link::new().loss(0.05).duplicate(0.05).reorder(0.1));
        echo(builder).run().unwrap()
    };
    let (first, again, other) = (run(1), run(1), run(2));
    assert_eq!((first.hash, first.events, first.elapsed), (again.hash, again.events, again.elapsed));
    assert_ne!(first.hash, other.hash);
    assert!(first.counts.lost > 0 && first.counts.duplicated > 0);
}

#[test]
fn a_run_that_was_recorded_is_had_again_without_its_seed() {
    let faults = Faults { loss: true, partial_io: true, slow_links: true, ..Faults::none() };
    let first = echo(Sim::builder().seed(9).faults(faults).record(true)).run().unwrap();
    let script = first.script.unwrap();
    let text = script.to_string();
    let again = echo(Sim::builder().seed(1234).faults(faults).script(text.parse().unwrap())).run().unwrap();
    assert_eq!(first.hash, again.hash);
    assert!(first.counts.partial_reads > 0 && first.counts.partial_writes > 0);
}

#[test]
fn who_looks_on_changes_nothing() {
    let plain = echo(Sim::builder().seed(3)).run().unwrap();
    let lines = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let sink = lines.clone();
    let builder = Sim::builder().seed(3).record(true).on_event(move |number, line| {
        sink.lock().unwrap().push(format!("{number} {line}"));
    });
    let told = echo(builder).run().unwrap();
    assert_eq!(plain.hash, told.hash);
    assert_eq!(lines.lock().unwrap().len() as u64, told.events);
}

#[test]
fn a_cut_takes_what_is_on_its_way_and_healing_goes_on() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = seen.clone();
    let sim = Sim::builder().build();
    sim.host("server", "10.0.0.1", echo_server);
    sim.client("client", "10.0.0.2", move || {
        let log = log.clone();
        async move {
            let mut stream = TcpStream::connect("server:7").await?;
            let sim = asyncio_sim::current();
            stream.write_all(b"before").await?;
            // It is on its way; an answer would come through.
            sim.partition_one_way("client", "server");
            let mut buf = [0; 16];
            let silence = timeout(Duration::from_secs(5), stream.read(&mut buf)).await;
            log.borrow_mut().push(silence.is_err());
            sim.heal("client", "server");
            let n = stream.read(&mut buf).await?;
            log.borrow_mut().push(&buf[..n] == b"before");
            io::Result::Ok(())
        }
    });
    let summary = sim.run().unwrap();
    assert_eq!(*seen.borrow(), [true, true]);
    assert!(summary.counts.cut_off > 0);
}

#[test]
fn a_crash_forgets_everything_and_tells_nobody() {
    let cleaned = Rc::new(RefCell::new(0));
    let lives = Rc::new(RefCell::new(0));
    let (count, of) = (cleaned.clone(), lives.clone());
    let sim = Sim::builder().build();
    sim.host("server", "10.0.0.1", move || {
        *of.borrow_mut() += 1;
        let count = count.clone();
        async move {
            let _guard = asyncio_tasks::guard_local((), move |()| async move { *count.borrow_mut() += 1 });
            echo_server().await
        }
    });
    sim.client("client", "10.0.0.2", || async {
        let sim = asyncio_sim::current();
        let mut stream = TcpStream::connect("server:7").await?;
        stream.write_all(b"x").await?;
        stream.read_exact(&mut [0]).await?;
        sim.crash("server");
        sleep(Duration::from_secs(1)).await;
        // Nobody is there to say that the connection is gone.
        stream.write_all(b"y").await?;
        assert!(timeout(Duration::from_secs(10), stream.read(&mut [0])).await.is_err());
        sim.restart("server");
        // The next time that it is sent the new system answers that it knows nothing of it.
        let error = stream.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        echo_client(3).await
    });
    let summary = sim.run().unwrap();
    assert_eq!(*lives.borrow(), 2);
    assert_eq!(*cleaned.borrow(), 1, "in the second life alone, when the simulation ended");
    assert_eq!((summary.counts.crashes, summary.counts.restarts), (1, 1));
}

#[test]
fn a_machine_that_is_off_does_not_answer_and_a_port_that_nobody_has_refuses() {
    let sim = Sim::builder().build();
    sim.host("server", "10.0.0.1", echo_server);
    sim.client("client", "10.0.0.2", || async {
        let start = asyncio_sim::current().elapsed();
        let refused = TcpStream::connect("server:1").await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        asyncio_sim::current().crash("server");
        let silent = TcpStream::connect("server:7").await.unwrap_err();
        assert_eq!(silent.kind(), io::ErrorKind::TimedOut);
        let took = asyncio_sim::current().elapsed() - start;
        // tcp(7): six retries, 127 s.
        assert!((126..129).contains(&took.as_secs()), "{took:?}");
        let nobody = TcpStream::connect("nowhere.test:7").await.unwrap_err();
        assert_eq!(nobody.kind(), io::ErrorKind::NotFound);
    });
    sim.run().unwrap();
}

#[test]
fn a_paused_host_goes_on_and_a_clock_that_drifts_is_wrong() {
    let sim = Sim::builder().build();
    sim.host("server", "10.0.0.1", echo_server);
    sim.client("fast", "10.0.0.2", || async {
        let sim = asyncio_sim::current();
        sim.drift("fast", 100_000);
        sleep(Duration::from_millis(1)).await;
        let start = sim.elapsed();
        sleep(Duration::from_secs(110)).await;
        assert_eq!((sim.elapsed() - start).as_millis(), 100_000);
        sim.pause("server");
        let mut stream = TcpStream::connect("server:7").await?;
        stream.write_all(b"x").await?;
        assert!(timeout(Duration::from_secs(60), stream.read(&mut [0])).await.is_err());
        sim.resume("server");
        stream.read_exact(&mut [0]).await
    });
    sim.run().unwrap();
}

#[test]
fn datagrams_are_lost_doubled_and_changed() {
    let link = Link::new().loss(0.2).duplicate(0.2).corrupt(0.2);
    let got = Rc::new(RefCell::new(Vec::new()));
    let log = got.clone();
    let sim = Sim::builder().seed(4).link(link).build();
    sim.client("receiver", "10.0.0.1", move || {
        let log = log.clone();
        async move {
            let socket = UdpSocket::bind("0.0.0.0:9").await.unwrap();
            let mut buf = [0; 64];
            while let Ok(Ok((n, _))) = timeout(Duration::from_secs(5), socket.recv_from(&mut buf)).await {
                log.borrow_mut().push(buf[..n].to_vec());
            }
        }
    });
    sim.client("sender", "10.0.0.2", || async {
        let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        for n in 0..200_u32 {
            socket.send_to(&n.to_be_bytes(), "10.0.0.1:9").await.unwrap();
            sleep(Duration::from_millis(10)).await;
        }
    });
    let counts = sim.run().unwrap().counts;
    let got = got.borrow();
    assert_eq!(got.len() as u64, 200 - counts.lost + counts.duplicated);
    let whole = got.iter().filter(|bytes| u32::from_be_bytes(bytes[..].try_into().unwrap()) < 200).count();
    assert!(counts.lost > 10 && counts.duplicated > 10 && counts.corrupted > 10, "{counts:?}");
    assert!(whole < got.len());
}

#[test]
fn what_belongs_to_the_machine_is_refused_with_the_place() {
    let sim = Sim::builder().build();
    sim.client("client", "10.0.0.1", || async {
        let std = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let error = TcpListener::from_std(std).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("spawned at"), "{error}");
        let pool = asyncio_blocking::ThreadPool::new(1);
        assert!(pool.run(|| ()).await.is_err());
        assert_eq!(asyncio_blocking::to_thread(|| 7).await.unwrap(), 7, "on the simulation's own thread");
    });
    sim.run().unwrap();
}

#[test]
fn random_numbers_are_the_seeds() {
    let draw = |seed| {
        let drawn = Rc::new(RefCell::new(Vec::new()));
        let log = drawn.clone();
        let sim = Sim::builder().seed(seed).build();
        sim.client("client", "10.0.0.1", move || {
            let log = log.clone();
            async move { log.borrow_mut().extend((0..10).map(|_| random::below(1000))) }
        });
        sim.run().unwrap();
        drawn.take()
    };
    assert_eq!(draw(5), draw(5));
    assert_ne!(draw(5), draw(6));
}

#[test]
fn a_bulk_over_a_bad_and_narrow_line_arrives_whole() {
    let link = Link::new().loss(0.02).reorder(0.05).duplicate(0.02).bandwidth(1_000_000);
    let sim = Sim::builder().seed(11).link(link).build();
    let bytes: Rc<Vec<u8>> = Rc::new((0..1_u32 << 16).flat_map(u32::to_le_bytes).collect());
    let sent = bytes.clone();
    sim.client("receiver", "10.0.0.1", move || {
        let bytes = bytes.clone();
        async move {
            let listener = TcpListener::bind("0.0.0.0:9").await.unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut got = Vec::new();
            stream.read_to_end(&mut got).await.unwrap();
            assert!(got == *bytes);
        }
    });
    sim.client("sender", "10.0.0.2", move || {
        let sent = sent.clone();
        async move {
            sleep(Duration::from_secs(1)).await;
            let mut stream = TcpStream::connect("receiver:9").await.unwrap();
            stream.write_all(&sent).await.unwrap();
            stream.close().await.unwrap();
        }
    });
    let Summary { elapsed, .. } = sim.run().unwrap();
    assert!(elapsed < Duration::from_secs(60), "{elapsed:?}");
}

#[test]
fn what_is_sent_is_part_of_the_trace() {
    let hash = |parts: [&'static [u8]; 2], is_local: bool| {
        let sim = Sim::builder().build();
        sim.client("host", "10.0.0.1", move || async move {
            let parts = parts.map(io::IoSlice::new);
            let sent = if is_local {
                let (mut one, _other) = asyncio_net::UnixStream::pair().unwrap();
                one.write_vectored(&parts).await.unwrap()
            } else {
                let listener = TcpListener::bind("0.0.0.0:7").await.unwrap();
                TcpStream::connect(listener.local_addr().unwrap())
                    .await
                    .unwrap()
                    .write_vectored(&parts)
                    .await
                    .unwrap()
            };
            assert_eq!(sent, 3);
        });
        sim.run().unwrap().hash
    };
    for is_local in [true, false] {
        let hash = |parts| hash(parts, is_local);
        assert_eq!(hash([b"ab", b"c"]), hash([b"ab", b"c"]));
        assert_ne!(hash([b"ab", b"c"]), hash([b"ab", b"d"]));
        assert_ne!(hash([b"", b"abc"]), hash([b"", b"abd"]));
    }
}

#[test]
fn clocks_of_hosts_may_be_compared() {
    let (sim, shown) = (Sim::builder().build(), Rc::new(RefCell::new(Vec::new())));
    for addr in ["10.0.0.1", "10.0.0.2"] {
        let shown = shown.clone();
        sim.client(addr, addr, move || {
            // Where a main is made, too.
            let (shown, made) = (shown.clone(), asyncio_timers::now());
            async move {
                sleep(Duration::from_secs(3600)).await;
                shown.borrow_mut().push((made, asyncio_timers::now()));
            }
        });
    }
    sim.run().unwrap();
    let shown = shown.borrow();
    assert_eq!(shown[0], shown[1]);
    assert_eq!(shown[0].1 - shown[0].0, Duration::from_secs(3600));
}

#[test]
fn a_blocking_call_sees_the_clock_of_its_host() {
    let sim = Sim::builder().build();
    sim.client("client", "10.0.0.1", || async {
        sleep(Duration::from_secs(60)).await;
        let before = asyncio_timers::now();
        let seen = asyncio_blocking::to_thread(asyncio_timers::now).await.unwrap();
        assert!(seen >= before && seen - before <= Duration::from_millis(1), "{:?}", seen - before);
    });
    sim.run().unwrap();
}

#[test]
fn a_grace_of_nothing_is_enough_for_who_ends_at_once() {
    let sim = Sim::builder().cleanup_grace(Duration::ZERO).build();
    sim.client("client", "10.0.0.1", || async {
        spawn_local(std::future::pending::<()>()).detach();
    });
    sim.run().unwrap();
}

#[test]
fn a_host_may_come_later_and_names_are_names_in_any_case() {
    let sim = Sim::builder().build();
    sim.at(Duration::from_secs(1), |sim| {
        sim.client("late", "10.0.0.1", || async { Err::<(), _>("it ran") });
    });
    assert!(sim.run().is_err());

    let sim = Sim::builder().build();
    sim.host("node", "10.0.0.1", std::future::pending::<()>);
    for (name, addr) in [("Node", "10.0.0.2"), ("localhost", "10.0.0.2"), ("other", "127.0.0.1")] {
        let added = std::panic::AssertUnwindSafe(|| sim.host(name, addr, std::future::pending::<()>));
        assert!(std::panic::catch_unwind(added).is_err(), "{name} {addr}");
    }
}

#[test]
fn what_somebody_has_cut_or_switched_off_chance_does_not_mend() {
    let faults =
        Faults { crashes: true, partitions: true, interval: Duration::from_millis(100), ..Faults::none() };
    for seed in 0..20 {
        let sim = Sim::builder().seed(seed).faults(faults).build();
        let lives = Rc::new(RefCell::new(0));
        let count = lives.clone();
        sim.host("server", "10.0.0.1", move || {
            *count.borrow_mut() += 1;
            std::future::pending::<()>()
        });
        let lives_until = lives.clone();
        sim.client("client", "10.0.0.2", move || {
            let lives = lives_until.clone();
            async move {
                sleep(Duration::from_secs(1)).await;
                let sim = asyncio_sim::current();
                sim.heal("client", "server");
                sim.partition("client", "server");
                sim.crash("server");
                sleep(Duration::from_millis(1)).await;
                let before = *lives.borrow();
                sleep(Duration::from_secs(10)).await;
                assert_eq!(*lives.borrow(), before, "it is off until somebody switches it on");
                sim.restart("server");
                let waited = timeout(Duration::from_secs(5), TcpStream::connect("server:7")).await;
                assert!(waited.is_err(), "it is cut off until somebody heals it");
            }
        });
        sim.run().unwrap();
    }
}

/// Answers each datagram, for ever.
pub(crate) async fn answer_datagrams() -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:7").await?;
    loop {
        let (_, from) = socket.recv_from(&mut [0; 8]).await?;
        socket.send_to(b"here", from).await?;
    }
}

#[test]
fn a_link_that_was_made_good_is_good_at_once() {
    let slow = Link::new().latency(Latency::fixed(Duration::from_secs(30)));
    let sim = Sim::builder().link(slow).build();
    sim.host("server", "10.0.0.1", answer_datagrams);
    sim.client("client", "10.0.0.2", || async {
        let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        socket.send_to(b"slow", "10.0.0.1:7").await.unwrap();
        sleep(Duration::from_secs(1)).await;
        asyncio_sim::current().set_link("client", "server", Link::new());
        socket.send_to(b"quick", "10.0.0.1:7").await.unwrap();
        timeout(Duration::from_secs(1), socket.recv_from(&mut [0; 8])).await.unwrap().unwrap();
    });
    sim.run().unwrap();
}

#[test]
fn what_a_blocking_call_drops_is_cleaned_up_on_its_host() {
    let sim = Sim::builder().build();
    sim.client("client", "10.0.0.1", || async {
        let (sender, receiver) = asyncio_sync::oneshot();
        let guard = asyncio_tasks::guard(sender, |sender| async {
            sleep(Duration::from_secs(5)).await;
            let _ = sender.send(asyncio_timers::now());
        });
        let before = asyncio_timers::now();
        asyncio_blocking::to_thread(move || drop(guard)).await.unwrap();
        let took = receiver.await.unwrap() - before;
        assert!((5000..5002).contains(&took.as_millis()), "{took:?}");
    });
    sim.run().unwrap();
}

#[test]
fn the_panic_of_a_task_that_a_blocking_call_drops_is_told() {
    let sim = Sim::builder().build();
    sim.client("client", "10.0.0.1", || async {
        let task = asyncio_tasks::spawn(async { assert!(random::below(2) > 2, "nobody reads it") });
        sleep(Duration::from_secs(1)).await;
        asyncio_blocking::to_thread(move || drop(task)).await.unwrap();
        sleep(Duration::from_secs(1)).await;
    });
    let failure = sim.run().unwrap_err();
    assert!(failure.message.contains("nobody reads it"), "{failure}");
}

#[test]
fn a_mode_is_looked_at_and_has_no_effect() {
    let sim = Sim::builder().build();
    sim.client("client", "10.0.0.1", || async {
        let error = asyncio_net::UnixListener::bind_with_mode("/run/it.sock", 0o4755).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let listener = asyncio_net::UnixListener::bind_with_mode("/run/it.sock", 0o600).unwrap();
        asyncio_net::UnixStream::connect("/run/it.sock").await.unwrap();
        listener.accept().await.unwrap();
    });
    sim.run().unwrap();
}
