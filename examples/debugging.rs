//! Four bugs, and what debug mode and a look inside say of each: a callback that holds the loop, an error that nobody reads, a connection that nobody
//! closes, and a task that waits for ever.
//!
//! `cargo run --example debugging`. What it prints stands in the guide, page 15, and `tests/debugging.rs` compares the two.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use asyncio::net::{StreamReader, StreamWriter, open_connection, start_server};
use asyncio::sync::Event;
use asyncio::{EventLoop, Runner, debug, spawn_checked, spawn_local, task, to_thread, yield_now};

/// What is told, one after the other.
type Reports = Arc<Mutex<Receiver<String>>>;

/// For so long the loop is held.
const SLOW: Duration = Duration::from_secs(1);

/// Reads, and takes its time for it: on the thread of the loop, where nothing else happens meanwhile.
fn read_everything() {
    thread::sleep(SLOW); // bug: sleeps
}

async fn save() -> Result<(), String> {
    yield_now().await;
    Err(String::from("the disk is full"))
}

async fn greet(mut reader: StreamReader, mut writer: StreamWriter) -> io::Result<()> {
    while let Some(line) = reader.read_line().await? {
        writer.write(&line);
    }
    writer.close().await
}

async fn ask(addr: SocketAddr) -> io::Result<()> {
    let (mut reader, mut writer) = open_connection(addr).await?;
    writer.write(b"hello\n");
    assert_eq!(reader.read_line().await?.as_deref(), Some(&b"hello\n"[..]));
    Ok(())
}

async fn wait_for(started: &Event) {
    started.wait().await; // bug: awaits
}

/// Prints what is told next of these kinds. Most is told at once, and some by another thread; on a busy machine more may be told than is planted.
async fn print_reports(reports: &Reports, kinds: &[&str]) -> Result<(), Box<dyn std::error::Error>> {
    let mut told: Vec<String> = Vec::new();
    let is_told = |told: &[String], kind: &str| told.iter().any(|report| report.contains(kind));
    while !kinds.iter().all(|kind| is_told(&told, kind)) {
        let reports = reports.clone();
        let next = to_thread(move || reports.lock().ok()?.recv_timeout(Duration::from_secs(10)).ok());
        told.push(next.await?.ok_or("nothing more is told")?);
    }
    for kind in kinds {
        told.iter().find(|report| report.contains(kind)).into_iter().for_each(|report| println!("{report}"));
    }
    Ok(())
}

async fn bugs(reports: Reports) -> Result<(), Box<dyn std::error::Error>> {
    println!("--- a callback that holds the loop");
    EventLoop::current()?.call_soon(read_everything)?; // bug: slow
    print_reports(&reports, &["asyncio runtime: task 1 (", "a poll of task 1 ("]).await?;

    println!("--- an error that nobody reads");
    spawn_checked(save()).detach(); // bug: lost
    print_reports(&reports, &["nobody has read its error"]).await?;

    println!("--- a connection that nobody closes");
    let server = start_server(greet, "127.0.0.1:0").await?;
    let addr = server.local_addrs()[0];
    let asks = task::Builder::new().name("asks").spawn_local(ask(addr)); // bug: unclosed
    asks.await??;
    print_reports(&reports, &["dropped without `close`"]).await?;
    server.close();
    server.wait_closed().await;

    println!("--- a task that waits for ever");
    let worker = task::Builder::new().name("worker").spawn_local(async { wait_for(&Event::new()).await }); // bug: stuck
    let waits = spawn_local(async { drop(worker.await) }); // bug: waits
    yield_now().await;
    match debug::await_chain(waits.id()).await {
        Some(chain) => println!("{chain}"),
        None => println!("there is no such task"),
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (sender, reports) = channel();
    let mut runner = Runner::builder()
        .debug(true)
        .slow_poll_threshold(Duration::from_millis(100))
        // The other end is there until the loop is closed.
        .on_unhandled(move |what| drop(sender.send(what.to_string())))
        .build()?;
    runner.run(bugs(Arc::new(Mutex::new(reports))))?;
    let metrics = runner.event_loop().metrics();
    assert!(metrics.lag.max() >= SLOW, "the loop was held, and that is measured, too");
    Ok(())
}
