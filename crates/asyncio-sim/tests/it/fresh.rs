//! The same seeds are the same runs, in whatever process, and after whatever runs.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use asyncio_base::random;
use asyncio_net::{TcpListener, TcpStream, UdpSocket};
use asyncio_sim::{Builder, Difference, Explorer, Faults, Sim, compare_in_fresh_processes};
use asyncio_sync::{Mutex, Queue};
use asyncio_tasks::{spawn_local, task_group, timeout, yield_now};
use asyncio_timers::sleep;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

/// Does a little of everything, under every fault. `cargo xtask sim` runs ten thousand seeds of it, and has a bug switched on that they must find.
fn everything(builder: Builder) -> Sim {
    let builder = builder.faults(Faults::all()).swarm(true).calm_after(Duration::from_secs(20));
    let sim = builder.build();
    sim.host("server", "10.0.0.1", server);
    for n in 0..3_u8 {
        sim.client(&format!("client{n}"), &format!("10.0.1.{n}, fd00::{n}"), client);
    }
    sim
}

async fn server() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    let datagrams = UdpSocket::bind("0.0.0.0:9").await?;
    spawn_local(async move {
        let mut buf = [0; 64];
        while let Ok((n, from)) = datagrams.recv_from(&mut buf).await {
            let _ = datagrams.send_to(&buf[..n], from).await;
        }
    })
    .detach();
    loop {
        let (mut stream, _) = listener.accept().await?;
        spawn_local(async move {
            let mut buf = [0; 64];
            while let Ok(n @ 1..) = stream.read(&mut buf).await {
                asyncio_blocking::to_thread(|| ()).await.unwrap();
                if stream.write_all(&buf[..n]).await.is_err() {
                    break;
                }
            }
        })
        .detach();
    }
}

async fn client() {
    let queue = std::rc::Rc::new(Queue::new(2));
    let lock = std::rc::Rc::new(Mutex::new(0));
    let producing = queue.clone();
    let producer = spawn_local(async move {
        for n in 0..5_u64 {
            sleep(Duration::from_millis(random::below(300))).await;
            producing.put(n).await.unwrap();
        }
    });
    for _ in 0..5 {
        let n: u64 = queue.get().await.unwrap();
        *lock.lock().await += n;
        while timeout(Duration::from_secs(2), ask(n)).await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
        task_group(async |group: asyncio_tasks::TaskGroup<String>| {
            for _ in 0..3 {
                let lock = lock.clone();
                group.spawn_local(async move {
                    *lock.lock().await += 1;
                    yield_now().await;
                    Ok(())
                });
            }
            Ok(())
        })
        .await
        .unwrap();
    }
    producer.await.unwrap();
    assert_eq!(*lock.lock().await, 10 + 15);
}

/// Asks until there is an answer.
async fn ask(n: u64) {
    loop {
        let asked = async {
            let mut stream = TcpStream::connect("server:7").await?;
            stream.write_all(&n.to_be_bytes()).await?;
            let mut back = [0; 8];
            if std::env::var_os("ASYNCIO_SIM_BUG").is_some() {
                // Takes what comes first for the whole.
                let n = stream.read(&mut back).await?;
                if n == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            } else {
                stream.read_exact(&mut back).await?;
            }
            assert_eq!(u64::from_be_bytes(back), n);
            io::Result::Ok(())
        };
        if asked.await.is_ok() {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// What the others run in processes of their own; by itself, a few seeds.
#[test]
fn everything_goes() {
    Explorer::new("fresh::everything_goes").seeds(20).check(&everything);
}

#[test]
fn five_hundred_seeds_are_the_same_in_two_fresh_processes() {
    assert_eq!(compare_in_fresh_processes("fresh::everything_goes", 500).unwrap(), 500);
}

#[test]
fn a_later_run_in_a_process_is_the_first() {
    let hash = |seed: u64| everything(Sim::builder().seed(seed)).run().unwrap().hash;
    let forward: Vec<_> = (0..30).map(hash).collect();
    let mut backward: Vec<_> = (0..30).rev().map(hash).collect();
    backward.reverse();
    assert_eq!(forward, backward);
    let elsewhere = std::thread::spawn(move || hash(7)).join().unwrap();
    assert_eq!(elsewhere, forward[7]);
}

/// Goes past the simulation: the order of a hash table that std seeds. Only in the processes of the next test.
#[test]
fn something_goes_past_it() {
    if std::env::var_os("ASYNCIO_SIM_PADDING").is_none()
        && std::env::var_os("ASYNCIO_SIM_SEEDS").is_none()
        && std::env::var_os("ASYNCIO_SIM_SEED").is_none()
    {
        return;
    }
    Explorer::new("fresh::something_goes_past_it").check(&|builder| {
        let sim = builder.build();
        sim.client("client", "10.0.0.1", || async {
            let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
            let table: HashMap<u8, ()> = (0..50).map(|n| (n, ())).collect();
            sleep(Duration::from_millis(1)).await;
            for (n, ()) in table {
                socket.send_to(&[n], "127.0.0.1:9").await.unwrap();
            }
        });
        sim
    });
}

#[test]
fn what_goes_past_it_is_found_at_its_event() {
    let error = compare_in_fresh_processes("fresh::something_goes_past_it", 1).unwrap_err();
    let difference = error.get_ref().and_then(|source| source.downcast_ref::<Difference>()).unwrap();
    let line = difference.lines[0].as_deref().unwrap();
    assert!(line.contains("Send"), "{difference}");
    assert!(line.contains("0.001000000"), "at its time: {difference}");
}

/// Fails in the second of two processes alone, after its runs.
#[test]
fn one_that_fails_elsewhere() {
    if std::env::var_os("ASYNCIO_SIM_HASHES").is_some() {
        Explorer::new("fails").check(&|builder| everything(builder));
    }
    assert!(std::env::var_os("ASYNCIO_SIM_PADDING").is_none(), "on purpose");
}

#[test]
fn a_test_that_fails_in_one_process_is_no_proof() {
    let error = compare_in_fresh_processes("fresh::one_that_fails_elsewhere", 1).unwrap_err();
    assert!(error.to_string().contains("failed in a process of its own"), "{error}");
}

#[test]
fn a_test_that_explores_nothing_is_no_proof() {
    assert!(compare_in_fresh_processes("no::such_test", 1).is_err());
}
