//! Tests by clients on real sockets, in this process. Those about a moment move the clock by hand.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use asyncio::sync::Event;
use asyncio::timers::ManualClock;
use asyncio::{Runner, all_tasks, timeout, try_join, yield_now};

use crate::client::Client;
use crate::server::{ChatServer, Limits};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const PROMPT: &str = "* your nickname?";
const SECOND: Duration = Duration::from_secs(1);

/// Runs a script against a server, which is shut down when the event is set, or the script has ended.
/// What the script gives is kept until the server has ended.
async fn with_chat<T>(limits: Limits, script: impl AsyncFnOnce(SocketAddr, &Event) -> Outcome<T>) -> Outcome {
    let chat = ChatServer::start("127.0.0.1:0", limits).await?;
    let (addr, stop) = (chat.addr(), Event::new());
    let serving = async {
        chat.run(stop.wait()).await;
        Ok::<(), Box<dyn Error>>(())
    };
    let scripted = async {
        let kept = script(addr, &stop).await?;
        stop.set();
        Ok::<T, Box<dyn Error>>(kept)
    };
    let ((), kept) = try_join!(serving, scripted)?;
    for _ in 0..100 {
        yield_now().await;
    }
    assert!(all_tasks().is_empty(), "no task is left");
    drop(kept);
    Ok(())
}

/// The same, on the system's clock, with a watchdog.
async fn watched<T>(limits: Limits, script: impl AsyncFnOnce(SocketAddr, &Event) -> Outcome<T>) -> Outcome {
    timeout(20 * SECOND, with_chat(limits, script)).await?
}

async fn hears(client: &mut Client, line: &str) -> Outcome {
    assert_eq!(client.hear().await?.as_deref(), Some(line));
    Ok(())
}

async fn hears_the_last(mut client: Client, line: &str) -> Outcome {
    hears(&mut client, line).await?;
    assert_eq!(client.hear().await?, None);
    Ok(())
}

#[asyncio::test]
async fn a_nickname_is_taken_until_its_owner_leaves() -> Outcome {
    watched(Limits::default(), async |addr: SocketAddr, _: &Event| -> Outcome {
        let mut ann = Client::enter(addr, "ann", "lobby").await?;
        let mut bob = Client::enter(addr, "bob", "lobby").await?;
        hears(&mut ann, "* bob has joined lobby").await?;
        let mut other = Client::connect(addr).await?;
        hears(&mut other, PROMPT).await?;
        other.send("ann");
        hears_the_last(other, "! the nickname ann is taken").await?;

        ann.send("I am still here");
        hears(&mut bob, "<ann> I am still here").await?;
        ann.send("/quit");
        hears_the_last(ann, "* goodbye").await?;
        hears(&mut bob, "* ann has left lobby").await?;
        let _ann = Client::enter(addr, "ann", "lobby").await?;
        hears(&mut bob, "* ann has joined lobby").await
    })
    .await
}

#[asyncio::test]
async fn rooms_are_separate() -> Outcome {
    watched(Limits::default(), async |addr: SocketAddr, _: &Event| -> Outcome {
        let mut ann = Client::enter(addr, "ann", "red").await?;
        let mut bob = Client::enter(addr, "bob", "red").await?;
        let mut cid = Client::enter(addr, "cid", "blue").await?;
        hears(&mut ann, "* bob has joined red").await?;
        ann.send("red is better");
        hears(&mut bob, "<ann> red is better").await?;

        // Order is kept, so what cid hears now shows that he has heard nothing before.
        cid.send("/who");
        hears(&mut cid, "* in blue: cid").await?;
        bob.send("/join blue");
        hears(&mut ann, "* bob has left red").await?;
        hears(&mut cid, "* bob has joined blue").await?;
        cid.send("/leave");
        hears(&mut cid, "* cid has left blue").await?;
        cid.send("does anybody hear me?");
        hears(&mut cid, "! you are in no room: /join ROOM").await
    })
    .await
}

#[asyncio::test]
async fn a_long_line_and_one_client_too_many_are_refused() -> Outcome {
    let limits = Limits { clients: 1, line: 16, ..Limits::default() };
    watched(limits, async |addr: SocketAddr, _: &Event| -> Outcome {
        let mut ann = Client::enter(addr, "ann", "lobby").await?;
        hears_the_last(Client::connect(addr).await?, "! the server is full").await?;
        ann.send(&"x".repeat(100_000));
        hears_the_last(ann, "! a line has at most 16 bytes").await?;
        loop {
            let mut next = Client::connect(addr).await?;
            if next.hear().await?.as_deref() == Some(PROMPT) {
                return Ok(()); // her seat is free again
            }
        }
    })
    .await
}

