//! The other end is a program of somebody else's: Python's asyncio, `nc`.
//!
//! A peer that is not installed makes its test say so and pass; with `ASYNCIO_REQUIRE_PEERS=1` it fails.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;

use asyncio_net::{
    StreamReader, StreamWriter, open_connection, open_unix_connection, start_server, start_unix_server,
};
use asyncio_sync::oneshot::oneshot;

/// Starts a peer; `None` where it is not installed, and need not be.
fn peer(test: &str, mut command: Command) -> Option<Child> {
    match command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() {
        Ok(child) => Some(child),
        Err(error) if std::env::var_os("ASYNCIO_REQUIRE_PEERS").is_none_or(|value| value != "1") => {
            eprintln!("{test}: skipped, {:?} cannot be started: {error}", command.get_program());
            None
        }
        Err(error) => panic!("{test}: {:?} cannot be started: {error}", command.get_program()),
    }
}

fn python(test: &str, script: &str, argument: &str) -> Option<Child> {
    let mut command = Command::new("python3");
    command.args(["-c", script, argument]);
    peer(test, command)
}

/// Waits for a peer's end, without holding the loop up; gives what it has printed.
async fn output(mut child: Child) -> String {
    let (done, waits) = oneshot();
    thread::spawn(move || {
        let mut text = String::new();
        child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        let status = child.wait().unwrap();
        let _ = done.send((text, status.success()));
    });
    let (text, succeeded) = waits.await.unwrap();
    assert!(succeeded, "{text}");
    text
}

/// Starts a server of Python's, and reads where it listens.
fn address(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    line.trim().to_owned()
}

async fn echo(mut reader: StreamReader, mut writer: StreamWriter) -> std::io::Result<()> {
    loop {
        let bytes = reader.read(10_000).await?;
        if bytes.is_empty() {
            return writer.close().await;
        }
        writer.write_all(&bytes).await?;
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32 / 4 + 1).flat_map(u32::to_le_bytes).take(len).collect()
}

/// Sends lines and reads them, then a megabyte and the end.
const CLIENT: &str = r#"
import asyncio, sys

async def main():
    where = sys.argv[1]
    if where.startswith("/"):
        reader, writer = await asyncio.open_unix_connection(where)
    else:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(where))
    for n in range(1000):
        line = b"line %d\r\n" % n
        writer.write(line)
        assert await reader.readuntil(b"\r\n") == line
    data = bytes(range(256)) * 4096
    async def send():
        for at in range(0, len(data), 7001):
            writer.write(data[at:at + 7001])
            await writer.drain()
        writer.write_eof()
    sending = asyncio.create_task(send())
    assert await reader.readexactly(len(data)) == data
    await sending
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    print("all came back")

asyncio.run(main())
"#;

/// Sends back what comes, until the end.
const SERVER: &str = r#"
import asyncio, sys

async def echo(reader, writer):
    while data := await reader.read(5000):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
    writer.close()
    await writer.wait_closed()

async def main():
    if sys.argv[1]:
        server = await asyncio.start_unix_server(echo, sys.argv[1])
        print(sys.argv[1], flush=True)
    else:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        print("127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"#;

#[test]
fn pythons_client_at_our_server() {
    asyncio_runtime::run(async {
        let server = start_server(echo, "127.0.0.1:0").await.unwrap();
        let port = server.local_addrs()[0].port().to_string();
        let Some(child) = python("pythons_client_at_our_server", CLIENT, &port) else { return };
        assert_eq!(output(child).await, "all came back\n");
        server.close();
        server.wait_closed().await;
    });
}

#[test]
fn pythons_client_at_our_unix_server() {
    let path = std::env::temp_dir().join(format!("asyncio-peer-{}", std::process::id()));
    asyncio_runtime::run(async {
        let server = start_unix_server(echo, &path).await.unwrap();
        let name = "pythons_client_at_our_unix_server";
        let Some(child) = python(name, CLIENT, path.to_str().unwrap()) else { return };
        assert_eq!(output(child).await, "all came back\n");
        server.close();
        server.wait_closed().await;
    });
}

/// The same from our side.
async fn talk(mut reader: StreamReader, mut writer: StreamWriter) {
    for n in 0..1000 {
        let line = format!("line {n}\r\n");
        writer.write(line.as_bytes());
        assert_eq!(reader.read_until(b"\r\n").await.unwrap(), line.as_bytes());
    }
    let bytes = pattern(1 << 20);
    let sent = bytes.clone();
    let sending = asyncio_tasks::spawn_local(async move {
        for chunk in sent.chunks(7001) {
            writer.write_all(chunk).await.unwrap();
        }
        writer.write_eof();
        writer
    });
    assert!(reader.read_to_end().await.unwrap() == bytes);
    sending.await.unwrap().close().await.unwrap();
}

#[test]
fn our_client_at_pythons_server() {
    let Some(mut child) = python("our_client_at_pythons_server", SERVER, "") else { return };
    let addr = address(&mut child);
    asyncio_runtime::run(async {
        let (reader, writer) = open_connection(addr).await.unwrap();
        talk(reader, writer).await;
    });
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn our_client_at_pythons_unix_server() {
    let path = std::env::temp_dir().join(format!("asyncio-python-{}", std::process::id()));
    let Some(mut child) = python("our_client_at_pythons_unix_server", SERVER, path.to_str().unwrap()) else {
        return;
    };
    assert_eq!(address(&mut child), path.to_str().unwrap());
    asyncio_runtime::run(async {
        let (reader, writer) = open_unix_connection(&path).await.unwrap();
        talk(reader, writer).await;
    });
    child.kill().unwrap();
    child.wait().unwrap();
    // Python 3.13 removes it where it ends by itself.
    let _ = std::fs::remove_file(path);
}

#[test]
fn netcat_at_our_server() {
    asyncio_runtime::run(async {
        let server = start_server(echo, "127.0.0.1:0").await.unwrap();
        let port = server.local_addrs()[0].port().to_string();
        let mut command = Command::new("nc");
        // Sends the end when its input ends.
        command.args(["-N", "127.0.0.1", &port]);
        let Some(mut child) = peer("netcat_at_our_server", command) else { return };
        child.stdin.take().unwrap().write_all(b"half a connection\n").unwrap();
        assert_eq!(output(child).await, "half a connection\n");
        server.close();
        server.wait_closed().await;
    });
}
