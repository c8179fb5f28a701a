//! The attribute for simulated tests, and every primitive under a seeded schedule.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

#[path = "../../asyncio-sync/tests/it/program.rs"]
mod program;

use std::io;
use std::time::Duration;

use asyncio::net::{TcpListener, TcpStream};
use asyncio::sim::{Builder, Explorer, FailureKind, Faults};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

/// Whoever misses a wake hangs the whole: the order in which tasks are polled is any, and the same again for the same seed.
#[asyncio::test(sim, seeds = 300)]
async fn every_primitive_in_any_order() {
    let (tasks, end) = program::program();
    tasks.into_iter().for_each(|task| _ = asyncio::spawn(task));
    end.await;
}

#[asyncio::test(sim, seeds = 20, with = faulty)]
async fn a_test_makes_the_hosts_that_it_talks_to() -> io::Result<()> {
    asyncio::sim::current().host("server", "10.0.0.1", || async {
        let listener = TcpListener::bind("0.0.0.0:7").await?;
        while let Ok((mut stream, _)) = listener.accept().await {
            // One that is lost asks again.
            let _ = stream.write_all(b"hello").await;
        }
        io::Result::Ok(())
    });
    loop {
        let greeting = async {
            let mut stream = TcpStream::connect("server:7").await?;
            let mut text = [0; 5];
            stream.read_exact(&mut text).await?;
            io::Result::Ok(text)
        };
        match asyncio::timeout(Duration::from_secs(5), greeting).await {
            Ok(Ok(text)) => {
                assert_eq!(&text, b"hello");
                return Ok(());
            }
            _ => asyncio::sleep(Duration::from_millis(100 + asyncio::random::below(100))).await,
        }
    }
}

fn faulty(builder: Builder) -> Builder {
    builder.faults(Faults::all()).swarm(true).calm_after(Duration::from_secs(30))
}

#[asyncio::test(with = faulty, seeds = 2, sim)]
async fn what_is_said_of_a_simulation_may_stand_before_it() {
    asyncio::sleep(Duration::from_secs(60)).await;
}

#[asyncio::test(sim)]
#[should_panic(
    expected = "ASYNCIO_SIM_SCRIPT=plain cargo test one_that_fails_says_how_to_replay_it -- --exact"
)]
async fn one_that_fails_says_how_to_replay_it() {
    panic!("on purpose");
}

/// The bug is a choice of three: the plain ones are well.
#[test]
fn a_failure_is_made_as_small_as_it_can_be() {
    let found = Explorer::new("small").seeds(1000).explore(&|builder| {
        let sim = builder.faults(Faults::all()).swarm(true).build();
        sim.client("client", "10.0.0.1", || async {
            for _ in 0..asyncio::random::below(500) {
                asyncio::sleep(Duration::from_millis(1)).await;
                assert_ne!(asyncio::random::below(100), 37, "a bug");
            }
        });
        sim
    });
    let found = found.unwrap_err();
    assert_eq!(found.failure.kind, FailureKind::Panic);
    // One round, and the number.
    assert_eq!(
        (found.shrunk.script.to_string(), found.shrunk.script.weight()),
        (String::from("u0.0=1,u0.1=37"), 2)
    );
    assert!(found.shrunk.failure.events <= found.failure.events);
}
