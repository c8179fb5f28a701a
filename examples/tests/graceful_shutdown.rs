//! A thousand clients, and SIGTERM in the middle: whatever the server has read it answers whole, and it ends.
//!
//! `GRACEFUL_SHUTDOWN_RUNS` says how often; the default is twice.

#![cfg(unix)]

mod built;

use std::cell::Cell;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use asyncio::net::TcpStream;
use asyncio::{TaskGroup, sleep};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use rustix::process::{Pid, Signal, kill_process};

const CONNECTIONS: usize = 1000;
/// Of an answer, besides the number: a space, the kilobyte and the end of the line.
const TAIL: usize = 1002;

fn server() -> Child {
    Command::new(built::example("graceful_shutdown"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server was built")
}

/// Sends numbers one after the other, until the server closes. Counts whole answers; one in part is a failure.
async fn client(addr: String, answers: Rc<Cell<u64>>) -> Result<(), String> {
    let mut stream = TcpStream::connect(&*addr).await.map_err(|error| format!("connecting: {error}"))?;
    for n in 0_u64.. {
        let number = n.to_string();
        if stream.write_all(format!("{number}\n").as_bytes()).await.is_err() {
            return Ok(());
        }
        let mut answer = vec![0; number.len() + TAIL];
        let mut len = 0;
        while len < answer.len() {
            match stream.read(&mut answer[len..]).await {
                // The server has gone: before it had read the number, or there is a part of an answer.
                Ok(0) | Err(_) if len == 0 => return Ok(()),
                Ok(0) => return Err(format!("{len} bytes of {}", answer.len())),
                Err(error) => return Err(format!("{len} bytes of {}, then: {error}", answer.len())),
                Ok(count) => len += count,
            }
        }
        if !answer.starts_with(number.as_bytes()) || !answer.ends_with(b"x\n") {
            return Err(format!("another answer than that to {number}"));
        }
        answers.set(answers.get() + 1);
    }
    Ok(())
}

fn one_run() {
    let mut server = server();
    let mut output = BufReader::new(server.stdout.take().expect("it is piped"));
    let mut line = String::new();
    output.read_line(&mut line).expect("it says where it listens");
    let addr = line.trim_end().strip_prefix("listening on ").expect("it says where it listens").to_owned();
    let answers = Rc::new(Cell::new(0));
    let count = answers.clone();
    let pid = Pid::from_child(&server);
    asyncio::run(async move {
        let group = TaskGroup::builder().run(async |group| {
            for _ in 0..CONNECTIONS {
                group.spawn_local(client(addr.clone(), count.clone())).detach();
            }
            // In the middle of it.
            while count.get() < 3 * CONNECTIONS as u64 {
                sleep(Duration::from_millis(1)).await;
            }
            kill_process(pid, Signal::TERM).map_err(|error| error.to_string())
        });
        group.await.expect("all answers are whole");
    });
    let mut line = String::new();
    output.read_line(&mut line).expect("it says what it has done");
    let expected = format!("read {} answered {} failed 0", answers.get(), answers.get());
    assert_eq!(line.trim_end(), expected);
    assert!(server.wait().expect("it ends").success());
}

#[test]
fn whatever_was_read_is_answered_whole() {
    let runs = std::env::var("GRACEFUL_SHUTDOWN_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(2);
    for _ in 0..runs {
        one_run();
    }
}