#[test]
fn who_does_not_say_a_nickname_in_time_is_dropped() -> Outcome {
    let clock = ManualClock::new();
    let limits = Limits::default();
    let mut runner = Runner::builder().clock(clock.clone()).build()?;
    runner.run(with_chat(limits, async |addr: SocketAddr, _: &Event| -> Outcome {
        let mut silent = Client::connect(addr).await?;
        hears(&mut silent, PROMPT).await?; // so the time runs
        clock.advance(limits.greeting);
        hears_the_last(silent, "! you have not said your nickname in time").await
    }))
}

#[test]
fn who_sends_nothing_is_dropped() -> Outcome {
    let clock = ManualClock::new();
    let limits = Limits::default();
    let mut runner = Runner::builder().clock(clock.clone()).build()?;
    runner.run(with_chat(limits, async |addr: SocketAddr, _: &Event| -> Outcome {
        let mut ann = Client::enter(addr, "ann", "lobby").await?;
        let mut bob = Client::enter(addr, "bob", "lobby").await?;
        hears(&mut ann, "* bob has joined lobby").await?;
        for _ in 0..2 {
            clock.advance(limits.idle - SECOND); // not yet
            ann.send("/who");
            hears(&mut ann, "* in lobby: ann, bob").await?;
            bob.send("/who");
            hears(&mut bob, "* in lobby: ann, bob").await?;
        }
        clock.advance(limits.idle - SECOND);
        bob.send("I go on");
        hears(&mut ann, "<bob> I go on").await?; // to hear is not to send
        clock.advance(SECOND);
        hears_the_last(ann, "! you have sent nothing for too long").await?;
        hears(&mut bob, "* ann has left lobby").await
    }))
}

/// Says `count` lines, or lines until somebody leaves, and has `fast` hear each of them in its order.
async fn flood(talker: &mut Client, fast: &mut Client, count: usize) -> Outcome {
    let padding = "x".repeat(8 * 1024);
    for n in 0..count {
        let line = format!("{n} {padding}");
        talker.send(&line);
        let heard = fast.hear().await?.ok_or("there is more")?;
        if heard == "* slow has left lobby" {
            return hears(fast, &format!("<talker> {line}")).await;
        }
        assert_eq!(heard, format!("<talker> {line}"));
    }
    Ok(())
}

#[asyncio::test]
async fn who_does_not_read_is_dropped_and_holds_nobody_up() -> Outcome {
    let stall = Duration::from_millis(50);
    let limits = Limits { line: 16 * 1024, queue: 4, stall, ..Limits::default() };
    watched(limits, async |addr: SocketAddr, _: &Event| -> Outcome<Client> {
        let slow = Client::enter(addr, "slow", "lobby").await?;
        let mut fast = Client::enter(addr, "fast", "lobby").await?;
        let mut talker = Client::enter(addr, "talker", "lobby").await?;
        hears(&mut fast, "* talker has joined lobby").await?;
        flood(&mut talker, &mut fast, usize::MAX).await?;
        fast.send("/who");
        hears(&mut fast, "* in lobby: fast, talker").await?;
        Ok(slow)
    })
    .await
}

#[asyncio::test]
async fn the_end_is_told_to_everybody() -> Outcome {
    const GOODBYE: &str = "* the server is shutting down";
    watched(Limits::default(), async |addr: SocketAddr, stop: &Event| -> Outcome {
        let ann = Client::enter(addr, "ann", "red").await?;
        let bob = Client::enter(addr, "bob", "blue").await?;
        let mut nameless = Client::connect(addr).await?;
        hears(&mut nameless, PROMPT).await?;
        stop.set();
        for client in [ann, bob, nameless] {
            hears_the_last(client, GOODBYE).await?;
        }
        let refused = async { Client::connect(addr).await?.hear().await };
        assert!(refused.await.is_err(), "nobody listens any more");
        Ok(())
    })
    .await
}

#[asyncio::test]
async fn the_end_does_not_wait_for_who_does_not_read() -> Outcome {
    let (stall, flush) = (3600 * SECOND, Duration::from_millis(300));
    let limits = Limits { line: 16 * 1024, queue: 4, stall, flush, ..Limits::default() };
    watched(limits, async |addr: SocketAddr, stop: &Event| -> Outcome<Client> {
        let slow = Client::enter(addr, "slow", "lobby").await?;
        let mut fast = Client::enter(addr, "fast", "lobby").await?;
        let mut talker = Client::enter(addr, "talker", "lobby").await?;
        hears(&mut fast, "* talker has joined lobby").await?;
        flood(&mut talker, &mut fast, 2000).await?; // more than the system keeps for a connection
        stop.set();
        hears_the_last(fast, "* the server is shutting down").await?;
        Ok(slow) // who neither reads nor ends, until the server has ended
    })
    .await
}
